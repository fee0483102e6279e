"""`policy explain` on who could answer right now: on every platform, on call, in whose place, and what is not known."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals.arrangements import DELEGATIONS, NOTHING, Arranged, Delegation
from approvals.policy import Policy
from bot.doors import Known
from bot.people_now import people_now, rows
from bot.policies import read_policy
from bot.settings import load
from sandbox import Sandbox
from storage.redis import RedisStore
from tests.approvals.make import a_policy, a_question, account
from tests.approvals.test_people import People
from tests.fakes.entra import TENANT, person_id
from tests.handlers.teams.world import SRE, World, a_world
from tests.servers import Server

SCENES = Path(__file__).parents[2] / "examples/policies/five-scenes.yaml"
DUTY = "oncall:pagerduty:PRIMARY"


def a_team(**sections: Any) -> Policy:
    """Alice is of Slack and of PagerDuty, bob of Slack, carol of Teams; who is on duty is asked."""
    people = {
        "alice": {"accounts": [account("alice").id, "pagerduty:acme:PALICE"]},
        "bob": {"accounts": [account("bob").id]},
        "carol": {"accounts": [f"teams:{TENANT}:{person_id('carol')}"]},
        "dana": {},
        "olga": {},
    }
    groups = {"duty": {"oncall": ["pagerduty:PRIMARY"]}, "sre": {"entra_group": SRE}, "all": {"people": [*people]}}
    demands = {"factors": [{"from": ["duty", "sre"]}], "destinations": ["slack:C0OPS"]}
    return a_policy(people=people, groups=groups, defaults=demands, roles={"delegate": ["all"]}, **sections)


@pytest.fixture
async def http_teams() -> AsyncIterator[World]:
    """Teams with an Entra beside it."""
    async with a_world() as made:
        yield made


async def told(policy: Policy, known: dict[str, Known], arranged: Arranged = NOTHING) -> str:
    """What is said of the payment."""
    terms = policy.terms(a_question())
    return "\n".join([row async for row in rows(terms, policy, known, arranged, [])])


async def test_people_on_call_and_those_who_have_their_seats_are_told_apart() -> None:
    duty = People({DUTY: {"pagerduty:acme:PALICE"}})
    seat = Delegation(id="1", owner="alice", account=account("alice").id, to="bob", kinds=("*",), since=0, until=10**13)
    said = await told(a_team(), {"slack": People(), "pagerduty": duty}, Arranged(delegations=(seat,)))
    assert "  alice         may answer for duty+sre (slack:T0SAYSO:U0ALICE)" in said
    assert "  bob           may answer for duty+sre in alice's place (slack:T0SAYSO:U0BOB)" in said
    assert f"  carol         was not asked (teams:{TENANT}:{person_id('carol')})" in said
    assert "PALICE" not in said, "nobody clicks in PagerDuty"


async def test_groups_of_entra_are_asked(http_teams: World) -> None:
    http_teams.entra.groups[SRE].clear()
    http_teams.entra.add("carol", SRE)
    said = await told(a_team(), {"teams": http_teams.door.directory})
    assert f"  carol         may answer for duty+sre (teams:{TENANT}:{person_id('carol')})" in said


async def test_what_cannot_be_looked_up_is_said_with_the_reason(http_teams: World) -> None:
    duty, slack = People(unreachable={DUTY}), People()
    said = await told(a_team(), {"slack": slack, "teams": http_teams.door.directory, "pagerduty": duty})
    assert "  alice         could not be looked up (slack:T0SAYSO:U0ALICE)" in said
    assert f"  not looked up: who is in {DUTY}: switched off by the test" in said


async def test_where_nobody_can_be_asked_it_is_whom_the_file_names() -> None:
    said = await told(a_team(), {})
    assert f"whoever is in {DUTY} (nobody could be asked)" in said


@pytest.mark.redis
async def test_by_the_settings_slack_calendars_and_redis_are_asked(redis: Server, tmp_path: Path) -> None:
    """Bob is on call by a calendar, and has handed his seat to alice in Redis."""
    today = datetime.now(UTC)
    begin, end = (f"{today + timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in (-1, 1))
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:1", "SUMMARY:bob", f"DTSTAMP:{begin}"]
    lines += [f"DTSTART:{begin}", f"DTEND:{end}", "END:VEVENT", "END:VCALENDAR", ""]
    (tmp_path / "duty.ics").write_text("\r\n".join(lines))
    people = {
        "alice": {"accounts": [account("alice").id]},
        "bob": {"accounts": [account("bob").id, "ical:duty:bob"]},
        "dana": {},
        "olga": {},
    }
    groups = {"duty": {"oncall": ["ical:duty"]}, "others": {"oncall": ["pagerduty:PSCHED"]}, "all": {"people": ["bob"]}}
    demands = {"factors": [{"from": ["duty"]}], "destinations": ["slack:C0OPS"]}
    policy = a_policy(people=people, groups=groups, defaults=demands, roles={"delegate": ["all"]})
    async with Sandbox() as sandbox, await RedisStore.connect(redis.url) as store:
        now = await store.now()
        seat = Delegation(
            id="1",
            owner="bob",
            account=account("bob").id,
            to="alice",
            kinds=("payments.*",),
            since=now,
            until=now + 10**6,
        )
        await store.shelf.keep(f"{DELEGATIONS}/1", seat.model_dump(mode="json"), ttl=10**6)
        settings = load(
            redis_url=redis.url,
            slack_api_url=sandbox.api_url,
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            oncall_calendars=f"duty={tmp_path / 'duty.ics'}",
        )
        said = await people_now(policy.terms(a_question()), policy, settings, "payments.release")
        other = await people_now(policy.terms(a_question()), policy, settings, "reports.send")
    assert "  bob           may answer for duty (slack:T0SAYSO:U0BOB)" in said
    assert "  alice         may answer for duty in bob's place (slack:T0SAYSO:U0ALICE)" in said
    assert "  not looked up: pagerduty:PSCHED: no on-call service is set up that knows it" in said
    assert "in bob's place" not in other


async def test_slack_and_redis_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    policy, _ = read_policy(SCENES)
    terms = a_policy().terms(a_question())
    async with Sandbox() as sandbox:
        slack = {"slack_bot_token": sandbox.bot_token, "slack_app_token": sandbox.app_token}
        settings = load(redis_url="redis://127.0.0.1:1/0", slack_api_url=sandbox.api_url, **slack)
        said = await people_now(terms, policy, settings, "payments.release")
        wrong = await people_now(
            terms,
            policy,
            load(
                redis_url="redis://127.0.0.1:1/0",
                slack_api_url=sandbox.api_url,
                slack_app_token="x",
                slack_bot_token="xoxb-0",
            ),
            "x.y",
        )
    assert re.search(r"dana +may not: This was asked by you.* \(slack:T0SAYSO:U0DANA\)", said)
    assert re.search(r"alice +may answer for ops \(slack:T0SAYSO:U0ALICE\)", said)
    assert "not looked up: who handed a seat over: Redis could not be read" in said
    assert "not looked up: who is who in Slack: it could not be asked" in wrong
    assert "  ops           alice, bob" in wrong
