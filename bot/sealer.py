"""Seals the journal: extends the chain over new entries, signs its head and keeps it outside Redis (DESIGN §8)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from approvals.journal import HEAD_TYP, Head, extended, genesis, origin
from approvals.ports import JournalEntry, Signer, Store

log = structlog.get_logger("sayso.sealer")

BATCH = 1_000
HOLD_SECONDS = 360  #: longer than any receipt lives (300 s), skew included


class HeadsFile:
    """An append-only file of signed heads, one JWS a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, tokens: list[str]) -> None:
        """Write heads so that they outlive a power failure."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("a", encoding="ascii") as file:
            file.writelines(f"{token}\n" for token in tokens)
            file.flush()
            os.fsync(file.fileno())

    def read(self, signer: Signer) -> Iterator[Head]:
        """The heads in the file. Raises ValueError that names the line whose signature is not ours."""
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text(encoding="ascii").splitlines(), 1):
            claims = signer.verify(HEAD_TYP, line.strip())
            if claims is None:
                raise ValueError(f"{self._path}:{number}: this head was not signed by our key")
            yield Head.from_claims(claims)


class Sealer:
    """The step of the sealer's loop. Every bot seals for itself, into a file of its own (docs/decisions/0007).

    `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        heads: HeadsFile,
        *,
        issuer: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._signer = signer
        self._file = heads
        self._now = now
        self._heads = {p: _first(origin(issuer, p)) for p in range(store.partitions)}
        self._resumed = False
        self._looked: set[int] = set()
        self._behind: set[int] = set()
        self._held_until = 0.0

    @property
    def behind(self) -> bool:
        """Whether Redis has lost, or somebody has removed, entries that were sealed."""
        return bool(self._behind)

    def holds_spends(self) -> bool:
        """Whether a receipt could be spent a second time, because Redis may have forgotten that it was spent.

        So until every partition was looked at, and after a roll-back for longer than any receipt lives.
        """
        return len(self._looked) < len(self._heads) or self._now() < self._held_until

    async def step(self) -> bool:
        """Seal what is new in every partition; True while there is more."""
        if not self._resumed:
            self._resume()
        sealed = {partition: await self._seal(partition) for partition in self._heads}
        tokens = [await self._signed(partition) for partition, new in sealed.items() if new]
        if tokens:
            await asyncio.to_thread(self._file.append, tokens)
        return any(new >= BATCH for new in sealed.values())

    def _resume(self) -> None:
        for head in self._file.read(self._signer):
            partition = int(head.origin.rsplit("-", 1)[-1])
            if partition in self._heads and head.number > self._heads[partition].number:
                self._heads[partition] = head
        self._resumed = True

    async def _seal(self, partition: int) -> int:
        """Extend the head over new entries; returns how many there were."""
        head = self._heads[partition]
        fresh: list[JournalEntry] = []
        async for entry in self._store.journal(partition, head.number):
            fresh.append(entry)
            if len(fresh) >= BATCH:
                break
        if fresh:
            self._heads[partition] = extended(head, fresh)
        elif head.number:
            await self._look_for_loss(partition, head)
        self._looked.add(partition)
        return len(fresh)

    async def _signed(self, partition: int) -> str:
        return await self._signer.sign(HEAD_TYP, self._heads[partition].claims(await self._store.now()))

    async def _look_for_loss(self, partition: int, head: Head) -> None:
        """Nothing new: the last sealed entry must still be there."""
        if [entry async for entry in self._store.journal(partition, head.number - 1)]:
            self._behind.discard(partition)
        elif partition not in self._behind:
            log.error("Redis is behind the sealed journal: spends are held", partition=partition, sealed=head.number)
            self._behind.add(partition)
            self._held_until = self._now() + HOLD_SECONDS


def _first(name: str) -> Head:
    return Head(name, 0, genesis(name))
