"""From an agent's submission to the bot's word that it is pending, with few and with many agents registered.

Three bots run at once, each on a server of its own, and one process asks them in turn, a random agent each time: all
three meet the same machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import redis.asyncio as redis

from benchmarks.house import agent_names, request_body
from benchmarks.processes import bot, child, streams_of
from benchmarks.report import Figure, percentile
from benchmarks.servers import a_place

_CROWDS: Final = (1, 100, 5_000)


async def measure(quick: bool) -> list[Figure]:
    """p50 and p99 for each crowd, and its p50 against a single agent's."""
    count = 20 if quick else 400
    took: dict[int, list[float]] = {crowd: [] for crowd in _CROWDS}
    async with AsyncExitStack() as stack:
        lines = {crowd: await _crowd(stack, crowd) for crowd in _CROWDS}
        for number in range(count + count // 10):
            for crowd, line in lines.items():
                seconds = await _submitted(line, random.choice(agent_names(crowd)), number)
                if number >= count // 10:
                    took[crowd].append(seconds)
    return [figure for crowd, times in took.items() for figure in _figures(crowd, times, took[1])]


def _figures(crowd: int, times: list[float], alone: list[float]) -> list[Figure]:
    what = f"submit to pending, {crowd} agents" if crowd > 1 else "submit to pending, 1 agent"
    p50 = percentile(times, 0.5)
    figures = [
        Figure(f"{what}, p50", p50 * 1000, "ms"),
        Figure(f"{what}, p99", percentile(times, 0.99) * 1000, "ms"),
    ]
    ratio = Figure(f"{what}, p50, × one agent", p50 / percentile(alone, 0.5), "×", 3.0)
    return figures if crowd == 1 else [ratio, *figures]


async def _crowd(stack: AsyncExitStack, crowd: int) -> Any:
    """A bot with so many agents; returns a line to its server."""
    place = await stack.enter_async_context(a_place())
    await asyncio.to_thread(stack.enter_context, child(bot, place.url, place.folder, agent_names(crowd), False))
    line: Any = redis.Redis.from_url(place.url, protocol=2, socket_timeout=None)
    stack.push_async_callback(line.aclose)
    return line


async def _submitted(line: Any, agent: str, number: int) -> float:
    """Seconds from sending a request to having read the answer."""
    intake, out = streams_of(agent)
    newest = await line.xrevrange(out, count=1)
    began = time.monotonic()
    await line.xadd(intake, {"type": "request", "body": request_body(f"run/{number}", target=f"service:{number}")})
    reply = await line.xread({out: newest[0][0] if newest else "0"}, block=30_000)
    took = time.monotonic() - began
    if not reply or reply[0][1][0][1][b"type"] != b"pending":
        raise RuntimeError(f"{agent} was not answered as expected: {reply!r:.200}")
    return took
