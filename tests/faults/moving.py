"""Servers that die or are replaced while requests flow through the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from approvals.action import partition_of
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.e2e.world import AGENT, DURABLE, World, a_world
from tests.faults.rows import Fault
from tests.faults.traffic import PACE, Traffic, decided_otherwise
from tests.servers import Cluster, Guarded, Server, clustered, guarded, running, wait_until

TRAFFIC = "in the middle of traffic"


async def _redis_killed(fsync: str, count: int) -> str:
    with running("--appendonly", "yes", "--appendfsync", fsync) as server:

        async def kill(_: World) -> None:
            server.kill()
            server.start()

        return await _through(server, server.url, {}, kill, count)


async def _by_sentinel(break_it: Callable[[Guarded], None], count: int) -> str:
    with guarded(*DURABLE) as redis:

        async def replace(_: World) -> None:
            before = redis.master()
            break_it(redis)
            await asyncio.to_thread(wait_until, lambda: redis.master() is not before, 30.0)

        settings = {"SAYSO_REDIS_REPLICAS": "1"}
        return await _through(redis.servers[0], redis.url, settings, replace, count)


async def _by_hand(count: int) -> str:
    with guarded(*DURABLE) as redis:

        async def replace(_: World) -> None:
            before = redis.master()
            assert "+OK" in redis.sentinels[0].command("SENTINEL", "FAILOVER", "approvals")
            await asyncio.to_thread(wait_until, lambda: redis.master() is not before, 30.0)

        return await _through(redis.servers[0], redis.url, {"SAYSO_REDIS_REPLICAS": "2"}, replace, count)


async def _by_cluster(break_it: Callable[[Cluster, Server], None], count: int) -> str:
    with clustered(*DURABLE) as redis:

        async def replace(_: World) -> None:
            master = redis.serving(Keys(_home()).meta)
            replica = redis.replica_of(master)
            break_it(redis, master)
            await asyncio.to_thread(wait_until, lambda: replica in redis.masters(), 30.0)
            if not master.runs:  # a decision needs a replica: it comes back as one
                master.start()

        settings = {"SAYSO_PARTITIONS": "3", "SAYSO_REDIS_REPLICAS": "1"}
        return await _through(redis.nodes[0], redis.url, settings, replace, count)


def _home() -> int:
    """The partition of the lanes' agent."""
    return partition_of(AGENT, 3)


async def _through(
    redis: Server, url: str, settings: dict[str, str], fail: Callable[[World], Awaitable[None]], count: int
) -> str:
    """Let requests flow, let it fail after a third of them; what was seen."""
    async with _a_traffic(redis, url, settings) as traffic, traffic.world.agent(**PACE) as client:
        flow = asyncio.create_task(traffic.flow(client, count))
        failing = asyncio.create_task(_after(traffic, count // 3, fail))
        async with asyncio.timeout(100):
            await asyncio.gather(flow, failing)
        return await _seen(traffic, count)


async def _after(traffic: Traffic, told: int, fail: Callable[[World], Awaitable[None]]) -> None:
    await traffic.until(told)
    await fail(traffic.world)


async def _seen(traffic: Traffic, count: int) -> str:
    """Nothing told of is lost, nothing was done or shown twice, everything was answered."""
    told = {request: keys for request, keys in traffic.agents.items() if len(keys) > 1}
    answered = len(traffic.acts) + sum(traffic.refused.values())
    wrong = {
        "lost": await traffic.lost(),
        "acts done twice": [act for act, number in traffic.acts.items() if number > 1],
        "not answered": count - answered,
        "not told": count - len(traffic.agents),
        "told two decisions": told,
        "journalled otherwise than once": await decided_otherwise(traffic.store, set(traffic.agents)),
        "with a second card": [request for request, number in traffic.cards.items() if number > 1],
    }
    assert not any(wrong.values()), wrong
    refused = f", {dict(traffic.refused)}" if traffic.refused else ""
    return (
        f"{count} requests, each with one card, {count} decisions, none that was told of lost,"
        f" {len(traffic.acts)} acts{refused}"
    )


@asynccontextmanager
async def _a_traffic(redis: Server, url: str, settings: dict[str, str]) -> AsyncIterator[Traffic]:
    async with a_world(redis=redis, url=url) as world:
        world.settings = settings
        await world.bot(hasty=True)
        partitions = int(settings.get("SAYSO_PARTITIONS", "1"))
        async with await RedisStore.connect(url, partitions=partitions, replicas=0) as store:
            yield Traffic(world, store)


def _kill_master(redis: Guarded) -> None:
    redis.master().kill()


def _kill(_: Cluster, master: Server) -> None:
    master.kill()


def _hand_over(redis: Cluster, master: Server) -> None:
    assert "+OK" in redis.replica_of(master).command("CLUSTER", "FAILOVER")


FAULTS = [
    Fault(TRAFFIC, "Redis killed (`always`)", lambda: _redis_killed("always", 9)),
    Fault(TRAFFIC, "Redis killed (`everysec`)", lambda: _redis_killed("everysec", 36), slow=True),
    Fault(TRAFFIC, "Sentinel: master killed", lambda: _by_sentinel(_kill_master, 36), slow=True),
    Fault(TRAFFIC, "Sentinel: `SENTINEL FAILOVER`", lambda: _by_hand(36), slow=True),
    Fault(TRAFFIC, "Cluster: master killed, back as a replica", lambda: _by_cluster(_kill, 36), slow=True),
    Fault(TRAFFIC, "Cluster: `CLUSTER FAILOVER`", lambda: _by_cluster(_hand_over, 36), slow=True),
]
