"""The chain over the journal: whoever changes, drops, reorders or rolls back an entry breaks it (DESIGN §8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.ports import JournalEntry, Verifier

HEAD_TYP = "journal-head+jwt"  #: JWS type of a signed head; never a receipt's


def origin(issuer: str, partition: int) -> str:
    """The name of one partition's journal, in heads and receipts."""
    return f"{issuer}#journal-{partition}"


def genesis(name: str) -> bytes:
    """The link before the first entry: bound to the journal's name, so that no two journals can be exchanged."""
    return hashlib.sha256(b"sayso journal 1\n" + name.encode()).digest()


def link(previous: bytes, entry: JournalEntry) -> bytes:
    """The chain's value after an entry: SHA-256 over the previous value, number, time and the record's own hash."""
    fixed = entry.number.to_bytes(8, "big") + entry.at.to_bytes(8, "big")
    return hashlib.sha256(previous + fixed + hashlib.sha256(entry.record).digest()).digest()


@dataclass(frozen=True)
class Head:
    """The chain's value after entry `number` of a journal."""

    origin: str
    number: int
    value: bytes

    def claims(self, at: int) -> Mapping[str, Any]:
        """The head as it is signed; `at` in ms."""
        return {"origin": self.origin, "number": self.number, "value": self.value.hex(), "at": at}

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Head:
        """The head of verified claims."""
        return cls(str(claims["origin"]), int(claims["number"]), bytes.fromhex(claims["value"]))


@dataclass(frozen=True)
class Defect:
    """Where a journal fails, and how."""

    number: int
    what: str


def beginning(trimmed: tuple[int, str] | None, name: str, keys: Verifier) -> Head | None:
    """The head with which a trimmed journal begins, if our key signed it for this journal and this entry."""
    claims = keys.verify(HEAD_TYP, trimmed[1]) if trimmed else None
    head = Head.from_claims(claims) if claims else None
    return head if head and trimmed and (head.origin, head.number) == (name, trimmed[0]) else None


def extended(head: Head, entries: Iterable[JournalEntry]) -> Head:
    """The head after more entries; raises ValueError when they do not follow it without a gap."""
    number, value = head.number, head.value
    for entry in entries:
        if entry.number != number + 1:
            raise ValueError(f"entry {entry.number} follows entry {number}")
        number, value = entry.number, link(value, entry)
    return Head(head.origin, number, value)


def verify(
    name: str, entries: Iterable[JournalEntry], heads: Iterable[Head], *, begins: Head | None = None
) -> tuple[Head, list[Defect]]:
    """Walk a journal against the heads kept outside Redis; returns the last head and every defect found.

    `begins` is the head of the entry at which a journal begins whose earlier entries were exported and dropped; that
    entry itself is covered by the head, not by what stands here.
    """
    expected: dict[int, set[bytes]] = {}
    for outside in heads:
        if outside.origin == name:
            expected.setdefault(outside.number, set()).add(outside.value)
    head, defects = begins or Head(name, 0, genesis(name)), list[Defect]()
    for entry in entries:
        if begins is not None and entry.number <= begins.number:
            continue
        if entry.number != head.number + 1:
            defects.append(Defect(head.number + 1, f"missing or out of order: entry {entry.number} stands here"))
        head = Head(name, entry.number, link(head.value, entry))
        if expected.get(entry.number, {head.value}) != {head.value}:
            defects.append(Defect(entry.number, "this entry or one before it is not what was sealed"))
    last = max(expected, default=0)
    if last > head.number:
        defects.append(
            Defect(head.number + 1, f"rolled back: entries up to {last} were sealed, {head.number} are left")
        )
    return head, defects
