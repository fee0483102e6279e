"""A policy that routes to a channel that is known to be private is a load error, at the start and on reload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from approvals.errors import PolicyInvalid
from approvals.policy import Policy
from bot.known_places import must_be_open
from bot.policies import AdoptedPolicy, read_policy
from bot.reload import Reload
from handlers.teams.places import Place, Places
from storage.memory import MemoryStore
from tests.bot.conftest import Clock
from tests.build import policy_mapping

BOARD = "19:board@thread.tacv2"
SERVICE = "https://smba.trafficmanager.net/emea/"
WHAT = "is a private channel of Teams, where bots cannot post; name a standard or shared channel, or a chat"


@pytest.fixture
async def store(clock: Clock) -> MemoryStore:
    """A memory that knows of one private channel, one shared one, and a person."""
    made = MemoryStore(clock)
    team = Place("19:team@thread.tacv2", SERVICE, "channel", "19:team@thread.tacv2", "standard")
    kinds = {BOARD: "private", "19:partners@thread.tacv2": "shared"}
    await Places(made.shelf).listed(team, [{"id": place, "type": kind} for place, kind in kinds.items()])
    return made


def written(folder: Path, *rules: dict[str, Any], **sections: Any) -> Path:
    """A policy file of one line a key, with these rules and sections."""
    path = folder / "policy.yaml"
    path.write_text(json.dumps(policy_mapping(rules=[*rules], **sections), indent=1))
    return path


def line_of(path: Path, words: str, nth: int = 1) -> int:
    found = [number for number, line in enumerate(path.read_text().splitlines(), 1) if words in line]
    return found[nth - 1]


async def problems(path: Path, store: MemoryStore) -> list[str]:
    try:
        await must_be_open(*read_policy(path), path, store.shelf)
    except PolicyInvalid as exc:
        return exc.problems
    return []


async def test_every_rule_that_routes_to_a_private_channel_is_named_with_its_line_and_a_remedy(
    folder: Path, store: MemoryStore
) -> None:
    board = [f"teams:{BOARD}"]
    path = written(
        folder,
        {"id": "large", "destinations": board},
        {"id": "late", "within": "1h", "escalate": [{"after": "10m", "destinations": board}]},
        {"id": "else", "destinations": ["teams:19:partners@thread.tacv2"], "fallback": board},
    )

    found = await problems(path, store)
    wheres = ["rules.large.destinations", "rules.else.fallback", "rules.late.escalate"]
    lines = [line_of(path, BOARD, nth) for nth in (1, 3, 2)]
    for problem, where, line in zip(found, wheres, lines, strict=True):
        assert problem.startswith(f"{path}:{line}")
        assert f"{where}: teams:{BOARD} {WHAT}" in problem


async def test_defaults_and_emergencies_are_looked_at_too(folder: Path, store: MemoryStore) -> None:
    defaults = policy_mapping()["defaults"] | {"destinations": [f"teams:{BOARD}"]}
    found = await problems(written(folder, defaults=defaults), store)

    assert ["defaults.destinations" in problem for problem in found] == [True]


async def test_what_nobody_knows_is_no_reason_against_a_policy(folder: Path, store: MemoryStore) -> None:
    places = ["teams:19:new@thread.tacv2", "teams:19:partners@thread.tacv2", "slack:C0PAY"]

    assert await problems(written(folder, {"id": "new", "destinations": places}), store) == []


async def test_a_reload_keeps_the_policy_in_force_and_tells_what_is_wrong(folder: Path, store: MemoryStore) -> None:
    path = written(folder)
    came_to: list[str] = []
    policies = AdoptedPolicy(store, *read_policy(path))
    await policies.put_in_force()
    before = policies.current().digest

    async def serve(*_: Any) -> None:
        return None

    async def fits(policy: Policy, text: str) -> None:
        await must_be_open(policy, text, path, store.shelf)

    reload = Reload(path, policies, store, serve=serve, counted=came_to.append, fits=fits)
    written(folder, {"id": "large", "destinations": [f"teams:{BOARD}"]})
    reload.changed()
    await reload.step()

    assert policies.current().digest == before
    assert came_to == ["refused"]
    events = [json.loads(entry.record)["event"] async for entry in store.journal(0)]
    assert events[-1] == "policy_refused"

    written(folder, {"id": "large", "destinations": ["teams:19:partners@thread.tacv2"]})
    reload.changed()
    await reload.step()
    assert policies.current().digest != before
