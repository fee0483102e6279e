"""A request that is made of an intake entry: one commit makes it, answers the entry and removes it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from approvals.action import likeness
from approvals.errors import EntryRefused, OverLimit
from approvals.limits import Limits
from approvals.ports import Answer, Entry, Inbox, Taken
from approvals.request import Request
from tests.build import AGENT, a_change, a_request, an_action
from tests.storage.conftest import Room

BODY = {b"type": b"request", b"body": b'{"v":1}'}
TOLD = Answer("pending", {"status": "pending"})
SOON = 5_000


@pytest.fixture
async def inbox(room: Room) -> Inbox:
    """An inbox that watches the agent."""
    inbox = room.inbox("bot-1")
    await inbox.watch([AGENT], [])
    return inbox


async def taken(room: Room, inbox: Inbox, answer: Answer | None = TOLD) -> Taken:
    """An entry of the agent that was just handed out, which a commit answers so."""
    await room.append(AGENT, BODY)
    (entry,) = await inbox.take(limit=1, block=1_000)
    return Taken(entry, lambda request: answer)


async def unanswered(inbox: Inbox) -> Sequence[Entry]:
    """The entries that somebody else may take over."""
    return await inbox.reclaim(idle=0, limit=10)


async def test_the_commit_answers_the_entry_and_removes_it(room: Room, inbox: Inbox) -> None:
    entry, request = await taken(room, inbox), a_request(partitions=room.partitions)
    _, new = await room.store.create(request.id, lambda *_: a_change(request), taken=entry)
    assert (new, entry.settled) == (True, True)
    assert await room.answers(AGENT) == [("pending", b'{"status":"pending"}')]
    assert not await unanswered(inbox)
    await inbox.answer(entry.entry, Answer("again", {}))
    assert len(await room.answers(AGENT)) == 1


async def test_an_entry_that_needs_more_is_left_to_whoever_took_it(room: Room, inbox: Inbox) -> None:
    entry, request = await taken(room, inbox, answer=None), a_request(partitions=room.partitions)
    _, new = await room.store.create(request.id, lambda *_: a_change(request), taken=entry)
    assert (new, entry.settled) == (True, False)
    assert not await room.answers(AGENT)
    assert [one.id for one in await unanswered(inbox)] == [entry.entry.id]


async def test_a_call_that_was_asked_before_settles_nothing(room: Room, inbox: Inbox) -> None:
    request = a_request(partitions=room.partitions)
    before, _ = await room.store.create(request.id, lambda *_: a_change(request), taken=await taken(room, inbox))
    again = await taken(room, inbox)
    stored, new = await room.store.create(request.id, lambda *_: a_change(request), taken=again)
    assert (new, again.settled, stored.request) == (False, False, before.request)
    assert [one.id for one in await unanswered(inbox)] == [again.entry.id]


async def test_an_entry_that_somebody_else_answered_meanwhile_gets_no_second_answer(room: Room, inbox: Inbox) -> None:
    entry, request = await taken(room, inbox), a_request(partitions=room.partitions)
    await inbox.answer(entry.entry, Answer("refused", {}))
    await room.store.create(request.id, lambda *_: a_change(request), taken=entry)
    assert [type_ for type_, _ in await room.answers(AGENT)] == ["refused"]


async def test_it_is_asked_at_the_instant_at_which_it_was_handed_out_or_later(room: Room, inbox: Inbox) -> None:
    entry, seen = await taken(room, inbox), list[int]()
    request = a_request(partitions=room.partitions)

    def make(now: int, _earlier: Sequence[Request]) -> object:
        seen.append(now)
        return a_change(request)

    before = await room.store.now()
    await room.store.create(request.id, make, taken=entry)  # type: ignore[arg-type] # a change function
    assert before - SOON < seen[-1] <= await room.store.now()


async def test_an_entry_that_has_waited_is_asked_at_the_time_of_the_memory(room: Room, inbox: Inbox) -> None:
    entry, seen = await taken(room, inbox), list[int]()
    room.advance(60_000)
    request = a_request(partitions=room.partitions)

    def make(now: int, _earlier: Sequence[Request]) -> object:
        seen.append(now)
        return a_change(request)

    await room.store.create(request.id, make, taken=entry)  # type: ignore[arg-type] # a change function
    assert abs(seen[-1] - await room.store.now()) < SOON
    assert entry.settled


async def test_what_was_asked_before_is_known_to_what_is_committed(room: Room, inbox: Inbox) -> None:
    base = await room.store.now()
    first = a_request(partitions=room.partitions, asked_at=base)
    await room.store.create(first.id, lambda *_: a_change(first), taken=await taken(room, inbox))
    second, told = a_request(partitions=room.partitions, asked_at=base + 1), list[list[str]]()

    def make(_now: int, earlier: Sequence[Request]) -> object:
        told.append([one.id for one in earlier])
        return a_change(second)

    entry = await taken(room, inbox)
    await room.store.create(
        second.id,
        make,  # type: ignore[arg-type] # a change function
        like=likeness(AGENT, second.action),
        taken=entry,
    )
    assert told[-1] == [first.id]
    assert entry.settled


async def test_each_entry_takes_one_turn_of_its_agents_pace(room: Room, inbox: Inbox) -> None:
    limits = Limits(AGENT, open=100, per_minute=3)

    async def ask(target: str) -> None:
        request = a_request(partitions=room.partitions, action=an_action(target=target))
        await room.store.create(
            request.id,
            lambda *_: a_change(request),
            like=likeness(AGENT, request.action),
            limits=limits,
            taken=await taken(room, inbox),
        )

    for target in ("bank:one", "bank:two", "bank:two"):  # the last one is not the first of its likeness
        await ask(target)
    with pytest.raises(OverLimit) as refused:
        await ask("bank:three")
    assert 0 < (refused.value.retry_after or 0) <= 20_000


async def test_what_is_refused_takes_a_turn_and_leaves_the_entry(room: Room, inbox: Inbox) -> None:
    limits, entry = Limits(AGENT, open=100, per_minute=1), await taken(room, inbox)
    request = a_request(partitions=room.partitions)

    def refuse(*_: object) -> object:
        raise EntryRefused("kind_not_allowed", "no")

    with pytest.raises(EntryRefused):
        await room.store.create(request.id, refuse, limits=limits, taken=entry)  # type: ignore[arg-type]
    with pytest.raises(OverLimit):
        await room.store.create(request.id, refuse, limits=limits, taken=entry)  # type: ignore[arg-type]
    assert not entry.settled
    assert [one.id for one in await unanswered(inbox)] == [entry.entry.id]


async def test_too_many_open_settles_nothing(room: Room, inbox: Inbox) -> None:
    limits = Limits(AGENT, open=1, per_minute=100)
    first = a_request(partitions=room.partitions)
    await room.store.create(first.id, lambda *_: a_change(first), limits=limits, taken=await taken(room, inbox))
    entry, second = await taken(room, inbox), a_request(partitions=room.partitions, action=an_action(target="b:2"))
    with pytest.raises(OverLimit) as refused:
        await room.store.create(second.id, lambda *_: a_change(second), limits=limits, taken=entry)
    assert refused.value.retry_after is None
    assert not entry.settled
