"""Who may count as a person: every combination of flags, and what happens when Slack does not say."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from approvals.errors import DirectoryUnavailable
from approvals.ports import Account
from handlers.slack.api import new_client
from handlers.slack.directory import SlackDirectory, standing_of
from handlers.slack.identity import Identity
from tests.handlers.slack.world import TEAM, World, a_world

ME = Identity(team=TEAM, app="A0SAYSO", bot_id="B0SAYSO", bot_user="U0SAYSO", url="https://acme.slack.com/")
ALICE = Account("slack", TEAM, "U0ALICE")
SRE = "slack:usergroup:S0SRE"
MEMBER = {
    "id": "U0ALICE",
    "team_id": TEAM,
    "deleted": False,
    "is_bot": False,
    "is_restricted": False,
    "is_ultra_restricted": False,
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


def test_a_full_member_is_fine() -> None:
    assert standing_of(MEMBER, ME) is None


FLAGS = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")


@pytest.mark.parametrize("values", list(itertools.product([False, True], repeat=len(FLAGS))))
@pytest.mark.parametrize("team", [TEAM, "T0OTHER"])
def test_only_the_one_harmless_combination_passes(values: tuple[bool, ...], team: str) -> None:
    user = MEMBER | dict(zip(FLAGS, values, strict=True)) | {"team_id": team}

    passes = not any(values) and team == TEAM

    assert (standing_of(user, ME) is None) is passes


@pytest.mark.parametrize("flag", ["deleted", "is_bot", "is_restricted", "is_ultra_restricted", "team_id"])
def test_a_missing_flag_counts_against_the_account(flag: str) -> None:
    assert standing_of({key: value for key, value in MEMBER.items() if key != flag}, ME) is not None


@pytest.mark.parametrize("flag", ["deleted", "is_bot", "is_restricted", "is_ultra_restricted"])
@pytest.mark.parametrize("value", [None, 0, "", "false"])
def test_a_flag_that_is_not_false_itself_counts_against_the_account(flag: str, value: Any) -> None:
    assert standing_of(MEMBER | {flag: value}, ME) is not None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"is_stranger": True}, "from another workspace"),
        ({"is_workflow_bot": True}, "a bot"),
        ({"is_invited_user": True}, "invited, not yet a member"),
        ({"id": "USLACKBOT"}, "a bot"),
    ],
)
def test_rarer_kinds_of_accounts_are_refused(more: dict[str, Any], words: str) -> None:
    assert standing_of(MEMBER | more, ME) == words


def test_a_person_who_installed_the_app_is_still_a_person() -> None:
    assert standing_of(MEMBER | {"is_app_user": True}, ME) is None


@pytest.mark.parametrize("user", [None, "U0ALICE", [], {}])
def test_what_is_no_user_is_refused(user: Any) -> None:
    assert standing_of(user, ME) is not None


@pytest.mark.parametrize(
    ("grid", "ours"),
    [
        ({"enterprise_id": "E0ACME", "teams": ["T0X", TEAM]}, True),
        ({"enterprise_id": "E0ACME", "teams": ["T0X"]}, False),
        ({"enterprise_id": "E0OTHER", "teams": [TEAM]}, False),
        ({"enterprise_id": "E0ACME"}, False),
        (None, False),
    ],
)
def test_on_enterprise_grid_the_list_of_teams_decides(grid: Any, ours: bool) -> None:
    user = MEMBER | {"team_id": "E0ACME", "enterprise_user": grid}

    assert (standing_of(user, replace(ME, enterprise="E0ACME")) is None) is ours
    assert standing_of(user, ME) is not None


@pytest.mark.parametrize(
    ("user", "words"),
    [("U0ALICE", None), ("U0GUEST", "a guest"), ("U0LEFT", "deactivated"), ("U0SAYSO", "a bot")],
)
async def test_standing_is_slacks_word(world: World, user: str, words: str | None) -> None:
    assert await world.door.directory.standing(Account("slack", TEAM, user)) == words


async def test_an_account_of_another_team_or_platform_is_not_even_looked_up(world: World) -> None:
    for account in (Account("slack", "T0OTHER", "U0ALICE"), Account("teams", TEAM, "U0ALICE")):
        assert await world.door.directory.standing(account) == "from another workspace"
        assert not await world.door.directory.is_member(account, SRE)
    assert not world.sandbox.log.calls_of("users.info")


async def test_membership_of_a_user_group(world: World) -> None:
    directory = world.door.directory

    assert await directory.is_member(ALICE, SRE)
    assert not await directory.is_member(Account("slack", TEAM, "U0CAROL"), SRE)
    assert not await directory.is_member(ALICE, "teams:group:x")
    assert len(world.sandbox.log.calls_of("usergroups.users.list")) == 1


async def test_an_answer_is_believed_for_a_minute_and_no_longer(world: World) -> None:
    directory = world.door.directory
    assert await directory.is_member(ALICE, SRE)
    assert await directory.standing(ALICE) is None
    world.sandbox.workspace.deactivate("U0ALICE")

    world.clock.advance(59.9)
    assert await directory.is_member(ALICE, SRE)
    world.clock.advance(0.2)
    assert not await directory.is_member(ALICE, SRE)
    assert await directory.standing(ALICE) == "deactivated"


async def test_many_who_ask_at_once_ask_slack_once(world: World) -> None:
    found = await asyncio.gather(*(world.door.directory.is_member(ALICE, SRE) for _ in range(20)))

    assert found == [True] * 20
    assert len(world.sandbox.log.calls_of("usergroups.users.list")) == 1


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"ratelimited": 3}, {"error": "plan_upgrade_required"}, {"drop_before_processing": True}]
)
async def test_what_slack_does_not_say_is_not_guessed(world: World, fault: dict[str, Any]) -> None:
    world.sandbox.faults.add(method="usergroups.users.list", times=3, **fault)  # aiohttp itself asks a GET again

    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.is_member(ALICE, SRE)

    world.sandbox.faults.clear()
    assert await world.door.directory.is_member(ALICE, SRE)  # a failure is not remembered


async def test_an_unknown_user_is_an_unavailable_directory(world: World) -> None:
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.standing(Account("slack", TEAM, "U0NOBODY"))


async def test_a_slow_look_up_is_given_up_but_its_answer_still_serves_the_next(world: World) -> None:
    client = new_client(world.sandbox.bot_token, world.session, base_url=world.sandbox.api_url)
    directory = SlackDirectory(client, ME, now=world.clock, patience=0.02)
    world.sandbox.faults.add(method="usergroups.users.list", hang=0.2)

    with pytest.raises(DirectoryUnavailable):
        await directory.is_member(ALICE, SRE)
    await world.sandbox.wait_for(lambda: world.sandbox.log.calls_of("usergroups.users.list") or None)
    await directory._tasks.drain()

    assert await directory.is_member(ALICE, SRE)
    assert len(world.sandbox.log.calls_of("usergroups.users.list")) == 1


async def test_closing_ends_a_look_up_that_nobody_waits_for(world: World) -> None:
    client = new_client(world.sandbox.bot_token, world.session, base_url=world.sandbox.api_url)
    directory = SlackDirectory(client, ME, now=world.clock, patience=0.02)
    world.sandbox.faults.add(method="users.info", hang=5.0)
    with pytest.raises(DirectoryUnavailable):
        await directory.standing(ALICE)

    await directory.close()

    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("slack directory")]


async def test_warming_spares_the_click_its_look_up_and_forgives_failures(world: World) -> None:
    world.sandbox.faults.add(method="usergroups.users.list", error="no_such_subteam")

    await world.door.directory.warm(["slack:usergroup:S0NONE", "person:alice"])
    await world.door.directory.warm([SRE, SRE])

    assert len(world.sandbox.log.calls_of("usergroups.users.list")) == 2
    assert await world.door.directory.is_member(ALICE, SRE)
    assert len(world.sandbox.log.calls_of("usergroups.users.list")) == 2
