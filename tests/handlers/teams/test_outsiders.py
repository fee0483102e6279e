"""Shared channels and group chats that people of other organisations read: nothing is posted unless policy says so."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.card import card_of
from approvals.errors import ChatRefused
from approvals.notes import Note
from approvals.rows import row_of
from tests.fakes.connector import Fault
from tests.fakes.entra import OTHER_TENANT
from tests.handlers.teams.test_clicks import banner
from tests.handlers.teams.world import CHANNEL, CHAT, Json, World, a_world, an_activity, people_in

EVE = people_in("eve", tenantId=OTHER_TENANT)


async def refused(world: World, place: str) -> str:
    request = await world.ask(show=False)
    with pytest.raises(ChatRefused) as caught:
        await world.door.platform.post(f"teams:{place}", request, card_of(request))
    assert caught.value.place
    assert "external_channels" in caught.value.remedy
    return caught.value.code


async def test_a_shared_channel_is_ours_while_only_our_people_are_in_it(world: World) -> None:
    world.connector.kinds = {CHANNEL: "shared"}
    world.connector.rosters[CHANNEL] = [*people_in("alice", "bob")]
    await world.ask()

    world.connector.rosters[CHANNEL] += EVE
    await world.ask()  # that was looked at a moment ago
    world.clock.at += 61
    assert await refused(world, CHANNEL) == "external_channel"


async def test_a_group_chat_with_an_outsider_takes_no_card_no_shared_message_and_no_note(world: World) -> None:
    world.connector.rosters[CHAT] += EVE
    where = f"teams:{CHAT}"
    request = await world.ask(show=False)

    assert await refused(world, CHAT) == "external_channel"
    with pytest.raises(ChatRefused):
        await world.door.platform.post_shared(where, "burst-1", [row_of(card_of(request))])
    with pytest.raises(ChatRefused):
        await world.door.platform.announce(
            where, Note.model_validate({"key": "u", "what": "undeliverable", "code": "7F3K-9Q", "place": "x"})
        )
    assert world.connector.cards(CHAT) == []


@pytest.mark.parametrize("roster", [[], people_in("alice", tenantId=None), people_in("alice", tenantId="")])
async def test_what_teams_does_not_say_counts_as_an_outsider(world: World, roster: list[Json]) -> None:
    world.connector.rosters[CHAT] = roster

    assert await refused(world, CHAT) == "external_channel"


async def test_a_roster_that_cannot_be_read_lets_nothing_be_posted(world: World) -> None:
    world.connector.fail("members", Fault(status=403, code="Forbidden"))
    request = await world.ask(show=False)

    with pytest.raises(ChatRefused) as caught:
        await world.door.platform.post(f"teams:{CHAT}", request, card_of(request))
    assert caught.value.code == "Forbidden"


async def test_a_standard_channel_is_a_teams_own_and_nobody_is_looked_up(world: World) -> None:
    await world.ask()

    assert "members" not in world.connector.asked


async def test_policy_lets_outsiders_read_and_even_there_they_never_count() -> None:
    async with a_world(sections={"external_channels": [f"teams:{CHAT}"]}) as world:
        world.connector.rosters[CHAT] += EVE
        request = await world.ask(kind="deploy.run", target="prod", arguments={})
        eve: dict[str, Any] = {"from": {**an_activity("alice", service="x")["from"], "tenantId": OTHER_TENANT}}

        told = banner(await world.click("alice", request, "Approve", **eve))

        assert "Approved" not in told
        assert await world.status(request) == "pending"
