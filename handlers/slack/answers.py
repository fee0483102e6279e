"""What a person is told, privately, about their click: every verdict has its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from approvals.card import Who
from approvals.lifecycle import Status
from approvals.request import Request, Vote
from approvals.service import Counted, Done, Late, Paused, Refused, Verdict
from handlers import verdicts
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


UNCERTAIN = plain(verdicts.UNCERTAIN)
NOT_OURS = plain(verdicts.NOT_OURS)
NO_FORM = plain("Slack did not let me open the form for your reason, so nothing was counted. Click again.")
NO_PAGE = plain("I could not fetch this just now, so nothing can be approved here. Close this and open Review again.")
OUTDATED = plain(verdicts.OUTDATED)


def about(verdict: Verdict, answer: str, team: str) -> Private:
    """The words for a verdict on somebody's approve or deny."""
    match verdict:
        case Counted(request, safe):
            return plain(verdicts.counted(request, safe, answer))
        case Late(request):
            return late(request, team)
        case Refused(_, sentence):
            return plain(sentence, "Nothing was counted.")


def paused(came: Paused, team: str) -> Private:
    """What came of denying a request and pausing its agent: one may count without the other."""
    denied = about(came.verdict, "deny", team)
    if not (sentence := verdicts.pause_came_to(came.frozen)):
        return denied
    return Private(f"{denied.spoken} {sentence}", (*denied.elements, text(f"\n{sentence}")))


def reported(came: Done | Refused) -> Private:
    """What came of a report."""
    if isinstance(came, Refused):
        return plain(came.sentence, "Nothing was counted.")
    return plain(verdicts.REPORTED)


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
    since = verdicts.SINCE.get(request.status, "")
    return _private("Too late:", *by, text(f" {word} this "), at, text(f"{since}, so your click changes nothing."))


def _private(spoken: str, *elements: Json) -> Private:
    return Private(f"{spoken} nothing was counted.", elements)


def _people(votes: Sequence[Vote], team: str) -> list[Json]:
    return listed([person(Who(person=vote.person, accounts=(vote.account,)), team) for vote in votes])
