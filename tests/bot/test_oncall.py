"""On-call by the settings: what is connected, and what a policy names in vain."""

from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp

from approvals.ports import Account
from bot.doors import Doors
from bot.oncall import open_oncall, unasked
from bot.settings import Settings

SOURCES = ("person:alice", "slack:usergroup:S0SEC", "oncall:pagerduty:P1", "oncall:ical:primary", "oncall:ical:other")


async def test_what_is_set_is_asked_beside_the_chat_platforms() -> None:
    settings = Settings(
        pagerduty_token="u+x", pagerduty_subdomain="acme", oncall_calendars="primary=/nowhere.ics", slack_mode="off"
    )
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        directory = Doors(oncall=open_oncall(stack, session, settings)).directory
        assert await directory.standing(Account("ical", "primary", "alice")) is None
        assert await directory.standing(Account("slack", "T0", "U0")) == "not known to any directory"
        assert not await directory.is_member(Account("pagerduty", "other", "P1"), "oncall:ical:primary")
        assert not open_oncall(stack, session, Settings(slack_mode="off"))


def test_a_schedule_that_nobody_is_set_up_to_ask_is_told_at_the_start() -> None:
    assert unasked(SOURCES, Settings(slack_mode="off")) == ["pagerduty:P1", "ical:primary", "ical:other"]
    settings = Settings(pagerduty_token="x", pagerduty_subdomain="a", oncall_calendars="primary=x", slack_mode="off")
    assert unasked(SOURCES, settings) == ["ical:other"]
