"""Seals the journal: extends the chain over new entries, signs its head and keeps it outside Redis (DESIGN §8)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from approvals.journal import HEAD_TYP, Head, extended, genesis, origin
from approvals.ports import JournalEntry, Signer, Store

log = structlog.get_logger("sayso.sealer")

BATCH = 1_000


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
    """The step of the sealer's loop. Every bot seals for itself, into a file of its own (docs/decisions/0007)."""

    def __init__(self, store: Store, signer: Signer, heads: HeadsFile, *, issuer: str) -> None:
        self._store = store
        self._signer = signer
        self._file = heads
        self._heads = {p: _first(origin(issuer, p)) for p in range(store.partitions)}
        self._resumed = False
        self.behind = False  #: whether Redis has lost, or somebody has changed, entries that were sealed

    async def step(self) -> bool:
        """Seal what is new in every partition."""
        if not self._resumed:
            self._resume()
        sealed = [await self._seal(partition) for partition in self._heads]
        if tokens := [token for token in sealed if token]:
            await asyncio.to_thread(self._file.append, tokens)
        return False  # a head a second is enough: never more often than the loop's idle time

    def _resume(self) -> None:
        for head in self._file.read(self._signer):
            partition = int(head.origin.rsplit("-", 1)[-1])
            if partition in self._heads and head.number > self._heads[partition].number:
                self._heads[partition] = head
        self._resumed = True

    async def _seal(self, partition: int) -> str | None:
        head = self._heads[partition]
        fresh: list[JournalEntry] = []
        async for entry in self._store.journal(partition, head.number):
            fresh.append(entry)
            if len(fresh) >= BATCH:
                break
        if not fresh:
            await self._notice_loss(partition, head)
            return None
        self._heads[partition] = extended(head, fresh)
        return await self._signer.sign(HEAD_TYP, self._heads[partition].claims(await self._store.now()))

    async def _notice_loss(self, partition: int, head: Head) -> None:
        """Nothing new: the last sealed entry must still be there."""
        if head.number == 0:
            return
        last = [entry async for entry in self._store.journal(partition, head.number - 1)]
        if not last and not self.behind:
            log.error("Redis is behind the sealed journal", partition=partition, sealed=head.number)
        self.behind = not last


def _first(name: str) -> Head:
    return Head(name, 0, genesis(name))
