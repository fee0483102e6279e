"""More requests than the rate allows messages: they share some, each decided on its own; crash-safe as one card is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from approvals.card import card_of
from approvals.errors import ChatRefused, StoreUnavailable
from approvals.ports import Post
from approvals.request import Request
from approvals.rows import row_of
from bot.courier import LEASE_MS, Courier
from storage.memory import MemoryStore
from tests.bot.chat import Chat, SharedMessage, limited, silent
from tests.bot.conftest import Clock
from tests.bot.test_courier import asked, changed, journal, post_of, step, until_quiet
from tests.build import CHANNEL, a_change, a_request

ROWS = 5


@pytest.fixture
def chat(clock: Clock) -> Chat:
    """Slack's rate: one message a second, two at once."""
    return Chat(clock, per_minute=60, burst=2, most_rows=ROWS)


async def many(store: MemoryStore, count: int) -> list[Request]:
    """Requests that came in the same instant, in the order in which they then wait."""
    return sorted([await asked(store) for _ in range(count)], key=lambda request: request.id)


def shown(chat: Chat) -> set[str]:
    """The requests that are on screen, alone or as a row."""
    rows = {row.request for message in chat.shared.values() for row in message.rows if row is not None}
    return {message.request for message in chat.messages.values()} | rows


def shared(chat: Chat) -> Sequence[SharedMessage]:
    """The shared messages, oldest first."""
    return list(chat.shared.values())


async def in_one_message(store: MemoryStore, courier: Courier, chat: Chat, clock: Clock) -> list[Request]:
    """Requests of which the last three share a message; both turns at once are used up before."""
    await many(store, 2)
    await until_quiet(courier)
    requests = await many(store, 3)
    clock.advance(1)
    await until_quiet(courier)
    assert [len(message.rows) for message in shared(chat)] == [3]
    return requests


async def test_what_the_rate_allows_gets_cards_of_its_own(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    requests = await many(store, 2)
    await until_quiet(courier)
    assert (len(chat.messages), len(chat.shared)) == (2, 0)
    assert shown(chat) == {request.id for request in requests}


async def test_a_backlog_shares_messages_in_the_order_in_which_it_came(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    requests = await many(store, 23)
    seconds = 0
    while len(shown(chat)) < len(requests):
        await until_quiet(courier)
        clock.advance(1)
        seconds += 1
    assert seconds <= 5
    assert max(len(message.rows) for message in shared(chat)) == ROWS
    in_order = [row.request for message in shared(chat) for row in message.rows if row is not None]
    alone = [message.request for message in chat.messages.values()]
    assert sorted([*in_order, *alone]) == sorted(request.id for request in requests)


async def test_once_the_backlog_is_gone_requests_get_cards_of_their_own_again(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await in_one_message(store, courier, chat, clock)
    clock.advance(1)
    before = len(chat.messages)
    last = await asked(store)
    await until_quiet(courier)
    assert len(chat.messages) == before + 1
    assert last.id in {message.request for message in chat.messages.values()}


async def test_each_row_is_recorded_for_its_own_request_with_what_was_shown(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    requests = await in_one_message(store, courier, chat, clock)
    (message,) = shared(chat)
    for request, row in zip(requests, message.rows, strict=True):
        assert row == row_of(card_of(request))
        post = await post_of(store, request)
        assert (post.state, post.reference, post.shared) == ("posted", {"ts": "3"}, message.name)
        assert post.shown == row.digest()
        assert await store.rendering(row.digest()) is not None


async def test_the_changes_of_several_rows_become_one_edit_and_no_row_moves(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    requests = await in_one_message(store, courier, chat, clock)
    denied = await changed(store, requests[0], "deny")
    approved = await changed(store, requests[2])
    await until_quiet(courier)
    assert chat.calls.count("update_shared") == 1
    (message,) = shared(chat)
    assert message.rows == [row_of(card_of(request)) for request in (denied, requests[1], approved)]
    assert {(await post_of(store, request)).shared for request in requests} == {message.name}


async def test_a_row_of_a_forgotten_request_keeps_its_place(clock: Clock) -> None:
    store = MemoryStore(clock, retention=1_000)
    await store.adopt(a_change(a_request()).epoch, "version: 1", {"event": "policy"})
    chat = Chat(clock, per_minute=60, burst=2, most_rows=ROWS)
    courier = Courier(store, {"slack": chat})
    requests = await in_one_message(store, courier, chat, clock)
    await changed(store, requests[0], "deny")
    await until_quiet(courier)
    clock.advance(2)
    denied = await changed(store, requests[1], "deny")
    await until_quiet(courier)
    (message,) = shared(chat)
    assert message.rows == [None, row_of(card_of(denied)), row_of(card_of(requests[2]))]


# ------------------------------------------------------------ perhaps it was done


async def test_a_shared_post_without_an_answer_is_looked_for_and_adopted(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await many(store, 2)
    await until_quiet(courier)
    requests = await many(store, 3)
    chat.meets("post_shared", silent(), after=True)
    for _ in range(5):
        clock.advance(1)
        await until_quiet(courier)
    assert (chat.calls.count("post_shared"), chat.calls.count("find_posted")) == (1, 1)
    (message,) = shared(chat)
    for request in requests:
        post = await post_of(store, request)
        assert (post.state, post.shared, post.shown) == ("posted", message.name, row_of(card_of(request)).digest())


async def test_a_shared_post_that_is_nowhere_is_made_again(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await many(store, 2)
    await until_quiet(courier)
    requests = await many(store, 3)
    chat.meets("post_shared", silent())
    for _ in range(5):
        clock.advance(1)
        await until_quiet(courier)
    assert chat.calls.count("post_shared") == 2
    (message,) = shared(chat)
    assert [row.request for row in message.rows if row is not None] == [request.id for request in requests]


async def test_a_shared_post_that_surely_failed_leaves_no_trace_and_is_waited_out(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await many(store, 2)
    await until_quiet(courier)
    requests = await many(store, 3)
    chat.meets("post_shared", limited(30))
    clock.advance(1)
    await until_quiet(courier)
    clock.advance(29)
    await until_quiet(courier)
    assert shared(chat) == []
    clock.advance(2)
    await until_quiet(courier)
    assert {request.id for request in requests} <= shown(chat)
    assert "find_posted" not in chat.calls
    assert await journal(store, "undeliverable") == []


class Forgetful(MemoryStore):
    """A memory that is away when the n-th row of a shared message is to be recorded, or intended."""

    recorded = 0
    intended = 0
    away_at: tuple[str, int] = ("", 0)

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        if post.shared and post.state == "posted":
            self.recorded += 1
            self._fail_at("record", self.recorded)
        return await super().record_post(request, post, unless_posted=unless_posted)

    async def intend(self, request: str, destination: str, token: str, *, shared: bool = False) -> Post | None:
        if shared:
            self.intended += 1
            self._fail_at("intend", self.intended)
        return await super().intend(request, destination, token, shared=shared)

    def _fail_at(self, what: str, count: int) -> None:
        if (what, count) == self.away_at:
            raise StoreUnavailable("gone")


@pytest.mark.parametrize("away_at", [("intend", 1), ("intend", 2), ("intend", 3), ("record", 1), ("record", 3)])
async def test_after_a_crash_in_the_middle_every_row_is_on_screen_once(
    clock: Clock, chat: Chat, away_at: tuple[str, int]
) -> None:
    store = Forgetful(clock)
    await store.adopt(a_change(a_request()).epoch, "version: 1", {"event": "policy"})
    first = Courier(store, {"slack": chat})
    await many(store, 2)
    await until_quiet(first)
    requests = await many(store, 3)
    store.away_at = away_at
    clock.advance(1)
    with pytest.raises(StoreUnavailable):
        await until_quiet(first)
    second = Courier(store, {"slack": chat})
    for _ in range(6):
        clock.advance(LEASE_MS / 1000)
        await until_quiet(second)
    on_screen = [row.request for message in shared(chat) for row in message.rows if row is not None]
    on_screen += [message.request for message in chat.messages.values()]
    assert sorted(one for one in on_screen if one in {request.id for request in requests}) == sorted(
        request.id for request in requests
    )
    for request in requests:
        assert (await post_of(store, request)).state == "posted"
    denied = [await changed(store, request, "deny") for request in requests]
    clock.advance(5)
    await until_quiet(second)
    rows = {row.request: row.status for message in shared(chat) for row in message.rows if row is not None}
    cards = {message.request: message.card.status for message in chat.messages.values()}
    assert {(rows | cards)[request.id] for request in denied} == {denied[0].status}


async def test_two_couriers_put_each_request_on_screen_once(store: MemoryStore, chat: Chat, clock: Clock) -> None:
    one, two = Courier(store, {"slack": chat}), Courier(store, {"slack": chat})
    requests = await many(store, 17)
    for _ in range(8):
        for courier in (one, two, two, one):
            await step(courier)
        clock.advance(1)
    on_screen = [row.request for message in shared(chat) for row in message.rows if row is not None]
    on_screen += [message.request for message in chat.messages.values()]
    assert sorted(on_screen) == sorted(request.id for request in requests)


# ------------------------------------------------------------ no


async def test_a_shared_message_that_is_refused_becomes_cards_of_their_own(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await many(store, 2)
    await until_quiet(courier)
    requests = await many(store, 3)
    chat.meets("post_shared", ChatRefused("invalid_blocks"))
    for _ in range(5):
        clock.advance(1)
        await until_quiet(courier)
    assert shared(chat) == []
    assert shown(chat) >= {request.id for request in requests}
    assert await journal(store, "undeliverable") == []


async def test_where_a_place_takes_no_messages_all_that_wait_are_flagged_with_one_try(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.closed = {CHANNEL}
    requests = await many(store, 12)
    await until_quiet(courier)
    assert len(chat.calls) == 1
    assert len(await journal(store, "undeliverable")) == len(requests)
    chat.closed = set()
    for _ in range(6):
        clock.advance(60)
        await until_quiet(courier)
    assert shown(chat) == {request.id for request in requests}


async def test_when_a_shared_message_is_deleted_what_waits_in_it_is_shown_again(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    requests = await in_one_message(store, courier, chat, clock)
    chat.shared.clear()
    await changed(store, requests[0], "deny")
    await until_quiet(courier)
    clock.advance(61)
    await until_quiet(courier)
    assert shown(chat) >= {requests[1].id, requests[2].id}
