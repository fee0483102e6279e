"""A Redis that was rolled back has forgotten what was spent: until a person has looked, nothing is spent there."""

from __future__ import annotations

import asyncio
import shutil

import pytest

import sayso
from bot.sealer import HeadsFile
from bot.signing import FileSigner, read_key
from tests.e2e.processes import PATIENCE
from tests.e2e.world import ALICE, Lane, World, a_world

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("meanwhile", ["the bot runs on", "the bot is started anew"])
async def test_a_receipt_used_before_the_rollback_is_not_used_again(meanwhile: str) -> None:
    async with a_world() as world:
        lane = world.lane()
        bot = await world.bot()
        async with world.agent(spend=3.0) as client:
            pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
            await world.click(ALICE, lane, pending.request)
            approval = await pending.decision()
            await _copy(world, "before")
            async with approval.spend():
                pass
            await world.card(lane, pending.request, "succeeded in")
            await _sealed(world)
            if meanwhile == "the bot is started anew":
                assert await bot.stop() == 0

            await _roll_back(world, "before")
            await (world.bot() if not bot.runs else bot.says(_complains))
        async with world.agent(spend=3.0) as later:
            with pytest.raises((sayso.SpendRefused, sayso.Lapsed)):  # held at first, lapsed as soon as that is written
                await _use_again(later, lane, pending.call)
        assert (await world.events(pending.request))[-1] in {"approved", "lapsed"}


async def _use_again(client: sayso.Sayso, lane: Lane, call: str) -> None:
    again = await client.ask(lane.kind, target="bank:acme", arguments={"amount": "9.50"}, call=call)
    async with again.spend():
        raise AssertionError("it acted twice")


async def _sealed(world: World) -> None:
    """Wait until a head covers the whole journal; each look takes what reading the journal takes."""
    state = world.trust.parent
    signer, heads = FileSigner(read_key(state / "signing-key.pem")), HeadsFile(state / "heads.jsonl")
    async with asyncio.timeout(PATIENCE):
        while len(await world.journal()) > max((head.number for head in heads.read(signer)), default=0):
            pass


def _complains(line: str) -> bool:
    return "Redis is behind the sealed journal" in line


async def _copy(world: World, name: str) -> None:
    """Keep what the server has on disk now; every write is there before it was answered."""
    shutil.copytree(world.redis.directory, world.folder / name)


async def _roll_back(world: World, name: str) -> None:
    """Start the server on an older copy of its files."""
    world.redis.kill()
    shutil.rmtree(world.redis.directory)
    shutil.copytree(world.folder / name, world.redis.directory)
    world.redis.start()
