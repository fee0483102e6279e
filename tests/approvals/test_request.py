"""A request and what can happen to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from approvals.errors import IllegalTransition
from approvals.lifecycle import ENDED, Event, Status
from approvals.request import Request
from approvals.terms import Terms
from tests.approvals.make import (
    MINUTE,
    NOW,
    a_factor,
    a_request,
    a_vote,
    an_action,
    an_approved_request,
    an_intervention,
    some_terms,
)

TWO = some_terms(factors=(a_factor("ops", need=2),))
LATER = NOW + 5 * MINUTE


def pending() -> Request:
    """A request nobody has answered."""
    return a_request()


def in_status(status: Status) -> Request:
    """A request that has come to a status by the shortest way."""
    ways: dict[Status, Callable[[], Request]] = {
        Status.PENDING: pending,
        Status.APPROVED: an_approved_request,
        Status.DENIED: lambda: pending().voted(a_vote(answer="deny"), jti="j"),
        Status.EXPIRED: lambda: pending().expired(LATER),
        Status.WITHDRAWN: lambda: pending().withdrawn(LATER),
        Status.LAPSED: lambda: an_approved_request().lapsed(LATER),
        Status.SPENT: lambda: an_approved_request().spent("attempt", "bank-tool", LATER),
        Status.SUCCEEDED: lambda: in_status(Status.SPENT).reported(Event.SUCCEED, LATER),
        Status.FAILED: lambda: in_status(Status.SPENT).reported(Event.FAIL, LATER),
        Status.UNKNOWN: lambda: in_status(Status.SPENT).reported(Event.LOSE, LATER),
        Status.REVOKED: lambda: an_approved_request().revoked(an_intervention("revoked")),
    }
    return ways[status]()


CHANGES: dict[str, tuple[Event, Callable[[Request], Request]]] = {
    "approve": (Event.APPROVE, lambda request: request.voted(a_vote(), jti="j")),
    "deny": (Event.DENY, lambda request: request.voted(a_vote(answer="deny"), jti="j")),
    "expire": (Event.EXPIRE, lambda request: request.expired(LATER)),
    "withdraw": (Event.WITHDRAW, lambda request: request.withdrawn(LATER)),
    "revoke": (Event.REVOKE, lambda request: request.revoked(an_intervention("revoked"))),
    "spend": (Event.SPEND, lambda request: request.spent("attempt", "bank-tool", LATER)),
    "lapse": (Event.LAPSE, lambda request: request.lapsed(LATER)),
    "succeed": (Event.SUCCEED, lambda request: request.reported(Event.SUCCEED, LATER)),
    "fail": (Event.FAIL, lambda request: request.reported(Event.FAIL, LATER)),
    "lose": (Event.LOSE, lambda request: request.reported(Event.LOSE, LATER)),
}
LEGAL = {
    Status.PENDING: {"approve", "deny", "expire", "withdraw"},
    Status.APPROVED: {"spend", "lapse", "revoke"},
    Status.SPENT: {"succeed", "fail", "lose"},
    Status.UNKNOWN: {"succeed", "fail"},
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_meets_every_status(status: Status, name: str) -> None:
    _, change = CHANGES[name]
    request = in_status(status)
    before = request.model_dump_json()
    if name in LEGAL.get(status, set()):
        assert change(request).status is not status
    else:
        with pytest.raises(IllegalTransition):
            change(request)
    assert request.model_dump_json() == before


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_not_even_a_vote_that_settles_nothing_is_added_to_what_is_decided(status: Status) -> None:
    with pytest.raises(IllegalTransition):
        in_status(status).voted(a_vote("bob", factors=()), jti="j")


def test_a_standing_vote_is_found_by_its_person() -> None:
    request = a_request(terms=TWO).voted(a_vote(), jti="j")
    assert (request.vote_of("alice"), request.vote_of("bob")) == (a_vote(), None)


@pytest.mark.parametrize("status", Status)
def test_a_request_of_any_status_survives_being_stored(status: Status) -> None:
    request = in_status(status)
    assert Request.model_validate_json(request.model_dump_json()) == request.model_copy(update={"decision_entry": None})


def test_a_yes_that_suffices_decides() -> None:
    after = pending().voted(a_vote(), jti="j")
    assert after.status is Status.APPROVED
    assert after.decision is not None
    assert after.decision.by == (a_vote(),)
    assert (after.decision.jti, after.decision.at) == ("j", a_vote().at)
    assert after.decision.use_by == a_vote().at + after.terms.use_within


def test_a_yes_that_does_not_suffice_waits_for_others() -> None:
    after = a_request(terms=TWO).voted(a_vote(), jti="j")
    assert (after.status, after.decision, after.got()) == (Status.PENDING, None, {"ops": 1})
    assert after.voted(a_vote("bob"), jti="j").status is Status.APPROVED


def test_the_same_person_twice_is_one_person() -> None:
    after = a_request(terms=TWO).voted(a_vote(), jti="j").voted(a_vote(at=LATER), jti="j")
    assert (after.status, after.votes) == (Status.PENDING, (a_vote(at=LATER),))


def test_a_person_with_two_accounts_is_one_person() -> None:
    other = a_vote(account="slack:T0SAYSO:U0ALICE2")
    assert a_request(terms=TWO).voted(a_vote(), jti="j").voted(other, jti="j").status is Status.PENDING


def test_a_no_wins_over_any_number_of_yeses() -> None:
    terms = some_terms(factors=(a_factor("ops", "alice", "bob", "carol", need=3),))
    request = a_request(terms=terms).voted(a_vote(), jti="j").voted(a_vote("bob"), jti="j")
    after = request.voted(a_vote("carol", "deny", reason="not this week"), jti="j")
    assert after.status is Status.DENIED
    assert after.decision is not None
    assert [vote.person for vote in after.decision.by] == ["carol"]
    assert (after.decision.jti, after.decision.use_by, after.decision.reason) == (None, None, "not this week")


def test_a_person_may_turn_their_yes_into_a_no() -> None:
    after = a_request(terms=TWO).voted(a_vote(), jti="j").voted(a_vote(answer="deny"), jti="j")
    assert after.status is Status.DENIED
    assert after.votes == (a_vote(answer="deny"),)


def test_a_vote_for_no_factor_is_no_yes() -> None:
    after = pending().voted(a_vote(factors=()), jti="j")
    assert after.status is Status.PENDING
    assert after.voted(a_vote(factors=("other",)), jti="j").status is Status.PENDING


def test_without_factors_no_vote_approves() -> None:
    assert a_request(terms=some_terms(factors=())).voted(a_vote(), jti="j").status is Status.PENDING


@pytest.mark.parametrize(
    ("verdict", "status"), [("allow", Status.APPROVED), ("deny", Status.DENIED), ("require", Status.DENIED)]
)
def test_a_rule_decides_by_its_verdict_and_never_allows_what_needs_people(verdict: str, status: Status) -> None:
    after = a_request(terms=some_terms(verdict=verdict, rules=("a", "b"))).decided_by_rule(NOW, jti="j")
    assert after.status is status
    assert after.decision is not None
    assert (after.decision.rule, after.decision.by) == ("a+b", ())
    assert (after.decision.jti is not None) == (status is Status.APPROVED)


def test_time_counts_as_no_and_never_as_a_person() -> None:
    decision = pending().expired(LATER).decision
    assert decision is not None
    assert (decision.status, decision.by, decision.rule, decision.jti) == (Status.EXPIRED, (), None, None)


def test_tightening_drops_the_votes_of_those_who_may_no_longer_answer() -> None:
    request = a_request(terms=TWO).voted(a_vote(), jti="j")
    assert request.tightened(TWO, without=frozenset({"alice"})).votes == ()
    assert request.tightened(TWO, without=frozenset({"bob"})).votes == request.votes


def test_tightening_counts_a_vote_for_what_its_person_counts_for_now() -> None:
    terms: Terms = some_terms(factors=(a_factor("ops"), a_factor("security", "alice", "carol")))
    request = a_request(terms=TWO).voted(a_vote(), jti="j")
    after = request.tightened(terms, counting={"alice": a_vote(factors=("ops", "security"))})
    assert [vote.factors for vote in after.votes] == [("ops", "security")]
    assert after.voted(a_vote("bob"), jti="j").status is Status.APPROVED


def test_time_is_due_once_in_each_status_that_waits() -> None:
    assert pending().next_due() == NOW + 30 * MINUTE
    assert an_approved_request().next_due() == NOW + MINUTE + 15 * MINUTE
    assert in_status(Status.SPENT).next_due() == LATER + 15 * MINUTE
    assert {in_status(status).next_due() for status in (*ENDED, Status.UNKNOWN)} == {None}


@pytest.mark.parametrize(
    ("status", "after"),
    [
        (Status.PENDING, Status.EXPIRED),
        (Status.APPROVED, Status.LAPSED),
        (Status.SPENT, Status.UNKNOWN),
    ],
)
def test_time_ends_what_waits(status: Status, after: Status) -> None:
    ended = in_status(status).after_time(NOW + 60 * MINUTE)
    assert ended.status is after
    assert ended.decision is not None
    assert ended.decision.jti is None or status is not Status.PENDING


@pytest.mark.parametrize("status", sorted({*ENDED, Status.UNKNOWN}))
def test_time_does_nothing_to_what_waits_for_nothing(status: Status) -> None:
    with pytest.raises(IllegalTransition):
        in_status(status).after_time(LATER)


@pytest.mark.parametrize(("event", "status"), [(Event.SUCCEED, Status.SUCCEEDED), (Event.FAIL, Status.FAILED)])
def test_a_late_report_resolves_the_unknown(event: Event, status: Status) -> None:
    after = in_status(Status.UNKNOWN).reported(event, LATER + 1, "at last")
    assert after.status is status
    assert after.outcome is not None
    assert (after.outcome.status, after.outcome.note, after.outcome.at) == (status, "at last", LATER + 1)


def test_a_decision_never_changes_afterwards() -> None:
    approved = an_approved_request()
    for later in (
        approved.lapsed(LATER),
        approved.spent("a", "bank-tool", LATER),
        approved.spent("a", "bank-tool", LATER).reported(Event.FAIL, LATER),
    ):
        assert later.decision == approved.decision


def test_policy_is_asked_the_same_question_again() -> None:
    question = a_request(started_by="carol").question
    assert (question.agent, question.principal, question.started_by) == ("payments-bot", "dana", "carol")
    assert question.action == an_action()
    assert question.within is None
