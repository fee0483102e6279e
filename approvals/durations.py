"""Durations as policy writes them: a number and a unit."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def written(duration: int) -> str:
    """The duration as policy writes it, to the second: 90s, 15m, 2h, 1d."""
    unit = next(unit for unit in ("d", "h", "m", "s") if duration % _UNITS[unit] == 0 or unit == "s")
    return f"{duration // _UNITS[unit]}{unit}"


def milliseconds(text: str) -> int:
    """Milliseconds from 90s, 15m, 2h or 1d; raises ValueError for anything else."""
    if (found := re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)) is None:
        raise ValueError("write a duration as a number and a unit: 90s, 15m, 2h, 1d")
    return int(found[1]) * _UNITS[found[2]]
