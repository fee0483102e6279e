"""The real service on the memory store behind the real Slack door, in front of the sandbox's Slack."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from joserfc import jws
from joserfc.jwk import OKPKey

from approvals.action import Action
from approvals.card import card_of
from approvals.commands.commands import Commands
from approvals.errors import NotFound, SignerUnavailable, StoreUnavailable
from approvals.intake import RequestDocument
from approvals.ports import Post, Stored
from approvals.request import Request
from approvals.service import Approvals
from bot.policies import AdoptedPolicy, parse_policy
from bot.zones import is_zone
from handlers.slack.door import SlackDoor, open_door
from handlers.slack.socket import PING
from sandbox import Sandbox, Workspace
from storage.memory import MemoryStore
from tests.loopback import served

START = 1_780_000_000.0  #: s; an instant in May 2026
TEAM = "T0SAYSO"
PAYMENTS = "C0PAYMENTS"
DEPLOYS = "C0DEPLOYS"
KEY = bytes(range(32))
ISSUER = "https://sayso.example"

Transport = Literal["http", "socket"]


class Clock:
    """Time that passes only when a test says so, in seconds."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def ms(self) -> int:
        return int(self.at * 1000)

    def advance(self, seconds: float) -> None:
        self.at += seconds


def policy_file() -> dict[str, Any]:
    """Payments need two of alice, bob and carol; deployments one of the user group S0SRE (alice and bob)."""
    people = {name: {"accounts": [f"slack:{TEAM}:U0{name.upper()}"]} for name in ("alice", "bob", "carol", "dana")}
    return {
        "version": 1,
        "defaults": {"factors": [{"name": "finance", "from": ["finance"]}], "destinations": [f"slack:{PAYMENTS}"]},
        "agents": {"payments-bot": {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}},
        "audiences": {"payments-gateway": {"kinds": ["payments.*"]}},
        "kinds": {
            "payments.release": {
                "title": "Release a payment",
                "done": "Payment released",
                "not_done": "Not released",
                "effect": "transfer",
                "risk": "high",
            },
            "deploy.run": {
                "title": "Deploy to production",
                "done": "Deployed",
                "not_done": "Not deployed",
                "effect": "deploy",
                "risk": "critical",
                "reversible": True,
            },
        },
        "people": people,
        "groups": {
            "finance": {"people": ["alice", "bob", "carol"]},
            "sre": {"slack_usergroup": "S0SRE"},
            "leads": {"people": ["bob", "carol"]},
        },
        "roles": {role: ["leads"] for role in ("freeze", "unfreeze", "revoke", "extend", "resolve", "see")},
        "rules": [
            {
                "id": "payments-over-10k",
                "match": {"kind": ["payments.*"]},
                "factors": [{"name": "finance", "from": ["finance"], "approvals": 2}],
            },
            {
                "id": "prod-change",
                "match": {"kind": ["deploy.*"]},
                "exempts": ["defaults"],
                "factors": [{"name": "sre", "from": ["sre"]}],
                "destinations": [f"slack:{DEPLOYS}"],
            },
        ],
    }


class TestSigner:
    """A Signer with a key of its own (Ed25519, joserfc)."""

    __test__ = False

    down = False

    def __init__(self) -> None:
        self._key = OKPKey.generate_key("Ed25519")

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        if self.down:
            raise SignerUnavailable("no key")
        header = {"alg": "Ed25519", "kid": "test", "typ": typ}
        return jws.serialize_compact(header, json.dumps(claims).encode(), self._key, algorithms=["Ed25519"])

    def verify(self, typ: str, token: str) -> Mapping[str, Any] | None:
        found = jws.deserialize_compact(token, self._key, algorithms=["Ed25519"])
        claims: Mapping[str, Any] = json.loads(found.payload)
        return claims


class FailingStore(MemoryStore):
    """A memory that can be made to fail, or to hang, when a request is read."""

    down = False
    hanging: asyncio.Event | None = None
    remembers: int | None = None  #: for so many more looks; then every request is unknown

    async def get(self, request: str) -> Stored:
        if self.remembers is not None:
            self.remembers -= 1
            if self.remembers < 0:
                raise NotFound(request)
        if self.down:
            raise StoreUnavailable("the memory is down")
        if self.hanging is not None:
            await self.hanging.wait()
        return await super().get(request)


@dataclass
class World:
    """Everything a test may want to touch."""

    clock: Clock
    sandbox: Sandbox
    store: FailingStore
    approvals: Approvals
    commands: Commands
    door: SlackDoor
    session: aiohttp.ClientSession
    signer: TestSigner
    nudges: list[None] = field(default_factory=list)

    async def ask(self, *, show: bool = True, **members: Any) -> Request:
        """An agent asks, and the card is posted; `members` replace those of the action, `because` the words."""
        values: dict[str, Any] = {
            "kind": "payments.release",
            "target": "bank:acme-gmbh",
            "arguments": {"invoice": "INV-2093", "amount": "12400.00", "currency": "EUR"},
            "nonce": secrets.token_urlsafe(16),
        }
        because = members.pop("because", "matches PO 118, due tomorrow")
        rest = {name: members.pop(name, None) for name in ("audience", "supersedes")}
        document = RequestDocument(
            v=1,
            call=f"run-118/{secrets.token_hex(4)}",
            action=Action(**values | members),
            because=because,
            **rest,
        )
        request = await self.approvals.submit(document, "payments-bot")
        if show:
            await self.show(request)
        return request

    async def show(self, request: Request, destination: str | None = None) -> None:
        """Post a request's card, as a courier does."""
        where = destination or request.terms.destinations[0]
        card = card_of(request)
        await self.store.intend(request.id, where, "test")
        reference = await self.door.platform.post(where, request, card)
        await self.store.record_post(
            request.id, Post(where, "posted", self.clock.ms(), reference=reference, shown=card.digest())
        )

    async def adopt(self, **sections: Any) -> None:
        """Put another policy in force, as another bot does: this one has not heard of it yet."""
        text = json.dumps(policy_file() | sections)
        await AdoptedPolicy(self.store, parse_policy(text), text).put_in_force()

    async def refresh(self, request: Request) -> Request:
        """Bring every card of a request up to date; returns the request as it is now."""
        stored = await self.store.get(request.id)
        for post in stored.posts.values():
            await self.door.platform.update(post.reference, stored.request, card_of(stored.request))
        return stored.request

    async def card(self, request: Request) -> tuple[str, str]:
        """Channel and ts of the first card of a request."""
        post = next(iter((await self.store.get(request.id)).posts.values()))
        return post.reference["channel"], post.reference["ts"]

    async def click(self, user: str, request: Request, action: str, **options: Any) -> Any:
        """A person uses a button of the card."""
        channel, ts = await self.card(request)
        return await self.sandbox.click(user, channel, ts, action, **options)

    async def status(self, request: Request) -> str:
        """Where the request stands in the memory."""
        return (await self.store.get(request.id)).request.status.value

    async def told(self, user: str, count: int = 1) -> list[str]:
        """What was whispered to a person, once there are `count` whispers."""

        def enough() -> list[str] | None:
            found = [words(message.blocks) for message in self.sandbox.ephemerals(user)]
            return found if len(found) >= count else None

        return await self.sandbox.wait_for(enough)


@asynccontextmanager
async def a_world(
    transport: Transport = "socket",
    *,
    budget: float = 2.0,
    ping: float = PING,
    policy: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """Everything running, by one way in; under `policy_file` where no other policy is given."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        workspace = Workspace.demo(now=clock)
        sandbox = await stack.enter_async_context(Sandbox(workspace, enforce_rate_limits=False, ack_deadline=3.0))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        door = await open_door(
            session=session,
            bot_token=sandbox.bot_token,
            seal_key=KEY,
            app_token=sandbox.app_token if transport == "socket" else None,
            signing_secret=sandbox.signing_secret if transport == "http" else None,
            base_url=sandbox.api_url,
            clock=clock,
            budget=budget,
            ping=ping,
        )
        store = FailingStore(clock.ms)
        text = json.dumps(policy or policy_file())
        policies = AdoptedPolicy(store, parse_policy(text), text)
        await policies.put_in_force()
        nudges: list[None] = []
        signer = TestSigner()
        approvals = Approvals(
            store=store,
            directory=door.directory,
            policies=policies,
            signer=signer,
            issuer=ISSUER,
            nudge=lambda: nudges.append(None),
            is_zone=is_zone,
        )

        commands = Commands(approvals=approvals, store=store, directory=door.directory, policies=policies)
        if routes := door.routes(approvals, commands):
            sandbox.connect_http(f"{await stack.enter_async_context(served(routes))}/slack/events")
        await stack.enter_async_context(door.receiving(approvals, commands))
        yield World(clock, sandbox, store, approvals, commands, door, session, signer, nudges)


def words(blocks: Sequence[Mapping[str, Any]]) -> str:
    """What a person reads in blocks, mentions as @id, dates as <date>, lines apart."""
    return "\n".join(_words(block) for block in blocks)


def _words(node: Any) -> str:
    if isinstance(node, list):
        return "".join(map(_words, node))
    match node:
        case {"type": "user", "user_id": user}:
            return f"@{user}"
        case {"type": "channel", "channel_id": channel}:
            return f"#{channel}"
        case {"type": "date"}:
            return "<date>"
        case {"type": "emoji", "name": name}:
            return f":{name}:"
        case {"type": "button", "text": label}:
            return f"[{label['text']}]"
        case {"elements": elements}:
            return _words(elements)
        case {"text": str(value)}:
            return value
        case {"text": inner}:
            return _words(inner)
    return ""
