"""The doctor looks at Teams: credentials, keys, Graph, places and people, with a remedy for each thing it finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from approvals.policy import Policy
from bot.findings import Finding
from bot.settings import Settings, load
from bot.teams_doctor import examine_door
from tests.fakes.entra import APP, OTHER_TENANT, TENANT, person_id
from tests.handlers.teams.world import (
    CHANNEL,
    CHAT,
    SRE,
    TEAM,
    World,
    a_world,
    account,
    an_activity,
    people_in,
    policy_file,
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        await made.door.places.heard(an_activity(place=CHAT, service=made.connector.service))
        everybody = people_in("alice", "bob", "carol", "dana")
        made.connector.rosters |= {TEAM: [*everybody], CHANNEL: [*everybody]}
        yield made


def settings(**given: Any) -> Settings:
    return load(teams_app_id=APP, teams_tenant_id=TENANT, teams_client_secret="x", **given)


def a_policy(**sections: Any) -> Policy:
    return Policy.parse(policy_file() | sections, "sha256:x")


def troubles(findings: list[Finding]) -> list[str]:
    """What is not well; everything of it has a remedy."""
    found = [finding for finding in findings if finding.level != "ok"]
    assert all(finding.remedy for finding in found)
    return [finding.what for finding in found]


async def test_where_everything_is_well_it_says_so(world: World) -> None:
    found = await examine_door(world.door, settings(), a_policy())

    assert troubles(found) == []
    said = "\n".join(finding.what for finding in found)
    for part in (f"app {APP}", "keys", "reaches this service", "users can be looked up", f"teams:{CHANNEL}: installed"):
        assert part in said
    assert f"teams_team {TEAM}: 4 people" in said
    assert f"Entra group {SRE}: there" in said


async def test_without_a_token_nothing_else_is_looked_at(world: World) -> None:
    world.office.refuses = True

    (found,) = await examine_door(world.door, settings(), a_policy())
    assert (found.level, "invalid_client" in found.what) == ("problem", True)


async def test_permissions_that_graph_does_not_grant_are_named(world: World) -> None:
    world.entra.failing = lambda path: web.Response(status=403) if path.startswith("/graph") else None

    found = await examine_door(world.door, settings(), a_policy())
    assert troubles(found) == ["Graph: users cannot be looked up: http_403 (403)"]
    assert "User.Read.All" in next(finding.remedy for finding in found if finding.level == "problem")


INSTEAD = "Graph: users cannot be looked up: http_403 (403); the roster that teams_roster names is asked instead"


async def test_the_team_that_takes_graphs_place_is_looked_at_and_groups_need_graph_all_the_same(world: World) -> None:
    world.entra.failing = lambda path: web.Response(status=403) if path.startswith("/graph") else None

    found = await examine_door(world.door, settings(), a_policy(teams_roster=TEAM))
    assert f"teams_roster {TEAM}: 4 people" in [finding.what for finding in found]
    assert troubles(found) == [INSTEAD, f"Entra group {SRE}: http_403 (403)"]

    world.connector.rosters[TEAM] = [*people_in("alice", "bob", "carol"), *people_in("dana", userRole="guest")]
    found = await examine_door(world.door, settings(), a_policy(teams_roster=TEAM))
    assert troubles(found) == [INSTEAD, f"dana: {account('dana')} is a guest", f"Entra group {SRE}: http_403 (403)"]


async def test_a_roster_that_cannot_be_read_is_named(world: World) -> None:
    del world.connector.rosters[TEAM]

    found = await examine_door(world.door, settings(), a_policy(teams_roster=TEAM))

    assert troubles(found) == [
        f"teams_roster {TEAM}: its people cannot be told: ConversationNotFound (404)",
        f"teams_team {TEAM}: its people cannot be told: ConversationNotFound (404)",
    ]


async def test_where_the_app_was_removed_while_nobody_listened_teams_says_so(world: World) -> None:
    world.connector.installed.discard(CHANNEL)
    del world.connector.rosters[CHANNEL]

    (found,) = troubles(await examine_door(world.door, settings(), a_policy()))

    assert found == f"teams:{CHANNEL}: not installed any more, as Teams says: BotNotInConversationRoster (403)"


async def test_places_nobody_heard_from_and_private_channels_are_named(world: World) -> None:
    private = an_activity(service=world.connector.service)
    private["channelData"]["channel"]["type"] = "private"
    await world.door.places.heard(private)
    rules = [{"id": "more", "destinations": ["teams:19:new@thread.v2", f"teams:{person_id('alice')}"]}]

    assert troubles(await examine_door(world.door, settings(), a_policy(rules=rules))) == [
        f"teams:{CHANNEL}: a private channel",
        "teams:19:new@thread.v2: not heard from yet",
        f"teams:{person_id('alice')}: not heard from yet",
    ]


async def test_wrong_accounts_and_groups_are_named(world: World) -> None:
    world.entra.add("eve", userType="Guest")
    people = policy_file()["people"] | {
        "eve": {"accounts": [f"teams:{TENANT}:{person_id('eve')}"]},
        "otto": {"accounts": [f"teams:{OTHER_TENANT}:{person_id('otto')}"]},
    }
    groups = policy_file()["groups"] | {"gone": {"entra_group": OTHER_TENANT}}

    found = troubles(await examine_door(world.door, settings(), a_policy(people=people, groups=groups)))

    assert [what.split(": ")[0] for what in found] == ["eve", "otto", f"Entra group {OTHER_TENANT}"]


async def test_that_nothing_has_arrived_yet_is_said_with_the_address_to_set(world: World) -> None:
    await world.store.shelf.drop(f"teams-tenants/{TENANT}")

    found = await examine_door(world.door, settings(), None)
    assert troubles(found) == ["Teams: nothing has arrived from it yet"]
    assert "/teams/messages" in found[2].remedy
