"""What policy judges: a question with everything filled in, whoever asks it again later."""

from __future__ import annotations

from pydantic import Field

from approvals.action import Action, Frozen


class Question(Frozen):
    """May this agent, for this principal, have this action done by this audience? `within` is in ms."""

    agent: str
    action: Action
    principal: str
    audience: str
    started_by: str | None
    within: int | None = None
    vouched: bool = False  #: whether somebody else than the agent says that it acts for this principal
    sums: dict[str, int] = Field(default_factory=dict)  #: what its windows came to with it, by their names
