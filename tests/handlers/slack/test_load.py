"""Many clicks at once: with a warm directory all are decided, with a cold one nobody counts unchecked; all are told.

`python -m benchmarks slack` measures the full size, 500 clicks within one second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from approvals.request import Request
from handlers.slack.blocks import APPROVE
from sandbox.limits import Limiter, LimitSettings
from tests.handlers.slack.world import DEPLOYS, World, a_world

CROWD = 25
LOOK_UPS = 10  #: users.info that Slack answers in a minute, in place of a hundred


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


def crowd(world: World) -> list[str]:
    """People who are asked about deployments and whom nobody has looked up yet."""
    workspace = world.sandbox.workspace
    users = [f"U0CROWD{number}" for number in range(CROWD)]
    for user in users:
        workspace.add_user(user, user.lower())
        workspace.join(DEPLOYS, user)
    workspace.groups["S0SRE"].users += users
    return users


async def asked(world: World, count: int) -> list[Request]:
    """Deployments that wait in their channel."""
    return [await world.ask(kind="deploy.run", target=f"service-{number}") for number in range(count)]


async def statuses(world: World, requests: list[Request]) -> list[str]:
    return [await world.status(request) for request in requests]


async def test_with_a_warm_directory_a_hundred_clicks_at_once_are_acknowledged_and_decided_once(world: World) -> None:
    requests = await asked(world, 20)
    await world.door.directory.warm(["slack:usergroup:S0SRE"])
    clicks = [world.click("U0ALICE", request, APPROVE) for request in requests for _ in range(5)]

    deliveries = await asyncio.gather(*clicks)

    assert all(delivery.ok for delivery in deliveries)
    assert await statuses(world, requests) == ["approved"] * len(requests)
    records = [entry.record async for entry in world.store.journal(0)]
    assert sum(b'"event":"approved"' in record for record in records) == len(requests)
    assert len(world.sandbox.log.calls_of("users.info")) == 1


async def test_with_a_cold_directory_at_slacks_limits_no_vote_counts_unchecked_and_everybody_is_told(
    world: World,
) -> None:
    users, requests = crowd(world), await asked(world, CROWD)
    tiers = LimitSettings(tiers={1: 1, 2: 20, 3: 50, 4: LOOK_UPS})
    world.sandbox.slack.limiter = Limiter(tiers, world.clock)

    clicks = [world.click(user, request, APPROVE) for user, request in zip(users, requests, strict=True)]
    deliveries = await asyncio.gather(*clicks)

    assert all(delivery.ok for delivery in deliveries)
    found = await statuses(world, requests)
    assert (found.count("approved"), found.count("pending")) == (LOOK_UPS, CROWD - LOOK_UPS)
    answers = [(await world.told(user))[0] for user in users]
    assert sum("could not check" in answer for answer in answers) == CROWD - LOOK_UPS
    looked_up = {call.args["user"] for call in world.sandbox.log.calls_of("users.info") if call.ok}
    assert {user for user, status in zip(users, found, strict=True) if status == "approved"} == looked_up
