"""What is said beside a card: to whom, once, and nothing once there is nothing left to do."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.lifecycle import Status
from approvals.notes import Note, notes_of
from approvals.request import Request
from approvals.terms import Escalation, Factor
from tests.approvals.make import MINUTE, a_factor, a_request, a_vote, account, some_terms
from tests.approvals.test_request import in_status

SECURITY = Factor(name="security", sources=("slack:usergroup:S0SEC",))
BOTH = some_terms(factors=(a_factor("ops"), SECURITY))
STEP = Escalation(
    after=MINUTE, sources=("person:carol", "slack:usergroup:S0LEADS"), joins=("person:alice", "person:bob")
)


def accounts(person: str) -> tuple[str, ...]:
    """Everybody's account; carol has none."""
    return () if person == "carol" else (account(person).id,)


def said(request: Request) -> dict[str, Note]:
    """The notes by their keys."""
    return {note.key: note for note in notes_of(request, accounts)}


def asked(note: Note) -> list[str]:
    """The people a note is for."""
    return [who.person for who in note.asked]


def groups(note: Note) -> list[str]:
    """The groups it is for."""
    return [group.source for group in note.groups]


def test_where_nothing_is_due_nothing_is_said() -> None:
    assert notes_of(a_request(), accounts) == ()


def test_a_reminder_is_for_everybody_of_the_demands_that_are_open() -> None:
    note = said(a_request(terms=BOTH, reminded=1))["reminder-1"]
    assert (note.what, note.factors) == ("reminder", ("ops", "security"))
    assert asked(note) == ["alice", "bob"]
    assert [who.accounts for who in note.asked] == [(account("alice").id,), (account("bob").id,)]
    assert groups(note) == ["slack:usergroup:S0SEC"]
    assert (note.code, note.expires_at) == (a_request().code, a_request().expires_at)


def test_a_demand_that_is_met_reminds_nobody() -> None:
    note = said(a_request(terms=BOTH, reminded=2).voted(a_vote(), jti="j"))["reminder-2"]
    assert (note.factors, asked(note), groups(note)) == (("security",), [], ["slack:usergroup:S0SEC"])


def test_who_has_answered_is_not_reminded_however_they_answered() -> None:
    terms = some_terms(factors=(a_factor("ops", "alice", "bob", "carol", need=2),), deny_quorum=2)
    request = a_request(terms=terms, reminded=1).voted(a_vote("alice"), jti="j").voted(a_vote("bob", "deny"), jti="j")
    assert asked(said(request)["reminder-1"]) == ["carol"]


def test_of_several_reminders_only_the_last_is_said() -> None:
    assert said(a_request(reminded=3)).keys() == {"reminder-3"}


def test_an_escalation_is_for_those_who_may_answer_then() -> None:
    terms = some_terms(escalation=(STEP,))
    note = said(a_request(terms=terms, escalated=1))["escalation-1"]
    assert asked(note) == ["alice", "bob", "carol"]
    assert groups(note) == ["slack:usergroup:S0LEADS"]
    assert [who.accounts for who in note.asked][-1] == ()


def test_a_person_in_two_demands_is_asked_once() -> None:
    terms = some_terms(factors=(a_factor("ops", "alice", "bob"), a_factor("finance", "bob", "carol")))
    assert asked(said(a_request(terms=terms, reminded=1))["reminder-1"]) == ["alice", "bob", "carol"]


@pytest.mark.parametrize("status", [Status.LAPSED, Status.UNKNOWN])
def test_the_principal_is_told_of_what_was_not_used_or_is_not_known(status: Status) -> None:
    request = in_status(status).model_copy(update={"principal_accounts": (account("dana").id,)})
    (note,) = notes_of(request, accounts)
    assert (note.key, note.what, note.expires_at) == (status.value, status.value, None)
    assert [(who.person, who.accounts) for who in note.asked] == [("dana", (account("dana").id,))]


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.PENDING, Status.LAPSED, Status.UNKNOWN)])
def test_after_a_decision_nobody_is_reminded(status: Status) -> None:
    request = in_status(status).model_copy(update={"reminded": 2, "escalated": 1})
    assert notes_of(request, accounts) == ()


def test_after_a_first_yes_the_rest_is_called_once_because_edits_call_nobody() -> None:
    request = a_request(terms=BOTH)
    assert "waiting" not in said(request)
    note = said(request.voted(a_vote(), jti="j"))["waiting"]
    assert (note.factors, asked(note), groups(note)) == (("security",), [], ["slack:usergroup:S0SEC"])


def test_who_is_never_to_be_called_and_who_may_not_answer_are_not() -> None:
    quiet = a_factor("ops", "alice", "bob").model_copy(update={"notify": "none"})
    loud = a_factor("more", "carol", "dana")
    note = said(a_request(terms=some_terms(factors=(quiet, loud)), reminded=1))["reminder-1"]
    assert asked(note) == ["carol"]  # dana is whom the agent acts for


def test_what_a_person_wants_changed_is_told_to_whom_the_agent_acts_for() -> None:
    request = a_request().voted(a_vote("alice", "changes", reason="half of it"), jti="j")
    note = said(request)["changes"]
    assert asked(note) == ["dana"]
    assert "half of it" not in note.model_dump_json()


LATER = "slack:C0LEADS"


def under_the_new_card(**changes: Any) -> dict[str, tuple[str, list[str], list[str]]]:
    """The notes where a step after ten minutes brought the card: what they say, and whom they call."""
    step = Escalation(after=10 * MINUTE, sources=("person:carol",), destinations=(LATER,), joins=STEP.joins)
    last = Escalation(after=30 * MINUTE, destinations=("slack:C0CHIEFS",))
    terms = some_terms(factors=BOTH.factors, escalation=(step, last), reminders=(5 * MINUTE, 20 * MINUTE))
    request = a_request(terms=terms, **changes)
    found = notes_of(request, accounts, LATER)
    assert {note.key for note in found} <= {note.key for note in notes_of(request, accounts)}
    return {note.key: (note.what, asked(note), groups(note)) for note in found}


def test_where_an_escalation_brings_the_card_it_calls_and_its_notes_of_before_do_not() -> None:
    assert under_the_new_card(escalated=1, reminded=1) == {"escalation-1": ("escalation", [], [])}
    called = (["alice", "bob", "carol"], ["slack:usergroup:S0SEC"])
    assert under_the_new_card(escalated=1, reminded=2)["reminder-2"] == ("reminder", *called)
    assert under_the_new_card(escalated=2, reminded=1) == {"escalation-2": ("escalation", *called)}


@pytest.mark.parametrize(("minutes", "said"), [(9, False), (11, True)])
def test_where_an_escalation_brings_the_card_only_a_yes_that_came_after_it_calls_the_others(
    minutes: int, said: bool
) -> None:
    vote = a_vote("alice").model_copy(update={"at": a_request().asked_at + minutes * MINUTE})
    assert ("waiting" in under_the_new_card(escalated=1, votes=(vote,))) is said
