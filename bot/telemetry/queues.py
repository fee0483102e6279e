"""What waits in Redis, for everybody together: read on a connection of its own, never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from redis.exceptions import RedisError

from approvals.errors import StoreUnavailable
from approvals.ports import Errand, Queue
from storage.redis.checks import examine
from storage.redis.keys import Keys
from storage.redis.link import Command, Link

#: The queues whose work is overdue when its time has passed; an agent's silence is nobody's delay.
QUEUES: Final = (Queue.TIMERS, Queue.CARDS, Queue.ANNOUNCEMENTS)

_MOST_DESTINATIONS: Final = 500  #: of each partition that are looked at
_FIRST: Final = 20  #: of the requests that wait for a destination


@dataclass(frozen=True)
class Backlog:
    """The entries of a queue, and the ms by which the oldest is overdue."""

    entries: int
    lag: int


@dataclass(frozen=True)
class Waiting:
    """What waits in all partitions; `outboxes` by destination."""

    pending: int
    queues: dict[Queue, Backlog]
    journal: tuple[int, ...]  #: the last entry's number, by partition
    outboxes: dict[str, Unseen] = field(default_factory=dict)


@dataclass(frozen=True)
class Unseen:
    """How many requests nobody at a destination has seen yet, and the first of them."""

    entries: int
    first: tuple[str, ...]


class Queues:
    """Reads the queues of every partition in one round trip, and the outboxes in another."""

    def __init__(self, link: Link, partitions: int) -> None:
        self._link = link
        self._keys = [Keys(partition) for partition in range(partitions)]

    async def look(self, now: int) -> Waiting:
        """What waits at `now` (ms). Raises StoreUnavailable."""
        replies = await self._together([command for keys in self._keys for command in _commands(keys)])
        width = len(_commands(self._keys[0]))
        parts = [replies[start : start + width] for start in range(0, len(replies), width)]
        places = [(keys, name.decode()) for keys, part in zip(self._keys, parts, strict=True) for name in part[2]]
        return Waiting(
            pending=sum(int(part[0]) for part in parts),
            journal=tuple(int(part[1] or 0) for part in parts),
            queues={queue: _backlog(parts, 3 + 2 * place, now) for place, queue in enumerate(QUEUES)},
            outboxes=await self._outboxes(places),
        )

    async def _outboxes(self, places: Sequence[tuple[Keys, str]]) -> dict[str, Unseen]:
        lines = [keys.errands(Errand.POST, destination) for keys, destination in places]
        replies = await self._together([command for line in lines for command in _length_and_first(line, _FIRST)])
        unseen = zip(places, replies[::2], replies[1::2], strict=True)
        return {
            destination: Unseen(int(length), tuple(id_ for _, id_ in _scored(first)))
            for (_, destination), length, first in unseen
        }

    async def has_replicas(self, wanted: int) -> bool:
        """Whether as many replicas are connected as a decision needs; yes where the server does not say."""
        server = await examine(self._link)
        return server.version == "unknown" or server.replicas >= wanted

    async def _together(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self._link.together(commands)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise StoreUnavailable(f"the memory did not answer: {type(reply).__name__}") from reply
        return replies


@asynccontextmanager
async def open_queues(url: str, partitions: int) -> AsyncIterator[Queues]:
    """A reader of the queues at `url`."""
    link = Link.to(url, connections=1)
    try:
        yield Queues(link, partitions)
    finally:
        await link.aclose()


def _commands(keys: Keys) -> list[Command]:
    queues = chain(*(_length_and_first(keys.queue(queue), 1) for queue in QUEUES))
    destinations: Command = ("ZRANGE", keys.destinations, 0, _MOST_DESTINATIONS - 1)
    return [("ZCARD", keys.pending), ("HGET", keys.meta, "journal"), destinations, *queues]


def _length_and_first(key: str, count: int) -> tuple[Command, Command]:
    return ("ZCARD", key), ("ZRANGE", key, 0, count - 1, "WITHSCORES")


def _backlog(parts: Sequence[Sequence[Any]], place: int, now: int) -> Backlog:
    oldest = [scored[0][0] for part in parts if (scored := _scored(part[place + 1]))]
    return Backlog(
        sum(int(part[place]) for part in parts), max((now - int(at) for at in oldest if at < now), default=0)
    )


def _scored(flat: Sequence[bytes]) -> list[tuple[float, str]]:
    return [(float(score), id_.decode()) for id_, score in zip(flat[::2], flat[1::2], strict=True)]
