"""Whoever changes the journal breaks its chain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.journal import Defect, Head, extended, genesis, link, origin, verify
from approvals.ports import JournalEntry

NAME = origin("https://sayso.example", 0)
ENTRIES = tuple(JournalEntry(number, 1_780_000_000_000 + number, b'{"event":"%d"}' % number) for number in range(1, 11))


def start(name: str = NAME) -> Head:
    """The head of an empty journal."""
    return Head(name, 0, genesis(name))


def sealed(*numbers: int) -> list[Head]:
    """The heads that were kept outside after these entries."""
    return [extended(start(), ENTRIES[:number]) for number in numbers]


def defects(entries: Sequence[JournalEntry], heads: Sequence[Head]) -> list[Defect]:
    """What verification finds."""
    return verify(NAME, entries, heads)[1]


def renumbered(entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Entries with the numbers a forger would give them."""
    return [replace(entry, number=number) for number, entry in enumerate(entries, 1)]


def test_an_untouched_journal_has_no_defects() -> None:
    head, found = verify(NAME, ENTRIES, sealed(3, 7, 10))
    assert (head, found) == (extended(start(), ENTRIES), [])


def test_entries_after_the_last_seal_are_not_held_against_it() -> None:
    assert defects(ENTRIES, sealed(4)) == []


def test_a_link_is_what_the_design_says() -> None:
    entry = ENTRIES[0]
    first = hashlib.sha256(b"sayso journal 1\n" + NAME.encode()).digest()
    fixed = (1).to_bytes(8, "big") + entry.at.to_bytes(8, "big")
    assert link(first, entry) == hashlib.sha256(first + fixed + hashlib.sha256(entry.record).digest()).digest()


FORGERIES: list[tuple[str, Callable[[], Sequence[JournalEntry]], int]] = [
    ("change a record", lambda: [*ENTRIES[:4], replace(ENTRIES[4], record=b"{}"), *ENTRIES[5:]], 7),
    ("change a time", lambda: [*ENTRIES[:4], replace(ENTRIES[4], at=1), *ENTRIES[5:]], 7),
    ("drop", lambda: [*ENTRIES[:4], *ENTRIES[5:]], 5),
    ("drop and renumber", lambda: renumbered([*ENTRIES[:4], *ENTRIES[5:]]), 7),
    ("reorder", lambda: [*ENTRIES[:4], ENTRIES[5], ENTRIES[4], *ENTRIES[6:]], 5),
    ("reorder and renumber", lambda: renumbered([*ENTRIES[:4], ENTRIES[5], ENTRIES[4], *ENTRIES[6:]]), 7),
    ("duplicate", lambda: [*ENTRIES[:5], *ENTRIES[4:]], 6),
    ("duplicate and renumber", lambda: renumbered([*ENTRIES[:5], *ENTRIES[4:]]), 7),
    ("insert and renumber", lambda: renumbered([*ENTRIES[:4], ENTRIES[0], *ENTRIES[4:]]), 7),
    ("roll back", lambda: ENTRIES[:9], 10),
    ("roll back to before a seal", lambda: ENTRIES[:5], 6),
    ("truncate at the front", lambda: ENTRIES[2:], 1),
    ("empty", lambda: [], 1),
    ("start over", lambda: renumbered([ENTRIES[9]] * 10), 7),
]


@pytest.mark.parametrize(("forge", "where"), [case[1:] for case in FORGERIES], ids=[case[0] for case in FORGERIES])
def test_a_forged_journal_is_found_out_at_the_first_place(
    forge: Callable[[], Sequence[JournalEntry]], where: int
) -> None:
    found = defects(forge(), sealed(7, 10))
    assert found
    assert min(defect.number for defect in found) == where


@given(st.integers(0, 9), st.binary(min_size=1, max_size=30), st.integers(0, 9))
def test_any_other_record_before_a_seal_is_found_out(place: int, record: bytes, later: int) -> None:
    forged = list(ENTRIES)
    forged[place] = replace(ENTRIES[place], record=ENTRIES[place].record + record)
    assert defects(forged, sealed(min(place + 1 + later, 10)))


def test_a_rollback_says_how_much_is_gone() -> None:
    assert defects(ENTRIES[:6], sealed(10)) == [Defect(7, "rolled back: entries up to 10 were sealed, 6 are left")]


def test_the_entries_of_another_journal_do_not_fit() -> None:
    other = origin("https://sayso.example", 1)
    head = extended(start(other), ENTRIES)
    assert head.value != extended(start(), ENTRIES).value
    assert defects(ENTRIES, [replace(head, origin=NAME)])


def test_the_heads_of_another_journal_are_not_taken_for_ours() -> None:
    other = origin("https://sayso.example", 1)
    assert defects(ENTRIES, [Head(other, 10, b"x" * 32), Head(other, 99, b"x" * 32)]) == []


def test_two_heads_that_contradict_each_other_cannot_both_be_met() -> None:
    lie = Head(NAME, 7, b"x" * 32)
    assert defects(ENTRIES, [lie, *sealed(7)]) == defects(ENTRIES, [*sealed(7), lie]) != []


@pytest.mark.parametrize("entries", [ENTRIES[1:], [ENTRIES[0], ENTRIES[2]], [ENTRIES[0], ENTRIES[0]]])
def test_a_chain_is_not_extended_over_a_gap(entries: Sequence[JournalEntry]) -> None:
    with pytest.raises(ValueError, match="follows entry"):
        extended(start(), entries)


@given(st.integers(0, 10))
def test_sealing_in_steps_is_sealing_at_once(step: int) -> None:
    first = extended(start(), ENTRIES[:step])
    assert extended(first, ENTRIES[step:]) == extended(start(), ENTRIES)


def test_a_head_survives_being_signed() -> None:
    head = sealed(10)[0]
    assert Head.from_claims(head.claims(at=1)) == head
