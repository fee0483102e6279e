"""The SDK and the service, with nothing between them but Redis and the agent's own rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import sayso
from approvals.lifecycle import Status
from approvals.service import HEARTBEAT_MS
from storage.redis.acl import acl_lines
from tests.approvals.make import AGENT, account
from tests.contract.house import Running, serving
from tests.servers import Server, running

pytestmark = pytest.mark.redis

SECRETS = {
    "admin": "admin-secret-1",
    "bot": "bot-secret-1",
    f"agent-{AGENT}": "agent-secret-1",
    "tool-bank-tool": "tool-secret-1",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that knows exactly the users of `python -m bot acl`."""
    users = tmp_path / "users.acl"
    users.write_text("\n".join(acl_lines([AGENT], ["bank-tool"], 1, SECRETS)) + "\n")
    with running("--appendonly", "yes", "--appendfsync", "always", "--aclfile", str(users)) as server:
        yield server


def as_user(server: Server, user: str) -> str:
    """Where a user finds the server."""
    return server.url.replace("redis://", f"redis://{user}:{SECRETS[user]}@")


@pytest.fixture
async def house(server: Server, tmp_path: Path) -> AsyncIterator[Running]:
    """The service."""
    async with serving(as_user(server, "bot"), tmp_path) as running:
        yield running


@pytest.fixture
async def agent(server: Server, house: Running) -> AsyncIterator[sayso.Sayso]:
    """The agent, with no more rights than it is given."""
    pace = sayso.Pace(heartbeat=0.05)
    url = as_user(server, f"agent-{AGENT}")
    async with sayso.Sayso.connect(url, agent=AGENT, trust=house.trust, pace=pace) as client:
        yield client


def payment(call: str, amount: str = "12400.00") -> dict[str, Any]:
    """What is asked."""
    return {"kind": "payments.release", "target": "bank:acme", "arguments": {"amount": amount}, "call": call}


async def test_a_yes_is_asked_spent_and_reported(house: Running, agent: sayso.Sayso) -> None:
    house.opinion = lambda request: ("approve", "")
    approval = await agent.ask(**payment("run-1"))
    async with approval.spend() as action:
        assert action.arguments == {"amount": "12400.00"}
    with pytest.raises(sayso.AlreadySpent):
        async with approval.spend():
            pytest.fail("must not run twice")
    assert [str(by) for by in approval.by] == ["alice via slack"]
    assert (await house.store.get(approval.request)).request.status is Status.SUCCEEDED


async def test_what_was_asked_to_change_is_changed_and_asked_again(house: Running, agent: sayso.Sayso) -> None:
    house.opinion = lambda request: ("approve", "") if request.superseded else ("changes", "half of it")
    with pytest.raises(sayso.ChangesRequested) as no:
        await agent.ask(**payment("run-1"))
    approval = await agent.ask(**payment("run-2", "6200.00"), supersedes=no.value.request)
    assert no.value.changes == "half of it"
    superseded = (await house.store.get(approval.request)).request.superseded
    assert superseded is not None
    assert superseded.request == no.value.request


async def test_only_ones_own_denied_request_can_be_superseded(house: Running, agent: sayso.Sayso) -> None:
    pending = await agent.ask_nowait(**payment("run-1"))
    with pytest.raises(sayso.Refused, match="not denied") as caught:
        await agent.ask(**payment("run-2"), supersedes=pending.request)
    assert (caught.value.reason, caught.value.field) == ("conflict", "supersedes")
    with pytest.raises(sayso.Refused) as caught:
        await agent.ask(**payment("run-3"), supersedes="0-" + "a" * 24)
    assert (caught.value.reason, caught.value.field) == ("not_found", "supersedes")


async def test_a_frozen_agent_is_told_so(house: Running, agent: sayso.Sayso) -> None:
    pending = await agent.ask_nowait(**payment("run-1"))
    await house.seen("run-1")
    await house.approvals.operators.freeze(account("carol"), "agent", AGENT, "the gateway misbehaves")
    with pytest.raises(sayso.NotAccepting, match="frozen by carol: the gateway misbehaves"):
        await agent.ask(**payment("run-2"))
    with pytest.raises(sayso.Denied, match="the gateway misbehaves") as no:
        await pending.decision()
    assert [str(by) for by in no.value.by] == [f"policy freeze:agent:{AGENT}"]


async def test_heartbeats_keep_a_request_open_and_silence_withdraws_it(
    server: Server, house: Running, agent: sayso.Sayso
) -> None:
    pending = await agent.ask_nowait(**payment("run-1"), cancel_on_disconnect=True)
    assert (await house.seen("run-1")).cancel_on_disconnect
    for _ in range(3):
        house.store.clock_offset += 60_000
        await heard(server, house)
    assert not pending.done
    await agent.aclose()
    house.store.clock_offset += HEARTBEAT_MS + 1_000

    async def withdrawn() -> bool:
        return (await house.store.get(pending.request)).request.status is Status.WITHDRAWN

    assert await house.store.until(withdrawn)


async def heard(server: Server, house: Running) -> None:
    """Wait until the agent was heard of, at the time it is in the house."""
    async with Redis.from_url(as_user(server, "admin")) as admin:

        async def just_now() -> bool:
            silent_at = await admin.zscore("{sayso:0}:silent", AGENT)
            return silent_at is not None and silent_at > await house.store.now() + HEARTBEAT_MS - 10_000

        assert await house.store.until(just_now)
