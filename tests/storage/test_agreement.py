"""The memory in this process and the one in Redis do the same, whatever is asked of them in whatever order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.action import request_id
from approvals.errors import ApprovalsError
from approvals.indices import Query
from approvals.lifecycle import Event, Status
from approvals.ports import Change, Post, Queue, Stored
from approvals.request import Request
from tests.build import CHANNEL, a_change, a_request, a_vote, an_action, some_terms
from tests.servers import Server
from tests.storage.conftest import MemoryRoom, RedisRoom, Room, redis_room

pytestmark = pytest.mark.redis

# Time moves in steps of 100,000 ms and every limit lies half a step away, so that the milliseconds by which the two
# clocks differ never matter.
TERMS = some_terms(within=1_850_000, use_within=950_000, outcome_within=650_000)
HALF = 50_000
CALLS = [("one", "call-1"), ("two", "call-2")]
ACTIONS = [an_action() for _ in CALLS]
DESTINATIONS = [CHANNEL, "slack:C0OTHER"]
EPOCHS = ["sha256:a", "sha256:b"]

Step = tuple[Any, ...]


class Side:
    """One of the two memories, with names for what is asked of it; every answer is comparable."""

    def __init__(self, room: Room, base: int) -> None:
        self.room = room
        self.store = room.store
        self.base = base
        self.offset = 0
        self.created = 0

    def id(self, which: int) -> str:
        return request_id(*CALLS[which], self.room.partitions)

    async def advance(self, steps: int) -> None:
        self.offset += steps * 100_000
        self.room.advance(steps * 100_000)

    async def create(self, which: int, epoch: str) -> Any:
        agent, call = CALLS[which]
        self.created += 1
        request = a_request(
            agent=agent,
            call=call,
            action=ACTIONS[which],
            terms=TERMS,
            destinations=DESTINATIONS[: which % 2 + 1],
            partitions=self.room.partitions,
            now=self.base + self.offset + self.created,
        )
        stored, new = await self.store.create(request.id, lambda *_: a_change(request, epoch=epoch))
        return seen(stored.request), new

    async def change(self, which: int, how: str, epoch: str, person: str) -> Any:
        def change(stored: Stored) -> Change | None:
            after = CHANGES[how](stored, person)
            settled = stored.request.decision is None and after.decision is not None
            return a_change(after, epoch=epoch, decides=settled, announce=settled, show=how != "touched")

        return seen((await self.store.update(self.id(which), change)).request)

    async def window(self, which: int, before: int, after: int) -> Any:
        now = await self.store.now()
        (epoch, _) = await self.store.epoch() or ("", "")
        window = {"not_before": now + before * HALF, "not_after": now + after * HALF, "epoch": epoch}
        stored = await self.store.update(self.id(which), lambda s: a_change(s.request, **window))
        return seen(stored.request)

    async def adopt(self, epoch: str) -> Any:
        await self.store.adopt(epoch, f"text of {epoch}", {"event": "policy", "digest": epoch})
        return await self.store.epoch()

    async def due(self, queue: Queue) -> Any:
        return sorted(await self.store.due(queue, limit=100, lease=HALF))

    async def settle(self, queue: Queue, which: int, version: int) -> Any:
        return await self.store.settle(queue, self.id(which), version)

    async def postpone(self, queue: Queue, which: int, steps: int) -> Any:
        await self.store.postpone(queue, self.id(which), steps * 100_000 + HALF)

    async def intend(self, which: int, destination: str, token: str) -> Any:
        return posted(await self.store.intend(self.id(which), destination, token))

    async def record(self, which: int, destination: str, state: Any) -> Any:
        await self.store.record_post(self.id(which), Post(destination, state, 7, {"ts": "1"}, "sha256:x"))
        stored = await self.store.get(self.id(which))
        return {name: posted(post) for name, post in stored.posts.items()}

    async def publish(self, which: int, again: bool) -> Any:
        stored = await self.store.get(self.id(which))
        await self.store.publish(stored.request, {"status": stored.request.status.value}, again=again)

    async def publish_old(self, which: int) -> Any:
        stored = await self.store.get(self.id(which))
        old = stored.request.model_copy(update={"version": stored.request.version - 1})
        await self.store.publish(old, {"status": "old"})

    async def list(self, statuses: tuple[Status, ...], agent: str | None, destination: str | None, limit: int) -> Any:
        found: Any = []
        cursor: str | None = ""
        query = Query(statuses=statuses, agent=agent, destination=destination)
        while cursor is not None:
            page = await self.store.list(query, cursor, limit)
            found += [seen(one) for one in page.requests]
            cursor = page.cursor
        return found

    async def find(self, which: int) -> Any:
        return await self.store.find((await self.store.get(self.id(which))).request.code)

    async def pace(self, destination: str) -> Any:
        return round(await self.store.may_post(destination, 1, 3) / 10_000)

    async def hold(self, destination: str, steps: int) -> Any:
        await self.store.hold_posts(destination, steps * 100_000 + HALF)

    async def note(self, text: str, partition: int) -> Any:
        return await self.store.note({"text": text}, partition=partition % self.room.partitions)

    async def render(self, text: bytes) -> Any:
        await self.store.keep_rendering(f"sha256:{len(text)}", text)
        return await self.store.rendering(f"sha256:{len(text)}")

    async def ask(self, name: str, *args: Any) -> Any:
        """The answer, or the error with what it tells."""
        try:
            return await getattr(self, name)(*args)
        except ApprovalsError as exc:
            return type(exc).__name__, getattr(exc, "too_late", None), getattr(exc, "epoch", None)

    async def everything(self) -> Mapping[str, Any]:
        """All that can be seen at the end."""
        journals = [
            [(entry.number, entry.record) async for entry in self.store.journal(partition)]
            for partition in range(self.room.partitions)
        ]
        agents = sorted({agent for agent, _ in CALLS})
        return {
            "journals": journals,
            "requests": [await self.ask("change", which, "nothing", "", "") for which in range(len(CALLS))],
            "answers": {agent: await self.room.answers(agent) for agent in agents},
            "decisions": [await self.room.decision(agent, self.id(n)) for n, (agent, _) in enumerate(CALLS)],
        }


def seen(request: Request) -> Any:
    """What of a request does not depend on the milliseconds of a clock."""
    votes = [(vote.person, vote.answer) for vote in request.votes]
    return json.loads(request.model_dump_json(include={"id", "digest", "status"})), (
        request.version,
        request.decision_entry,
        votes,
    )


def posted(post: Post | None) -> Any:
    """What of a post does not depend on a clock."""
    return None if post is None else (post.destination, post.state, dict(post.reference), post.shown, post.problem)


CHANGES: dict[str, Callable[[Stored, str], Request]] = {
    "nothing": lambda s, _: s.request,
    "touched": lambda s, _: s.request,
    "approved": lambda s, p: s.request.voted(a_vote(p, at=s.now), jti="j"),
    "abstained": lambda s, p: s.request.voted(a_vote(p, at=s.now, factors=()), jti="j"),
    "denied": lambda s, p: s.request.voted(a_vote(p, "deny", at=s.now), jti="j"),
    "withdrawn": lambda s, _: s.request.withdrawn(s.now),
    "spent": lambda s, _: s.request.spent("attempt", s.request.audience, s.now),
    "succeeded": lambda s, _: s.request.reported(Event.SUCCEED, s.now),
    "lost": lambda s, _: s.request.reported(Event.LOSE, s.now),
    "in time": lambda s, _: s.request.after_time(s.now),
}

ordinary = ["touched", "approved", "abstained", "denied", "withdrawn", "spent", "succeeded", "lost", "in time"]
usual = ["approved", "approved", "spent", "touched", "abstained", "in time"]  #: what leads further into a life

which = st.integers(0, len(CALLS) - 1)
queue = st.sampled_from(list(Queue))
destination = st.sampled_from(DESTINATIONS)
statuses = st.just((Status.PENDING,)) | st.lists(st.sampled_from(list(Status)), unique=True).map(tuple)
people = st.sampled_from(["alice", "bob"])
current, other = st.just(EPOCHS[0]), st.sampled_from(EPOCHS)

work = st.one_of(
    st.tuples(st.just("due"), queue),
    st.tuples(st.just("due"), st.just(Queue.TIMERS)),
    st.tuples(st.just("settle"), queue, which, st.integers(1, 4)),
    st.tuples(st.just("settle"), st.just(Queue.TIMERS), which, st.integers(1, 3)),
    st.tuples(st.just("postpone"), queue, which, st.integers(0, 3)),
    st.tuples(st.just("advance"), st.integers(1, 20)),
    st.tuples(st.just("advance"), st.integers(1, 2)),
)
lives = st.one_of(
    st.tuples(st.just("change"), which, st.sampled_from(usual), current, people),
    st.tuples(st.just("change"), which, st.sampled_from(usual), current, people),
    st.tuples(st.just("change"), which, st.sampled_from(ordinary), other, people),
    st.tuples(st.just("create"), which, other),
    st.tuples(st.just("window"), which, st.sampled_from([-1, -1, 1]), st.sampled_from([-1, 1, 3])),
    st.tuples(st.just("publish"), which, st.booleans()),
    st.tuples(st.just("publish_old"), which),
)
places = st.one_of(
    st.tuples(st.just("intend"), which, destination, st.sampled_from(["t1", "t2"])),
    st.tuples(st.just("record"), which, destination, st.sampled_from(["posted", "failed"])),
    st.tuples(st.just("pace"), st.just(CHANNEL)),
    st.tuples(st.just("pace"), st.just(CHANNEL)),
    st.tuples(st.just("hold"), destination, st.integers(0, 3)),
)
rest = st.one_of(
    st.tuples(st.just("list"), statuses, st.sampled_from([None, "one"]), st.none() | destination, st.integers(1, 3)),
    st.tuples(st.just("find"), which),
    st.tuples(st.just("note"), st.text(max_size=5), st.integers(0, 2)),
    st.tuples(st.just("render"), st.binary(max_size=3)),
    st.tuples(st.just("adopt"), st.sampled_from([EPOCHS[0], EPOCHS[0], EPOCHS[1]])),
)
steps = st.one_of(work, lives, lives, places, rest)


BEGIN: list[Step] = [("adopt", EPOCHS[0]), ("create", 0, EPOCHS[0]), ("create", 1, EPOCHS[0])]


async def run(server: Server, sequence: list[Step], partitions: int) -> None:
    """Ask both the same, and compare every answer and all that is there at the end."""
    base = time.time_ns() // 1_000_000
    redis: RedisRoom = await redis_room(server, partitions=partitions)
    both = Side(MemoryRoom(partitions), base), Side(redis, base)
    try:
        for step in [*BEGIN, *sequence]:
            memory, other = [await side.ask(*step) for side in both]
            assert memory == other, step
        memory, other = [await side.everything() for side in both]
        assert memory == other
    finally:
        await redis.aclose()


@settings(max_examples=40)
@given(sequence=st.lists(steps, min_size=30, max_size=60), partitions=st.sampled_from([1, 1, 3]))
def test_both_memories_agree(server: Server, sequence: list[Step], partitions: int) -> None:
    asyncio.run(run(server, sequence, partitions))


@pytest.mark.full
@pytest.mark.timeout(600)
@settings(max_examples=1_000)
@given(sequence=st.lists(steps, min_size=10, max_size=80), partitions=st.sampled_from([1, 3]))
def test_both_memories_agree_at_length(server: Server, sequence: list[Step], partitions: int) -> None:
    asyncio.run(run(server, sequence, partitions))
