"""What people decide in chat reaches the agent that waits, over both ways in which clicks can come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import sayso
from sandbox import Message
from sayso.tool import ToolSpend
from tests.e2e.world import AGENT, ALICE, BOB, DANA, GUEST, MALLORY, TOOL, Mode, World, a_world, text_of

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["socket", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A deployment with a running bot, once per transport; its tests share it, each in a lane of its own."""
    mode: Mode = request.param
    async with a_world(mode) as made:
        await made.bot(real=True)
        yield made


async def test_an_approved_agent_goes_on_and_its_tool_acts_once(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "12.00"}, because="due")
        card = await world.card(lane, pending.request, "bank:acme", "12.00", "due")
        await world.click(ALICE, lane, pending.request)
        approval = await pending.decision()
        assert [by.person for by in approval.by] == ["alice"]

        async with approval.spend() as action:
            acted = dict(action.arguments)
        assert acted == {"amount": "12.00"}
        with pytest.raises(sayso.AlreadySpent):
            async with approval.spend():
                raise AssertionError("it acted twice")

    after = await world.card(lane, pending.request, "Acted", "succeeded in", ALICE)
    assert after.ts == card.ts
    assert "sayso:approve" not in _actions(after)
    assert await world.events(pending.request) == ["asked", "approved", "spent", "succeeded"]


async def test_slacks_library_takes_nothing_from_the_environment(world: World) -> None:
    (bot,) = world.bots
    assert "SLACK_BOT_TOKEN" in world.environment()
    assert [line for line in bot.lines if "slack_bolt" in line and '"warning"' in line] == []


async def test_a_denial_reaches_the_agent_with_its_reason(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"table": "users"})
        await world.deny(BOB, lane, pending.request, "not before the <b>audit</b>")
        with pytest.raises(sayso.Denied) as denied:
            await pending.decision()

    assert denied.value.reason == "not before the <b>audit</b>"
    assert [by.person for by in denied.value.by] == ["bob"]
    card = await world.card(lane, pending.request, "not before the <b>audit</b>", BOB)
    assert _actions(card) == []


async def test_a_credential_is_refused_before_anybody_sees_it(world: World) -> None:
    lane, credential = world.lane(), "ghp_" + "a1B2c3D4" * 4 + "e5F6"
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"note": f"use {credential}"})
        with pytest.raises(sayso.Refused) as refused:
            await pending.decision()
    assert (refused.value.reason, refused.value.field) == ("credential", "action.arguments.note")
    assert credential not in str(refused.value)


@pytest.mark.parametrize(
    ("user", "told", "reason"),
    [
        (MALLORY, "not among those asked", "not_an_approver"),
        (DANA, "asked by you", "own_request"),
        (GUEST, "guest", "not_a_member"),
    ],
    ids=["an outsider", "the owner", "a guest"],
)
async def test_who_may_not_answer_is_told_so_and_changes_nothing(
    world: World, user: str, told: str, reason: str
) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1})
        before = text_of(await world.card(lane, pending.request))
        await world.click(user, lane, pending.request)
        await world.told(user, lane, told)
        await world.click(user, lane, pending.request, "deny")
        assert world.sandbox.views(user) == []
        assert text_of(await world.card(lane, pending.request)) == before
        assert not pending.done
        _, *refusals = await world.journal(pending.request)
        assert [(one["event"], one["answer"], one["reason"], one["account"]) for one in refusals] == [
            ("click_refused", "approve", reason, f"slack:T0SAYSO:{user}"),
            ("click_refused", "deny", reason, f"slack:T0SAYSO:{user}"),
        ]
        await pending.withdraw()
        with pytest.raises(sayso.Withdrawn):
            await pending.decision()


async def test_a_late_click_is_told_who_decided_and_when(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1})
        bobs_click = await world.late_click(BOB, lane, pending.request)
        await world.click(ALICE, lane, pending.request)
        approval = await pending.decision()
        await bobs_click()

    told = await world.told(BOB, lane, "your click changes nothing")
    assert ALICE in told
    assert "approved this" in told
    assert [by.person for by in approval.by] == ["alice"]
    assert await world.events(pending.request) == ["asked", "approved"]


async def test_a_click_that_arrives_twice_decides_once(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1})
        await world.card(lane, pending.request)
        world.sandbox.faults.add(delivery="block_actions", duplicate=True)
        await world.click(ALICE, lane, pending.request)
        approval = await pending.decision()

    assert [by.person for by in approval.by] == ["alice"]
    assert await world.events(pending.request) == ["asked", "approved"]


async def test_of_two_people_at_once_one_decides_and_the_other_is_told(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1})
        clicks = [await world.late_click(user, lane, pending.request) for user in (ALICE, BOB)]
        await asyncio.gather(*(click() for click in clicks))
        approval = await pending.decision()

    (decider,) = approval.by
    other = BOB if decider.person == "alice" else ALICE
    await world.told(other, lane, "your click changes nothing")
    assert await world.events(pending.request) == ["asked", "approved"]


async def test_a_click_after_the_deadline_is_refused_as_expired(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1}, within="2s")
        click = await world.late_click(ALICE, lane, pending.request)
        with pytest.raises(sayso.Expired):
            await pending.decision()
        await click()

    await world.told(ALICE, lane, "nobody answered in time, which counts as no")
    assert _actions(await world.card(lane, pending.request, "nobody answered in time")) == []
    assert await world.events(pending.request) == ["asked", "expired"]


async def test_the_command_lists_what_waits_for_a_person(world: World) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"n": 1})
        card = await world.card(lane, pending.request)
        delivery = await world.sandbox.command(ALICE, lane.channel, "/sayso", "pending")
        assert delivery.ok
        told = await world.told(ALICE, lane, str(pending.code))
        assert world.sandbox.workspace.permalink(lane.channel, card.ts) in str(delivery.body)
        assert lane.kind in told
        await pending.withdraw()
        await world.card(lane, pending.request, "the agent no longer asks")


async def test_a_separate_tool_spends_what_was_approved_for_it_and_nobody_else_can(world: World) -> None:
    lane = world.lane()
    async with world.agent(audience=TOOL) as client, world.tool() as tool, world.tool("other-tool") as other:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "12.00"})
        await world.click(BOB, lane, pending.request)
        approval = await pending.decision()
        with pytest.raises(sayso.InvalidRequest, match="only it can spend"):
            approval.spend()
        with pytest.raises(sayso.ReceiptInvalid) as refused:
            await _act(other.spend(approval.receipt, approval.action, agent=AGENT))
        assert refused.value.step == "aud"
        async with tool.spend(approval.receipt, approval.action, agent=AGENT) as action:
            assert action.arguments == {"amount": "12.00"}
        with pytest.raises(sayso.AlreadySpent):
            await _act(tool.spend(approval.receipt, approval.action, agent=AGENT))

    await world.card(lane, pending.request, "succeeded in", TOOL)


async def _act(spend: ToolSpend) -> None:
    async with spend:
        raise AssertionError("it acted")


def _actions(card: Message) -> list[str]:
    """The action ids of a card's buttons."""
    return [
        element["action_id"] for block in card.blocks if block["type"] == "actions" for element in block["elements"]
    ]
