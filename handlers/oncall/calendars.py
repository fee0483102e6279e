"""Calendars (RFC 5545) as on-call schedules, for teams without a paging service: a file, or an address that is read.

Whoever attends an event that is going on now is on call: `ical:<calendar>:<address>`, in small letters. An event
without attendees names somebody by its summary. The policy lists that account under a person; no address links itself.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiohttp
import recurring_ical_events  # type: ignore[import-untyped]  # it has no stubs
from icalendar import Calendar, Component

from handlers.oncall.schedule import OnCall
from handlers.recent import PATIENCE

MOST: Final = 2_000_000  #: bytes of a calendar that are read
_NAME = re.compile(r"[a-z0-9._@-]{1,100}")


class CalendarProblem(Exception):
    """A calendar does not say who is on call."""


class Calendars(OnCall):
    """Calendars by name, each a path or an https address. `now` is the time of day by which shifts change."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        session: aiohttp.ClientSession,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__("ical", clock, (CalendarProblem, aiohttp.ClientError, OSError), patience)
        self._addresses = addresses
        self._session = session
        self._now = now

    async def look_up(self, schedule: str) -> frozenset[str]:
        """Everybody who attends what is going on in this calendar now."""
        address = self._addresses.get(schedule)
        if address is None:
            raise CalendarProblem(f"no calendar is called {schedule!r}")
        text = await self._fetched(address) if "://" in address else await asyncio.to_thread(_file, Path(address))
        names = await asyncio.to_thread(on_call, text, self._now())
        return frozenset(f"{self.via}:{schedule}:{name}" for name in names)

    async def _fetched(self, url: str) -> bytes:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise CalendarProblem(f"the calendar's server answered {response.status}")
            text = await response.content.read(MOST + 1)
            while len(text) <= MOST and (more := await response.content.read(MOST)):
                text += more
        return _whole(text)


def on_call(text: bytes, now: datetime) -> frozenset[str]:
    """The names of those who attend an event of a calendar at an instant. Raises CalendarProblem."""
    try:
        calendar = Calendar.from_ical(text)
        here = now.astimezone(_zone(calendar))
        events = recurring_ical_events.of(calendar).between(here, here + timedelta(seconds=1))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as exc:  # OSError: a zone that is a folder
        raise CalendarProblem("this is no calendar that can be read") from exc
    return frozenset(name for event in events for name in _names(event))


def _zone(calendar: Component) -> ZoneInfo:
    """Where a calendar's days begin and end, if it says so; else UTC."""
    try:
        return ZoneInfo(str(calendar.get("X-WR-TIMEZONE", "UTC")))
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _names(event: Component) -> Iterator[str]:
    """Who attends and has not declined; without attendees, the summary."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return
    given = event.get("ATTENDEE", [])
    attendees = given if isinstance(given, list) else [given]
    for one in attendees:
        if str(one.params.get("PARTSTAT", "")).upper() != "DECLINED":
            yield from _name(str(one).lower().removeprefix("mailto:"))
    if not attendees:
        yield from _name(str(event.get("SUMMARY", "")).strip().lower())


def _name(text: str) -> Iterator[str]:
    if _NAME.fullmatch(text):
        yield text


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _whole(file.read(MOST + 1))


def _whole(text: bytes) -> bytes:
    if len(text) > MOST:
        raise CalendarProblem(f"the calendar is larger than {MOST} bytes")
    return text
