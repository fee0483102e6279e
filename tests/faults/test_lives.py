"""The bot is killed at a call of a port, anywhere in a life; another brings it to its one good end."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from tests.faults.lives import LIVES, Life, Seen, Step, calls_of, deaths_in, surveyed

pytestmark = pytest.mark.redis

SEED = int(os.environ.get("TESTS_FAULTS_SEED", "0")) or random.randrange(1, 2**31)
SAMPLED = 2  #: steps of each life in a normal run
SPAN = {"store.create", "outbox.add", "platform.post", "store.update", "platform.update"}  #: at least
by_name = pytest.mark.parametrize("life", LIVES, ids=[life.name for life in LIVES])


@by_name
async def test_a_sample_of_deaths_changes_nothing_that_people_or_agents_see(life: Life) -> None:
    print(f"TESTS_FAULTS_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    calls = await calls_of(life)
    assert {f"{call.part}.{call.method.removesuffix('_shared')}" for call in calls} >= _span(life)
    steps = deaths_in(calls)
    chosen = random.Random(f"{SEED} {life.name}").sample(steps, SAMPLED)
    assert _wrong(life, await surveyed(life, chosen)) == {}


@pytest.mark.full
@pytest.mark.timeout(900)
@by_name
async def test_no_death_at_all_changes_what_people_or_agents_see(life: Life) -> None:
    seen = await surveyed(life, deaths_in(await calls_of(life)))
    assert _wrong(life, seen) == {}
    assert sum(one.died for _, one in seen) > 0.8 * len(seen)


def _span(life: Life) -> set[str]:
    return SPAN | {"teams.post", "teams.update"} if life.in_teams else SPAN


def _wrong(life: Life, found: Sequence[tuple[Step, Seen]]) -> dict[str, list[str]]:
    return {str(step): wrong for step, seen in found if (wrong := life.wrong(seen))}
