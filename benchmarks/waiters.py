"""Ten thousand who wait in one agent process with the SDK, over one reading connection; and what one of them takes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import sayso
from benchmarks.house import CLICK, ISSUER, PLACE, a_service, agent_names
from benchmarks.processes import bot, child
from benchmarks.report import Figure
from benchmarks.servers import Place, a_place

_AT_ONCE = 100


async def measure(quick: bool) -> list[Figure]:
    """How many of the waiters were woken by an approval, and the bytes each took while it waited."""
    count = 200 if quick else 10_000
    agents = agent_names(1)
    async with a_place() as place:
        with child(bot, place.url, place.folder, agents, False):
            woken, each, resident = await _wait(place, agents[0], count)
    return [
        Figure("waiters on one connection", count, ""),
        Figure("waiters on one connection, not woken", count - woken, "", 0),
        Figure("memory per waiter, tracemalloc", each / 1024, "KB", 4.0),
        Figure("memory per waiter, RSS of the process", resident / 1024, "KB"),
    ]


async def _wait(place: Place, agent: str, count: int) -> tuple[int, float, float]:
    trust = place.folder / "jwks.json"
    async with (
        a_service(place.url, place.folder, [agent]) as (_, service),
        sayso.Sayso.connect(place.url, agent=agent, trust=str(trust), issuer=ISSUER) as client,
    ):
        warm = await client.ask_nowait("bench.run", target=PLACE, arguments={"n": "warm"})
        await _acknowledged([warm])
        gc.collect()
        tracemalloc.start()
        before, resident = tracemalloc.get_traced_memory()[0], _resident()
        waiting = await _ask(client, count)
        tasks = [asyncio.create_task(pending.decision()) for pending in waiting]
        await _acknowledged(waiting)
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / count
        tracemalloc.stop()
        grown = (_resident() - resident) / count
        ids = [pending.request for pending in waiting]
        for start in range(0, count, _AT_ONCE):
            await asyncio.gather(*(service.vote(request, CLICK) for request in ids[start : start + _AT_ONCE]))
        async with asyncio.timeout(60):
            approvals = await asyncio.gather(*tasks)
    return len({approval.request for approval in approvals}), each, grown


async def _ask(client: sayso.Sayso, count: int) -> list[sayso.Pending]:
    """Requests of so many waiters, some at a time."""
    waiting: list[sayso.Pending] = []
    for start in range(0, count, _AT_ONCE):
        group = range(start, min(start + _AT_ONCE, count))
        waiting += await asyncio.gather(
            *(client.ask_nowait("bench.run", target=PLACE, arguments={"n": str(number)}) for number in group)
        )
    return waiting


async def _acknowledged(waiting: list[sayso.Pending]) -> None:
    """Return once the bot has said that it has every request."""
    async with asyncio.timeout(300):
        while not all(pending.acknowledged for pending in waiting):  # noqa: ASYNC110 - the SDK tells nobody of it
            await asyncio.sleep(0.05)


def _resident() -> int:
    """Resident bytes of this process (Linux; 0 elsewhere)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4_096
    except FileNotFoundError:
        return 0
