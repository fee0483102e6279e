"""Every row of the table in docs/reference/benchmarks.md; `--only` picks some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from benchmarks import agents, counting, pending, replicas, throughput, wait, waiters
from benchmarks.report import Figure

_WAITS: Final = 300


async def _wait(quick: bool) -> list[Figure]:
    return await wait.measure(20 if quick else _WAITS)


ROWS: Final[dict[str, Callable[[bool], Awaitable[list[Figure]]]]] = {
    "counts": counting.measure,
    "throughput": throughput.measure,
    "wait": _wait,
    "agents": agents.measure,
    "waiters": waiters.measure,
    "pending": pending.measure,
    "replicas": replicas.measure,
}


async def measure(only: Sequence[str], *, quick: bool, pending_requests: int) -> list[Figure]:
    """The figures of these rows (all, when none is named), one row after the other."""
    figures: list[Figure] = []
    for name, row in ROWS.items():
        if only and name not in only:
            continue
        figures += await (pending.measure(quick, pending_requests) if name == "pending" else row(quick))
    return figures
