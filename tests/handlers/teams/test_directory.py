"""Entra as the directory: who is a member, who is in a group, never older than a minute, never a guess."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from approvals.errors import DirectoryUnavailable
from approvals.ports import Account
from handlers.teams.directory import standing_in_roster, standing_of
from handlers.teams.identity import Identity
from tests.fakes.connector import Fault
from tests.fakes.entra import APP, OTHER_TENANT, TENANT, person_id
from tests.handlers.teams.world import SRE, TEAM, World, a_world, people_in


def of(name: str, tenant: str = TENANT) -> Account:
    return Account("teams", tenant, person_id(name))


async def test_a_full_active_member_is_one(world: World) -> None:
    assert await world.door.directory.standing(of("alice")) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accountEnabled": False}, "deactivated"),
        ({"accountEnabled": None}, "deactivated"),
        ({"userType": "Guest"}, "a guest"),
        ({"userType": None}, "a guest"),
    ],
)
async def test_anybody_else_is_said_to_be_something_else(world: World, changes: Any, words: str) -> None:
    world.entra.add("eve", **changes)

    assert await world.door.directory.standing(of("eve")) == words


async def test_strangers_and_other_tenants_are_nobody_here(world: World) -> None:
    directory = world.door.directory

    assert await directory.standing(of("stranger")) == "unknown"
    assert await directory.standing(of("alice", OTHER_TENANT)) == "from another tenant"
    assert await directory.standing(Account("slack", TENANT, person_id("alice"))) == "from another tenant"
    assert not await directory.is_member(of("alice", OTHER_TENANT), f"teams:group:{SRE}")
    assert not await directory.is_member(of("alice"), "slack:usergroup:S0SRE")


async def test_groups_are_asked_of_graph_and_believed_for_a_minute(world: World) -> None:
    directory, group = world.door.directory, f"teams:group:{SRE}"
    assert await directory.is_member(of("alice"), group)
    assert not await directory.is_member(of("carol"), group)
    world.entra.groups[SRE].clear()

    assert await directory.is_member(of("alice"), group)
    world.clock.at += 60
    assert not await directory.is_member(of("alice"), group)


async def test_an_answer_is_as_old_as_its_question(world: World) -> None:
    world.entra.holding = held = asyncio.Event()
    asking = asyncio.create_task(world.door.directory.standing(of("alice")))
    await world.entra.reached.wait()
    world.clock.at += 59
    held.set()
    assert await asking is None
    world.entra.add("alice", accountEnabled=False)

    assert await world.door.directory.standing(of("alice")) is None
    world.clock.at += 1
    assert await world.door.directory.standing(of("alice")) == "deactivated"


async def test_who_waits_too_long_is_not_taken_for_anybody_and_the_next_need_not_wait(world: World) -> None:
    world.entra.holding = held = asyncio.Event()
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.standing(of("alice"))
    held.set()

    assert await world.door.directory.standing(of("alice")) is None
    assert world.entra.asked == [f"/graph/users/{person_id('alice')}"]


async def test_many_at_once_ask_once(world: World) -> None:
    await asyncio.gather(*(world.door.directory.standing(of("alice")) for _ in range(20)))

    assert len([path for path in world.entra.asked if path.startswith("/graph")]) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
async def test_a_failure_is_never_an_answer(world: World, status: int) -> None:
    world.entra.failing = lambda path: web.json_response({"value": [SRE]}, status=status)

    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.standing(of("alice"))
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.is_member(of("alice"), f"teams:group:{SRE}")


@pytest.mark.parametrize("value", [[OTHER_TENANT], [f"x{SRE}"], [[SRE]], [{"id": SRE}], SRE, {SRE: True}, None])
async def test_only_the_very_group_that_was_asked_about_counts(world: World, value: Any) -> None:
    world.entra.failing = lambda path: web.json_response({"value": value})

    assert not await world.door.directory.is_member(of("alice"), f"teams:group:{SRE}")


@pytest.mark.parametrize("source", ["slack:usergroup:S0SRE", "pagerduty:schedule:P1", SRE, "teams:channel:x", ""])
async def test_of_groups_elsewhere_graph_is_not_asked(world: World, source: str) -> None:
    assert not await world.door.directory.is_member(of("alice"), source)
    assert not [path for path in world.entra.asked if path.startswith("/graph")]


async def test_before_teams_was_heard_a_roster_cannot_be_read(world: World) -> None:
    for kept in await world.store.shelf.folder("teams-tenants"):
        await world.store.shelf.drop(kept.name)

    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.is_member(of("alice"), f"teams:team:{TEAM}")


async def test_without_a_token_nobody_is_anybody(world: World) -> None:
    world.office.refuses = True

    with pytest.raises(DirectoryUnavailable) as caught:
        await world.door.directory.standing(of("alice"))
    assert "hunter2" not in str(caught.value)


async def test_a_team_on_the_roster_is_a_group(world: World) -> None:
    world.connector.rosters[TEAM] = [
        *people_in("alice", "bob", "carol"),
        *people_in("gina", userRole="guest"),
        *people_in("otto", tenantId=OTHER_TENANT),
    ]
    source, directory = f"teams:team:{TEAM}", world.door.directory

    await directory.warm([source, f"teams:group:{SRE}"])

    asked = world.connector.asked.count("members")
    assert [await directory.is_member(of(name), source) for name in ("alice", "carol", "gina", "otto", "dana")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert world.connector.asked.count("members") == asked == 3  # pages of two


NO_GRAPH = lambda path: web.Response(status=403) if path.startswith("/graph") else None  # noqa: E731


async def test_where_graph_does_not_say_it_a_roster_does_if_policy_allows_it(world: World) -> None:
    world.connector.rosters[TEAM] = [*people_in("alice"), *people_in("gina", userRole="guest")]
    world.entra.failing = NO_GRAPH
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.standing(of("alice"))

    await world.adopt(teams_roster=TEAM)
    assert await world.door.directory.standing(of("alice")) is None
    assert await world.door.directory.standing(of("gina")) == "a guest"
    assert await world.door.directory.standing(of("dana")) == "unknown"

    await world.adopt()
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.standing(of("alice"))


async def test_no_roster_is_asked_about_whom_graph_knows_or_knows_not_to_be_there() -> None:
    async with a_world(sections={"teams_roster": TEAM}) as world:
        world.connector.rosters[TEAM] = list(people_in("alice", "bob", "zoe"))
        world.entra.users[person_id("bob")]["accountEnabled"] = False

        assert await world.door.directory.standing(of("alice")) is None
        assert await world.door.directory.standing(of("bob")) == "deactivated"
        assert await world.door.directory.standing(of("zoe")) == "unknown"
        assert "members" not in world.connector.asked


async def test_where_neither_says_it_nobody_is_a_member() -> None:
    async with a_world(sections={"teams_roster": TEAM}) as world:
        world.connector.fail("members", Fault(status=502))
        world.entra.failing = NO_GRAPH
        with pytest.raises(DirectoryUnavailable):
            await world.door.directory.standing(of("alice"))


async def test_a_yes_counts_by_the_roster_that_policy_names() -> None:
    async with a_world(sections={"teams_roster": TEAM, "rules": []}) as world:
        world.connector.rosters[TEAM] = [*people_in("alice"), *people_in("bob", userRole="guest")]
        world.entra.failing = NO_GRAPH
        request = await world.ask()

        assert "a guest" in str((await world.click("bob", request, "Approve"))["value"])
        assert await world.status(request) == "pending"
        await world.click("alice", request, "Approve")
        assert await world.status(request) == "approved"


async def test_a_roster_that_cannot_be_read_holds_nobody(world: World) -> None:
    await world.door.directory.warm([f"teams:team:{TEAM}"])

    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.is_member(of("alice"), f"teams:team:{TEAM}")
    world.connector.rosters[TEAM] = list(people_in("alice"))
    world.connector.fail("members", Fault(status=502))
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.is_member(of("alice"), f"teams:team:{TEAM}")


def test_what_is_missing_counts_against_an_account() -> None:
    assert standing_of({}) == "deactivated"
    assert standing_of({"accountEnabled": True}) == "a guest"
    assert standing_in_roster({}, Identity(APP, TENANT)) == "from another tenant"
    assert standing_in_roster({"tenantId": TENANT}, Identity(APP, TENANT)) == "a guest"


MISSING = object()


@pytest.mark.parametrize("enabled", [True, False, None, "true", 1, MISSING])
@pytest.mark.parametrize("kind", ["Member", "Guest", "member", "", None, MISSING])
def test_of_all_that_entra_may_say_one_combination_passes(enabled: Any, kind: Any) -> None:
    said = {"accountEnabled": enabled, "userType": kind}
    user = {name: value for name, value in said.items() if value is not MISSING}
    assert (standing_of(user) is None) is (enabled is True and kind == "Member")


@pytest.mark.parametrize("tenant", [TENANT, OTHER_TENANT, "", None, MISSING])
@pytest.mark.parametrize("role", ["user", "guest", "User", "", None, MISSING])
def test_of_all_that_a_roster_may_say_one_combination_passes(tenant: Any, role: Any) -> None:
    said = {"tenantId": tenant, "userRole": role}
    member = {name: value for name, value in said.items() if value is not MISSING}
    passes = tenant == TENANT and role == "user"
    assert (standing_in_roster(member, Identity(APP, TENANT)) is None) is passes


async def test_the_members_of_a_group_and_of_a_roster_are_those_in_good_standing(world: World) -> None:
    world.entra.add("gina", SRE, userType="Guest")
    world.entra.add("otto", SRE, accountEnabled=False)
    world.connector.rosters[TEAM] = [*people_in("alice"), *people_in("gina", userRole="guest")]
    group = [*await world.door.directory.accounts(f"teams:group:{SRE}")]
    assert of("gina").id not in group
    assert of("otto").id not in group
    assert of("alice").id in group
    assert [*await world.door.directory.accounts(f"teams:team:{TEAM}")] == [of("alice").id]


@pytest.mark.parametrize("source", [f"teams:group:{OTHER_TENANT}", "slack:usergroup:S0SRE"])
async def test_who_is_in_a_group_that_is_not_there_cannot_be_said(world: World, source: str) -> None:
    with pytest.raises(DirectoryUnavailable):
        await world.door.directory.accounts(source)
