"""What people are told directly: once a card stands, in our words, and only what concerns them."""

from __future__ import annotations

from approvals.card import UNNAMED
from approvals.letters import Letter, Stand, letters_of
from approvals.lifecycle import Status
from approvals.request import Request
from tests.approvals.make import a_factor, a_request, a_vote, account, an_approved_request, some_terms
from tests.approvals.test_request import in_status

STAND = Stand("slack:C0OPS", {"channel": "C0OPS", "ts": "1.2"})
DANA = (account("dana").id, "teams:t:d")
QUIET = a_factor("ops", "alice", "bob", "dana", "carol").model_copy(update={"notify": "dm"})


def accounts(person: str) -> tuple[str, ...]:
    """Everybody's account; carol has one in Teams alone."""
    return ("teams:t:c",) if person == "carol" else (account(person).id,)


def letters(request: Request, stand: Stand | None = STAND) -> tuple[Letter, ...]:
    return letters_of(request, stand, accounts)


def test_who_is_to_be_asked_quietly_gets_a_letter_that_leads_to_the_card() -> None:
    request = a_request(terms=some_terms(factors=(QUIET,)))
    assert [letter.destination for letter in letters(request)] == ["slack:U0ALICE", "slack:U0BOB"]
    note = letters(request)[0].note
    assert (note.title, note.place, note.reference) == ("Release a payment", STAND.destination, STAND.reference)
    assert [one.destination for one in letters(request.voted(a_vote("alice", "deny"), jti="j"))] == []


def test_without_a_card_there_is_nothing_to_lead_to() -> None:
    assert letters(a_request(terms=some_terms(factors=(QUIET,))), None) == ()


def test_who_is_mentioned_on_the_card_gets_no_letter() -> None:
    assert letters(a_request()) == ()


def test_whom_the_agent_acts_for_hears_of_the_decision_and_of_how_it_ended() -> None:
    approved = an_approved_request(principal_accounts=DANA)
    (letter,) = letters(approved)
    assert (letter.destination, letter.note.status) == ("slack:U0DANA", "approved")
    (other,) = letters(in_status(Status.SUCCEEDED).model_copy(update={"principal_accounts": DANA}))
    assert (other.note.key, other.note.status, other.note.title) == (
        "letter-succeeded",
        "succeeded",
        "Payment released",
    )
    assert letters(an_approved_request()) == ()


def test_what_a_rule_decided_is_no_news() -> None:
    request = a_request(principal_accounts=DANA).denied_by("freeze", "stopped", 1)
    assert letters(request) == ()


def test_a_title_that_names_the_kind_is_not_told() -> None:
    words = a_request().presentation.model_copy(update={"title": "Run payments.release"})
    (letter,) = letters(an_approved_request(principal_accounts=DANA, presentation=words))
    assert letter.note.title == UNNAMED
