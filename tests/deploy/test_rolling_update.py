"""Replicas are replaced, one after the other, while agents ask and people click: no click is lost, no card doubled."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator

import pytest

import sayso
from tests.deploy.balancer import EVERY, Balancer, a_balancer
from tests.e2e.processes import Bot
from tests.e2e.world import ALICE, Lane, World, a_world, lanes

pytestmark = pytest.mark.redis

AT_LEAST = 60
WORKERS = 4
DRAIN = 10 * EVERY  #: seconds; a balancer that looks every EVERY has seen it by then


async def test_replicas_are_replaced_under_load_without_a_lost_click_or_a_second_card() -> None:
    async with a_world("http") as world, a_balancer() as balancer:
        world.sandbox.connect_http(f"{balancer.url}/slack/events")
        bots = [await _bot(world, balancer) for _ in range(2)]
        asked = await _replaced_under_load(world, balancer, bots)
        endings = [await bot.stop() for bot in bots[2:]]

        assert len(asked) >= AT_LEAST
        assert all(balancer.taken[bot.url] > 0 for bot in bots), balancer.taken
        assert [one for one in world.sandbox.deliveries if one.error] == []
        for lane, approval in asked:
            assert len(world.cards(lane, approval.request)) == 1
            assert (await world.events(approval.request)).count("approved") == 1
        assert sum(map(_shown_by, bots)) == len(asked)
        assert endings == [0, 0]
        assert not any(bot.runs for bot in bots)
        assert not [line for bot in bots for line in bot.lines if '"level": "error"' in line]


async def test_a_replica_that_is_told_to_end_says_so_first_and_goes_on_deciding() -> None:
    async with a_world("http") as world, a_balancer() as balancer:
        bot = await _bot(world, balancer, drain=600)
        world.sandbox.connect_http(f"{bot.url}/slack/events")
        bot.terminate()
        await bot.says(lambda line: "draining" in line)
        async with balancer.session.get(f"{bot.url}/readyz") as answer:
            assert answer.status == 503
            no = [name for name, says in (await answer.json())["checks"].items() if not says]
            assert no == ["draining"]
            assert answer.headers["Connection"] == "close"
        async with world.agent() as client:
            lane = world.lane()
            pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
            await world.click(ALICE, lane, pending.request)
            assert (await pending.decision()).by[0].person == "alice"
        assert await bot.stop() == 0  # a second signal: at once


async def _replaced_under_load(world: World, balancer: Balancer, bots: list[Bot]) -> list[tuple[Lane, sayso.Approval]]:
    """Replace each bot by a new one, which joins `bots`, while people click; returns what was asked and decided.

    The first time as a Deployment does it, the new one before the old one goes; the second time as a StatefulSet does.
    """
    replaced = asyncio.Event()
    asked: list[tuple[Lane, sayso.Approval]] = []
    turns = itertools.cycle(lanes())
    async with world.agent() as client:
        workers = [asyncio.create_task(_work(world, client, turns, asked, replaced)) for _ in range(WORKERS)]
        try:
            first, second = bots
            bots.append(await _bot(world, balancer))
            assert await first.stop() == 0
            before = len(asked)
            assert await second.stop() == 0
            assert len(asked) > before, "nobody clicked meanwhile"
            bots.append(await _bot(world, balancer))
        finally:
            replaced.set()
            await asyncio.gather(*workers)
    return asked


def _shown_by(bot: Bot) -> int:
    """How many requests a bot brought to a channel, in messages of their own or in shared ones."""
    return len(bot.logged("card posted")) + sum(int(one["requests"]) for one in bot.logged("shared message posted"))


async def _bot(world: World, balancer: Balancer, *, drain: float = DRAIN) -> Bot:
    """A replica as it is deployed, which the balancer sends clicks to."""
    bot = Bot(world.environment() | {"SAYSO_DRAIN_SECONDS": str(drain)}, world.folder)
    world.bots.append(bot)
    await bot.start("-m", "bot", "serve")
    await balancer.add(await bot.ready())
    return bot


async def _work(
    world: World,
    client: sayso.Sayso,
    turns: Iterator[Lane],
    asked: list[tuple[Lane, sayso.Approval]],
    replaced: asyncio.Event,
) -> None:
    """Ask, click once, and wait for the decision, until the replicas are replaced and enough was asked."""
    while not replaced.is_set() or len(asked) < AT_LEAST:
        lane = next(turns)
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"n": os.urandom(4).hex()})
        await world.click(ALICE, lane, pending.request)
        asked.append((lane, await pending.decision()))
