"""Endless traffic: what Redis holds does not grow with the lives that were lived."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from approvals.lifecycle import Event, Status
from approvals.ports import Answer, Post, Queue
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.build import AGENT, CHANNEL, DIGEST, a_change, a_request, a_vote
from tests.servers import Server, running
from tests.storage.conftest import RedisRoom, redis_room

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

RETENTION = 3_600_000


@pytest.fixture
def unhurried() -> Iterator[Server]:
    """A server that writes nothing to disk: only its memory matters here."""
    with running("--appendonly", "no") as server:
        yield server


async def a_life(store: RedisStore, number: int) -> None:
    """Asked, shown, approved, told, spent, reported; or withdrawn."""
    request = a_request(agent=f"agent-{number % 5}", now=await store.now())
    id_ = request.id
    await store.create(id_, lambda *_: a_change(request))
    await store.keep_rendering(f"sha256:{number % 50}", b"what was on screen" * 20)
    await store.record_post(id_, Post(CHANNEL, "posted", 1, {"ts": "1"}))
    if number % 3 == 0:
        await store.update(id_, lambda s: a_change(s.request.withdrawn(s.now), announce=True))
    else:
        vote = a_vote()
        await store.update(id_, lambda s: a_change(s.request.voted(vote, jti=id_), decides=True, announce=True))
    after = (await store.get(id_)).request
    await store.publish(after, {"status": after.status.value, "receipt": "x" * 700})
    if after.status is Status.APPROVED:
        await store.update(id_, lambda s: a_change(s.request.spent("attempt-1", s.request.agent, s.now)))
        await store.update(id_, lambda s: a_change(s.request.reported(Event.SUCCEED, s.now)))
    await store.settle(Queue.CARDS, id_, (await store.get(id_)).request.version)


async def a_round(room: RedisRoom, lives: int, junk: int = 100) -> int:
    """Some lives, and all that is done about them while time passes; returns the bytes that are in use."""
    store = room.store
    for start in range(0, lives, 50):
        await asyncio.gather(*(a_life(store, start + number) for number in range(50)))
    inbox = room.inbox("bot")
    await inbox.watch([AGENT], [])
    for _ in range(junk):
        await room.append(AGENT, {b"junk": b"x" * 300})
    for entry in await inbox.take(limit=junk, block=1_000):
        await inbox.answer(entry, Answer("refused", {"reason": "malformed"}), dead_letter="malformed")
    room.advance(2 * RETENTION)
    while await store.tidy(limit=100):
        pass
    last = await store.note({"event": "round"})
    await store.mark_exported(0, last)
    await store.trim_journal(0, last, "a signed head")
    return int((await room.client.info("memory"))["used_memory_dataset"])  # without the buffers of connections


@pytest.mark.parametrize(
    ("rounds", "lives"),
    [(5, 250), pytest.param(10, 2_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])],
)
async def test_memory_does_not_grow_with_the_lives_that_were_lived(unhurried: Server, rounds: int, lives: int) -> None:
    room = await redis_room(unhurried, retention=RETENTION, answers=100)
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    for _ in range(2):
        await a_round(room, 500, junk=1_300)  # what is bounded by its number fills up
    used = [await a_round(room, lives) for _ in range(rounds)]
    assert max(used[1:]) < used[0] * 1.05, used
    kept = [key async for key in room.client.scan_iter("*:request:*")]
    left = {name: await room.client.zcard(Keys(0).index(name)) for name in ("pending", "ended", "timers", "cards")}
    assert (kept, set(left.values())) == ([], {0})
    names = {key.decode().split(":", 2)[-1].split(":")[0] for key in await room.client.keys("{sayso:0}:*")}
    assert names <= {"meta", "journal", "policy", "out", "in", "shown", "dead", "rate", "announcements"}
    await room.aclose()
