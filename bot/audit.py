"""Checking and exporting the journal, without stopping anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from approvals.journal import HEAD_TYP, Defect, Head, beginning, origin, verify
from approvals.ports import JournalEntry, Signer, Store, Verifier
from bot.sealer import HeadsFile

NEVER = 2**60  #: ms; nothing is older


@dataclass(frozen=True)
class Finding:
    """What `verify` found about one journal."""

    journal: str
    entries: int
    head: Head
    sealed: int
    defects: tuple[Defect, ...]


class ExportInvalid(Exception):
    """An export cannot be read; the message names the line."""


async def verify_store(store: Store, keys: Verifier, heads: Path, issuer: str) -> list[Finding]:
    """Walk the journal of every partition in Redis against the heads kept outside it.

    `keys` may be the public ones alone. Raises ValueError when a head in the file was not signed by one of them.
    """
    sealed = list(HeadsFile(heads).read(keys))
    found = []
    for partition in range(store.partitions):
        entries = [entry async for entry in store.journal(partition)]
        name = origin(issuer, partition)
        found.append(_finding(name, entries, sealed, begins=beginning(await store.trimmed(partition), name, keys)))
    return found


def verify_export(lines: Iterable[str], keys: Verifier, heads: Path) -> list[Finding]:
    """The same over what `export` wrote. Raises ExportInvalid, and ValueError for a head that is not ours."""
    sealed = list(HeadsFile(heads).read(keys))
    journals: dict[str, list[JournalEntry]] = {head.origin: [] for head in sealed}
    for name, entry in _read(lines):
        journals.setdefault(name, []).append(entry)
    return [_finding(name, entries, sealed) for name, entries in journals.items()]


async def export(store: Store, issuer: str, out: TextIO) -> int:
    """Write every entry as one JSON object a line; returns how many.

    `record` is the exact text that the chain covers, so that an export can be verified as Redis can. What was trimmed
    before stands in an earlier export, up to the entry with which the journal begins now.
    """
    last = [await _export(store, partition, issuer, out) for partition in range(store.partitions)]
    return sum(written for written, _ in last)


async def archive(store: Store, signer: Signer, heads: Path, issuer: str, path: Path, *, older: int) -> tuple[int, int]:
    """Export to a new file, and drop from Redis what lies there and is `older` (ms); returns how much of both.

    Each journal then begins with a sealed entry, so that the rest of it is verified from its head on. Raises
    FileExistsError, and ValueError for a head in the file that is not ours.
    """
    sealed = list(HeadsFile(heads).read(signer))
    with path.open("x", encoding="utf-8") as file:
        exported = [await _export(store, partition, issuer, file) for partition in range(store.partitions)]
        file.flush()
        os.fsync(file.fileno())
    dropped = 0
    before = await store.now() - older
    for partition, (_, last) in enumerate(exported):
        first = await _last_before(store, partition, last, before)
        numbers = [head for head in sealed if head.origin == origin(issuer, partition) and head.number <= first]
        if numbers:
            await store.mark_exported(partition, last)
            dropped += await _trim(store, signer, partition, max(numbers, key=lambda head: head.number))
    return sum(written for written, _ in exported), dropped


async def _export(store: Store, partition: int, issuer: str, out: TextIO) -> tuple[int, int]:
    """Write a journal; returns how many entries, and the number of the last one."""
    name, written = origin(issuer, partition), 0
    begins = await store.trimmed(partition)
    last = begins[0] if begins else 0
    async for entry in store.journal(partition, last):
        line = {"journal": name, "number": entry.number, "at": entry.at, "record": entry.record.decode()}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        written, last = written + 1, entry.number
    return written, last


async def _last_before(store: Store, partition: int, last: int, before: int) -> int:
    """The number of the last entry that is old enough; 0: none is."""
    found = 0
    async for entry in store.journal(partition):
        if entry.at >= before or entry.number > last:
            break
        found = entry.number
    return found


async def _trim(store: Store, signer: Signer, partition: int, head: Head) -> int:
    """Let a journal begin with a sealed entry; returns how many were dropped."""
    token = await signer.sign(HEAD_TYP, head.claims(await store.now()))
    begins = await store.trimmed(partition)
    first = await store.trim_journal(partition, head.number, token)
    return first - (begins[0] if begins else 1)


def _finding(name: str, entries: list[JournalEntry], sealed: list[Head], *, begins: Head | None = None) -> Finding:
    head, defects = verify(name, entries, sealed, begins=begins)
    last = max((one.number for one in sealed if one.origin == name), default=0)
    return Finding(name, len(entries), head, last, tuple(defects))


def _read(lines: Iterable[str]) -> Iterator[tuple[str, JournalEntry]]:
    for number, line in enumerate(lines, 1):
        try:
            value: dict[str, Any] = json.loads(line)
            yield (
                value["journal"],
                JournalEntry(int(value["number"]), int(value["at"]), str(value["record"]).encode()),
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise ExportInvalid(f"line {number} is not a line of an export") from exc
