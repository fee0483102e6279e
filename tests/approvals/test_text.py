"""Untrusted text made safe to look at."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.text import clipped, has_hidden, one_line, visible

#: Unicode 15 DerivedCoreProperties, Default_Ignorable_Code_Point: what renderers draw as nothing.
IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip


def test_every_character_that_draws_as_nothing_is_written_out() -> None:
    for first, last in IGNORABLE:
        for point in range(first, last + 1):
            assert visible(chr(point)) == f"\\u{{{point:04X}}}", hex(point)


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x08", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ue000", "\ufdd0", "\U0010ffff", "\u0378"],
)
def test_controls_separators_private_and_unassigned_characters_are_written_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a\\u{{{ord(character):04X}}}b"
    assert has_hidden(f"a{character}b")


@pytest.mark.parametrize(
    "blank", ["\u00a0", "\u1680", "\u2000", "\u2007", "\u200a", "\u202f", "\u205f", "\u3000", "\u2800"]
)
def test_blanks_that_are_not_the_space_bars_are_written_out(blank: str) -> None:
    assert has_hidden(blank)
    assert blank not in visible(blank)


def test_bidirectional_overrides_cannot_turn_text_around() -> None:
    assert visible("pay \u202eegnaro\u202c") == "pay \\u{202E}egnaro\\u{202C}"


@given(st.text())
def test_what_is_shown_holds_no_character_that_cannot_be_seen(text: str) -> None:
    for character in visible(text):
        assert character in "\n\t " or unicodedata.category(character)[0] in "LMNPS"


@given(st.text())
def test_showing_twice_is_showing_once(text: str) -> None:
    assert not has_hidden(visible(text))
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize("text", ["INV-2093", "Zoë Müller", "Ωμέγα", "東京", "a\tb\nc", "x" * 100, "e\u0301"])
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text
    assert not has_hidden(text)


def test_a_wall_of_blanks_is_folded_and_counted() -> None:
    assert visible("a" + " " * 41 + "b") == "a<+41 blanks>b"
    assert visible("a" + " " * 40 + "b") == "a" + " " * 40 + "b"
    assert visible("a" + "\n" * 4 + "b") == "a<+4 blanks>b"
    assert visible("a\n\n\nb") == "a\n\n\nb"


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


def test_what_is_clipped_says_so() -> None:
    assert clipped("abc", 3) == "abc"
    assert clipped("abcde", 3) == "abc… (+2 characters)"
