"""One person's answer as a door received it, and what the journal keeps of one that does not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from approvals.commits import record_of
from approvals.ports import Account
from approvals.request import Request
from approvals.standing import Spot
from approvals.verdicts import Refused


@dataclass(frozen=True)
class Click:
    """One person's answer as a door received it.

    `places` are the destinations the click can have come from and `reference` the message it was made on; they must
    match a card that was posted there. `shown` is the digest of the rendering whose button was clicked. `view` is the
    review that it was answered from, if it was, and `confirm` the code that was typed there.
    """

    account: Account
    answer: Literal["approve", "deny", "changes"]
    shown: str
    places: tuple[str, ...]
    reference: Mapping[str, str]
    reason: str = ""
    view: str = ""
    confirm: str = ""

    @property
    def spot(self) -> Spot:
        """The message it was made on."""
        return Spot(self.places, self.reference, self.shown)


def refused_click(request: Request, click: Click, refused: Refused) -> Mapping[str, Any]:
    said = {"event": "click_refused", "account": click.account.id, "answer": click.answer, "reason": refused.reason}
    return {**record_of(request, request), **said, "shown": click.shown}
