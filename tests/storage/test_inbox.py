"""What every inbox promises (approvals/ports.py), on every kind of memory."""

from __future__ import annotations

import asyncio
import json

import pytest

from approvals.action import partition_of
from approvals.ports import Answer, Entry, Inbox
from tests.build import AGENT
from tests.storage.conftest import Room

TOOL = "ledger"
REQUEST = {b"type": b"request", b"body": b'{"v":1}'}


@pytest.fixture
async def inbox(room: Room) -> Inbox:
    """An inbox that watches two agents and a tool."""
    inbox = room.inbox("bot-1")
    await inbox.watch([AGENT, "export-bot"], [TOOL])
    return inbox


async def drain(inbox: Inbox, count: int, *, limit: int = 100) -> list[Entry]:
    """That many entries, in as many takes as it needs."""
    found: list[Entry] = []
    while len(found) < count:
        found += await inbox.take(limit=limit, block=1_000)
    return found


async def test_what_an_agent_appended_is_taken_once(room: Room, inbox: Inbox) -> None:
    id_ = await room.append(AGENT, REQUEST)
    assert await inbox.take(limit=10, block=1_000) == [
        Entry(partition_of(AGENT, room.partitions), AGENT, False, id_, "request", b'{"v":1}', 1)
    ]
    assert not await inbox.take(limit=10, block=1)


async def test_an_entry_that_was_there_before_anybody_watched_is_taken(room: Room) -> None:
    await room.append("early-bot", REQUEST)
    inbox = room.inbox("bot-1")
    await inbox.watch(["early-bot"], [])
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == ["early-bot"]


async def test_a_tool_is_heard_in_every_partition(room: Room, inbox: Inbox) -> None:
    for partition in range(room.partitions):
        await room.append(TOOL, {b"type": b"spend", b"body": b"{}"}, tool=True, partition=partition)
    taken = await drain(inbox, room.partitions)
    assert {(entry.owner, entry.tool) for entry in taken} == {(TOOL, True)}
    assert sorted(entry.partition for entry in taken) == list(range(room.partitions))


async def test_waiting_for_an_entry_ends_when_one_comes(room: Room, inbox: Inbox) -> None:
    waiting = asyncio.create_task(drain(inbox, 1))
    await asyncio.sleep(0)
    await room.append(AGENT, REQUEST)
    assert [entry.owner for entry in await waiting] == [AGENT]


async def test_no_more_than_the_limit_is_taken_and_nothing_is_left_behind(room: Room, inbox: Inbox) -> None:
    for number in range(5):
        for owner in (AGENT, "export-bot"):
            await room.append(owner, {b"type": b"request", b"body": str(number).encode()})
    found: list[Entry] = []
    while len(found) < 10:
        taken = await inbox.take(limit=1, block=1_000)
        assert len(taken) == 1
        found += taken
    for owner in (AGENT, "export-bot"):
        assert [entry.body for entry in found if entry.owner == owner] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_busy_agent_leaves_room_for_the_others(room: Room, inbox: Inbox) -> None:
    for _ in range(50):
        await room.append(AGENT, REQUEST)
    await room.append("export-bot", REQUEST)
    assert "export-bot" in {entry.owner for entry in await inbox.take(limit=10, block=1_000)}


async def test_only_what_is_watched_is_taken(room: Room, inbox: Inbox) -> None:
    await room.append(AGENT, REQUEST)
    await room.append("export-bot", REQUEST)
    await inbox.watch(["export-bot"], [])
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == ["export-bot"]
    await inbox.watch([AGENT], [])
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [AGENT]


async def test_watching_nothing_takes_nothing(room: Room) -> None:
    inbox = room.inbox("bot-1")
    await inbox.watch([], [])
    await room.append(AGENT, REQUEST)
    assert not await inbox.take(limit=10, block=1)


async def test_an_answer_reaches_the_owner_and_ends_the_entry(room: Room, inbox: Inbox) -> None:
    await room.append(AGENT, REQUEST)
    (entry,) = await inbox.take(limit=1, block=1_000)
    await inbox.answer(entry, Answer("pending", {"v": 1, "entry": entry.id}), Answer("decision", {"é": "\u2028"}))
    answers = [(type_, json.loads(body)) for type_, body in await room.answers(AGENT)]
    assert answers == [("pending", {"v": 1, "entry": entry.id}), ("decision", {"é": "\u2028"})]
    room.advance(3_600_000)
    assert not await inbox.reclaim(idle=0, limit=10)
    assert await room.dead_letters() == []


async def test_a_tool_is_answered_in_the_partition_it_wrote_to(room: Room, inbox: Inbox) -> None:
    last = room.partitions - 1
    await room.append(TOOL, {b"type": b"spend", b"body": b"{}"}, tool=True, partition=last)
    (entry,) = await drain(inbox, 1)
    await inbox.answer(entry, Answer("spend", {"granted": False}))
    assert [type_ for type_, _ in await room.answers(TOOL, tool=True, partition=last)] == ["spend"]


async def test_an_entry_is_answered_once(room: Room, inbox: Inbox) -> None:
    await room.append(AGENT, REQUEST)
    (entry,) = await inbox.take(limit=1, block=1_000)
    for _ in range(3):
        await inbox.answer(entry, Answer("pending", {"v": 1}), dead_letter="malformed")
    assert len(await room.answers(AGENT)) == 1
    assert await room.dead_letters(entry.partition) == [(AGENT, "malformed")]


async def test_what_a_dead_taker_left_behind_is_taken_over(room: Room, inbox: Inbox) -> None:
    id_ = await room.append(AGENT, REQUEST)
    await inbox.take(limit=1, block=1_000)
    other = room.inbox("bot-2")
    await other.watch([AGENT, "export-bot"], [TOOL])
    (again,) = await other.reclaim(idle=0, limit=10)
    assert (again.id, again.body, again.deliveries) == (id_, b'{"v":1}', 2)
    (third,) = await inbox.reclaim(idle=0, limit=10)
    assert third.deliveries == 3
    await other.answer(again, Answer("pending", {}))
    assert not await inbox.reclaim(idle=0, limit=10)


async def test_what_somebody_works_on_is_left_to_them(room: Room, inbox: Inbox) -> None:
    await room.append(AGENT, REQUEST)
    await inbox.take(limit=1, block=1_000)
    assert not await inbox.reclaim(idle=60_000, limit=10)


async def test_no_more_than_the_limit_is_reclaimed_at_once(room: Room, inbox: Inbox) -> None:
    for _ in range(6):
        await room.append(AGENT, REQUEST)
    await drain(inbox, 6)
    assert len(await inbox.reclaim(idle=0, limit=4)) == 4


async def test_two_takers_share_the_work(room: Room, inbox: Inbox) -> None:
    for number in range(20):
        await room.append(AGENT, {b"type": b"request", b"body": str(number).encode()})
    other = room.inbox("bot-2")
    await other.watch([AGENT], [])
    taken: list[Entry] = []
    while len(taken) < 20:
        for one in (inbox, other):
            taken += await one.take(limit=3, block=1)
    assert len({entry.id for entry in taken}) == 20
