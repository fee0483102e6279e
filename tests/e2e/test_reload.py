"""The policy file is changed while bots run: every bot follows, and a bad file changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.request import urlopen

import pytest

import sayso
from tests.e2e.processes import Bot, said
from tests.e2e.world import ALICE, World, a_world

pytestmark = pytest.mark.redis

NEWCOMER = "newcomer"


async def test_a_changed_file_is_put_in_force_for_all_and_a_bad_one_changes_nothing() -> None:
    async with a_world() as world:
        shared, other = world.folder / "policy.yaml", world.folder / "other" / "policy.yaml"
        other.parent.mkdir()
        other.write_text(shared.read_text())
        first = await world.bot()
        world.settings = {"SAYSO_POLICY": str(other)}
        second = await world.bot()

        changed = json.loads(shared.read_text())
        changed["agents"][NEWCOMER] = changed["agents"]["lane-bot"]
        _replace(shared, json.dumps(changed))
        digest = (await first.says(lambda line: said(line, "policy in force")))["policy"]
        await second.says(lambda line: NEWCOMER in said(line, "agents").get("heard", ()))
        assert await first.stop() == 0
        assert await _asks(world) == digest

        _replace(other, other.read_text().replace('"effect"', '"efect"'))
        refused = await second.says(lambda line: said(line, "policy refused"))
        assert refused["stays"] == digest
        assert any("did you mean 'effect'?" in problem for problem in refused["problems"])
        assert await asyncio.to_thread(_ready, second)
        assert [entry["policy"] for entry in await world.journal() if entry["event"] == "policy_refused"] == [digest]
        assert await _asks(world) == digest

        _replace(other, json.dumps(changed, indent=2))
        second.hang_up()
        after = (await second.says(lambda line: said(line, "policy in force")))["policy"]
        assert after != digest
        assert await _asks(world) == after


def _replace(path: Path, text: str) -> None:
    """Put another file in its place at once, as editors and Kubernetes do."""
    made = path.with_suffix(".new")
    made.write_text(text)
    made.rename(path)


async def _asks(world: World) -> str:
    """Let the newcomer ask, and a person approve; returns the policy under which that happened."""
    lane = world.lane()
    async with sayso.Sayso.connect(world.url, agent=NEWCOMER, trust=world.trust) as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.click(ALICE, lane, pending.request)
        await pending.decision()
    decided = [entry for entry in await world.journal(pending.request) if entry["event"] == "approved"]
    return str(decided[0]["policy"])


def _ready(bot: Bot) -> bool:
    with urlopen(f"{bot.url}/readyz", timeout=5) as answer:
        return int(answer.status) == 200
