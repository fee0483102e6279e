"""The stop button: an agent, a kind or everything is frozen until another person unfreezes it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from approvals.action import Frozen
from approvals.question import Question

FREEZE = "freeze:"  #: how the rule that a freeze counts as begins; an id in a policy has no colon


class Freeze(Frozen):
    """What is frozen, by whom and why. `name` is the agent, or a glob of kinds; empty for everything."""

    scope: Literal["agent", "kind", "all"]
    name: str = ""
    by: str
    at: int
    reason: str = ""

    @property
    def rule(self) -> str:
        """The name under which records and cards mention it."""
        return f"{FREEZE}{self.scope}:{self.name}" if self.name else f"{FREEZE}{self.scope}"

    def covers(self, question: Question) -> bool:
        """Whether a question falls under it."""
        if self.scope == "agent":
            return question.agent == self.name
        return self.scope == "all" or fnmatchcase(question.action.kind, self.name)

    def same_as(self, scope: str, name: str) -> bool:
        """Whether it is the one that an operator means."""
        return (self.scope, self.name) == (scope, name)
