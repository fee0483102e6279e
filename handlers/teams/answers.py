"""What a person is told about their click: every verdict has its words, and every click an answer.

An answer is the body of an invoke's response: https://learn.microsoft.com/adaptive-cards/authoring-cards/universal-action-model
"""

from __future__ import annotations

from approvals.lifecycle import Status
from approvals.request import Request
from approvals.service import Counted, Done, Late, Paused, Refused, Verdict
from handlers import verdicts
from handlers.teams.elements import CONTENT_TYPE, Json, plainly, utc

NOBODY = "Teams did not tell me who you are in Entra, so nothing was counted."
NOT_LOOKED_UP = "I could not look this up just now, so this may not be how it stands."
NO_REASON = "Nothing was counted: say why in a few words, and send it again."


def banner(words: str) -> Json:
    """Words shown for a moment to the person who clicked; the card stays as it is."""
    return {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": plainly(words)}


def replaced(card: Json) -> Json:
    """A card in place of the clicked one, for the person who clicked."""
    return {"statusCode": 200, "type": CONTENT_TYPE, "value": card}


def about(verdict: Verdict, answer: str) -> str:
    """The words for a verdict on somebody's approve or deny."""
    match verdict:
        case Counted(request, safe):
            return verdicts.counted(request, safe, answer)
        case Late(request):
            return late(request)
        case Refused(_, sentence):
            return sentence


def paused(came: Paused) -> str:
    """What came of denying a request and pausing its agent."""
    return f"{about(came.verdict, 'deny')} {verdicts.pause_came_to(came.frozen)}".strip()


def reported(came: Done | Refused) -> str:
    """What came of a report."""
    return came.sentence if isinstance(came, Refused) else verdicts.REPORTED


def late(request: Request) -> str:
    """Who decided, and when; there is nothing left to answer."""
    decision = request.decision
    if decision is None:
        return "There is nothing left to answer here."
    at = utc(decision.at)
    if decision.status is Status.EXPIRED:
        return f"This expired {at}: nobody answered in time, which counts as no."
    if decision.status is Status.WITHDRAWN:
        return f"The agent took this back {at}; nothing was counted."
    word = "denied" if decision.status is Status.DENIED else "approved"
    by = " and ".join(vote.person for vote in decision.by) or "A rule of the policy"
    return f"{by} {word} this {at}{verdicts.SINCE.get(request.status, '')}, so your click changes nothing."
