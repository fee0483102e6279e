"""Two bots on one Redis at a fixed load: what an approval costs them in CPU beside one bot, and how they share.

The load is the same for one and for two, and the rounds alternate. A second bot that is there but stopped would still
hold its connections, so each kind of round has a server of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Final

from benchmarks.house import agent_names
from benchmarks.processes import Work, asker, bot, child, streams_of
from benchmarks.report import Figure
from benchmarks.servers import Place, a_place

ROUNDS: Final = 4
_PER_SECOND: Final = 150
_IN_FLIGHT: Final = 200


async def measure(quick: bool) -> list[Figure]:
    """CPU per approval of two against one, and the larger share of the two."""
    count = 30 if quick else 600
    async with a_place() as one, a_place() as two:
        return await asyncio.to_thread(_measure, one, two, count)


def _measure(one: Place, two: Place, count: int) -> list[Figure]:
    with ExitStack() as stack:
        alone = _Team(stack, one, 1)
        pair = _Team(stack, two, 2)
        for team in (alone, pair):
            team.asked(count)  # warms up
        for team in (alone, pair):
            team.begin()
        for _ in range(ROUNDS):
            for team in (alone, pair):
                team.asked(count)
        (cpu_alone, _), (cpu_pair, share) = alone.end(), pair.end()
    return [
        Figure(f"two bots, CPU per approval at {_PER_SECOND}/s, × one bot", cpu_pair / cpu_alone, "×", 1.15),
        Figure("two bots, larger share of the approvals", share * 100, "%", 65),
        Figure("two bots, CPU per approval", cpu_pair * 1e6, "µs"),
        Figure("one bot, CPU per approval", cpu_alone * 1e6, "µs"),
    ]


class _Team:
    """So many bots on one server, and who asks them."""

    def __init__(self, stack: ExitStack, place: Place, size: int) -> None:
        agents = agent_names(1)
        self._streams = streams_of(agents[0])
        self._bots = [stack.enter_context(child(bot, place.url, place.folder, agents, True)) for _ in range(size)]
        self._asker = stack.enter_context(child(asker, place.url))
        self._begun: list[Work] = []
        self._cpu = 0.0

    def begin(self) -> None:
        """Count from here."""
        self._begun, self._cpu = self._work(), 0.0

    def asked(self, count: int) -> None:
        """Ask so many at the fixed load; what the bots use in between is not counted."""
        before = sum(work.cpu for work in self._work())
        self._asker.send((self._streams, _IN_FLIGHT, count, _PER_SECOND))
        self._asker.recv()
        self._cpu += sum(work.cpu for work in self._work()) - before

    def end(self) -> tuple[float, float]:
        """Seconds of CPU per approval of all bots together, and the largest share that one of them had."""
        done = [now.approvals - then.approvals for now, then in zip(self._work(), self._begun, strict=True)]
        return self._cpu / sum(done), max(done) / sum(done)

    def _work(self) -> list[Work]:
        return [_asked(pipe) for pipe in self._bots]


def _asked(pipe: Connection) -> Work:
    pipe.send("work")
    work: Work = pipe.recv()
    return work
