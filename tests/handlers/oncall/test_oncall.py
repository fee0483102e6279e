"""Who is on call: a schedule names accounts that the policy lists, and what cannot be asked refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from approvals.errors import DirectoryUnavailable
from approvals.people import NotAllowed, Voter, may_answer
from approvals.ports import Account
from bot.doors import Directories
from handlers.oncall.calendars import MOST, CalendarProblem, Calendars, on_call
from handlers.oncall.pagerduty import PagerDuty
from tests.approvals.make import a_policy, a_policy_file, a_question, account
from tests.approvals.test_people import People
from tests.fakes import pagerduty
from tests.loopback import served

SHIFT = datetime(2026, 1, 5, 9, tzinfo=UTC)
WEEK = timedelta(days=7)
ALICE = Account("pagerduty", "acme", "PALICE")
PRIMARY = "oncall:pagerduty:PRIMARY"


class Time:
    """Two clocks that tests move together."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[pagerduty.PagerDuty]:
    async with pagerduty.a_pagerduty() as made:
        made.shifts["PRIMARY"] = [(SHIFT, SHIFT + WEEK, "PALICE"), (SHIFT + WEEK, SHIFT + 2 * WEEK, "PBOB")]
        yield made


def asking(fake: pagerduty.PagerDuty, session: aiohttp.ClientSession, time: Time, **given: Any) -> PagerDuty:
    members: dict[str, Any] = {"token": pagerduty.TOKEN, "subdomain": "acme", "url": fake.url}
    return PagerDuty(session, now=time.now, clock=time.monotonic, **(members | given))


async def test_whoever_has_the_shift_is_on_call_and_for_a_minute_at_most_longer(
    fake: pagerduty.PagerDuty, session: aiohttp.ClientSession
) -> None:
    time = Time(SHIFT + WEEK - timedelta(seconds=30))
    directory = asking(fake, session, time)
    assert await directory.is_member(ALICE, PRIMARY)
    time.at += timedelta(seconds=59)
    assert await directory.is_member(ALICE, PRIMARY)
    assert fake.asked == ["PRIMARY"]
    time.at += timedelta(seconds=2)
    assert not await directory.is_member(ALICE, PRIMARY)
    assert await directory.is_member(Account("pagerduty", "acme", "PBOB"), PRIMARY)


async def test_nobody_else_is_on_call(fake: pagerduty.PagerDuty, session: aiohttp.ClientSession) -> None:
    directory = asking(fake, session, Time(SHIFT))
    for other in (Account("pagerduty", "other", "PALICE"), Account("slack", "acme", "PALICE"), account("alice")):
        assert not await directory.is_member(other, PRIMARY)
    assert not await directory.is_member(ALICE, "slack:usergroup:PRIMARY")


@pytest.mark.parametrize(
    "broken",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=429, headers={"Retry-After": "1"}),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(text="<html>", content_type="text/html"),
        lambda: web.Response(text="{", content_type="application/json"),
        lambda: web.json_response({"users": None}),
        lambda: web.json_response({"users": [{"id": 7}]}),
        lambda: web.json_response([]),
    ],
)
async def test_what_pagerduty_does_not_say_is_not_guessed(
    fake: pagerduty.PagerDuty, session: aiohttp.ClientSession, broken: Any
) -> None:
    directory = asking(fake, session, Time(SHIFT))
    fake.broken = broken()
    with pytest.raises(DirectoryUnavailable):
        await directory.is_member(ALICE, PRIMARY)
    fake.broken = None
    assert await directory.is_member(ALICE, PRIMARY)


async def test_a_wrong_token_or_an_unknown_schedule_refuses(
    fake: pagerduty.PagerDuty, session: aiohttp.ClientSession
) -> None:
    for directory, source in (
        (asking(fake, session, Time(SHIFT), token="wrong"), PRIMARY),
        (asking(fake, session, Time(SHIFT)), "oncall:pagerduty:PNONE"),
    ):
        with pytest.raises(DirectoryUnavailable):
            await directory.is_member(ALICE, source)


async def test_a_person_answers_from_chat_because_their_account_is_on_call(
    fake: pagerduty.PagerDuty, session: aiohttp.ClientSession
) -> None:
    people = a_policy_file()["people"]
    people["alice"]["accounts"].append(ALICE.id)
    demands = {"factors": [{"from": ["duty"]}], "destinations": ["slack:C0OPS"]}
    policy = a_policy(people=people, groups={"duty": {"oncall": ["pagerduty:PRIMARY"]}}, defaults=demands)
    terms, chat = policy.terms(a_question()), People()
    time = Time(SHIFT)
    directory = Directories({"slack": chat, "pagerduty": asking(fake, session, time)})
    assert isinstance(await may_answer(account("alice"), terms, policy, directory), Voter)
    found = await may_answer(account("bob"), terms, policy, directory)
    assert isinstance(found, NotAllowed)
    assert found.reason == "not_an_approver"
    chat.not_full[account("alice").id] = "a guest"
    found = await may_answer(account("alice"), terms, policy, directory)
    assert isinstance(found, NotAllowed)
    assert found.reason == "not_a_member"
    chat.not_full.clear()
    time.at += timedelta(minutes=2)
    fake.broken = web.Response(status=503)
    found = await may_answer(account("alice"), terms, policy, directory)
    assert isinstance(found, NotAllowed)
    assert found.reason == "lookup_failed"


# -- calendars ----------------------------------------------------------------------------------------------------


def a_calendar(*events: str, head: str = "") -> bytes:
    """A calendar with these events."""
    body = "".join(f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{head}{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


WEEKLY = (
    "DTSTART;TZID=Europe/Berlin:20260105T090000\nDTEND;TZID=Europe/Berlin:20260112T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2"
)
ATTENDED = f"{WEEKLY}\nSUMMARY:Duty\nATTENDEE;PARTSTAT=ACCEPTED:mailto:Alice@Acme.example"
NAMED = "DTSTART;VALUE=DATE:20260112\nDTEND;VALUE=DATE:20260119\nSUMMARY: Bob "


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (datetime(2026, 1, 5, 7, 59, tzinfo=UTC), set()),
        (datetime(2026, 1, 5, 8, 0, tzinfo=UTC), {"alice@acme.example"}),
        (datetime(2026, 1, 12, 7, 59, tzinfo=UTC), {"alice@acme.example", "bob"}),
        (datetime(2026, 1, 12, 8, 0, tzinfo=UTC), {"bob"}),
        (datetime(2026, 7, 6, 7, 0, tzinfo=UTC), {"alice@acme.example"}),  # summer time, half a year later
        (datetime(2026, 7, 6, 6, 59, tzinfo=UTC), set()),
    ],
)
def test_whoever_attends_what_is_going_on_is_on_call(at: datetime, names: set[str]) -> None:
    assert on_call(a_calendar(ATTENDED, NAMED), at) == names


def test_a_day_begins_where_the_calendar_lives() -> None:
    calendar = a_calendar(NAMED, head="X-WR-TIMEZONE:America/New_York\n")
    assert on_call(calendar, datetime(2026, 1, 12, 4, 59, tzinfo=UTC)) == set()
    assert on_call(calendar, datetime(2026, 1, 12, 5, 0, tzinfo=UTC)) == {"bob"}
    with pytest.raises(CalendarProblem):
        on_call(a_calendar(NAMED, head="X-WR-TIMEZONE:America\n"), datetime(2026, 1, 12, 5, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    "event",
    [
        f"{ATTENDED}\nSTATUS:CANCELLED",
        ATTENDED.replace("ACCEPTED", "DECLINED"),
        f"{WEEKLY}\nSUMMARY:alice and bob",
        f"{WEEKLY}\nSUMMARY:",
        f"{ATTENDED}\nEXDATE;TZID=Europe/Berlin:20260105T090000",
    ],
)
def test_who_does_not_attend_is_not_on_call(event: str) -> None:
    assert on_call(a_calendar(event), datetime(2026, 1, 6, tzinfo=UTC)) == set()


@pytest.mark.parametrize("text", [b"", b"hello", b"BEGIN:VCALENDAR\r\n", b"\xff\xfe", a_calendar(WEEKLY)[:40]])
def test_what_is_no_calendar_is_not_an_empty_one(text: bytes) -> None:
    with pytest.raises(CalendarProblem):
        on_call(text, SHIFT)


async def test_a_file_and_an_address_are_read(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    file = tmp_path / "duty.ics"
    file.write_bytes(a_calendar(ATTENDED))
    answers = [web.Response(body=a_calendar(NAMED)), web.Response(body=b"x" * (MOST + 1)), web.Response(status=404)]

    async def calendar(_: web.Request) -> web.Response:
        return answers.pop(0)

    time = Time(datetime(2026, 1, 12, 7, tzinfo=UTC))
    async with served([web.get("/duty.ics", calendar)]) as url:
        addresses = {"file": str(file), "web": f"{url}/duty.ics", "gone": str(tmp_path / "gone.ics")}
        directory = Calendars(addresses, session, now=time.now, clock=time.monotonic)
        assert await directory.is_member(Account("ical", "file", "alice@acme.example"), "oncall:ical:file")
        assert await directory.is_member(Account("ical", "web", "bob"), "oncall:ical:web")
        assert not await directory.is_member(Account("ical", "web", "bob"), "oncall:ical:file")
        time.at += timedelta(minutes=2)
        for name in ("web", "web", "gone", "never-heard-of"):
            with pytest.raises(DirectoryUnavailable):
                await directory.is_member(Account("ical", name, "bob"), f"oncall:ical:{name}")
        await directory.close()
