"""What a person's click or command came to; every verdict carries its reason (docs/reference/refusals.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from approvals.request import Request


@dataclass(frozen=True)
class Counted:
    """The answer counts, durably; `safe` is false while a decision is not yet published."""

    request: Request
    safe: bool = True


@dataclass(frozen=True)
class Refused:
    """Nothing was done; `sentence` is for the person, `reason` its name in docs and the journal."""

    reason: str
    sentence: str


UNKNOWN = Refused("not_found", "I do not know this request any more, so nothing was counted.")

NOT_THIS_CARD: Final = Refused(
    "not_this_card", "This button does not belong to a card I posted here, so nothing was counted."
)
DENIED: Final = Refused("policy_denies", "A rule of the policy now denies this request, so it cannot be answered.")
UNSEEN: Final = Refused(
    "unseen", "Part of this is secret, and no rule lets it be approved unseen. Deny it, or ask for a change."
)


@dataclass(frozen=True)
class Late:
    """Nothing is left to decide; `request` tells who decided, and when."""

    request: Request


@dataclass(frozen=True)
class Done:
    """An operator's intervention took effect; `request` is what it was about, if it was one request.

    `safe` is false while it is not yet known to be kept, or the agent was not told yet.
    """

    request: Request | None
    what: str
    safe: bool = True


Verdict = Counted | Refused | Late
