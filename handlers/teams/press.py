"""Reading a press of one of our buttons out of an activity: only what Teams vouches for and our seal opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from approvals.click import Click
from approvals.ports import Account
from approvals.standing import MARK, Spot
from handlers.reasons import LONGEST
from handlers.teams.cards import (
    APPROVE,
    CHANGES,
    DATA,
    DENY,
    MORE,
    PAUSE,
    REFRESH,
    REPORT,
    ROW,
    preset_field,
    reason_field,
)
from handlers.teams.marks import Marks
from handlers.teams.shapes import guid, mapping, place_of, tenant_of, text

Answer = Literal["approve", "deny", "changes"]

INVOKE = "adaptiveCard/action"
_ANSWERS: Mapping[str, Answer] = {APPROVE: "approve", DENY: "deny", CHANGES: "changes"}


@dataclass(frozen=True)
class Press:
    """Who pressed the button of which rendering of which request, on which message, and what they wrote beside it."""

    request: str
    shown: str
    account: Account
    place: str
    message: str
    mark: str  #: of the message for which the button was made
    personal: bool
    reason: str
    beside_others: bool  #: whether the message holds more than this request

    @property
    def spot(self) -> Spot:
        """The message that was on screen; in a personal chat it may stand at the person's own destination."""
        places = [f"teams:{self.place}"]
        if self.personal:
            places.append(f"teams:{self.account.user}")
        return Spot(tuple(places), reference_to(self.place, self.message, self.mark), self.shown)

    def click(self, answer: Answer) -> Click:
        """The press as the service takes it."""
        spot = self.spot
        return Click(self.account, answer, spot.shown, spot.places, spot.reference, self.reason)


def verb_of(activity: Mapping[str, Any]) -> str:
    """What a button says it does; where nobody pressed one, nothing but to refresh what is looked at."""
    verb = text(_action(activity).get("verb"))
    return verb if mapping(activity.get("value")).get("trigger", "manual") == "manual" or verb == REFRESH else ""


def reference_to(place: str, message: str, mark: str) -> dict[str, str]:
    """A message of ours as it is recorded; those of before there were marks have none."""
    return {"conversation": place, "activity": message} | ({MARK: mark} if mark else {})


def account_of(activity: Mapping[str, Any]) -> Account | None:
    """Who did it: of *their* tenant, which in a shared channel need not be ours; None where Teams does not say."""
    sender = mapping(activity.get("from"))
    user = guid(sender.get("aadObjectId"))
    tenant = guid(sender.get("tenantId")) if "tenantId" in sender else tenant_of(activity)
    return Account("teams", tenant, user) if user and tenant else None


def pressed(activity: Mapping[str, Any], account: Account, marks: Marks) -> Press | None:
    """The press of an adaptiveCard/action invoke; None if it is not on a card that we sealed for this place."""
    data, place, message = data_of(activity), place_of(activity), text(activity.get("replyToId"))
    marked = marks.opened(text(data.get(DATA)), place)
    if marked is None or not message:
        return None
    sealed = marked.sealed
    personal = mapping(activity.get("conversation")).get("conversationType") == "personal"
    row = data.get(ROW) is True
    return Press(
        sealed.request,
        sealed.shown,
        account,
        place,
        message,
        marked.mark,
        personal,
        _reason(data, verb_of(activity), sealed.request),
        row,
    )


def data_of(activity: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a button carries, with what was entered beside it."""
    return mapping(_action(activity).get("data"))


def answer_of(verb: str) -> Answer | None:
    """The answer that a verb gives, if it is one with which people answer."""
    return _ANSWERS.get(verb)


def _reason(data: Mapping[str, Any], verb: str, request: str) -> str:
    """What was chosen, then what was written, at most as much as the form allows."""
    form = MORE if verb in (PAUSE, REPORT) else verb
    chosen = text(data.get(preset_field(form, request))).strip()[:150]
    written = text(data.get(reason_field(form, request))).strip()[:LONGEST]
    return f"{chosen}: {written}" if chosen and written else chosen or written


def _action(activity: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(activity.get("value")).get("action"))
