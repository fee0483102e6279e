"""What lies in Redis for each pending request, and whether work stays as cheap when many are pending.

µs are what the server itself noted for the commands of an operation (SLOWLOG with a threshold of 0).
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from approvals.indices import Query
from approvals.intake import read_request
from approvals.ports import Queue
from approvals.service import Approvals
from benchmarks.house import a_service, agent_names, request_body
from benchmarks.report import Figure
from benchmarks.servers import Gauge, a_place
from storage.redis.store import RedisStore

FEW: Final = 1_000
_AT_ONCE: Final = 200
_OPERATIONS: Final = 300


@dataclass(frozen=True)
class Work:
    """Server-side µs of one operation."""

    page: float
    sweep: float
    submit: float


async def measure(quick: bool, many: int = 100_000) -> list[Figure]:
    """Bytes per pending request, and µs of a page, a sweep and a submission at `many` against 1,000."""
    few, many = (100, 1_000) if quick else (FEW, many)
    agent = agent_names(1)[0]
    async with a_place() as place, a_service(place.url, place.folder, [agent]) as (store, service):
        gauge = Gauge(place.url)
        try:
            begun = await gauge.memory()
            await _ask(service, agent, 0, few)
            each, apart = (await gauge.memory() - begun) / few, await _parts(gauge)
            at_few = await _work(gauge, store, service, agent, few)
            await _ask(service, agent, few + _OPERATIONS, many - few - _OPERATIONS)
            at_many = await _work(gauge, store, service, agent, many)
        finally:
            await gauge.aclose()
    rows = [Figure("memory in Redis per pending request (used_memory)", each / 1024, "KB", 2.5, note=apart)]
    for name, value, base in (
        ("a page of 25", at_many.page, at_few.page),
        ("a sweep of timers, nothing due", at_many.sweep, at_few.sweep),
        ("a submission", at_many.submit, at_few.submit),
    ):
        rows += [
            Figure(f"{name}, server µs, {many:,} pending × {few:,}", value / base, "×", 2.0),
            Figure(f"{name}, server µs, {many:,} pending", value, "µs"),
        ]
    return rows


async def _ask(service: Approvals, agent: str, first: int, count: int) -> None:
    """Have so many requests pending, each for a target of its own."""
    for start in range(first, first + count, _AT_ONCE):
        group = range(start, min(start + _AT_ONCE, first + count))
        await asyncio.gather(*(_submit(service, agent, number) for number in group))


async def _submit(service: Approvals, agent: str, number: int) -> None:
    body = request_body(f"run/{number}", target=f"service:billing-{number}@production", argument=_argument())
    await service.submit(read_request(body), agent)


def _argument() -> str:
    """200 characters, half of them as hard to compress as a machine's ids, half a person's words."""
    return base64.b64encode(os.urandom(75)).decode() + ("roll out the billing service to every region, " * 3)[:100]


async def _work(gauge: Gauge, store: RedisStore, service: Approvals, agent: str, first: int) -> Work:
    """What the server works for one of each."""

    middle = (await store.list(Query(), limit=100)).cursor or ""

    async def page(number: int) -> None:
        await store.list(Query(), middle if number % 2 else "", 25)

    async def sweep(number: int) -> None:
        await store.due(Queue.TIMERS, limit=200, lease=10_000)

    async def submit(number: int) -> None:
        await _submit(service, agent, first + number)

    return Work(await _typical(gauge, page), await _typical(gauge, sweep), await _typical(gauge, submit))


async def _typical(gauge: Gauge, operation: Callable[[int], Awaitable[None]]) -> float:
    await gauge.begin()
    for number in range(_OPERATIONS):
        await operation(number)
    return await gauge.microseconds(_OPERATIONS)


async def _parts(gauge: Gauge) -> str:
    """Where the bytes lie: a few requests' own keys, and the shared ones for each request."""
    parts = []
    for name in ("request", "code", "like"):
        keys = (await gauge.keys(f"{{sayso:0}}:{name}:*"))[:100]
        parts.append((name, sum([await gauge.size(key) for key in keys]) / max(1, len(keys))))
    total = len(await gauge.keys("{sayso:0}:request:*"))
    for name in ("journal", "timers", "cards", "pending"):
        parts.append((name, await gauge.size(f"{{sayso:0}}:{name}") / total))
    return ", ".join(f"{name} {size:.0f} B" for name, size in parts)
