"""Servers that die, are replaced by hand or hand over their slots, in the middle of traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
from redis.crc import key_slot

from approvals.errors import ApprovalsError, StoreUnavailable
from approvals.lifecycle import Status
from approvals.ports import Answer, Change, Stored
from storage.redis import RedisInbox, RedisStore, routes
from storage.redis.keys import Keys
from tests.build import AGENT, DIGEST, a_change, a_request, a_vote
from tests.servers import Cluster, Guarded, Server, clustered, guarded, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

Result = TypeVar("Result")
AGENTS = [f"agent-{number}" for number in range(6)]
REQUEST = {"type": "request", "body": "{}"}


def approve(stored: Stored) -> Change | None:
    """A yes of alice, which decides; nothing when somebody was first."""
    if stored.request.status is not Status.PENDING:
        return None
    after = stored.request.voted(a_vote(at=stored.now), jti=f"jti-{stored.request.id}")
    return a_change(after, decides=True, announce=True)


async def insisting(work: Callable[[], Awaitable[Result]], seconds: float = 30.0) -> Result:
    """Do what fails while nobody serves, until it is done: as the loops of the bot do."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(ApprovalsError):  # each try is patient by itself
                return await work()


class Traffic:
    """Approvals one after the other for each agent; what was told of is remembered."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.told: dict[str, Stored] = {}
        self.failed = 0
        self._enough = asyncio.Event()
        self._more = asyncio.Condition()

    async def one(self, agent: str) -> None:
        """A life up to the decision."""
        request = a_request(agent=agent, partitions=self.store.partitions)
        try:
            await self.store.create(request.id, lambda *_: a_change(request))
            after = await self.store.update(request.id, approve)
            await self.store.publish(after.request, {"status": "approved"})
        except ApprovalsError:
            self.failed += 1
            return
        async with self._more:
            self.told[request.id] = after
            self._more.notify_all()

    async def _endless(self, agent: str) -> None:
        while not self._enough.is_set():
            await self.one(agent)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Traffic for a while."""
        tasks = [asyncio.create_task(self._endless(agent)) for agent in AGENTS]
        try:
            yield
        finally:
            self._enough.set()
            await asyncio.gather(*tasks)

    async def more(self, count: int = 20) -> None:
        """Wait for so many more decisions."""
        goal = len(self.told) + count
        await self._until(lambda: len(self.told) >= goal)

    async def all_of(self, agents: list[str]) -> None:
        """Wait for one more decision of each of these agents."""
        before = {agent: self._count(agent) for agent in agents}
        await self._until(lambda: all(self._count(agent) > before[agent] for agent in agents))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(40), self._more:
            await self._more.wait_for(holds)

    def _count(self, agent: str) -> int:
        return sum(1 for stored in self.told.values() if stored.request.agent == agent)

    async def lost(self) -> list[str]:
        """Decisions that somebody was told of and that are not there any more."""
        return [id_ for id_, told in self.told.items() if not await self._is_kept(id_, told)]

    async def _is_kept(self, id_: str, told: Stored) -> bool:
        async def look() -> bool:
            kept = (await self.store.get(id_)).request
            return kept.decision == told.request.decision

        try:
            return await look()
        except StoreUnavailable:
            return await insisting(look)
        except ApprovalsError:
            return False


async def adopted(store: RedisStore) -> RedisStore:
    """The store with a policy in force."""
    await store.adopt(DIGEST, "version: 1", {"event": "policy"})
    return store


async def journals_are_whole(store: RedisStore) -> None:
    """Every journal is numbered without a gap."""
    for partition in range(store.partitions):
        numbers = [entry.number async for entry in store.journal(partition)]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.fixture
def watched() -> Any:
    """A master with replicas and sentinels of its own, to be broken."""
    with guarded("--appendonly", "yes") as found:
        yield found


@pytest.fixture
def own_cluster() -> Any:
    """A cluster of its own, to be broken."""
    with clustered("--appendonly", "yes") as found:
        yield found


@pytest.fixture(scope="module")
def slots() -> Any:
    """A cluster whose slots may move to and fro."""
    with clustered("--appendonly", "yes") as found:
        yield found


# ---- Sentinel


async def test_a_master_that_dies_is_replaced_and_nothing_told_is_lost(watched: Guarded) -> None:
    async with await RedisStore.connect(watched.url, replicas=1) as store:
        traffic = Traffic(await adopted(store))
        async with traffic.flowing():
            await traffic.more()
            watched.master().kill()
            await traffic.more()
        assert traffic.failed
        assert await traffic.lost() == []
        await journals_are_whole(store)


async def test_a_master_that_was_replaced_by_hand_takes_no_decision_with_it(watched: Guarded) -> None:
    async with await RedisStore.connect(watched.url) as store:
        assert store.replicas == 2
        traffic = Traffic(await adopted(store))
        before = watched.master()
        async with traffic.flowing():
            await traffic.more()
            assert "+OK" in watched.sentinels[0].command("SENTINEL", "FAILOVER", "approvals")
            await asyncio.to_thread(wait_until, lambda: watched.master() is not before)
            await traffic.more()
        assert await traffic.lost() == []
        await journals_are_whole(store)


async def test_the_inbox_goes_on_at_the_new_master(watched: Guarded) -> None:
    async with await RedisStore.connect(watched.url, replicas=1) as store, store.inbox("bot") as inbox:
        await adopted(store)
        await inbox.watch([AGENT], [])
        before = watched.master()
        before.command("XADD", Keys(0).intake(AGENT, tool=False), "*", "type", "request", "body", "1")
        before.command("WAIT", "2", "5000")
        (first,) = await inbox.take(limit=10, block=1_000)
        await asyncio.to_thread(wait_until, watched.is_whole)
        before.freeze()
        await asyncio.to_thread(wait_until, lambda: watched.master() is not before)
        watched.master().command("XADD", Keys(0).intake(AGENT, tool=False), "*", "type", "request", "body", "2")

        async def second() -> Any:
            (entry,) = await inbox.take(limit=10, block=1_000)
            return entry

        async def settled() -> list[Any]:
            return list(await inbox.reclaim(idle=0, limit=10))

        assert (await insisting(lambda: _some(inbox))).body == b"2"
        assert {entry.body for entry in await insisting(settled)} >= {first.body}
        before.thaw()


async def _some(inbox: RedisInbox) -> Any:
    """The next entry; StoreUnavailable while there is none."""
    entries = await inbox.take(limit=1, block=200)
    if not entries:
        raise StoreUnavailable("nothing yet")
    return entries[0]


async def test_without_any_sentinel_the_master_that_is_known_still_serves(
    watched: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "ASK_EVERY", 0.0)
    async with await RedisStore.connect(watched.url, replicas=0) as store:
        traffic = Traffic(await adopted(store))
        for sentinel in watched.sentinels:
            sentinel.kill()
        for _ in range(3):
            await traffic.one(AGENT)
        assert (len(traffic.told), traffic.failed) == (3, 0)


async def test_sentinels_that_know_no_such_service_are_an_unavailable_store(watched: Guarded) -> None:
    with pytest.raises(StoreUnavailable):
        await RedisStore.connect(watched.url.replace("/approvals", "/other"))


# ---- Cluster


def homes(cluster: Cluster, store: RedisStore) -> dict[int, Server]:
    """The master of each partition."""
    return {partition: cluster.serving(Keys(partition).meta) for partition in range(store.partitions)}


async def test_the_partitions_of_the_tests_lie_on_different_masters(slots: Cluster) -> None:
    async with await RedisStore.connect(slots.url, partitions=3) as store:
        assert len({server.port for server in homes(slots, store).values()}) > 1
        assert store.replicas == 1


async def test_when_a_master_of_the_cluster_dies_only_its_partitions_wait(own_cluster: Cluster) -> None:
    async with await RedisStore.connect(own_cluster.url, partitions=3, replicas=0) as store:
        traffic = Traffic(await adopted(store))
        masters = homes(own_cluster, store)
        others = [a for a in AGENTS if masters[store_home(store, a)] is not masters[store_home(store, AGENTS[0])]]
        assert others
        async with traffic.flowing():
            await traffic.all_of(AGENTS)
            sure, doomed = dict(traffic.told), masters[store_home(store, AGENTS[0])]
            await asyncio.to_thread(has_caught_up, own_cluster.replica_of(doomed), doomed)
            doomed.kill()
            await traffic.all_of(others)
            await traffic.all_of(AGENTS)
        traffic.told = sure
        assert await traffic.lost() == []


def has_caught_up(replica: Server, master: Server) -> None:
    """Return when a replica has what its master has now: without WAIT nothing more is sure to survive."""
    there = offset(master, "master_repl_offset")
    wait_until(lambda: offset(replica, "slave_repl_offset") >= there)


def offset(server: Server, name: str) -> int:
    """How far a server has come."""
    lines = server.command("INFO", "replication").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split(":")[1])


def store_home(store: RedisStore, agent: str) -> int:
    """The partition of an agent."""
    return int(a_request(agent=agent, partitions=store.partitions).id.split("-")[0])


async def test_a_handover_in_the_cluster_loses_nothing(slots: Cluster) -> None:
    async with await RedisStore.connect(slots.url, partitions=3, replicas=1, confirm=1_500) as store:
        traffic = Traffic(await adopted(store))
        master = homes(slots, store)[store_home(store, AGENTS[0])]
        replica = slots.replica_of(master)
        async with traffic.flowing():
            await traffic.all_of(AGENTS)
            assert "+OK" in replica.command("CLUSTER", "FAILOVER")
            await asyncio.to_thread(wait_until, lambda: replica in slots.masters())
            await traffic.all_of(AGENTS)
        assert await traffic.lost() == []
        await journals_are_whole(store)


def key_count(server: Server, slot: int) -> int:
    """How many keys a server holds in a slot."""
    return int(server.command("CLUSTER", "COUNTKEYSINSLOT", str(slot)).strip(":\r\n"))


class Move:
    """A slot that moves from one master to another, step by step."""

    def __init__(self, cluster: Cluster, key: str) -> None:
        self.slot = str(key_slot(key.encode()))
        self.source = cluster.serving(key)
        self.target = next(node for node in cluster.masters() if node is not self.source)
        self.masters = cluster.masters()
        self._names = [_name(server) for server in (self.source, self.target)]

    def begin(self) -> None:
        """From here on the source says ASK for keys that it has not."""
        self.target.command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self._names[0])
        self.source.command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self._names[1])

    def some(self, count: int) -> int:
        """Move some keys; returns how many."""
        keys = self.source.command("CLUSTER", "GETKEYSINSLOT", self.slot, str(count)).split("\r\n")[2::2]
        if keys:
            place = ("127.0.0.1", str(self.target.port), "", "0", "5000")
            assert "+OK" in self.source.command("MIGRATE", *place, "KEYS", *keys)
        return len(keys)

    def all(self) -> None:
        """Move every key."""
        while self.some(5):
            pass

    def end(self) -> None:
        """From here on the source says MOVED."""
        for server in [self.target, self.source, *self.masters]:
            server.command("CLUSTER", "SETSLOT", self.slot, "NODE", self._names[1])


def _name(server: Server) -> str:
    return server.command("CLUSTER", "MYID").split("\r\n")[1]


async def test_a_slot_that_moves_under_traffic_loses_nothing(slots: Cluster) -> None:
    async with await RedisStore.connect(slots.url, partitions=3, replicas=0) as store:
        traffic = Traffic(await adopted(store))
        agent = AGENTS[0]
        move = Move(slots, Keys(store_home(store, agent)).meta)
        async with traffic.flowing():
            await traffic.all_of(AGENTS)
            move.begin()
            await asyncio.to_thread(move.all)
            await asyncio.to_thread(move.end)
            await traffic.all_of(AGENTS)
        assert key_count(move.target, int(move.slot)) > 0
        assert await traffic.lost() == []
        await journals_are_whole(store)


async def test_while_a_slot_moves_nothing_is_half_done_and_then_it_goes_on(slots: Cluster) -> None:
    async with await RedisStore.connect(slots.url, partitions=3, replicas=0) as store:
        await adopted(store)
        home = store_home(store, AGENTS[0])
        request = a_request(agent=AGENTS[0], partitions=3)
        created, _ = await store.create(request.id, lambda *_: a_change(request))
        before = [entry async for entry in store.journal(home)]
        move = Move(slots, Keys(home).meta)
        move.begin()
        assert move.some(3) == 3  # the keys of one script lie on two servers now, and neither runs it
        with pytest.raises(StoreUnavailable):
            await store.update(request.id, approve, known=created)
        move.all()
        assert [entry async for entry in store.journal(home)] == before  # by asking where the keys went
        move.end()
        assert (await store.get(request.id)).request == created.request
        assert (await store.update(request.id, approve)).request.version == 2


async def test_the_inbox_reads_every_slot_and_a_dead_one_blocks_no_other(own_cluster: Cluster) -> None:
    async with await RedisStore.connect(own_cluster.url, partitions=3, replicas=0) as store, store.inbox("b") as inbox:
        await adopted(store)
        await inbox.watch(AGENTS, [])
        masters = homes(own_cluster, store)
        for agent in AGENTS:
            home = store_home(store, agent)
            masters[home].command("XADD", Keys(home).intake(agent, tool=False), "*", "type", "request", "body", "{}")
        found: set[str] = set()
        async with asyncio.timeout(20):
            while len(found) < len(AGENTS):
                for entry in await inbox.take(limit=10, block=200):
                    found.add(entry.owner)
                    await inbox.answer(entry, Answer("pending", {}))
        dead = masters[store_home(store, AGENTS[0])]
        other = next(agent for agent in AGENTS if masters[store_home(store, agent)] is not dead)
        dead.kill()
        home = store_home(store, other)
        masters[home].command("XADD", Keys(home).intake(other, tool=False), "*", "type", "request", "body", "{}")
        assert (await insisting(lambda: _some(inbox))).owner == other
