"""A failover in the middle of waiting, by URL alone: nobody's answer is lost, and no yes is used twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sayso
from approvals.lifecycle import Status
from storage.redis.keys import Keys
from tests.approvals.make import AGENT
from tests.contract.house import Running, serving, surely
from tests.servers import SERVICE, Cluster, Guarded, clustered, guarded, wait_until

pytestmark = pytest.mark.redis

KEY = Keys(0).out(AGENT, tool=False)
PACE = sayso.Pace(block=1, submit=60, spend=30, collect=30, report=30, resend=0.5, most_backoff=0.2)


@pytest.fixture
def watched() -> Iterator[Guarded]:
    """A master with two replicas, under three sentinels."""
    with guarded() as found:
        yield found


@pytest.fixture
def spread() -> Iterator[Cluster]:
    """Three masters with a replica each."""
    with clustered() as found:
        yield found


async def lives_through(failover: Callable[[], object], url: str, folder: Path) -> None:
    """Twenty wait while the master changes, one asks meanwhile; all are answered, and a yes is used, once."""
    async with (
        serving(url, folder, replicas=1, confirm=1_500) as house,
        sayso.Sayso.connect(url, agent=AGENT, trust=house.trust, pace=PACE) as client,
    ):
        pending = [await client.ask_nowait(**payment(f"run/{number}")) for number in range(20)]
        waiting = [asyncio.create_task(one.decision()) for one in pending]
        await house.seen("run/19")
        await asyncio.to_thread(failover)
        house.opinion = lambda request: ("approve", "")
        approval = await client.ask(**payment("meanwhile"))
        async with asyncio.timeout(60):
            approvals = [*await asyncio.gather(*waiting), approval]
        assert [one.call for one in approvals] == [*(f"run/{number}" for number in range(20)), "meanwhile"]
        await is_good_for_one_use(approval, house)


async def is_good_for_one_use(approval: sayso.Approval, house: Running) -> None:
    """Use a yes, and find it used."""
    async with approval.spend() as action:
        assert action.arguments == {"call": approval.call}
    with pytest.raises(sayso.AlreadySpent):
        async with approval.spend():
            pytest.fail("must not run twice")

    async def succeeded() -> bool:
        return (await house.store.get(approval.request)).request.status is Status.SUCCEEDED

    assert await house.store.until(lambda: surely(succeeded))


def payment(call: str) -> dict[str, Any]:
    """What is asked."""
    return {"kind": "payments.release", "target": "bank:acme", "arguments": {"call": call}, "call": call}


async def test_agents_live_through_the_death_of_a_watched_master(watched: Guarded, tmp_path: Path) -> None:
    await lives_through(watched.master().kill, watched.url, tmp_path)


async def test_agents_live_through_the_death_of_a_master_of_the_cluster(spread: Cluster, tmp_path: Path) -> None:
    master = spread.serving(KEY)

    def failover() -> None:
        master.kill()
        wait_until(lambda: spread.serving(KEY) is not master)
        master.start()  # as a replica: without one, nothing that people decide counts as safe

    await lives_through(failover, spread.url, tmp_path)


@pytest.mark.full
async def test_agents_live_through_a_failover_by_hand_after_which_the_old_master_takes_writes_for_seconds(
    watched: Guarded, tmp_path: Path
) -> None:
    before = watched.master()

    def failover() -> None:
        watched.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        wait_until(lambda: watched.master() is not before)

    await lives_through(failover, watched.url, tmp_path)


@pytest.mark.full
async def test_agents_live_through_a_failover_of_the_cluster_by_hand(spread: Cluster, tmp_path: Path) -> None:
    replica = spread.replica_of(spread.serving(KEY))

    def failover() -> None:
        replica.command("CLUSTER", "FAILOVER")
        wait_until(lambda: "role:master" in replica.command("INFO", "replication"))

    await lives_through(failover, spread.url, tmp_path)
