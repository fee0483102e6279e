"""Amounts of money: exact, or no amounts at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.money import UNIT, is_currency, millionths


@given(st.integers(0, 10**12 - 1), st.integers(0, 999_999), st.integers(1, 6))
def test_an_amount_is_read_exactly(whole: int, fraction: int, digits: int) -> None:
    text = f"{whole}.{fraction:06d}"[: -6 + digits or None]
    assert Decimal(millionths(text) or 0) / UNIT == Decimal(text)


@given(st.integers(0, 10**12 - 1))
def test_a_whole_number_is_an_amount(whole: int) -> None:
    assert millionths(whole) == millionths(str(whole)) == whole * UNIT


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1.5, 1e3, -1, 10**12, ["1"], {"amount": "1"}),
        *("", " 1", "1 ", "1\n", "+1", "-1", "1e3", "1,000", "1_000", "1.", ".5", "1.1234567", "٣", "0x10", "NaN"),
        *("9" * 13, "Infinity"),
    ],
)
def test_what_could_be_read_in_two_ways_is_no_amount(value: Any) -> None:
    assert millionths(value) is None


@pytest.mark.parametrize(("value", "sound"), [("EUR", True), ("eur", False), ("EUR ", False), ("€", False), (1, False)])
def test_a_currency_has_one_spelling(value: Any, sound: bool) -> None:
    assert is_currency(value) is sound
