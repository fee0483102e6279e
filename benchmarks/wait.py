"""Click to agent: how long after a vote the waiting agent is awake, beside a bare Redis ping-pong in the same run.

Two processes share one server with `appendonly yes`, `appendfsync always`. The agent's process answers over a pipe
with the instant (CLOCK_MONOTONIC, one clock for both) at which its `ask` returned; the bare pair exchanges one stream
entry each way with redis-py and nothing else. Votes and pings alternate, so that both meet the same machine.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import secrets
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import redis.asyncio as redis

import sayso
from approvals.desk import Desk
from approvals.errors import NotFound
from approvals.lifecycle import Status
from approvals.ports import Account, Post, Store
from approvals.service import Approvals, Click, Counted
from benchmarks.report import Figure, percentile
from bot.intake import Intake
from bot.loops import Loop
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner, create_key, write_trust
from storage.embedded import EmbeddedServer
from storage.redis.store import RedisStore
from tests.service import a_service

PING, PONG = "bench:ping", "bench:pong"
PLACE, CARD = "slack:C0BENCH", {"channel": "C0BENCH", "ts": "1.0"}

POLICY = """\
version: 1
defaults:
  factors: [{from: [people], approvals: 1}]
  destinations: ["slack:C0BENCH"]
agents: {bench: {owner: dana, principals: [dana], kinds: ["*"]}}
people: {dana: {}, alice: {accounts: ["slack:T0:U0ALICE"]}}
groups: {people: {people: [alice]}}
"""


class Everybody:
    """A warm directory: everybody is a full member."""

    async def standing(self, account: Account) -> str | None:
        """Nothing against anybody."""
        return None

    async def is_member(self, account: Account, source: str) -> bool:
        """Only named people count here."""
        return False


async def measure(approvals: int) -> list[Figure]:
    """The latency of `approvals` votes and as many pings; a tenth more of each first, not counted."""
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServer(Path(folder) / "redis") as server:
            key = create_key(Path(folder) / "key.pem")
            signer = FileSigner(key)
            trust = Path(folder) / "jwks.json"
            write_trust(trust, signer.trust("https://bench.example"))
            async with await RedisStore.connect(server.url) as store:
                votes, pings = await _both(server.url, str(trust), store, signer, approvals)
    bare, ours = percentile(pings, 0.5), percentile(votes, 0.5)
    return [
        Figure("click to agent, p50, × a bare ping-pong", ours / bare, "×", 3.0),
        Figure("click to agent, p50", ours * 1000, "ms"),
        Figure("click to agent, p99", percentile(votes, 0.99) * 1000, "ms"),
        Figure("bare ping-pong, p50", bare * 1000, "ms"),
        Figure("bare ping-pong, p99", percentile(pings, 0.99) * 1000, "ms"),
    ]


async def _both(
    url: str, trust: str, store: RedisStore, signer: FileSigner, count: int
) -> tuple[list[float], list[float]]:
    policy = parse_policy(POLICY)
    policies = AdoptedPolicy(store, policy, POLICY)
    await policies.put_in_force()
    service = a_service(store, policies, signer, directory=Everybody(), issuer="https://bench.example")
    here, there = multiprocessing.get_context("spawn").Pipe()
    agent = multiprocessing.get_context("spawn").Process(target=_agent, args=(url, trust, count, there))
    echo = multiprocessing.get_context("spawn").Process(target=_echo, args=(url,))
    async with store.inbox("bench") as inbox:
        await inbox.watch(["bench"], [])
        loop = Loop("intake", Intake(inbox, Desk(service)).take)
        running = asyncio.create_task(loop.run())
        agent.start()
        echo.start()
        try:
            return await _alternate(url, store, service, here, count)
        finally:
            loop.stop()
            await running
            for process in (agent, echo):
                process.terminate()
                process.join()


async def _alternate(
    url: str, store: Store, service: Approvals, agent: Connection, count: int
) -> tuple[list[float], list[float]]:
    """One vote, one ping, and so on; the first tenth warms up."""
    votes, pings, warm = [], [], count // 10
    bare = redis.Redis.from_url(url, socket_timeout=None)
    await asyncio.to_thread(agent.recv)  # the agent is connected
    for number in range(count + warm):
        request = await asyncio.to_thread(agent.recv)
        vote = await _one_vote(store, service, agent, request)
        ping = await _one_ping(bare, number)
        if number >= warm:
            votes.append(vote)
            pings.append(ping)
    await bare.aclose()
    return votes, pings


async def _one_vote(store: Store, service: Approvals, agent: Connection, request: str) -> float:
    """Seconds from calling `vote` to the agent being awake."""
    await _pending(store, request)
    await store.record_post(request, Post(PLACE, "posted", await store.now(), CARD, "sha256:bench"))
    click = Click(Account("slack", "T0", "U0ALICE"), "approve", "sha256:bench", (PLACE,), CARD)
    began = time.monotonic()
    verdict = await service.vote(request, click)
    if not isinstance(verdict, Counted) or verdict.request.status is not Status.APPROVED:
        raise RuntimeError(f"the vote did not count: {verdict}")
    return float(await asyncio.to_thread(agent.recv)) - began


async def _pending(store: Store, request: str) -> None:
    """Return once the bot has taken the request in."""
    for _ in range(10_000):
        try:
            await store.get(request)
        except NotFound:
            await asyncio.sleep(0.0005)
        else:
            return
    raise RuntimeError(f"{request} never became pending")


async def _one_ping(bare: redis.Redis, number: int) -> float:
    """Seconds from sending a stream entry to having read the answer to it."""
    token = f"{number}-{secrets.token_hex(4)}"
    began = time.monotonic()
    await bare.xadd(PING, {"token": token})
    last = "0"
    while True:
        reply = await bare.xread({PONG: last}, block=5_000)
        entries = _entries(reply)
        last = entries[-1][0]
        if entries[-1][1][b"token"].decode() == token:
            took = time.monotonic() - began
            await bare.xtrim(PONG, maxlen=0, approximate=False)
            return took


def _agent(url: str, trust: str, count: int, pipe: Connection) -> None:
    """The agent's process: ask, say for what, wait, say when awake; over and over."""

    async def ask() -> None:
        async with sayso.Sayso.connect(url, agent="bench", trust=trust) as client:
            pipe.send("connected")
            for number in range(count + count // 10):
                pending = await client.ask_nowait(
                    "bench.run", call=f"{os.getpid()}/{number}", target="bench:1", arguments={"number": str(number)}
                )
                pipe.send(pending.request)
                await pending.decision()
                pipe.send(time.monotonic())

    asyncio.run(ask())


def _echo(url: str) -> None:
    """The bare pair's other process: read a stream entry, answer with one."""

    async def answer() -> None:
        bare = redis.Redis.from_url(url, socket_timeout=None)
        last: Any = "0"
        while True:
            reply: Any = await bare.xread({PING: last}, block=5_000)
            for entry, fields in (_entries(reply)) if reply else ():
                last = entry
                await bare.xadd(PONG, fields)

    asyncio.run(answer())


def _entries(reply: Any) -> Any:
    """The entries of the only stream of an XREAD reply, in RESP2 or RESP3."""
    return next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
