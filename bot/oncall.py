"""Who is on call, by the settings: the directories of PagerDuty and of calendars, beside those of the platforms."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack

import aiohttp

from bot.settings import Settings
from handlers.oncall.calendars import Calendars
from handlers.oncall.pagerduty import PagerDuty
from handlers.oncall.schedule import SOURCE, OnCall


def open_oncall(stack: AsyncExitStack, session: aiohttp.ClientSession, settings: Settings) -> dict[str, OnCall]:
    """By the platform of their accounts; nothing where nothing is set. The stack closes them."""
    found: list[OnCall] = []
    if settings.pagerduty_token is not None and settings.pagerduty_subdomain is not None:
        token = settings.pagerduty_token.get_secret_value()
        found.append(
            PagerDuty(session, token=token, subdomain=settings.pagerduty_subdomain, url=settings.pagerduty_url)
        )
    if calendars := settings.calendars():
        found.append(Calendars(calendars, session))
    for directory in found:
        stack.push_async_callback(directory.close)
    return {directory.via: directory for directory in found}


def unasked(sources: Iterable[str], settings: Settings) -> list[str]:
    """The on-call schedules of a policy that nobody is set up to ask: nobody would ever be on call there."""
    known = {"pagerduty": settings.pagerduty_token is not None}
    known |= {f"ical:{name}": True for name in settings.calendars()}
    schedules = (source.removeprefix(SOURCE) for source in sources if source.startswith(SOURCE))
    return [one for one in schedules if not known.get(one) and not known.get(one.split(":")[0])]
