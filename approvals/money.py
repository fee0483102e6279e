"""Amounts of money as exact whole numbers: millionths of the unit, read from text and never through a float."""

from __future__ import annotations

import re
from typing import Any, Final

UNIT: Final = 10**6  #: millionths in one
_AMOUNT: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def millionths(value: Any) -> int | None:
    """An amount such as "12400.00", or a whole number, in millionths; None for what is no such amount.

    Nothing is rounded and nothing guessed: a sign, an exponent, a thousands separator, a seventh decimal or a JSON
    number with a fraction is no amount. At most twelve digits stand before the point.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or (found := _AMOUNT.fullmatch(text)) is None:
        return None
    whole, fraction = found.groups()
    return int(whole) * UNIT + int((fraction or "").ljust(6, "0"))


def is_currency(value: Any) -> bool:
    """Whether a value is a code of three capital letters (ISO 4217): one currency has one spelling, hence one sum."""
    return isinstance(value, str) and _CURRENCY.fullmatch(value) is not None
