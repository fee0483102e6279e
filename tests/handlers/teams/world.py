"""The real service on the memory store behind the real Teams door, in front of Microsoft on loopback."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from joserfc.jwk import OKPKey

from approvals.action import Action
from approvals.card import card_of
from approvals.commands.commands import Commands
from approvals.errors import StoreUnavailable
from approvals.intake import RequestDocument
from approvals.ports import Kept, Post, Stored
from approvals.request import Request
from approvals.service import Approvals
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner
from bot.zones import is_zone
from handlers.teams.addresses import Addresses
from handlers.teams.door import Clocks, Options, TeamsDoor
from handlers.teams.http import PATH
from handlers.teams.identity import Identity
from handlers.teams.watch import TeamsWatch
from storage.memory import MemoryStore
from storage.shelf import MemoryShelf
from tests.fakes.connector import FakeConnector, Message
from tests.fakes.entra import APP, TENANT, Entra, TokenOffice, a_token, person_id
from tests.loopback import served

START = 1_780_000_000.0  #: s; an instant in May 2026
CHANNEL = "19:payments@thread.tacv2"
CHAT = "19:deploys@thread.v2"
TEAM = "19:general@thread.tacv2"
SRE = "6c1f3a52-0d7e-4b8e-9a35-3d1f0c2b7e11"
KEY = bytes(range(32))

Json = dict[str, Any]


class Clock:
    """Time that passes only when a test says so, in seconds."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    async def passes(self, seconds: float) -> None:
        """Let this time pass."""
        self.at += seconds

    def ms(self) -> int:
        return int(self.at * 1000)


class Counting(TeamsWatch):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.clicks: list[str] = []
        self.away: list[str] = []
        self.calls: list[tuple[str, str]] = []

    def clicked(self, came_to: str) -> None:
        self.clicks.append(came_to)

    def turned_away(self, reason: str) -> None:
        self.away.append(reason)

    def called(self, name: str, code: str, seconds: float) -> None:
        self.calls.append((name, code))


class FailingStore(MemoryStore):
    """A memory that can be made to fail, or to hang; `lost` hangs once a request was changed."""

    down = False
    broken = False
    hanging: asyncio.Event | None = None
    lost: asyncio.Event | None = None

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now)
        self.shelf = FailingShelf(self, now, self._note_in)

    async def get(self, request: str) -> Stored:
        await self.fails()
        return await super().get(request)

    async def update(self, *given: Any, **more: Any) -> Stored:
        found = await super().update(*given, **more)
        if self.lost is not None:
            await self.lost.wait()
        return found

    def forget_renderings(self) -> None:
        """As if nothing had been shown yet."""
        self._renderings.clear()

    async def fails(self) -> None:
        """Whatever is wrong with it."""
        if self.broken:
            raise ZeroDivisionError
        if self.down:
            raise StoreUnavailable("the memory is down")
        if self.hanging is not None:
            await self.hanging.wait()


class FailingShelf(MemoryShelf):
    """The shelf of a memory, which fails with it."""

    def __init__(self, store: FailingStore, *given: Any) -> None:
        super().__init__(*given)
        self._store = store

    async def kept(self, name: str) -> Kept | None:
        await self._store.fails()
        return await super().kept(name)


def account(name: str) -> str:
    """The account of somebody as policy spells it."""
    return f"teams:{TENANT}:{person_id(name)}"


def policy_file() -> Json:
    """Payments need two of alice, bob and carol; deployments one of an Entra group (alice and bob)."""
    return {
        "version": 1,
        "defaults": {"factors": [{"name": "finance", "from": ["finance"]}], "destinations": [f"teams:{CHANNEL}"]},
        "agents": {"payments-bot": {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}},
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
            },
        },
        "people": {name: {"accounts": [account(name)]} for name in ("alice", "bob", "carol", "dana")},
        "groups": {
            "finance": {"people": ["alice", "bob", "carol"]},
            "sre": {"entra_group": SRE},
            "crew": {"teams_team": TEAM},
        },
        "rules": [
            {"id": "large", "match": {"kind": ["payments.*"]}, "factors": [{"from": ["finance"], "approvals": 2}]},
            {
                "id": "prod",
                "match": {"kind": ["deploy.*"]},
                "exempts": ["defaults"],
                "factors": [{"from": ["sre"]}],
                "destinations": [f"teams:{CHAT}"],
            },
        ],
    }


@dataclass
class World:
    """Everything a test may want to touch."""

    clock: Clock
    entra: Entra
    connector: FakeConnector
    office: TokenOffice
    store: FailingStore
    approvals: Approvals
    door: TeamsDoor
    session: aiohttp.ClientSession
    url: str
    watch: Counting
    nudges: list[None] = field(default_factory=list)

    async def ask(self, *, show: bool = True, **members: Any) -> Request:
        """An agent asks, and the card is posted; `members` replace those of the action."""
        values: Json = {
            "kind": "payments.release",
            "target": "bank:acme-gmbh",
            "arguments": {"invoice": "INV-2093", "amount": "12400.00", "currency": "EUR"},
            "nonce": secrets.token_urlsafe(16),
        }
        document = RequestDocument(
            v=1, call=f"run/{secrets.token_hex(4)}", action=Action(**values | members), because="matches PO 118"
        )
        request = await self.approvals.submit(document, "payments-bot")
        if show:
            await self.show(request, request.terms.destinations[0])
        return request

    async def show(self, request: Request, where: str) -> None:
        """Post a request's card, as a courier does."""
        card = card_of(request)
        await self.store.intend(request.id, where, "test")
        reference = await self.door.platform.post(where, request, card)
        posted = Post(where, "posted", self.clock.ms(), reference=reference, shown=card.digest())
        await self.store.record_post(request.id, posted)

    async def adopt(self, **sections: Any) -> None:
        """Put another policy in force."""
        text = json.dumps(policy_file() | sections)
        policies = AdoptedPolicy(self.store, parse_policy(text), text)
        await policies.put_in_force()
        await self.approvals._policies.look()  # as every bot does within seconds

    async def card(self, request: Request) -> Message:
        """The message that shows the first card of a request."""
        post = next(iter((await self.store.get(request.id)).posts.values()))
        return self.connector.messages[post.reference["activity"]]

    async def status(self, request: Request) -> str:
        """Where the request stands in the memory."""
        return (await self.store.get(request.id)).request.status.value

    async def click(self, who: str, request: Request, title: str, **changes: Any) -> Json:
        """What somebody is answered who presses a button of the card; `changes` replace members of the activity."""
        activity = press(who, await self.card(request), title, service=self.connector.service, **changes)
        status, answer = await self.send(activity)
        assert status == 200
        return answer

    async def send(self, activity: Any, *, token: str | None = None) -> tuple[int, Json]:
        """What Teams is answered that sends an activity, signed as it signs; `token` is sent instead."""
        bearer = a_token(self.connector.service) if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"}
        async with self.session.post(f"{self.url}{PATH}", json=activity, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def decided(self, request: Request) -> Request:
        """The request as it is now."""
        return (await self.store.get(request.id)).request


def an_activity(who: str = "alice", place: str = CHANNEL, *, service: str, **changes: Any) -> Json:
    """Something somebody did in a channel; `changes` replace its members."""
    kind = "channel" if place.endswith("tacv2") else "groupChat" if place.startswith("19:") else "personal"
    activity: Json = {
        "type": "message",
        "id": secrets.token_hex(6),
        "channelId": "msteams",
        "serviceUrl": service,
        "from": {"id": f"29:{who}", "name": who.title(), "aadObjectId": person_id(who)},
        "recipient": {"id": f"28:{APP}", "name": "Sayso"},
        "conversation": {"id": place, "conversationType": kind, "tenantId": TENANT},
        "channelData": {"tenant": {"id": TENANT}},
        "text": "hello",
    }
    if kind == "channel":
        activity["channelData"] |= {"team": {"id": TEAM}, "channel": {"id": place}}
    return activity | changes


def press(
    who: str, on: Message, title: str, *, service: str, reason: str = "", within: Json | None = None, **changes: Any
) -> Json:
    """The invoke of a button, found on the card (or `within` a part of it) by what is written on it."""
    action = button(within or on.card, title)
    request = action["data"]["sayso"].split(".")[1]
    form = "more" if action["verb"] in ("pause", "report") else action["verb"]
    data = {**action["data"], f"{form}-reason-{request}": reason}
    place = on.conversation.partition(";")[0]
    conversation = {"conversation": an_activity(place=place, service=service)["conversation"]}
    conversation["conversation"]["id"] = f"{place};messageid={on.id}" if place.endswith("tacv2") else place
    members = {
        "type": "invoke",
        "name": "adaptiveCard/action",
        "replyToId": on.id,
        "value": {"action": {"type": "Action.Execute", "verb": action["verb"], "data": data}, "trigger": "manual"},
    }
    return an_activity(who, place, service=service) | conversation | members | changes


def look(who: str, on: Message, *, service: str) -> Json:
    """What a client sends by itself when a message comes into somebody's view."""
    action = on.card["refresh"]["action"]
    value = {"action": action, "trigger": "automatic"}
    activity = an_activity(who, on.conversation.partition(";")[0], service=service)
    return activity | {"type": "invoke", "name": "adaptiveCard/action", "replyToId": on.id, "value": value}


def button(card: Json, title: str) -> Json:
    """The Action.Execute of this name, also inside a form."""
    for action in card.get("actions", []):
        if action["type"] == "Action.ShowCard" and action["title"] == title:
            found: Json = action["card"]["actions"][0]
            return found
        if action["title"] == title:
            return dict(action)
        if action["title"] == "More":  # what is in there has buttons of its own names
            with suppress(LookupError):
                return button(action["card"], title)
    raise LookupError(f"no button {title!r}")


def titles(card: Json) -> list[str]:
    """What is written on the buttons of a card."""
    return [action["title"] for action in card.get("actions", [])]


def plain(text: str) -> str:
    """Text without what keeps its blanks and lets its words be broken."""
    return text.replace("\u200b", "").replace("\u00a0", " ")


def read(node: Any) -> str:
    """What a person reads on a card, blocks on lines apart."""
    if isinstance(node, list):
        return "\n".join(filter(None, map(read, node)))
    match node:
        case {"type": "RichTextBlock", "inlines": inlines}:
            return plain("".join(run["text"] for run in inlines))
        case {"type": "ColumnSet", "columns": columns}:
            return " | ".join(read(column["items"]) for column in columns)
        case {"type": "TextBlock", "text": text}:
            return str(text)
        case {"items": items} | {"body": items}:
            return read(items)
    return ""


@asynccontextmanager
async def a_world(*, budget: float = 4.0, sections: Json | None = None) -> AsyncIterator[World]:
    """Everything running."""
    clock, entra, office, watch = Clock(), Entra(), TokenOffice(), Counting()
    connector = FakeConnector(clock)
    for name in ("alice", "bob", "carol", "dana", "mallory"):
        entra.add(name, *([SRE] if name in ("alice", "bob") else []))
    connector.installed = {CHANNEL, CHAT, TEAM}
    connector.rosters[CHAT] = list(people_in("alice", "bob", "carol"))
    async with AsyncExitStack() as stack:
        entra.url = await stack.enter_async_context(served(entra.routes()))
        connector.url = await stack.enter_async_context(served(connector.routes()))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        store = FailingStore(clock.ms)
        door = TeamsDoor(
            session=session,
            identity=Identity(app=APP, tenant=TENANT),
            issuer=lambda http: office,
            seal_key=KEY,
            store=store,
            options=Options(
                addresses=Addresses(f"{entra.url}/openid", f"{entra.url}/graph", (connector.url,)),
                clocks=Clocks(monotonic=clock),
                budget=budget,
                fallback=lambda: policies.current().teams_roster,
                external=lambda destination: destination in policies.current().external_channels,
                look_again=(0.0, 0.0),
                pause=clock.passes,
                watch=watch,
            ),
        )
        text = json.dumps(policy_file() | (sections or {}))
        policies = AdoptedPolicy(store, parse_policy(text), text)
        await policies.put_in_force()
        nudges: list[None] = []
        approvals = Approvals(
            store=store,
            directory=door.directory,
            policies=policies,
            signer=FileSigner(OKPKey.generate_key("Ed25519")),
            issuer="https://sayso.example",
            is_zone=is_zone,
            nudge=lambda: nudges.append(None),
        )
        commands = Commands(approvals=approvals, store=store, directory=door.directory, policies=policies)
        url = await stack.enter_async_context(served(door.routes(approvals, commands)))
        await stack.enter_async_context(door.receiving())
        stack.callback(connector.silent.set)
        world = World(clock, entra, connector, office, store, approvals, door, session, url, watch, nudges)
        await door.places.heard(an_activity(service=connector.service))
        yield world


def people_in(*names: str, **changes: Any) -> Sequence[Json]:
    """A roster of these people."""
    return [
        {
            "id": f"29:{name}",
            "aadObjectId": person_id(name),
            "tenantId": TENANT,
            "userRole": "user",
            "name": name.title(),
        }
        | changes
        for name in names
    ]
