"""A bot without chat: intake, rules, signing, publishing and every loop, on a real server; and somebody who says yes.

Cards belong to the chat, which is not measured here. So that a vote finds the card it was made on, the store of this
house shows every request with one post; no command is added or left out for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from approvals.desk import Desk
from approvals.errors import ApprovalsError
from approvals.intake import RequestDocument
from approvals.lifecycle import Status
from approvals.ports import Account, Inbox, Post, Stored, Taken
from approvals.request import Request
from approvals.service import Approvals, Click, Counted
from bot.clock import Clock
from bot.intake import Intake
from bot.loops import Loop
from bot.policies import AdoptedPolicy, parse_policy
from bot.sealer import HeadsFile, Sealer
from bot.signing import FileSigner, create_key, read_key, write_trust
from bot.zones import is_zone
from storage.redis.store import RedisStore

ISSUER: Final = "https://bench.example"
PLACE: Final = "slack:C0BENCH"
CARD: Final = {"channel": "C0BENCH", "ts": "1.0"}
SHOWN: Final = "sha256:" + "0" * 64
ALICE: Final = Account("slack", "T0", "U0ALICE")
CLICK: Final = Click(ALICE, "approve", SHOWN, (PLACE,), CARD)

_POLICY: Final = """\
version: 1
defaults:
  factors: [{from: [people], approvals: 1}]
  destinations: ["slack:C0BENCH"]
people: {dana: {}, alice: {accounts: ["slack:T0:U0ALICE"]}}
groups: {people: {people: [alice]}}
agents:
"""
_AGENT: Final = '{owner: dana, principals: [dana], kinds: ["*"], limits: {open: 1000000, per_minute: 1000000}}'


def agent_names(count: int) -> list[str]:
    """The names of `count` agents."""
    return [f"bench-{number}" for number in range(count)]


def policy_text(agents: Sequence[str]) -> str:
    """One approver, one destination, and these agents."""
    return _POLICY + "".join(f"  {agent}: {_AGENT}\n" for agent in agents)


def request_body(call: str, *, target: str = "service:billing@production", argument: str = "x" * 200) -> bytes:
    """A request as it lies in an intake stream; its action has about 400 bytes as canonical JSON."""
    action = {
        "kind": "bench.run",
        "target": target,
        "arguments": {"release": "2026.11.3", "note": argument},
        "preconditions": {"sha": "9c1185a5c5e9fc54612808977ee8f548b2258d31"},
        "nonce": secrets.token_urlsafe(16),
    }
    return json.dumps({"v": 1, "call": call, "action": action, "because": "the release is due"}).encode()


def keys_in(folder: Path) -> Path:
    """Make a signing key and its trust document in a folder; returns where the trust document is."""
    signer = FileSigner(create_key(folder / "key.pem"))
    write_trust(folder / "jwks.json", signer.trust(ISSUER))
    return folder / "jwks.json"


class Everybody:
    """A warm directory: everybody is a full member."""

    async def standing(self, account: Account) -> str | None:
        """Nothing against anybody."""
        return None

    async def is_member(self, account: Account, source: str) -> bool:
        """Only named people count here."""
        return False


class CardsUp(RedisStore):
    """A store for which the card of every request is up."""

    async def get(self, request: str) -> Stored:
        """The request, with a post that no chat made."""
        stored = await super().get(request)
        return replace(stored, posts={PLACE: Post(PLACE, "posted", 1, CARD, SHOWN)})


class Voted(Approvals):
    """A service that has every request approved as soon as it is pending, as a person might whose card is up."""

    votes = True
    voted = 0

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._voting: set[asyncio.Task[None]] = set()
        self.failed: list[str] = []

    async def submit(self, document: RequestDocument, agent: str, *, taken: Taken | None = None) -> Request:
        """Take the request, and let a vote be on its way."""
        request = await super().submit(document, agent, taken=taken)
        if self.votes and request.status is Status.PENDING:
            vote = asyncio.create_task(self._vote(request.id))
            self._voting.add(vote)
            vote.add_done_callback(self._voting.discard)
        return request

    async def _vote(self, request: str) -> None:
        try:
            verdict = await self.vote(request, CLICK)
        except ApprovalsError as exc:  # whoever measures reads `failed`, and fails with it
            self.failed.append(repr(exc))
            return
        if isinstance(verdict, Counted) and verdict.safe and verdict.request.status is Status.APPROVED:
            self.voted += 1
        else:
            self.failed.append(repr(verdict))


@asynccontextmanager
async def a_service(
    url: str, folder: Path, agents: Sequence[str], *, votes: bool = False
) -> AsyncIterator[tuple[CardsUp, Voted]]:
    """A store and a service on it, with these agents' policy in force; the key lies in the folder."""
    text = policy_text(agents)
    async with await CardsUp.connect(url) as store:
        policies = AdoptedPolicy(store, parse_policy(text), text)
        await policies.put_in_force()
        signer = FileSigner(read_key(folder / "key.pem"))
        service = Voted(
            store=store, directory=Everybody(), policies=policies, signer=signer, issuer=ISSUER, is_zone=is_zone
        )
        service.votes = votes
        yield store, service


@asynccontextmanager
async def a_bot(
    url: str, folder: Path, agents: Sequence[str], *, votes: bool = True, only_intake: bool = False
) -> AsyncIterator[Voted]:
    """A running bot; `only_intake` leaves out the loops that work by the clock, so that every command is a request's.

    With `votes`, every request is approved at once.
    """
    async with AsyncExitStack() as stack:
        store, service = await stack.enter_async_context(a_service(url, folder, agents, votes=votes))
        inbox = await stack.enter_async_context(store.inbox())
        await inbox.watch(agents, [])
        sealer = Sealer(store, FileSigner(read_key(folder / "key.pem")), _heads(folder), issuer=ISSUER)
        loops = _loops(inbox, store, service, sealer)
        await stack.enter_async_context(running(loops[:1] if only_intake else loops))
        yield service


def _heads(folder: Path) -> HeadsFile:
    return HeadsFile(folder / f"heads-{os.getpid()}")


def _loops(inbox: Inbox, store: RedisStore, service: Approvals, sealer: Sealer) -> list[Loop]:
    """The loops of bot/house.py but the courier's."""
    intake, clock = Intake(inbox, Desk(service)), Clock(store, service)
    return [
        Loop("intake", intake.take),
        Loop("reclaim", intake.reclaim, idle=5.0),
        Loop("timers", clock.timers, idle=0.5),
        Loop("announcements", clock.announcements, idle=0.5),
        Loop("silent", clock.silent, idle=2.0),
        Loop("sealer", sealer.step, idle=1.0),
    ]


@asynccontextmanager
async def running(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run loops; each finishes its step on the way out."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.gather(*tasks)
