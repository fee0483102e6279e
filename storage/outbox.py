"""What waits for each destination, in this process: the twin of storage/redis/outbox.py."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from approvals.ports import Errand, Lease, Waiting


@dataclass
class _Held:
    """A lease as it was given."""

    fence: int
    until: int


class MemoryOutbox:
    """An Outbox in this process. `now` gives its time in ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._errands: dict[tuple[str, Errand], dict[str, int]] = defaultdict(dict)
        self._destinations: dict[str, int] = {}
        self._leases: dict[str, _Held] = {}
        self._fence = 0

    async def add(self, destination: str, errand: Errand, *subjects: str, delay: int = 0) -> None:
        await asyncio.sleep(0)  # as over a network
        now, waiting = self._now(), self._errands[destination, errand]
        for subject in subjects:
            known = waiting.get(subject)
            if known is None:
                waiting[subject] = now + delay
            elif known <= now:
                waiting[subject] = known - 1  # another mark, and still due
        held = self._leases.get(destination)
        if held is None or held.until <= now:
            self._destinations[destination] = min(self._destinations.get(destination, now + delay), now + delay)

    async def take(self, *, limit: int, lease: int) -> Sequence[Lease]:
        await asyncio.sleep(0)
        now = self._now()
        due = sorted((at, destination) for destination, at in self._destinations.items() if at <= now)[:limit]
        return [self._lent(destination, now + lease) for _, destination in due]

    async def look(self, lease: Lease, *, limit: int, extend: int) -> Mapping[Errand, Sequence[Waiting]] | None:
        await asyncio.sleep(0)
        if not self._holds(lease):
            return None
        now = self._now()
        self._leases[lease.destination].until = self._destinations[lease.destination] = now + extend
        found: dict[Errand, Sequence[Waiting]] = {}
        for errand in Errand:
            waiting = self._errands[lease.destination, errand]
            due = sorted((at, subject) for subject, at in waiting.items() if at <= now)
            found[errand] = [Waiting(subject, at) for at, subject in due[:limit]]
        return found

    async def settle(self, lease: Lease, errand: Errand, *done: Waiting, again: int | None = None) -> None:
        await asyncio.sleep(0)
        waiting = self._errands[lease.destination, errand]
        for one in done if self._holds(lease) else ():
            if waiting.get(one.subject) != one.mark:
                continue
            del waiting[one.subject]
            if again is not None:
                waiting[one.subject] = self._now() + again

    async def hand_back(self, lease: Lease, wait: int) -> None:
        await asyncio.sleep(0)
        if not self._holds(lease):
            return
        del self._leases[lease.destination], self._destinations[lease.destination]
        if times := list(self._times(lease.destination, self._now(), wait)):
            self._destinations[lease.destination] = min(times)

    def _lent(self, destination: str, until: int) -> Lease:
        self._fence += 1
        self._leases[destination] = _Held(self._fence, until)
        self._destinations[destination] = until
        return Lease(destination, self._fence)

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.destination)
        return held is not None and held.fence == lease.fence

    def _times(self, destination: str, now: int, wait: int) -> Iterator[int]:
        """When each thing that waits is to be looked at next."""
        for errand in Errand:
            for at in self._errands[destination, errand].values():
                yield at if at > now else max(at, now + wait)
