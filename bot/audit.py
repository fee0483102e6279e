"""Checking and exporting the journal, without stopping anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from approvals.journal import Defect, Head, origin, verify
from approvals.ports import JournalEntry, Signer, Store
from bot.sealer import HeadsFile


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


async def verify_store(store: Store, signer: Signer, heads: Path, issuer: str) -> list[Finding]:
    """Walk the journal of every partition in Redis against the heads kept outside it.

    Raises ValueError when a head in the file was not signed by our key.
    """
    sealed = list(HeadsFile(heads).read(signer))
    found = []
    for partition in range(store.partitions):
        entries = [entry async for entry in store.journal(partition)]
        found.append(_finding(origin(issuer, partition), entries, sealed))
    return found


def verify_export(lines: Iterable[str], signer: Signer, heads: Path) -> list[Finding]:
    """The same over what `export` wrote. Raises ExportInvalid, and ValueError for a head that is not ours."""
    sealed = list(HeadsFile(heads).read(signer))
    journals: dict[str, list[JournalEntry]] = {head.origin: [] for head in sealed}
    for name, entry in _read(lines):
        journals.setdefault(name, []).append(entry)
    return [_finding(name, entries, sealed) for name, entries in journals.items()]


async def export(store: Store, issuer: str, out: TextIO) -> int:
    """Write every entry as one JSON object a line; returns how many.

    `record` is the exact text that the chain covers, so that an export can be verified as Redis can.
    """
    written = 0
    for partition in range(store.partitions):
        name = origin(issuer, partition)
        async for entry in store.journal(partition):
            line = {"journal": name, "number": entry.number, "at": entry.at, "record": entry.record.decode()}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            written += 1
    return written


def _finding(name: str, entries: list[JournalEntry], sealed: list[Head]) -> Finding:
    head, defects = verify(name, entries, sealed)
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
