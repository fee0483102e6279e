"""The bot is killed (SIGKILL) before and after every step it takes; another one brings each request to one good end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import asdict, dataclass

import pytest

import sayso
from sandbox import NotOnScreen
from tests.e2e.processes import Bot
from tests.e2e.world import ALICE, Lane, Mode, World, a_world, text_of

pytestmark = pytest.mark.redis


@dataclass(frozen=True)
class Step:
    """The n-th call of a method of the memory, the inbox or the platform, and the side of it on which the bot dies."""

    part: str
    method: str
    nth: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.part}.{self.method} {self.nth}"


#: In the order in which they happen: the request comes in, the card goes out, a click decides, the tool spends.
CALLS = [
    ("store", "create", 1),
    ("store", "keep_rendering", 1),
    ("store", "intend", 1),
    ("platform", "post", 1),
    ("store", "record_post", 1),
    ("store", "settle", 1),
    ("store", "update", 1),
    ("store", "keep_rendering", 2),
    ("platform", "update", 1),
    ("store", "record_post", 2),
    ("store", "settle", 2),
    ("store", "update", 2),
    ("store", "publish", 1),
    ("inbox", "answer", 1),
    ("store", "update", 3),
    ("inbox", "answer", 2),
]
STEPS = [Step(*call, when) for call in CALLS for when in ("before", "after")]
SAMPLE = {
    "after store.create 1",
    "before platform.post 1",
    "after platform.post 1",
    "before store.update 1",
    "after store.update 1",
    "after store.publish 1",
    "after platform.update 1",
    "after store.update 2",
}


def _cases() -> list[object]:
    """Every step over both transports; all but a sample are marked `full`."""
    return [
        pytest.param(
            step,
            mode,
            id=f"{step} ({mode})",
            marks=() if mode == "socket" and str(step) in SAMPLE else pytest.mark.full,
        )
        for step in STEPS
        for mode in ("socket", "http")
    ]


def test_the_sample_names_steps_that_exist() -> None:
    assert {str(step) for step in STEPS} >= SAMPLE


@pytest.mark.parametrize(("step", "mode"), _cases())
async def test_killed_at_any_step_there_is_one_card_one_decision_and_one_act(step: Step, mode: Mode) -> None:
    async with a_world(mode, ack_deadline=1.0) as world:
        lane, acted = world.lane(), list[str]()
        doomed = await world.bot(hasty=True, breaks=asdict(step))
        async with world.agent() as client:
            pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
            acting = asyncio.create_task(_act(pending, acted))
            await _click_unless_dead(world, lane, pending, doomed)
            assert await doomed.ended() == -signal.SIGKILL
            await world.bot(hasty=True)
            await _click_while_it_waits(world, lane, pending)
            await acting
        await world.card(lane, pending.request, "succeeded in")

        assert acted == ["bank:acme"]
        assert len(world.cards(lane)) == 1
        assert await world.events(pending.request) == ["asked", "approved", "spent", "succeeded"]


async def test_a_click_counts_after_the_bot_was_started_anew() -> None:
    async with a_world() as world:
        lane = world.lane()
        first = await world.bot()
        async with world.agent() as client:
            pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
            before = await world.card(lane, pending.request)
            assert await first.stop() == 0
            await world.bot()
            await world.click(ALICE, lane, pending.request)
            approval = await pending.decision()

        assert [by.person for by in approval.by] == ["alice"]
        after = await world.card(lane, pending.request, "Approved")
        assert (after.ts, len(world.cards(lane))) == (before.ts, 1)


async def _act(pending: sayso.Pending, acted: list[str]) -> None:
    approval = await pending.decision()
    async with approval.spend() as action:
        acted.append(action.target)


async def _click_unless_dead(world: World, lane: Lane, pending: sayso.Pending, bot: Bot) -> None:
    """Click as soon as there is a card; whether anybody hears of it is not said. No card if the bot dies before."""
    card = asyncio.create_task(world.card(lane, pending.request))
    death = asyncio.create_task(bot.ended())
    await asyncio.wait([card, death], return_when=asyncio.FIRST_COMPLETED)
    if card.done() and bot.runs:
        await world.sandbox.click(ALICE, lane.channel, card.result().ts, "sayso:approve")
    card.cancel()
    await asyncio.wait([card])


async def _click_while_it_waits(world: World, lane: Lane, pending: sayso.Pending) -> None:
    """Click once more unless the card says that it is decided."""
    card = await world.card(lane, pending.request)
    if "Approved" not in text_of(card):
        with contextlib.suppress(NotOnScreen):  # it was decided just now
            assert (await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")).ok
