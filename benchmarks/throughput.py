"""Approvals a second of one bot, beside two bare redis-py processes and beside the server's own limit, in one run.

The bare pair exchanges one stream entry each way for each approval, reads as many entries at once as the bot does,
and sends in pipelines; the asking process is the same for both. Rounds of ours and theirs alternate, so that both meet
the same machine.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import redis.asyncio as redis

from benchmarks.house import agent_names, request_body
from benchmarks.processes import PING, PONG, asker, bot, child, echo, streams_of
from benchmarks.report import Figure
from benchmarks.servers import Place, a_place

ROUNDS: Final = 3
_PARALLEL: Final = 50  #: connections of redis-benchmark

#: in flight, approvals of a round, pings of a round
_SIZES: Final = ((1, 300, 600), (50, 1_500, 6_000), (1_000, 3_000, 10_000))


async def measure(quick: bool) -> list[Figure]:
    """The ratios with 1, 50 and 1,000 in flight, and against the server's limit."""
    agents = agent_names(1)
    async with a_place() as place:
        with (
            child(bot, place.url, place.folder, agents, True) as the_bot,
            child(echo, place.url),
            child(asker, place.url) as the_asker,
        ):
            figures, best = [], 0.0
            for in_flight, ours, theirs in _SIZES:
                shrink = 20 if quick else 1
                rates = await asyncio.to_thread(
                    _rounds, the_asker, the_bot, in_flight, ours // shrink, theirs // shrink
                )
                figures += _figures(in_flight, *rates)
                best = rates[0] if in_flight == _PARALLEL else best
        limit, note = await _limit(place, 500 if quick else 20_000)
    against = Figure("throughput, × the server's own limit", best / limit, "×", 0.2, at_least=True, note=note)
    return [*figures, against, Figure("the server's own limit", limit, "/s")]


def _rounds(
    asks: Connection, the_bot: Connection, in_flight: int, ours: int, theirs: int
) -> tuple[float, float, float]:
    """Approvals a second, exchanges a second, and the bot's CPU µs for one approval; the first round warms up."""
    spent = {"ours": 0.0, "theirs": 0.0}
    for number in range(ROUNDS + 1):
        if number == 1:
            spent, before = dict.fromkeys(spent, 0.0), _work(the_bot)
        spent["ours"] += _ask(asks, streams_of(agent_names(1)[0]), in_flight, ours)
        spent["theirs"] += _ask(asks, (PING, PONG), in_flight, theirs)
    cpu = (_work(the_bot).cpu - before.cpu) / (ROUNDS * ours)
    return ROUNDS * ours / spent["ours"], ROUNDS * theirs / spent["theirs"], cpu * 1e6


def _ask(asks: Connection, streams: tuple[str, str], in_flight: int, count: int) -> float:
    asks.send((streams, in_flight, count, 0))
    return float(asks.recv())


def _work(the_bot: Connection) -> Any:
    the_bot.send("work")
    return the_bot.recv()


def _figures(in_flight: int, ours: float, theirs: float, cpu: float) -> list[Figure]:
    target = 0.5 if in_flight <= 50 else None
    return [
        Figure(f"throughput, {in_flight} in flight, × a bare pair", ours / theirs, "×", target, at_least=True),
        Figure(f"throughput, {in_flight} in flight", ours, "/s"),
        Figure(f"throughput, {in_flight} in flight, bare pair", theirs, "/s"),
        Figure(f"throughput, {in_flight} in flight, CPU of the bot", cpu, "µs"),
    ]


async def _limit(place: Place, count: int) -> tuple[float, str]:
    """Lives a second when one script does all the writes of one, and how that was measured."""
    client: Any = redis.Redis.from_url(place.url, protocol=2)
    try:
        sha = await client.script_load((Path(__file__).parent / "life.lua").read_text("utf-8"))
        words = ["EVALSHA", sha, "14", *_life_keys("__rand_int__"), *_life_words("__rand_int__")]
        program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
        if program is not None:
            return await asyncio.to_thread(_limit_by_program, program, place, words, count), ""
        return await _limit_by_python(place, words, count), "no redis-benchmark here: measured with redis-py, too low"
    finally:
        await client.aclose()


def _limit_by_program(program: str, place: Place, words: list[str], count: int) -> float:
    command = [program, "-p", str(place.port), "-a", place.password, "-n", str(count), "-c", str(_PARALLEL)]
    done = subprocess.run([*command, "-r", "1000000000", "--csv", *words], capture_output=True, check=True, text=True)
    return float(done.stdout.strip().splitlines()[-1].rsplit('",', 7)[1].strip('"'))


async def _limit_by_python(place: Place, words: list[str], count: int) -> float:
    client: Any = redis.Redis.from_url(place.url, protocol=2, max_connections=_PARALLEL)
    began = time.monotonic()
    for start in range(0, count, _PARALLEL):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + _PARALLEL):
            pipeline.execute_command(*(word.replace("__rand_int__", f"{number:012}") for word in words))
        await pipeline.execute()
    took = time.monotonic() - began
    await client.aclose()
    return count / took


def _life_keys(number: str) -> list[str]:
    """The keys of life.lua, apart from those of the bot."""
    names = ("in:a", "out:a", f"request:{number}", "meta", "journal", "timers", "cards", "announcements")
    indices = (f"code:{number}", f"like:{number}", "pending", "pending:agent:a", "pending:at:c", f"decision:a:{number}")
    return [f"{{limit}}:{name}" for name in (*names, *indices)]


def _life_words(number: str) -> list[str]:
    """The arguments of life.lua, as long as those of the bot."""
    asked = request_body(number).decode()
    return [f"0-{number:0>24}", asked, "d" * 900, "r" * 330, "p" * 250, "D" * 1_400]
