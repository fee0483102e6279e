"""The five scenes of the demo as they are shipped, under the demo's policy and Slack's own limits."""

from __future__ import annotations

import json

import pytest

from sandbox import Workspace
from tests.e2e.processes import ROOT, Process
from tests.e2e.world import ALICE, BOB, Lane, World, a_world

pytestmark = pytest.mark.redis

CAROL = "U0CAROL"
SCENES = {
    "C0DEPLOYS": (Lane("deploy.config", "C0DEPLOYS"), [ALICE], "Config change deployed"),
    "C0PAYMENTS": (Lane("payments.release", "C0PAYMENTS"), [ALICE], "Payment released"),
    "C0DATA": (Lane("data.export", "C0DATA"), [CAROL], "Customer data exported"),
    "C0SECURITY": (Lane("secrets.delete", "C0SECURITY"), [BOB, ALICE], "Credential store deleted"),
    "C0PRESS": (Lane("mail.publish", "C0PRESS"), [CAROL], "E-mail published"),
}


async def test_every_scene_acts_after_its_people_said_yes() -> None:
    policy = (ROOT / "examples" / "policy.yaml").read_text()
    async with a_world(people=Workspace.demo(), policy=policy) as world:
        await world.bot()
        place = world.folder / "world"
        agents = Process({}, world.folder)
        world.also(agents)
        example = str(ROOT / "examples" / "five_scenes.py")
        given = ["--redis", world.redis.url, "--trust", str(world.trust), "--world", str(place), "--run", "test"]
        await agents.start(example, *given)
        for channel in SCENES:
            await _answer(world, channel)
        assert await agents.ended() == 0, agents.lines

        for lane, _, done in SCENES.values():
            (card,) = world.cards(lane)
            await world.card(lane, (card.metadata or {})["event_payload"]["request"], done, "succeeded in")
        assert json.loads((place / "production.json").read_text())["rate_limit"] == 250
        assert (place / "ledger.csv").read_text().startswith("INV-2093,12400.00,EUR,")
        assert len((place / "eu.csv").read_text().splitlines()) == 1 + 1204
        assert not (place / "legacy-kv").exists()
        assert b"press@newsroom.example" in (place / "sent.eml").read_bytes()


async def _answer(world: World, channel: str) -> None:
    """Everybody who is asked in a channel says yes, one after the other."""
    lane, people, _ = SCENES[channel]
    request = await world.first_request(lane)
    for index, person in enumerate(people):
        await world.click(person, lane, request)
        if index + 1 < len(people):
            await world.card(lane, request, "waiting for")
