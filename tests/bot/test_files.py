"""The whole of what is too long for a card as a file under it: at most once, last of all, and nothing rests on it."""

from __future__ import annotations

import pytest

from approvals.errors import ChatError, ChatRefused
from approvals.request import Request
from bot.courier import Courier
from bot.posting import FILE_TRIES
from storage.memory import MemoryStore
from tests.bot.chat import Chat, limited, silent
from tests.bot.conftest import Clock
from tests.bot.test_courier import ELSEWHERE, asked, changed, until_quiet
from tests.bot.test_notes import reminded
from tests.build import CHANNEL, a_change, a_request, an_action

PLAN = "\n".join(f"line {number}" for number in range(400))


async def asked_at_length(store: MemoryStore, *destinations: str) -> Request:
    """A request that no card can show."""
    action = an_action(arguments={"plan": PLAN})
    request = a_request(action=action, destinations=destinations or (CHANNEL,), now=await store.now())
    return (await store.create(request.id, lambda now, earlier: a_change(request, show=True)))[0].request


async def test_it_lies_once_under_every_card_of_what_is_too_long(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    request = await asked_at_length(store, CHANNEL, ELSEWHERE)
    await until_quiet(courier)
    await changed(store, request)
    await until_quiet(courier)
    assert sorted(chat.messages[ts].destination for ts, _ in chat.files) == sorted([CHANNEL, ELSEWHERE])


async def test_a_card_that_shows_everything_has_none(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    await asked(store)
    await until_quiet(courier)
    assert chat.files == []


async def test_where_a_platform_takes_no_files_none_is_tried(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    chat.takes_files = False
    await asked_at_length(store)
    await until_quiet(courier)
    assert "attach" not in chat.calls


async def test_two_couriers_put_it_there_once(store: MemoryStore, chat: Chat) -> None:
    await asked_at_length(store)
    one, two = Courier(store, {"slack": chat}), Courier(store, {"slack": chat})
    for courier in (one, two, one, two):
        await until_quiet(courier)
    assert len(chat.files) == 1


async def test_it_comes_after_new_cards_and_after_what_somebody_is_told(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked_at_length(store)
    await courier.relay()
    await reminded(store, request)
    await asked(store)
    await until_quiet(courier)
    posts = [call for call in chat.calls if call in ("post", "reply", "attach")]
    assert posts == ["post", "post", "reply", "attach"]


async def test_it_counts_in_the_rate_of_its_channel(store: MemoryStore, clock: Clock) -> None:
    chat = Chat(clock, per_minute=60, burst=1)
    courier = Courier(store, {"slack": chat})
    await asked_at_length(store)
    await until_quiet(courier)
    assert (len(chat.messages), len(chat.files)) == (1, 0)
    clock.advance(1_000)
    await until_quiet(courier)
    assert len(chat.files) == 1


async def test_a_file_whose_fate_is_unknown_is_rather_missed_than_put_there_twice(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.meets("attach", silent(), after=True)
    await asked_at_length(store)
    for _ in range(3):
        await until_quiet(courier)
        clock.advance(600_000)
    assert (chat.calls.count("attach"), len(chat.files)) == (1, 1)


async def test_a_courier_that_died_in_the_middle_leaves_no_second_file(store: MemoryStore, chat: Chat) -> None:
    request = await asked_at_length(store)
    await store.intend(request.id, f"{CHANNEL}#file", "of the one that died")
    await until_quiet(Courier(store, {"slack": chat}))
    assert (len(chat.messages), chat.files) == (1, [])


@pytest.mark.parametrize("error", [silent(maybe_done=False), limited(7.0)])
async def test_what_surely_did_not_get_there_is_tried_later_and_holds_nobody_up(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock, error: ChatError
) -> None:
    chat.meets("attach", error)
    await asked_at_length(store)
    await until_quiet(courier)
    assert chat.files == []
    await asked(store)
    await until_quiet(courier)
    assert len(chat.messages) == 2
    clock.advance(600_000)
    await until_quiet(courier)
    assert len(chat.files) == 1


async def test_it_is_given_up_after_a_few_tries(store: MemoryStore, courier: Courier, chat: Chat, clock: Clock) -> None:
    for _ in range(2 * FILE_TRIES):
        chat.meets("attach", silent(maybe_done=False))
    await asked_at_length(store)
    for _ in range(2 * FILE_TRIES):
        await until_quiet(courier)
        clock.advance(600_000)
    assert chat.calls.count("attach") == FILE_TRIES


async def test_where_it_is_refused_the_card_stays_as_it_is(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.meets("attach", ChatRefused("missing_scope", "install the app again"))
    request = await asked_at_length(store)
    for _ in range(2):
        await until_quiet(courier)
        clock.advance(600_000)
    assert chat.calls.count("attach") == 1
    assert (await store.get(request.id)).posts[CHANNEL].state == "posted"
    await changed(store, request)
    await until_quiet(courier)
    assert "update" in chat.calls


async def test_what_was_decided_meanwhile_needs_no_file(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    chat.meets("attach", silent(maybe_done=False))
    request = await asked_at_length(store)
    await until_quiet(courier)
    await changed(store, request, "deny")
    await until_quiet(courier)
    assert chat.calls.count("attach") == 1
