"""The life of a request, as a table. What is not in TRANSITIONS cannot happen."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from approvals.errors import IllegalTransition


class Status(StrEnum):
    """Where a request stands; the sentence beside each is what people are told."""

    PENDING = "pending"  #: people may still answer
    APPROVED = "approved"  #: enough people said yes; usable within its own window
    DENIED = "denied"  #: a person, or policy, said no
    EXPIRED = "expired"  #: nobody answered in time; this counts as no
    WITHDRAWN = "withdrawn"  #: the agent no longer asks
    REVOKED = "revoked"  #: a person took the yes back before it was used
    LAPSED = "lapsed"  #: approved, but not used within its window
    SPENT = "spent"  #: the tool is acting, or has acted, on the receipt
    SUCCEEDED = "succeeded"  #: the tool reported: done
    FAILED = "failed"  #: the tool reported: cleanly not done
    UNKNOWN = "unknown"  #: nothing was reported in time, or the tool broke off in the middle


class Event(StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"  #: the factors of its terms are met
    DENY = "deny"  #: enough people, or policy, said no
    EXPIRE = "expire"  #: the deadline passed
    WITHDRAW = "withdraw"  #: the agent took the question back
    REVOKE = "revoke"  #: an operator took the yes back
    LAPSE = "lapse"  #: the window for using the yes passed
    SPEND = "spend"  #: the receipt was used
    SUCCEED = "succeed"  #: the tool said: done
    FAIL = "fail"  #: the tool said: not done
    LOSE = "lose"  #: how it ended cannot be known


TRANSITIONS: Final[dict[tuple[Status, Event], Status]] = {
    (Status.PENDING, Event.APPROVE): Status.APPROVED,
    (Status.PENDING, Event.DENY): Status.DENIED,
    (Status.PENDING, Event.EXPIRE): Status.EXPIRED,
    (Status.PENDING, Event.WITHDRAW): Status.WITHDRAWN,
    (Status.APPROVED, Event.SPEND): Status.SPENT,
    (Status.APPROVED, Event.LAPSE): Status.LAPSED,
    (Status.APPROVED, Event.REVOKE): Status.REVOKED,
    (Status.SPENT, Event.SUCCEED): Status.SUCCEEDED,
    (Status.SPENT, Event.FAIL): Status.FAILED,
    (Status.SPENT, Event.LOSE): Status.UNKNOWN,
    (Status.UNKNOWN, Event.SUCCEED): Status.SUCCEEDED,
    (Status.UNKNOWN, Event.FAIL): Status.FAILED,
}

#: Nothing more can happen to these.
ENDED: Final = frozenset(Status) - {status for status, _ in TRANSITIONS}

#: Nothing more will happen to these by itself, so that they need not be kept forever; a person may still settle one.
OVER: Final = ENDED | {Status.UNKNOWN}


def step(status: Status, event: Event) -> Status:
    """The status that follows; raises IllegalTransition when the table has no such step."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(f"a request that is {status} cannot {event}") from None
