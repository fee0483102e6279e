"""Which questions are the same question: a call names one step of one run, whatever process asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import sayso
from tests.e2e.world import ALICE, World, a_world

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A deployment with a running bot, which the tests share, each in a lane of its own."""
    async with a_world() as made:
        await made.bot()
        yield made


async def test_the_same_call_is_one_request_for_everybody_who_asks_it(world: World) -> None:
    lane = world.lane()
    about: dict[str, Any] = {"target": "bank:acme", "arguments": {"amount": "9.50"}, "call": "run-1/release"}
    async with world.agent() as client, world.agent() as another:
        first = await client.ask_nowait(lane.kind, **about)
        second = await another.ask_nowait(lane.kind, **about)
        assert second.request == first.request
        await world.click(ALICE, lane, first.request)
        one, two = await first.decision(), await second.decision()
        async with two.spend():
            pass
        with pytest.raises(sayso.AlreadySpent):
            async with one.spend():
                raise AssertionError("it acted twice")

    assert len(world.cards(lane)) == 1
    assert await world.events(first.request) == ["asked", "approved", "spent", "succeeded", "spend_refused"]


async def test_the_same_content_as_another_call_is_another_request(world: World) -> None:
    lane = world.lane()
    about: dict[str, Any] = {"target": "bank:acme", "arguments": {"amount": "9.50"}}
    async with world.agent() as client:
        first = await client.ask_nowait(lane.kind, **about, call="run-2/release")
        await world.click(ALICE, lane, first.request)
        await first.decision()
        second = await client.ask_nowait(lane.kind, **about, call="run-3/release")
        third = await client.ask_nowait(lane.kind, **about)
        fourth = await client.ask_nowait(lane.kind, **about)
        for pending in (second, third, fourth):
            await world.card(lane, pending.request)
            assert not pending.done

    assert len({pending.request for pending in (first, second, third, fourth)}) == 4


async def test_another_action_under_the_same_call_is_refused_and_the_first_stands(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client, world.agent() as another:
        first = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"}, call="run-4")
        await world.card(lane, first.request)
        other = await another.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9500"}, call="run-4")
        with pytest.raises(sayso.Conflict):
            await other.decision()
        await world.click(ALICE, lane, first.request)
        approval = await first.decision()
        async with approval.spend() as action:
            assert action.arguments == {"amount": "9.50"}

    assert len(world.cards(lane)) == 1


async def test_after_the_decision_too_another_action_does_not_get_it(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client, world.agent() as another:
        first = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"}, call="run-5")
        await world.click(ALICE, lane, first.request)
        await first.decision()
        other = await another.ask_nowait(lane.kind, target="bank:evil", arguments={"amount": "9.50"}, call="run-5")
        with pytest.raises(sayso.Conflict):
            await other.decision()


async def test_an_agent_that_was_killed_joins_its_request_and_acts_once(world: World) -> None:
    lane = world.lane()
    first = await world.ask(lane, call="run-6/release")
    request = await first.says(lambda line: line.removeprefix("asked ") if line.startswith("asked ") else None)
    await world.card(lane, request)
    first.kill()
    await first.ended()

    second = await world.ask(lane, call="run-6/release")
    assert await second.says(lambda line: line == f"asked {request}")
    await world.click(ALICE, lane, request)
    assert await second.says(lambda line: line == "acted")
    assert await second.ended() == 0

    third = await world.ask(lane, call="run-6/release")
    assert await third.says(lambda line: line == "not approved: AlreadySpent")
    assert world.ledger.read_text() == "bank:acme\n"
    assert len(world.cards(lane)) == 1


async def test_what_was_decided_while_the_agent_was_dead_is_there_when_it_comes_back(world: World) -> None:
    lane = world.lane()
    about: dict[str, Any] = {"target": "bank:acme", "arguments": {"amount": "9.50"}, "call": "run-7/release"}
    async with world.agent() as client:
        request = (await client.ask_nowait(lane.kind, **about)).request
        await world.card(lane, request)
    await world.click(ALICE, lane, request)
    await world.card(lane, request, "Approved")
    async with world.agent() as client:
        approval = await client.ask(lane.kind, **about)
        async with approval.spend():
            pass
    await world.card(lane, request, "succeeded in")
