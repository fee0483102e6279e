"""A burst on the real service: its bot is killed around the shared message, and every row is answered where it is."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import asdict
from typing import Any

import pytest

import sayso
from sandbox import Message
from tests.e2e.test_crashes import Step
from tests.e2e.world import ALICE, Lane, World, a_world, text_of

pytestmark = pytest.mark.redis

COUNT = 12
STEPS = [
    Step("platform", "post_shared", 1, "before"),
    Step("platform", "post_shared", 1, "after"),
    Step("store", "intend", 4, "after"),
    Step("store", "record_post", 4, "after"),
    Step("platform", "update_shared", 1, "before"),
    Step("platform", "update_shared", 1, "after"),
]
SAMPLE = {"after platform.post_shared 1", "after store.intend 4"}


def _cases() -> list[object]:
    return [pytest.param(step, id=str(step), marks=() if str(step) in SAMPLE else pytest.mark.full) for step in STEPS]


@pytest.mark.parametrize("step", _cases())
async def test_killed_around_a_shared_message_every_request_stands_in_one_place_and_is_decided(step: Step) -> None:
    async with a_world(ack_deadline=1.0) as world:
        lane = world.lane()
        doomed = await world.bot(hasty=True, breaks=asdict(step))
        async with world.agent() as client:
            asking = [
                client.ask_nowait(lane.kind, target=f"bank:{number}", arguments={"amount": "9.50"})
                for number in range(COUNT)
            ]
            pending = await asyncio.gather(*asking)
            if step.method == "update_shared":
                await _all_on_screen(world, lane)
                await _click_one(world, lane)
            assert await doomed.ended() == -signal.SIGKILL
            await world.bot(hasty=True)
            await _all_on_screen(world, lane)
            await _click_all(world, lane, pending)
            approvals = await asyncio.gather(*(one.decision() for one in pending))

        assert [[by.person for by in approval.by] for approval in approvals] == [["alice"]] * COUNT
        values = [value for message in world.sandbox.messages(lane.channel) for value in _codes(message, pending)]
        assert sorted(values) == sorted(one.request for one in pending)


async def _all_on_screen(world: World, lane: Lane) -> None:
    """Wait until every request can be answered, or has been."""

    def shown() -> bool | None:
        messages = world.sandbox.messages(lane.channel)
        decided = sum(text_of(message).count("Approved: ") for message in messages)
        return sum(len(_buttons(message)) for message in messages) + decided >= COUNT or None

    await world.see(shown, "all of them", lambda: [text_of(one) for one in world.sandbox.messages(lane.channel)])


async def _click_one(world: World, lane: Lane) -> None:
    (message,) = [one for one in world.sandbox.messages(lane.channel) if len(_buttons(one)) > 1][:1]
    await world.sandbox.click(ALICE, lane.channel, message.ts, "sayso:approve", value=_buttons(message)[0])


async def _click_all(world: World, lane: Lane, pending: list[sayso.Pending]) -> None:
    """Approve whatever can still be approved."""
    for message in world.sandbox.messages(lane.channel):
        for value in _buttons(message):
            await world.sandbox.click(ALICE, lane.channel, message.ts, "sayso:approve", value=value)


def _buttons(message: Message) -> list[str]:
    """What the Approve buttons of a message carry."""
    elements: list[dict[str, Any]] = [one for block in message.blocks for one in block.get("elements", [])]
    return [one["value"] for one in elements if one.get("action_id") == "sayso:approve"]


def _codes(message: Message, pending: list[sayso.Pending]) -> list[str]:
    """The requests that a message is about."""
    return [one.request for one in pending if one.code and one.code in text_of(message)]
