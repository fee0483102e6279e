"""The time of day in people's time zones."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

log = structlog.get_logger("sayso.zones")


def minute_of_day(zone: str, at: int) -> int:
    """The minute of the day that an instant (ms) is in a time zone; in UTC where nobody knows the zone."""
    there = datetime.fromtimestamp(at / 1000, UTC).astimezone(_zone(zone))
    return there.hour * 60 + there.minute


def is_zone(name: str) -> bool:
    """Whether this is a time zone that is known here."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a part of the world, such as America, is a folder
        log.warning("no such time zone", zone=name, taken="UTC")
        return ZoneInfo("UTC")
