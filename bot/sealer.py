"""Seals the journal: extends the chain over new entries, signs its head and keeps it outside Redis (DESIGN §8)."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from approvals.errors import NotConfirmed
from approvals.journal import HEAD_TYP, Head, beginning, extended, genesis, origin
from approvals.ports import JournalEntry, Signer, Store, Verifier

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

    def read(self, keys: Verifier) -> Iterator[Head]:
        """The heads in the file. Raises ValueError that names the line whose signature is not ours."""
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text(encoding="ascii").splitlines(), 1):
            claims = keys.verify(HEAD_TYP, line.strip())
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
        self._now = now
        self._hold_until = math.inf  #: at first nobody knows whether Redis is what it was
        self._store = store
        self._signer = signer
        self._file = heads
        self._heads = {p: _first(origin(issuer, p)) for p in range(store.partitions)}
        self._sealed: dict[int, JournalEntry] = {}  #: the last sealed entry of each partition, as it was then
        self._prior: dict[int, Head] = {}  #: of each head that was read from the file, the one before it
        self._resumed = False
        self._said = ""
        self._broken = set(self._heads)  #: partitions not known to hold what was sealed: at first, all

    @property
    def behind(self) -> bool:
        """Whether Redis may have lost, or somebody changed, entries that were sealed; true before the first step."""
        return bool(self._broken)

    def holds_spends(self) -> bool:
        """Whether a receipt could be spent a second time, because Redis may have forgotten that it was spent.

        So until every partition was looked at, and after a roll-back for longer than any receipt lives.
        """
        return self._now() < self._hold_until

    async def step(self) -> bool:
        """Seal what is new in every partition; True while there is more."""
        if not self._resumed and not self._resume():
            return False
        before = {partition: head.number for partition, head in self._heads.items()}
        sealed = [await self._seal(partition) for partition in self._heads]
        if tokens := [token for token in sealed if token]:
            await asyncio.to_thread(self._file.append, tokens)
        if self._hold_until == math.inf:
            self._hold_until = self._now() + HOLD_SECONDS if self._broken else 0.0
        return any(head.number - before[partition] >= BATCH for partition, head in self._heads.items())

    def _resume(self) -> bool:
        """Go on from the heads in the file; False for a file that cannot be believed, which a person has to look at."""
        try:
            heads = list(self._file.read(self._signer))
        except ValueError as exc:
            self._complain(str(exc))
            return False
        for head in heads:
            partition = int(head.origin.rsplit("-", 1)[-1])
            if partition in self._heads and head.number > self._heads[partition].number:
                self._prior[partition] = self._heads[partition]
                self._heads[partition] = head
        self._resumed = True
        return True

    async def _seal(self, partition: int) -> str | None:
        """The signed head over what is new; None where nothing is, or where it does not follow what was sealed."""
        head = self._heads[partition]
        sealed, fresh = await self._read(partition, head)
        if sealed is None and (begins := await self._beginning(partition, head)):
            head = self._heads[partition] = begins
            self._sealed.pop(partition, None)
            sealed, fresh = await self._read(partition, head)
        if head.number and (sealed is None or sealed != self._sealed.get(partition, sealed)):
            self._lost(partition, "the last sealed entry is gone or was changed")
            return None
        if sealed is not None and partition not in self._sealed:
            if not await self._leads_to(partition, head):
                self._lost(partition, "other entries stand where the last sealed ones stood")
                return None
            self._sealed[partition] = sealed
        try:
            after = extended(head, fresh)
        except ValueError as exc:
            self._lost(partition, str(exc))
            return None
        self._broken.discard(partition)
        if not fresh or not await self._stay(partition):
            return None
        token = await self._signer.sign(HEAD_TYP, after.claims(await self._store.now()))
        self._heads[partition], self._sealed[partition] = after, fresh[-1]
        return token

    async def _stay(self, partition: int) -> bool:
        """Whether a failover leaves these entries; sealed before that, they would make it look like a roll-back."""
        try:
            await self._store.assure(partition)
        except NotConfirmed:
            return False
        return True

    async def _leads_to(self, partition: int, head: Head) -> bool:
        """Whether the entries since the head before are those that were sealed, where they are still kept.

        While no bot of ours ran, an older Redis may have been restored, and have grown past the last head again.
        """
        prior = self._prior.pop(partition, None)
        if prior is None:
            return True
        between: list[JournalEntry] = []
        async for entry in self._store.journal(partition, prior.number):
            if entry.number > head.number:
                break
            between.append(entry)
        kept = bool(between) and between[0].number == prior.number + 1  # else exported, and trimmed since
        try:
            return not kept or extended(prior, between) == head
        except ValueError:  # a gap among them
            return False

    async def _beginning(self, partition: int, head: Head) -> Head | None:
        """The head with which a journal begins that was exported and trimmed beyond what we have sealed."""
        found = beginning(await self._store.trimmed(partition), head.origin, self._signer)
        return found if found is not None and found.number > head.number else None

    async def _read(self, partition: int, head: Head) -> tuple[JournalEntry | None, list[JournalEntry]]:
        """The last sealed entry as it stands now, and the entries after it."""
        sealed, fresh = None, list[JournalEntry]()
        async for entry in self._store.journal(partition, max(head.number - 1, 0)):
            if entry.number == head.number:
                sealed = entry
            else:
                fresh.append(entry)
            if len(fresh) >= BATCH:
                break
        return sealed, fresh

    def _lost(self, partition: int, what: str) -> None:
        if partition not in self._broken and self._hold_until < math.inf:
            self._hold_until = self._now() + HOLD_SECONDS
        self._broken.add(partition)
        self._complain(f"partition {partition}: {what}")

    def _complain(self, what: str) -> None:
        """Say it once, not every second."""
        if what != self._said:
            log.error("Redis is behind the sealed journal", what=what)
        self._said = what


def _first(name: str) -> Head:
    return Head(name, 0, genesis(name))
