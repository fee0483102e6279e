"""Two bots on one Redis share the work; either may end at any moment."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import sayso
from sandbox import Delivery, NotOnScreen
from tests.e2e.processes import Bot
from tests.e2e.world import AGENT, ALICE, TOOL, Lane, Mode, World, a_world

pytestmark = pytest.mark.redis

REQUESTS = 20


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_of_two_bots_each_request_is_posted_and_decided_once_while_one_of_them_leaves(mode: Mode) -> None:
    async with a_world(mode) as world:
        leaving, staying = await world.bot(), await world.bot()
        async with world.agent() as client:
            asked = [(lane, await _ask(client, lane)) for lane in (world.lane() for _ in range(REQUESTS))]
            for lane, pending in asked[: REQUESTS // 2]:
                await world.click(ALICE, lane, pending.request)
            leaving.terminate()
            for lane, pending in asked[REQUESTS // 2 :]:
                await _click_until_heard(world, lane, pending.request)
            approvals = await asyncio.gather(*(pending.decision() for _, pending in asked))
            assert await leaving.ended() == 0
            async with approvals[-1].spend():
                pass

        assert all(approval.by[0].person == "alice" for approval in approvals)
        for lane, pending in asked:
            assert len(world.cards(lane)) == 1
            assert (await world.events(pending.request))[:2] == ["asked", "approved"]
            assert (await world.events(pending.request)).count("approved") == 1
        assert staying.runs
        assert _posts(leaving) + _posts(staying) == REQUESTS


async def test_a_bot_that_is_told_to_stop_leaves_nothing_behind() -> None:
    async with a_world() as world:
        lane = world.lane()
        first = await world.bot()
        async with world.agent() as client:
            pending = await _ask(client, lane)
            await world.click(ALICE, lane, pending.request)
            await pending.decision()
            assert await first.stop() == 0
            assert [line for line in first.lines if '"level": "error"' in line] == []
            await world.bot()
            await world.card(lane, pending.request, "Approved")


async def test_with_several_partitions_agent_and_tool_find_each_other() -> None:
    async with a_world() as world:
        world.settings = {"SAYSO_PARTITIONS": "5"}
        lane = world.lane()
        await world.bot()
        async with world.agent(audience=TOOL) as client, world.tool() as tool:
            pending = await _ask(client, lane)
            await world.click(ALICE, lane, pending.request)
            approval = await pending.decision()
            async with tool.spend(approval.receipt, approval.action, agent=AGENT) as action:
                assert action.arguments == {"amount": "9.50"}
        await world.card(lane, pending.request, "succeeded in", TOOL)
        assert world.redis.command("XLEN", f"{{sayso:{pending.request[0]}}}:journal") != ":0\r\n"


async def _ask(client: sayso.Sayso, lane: Lane) -> sayso.Pending:
    return await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})


async def _click_until_heard(world: World, lane: Lane, request: str) -> None:
    """Click as people do: again, when Slack says that the app did not answer, unless the card has changed."""
    card = await world.card(lane, request)

    async def approve() -> Delivery:
        return await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")

    with contextlib.suppress(NotOnScreen):
        await world.until(approve)


def _posts(bot: Bot) -> int:
    return len(bot.logged("card posted"))
