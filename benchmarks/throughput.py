"""Approvals a second of one bot, beside two bare redis-py processes and beside the server's own limit, in one run.

The bare pair exchanges one stream entry each way for each approval, reads as many entries at once as the bot does,
and sends in pipelines; the asking process is the same for both. Rounds of ours, of theirs and of the limit take turns,
so that all meet the same machine.
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
_LIVES: Final = 6_000  #: of a round of redis-benchmark

#: in flight, approvals of a round, pings of a round
_SIZES: Final = ((1, 300, 600), (50, 1_500, 6_000), (1_000, 3_000, 10_000))


async def measure(quick: bool) -> list[Figure]:
    """The ratios with 1, 50 and 1,000 in flight, and against the server's limit."""
    agents = agent_names(1)
    shrink = 20 if quick else 1
    async with a_place() as place:
        limit = await _Limit.at(place, _LIVES // shrink)
        with (
            child(bot, place.url, place.folder, agents, True) as the_bot,
            child(echo, place.url),
            child(asker, place.url) as the_asker,
        ):
            figures: list[Figure] = []
            for in_flight, ours, theirs in _SIZES:
                rounds = _Rounds(the_asker, the_bot, in_flight, limit if in_flight == _PARALLEL else None)
                await asyncio.to_thread(rounds.run, ours // shrink, theirs // shrink)
                figures += rounds.figures()
    return figures


class _Rounds:
    """Rounds of ours, of theirs and, where there is one, of the server's limit in turns; the first warms up."""

    def __init__(self, asks: Connection, the_bot: Connection, in_flight: int, limit: _Limit | None) -> None:
        self._asks = asks
        self._bot = the_bot
        self._in_flight = in_flight
        self._limit = limit
        self._ours = self._theirs = self._lives = self._cpu = 0.0  #: approvals, exchanges, lives a second; CPU µs

    def run(self, ours: int, theirs: int) -> None:
        """So many approvals and exchanges in each round."""
        spent, before = [0.0, 0.0, 0.0], _work(self._bot)
        for number in range(ROUNDS + 1):
            if number == 1:
                spent, before = [0.0, 0.0, 0.0], _work(self._bot)
            spent[0] += self._ask(streams_of(agent_names(1)[0]), ours)
            spent[1] += self._ask((PING, PONG), theirs)
            spent[2] += self._limit.run() if self._limit else 0.0
        self._cpu = (_work(self._bot).cpu - before.cpu) / (ROUNDS * ours) * 1e6
        self._ours, self._theirs = ROUNDS * ours / spent[0], ROUNDS * theirs / spent[1]
        self._lives = ROUNDS * self._limit.count / spent[2] if self._limit else 0.0

    def figures(self) -> list[Figure]:
        """What was measured."""
        name, target = f"throughput, {self._in_flight} in flight", 0.5 if self._in_flight <= 50 else None
        found = [
            Figure(f"{name}, × a bare pair", self._ours / self._theirs, "×", target, at_least=True),
            Figure(name, self._ours, "/s"),
            Figure(f"{name}, bare pair", self._theirs, "/s"),
            Figure(f"{name}, CPU of the bot", self._cpu, "µs"),
        ]
        if self._limit is None:
            return found
        against, note = self._ours / self._lives, self._limit.note
        return [
            *found,
            Figure("throughput, × the server's own limit", against, "×", 0.2, at_least=True, note=note),
            Figure("the server's own limit", self._lives, "/s"),
        ]

    def _ask(self, streams: tuple[str, str], count: int) -> float:
        self._asks.send((streams, self._in_flight, count, 0))
        return float(self._asks.recv())


def _work(the_bot: Connection) -> Any:
    the_bot.send("work")
    return the_bot.recv()


class _Limit:
    """Lives when one script does all the writes of one, `count` of them in a run; `note` tells how it is measured."""

    def __init__(self, place: Place, count: int, sha: str) -> None:
        self.count = count
        self._place = place
        self._words = ["EVALSHA", sha, "14", *_life_keys("__rand_int__"), *_life_words("__rand_int__")]
        self._program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
        self.note = "" if self._program else "no redis-benchmark here: measured with redis-py, too low"

    @classmethod
    async def at(cls, place: Place, count: int) -> _Limit:
        """The limit of a server, which has learnt the script."""
        client: Any = redis.Redis.from_url(place.url, protocol=2)
        try:
            sha = await client.script_load((Path(__file__).parent / "life.lua").read_text("utf-8"))
        finally:
            await client.aclose()
        return cls(place, count, sha)

    def run(self) -> float:
        """The seconds that all of them take."""
        if self._program is not None:
            return self.count / _limit_by_program(self._program, self._place, self._words, self.count)
        return self.count / asyncio.run(_limit_by_python(self._place, self._words, self.count))


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
