"""Every card that the bot sends to Teams, over made-up requests: long, wide, deep and hostile ones."""

from __future__ import annotations

from collections.abc import Iterator

from approvals.card import Card
from approvals.commands.record import record_of
from approvals.lifecycle import Status
from approvals.request import Request
from approvals.review import Look, review_of
from approvals.reviewing import Opened
from approvals.rows import row_of
from handlers.teams.burst import draw_rows
from handlers.teams.cards import draw, draw_pointer
from handlers.teams.elements import Json, link
from handlers.teams.mentions import Call, Callee, call
from handlers.teams.notes import draw_note
from handlers.teams.replies import draw_answer
from handlers.teams.review import draw_page
from tests.approvals.make import a_policy, some_terms
from tests.fakes.entra import TENANT
from tests.handlers.slack.cards import MARK, a_card, a_decided_card, hostile_cards
from tests.handlers.slack.emitted import LOOK, VALUE, hostile_notes, hostile_requests, samples


def cards(count: int) -> Iterator[Json]:
    """Cards, shared messages, notes, reviews and answers to commands; `count` made-up requests of each kind."""
    yield draw(a_card(), value=VALUE).card
    for status in sorted(set(Status) - {Status.PENDING}):
        yield draw(a_decided_card(status), value=VALUE).card
    hostile = samples(hostile_cards, count)
    yield draw_pointer(a_card(), link("open it", "19:x@thread.v2", "1", TENANT)).card
    for card in hostile:
        yield draw_pointer(card, link("open it", "19:x@thread.tacv2", "1", TENANT)).card
        yield draw(card, value=VALUE, notice=f"{MARK} said", denials=("Too much", "Not now")).card
        yield draw(card, value=VALUE, call=_called(card)).card
    for some in zip(hostile[::2], hostile[1::2], strict=False):
        apart = [one.model_copy(update={"request": f"0-{number:024}"}) for number, one in enumerate(some)]
        yield draw_rows([*map(row_of, apart), None], [VALUE] * 3, _CALL).card
    for note in samples(hostile_notes, count // 4):
        yield draw_note(note, _CALL).card
    for request in samples(hostile_requests, count // 4):
        yield draw_answer(record_of(request, a_policy(), (), ()), tenant=TENANT).card
        yield from _reviews(request)


def _called(card: Card) -> Call:
    """Everybody whom a card asks, mentioned by what somebody else calls them."""
    people = [who for seat in card.needs for who in seat.people]
    return call([(Callee(f"u{number}", who.person), who.person) for number, who in enumerate(people)], more=3)


_CALL = call([(Callee("u", "alice"), f"{MARK} <at>Bob</at> [x](https://evil.example)"), (Callee("v", "bob"), MARK)])


def _reviews(request: Request) -> Iterator[Json]:
    whole = review_of(request)
    pages = len(whole.pages)
    look = Look(id=LOOK, account="a", shown=whole.shown(), pages=pages, at=0, places=(), reference={})
    care = some_terms(min_look=10_000, confirm_code=True, reasons=("approve",))
    yield draw_page(Opened(look, whole, some_terms()), VALUE)
    read = look.model_copy(update={"opened": tuple(range(pages))})
    yield draw_page(Opened(read, whole, care, pages - 1), VALUE, "That is not the code.")
