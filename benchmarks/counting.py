"""What one approval costs in commands and round trips, counted on the line between a bot and its server."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import redis.asyncio as redis

from benchmarks.house import a_bot, agent_names, request_body
from benchmarks.processes import streams_of
from benchmarks.report import Figure
from benchmarks.servers import a_place
from tests.storage.lossy import LossyLine, lossy


async def measure(quick: bool) -> list[Figure]:
    """Commands and round trips per approval with one in flight, and with fifty, where round trips are shared."""
    count = 20 if quick else 200
    agents = agent_names(1)
    async with a_place() as place, lossy(place.port) as line:
        through = place.url.replace(f":{place.port}/", f":{_port(line)}/")
        async with a_bot(through, place.folder, agents, only_intake=True):
            agent: Any = redis.Redis.from_url(place.url, protocol=2, socket_timeout=None)
            await _ask(agent, agents[0], 200, at_once=50, first=0)  # every connection is made
            one = await _counted(line, agent, agents[0], count, at_once=1, first=200)
            many = await _counted(line, agent, agents[0], count, at_once=50, first=200 + count)
            await agent.aclose()
    names = ", ".join(f"{name} {number / count:g}" for name, number in sorted(Counter(one[0]).items()))
    return [
        Figure("commands per approval, on the bot's side", len(one[0]) / count, "", 12, note=names),
        Figure("round trips per approval, on the bot's side", one[1] / count, "", 7),
        Figure("commands per approval, 50 in flight", len(many[0]) / count, ""),
        Figure("round trips per approval, 50 in flight", many[1] / count, ""),
    ]


async def _counted(
    line: LossyLine, agent: Any, name: str, count: int, *, at_once: int, first: int
) -> tuple[list[str], int]:
    line.forget()
    await _ask(agent, name, count, at_once=at_once, first=first)
    return line.commands, line.round_trips


async def _ask(agent: Any, name: str, count: int, *, at_once: int, first: int) -> None:
    """Ask so many times, a group at once, and read every decision; the bot is idle again at the end."""
    intake, out = streams_of(name)
    newest = await agent.xrevrange(out, count=1)
    last = newest[0][0] if newest else "0"
    for start in range(first, first + count, at_once):
        group = range(start, min(start + at_once, first + count))
        pipeline = agent.pipeline(transaction=False)
        for number in group:
            pipeline.xadd(
                intake, {"type": "request", "body": request_body(f"count/{number}", target=f"service:{number}")}
            )
        await pipeline.execute()
        decided = 0
        while decided < len(group):
            heard = await agent.xread({out: last}, block=20_000)
            if not heard:
                raise RuntimeError(f"{len(group) - decided} of {len(group)} requests were not decided")
            entries = heard[0][1]
            decided += sum(fields[b"type"] == b"decision" for _, fields in entries)
            last = entries[-1][0]
        await asyncio.sleep(0.005)  # the replies of what was published are still on their way through the line


def _port(line: LossyLine) -> int:
    return int(line.url.rpartition(":")[2].partition("/")[0])
