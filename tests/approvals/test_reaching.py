"""Whom a request calls: looked up when people are notified, said on the card, and never a reason to wait."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.card import card_of
from approvals.care import Hours
from approvals.errands import Accounts
from approvals.letters import Stand, letters_of
from approvals.notes import notes_of
from approvals.ports import Stored
from approvals.reaching import MOST, Reaching, to_look_up
from approvals.request import Callee, Callees, Request
from approvals.verdicts import Done
from tests.approvals.house import House, a_house, with_leads
from tests.approvals.make import a_policy_file, account

DUTY, SECURITY = "oncall:pagerduty:PDUTY", "slack:usergroup:S0SEC"
STAND = Stand("slack:C0OPS", {"channel": "C0OPS", "ts": "1.2"})
GROUPS = a_policy_file()["groups"] | {"duty": {"oncall": ["pagerduty:PDUTY"]}}
PEOPLE = a_policy_file()["people"] | {"alice": {"accounts": [account("alice").id, "pagerduty:acme:PALICE"]}}
ALICE = Callee(person="alice", accounts=(account("alice").id, "pagerduty:acme:PALICE"))
NOBODY: Accounts = lambda person: (account(person).id,)  # noqa: E731 - the accounts of whoever is named


async def a_duty_house(notify: str = "mention", group: str = "duty", **sections: Any) -> House:
    """A house in which whoever is on call, or the group security, may answer."""
    demands = {"factors": [{"from": [group], "notify": notify}], "destinations": ["slack:C0OPS"]}
    made = await a_house(defaults=demands | sections, groups=GROUPS, people=PEOPLE)
    made.directory.groups = {DUTY: {"pagerduty:acme:PALICE"}, SECURITY: {account(one).id for one in ("bob", "carol")}}
    return made


async def reached(house: House, request: Request) -> Request:
    """The request after its courier has looked up whom it calls."""
    return (await reaching(house)(await house.store.get(request.id))).request


def reaching(house: House) -> Reaching:
    """What looks up whom to call, in this house."""
    book = house.approvals.pings.book
    return Reaching(store=house.store, policies=house.policies, rosters=house.directory, book=book)


async def test_who_is_on_call_now_is_named_on_the_card() -> None:
    house = await a_duty_house()
    request = await reached(house, await house.asked(posted=False))
    assert request.callees == {DUTY: Callees(people=(ALICE,))}
    (seat,) = card_of(request).needs
    assert ([(who.person, who.accounts) for who in seat.people], seat.groups, seat.hitch) == (
        [("alice", ALICE.accounts)],
        (),
        "",
    )


async def test_it_is_looked_up_once_for_each_occasion_and_committed_without_another_round_of_cards() -> None:
    house = await a_duty_house()
    request = await reached(house, await house.asked(posted=False))
    assert to_look_up(request) == ()
    assert (await reached(house, request)).version == request.version
    (entry,) = await house.noted("called")
    assert (entry["called"], entry["unknown"]) == ({DUTY: ["alice"]}, [])


async def test_a_reminder_calls_whoever_is_on_call_by_then() -> None:
    house = await a_duty_house(reminders={"first": "10m"})
    request = await reached(house, await house.asked())
    house.directory.groups[DUTY] = {"pagerduty:acme:PBOB"}
    house.wait(600_000)
    request = await reached(house, await house.in_time(request))
    (note,) = notes_of(request, NOBODY)
    assert [who.person for who in note.asked] == ["pagerduty:acme:PBOB"]
    assert note.groups == ()


async def test_where_nobody_can_say_who_is_on_call_the_card_says_so_and_calls_nobody() -> None:
    house = await a_duty_house()
    house.directory.unreachable = {DUTY}
    request = await reached(house, await house.asked(posted=False))
    (seat,) = card_of(request).needs
    assert (seat.people, seat.hitch) == ((), "who is on call could not be looked up")
    assert request.status.value == "pending"


async def test_where_nobody_is_on_call_the_card_says_so() -> None:
    house = await a_duty_house()
    house.directory.groups[DUTY] = set()
    (seat,) = card_of(await reached(house, await house.asked(posted=False))).needs
    assert seat.hitch == "nobody is on call"


async def test_whoever_may_not_answer_is_not_called() -> None:
    house = await a_duty_house("dm", "security")
    house.directory.groups[SECURITY] |= {account("dana").id, account("olga").id}  # the principal and the agent's owner
    request = await reached(house, await house.asked(posted=False))
    assert [one.person for one in request.callees[SECURITY].people] == ["bob", "carol"]


@pytest.mark.parametrize(
    ("notify", "places"), [("dm", ["slack:U0BOB", "slack:U0CAROL"]), ("mention", []), ("none", [])]
)
async def test_each_member_of_a_group_gets_a_letter_where_the_rule_says_so(notify: str, places: list[str]) -> None:
    house = await a_duty_house(notify, "security")
    request = await reached(house, await house.asked())
    assert [letter.destination for letter in letters_of(request, STAND, NOBODY)] == places
    assert request.callees.keys() == ({SECURITY} if places else set())


CHANNEL = "teams:19:ops@thread.tacv2"
ENTRA = "teams:group:6c1f3a52-0d7e-4b8e-9a35-3d1f0c2b7e11"


@pytest.mark.parametrize(
    ("group", "places", "is_looked_up"),
    [
        ("slack", {"destinations": ["slack:C0OPS"]}, False),
        ("slack", {"destinations": ["slack:C0OPS", CHANNEL]}, True),
        ("slack", {"destinations": ["slack:C0OPS"], "fallback": [CHANNEL]}, True),
        ("slack", {"destinations": ["slack:C0OPS"], "escalate": [{"after": "10m", "destinations": [CHANNEL]}]}, False),
        ("entra", {"destinations": ["slack:C0OPS"]}, True),
        ("entra", {"destinations": [CHANNEL]}, True),
    ],
)
async def test_a_group_is_looked_up_where_it_cannot_be_mentioned_whole(
    group: str, places: dict[str, Any], is_looked_up: bool
) -> None:
    source = SECURITY if group == "slack" else ENTRA
    house = await a_duty_house()
    await house.adopt(
        groups={"slack": {"slack_usergroup": "S0SEC"}, "entra": {"entra_group": ENTRA.removeprefix("teams:group:")}},
        people=PEOPLE,
        defaults={"factors": [{"from": [group]}], **places},
    )
    house.directory.groups[ENTRA] = {account("bob").id}
    request = await reached(house, await house.asked(posted=False))
    (seat,) = card_of(request).needs
    (found,) = seat.groups
    assert (request.callees.keys() == {source}, found.source) == (is_looked_up, source)
    assert ("bob" in [who.person for who in found.people]) is is_looked_up
    assert (seat.people, seat.hitch, found.hitch) == ((), "", "")


async def test_once_it_is_asked_where_a_group_cannot_be_mentioned_whole_its_members_are_called() -> None:
    steps = [{"after": "10m", "destinations": [CHANNEL]}]
    house = await a_duty_house(group="security", escalate=steps)
    request = await reached(house, await house.asked())
    house.wait(600_000)
    request = await reached(house, await house.in_time(request))
    (note,) = notes_of(request, NOBODY)
    assert note.asked == ()
    assert [(one.source, [who.person for who in one.people]) for one in note.groups] == [(SECURITY, ["bob", "carol"])]


async def test_a_member_who_is_named_as_well_is_called_once() -> None:
    house = await a_duty_house()
    await house.adopt(
        groups=GROUPS | {"bob": {"people": ["bob"]}},
        people=PEOPLE,
        defaults={"factors": [{"from": ["security", "bob"]}], "destinations": [CHANNEL], "reminders": {"first": "10m"}},
    )
    request = await reached(house, await house.asked())
    (seat,) = card_of(request).needs
    assert ([who.person for who in seat.people], [who.person for who in seat.groups[0].people]) == (["bob"], ["carol"])
    house.wait(600_000)
    (note,) = notes_of(await reached(house, await house.in_time(request)), NOBODY)
    assert ([who.person for who in note.asked], [who.person for who in note.groups[0].people]) == (["bob"], ["carol"])


async def test_a_large_group_that_is_mentioned_by_name_says_who_is_not() -> None:
    house = await a_duty_house(group="security", destinations=[CHANNEL])
    house.directory.groups[SECURITY] = {account(f"P{number:03}").id for number in range(MOST + 7)}
    (seat,) = card_of(await reached(house, await house.asked(posted=False))).needs
    assert (len(seat.groups[0].people), seat.groups[0].hitch, seat.hitch) == (MOST, "7 more are not mentioned", "")


async def test_whoever_is_to_review_an_emergency_is_called_by_name_too() -> None:
    house = await a_house(**with_leads())
    sections = with_leads()
    roles = sections["roles"] | {"review": ["security"]}
    glass = {"who": ["leads"], "kinds": ["payments.*"], "announce": [CHANNEL]}
    await house.adopt(**sections | {"roles": roles, "break_glass": glass})
    house.directory.groups = {SECURITY: {account(one).id for one in ("bob", "carol")}}
    request = await house.asked()
    assert isinstance(await house.approvals.operators.break_glass(request.id, account("carol"), "stuck"), Done)
    (note,) = notes_of(await reached(house, request), NOBODY)
    assert note.asked == ()
    assert [(one.source, [who.person for who in one.people]) for one in note.groups] == [(SECURITY, ["bob"])]


async def test_a_group_that_is_written_to_is_mentioned_nowhere() -> None:
    house = await a_duty_house("dm", "security", reminders={"first": "10m"})
    request = await reached(house, await house.asked())
    house.wait(600_000)
    request = await reached(house, await house.in_time(request))
    (note,) = notes_of(request, NOBODY)
    assert (note.asked, note.groups) == ((), ())
    letters = letters_of(request, STAND, NOBODY)
    assert {(letter.note.key, letter.note.what) for letter in letters} == {("letter-reminder-1", "reminder")}


async def test_who_keeps_this_hour_for_themselves_is_not_written_to_for_a_group_but_is_called_when_on_call() -> None:
    night = Hours(begin=0, end=1440, zone="UTC")
    for group, called in (("security", ["carol"]), ("duty", ["bob"])):
        house = await a_duty_house("dm", group)
        await house.adopt(**_attentive(group))
        house.directory.groups[DUTY] = {account("bob").id}
        assert await house.approvals.pings.keep_quiet(account("bob"), night) == night
        (found,) = (await reached(house, await house.asked(posted=False))).callees.values()
        assert [one.person for one in found.people] == called


def _attentive(group: str) -> dict[str, Any]:
    """A policy that says something of people's attention."""
    demands = {"factors": [{"from": [group], "notify": "dm"}], "destinations": ["slack:C0OPS"]}
    return {"defaults": demands, "groups": GROUPS, "people": PEOPLE, "attention": {"budget": {"per_day": 100}}}


async def test_of_a_large_group_the_first_are_written_to_and_the_card_says_so() -> None:
    house = await a_duty_house("dm", "security")
    house.directory.groups[SECURITY] = {account(f"P{number:03}").id for number in range(MOST + 7)}
    request = await reached(house, await house.asked(posted=False))
    assert len(letters_of(request, STAND, NOBODY)) == MOST
    (seat,) = card_of(request).needs
    assert (seat.hitch, seat.people) == ("7 more were not written to", ())


async def test_a_group_that_cannot_be_looked_up_is_not_written_to() -> None:
    house = await a_duty_house("dm", "security")
    house.directory.unreachable = {SECURITY}
    request = await reached(house, await house.asked(posted=False))
    assert letters_of(request, STAND, NOBODY) == ()
    assert card_of(request).needs[0].hitch == "who is in the group could not be looked up"


async def test_who_has_answered_is_called_no_more() -> None:
    house = await a_duty_house("dm", "security", factors=[{"from": ["security"], "approvals": 2, "notify": "dm"}])
    request = await reached(house, await house.asked())
    await house.click(request, "bob")
    request = await reached(house, request)
    assert [letter.destination for letter in letters_of(request, STAND, NOBODY)] == ["slack:U0CAROL"]


async def test_once_it_is_decided_nobody_is_looked_up() -> None:
    house = await a_duty_house("dm", "security")
    request = await reached(house, await house.asked())
    await house.click(request, "bob")
    assert to_look_up(await house.now_is(request)) == ()


async def test_what_was_decided_meanwhile_is_left_as_it_is() -> None:
    house = await a_duty_house("dm", "security")
    request = await house.asked()
    before: Stored = await house.store.get(request.id)
    await house.click(request, "bob")
    after = (await reaching(house)(before)).request
    assert (after.status.value, after.callees) == ("approved", {})


async def test_under_another_policy_by_now_it_is_looked_up_all_the_same() -> None:
    house = await a_duty_house("dm", "security")
    request = await house.asked()
    await house.adopt(groups=GROUPS, people=PEOPLE)
    assert (await reached(house, request)).callees.keys() == {SECURITY}


async def test_a_commit_that_is_not_safe_yet_is_no_reason_to_wait() -> None:
    house = await a_duty_house("dm", "security")
    request = await house.asked()
    house.store.unconfirmed = True
    assert (await reached(house, request)).callees.keys() == {SECURITY}


async def test_a_request_without_such_sources_costs_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    assert (await reached(house, request)).version == request.version
    assert await house.noted("called") == []
