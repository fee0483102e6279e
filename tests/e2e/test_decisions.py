"""What people decide in chat reaches the agent that waits, over both ways in which clicks can come."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import sayso
from sandbox import Message
from tests.e2e.world import ALICE, BOB, DANA, GUEST, MALLORY, Mode, World, a_world, text_of

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["socket", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A deployment with a running bot, once per transport; its tests share it, each in a lane of its own."""
    mode: Mode = request.param
    async with a_world(mode) as made:
        await made.bot()
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


def _actions(card: Message) -> list[str]:
    """The action ids of a card's buttons."""
    return [
        element["action_id"] for block in card.blocks if block["type"] == "actions" for element in block["elements"]
    ]
