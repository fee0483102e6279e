"""What agents can do to their own streams in Redis, and that it harms nobody else."""

from __future__ import annotations

import asyncio
import json

import pytest

from approvals.errors import StoreUnavailable
from approvals.ports import Answer, Entry
from storage.redis import RedisInbox
from storage.redis.keys import GROUP, Keys
from tests.build import AGENT
from tests.servers import running
from tests.storage.conftest import RedisRoom, redis_room

pytestmark = pytest.mark.redis

OTHER = "export-bot"
REQUEST = {b"type": b"request", b"body": b"{}"}
JUNK: list[dict[bytes, bytes]] = [
    {b"hello": b"world"},
    {b"type": b"request"},
    {b"body": b"{}"},
    {b"type": b"request", b"body": b"{}", b"more": b"1"},
    {b"": b""},
    {str(number).encode(): b"" for number in range(20_000)},
]


@pytest.fixture
async def inbox(redis: RedisRoom) -> RedisInbox:
    """An inbox that watches two agents."""
    inbox = redis.inbox("bot-1")
    await inbox.watch([AGENT, OTHER], ["ledger"])
    return inbox


async def somebody_waits(redis: RedisRoom) -> None:
    """Return when a client is blocked in the server."""
    while not int((await redis.client.info("clients"))["blocked_clients"]):
        pass


@pytest.mark.parametrize("fields", JUNK)
async def test_junk_has_neither_type_nor_body_and_can_be_answered(
    redis: RedisRoom, inbox: RedisInbox, fields: dict[bytes, bytes]
) -> None:
    await redis.append(AGENT, fields)
    (entry,) = await inbox.take(limit=10, block=1_000)
    assert (entry.type, entry.body) == (None, None)
    await inbox.answer(entry, Answer("refused", {"reason": "malformed"}), dead_letter="malformed")
    assert await redis.dead_letters() == [(AGENT, "malformed")]
    assert await redis.client.xlen(Keys(0).intake(AGENT, tool=False)) == 0


async def test_bytes_that_are_no_text_are_handed_out_as_they_are(redis: RedisRoom, inbox: RedisInbox) -> None:
    await redis.append(AGENT, {b"type": b"\xff\xfe", b"body": b"\x80\x00"})
    await redis.append(AGENT, {b"body": b"\x80\x00", b"type": b"request"})
    first, second = await inbox.take(limit=10, block=1_000)
    assert (first.type, first.body) == (None, b"\x80\x00")
    assert (second.type, second.body) == ("request", b"\x80\x00")


async def test_two_fields_of_one_name_are_junk(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    await redis.client.execute_command("XADD", stream, "*", "type", "request", "type", "spend", "body", "{}")
    await redis.client.execute_command("XADD", stream, "*", "type", "request", "type", "spend")
    assert [entry.type for entry in await inbox.take(limit=10, block=1_000)] == [None, None]


async def test_a_huge_body_is_kept_aside_shortened(redis: RedisRoom, inbox: RedisInbox) -> None:
    await redis.append(AGENT, {b"type": b"request", b"body": b"x" * 1_000_000})
    (entry,) = await inbox.take(limit=10, block=1_000)
    assert len(entry.body or b"") == 1_000_000
    await inbox.answer(entry, dead_letter="too_large")
    ((_, letter),) = await redis.client.xrange(Keys(0).dead)
    assert len(letter[b"body"]) == 4_096


async def test_an_agent_that_erases_its_stream_erases_nothing_else(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    for _ in range(3):
        await redis.append(AGENT, REQUEST)
    taken = await inbox.take(limit=1, block=1_000)
    await redis.client.xtrim(stream, maxlen=0)
    await redis.append(OTHER, REQUEST)
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [OTHER]
    reclaimed = await inbox.reclaim(idle=0, limit=10)
    assert [entry.owner for entry in reclaimed] == [OTHER]
    await inbox.answer(taken[0], Answer("pending", {}))
    await redis.append(AGENT, REQUEST)
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [AGENT]


async def test_an_agent_that_exhausts_its_ids_silences_only_itself(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    last = "18446744073709551615-18446744073709551615"
    await redis.client.execute_command("XADD", stream, last, "type", "request", "body", "{}")
    await redis.append(OTHER, REQUEST)
    taken = await inbox.take(limit=10, block=1_000)
    assert {entry.owner for entry in taken} == {AGENT, OTHER}
    for entry in taken:
        await inbox.answer(entry, Answer("pending", {}))
    await redis.append(OTHER, REQUEST)
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [OTHER]
    assert len(await redis.answers(AGENT)) == 1


async def noticed(redis: RedisRoom, inbox: RedisInbox) -> list[tuple[str, str, str]]:
    """What is noticed just now."""
    return [(one.owner, one.what, one.much) for one in await inbox.inspect(limit=100)]


async def test_what_agents_do_to_their_streams_is_noticed_journalled_and_told_once(
    redis: RedisRoom, inbox: RedisInbox
) -> None:
    for _ in range(3):
        await redis.append(AGENT, REQUEST)
        await redis.append(OTHER, REQUEST)
    for entry in await inbox.take(limit=2, block=1_000):
        await inbox.answer(entry, Answer("pending", {}))
    assert await noticed(redis, inbox) == []
    await redis.client.xtrim(Keys(0).intake(AGENT, tool=False), maxlen=0, approximate=False)
    last = "18446744073709551615-18446744073709551615"
    await redis.client.execute_command("XADD", Keys(0).intake(OTHER, tool=False), last, "type", "request", "body", "{}")
    await redis.client.set(Keys(0).intake("ledger", tool=True), "not a stream")
    second = redis.inbox("bot-2")
    await second.watch([AGENT, OTHER], ["ledger"])
    told = await noticed(redis, inbox) + await noticed(redis, second)
    assert told == [("export-bot", "blocked", last), (AGENT, "erased", "2"), ("ledger", "replaced", "string")]
    assert {trouble.owner for trouble in await redis.store.troubles()} == {"ledger", AGENT, "export-bot"}
    events = [json.loads(entry.record) async for entry in redis.store.journal(0)]
    assert [(one["event"], one["by"]) for one in events[1:]] == [
        ("stream_blocked", "agent:export-bot"),
        ("stream_erased", f"agent:{AGENT}"),
        ("stream_replaced", "tool:ledger"),
    ]
    await redis.append(AGENT, REQUEST)
    await redis.append(AGENT, REQUEST)
    await redis.client.xtrim(Keys(0).intake(AGENT, tool=False), maxlen=1, approximate=False)
    assert await noticed(redis, inbox) == [(AGENT, "erased", "3")]


async def test_a_stream_with_very_many_entries_is_noticed(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    pipeline = redis.client.pipeline(transaction=False)
    for _ in range(10_001):
        pipeline.xadd(stream, REQUEST)
    await pipeline.execute()
    assert await noticed(redis, inbox) == [(AGENT, "flooded", "10001")]


async def test_streams_are_inspected_in_turns(redis: RedisRoom, inbox: RedisInbox) -> None:
    await redis.client.set(Keys(0).intake("ledger", tool=True), "not a stream")
    assert [bool(await inbox.inspect(limit=1)) for _ in range(3)].count(True) == 1


async def test_dead_letters_are_bounded_and_answers_do_not_stay_forever(redis: RedisRoom, inbox: RedisInbox) -> None:
    for _ in range(12):
        for _ in range(100):
            await redis.append(AGENT, {b"junk": b"x"})
        for entry in await inbox.take(limit=300, block=1_000):
            await inbox.answer(entry, Answer("refused", {}), dead_letter="malformed")
    assert await redis.client.xlen(Keys(0).dead) < 1_150
    assert 0 < await redis.client.pttl(Keys(0).out(AGENT, tool=False)) <= 7 * 86_400_000


async def test_a_deleted_stream_is_made_again(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    await redis.append(AGENT, REQUEST)
    await inbox.take(limit=10, block=1_000)
    await redis.client.delete(stream)
    assert not await inbox.reclaim(idle=0, limit=10)
    await redis.append(AGENT, REQUEST)
    taken = [*await inbox.take(limit=10, block=1_000), *await inbox.take(limit=10, block=1)]
    assert [entry.owner for entry in taken] == [AGENT]


async def test_a_deleted_stream_wakes_whoever_waits_and_is_made_again(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    waiting = asyncio.create_task(inbox.take(limit=10, block=5_000))
    await somebody_waits(redis)
    await redis.client.delete(stream)
    assert not await waiting
    assert (await redis.client.xinfo_groups(stream))[0]["name"] == GROUP.encode()


async def test_a_stream_that_became_something_else_silences_only_its_owner(redis: RedisRoom, inbox: RedisInbox) -> None:
    stream = Keys(0).intake(AGENT, tool=False)
    await redis.client.set(stream, "not a stream")
    assert not await inbox.take(limit=10, block=1)
    await redis.append(OTHER, REQUEST)
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [OTHER]
    await redis.client.delete(stream)
    await inbox.reclaim(idle=60_000, limit=1)
    await redis.append(AGENT, REQUEST)
    assert [entry.owner for entry in await inbox.take(limit=10, block=1_000)] == [AGENT]


async def test_a_cancelled_take_loses_nothing(redis: RedisRoom, inbox: RedisInbox) -> None:
    waiting = asyncio.create_task(inbox.take(limit=10, block=5_000))
    await somebody_waits(redis)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await redis.append(AGENT, REQUEST)
    found = [*await inbox.take(limit=10, block=1_000), *await inbox.reclaim(idle=0, limit=10)]
    assert {entry.owner for entry in found} == {AGENT}


async def test_when_the_server_goes_and_comes_back_the_inbox_goes_on() -> None:
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        room = await redis_room(server)
        inbox = room.inbox("bot-1")
        await inbox.watch([AGENT], [])
        await room.append(AGENT, REQUEST)
        server.kill()
        with pytest.raises(StoreUnavailable):
            await inbox.take(limit=10, block=1)
        server.start()
        (entry,) = await inbox.take(limit=10, block=1_000)
        server.kill()
        server.start()
        (again,) = await inbox.reclaim(idle=0, limit=10)
        assert (again.id, again.deliveries) == (entry.id, 2)
        await inbox.answer(again, Answer("pending", {}))
        assert len(await room.answers(AGENT)) == 1
        await room.aclose()


async def test_thousands_of_streams_are_read_in_portions_and_nobody_is_left_out(redis: RedisRoom) -> None:
    agents = [f"agent-{number}" for number in range(600)]
    inbox = redis.inbox("bot-1")
    await inbox.watch(agents, [])

    async def three() -> list[Entry]:
        taken = list(await inbox.take(limit=100, block=1))
        while len(taken) < 3:  # it ends with the first read that ends; the others go on
            taken += await inbox.take(limit=100, block=5_000)
        return taken

    waiting = asyncio.create_task(three())
    while int((await redis.client.info("clients"))["blocked_clients"]) < 3:
        pass
    for agent in (agents[0], agents[299], agents[-1]):
        await redis.append(agent, REQUEST)
    taken = await waiting
    assert sorted(entry.owner for entry in taken) == sorted((agents[0], agents[299], agents[-1]))
    other = redis.inbox("bot-2")
    await other.watch(agents, [])
    assert len(await other.reclaim(idle=0, limit=10)) == 3
