"""Where the pictures are played: the service, the courier and the door, under the policy of the five scenes."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import yaml

from approvals.action import Action
from approvals.intake import ReportDocument, RequestDocument, SpendDocument
from approvals.ports import Account
from approvals.request import Request
from bot.courier import Courier
from handlers.slack.blocks import APPROVE
from handlers.slack.replies import NAME
from sandbox import Message
from sandbox.views import View
from tests.bot.test_courier import until_quiet
from tests.e2e.processes import ROOT
from tests.handlers.slack.world import TEAM, World, a_world

DEPLOYS, PAYMENTS, DATA, SECURITY, PRESS = "C0DEPLOYS", "C0PAYMENTS", "C0DATA", "C0SECURITY", "C0PRESS"
OLD = "C0OLD"  #: a channel that somebody has archived
AGENTS = {"deploy": "deploy-bot", "payments": "payments-bot", "data": "data-bot", "secrets": "janitor-bot"}
AGENTS |= {"mail": "press-bot", "terraform": "deploy-bot", "access": "janitor-bot"}
_ATTEMPT = "attempt-0123456789abcdef"

_KINDS: Mapping[str, Any] = {
    "terraform.apply": {
        "title": "Apply a production change",
        "done": "Production change applied",
        "not_done": "Not applied",
        "effect": "deploy",
        "risk": "critical",
    },
    "access.grant": {
        "title": "Grant access",
        "done": "Access granted",
        "not_done": "Not granted",
        "effect": "grant",
        "secret": ["token"],
    },
}
_RULES: list[Mapping[str, Any]] = [
    {
        "id": "standing-orders",
        "match": {"kind": ["payments.*"], "arguments": {"amount": {"<": "50"}}},
        "effect": "allow",
        "exempts": ["payments", "defaults"],
        "announce": True,
        "destinations": [f"slack:{PAYMENTS}"],
    },
    {
        "id": "production-changes",
        "match": {"kind": ["terraform.*"]},
        "exempts": ["defaults"],
        "factors": [{"from": ["sre"]}],
        "destinations": [f"slack:{DEPLOYS}"],
    },
    {
        "id": "grants",
        "match": {"kind": ["access.*"]},
        "exempts": ["defaults"],
        "factors": [{"from": ["security"]}],
        "destinations": [f"slack:{OLD}", f"slack:{SECURITY}"],
        "unseen": True,
    },
]


def policy() -> dict[str, Any]:
    """That of the five scenes, with a kind whose plans are long, one with a secret, and orders that a rule allows."""
    file: dict[str, Any] = yaml.safe_load((ROOT / "examples/policies/five-scenes.yaml").read_text(encoding="utf-8"))
    file["agents"]["payments-bot"]["until"] = "2027-12-31"
    file["agents"]["deploy-bot"]["kinds"].append("terraform.*")
    file["agents"]["janitor-bot"]["kinds"].append("access.*")
    file["kinds"] |= _KINDS
    file["rules"] += _RULES
    return file


class Stage:
    """What people, agents, tools and the clock do, in a line each."""

    def __init__(self, world: World) -> None:
        self.world = world
        accounts = world.approvals._policies
        self._courier = Courier(
            world.store,
            {"slack": world.door.platform},
            accounts=lambda person: accounts.current().accounts_of(person),
            operators=f"slack:{SECURITY}",
        )

    async def ask(
        self, kind: str, target: str, arguments: Mapping[str, Any], because: str = "", **rest: Any
    ) -> Request:
        """An agent asks, and sees to it that people see it."""
        request = await self.submit(kind, target, arguments, because, **rest)
        await self.show()
        return request

    async def submit(
        self, kind: str, target: str, arguments: Mapping[str, Any], because: str = "", **rest: Any
    ) -> Request:
        """An agent asks."""
        nonce = secrets.token_urlsafe(16)
        conditions = rest.pop("preconditions", {})
        action = Action(kind=kind, target=target, arguments=dict(arguments), preconditions=conditions, nonce=nonce)
        document = RequestDocument(v=1, call=f"run/{nonce}", action=action, because=because, **rest)
        return await self.world.approvals.submit(document, AGENTS[kind.split(".")[0]])

    async def show(self) -> None:
        """Let the courier do what is due; a second passes, so that Slack's rate allows it."""
        self.world.clock.advance(1.1)
        await until_quiet(self._courier)

    async def after(self, request: Request, minutes: float) -> None:
        """Time passes, and is noticed."""
        self.world.clock.advance(minutes * 60)
        await self.world.approvals.after_time(request.id)
        await self.show()

    async def approve(self, request: Request, *people: str) -> None:
        """These people press Approve."""
        for user in people:
            await self.click(user, request, APPROVE)
            self.world.clock.advance(40)
        await self.show()

    async def spend(self, request: Request) -> None:
        """The tool uses the receipt."""
        raw = self.world.store.inbox().decision(request.agent, request.id)
        assert raw is not None
        document = SpendDocument(v=1, receipt=json.loads(raw)["receipt"], attempt=_ATTEMPT)
        await self.world.approvals.spend(request.audience, document, partition=0)
        await self.show()

    async def report(self, request: Request, outcome: str, note: str = "") -> None:
        """The tool says how it ended."""
        members: dict[str, Any] = {"request": request.id, "attempt": _ATTEMPT, "outcome": outcome, "note": note}
        await self.world.approvals.report(request.audience, ReportDocument(v=1, **members))
        await self.show()

    async def command(self, user: str, words: str, channel: str = SECURITY) -> Message:
        """Somebody types a command; what they are told."""
        assert (await self.world.sandbox.command(user, channel, NAME, words)).ok
        await self.world.door._tasks.drain()
        return self.world.sandbox.ephemerals(user, channel)[-1]

    async def use(self, user: str, request: Request, action: str, **options: Any) -> View:
        """Somebody presses a button that opens a modal; the modal once it is filled."""
        await self.click(user, request, action, **options)
        return await self.view(user)

    async def click(self, user: str, request: Request, action: str, **options: Any) -> None:
        """Somebody presses a button of the card, or chooses from its menu."""
        assert (await self.world.sandbox.click(user, *await self.where(request), action, **options)).ok

    async def where(self, request: Request) -> tuple[str, str]:
        """Channel and ts of the first card of a request that stands anywhere."""
        posts = (await self.world.store.get(request.id)).posts.values()
        post = next(post for post in posts if post.state == "posted" and "#" not in post.destination)
        return post.reference["channel"], post.reference["ts"]

    async def menu(self, request: Request, way: str) -> str:
        """What stands in the menu of a card for one of its ways (PAUSE, REPORT)."""
        channel, ts = await self.where(request)
        (message,) = [one for one in self.world.sandbox.messages(channel) if one.ts == ts]
        menus = [one for block in message.blocks if block["type"] == "actions" for one in block["elements"]]
        options = (str(one["value"]) for menu in menus for one in menu.get("options", ()))
        return next(value for value in options if value.startswith(way))

    async def view(self, user: str) -> View:
        """The modal in front of somebody, once nothing is under way."""
        await self.world.door._tasks.drain()
        return self.world.sandbox.views(user)[-1]

    async def fill(self, user: str, values: Mapping[str, str]) -> None:
        """Somebody submits the modal in front of them; it closes, whatever it says now."""
        view = await self.view(user)
        assert (await self.world.sandbox.submit_view(user, view.id, values)).ok
        await self.world.door._tasks.drain()
        await self.show()

    async def close(self, user: str) -> None:
        """Somebody closes what is in front of them."""
        for view in self.world.sandbox.views(user)[-1:]:
            await self.world.sandbox.close_view(user, view.id, everything=True)


def of(user: str) -> Account:
    """Somebody's account in this workspace."""
    return Account("slack", TEAM, user)


@asynccontextmanager
async def a_stage(file: Mapping[str, Any] | None = None) -> AsyncIterator[Stage]:
    """An empty stage, under another policy where one is given."""
    async with a_world("http", policy=file or policy()) as world:
        world.sandbox.workspace.add_channel(OLD, "grants-old", ["U0BOB", "U0SAYSO"])
        world.sandbox.workspace.archive(OLD)
        yield Stage(world)
