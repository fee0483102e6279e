"""A decision is published only when it is on as many replicas as the operator wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from approvals.errors import NotConfirmed
from approvals.lifecycle import Status
from approvals.ports import Change, Queue, Stored
from storage.redis import RedisStore, ServerUnfit
from tests.build import AGENT, DIGEST, a_change, a_request, a_vote
from tests.servers import Server, running
from tests.storage.conftest import RedisRoom, redis_room
from tests.storage.lossy import lossy

pytestmark = pytest.mark.redis


@dataclass
class Pair:
    """A master, its replica, and two memories on the master that want one replica: a patient and a hasty one."""

    room: RedisRoom
    hasty: RedisStore  #: for what must not be confirmed: it gives up soon
    master: Server
    replica: Server

    @property
    def store(self) -> RedisStore:
        """For what must be confirmed: it waits long, so that a busy machine makes no difference."""
        return self.room.store

    async def catch_up(self) -> None:
        """Wait until the replica has what was written before."""
        acks = 0
        while not acks:
            _, acks = await self.room.client.pipeline(transaction=False).set("x", "1").wait(1, 1_000).execute()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A master and a replica that has everything."""
    options = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
    with running(*options) as master, running(*options, "--replicaof", f"127.0.0.1 {master.port}") as replica:
        room = await redis_room(master, confirm=10_000, timeout=20.0, replicas=1)
        await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
        async with await RedisStore.connect(master.url, confirm=100, replicas=1) as hasty:
            pair = Pair(room, hasty, master, replica)
            await pair.catch_up()
            yield pair
        replica.thaw()
        await room.aclose()


async def create(store: RedisStore) -> Stored:
    """A pending request."""
    request = a_request(now=await store.now())
    return (await store.create(request.id, lambda *_: a_change(request)))[0]


def approve(stored: Stored) -> Change:
    """A yes that decides."""
    return a_change(stored.request.voted(a_vote(at=stored.now), jti="j"), decides=True, announce=True)


async def test_as_many_replicas_are_wanted_as_are_there(pair: Pair) -> None:
    async with await RedisStore.connect(pair.master.url) as store:
        assert store.replicas == 1


async def test_with_its_replica_a_decision_is_published(pair: Pair) -> None:
    stored = await create(pair.store)
    after = await pair.store.update(stored.request.id, approve)
    await pair.store.publish(after.request, {"status": "approved"})
    assert await pair.room.decision(AGENT, stored.request.id) is not None


async def test_without_its_replica_a_decision_stands_but_is_not_published(pair: Pair) -> None:
    stored = await create(pair.store)
    pair.replica.freeze()
    with pytest.raises(NotConfirmed):
        await pair.hasty.update(stored.request.id, approve)
    kept = await pair.store.get(stored.request.id)
    assert (kept.request.status, kept.request.version) == (Status.APPROVED, 2)
    with pytest.raises(NotConfirmed):
        await pair.hasty.publish(kept.request, {"status": "approved"})
    assert await pair.room.decision(AGENT, stored.request.id) is None
    assert await pair.room.answers(AGENT) == []
    pair.replica.thaw()
    pair.room.advance(2_001)
    assert await pair.store.due(Queue.ANNOUNCEMENTS, limit=1, lease=1) == [stored.request.id]
    await pair.catch_up()
    await pair.store.publish(kept.request, {"status": "approved"})
    assert await pair.room.decision(AGENT, stored.request.id) is not None


async def test_a_spend_that_was_not_confirmed_does_not_pass_for_safe_when_asked_again(pair: Pair) -> None:
    stored = await create(pair.store)
    await pair.store.update(stored.request.id, approve)

    def spend(current: Stored) -> Change | None:
        if current.request.status is Status.SPENT:
            return None
        return a_change(current.request.spent("attempt-1", AGENT, current.now), announce=True)

    pair.replica.freeze()
    for _ in range(2):
        with pytest.raises(NotConfirmed):
            await pair.hasty.update(stored.request.id, spend)
    pair.replica.thaw()
    await pair.catch_up()
    assert (await pair.store.update(stored.request.id, spend)).request.status is Status.SPENT


async def test_a_commit_that_was_sent_twice_is_not_taken_for_confirmed(pair: Pair) -> None:
    async with (
        lossy(pair.master.port) as line,
        await RedisStore.connect(line.url, replicas=1, confirm=100) as store,
    ):
        stored = await create(store)

        def change(current: Stored) -> Change:
            pair.replica.freeze()
            line.lose_replies = 1
            return approve(current)

        with pytest.raises(NotConfirmed):
            await store.update(stored.request.id, change)


async def test_what_a_partition_holds_is_assured_once_its_replica_has_it(pair: Pair) -> None:
    await pair.store.note({"event": "a"})
    await pair.store.assure(0)
    pair.replica.freeze()
    await pair.store.note({"event": "b"})
    with pytest.raises(NotConfirmed):
        await pair.hasty.assure(0)
    pair.replica.thaw()
    await pair.store.assure(0)


async def test_nobody_waits_for_replicas_longer_than_for_a_reply(pair: Pair) -> None:
    with pytest.raises(ValueError, match="confirm"):
        await RedisStore.connect(pair.master.url, confirm=2_000, timeout=2.0)


async def test_what_decides_nothing_waits_for_nobody(pair: Pair) -> None:
    pair.replica.freeze()
    stored = await create(pair.store)
    assert stored.request.version == 1


async def test_more_replicas_than_there_are_never_confirm(pair: Pair) -> None:
    async with await RedisStore.connect(pair.master.url, replicas=2, confirm=50) as store:
        stored = await create(store)
        with pytest.raises(NotConfirmed):
            await store.update(stored.request.id, approve)


async def test_a_replica_is_no_place_for_a_memory(pair: Pair) -> None:
    with pytest.raises(ServerUnfit, match="replica"):
        await RedisStore.connect(pair.replica.url)
