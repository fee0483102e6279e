"""Instants as people type them: a day means its end, by UTC, since nobody said in whose time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = re.compile(r"([1-9][0-9]{0,3}) ?(h|d|w|hours?|days?|weeks?)")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
FORMS = "friday, tomorrow, 2026-12-24, 8h, 3d or 2w"


def moment(said: str, now: int) -> int | None:
    """The instant (ms) that is meant, seen from `now` (ms); None where nobody can tell."""
    today = datetime.fromtimestamp(now / 1000, UTC)
    if found := _SPAN.fullmatch(said):
        return now + int(_UNITS[found[2][0]] * int(found[1]) / timedelta(milliseconds=1))
    if (day := _day(said, today.date())) is not None:
        end = datetime.combine(day + timedelta(days=1), time(), UTC)
        return int(end.timestamp() * 1000)
    return None


def _day(said: str, today: date) -> date | None:
    """The day that is meant; of weekdays the next one, today not counted."""
    if said in ("today", "tomorrow"):
        return today + timedelta(days=said == "tomorrow")
    if said in _DAYS:
        return today + timedelta(days=(_DAYS.index(said) - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(said)
    except ValueError:
        return None
