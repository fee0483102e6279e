"""What a destination refuses goes where policy says instead, and operators hear of it; so they do of lost outcomes."""

from __future__ import annotations

import pytest

from approvals.errors import ChatRefused
from approvals.request import Request
from bot.courier import Courier
from storage.memory import MemoryStore
from tests.bot.chat import Chat, limited, silent
from tests.bot.conftest import Clock
from tests.bot.test_courier import asked, changed, journal, post_of, until_quiet
from tests.build import CHANNEL, a_change, a_request, some_terms

SPARE, LAST, OPS = "slack:C0SPARE", "slack:C0LAST", "slack:C0OPS"


@pytest.fixture
def courier(store: MemoryStore, chat: Chat) -> Courier:
    return Courier(store, {"slack": chat}, operators=OPS)


async def with_fallback(store: MemoryStore) -> Request:
    """A request that may be shown elsewhere."""
    request = a_request(terms=some_terms(fallback=(SPARE, LAST)), now=await store.now())
    stored, _ = await store.create(request.id, lambda *_: a_change(request, show=True))
    return stored.request


def told(chat: Chat) -> list[tuple[str, str, str]]:
    """What operators were told, of which place, and why."""
    return [(note.what, note.place, note.problem) for where, note in chat.announced if where == OPS]


async def test_what_a_place_refuses_is_shown_at_the_next_one(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    chat.closed = {CHANNEL}
    request = await with_fallback(store)
    await until_quiet(courier)
    assert [(len(chat.at(place))) for place in (CHANNEL, SPARE, LAST)] == [0, 1, 0]
    assert (await post_of(store, request)).problem == "not_in_channel"
    assert (await post_of(store, request, SPARE)).state == "posted"


async def test_and_at_the_one_after_that(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    chat.closed = {CHANNEL, SPARE}
    await with_fallback(store)
    await until_quiet(courier)
    assert [(len(chat.at(place))) for place in (CHANNEL, SPARE, LAST)] == [0, 0, 1]


async def test_where_all_is_well_nothing_is_shown_elsewhere(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    await with_fallback(store)
    await until_quiet(courier)
    assert [(len(chat.at(place))) for place in (CHANNEL, SPARE, LAST)] == [1, 0, 0]


async def test_a_card_at_the_next_place_is_kept_current_when_the_first_is_back(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.closed = {CHANNEL}
    request = await with_fallback(store)
    await until_quiet(courier)
    chat.closed = set()
    clock.advance(61)
    await until_quiet(courier)
    denied = await changed(store, request, "deny")
    await until_quiet(courier)
    assert [chat.at(place)[0].card.status for place in (CHANNEL, SPARE)] == [denied.status] * 2


async def test_operators_hear_of_a_place_once_however_many_wait_there(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.closed = {CHANNEL}
    for _ in range(3):
        await asked(store)
        await until_quiet(courier)
        clock.advance(61)
    assert told(chat) == [("undeliverable", CHANNEL, "not_in_channel")]
    assert len(await journal(store, "undeliverable")) == 3
    clock.advance(3_600)
    await asked(store)
    await until_quiet(courier)
    assert len(told(chat)) == 2


async def test_operators_are_told_how_to_mend_it(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    chat.closed = {CHANNEL}
    request = await asked(store)
    await until_quiet(courier)
    ((_, note),) = chat.announced
    assert (note.code, note.remedy) == (request.code, "invite the bot")


@pytest.mark.parametrize("trouble", [limited(5), silent(maybe_done=False)])
async def test_operators_are_told_later_where_that_surely_failed(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock, trouble: Exception
) -> None:
    chat.closed = {CHANNEL}
    await asked(store)
    chat.meets("announce", trouble)
    await until_quiet(courier)
    assert told(chat) == []
    clock.advance(10)
    await until_quiet(courier)
    assert len(told(chat)) == 1


async def test_a_channel_of_operators_that_refuses_stops_nobody_else(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    chat.closed = {CHANNEL}
    chat.meets("announce", ChatRefused("is_archived"))
    await with_fallback(store)
    await until_quiet(courier)
    assert len(chat.at(SPARE)) == 1
    assert told(chat) == []


async def unknown(store: MemoryStore, request: Request) -> Request:
    """The request after its tool said nothing."""
    approved = await changed(store, request)
    spent = await store.update(
        approved.id, lambda now: None if now.request.spend else a_change(now.request.spent("attempt", "bot", now.now))
    )
    at = spent.request.next_due()
    assert at is not None
    after = spent.request.after_time(at)
    lost = await store.update(request.id, lambda now: None if now.request == after else a_change(after, show=True))
    return lost.request


async def test_operators_hear_of_an_outcome_that_nobody_knows_once(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await unknown(store, request)
    for _ in range(3):
        await until_quiet(courier)
        clock.advance(60)
    assert told(chat) == [("unknown", "", "")]
    assert chat.announced[0][1].code == request.code


async def test_without_a_channel_of_operators_nothing_is_announced(store: MemoryStore, chat: Chat) -> None:
    courier = Courier(store, {"slack": chat})
    chat.closed = {CHANNEL}
    await unknown(store, await asked(store))
    await until_quiet(courier)
    assert chat.announced == []
