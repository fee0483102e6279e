"""What a person is told, privately, about their click: every verdict has its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from approvals.card import Who
from approvals.lifecycle import Status
from approvals.request import Request, Vote
from approvals.service import Counted, Late, Refused, Verdict
from handlers.slack.blocks import person
from handlers.slack.elements import Json, listed, section, text, when


@dataclass(frozen=True)
class Private:
    """An answer for one person's eyes: the rich text, and a sentence of our words alone for screen readers."""

    spoken: str
    elements: tuple[Json, ...]

    def blocks(self) -> list[Json]:
        """The answer as a message."""
        return [section(self.elements)]


def plain(sentence: str, spoken: str = "") -> Private:
    """A sentence as it stands; `spoken` where it holds words that are not ours."""
    return Private(spoken or sentence, (text(sentence),))


UNCERTAIN = plain(
    "That did not get through to me in time, so do not take it as counted. "
    "Look at the card in a moment; if it has not changed, click again. Clicking twice does no harm."
)
NOT_OURS = plain("This button does not belong to a card I posted here, so nothing was counted.")
NO_FORM = plain("Slack did not let me open the form for your reason, so nothing was counted. Click again.")
NO_PAGE = plain("I could not fetch this just now, so nothing can be approved here. Close this and open Review again.")
OUTDATED = plain("I do not know this button, perhaps because the card is from another version. Nothing was counted.")


def about(verdict: Verdict, answer: str, team: str) -> Private:
    """The words for a verdict on somebody's approve or deny."""
    match verdict:
        case Counted(request, safe):
            return _counted(request, safe, answer)
        case Late(request):
            return late(request, team)
        case Refused(_, sentence):
            return plain(sentence, "Nothing was counted.")


def late(request: Request, team: str) -> Private:
    """Who decided, and when; there is nothing left to answer."""
    decision = request.decision
    if decision is None:
        return plain("There is nothing left to answer here.")
    at = when(decision.at)
    if decision.status is Status.EXPIRED:
        return _private("Too late:", text("This expired "), at, text(": nobody answered in time, which counts as no."))
    if decision.status is Status.WITHDRAWN:
        return _private("Too late:", text("The agent took this back "), at, text("; nothing was counted."))
    word = "denied" if decision.status is Status.DENIED else "approved"
    by = _people(decision.by, team) or [text("A rule of the policy")]
    since = _SINCE.get(request.status, "")
    return _private("Too late:", *by, text(f" {word} this "), at, text(f"{since}, so your click changes nothing."))


_SINCE = {
    Status.REVOKED: ", and it was taken back since",
    Status.LAPSED: ", and it was not used in time",
    Status.SPENT: ", and it is being done",
    Status.SUCCEEDED: ", and it is done",
    Status.FAILED: ", and it failed",
    Status.UNKNOWN: ", and how it ended is not known",
}


def _counted(request: Request, safe: bool, answer: str) -> Private:
    if not safe:
        return plain("Recorded, but not yet safe to use. I keep trying; the card tells how it goes on.")
    if request.status is Status.PENDING:
        need = sum(factor.need for factor in request.terms.factors)
        got = sum(request.got().values())
        if answer != "approve":
            return plain(f"Your no counts; {request.terms.deny_quorum} are needed to deny this.")
        return plain(f"Your approval counts: {got} of {need}. The others are still to answer.")
    word = "Approved" if answer == "approve" else "Denied"
    return plain(f"{word}. The agent has been told.")


def _private(spoken: str, *elements: Json) -> Private:
    return Private(f"{spoken} nothing was counted.", elements)


def _people(votes: Sequence[Vote], team: str) -> list[Json]:
    return listed([person(Who(person=vote.person, accounts=(vote.account,)), team) for vote in votes])
