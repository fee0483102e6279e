"""What waits for each destination, in Redis or Valkey. What a method promises stands in approvals/ports.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from approvals.ports import Errand, Lease, Waiting
from storage.redis.keys import Keys, home_of
from storage.redis.link import Link, Word


class RedisOutbox:
    """An Outbox: each destination lies in its home partition."""

    def __init__(self, link: Link, partitions: int, clock_offset: Callable[[], int]) -> None:
        self._link = link
        self._keys = [Keys(partition) for partition in range(partitions)]
        self._clock_offset = clock_offset
        self._turn = 0

    async def add(self, destination: str, errand: Errand, *subjects: str, delay: int = 0) -> None:
        home = self._home(destination)
        keys = [home.errands(errand, destination), home.destinations, home.leases]
        await self._link.script("add", keys, self._clock_offset(), destination, delay, *subjects)

    async def take(self, *, limit: int, lease: int) -> Sequence[Lease]:
        self._turn += 1  # partitions take turns at being first, so that a busy one starves nobody
        taken: list[Lease] = []
        for step in range(len(self._keys)):
            home = self._keys[(self._turn + step) % len(self._keys)]
            args = (self._clock_offset(), limit - len(taken), lease)
            flat = await self._link.script("take", [home.destinations, home.leases], *args)
            taken += [Lease(name.decode(), int(fence)) for name, fence in zip(flat[::2], flat[1::2], strict=True)]
            if len(taken) >= limit:
                break
        return taken

    async def look(self, lease: Lease, *, limit: int, extend: int) -> Mapping[Errand, Sequence[Waiting]] | None:
        args = (self._clock_offset(), lease.destination, lease.fence, extend, limit)
        found = await self._link.script("look", self._all(lease.destination), *args)
        return None if found is None else {errand: _read(flat) for errand, flat in zip(Errand, found, strict=True)}

    async def settle(self, lease: Lease, errand: Errand, *done: Waiting, again: int | None = None) -> None:
        home = self._home(lease.destination)
        keys = [home.errands(errand, lease.destination), home.leases]
        args = (self._clock_offset(), lease.destination, lease.fence, "" if again is None else again)
        marks: list[Word] = [word for one in done for word in (one.subject, one.mark)]
        await self._link.script("carried_out", keys, *args, *marks)

    async def hand_back(self, lease: Lease, wait: int) -> None:
        args = (self._clock_offset(), lease.destination, lease.fence, wait)
        await self._link.script("hand_back", self._all(lease.destination), *args)

    def _all(self, destination: str) -> list[str]:
        home = self._home(destination)
        return [home.destinations, home.leases, *(home.errands(errand, destination) for errand in Errand)]

    def _home(self, destination: str) -> Keys:
        return self._keys[home_of(destination, len(self._keys))]


def _read(flat: Sequence[Any]) -> Sequence[Waiting]:
    return [Waiting(subject.decode(), int(mark)) for subject, mark in zip(flat[::2], flat[1::2], strict=True)]
