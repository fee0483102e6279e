"""What every door has to say of a verdict alike."""

from __future__ import annotations

from approvals.lifecycle import Status
from approvals.request import Request
from approvals.verdicts import Counted, Done, Late, Refused

UNCERTAIN = (
    "That did not get through to me in time, so do not take it as counted. "
    "Look at the card in a moment; if it has not changed, click again. Clicking twice does no harm."
)
NOT_OURS = "This button does not belong to a card I posted here, so nothing was counted."
OUTDATED = "I do not know this button, perhaps because the card is from another version. Nothing was counted."

#: Refusals after which the form stays open: whoever reads them can mend what is missing, or try again.
MENDABLE = frozenset({"pages_unopened", "looked_too_briefly", "wrong_code", "reason_needed", "lookup_failed"})

#: What has become of a decided request since, for those who come too late.
SINCE = {
    Status.REVOKED: ", and it was taken back since",
    Status.LAPSED: ", and it was not used in time",
    Status.SPENT: ", and it is being done",
    Status.SUCCEEDED: ", and it is done",
    Status.FAILED: ", and it failed",
    Status.UNKNOWN: ", and how it ended is not known",
}

REPORTED = "Reported. The operators are told, and it stands in the record; the request itself still waits."


def pause_came_to(frozen: Done | Refused | None) -> str:
    """The words for what came of pausing an agent beside a no; one may count without the other."""
    match frozen:
        case Done():
            return "The agent is paused: what it asks is denied until somebody else unfreezes it."
        case Refused(_, why):
            return f"The agent is not paused. {why}"
        case None:
            return ""


def came_to(verdict: Counted | Late | Refused) -> str:
    """A verdict as it is counted."""
    match verdict:
        case Counted():
            return "counted"
        case Late():
            return "late"
        case Refused(reason):
            return reason


def counted(request: Request, safe: bool, answer: str) -> str:
    """The words for an answer that counts."""
    if not safe:
        return "Recorded, but not yet safe to use. I keep trying; the card tells how it goes on."
    if request.status is Status.PENDING:
        need = sum(factor.need for factor in request.terms.factors)
        got = sum(request.got().values())
        if answer != "approve":
            return f"Your no counts; {request.terms.deny_quorum} are needed to deny this."
        return f"Your approval counts: {got} of {need}. The others are still to answer."
    word = "Approved" if answer == "approve" else "Denied"
    return f"{word}. The agent has been told."
