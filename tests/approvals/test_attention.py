"""Whom a request notifies: not too often, not at night, never less than who may answer, and never a yes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.attention import DAY, HOUR, Book, notified, with_care
from approvals.card import card_of
from approvals.care import Care, Hours
from approvals.lifecycle import Status
from approvals.notes import notes_of
from approvals.pings import Pings
from approvals.request import Request
from approvals.service import Counted, Refused
from approvals.terms import Escalation
from bot.zones import is_zone, minute_of_day
from tests.approvals.house import House, a_house
from tests.approvals.make import MINUTE, NOW, a_factor, a_policy_file, a_request, account, some_terms

NIGHT = Hours(begin=22 * 60, end=7 * 60, zone="Europe/Berlin")
MIDNIGHT = 1_780_005_600_000  #: 2026-05-28T22:00Z: midnight in Berlin, where it is summer
BOTH = ("person:alice", "person:bob")


def test_hours_may_span_midnight() -> None:
    day = Hours(begin=9 * 60, end=17 * 60, zone="UTC")
    assert [NIGHT.hold(minute) for minute in (0, 419, 420, 1319, 1320)] == [True, True, False, False, True]
    assert [day.hold(minute) for minute in (0, 539, 540, 1019, 1020)] == [False, False, True, True, False]
    assert minute_of_day("Europe/Berlin", MIDNIGHT) == 0
    for nowhere in ("Nowhere/Land", "America", "America/Argentina"):
        assert minute_of_day(nowhere, MIDNIGHT) == minute_of_day("UTC", MIDNIGHT) == 22 * 60


def test_where_policy_says_nothing_everybody_who_is_asked_is_notified() -> None:
    request = a_request()
    assert with_care(request, Book(notified=dict.fromkeys(BOTH, (NOW,) * 99)), NOW) == request
    assert notified(request) == BOTH


@pytest.mark.parametrize(
    ("times", "left"),
    [
        ((), BOTH),
        ((NOW - 1,), BOTH),
        ((NOW - 2, NOW - 1), BOTH[1:]),
        ((NOW - HOUR, NOW - 1), BOTH),
        ((NOW - 5 * HOUR, NOW - 4 * HOUR, NOW - 2 * HOUR), BOTH[1:]),
        ((NOW - DAY, NOW - 4 * HOUR, NOW - 2 * HOUR), BOTH),
    ],
)
def test_who_was_notified_often_enough_is_left_in_peace(times: tuple[int, ...], left: tuple[str, ...]) -> None:
    book = Book(Care(per_hour=2, per_day=3), {"person:alice": times})
    assert notified(with_care(a_request(), book, NOW)) == left


def test_at_night_only_who_is_on_call_is_notified_or_who_chose_other_hours() -> None:
    factor = a_factor().model_copy(update={"sources": (*BOTH, "oncall:ical:primary", "slack:usergroup:S0SEC")})
    request = a_request(terms=some_terms(factors=(factor,)))
    early = Hours(begin=20 * 60, end=21 * 60, zone="Europe/Berlin")
    book = Book(Care(quiet=NIGHT), hours={"person:bob": early}, minute_of_day=minute_of_day)
    assert notified(with_care(request, book, MIDNIGHT)) == ("person:bob", "oncall:ical:primary")
    none = Book(Care(quiet=NIGHT), hours={"person:alice": None}, minute_of_day=minute_of_day)
    assert "person:alice" in notified(with_care(request, none, MIDNIGHT))


def test_the_card_names_only_those_whom_it_notifies() -> None:
    after = with_care(a_request(), Book(Care(per_hour=1), {"person:alice": (NOW,)}), NOW)
    assert [[who.person for who in seat.people] for seat in card_of(after).needs] == [["bob"]]


def test_a_demand_that_pings_nobody_pings_nobody() -> None:
    factors = (a_factor("ops").model_copy(update={"notify": "none"}), a_factor("fin", "carol"))
    assert notified(a_request(terms=some_terms(factors=factors))) == ("person:carol",)


def test_where_all_were_notified_often_enough_the_next_step_is_asked_at_once_and_no_other() -> None:
    steps = (
        Escalation(after=MINUTE, sources=("person:carol",), joins=BOTH),
        Escalation(after=2 * MINUTE, sources=("person:dana",), joins=BOTH),
        Escalation(after=3 * MINUTE, sources=("person:olga",), joins=("person:erin",)),
    )
    request = a_request(terms=some_terms(escalation=steps))
    care, spent = Care(per_hour=1), (NOW - 1,)
    after = with_care(request, Book(care, dict.fromkeys(BOTH, spent)), NOW)
    assert (after.escalated, notified(after)) == (1, ("person:carol",))
    after = with_care(request, Book(care, dict.fromkeys((*BOTH, "person:carol"), spent)), NOW)
    assert (after.escalated, notified(after)) == (2, ("person:dana",))
    after = with_care(request, Book(care, dict.fromkeys((*BOTH, "person:carol", "person:dana"), spent)), NOW)
    assert (after.escalated, notified(after)) == (2, ())
    assert with_care(request, Book(care, {"person:alice": spent}), NOW).escalated == 0
    assert with_care(request, Book(Care(quiet=NIGHT), minute_of_day=minute_of_day), MIDNIGHT).escalated == 0


@given(
    times=st.dictionaries(st.sampled_from(BOTH), st.lists(st.integers(NOW - 2 * DAY, NOW), max_size=5).map(tuple)),
    care=st.builds(Care, per_hour=st.none() | st.integers(1, 3), per_day=st.none() | st.integers(1, 3)),
)
def test_care_never_changes_who_may_answer_nor_decides(times: dict[str, tuple[int, ...]], care: Care) -> None:
    request = a_request()
    after = with_care(request, Book(care, times), NOW)
    assert after.model_copy(update={"quiet": ()}) == request
    assert set(notified(after)) <= {*BOTH}


# -- in the service -----------------------------------------------------------------------------------------------


def with_budget(**attention: Any) -> dict[str, Any]:
    """One of alice and bob; after ten minutes carol too."""
    demands = {
        "factors": [{"from": ["ops"]}],
        "destinations": ["slack:C0OPS"],
        "reminders": {"first": "5m", "most": 1},
        "escalate": [{"after": "10m", "to": ["boss"]}],
    }
    groups = a_policy_file()["groups"] | {"boss": {"people": ["carol"]}}
    return {"defaults": demands, "groups": groups, "attention": attention}


async def notified_of(house: House, call: str) -> tuple[Request, tuple[str, ...]]:
    """A new request, and whom it notifies."""
    request = await house.asked(call)
    return request, notified(request)


async def test_a_flood_notifies_nobody_more_often_than_policy_says_and_everything_still_waits() -> None:
    house = await a_house(**with_budget(budget={"per_hour": 2}))
    found = [await notified_of(house, f"run-{number}") for number in range(6)]
    assert [whom for _, whom in found] == [BOTH, BOTH, ("person:carol",), ("person:carol",), (), ()]
    assert {request.status for request, _ in found} == {Status.PENDING}
    last = found[-1][0]
    verdict = await house.click(last, "alice")
    assert isinstance(verdict, Counted)
    assert verdict.request.status is Status.APPROVED
    house.wait(HOUR)
    assert (await notified_of(house, "run-later"))[1] == BOTH


async def test_reminders_count_and_leave_in_peace_too() -> None:
    house = await a_house(**with_budget(budget={"per_hour": 2}))
    first, _ = await notified_of(house, "run-1")
    house.wait(5 * MINUTE)
    reminded = await house.in_time(first)
    (note,) = notes_of(reminded, lambda _: ())
    assert [who.person for who in note.asked] == ["alice", "bob"]
    _, whom = await notified_of(house, "run-2")
    assert whom == ("person:carol",)
    house.wait(5 * MINUTE)
    escalated = await house.in_time(first)
    assert [who.person for who in notes_of(escalated, lambda _: ())[0].asked] == ["carol"]


async def test_people_choose_their_own_quiet_hours() -> None:
    quiet = {"from": "00:00", "to": "23:59", "zone": "UTC"}
    house = await a_house(**with_budget(quiet_hours=quiet))
    assert await house.approvals.pings.quiet_hours_of(account("alice")) == Hours(begin=0, end=1439, zone="UTC")
    assert await house.approvals.pings.keep_quiet(account("alice"), None) is None
    assert await house.approvals.pings.quiet_hours_of(account("alice")) is None
    assert (await notified_of(house, "run-1"))[1] == ("person:alice",)
    assert await house.approvals.pings.keep_quiet(account("alice"), NIGHT) == NIGHT
    assert await house.approvals.pings.quiet_hours_of(account("alice")) == NIGHT
    house.directory.not_full[account("alice").id] = "a guest"
    refused = await house.approvals.pings.keep_quiet(account("alice"), None)
    assert isinstance(refused, Refused)


async def test_hours_in_a_time_zone_that_does_not_exist_are_refused() -> None:
    house = await a_house()
    pings = Pings(
        store=house.store,
        directory=house.directory,
        policies=house.policies,
        minute_of_day=minute_of_day,
        is_zone=is_zone,
    )
    there = NIGHT.model_copy(update={"zone": "Europe/Berlim"})
    refused = await pings.keep_quiet(account("alice"), there)
    assert isinstance(refused, Refused)
    assert refused.reason == "no_such_zone"
    assert await pings.quiet_hours_of(account("alice")) is None
    assert await pings.keep_quiet(account("alice"), NIGHT) == NIGHT


async def test_without_the_section_nothing_is_counted() -> None:
    sections = with_budget()
    house = await a_house(defaults=sections["defaults"], groups=sections["groups"])
    await house.asked()
    assert not await house.store.shelf.folder("pings")
