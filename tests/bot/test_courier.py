"""The courier brings every destination of a request to show its current card, once, whatever the platform does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from approvals.card import Card, card_of
from approvals.errors import ChatRefused, StoreUnavailable
from approvals.lifecycle import Status
from approvals.ports import Post
from approvals.request import Request
from approvals.terms import BreakGlass
from bot.courier import LEASE_MS, Courier
from storage.memory import MemoryStore
from tests.bot.chat import Chat, limited, silent
from tests.bot.conftest import Clock
from tests.build import CHANNEL, a_change, a_request, a_vote, some_terms

ELSEWHERE = "slack:C0ELSE"


async def asked(store: MemoryStore, *destinations: str) -> Request:
    """A request whose card is due."""
    request = a_request(destinations=destinations or (CHANNEL,), now=await store.now())
    stored, _ = await store.create(request.id, lambda now, earlier: a_change(request, show=True))
    return stored.request


async def changed(store: MemoryStore, request: Request, answer: str = "approve") -> Request:
    """The request after alice's answer."""
    vote = a_vote(answer="deny" if answer == "deny" else "approve", at=await store.now())
    stored = await store.update(
        request.id,
        lambda now: a_change(now.request.voted(vote, jti="jti-1"), show=True) if not done(now.request) else None,
    )
    return stored.request


def done(request: Request) -> bool:
    return request.status is not Status.PENDING


async def step(courier: Courier) -> bool:
    """Relay and serve once, as its two loops do; whether there was anything to do."""
    relayed, served = await courier.relay(), await courier.serve()
    return relayed or served


async def until_quiet(courier: Courier) -> None:
    """Step until nothing is due."""
    while await step(courier):
        pass


async def post_of(store: MemoryStore, request: Request, destination: str = CHANNEL) -> Post:
    return (await store.get(request.id)).posts[destination]


async def journal(store: MemoryStore, event: str) -> list[Mapping[str, Any]]:
    records = [json.loads(entry.record) async for entry in store.journal(0)]
    return [record for record in records if record["event"] == event]


# ------------------------------------------------------------ the ordinary way


async def test_a_request_gets_one_card_and_it_is_recorded(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    request = await asked(store)
    await until_quiet(courier)
    assert await step(courier) is False
    (message,) = chat.at(CHANNEL)
    assert message.card == card_of(request)
    post = await post_of(store, request)
    assert (post.state, post.reference, post.shown) == ("posted", {"ts": "1"}, message.card.digest())


async def test_what_is_shown_is_kept_before_anybody_can_see_it(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    request = await asked(store)
    chat.meets("post", silent(), after=True)
    await step(courier)
    assert chat.at(CHANNEL)
    assert await store.rendering(card_of(request).digest()) is not None


async def test_every_destination_gets_the_card(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    await asked(store, CHANNEL, ELSEWHERE)
    await until_quiet(courier)
    assert (len(chat.at(CHANNEL)), len(chat.at(ELSEWHERE))) == (1, 1)


async def test_several_changes_become_one_edit(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    request = await asked(store)
    await until_quiet(courier)
    approved = await changed(store, request)
    spent = await store.update(
        request.id, lambda now: None if now.request.spend else a_change(now.request.spent("attempt", "bot", now.now))
    )
    await until_quiet(courier)
    assert chat.calls == ["post", "update"]
    assert approved.status is Status.APPROVED
    assert chat.at(CHANNEL)[0].card == card_of(spent.request)


async def test_a_card_that_already_shows_everything_is_left_alone(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await store.update(request.id, _same_once(request))
    await until_quiet(courier)
    assert chat.calls == ["post"]


def _same_once(before: Request) -> Any:
    return lambda now: a_change(now.request, show=True) if now.request.version == before.version else None


# ------------------------------------------------------------ not now


async def test_a_429_is_waited_out_by_everybody_who_posts_there(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    first = await asked(store)
    chat.meets("post", limited(30))
    await step(courier)
    second = await asked(store)
    await until_quiet(courier)
    clock.advance(29.9)
    await until_quiet(courier)
    assert chat.calls == ["post"]
    clock.advance(0.2)
    await until_quiet(courier)
    assert {message.request for message in chat.at(CHANNEL)} == {first.id, second.id}
    assert chat.calls == ["post"] * 3


async def test_elsewhere_is_not_held_up_by_a_429(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    chat.meets("post", limited(30))
    await asked(store, CHANNEL, ELSEWHERE)
    await until_quiet(courier)
    assert len(chat.messages) == 1
    clock.advance(31)
    await until_quiet(courier)
    assert (len(chat.at(CHANNEL)), len(chat.at(ELSEWHERE))) == (1, 1)


async def test_posts_keep_to_the_platforms_pace(store: MemoryStore, clock: Clock) -> None:
    chat = Chat(clock, per_minute=60, burst=2)
    courier = Courier(store, {"slack": chat})
    for _ in range(4):
        await asked(store)
    await until_quiet(courier)
    assert len(chat.messages) == 2
    clock.advance(1)
    await until_quiet(courier)
    assert len(chat.messages) == 3
    clock.advance(1)
    await until_quiet(courier)
    assert len(chat.messages) == 4


async def test_an_edit_that_failed_is_tried_again(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    approved = await changed(store, request)
    chat.meets("update", silent())
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    assert [call for call in chat.calls if call != "announce"] == ["post", "update", "update"]
    assert chat.at(CHANNEL)[0].card == card_of(approved)


# ------------------------------------------------------------ perhaps it was done


async def test_a_post_without_an_answer_is_looked_for_and_adopted(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    chat.meets("post", silent(), after=True)
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    assert chat.calls[:2] == ["post", "find_posted"]
    assert chat.calls.count("post") == 1
    (message,) = chat.at(CHANNEL)
    post = await post_of(store, request)
    assert (post.state, post.reference, post.shown) == ("posted", {"ts": "1"}, message.card.digest())


async def test_a_lost_card_is_brought_up_to_date_when_it_is_found(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    chat.meets("post", silent(), after=True)
    await until_quiet(courier)
    denied = await changed(store, request, "deny")
    clock.advance(2)
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    assert [message.card for message in chat.at(CHANNEL)] == [card_of(denied)]


async def test_a_post_that_is_nowhere_is_made_again(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await asked(store)
    chat.meets("post", silent())
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    assert chat.calls == ["post", "find_posted", "post"]
    assert len(chat.at(CHANNEL)) == 1


async def test_a_post_that_surely_failed_is_made_again_without_a_search(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await asked(store)
    chat.meets("post", silent(maybe_done=False))
    await until_quiet(courier)
    clock.advance(2)
    await until_quiet(courier)
    assert chat.calls == ["post", "post"]


async def test_while_nobody_can_look_nothing_is_posted_twice(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await asked(store)
    chat.meets("post", silent(), after=True)
    chat.meets("find_posted", silent(maybe_done=False))
    for _ in range(4):
        await until_quiet(courier)
        clock.advance(2)
    assert chat.calls.count("post") == 1
    assert len(chat.at(CHANNEL)) == 1


class Forgetful(MemoryStore):
    """A memory that is away when the first post is to be recorded."""

    away = True

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        if self.away and post.state == "posted":
            self.away = False
            raise StoreUnavailable("gone")
        return await super().record_post(request, post, unless_posted=unless_posted)


async def test_a_card_that_could_not_be_recorded_is_found_again_by_the_next_courier(clock: Clock, chat: Chat) -> None:
    store = Forgetful(clock)
    await store.adopt(a_change(a_request()).epoch, "version: 1", {"event": "policy"})
    request = await asked(store)
    with pytest.raises(StoreUnavailable):
        await step(Courier(store, {"slack": chat}))
    other = Courier(store, {"slack": chat})
    assert await step(other) is False
    clock.advance(LEASE_MS / 1000)
    await until_quiet(other)
    clock.advance(1)
    await until_quiet(other)
    assert len(chat.at(CHANNEL)) == 1
    assert (await post_of(store, request)).shown == card_of(request).digest()


async def test_what_one_request_meets_does_not_keep_the_others_from_their_cards(clock: Clock, chat: Chat) -> None:
    store = Forgetful(clock)
    await store.adopt(a_change(a_request()).epoch, "version: 1", {"event": "policy"})
    requests = [await asked(store, f"slack:C0{number}") for number in range(3)]
    with pytest.raises(StoreUnavailable):
        await step(Courier(store, {"slack": chat}))
    states = [(await store.get(request.id)).posts[f"slack:C0{number}"].state for number, request in enumerate(requests)]
    assert sorted(states) == ["intended", "posted", "posted"]


# ------------------------------------------------------------ no


async def test_a_refusal_is_flagged_once_and_tried_again_while_others_are_served(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store, CHANNEL, ELSEWHERE)
    chat.closed = {CHANNEL}
    await until_quiet(courier)
    assert len(chat.at(ELSEWHERE)) == 1
    for _ in range(3):
        clock.advance(61)
        await until_quiet(courier)
    (flag,) = await journal(store, "undeliverable")
    assert (flag["request"], flag["destination"], flag["reason"]) == (request.id, CHANNEL, "not_in_channel")
    assert (await post_of(store, request)).problem == "not_in_channel"

    chat.closed = set()
    clock.advance(240)  # it waits longer each time
    await until_quiet(courier)
    assert (len(chat.at(CHANNEL)), len(chat.at(ELSEWHERE))) == (1, 1)
    assert (await post_of(store, request)).state == "posted"


async def test_after_the_decision_a_refused_card_is_no_longer_tried(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    chat.closed = {CHANNEL}
    await until_quiet(courier)
    await changed(store, request, "deny")
    chat.closed = set()
    clock.advance(61)
    await until_quiet(courier)
    assert chat.at(CHANNEL) == []


async def test_what_was_decided_before_anybody_was_shown_it_is_not_posted(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    request = await asked(store)
    await changed(store, request, "deny")
    await until_quiet(courier)
    assert chat.calls == []


async def test_a_deleted_card_is_posted_anew_while_somebody_can_still_answer(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    chat.messages.clear()
    await store.update(request.id, _said_something(request))
    await until_quiet(courier)
    (flag,) = await journal(store, "undeliverable")
    assert flag["reason"] == "message_not_found"
    clock.advance(61)
    await until_quiet(courier)
    (message,) = chat.at(CHANNEL)
    assert message.card == card_of((await store.get(request.id)).request)


def _said_something(before: Request) -> Any:
    """A change that the card shows and that decides nothing."""
    return lambda now: (
        a_change(now.request.model_copy(update={"because": "another reason"}), show=True)
        if now.request.version == before.version
        else None
    )


async def test_a_deleted_card_of_a_decided_request_is_let_be(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    chat.messages.clear()
    await changed(store, request)
    await until_quiet(courier)
    clock.advance(61)
    await until_quiet(courier)
    assert chat.messages == {}


async def test_a_destination_on_a_platform_that_is_not_connected_is_flagged_and_served_once_it_is(
    store: MemoryStore, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(Courier(store, {}))
    (flag,) = await journal(store, "undeliverable")
    assert (flag["request"], flag["reason"]) == (request.id, "not_connected")
    clock.advance(61)
    await until_quiet(Courier(store, {"slack": chat}))
    assert len(chat.at(CHANNEL)) == 1


async def test_a_card_that_could_not_be_changed_while_the_platform_was_off_is_changed_afterwards(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    approved = await changed(store, request)
    await until_quiet(Courier(store, {}))
    clock.advance(61)
    await until_quiet(courier)
    assert [message.card for message in chat.at(CHANNEL)] == [card_of(approved)]


async def test_an_edit_that_was_refused_is_tried_again_with_the_next_change(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    chat.meets("update", ChatRefused("token_revoked"))
    await changed(store, request)
    await until_quiet(courier)
    assert len(await journal(store, "undeliverable")) == 1
    spent = await store.update(
        request.id, lambda now: None if now.request.spend else a_change(now.request.spent("attempt", "bot", now.now))
    )
    await until_quiet(courier)
    assert [message.card for message in chat.at(CHANNEL)] == [card_of(spent.request)]


async def test_a_request_that_was_forgotten_leaves_nothing_to_do(clock: Clock, chat: Chat) -> None:
    store = MemoryStore(clock, retention=1_000)
    await store.adopt(a_change(a_request()).epoch, "version: 1", {"event": "policy"})
    request = await asked(store)
    await changed(store, request, "deny")
    clock.advance(2)
    other = await asked(store)
    courier = Courier(store, {"slack": chat})
    await until_quiet(courier)
    clock.advance(LEASE_MS / 1000)
    assert await step(courier) is False
    assert [message.request for message in chat.at(CHANNEL)] == [other.id]


# ------------------------------------------------------------ couriers side by side


async def test_two_couriers_post_one_card(store: MemoryStore, chat: Chat, clock: Clock) -> None:
    await asked(store)
    one, two = Courier(store, {"slack": chat}), Courier(store, {"slack": chat})
    chat.meets("post", silent(), after=True)
    await step(one)
    clock.advance(2)
    for courier in (one, two, two, one):
        await step(courier)
        clock.advance(1)
    assert len(chat.at(CHANNEL)) == 1


class Hanging(Chat):
    """Takes its time with the first post."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.goes_on = asyncio.Event()

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        self.calls.append("begun")
        if self.calls.count("begun") == 1:
            await self.goes_on.wait()
        return await super().post(destination, request, card)


async def test_a_courier_that_stood_still_for_longer_than_its_lease_posts_no_second_card(
    store: MemoryStore, clock: Clock
) -> None:
    request, chat = await asked(store), Hanging(clock)
    courier = Courier(store, {"slack": chat})
    await step(courier)
    assert chat.calls == ["begun"]
    clock.advance(LEASE_MS / 1000 + 1)
    await step(courier)
    chat.goes_on.set()
    await until_quiet(courier)
    assert chat.calls.count("begun") == 1
    assert (await post_of(store, request)).state == "posted"


async def test_people_are_looked_up_before_their_first_click(store: MemoryStore, chat: Chat) -> None:
    warmed: list[tuple[str, ...]] = []

    async def warm(sources: tuple[str, ...]) -> None:
        warmed.append(sources)

    request = await asked(store)
    courier = Courier(store, {"slack": chat}, warm=warm)
    await until_quiet(courier)
    await changed(store, request)
    await until_quiet(courier)
    assert warmed == [("person:alice", "person:bob")]


async def test_an_error_of_the_platform_we_do_not_know_keeps_the_card_due(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    await asked(store)
    chat.meets("post", ChatRefused("never_heard_of"))
    await until_quiet(courier)
    clock.advance(61)
    await until_quiet(courier)
    assert len(chat.at(CHANNEL)) == 1


# ------------------------------------------------------------ what a rule allowed


async def test_what_a_rule_let_through_is_posted_decided_and_a_place_that_refuses_it_is_let_be(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    terms = some_terms(verdict="allow", announced=True, destinations=(CHANNEL, ELSEWHERE))
    request = a_request(terms=terms, now=await store.now()).decided_by_rule(await store.now(), jti="jti-1")
    chat.meets("post", ChatRefused("is_archived", "unarchive it"))
    await store.create(request.id, lambda now, earlier: a_change(request, show=True))
    await until_quiet(courier)
    clock.advance(3_600)
    await until_quiet(courier)
    (told,) = [*chat.at(CHANNEL), *chat.at(ELSEWHERE)]
    assert (told.card.status, told.card.buttons) == (Status.APPROVED, ())
    refused = [post for post in (await store.get(request.id)).posts.values() if post.state == "failed"]
    assert [post.problem for post in refused] == ["is_archived"]


# ------------------------------------------------------------ emergencies


async def test_an_emergency_is_announced_where_nobody_was_asked(
    store: MemoryStore, courier: Courier, chat: Chat
) -> None:
    emergency = BreakGlass(
        who=(("person:alice",),), announce=(ELSEWHERE,), use_within=60_000, receipt_ttl=60_000, remind=3_600_000
    )
    terms = some_terms(break_glass=emergency)
    request = a_request(terms=terms, now=await store.now())
    await store.create(request.id, lambda now, earlier: a_change(request, show=True))
    await until_quiet(courier)
    assert chat.at(CHANNEL)
    assert not chat.at(ELSEWHERE)
    vote = a_vote(at=await store.now(), factors=())
    await store.update(request.id, lambda now: a_change(now.request.broken_glass(vote, jti="jti-1"), show=True))
    await until_quiet(courier)
    (told,) = chat.at(ELSEWHERE)
    assert "emergency" in told.card.note
    assert (await post_of(store, request, f"{ELSEWHERE}#emergency-0")).state == "posted"
