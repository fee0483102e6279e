"""What is down, late or silent for a while: nothing is lost, nothing is done twice, nothing counts as a yes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.world import ALICE, BOB, World, a_world

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]

FAULTS: dict[str, dict[str, Any]] = {
    "429 with Retry-After": {"ratelimited": 1},
    "500 and nothing done": {"status": 500},
    "500 although it was done": {"status": 500, "after_processing": True},
    "an internal error": {"error": "internal_error"},
    "a connection cut before": {"drop_before_processing": True},
    "a connection cut after it was done": {"drop_after_processing": True},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A deployment with a running bot, which the tests share, each in a lane of its own."""
    async with a_world() as made:
        await made.bot()
        yield made


SLOW = [
    pytest.param({"hang": 12.0}, id="silence, and nothing done", marks=pytest.mark.full),
    pytest.param({"hang": 12.0, "drop_after_processing": True}, id="silence, but done later", marks=pytest.mark.full),
]


@pytest.mark.parametrize("fault", [*(pytest.param(fault, id=name) for name, fault in FAULTS.items()), *SLOW])
async def test_whatever_a_post_meets_there_is_one_card_and_it_is_decided(world: World, fault: dict[str, Any]) -> None:
    lane = world.lane()
    world.sandbox.faults.add(method="chat.postMessage", channel=lane.channel, **fault)
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.click(ALICE, lane, pending.request)
        assert [by.person for by in (await pending.decision()).by] == ["alice"]
        await world.card(lane, pending.request, "Approved")

    assert len(world.cards(lane)) == 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_whatever_an_edit_meets_the_decision_stands_and_the_card_shows_it(
    world: World, fault: dict[str, Any]
) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.card(lane, pending.request)
        world.sandbox.faults.add(method="chat.update", channel=lane.channel, **fault)
        await world.click(ALICE, lane, pending.request)
        await pending.decision()
        await world.card(lane, pending.request, "Approved")

    assert len(world.cards(lane)) == 1


async def test_several_refusals_in_a_row_are_outlasted(world: World) -> None:
    lane = world.lane()
    world.sandbox.faults.add(method="chat.postMessage", channel=lane.channel, status=503, times=2)
    world.sandbox.faults.add(method="chat.postMessage", channel=lane.channel, drop_after_processing=True)
    world.sandbox.faults.add(method="conversations.history", channel=lane.channel, status=500)
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.click(ALICE, lane, pending.request)
        await pending.decision()
        await world.card(lane, pending.request, "Approved")

    assert len(world.cards(lane)) == 1


async def test_somebody_who_cannot_be_looked_up_does_not_count_until_they_can(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.card(lane, pending.request)
        world.sandbox.faults.add(method="users.info", status=500)
        await world.click(BOB, lane, pending.request)
        await world.told(BOB, lane, "could not check who you are")
        assert not pending.done
        await world.click(BOB, lane, pending.request)
        assert [by.person for by in (await pending.decision()).by] == ["bob"]

    assert await world.events(pending.request) == ["asked", "click_refused", "approved"]


async def test_a_form_that_does_not_open_counts_nothing_and_can_be_asked_for_again(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.card(lane, pending.request)
        world.sandbox.faults.add(method="views.open", error="internal_error")
        await world.click(ALICE, lane, pending.request, "deny")
        await world.told(ALICE, lane, "Slack did not let me open the form")
        assert not pending.done
        await world.deny(ALICE, lane, pending.request, "no")
        assert (await client.decision_of(pending.request)).reason == "no"


async def test_a_redis_that_was_killed_and_came_back_has_lost_nothing() -> None:
    async with a_world() as world:
        lane, other = world.lane(), world.lane()
        await world.bot()
        async with world.agent() as client:
            decided = await client.ask_nowait(other.kind, target="bank:acme", arguments={"amount": "1.00"})
            await world.click(ALICE, other, decided.request)
            approval = await decided.decision()
            pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
            card = await world.card(lane, pending.request)

            world.redis.kill()
            during = await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")
            assert not during.ok
            world.redis.start()

            await world.until(lambda: world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve"))
            later = await pending.decision()
            for one in (approval, later):
                async with one.spend():
                    pass
        for place, request in ((lane, pending.request), (other, decided.request)):
            await world.card(place, request, "succeeded in")
            assert len(world.cards(place)) == 1
            assert await world.events(request) == ["asked", "approved", "spent", "succeeded"]


async def test_an_agent_that_waits_while_redis_is_away_gets_its_answer() -> None:
    async with a_world() as world:
        lane = world.lane()
        await world.bot()
        agent = await world.ask(lane, call="run-1/release")
        request = await agent.says(lambda line: line.removeprefix("asked ") if line.startswith("asked ") else None)
        card = await world.card(lane, request)
        world.redis.kill()
        world.redis.start()
        await world.until(lambda: world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve"))
        assert await agent.says(lambda line: line == "acted")
        await world.card(lane, request, "succeeded in")
        assert world.ledger.read_text() == "bank:acme\n"
