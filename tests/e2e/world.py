"""Everything a test of the whole needs: a Valkey, the sandbox, bots as processes, and eyes on the cards.

Each test takes a lane: a kind of action and a channel that nobody else uses, so that tests can share a running bot.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import sayso
from sandbox import Delivery, Message, Sandbox, Workspace
from storage.redis import RedisStore
from tests.e2e import children
from tests.e2e.processes import PATIENCE, Bot, Process
from tests.servers import Server, running

Mode = Literal["socket", "http"]
T = TypeVar("T")

LANES = 40
AGENT, TOOL = "lane-bot", "lane-tool"
ISSUER = "https://sayso.test"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
ALICE, BOB, DANA, MALLORY, GUEST = "U0ALICE", "U0BOB", "U0DANA", "U0MALLORY", "U0GUEST"


@dataclass(frozen=True)
class Lane:
    """A kind of action and the channel that is asked about it."""

    kind: str
    channel: str


class World:
    """One deployment. Bots that a test starts are ended with it."""

    def __init__(self, sandbox: Sandbox, redis: Server, folder: Path, mode: Mode, url: str = "") -> None:
        self.sandbox = sandbox
        self.redis = redis
        self.url = url or redis.url  #: where bots, agents and tools find the memory
        self.folder = folder
        self.mode = mode
        self.settings: dict[str, str] = {}  #: more variables for bots that are started from now on
        self.bots: list[Bot] = []
        self._processes: list[Process] = []
        self._lanes = iter(lanes())

    @property
    def trust(self) -> Path:
        """The trust document that agents pin."""
        return self.folder / "state" / "jwks.json"

    def lane(self) -> Lane:
        """A lane that nobody else has."""
        return next(self._lanes)

    # ------------------------------------------------------------ processes

    async def start_bot(self, *, real: bool = False, **plan: Any) -> Bot:
        """Start a bot and do not wait: forked and doing children.serve(plan), or as `python -m bot serve` does."""
        bot = Bot(self.environment(), self.folder)
        self.bots.append(bot)
        if real:
            await bot.start("-m", "bot", "serve")
        else:
            await bot.fork(children.serve, plan)
        return bot

    async def bot(self, *, real: bool = False, **plan: Any) -> Bot:
        """A bot that is ready; over HTTP, Slack calls it from now on."""
        bot = await self.start_bot(real=real, **plan)
        url = await bot.ready()
        if self.mode == "http":
            self.sandbox.connect_http(f"{url}/slack/events")
        return bot

    def environment(self) -> dict[str, str]:
        """The settings of a bot here."""
        secret = (
            {"SLACK_SIGNING_SECRET": self.sandbox.signing_secret}
            if self.mode == "http"
            else {"SLACK_APP_TOKEN": self.sandbox.app_token}
        )
        return secret | {
            "SAYSO_REDIS_URL": self.url,
            "SAYSO_POLICY": str(self.folder / "policy.yaml"),
            "SAYSO_STATE": str(self.folder / "state"),
            "SAYSO_ISSUER": ISSUER,
            "SAYSO_PORT": "0",
            "SAYSO_SLACK_API_URL": self.sandbox.api_url,
            "SAYSO_LOG_FORMAT": "json",
            "SLACK_BOT_TOKEN": self.sandbox.bot_token,
            **self.settings,
        }

    async def close(self) -> None:
        """End every process."""
        for process in (*self._processes, *self.bots):
            process.kill()
        for process in (*self._processes, *self.bots):
            await process.ended()

    # ------------------------------------------------------------ agents

    def agent(self, *, audience: str | None = None, **pace: float) -> sayso.Sayso:
        """A client of the lanes' agent."""
        quick = {"block": 2.0, "most_backoff": 0.3, "resend": 1.0} | pace
        return sayso.Sayso.connect(self.url, agent=AGENT, trust=self.trust, audience=audience, pace=sayso.Pace(**quick))

    def tool(self, audience: str = TOOL) -> sayso.Tool:
        """A separate tool."""
        return sayso.Tool.connect(self.url, audience=audience, trust=self.trust)

    # ------------------------------------------------------------ what people see and do

    def cards(self, lane: Lane, request: str | None = None) -> list[Message]:
        """The cards in a lane's channel, all or those about one request."""
        return [message for message in self.sandbox.messages(lane.channel) if _is_about(message, request)]

    async def card(self, lane: Lane, request: str, *words: str) -> Message:
        """Wait for the card of a request, and until it shows all these words."""

        def shown() -> Message | None:
            found = self.cards(lane, request)
            return found[0] if found and all(word in text_of(found[0]) for word in words) else None

        return await self.see(shown, f"a card with {words}", lambda: [text_of(one) for one in self.cards(lane)])

    async def first_request(self, lane: Lane) -> str:
        """Wait for the first card in a channel; returns which request it is about."""
        card = await self.see(lambda: next(iter(self.cards(lane)), None), f"a card in {lane.channel}", list)
        return str((card.metadata or {})["event_payload"]["request"])

    async def told(self, user: str, lane: Lane, words: str) -> str:
        """Wait until a person is privately told something with these words; returns all of it."""

        def heard() -> str | None:
            said = [text_of(message) for message in self.sandbox.ephemerals(user, lane.channel)]
            return next((one for one in said if words in one), None)

        return await self.see(heard, f"{user} told {words!r}", lambda: self.sandbox.ephemerals(user, lane.channel))

    async def see(self, found: Callable[[], T | None], what: str, instead: Callable[[], Any]) -> T:
        """Wait for something in the sandbox; a failure tells what there was instead, and what the bots said last."""
        try:
            return await self.sandbox.wait_for(found, PATIENCE)
        except TimeoutError:
            last = "\n".join(line for bot in self.bots for line in bot.lines[-15:])
            raise AssertionError(f"never saw {what}; there was {instead()}\n{last}") from None

    async def click(self, user: str, lane: Lane, request: str, button: str = "approve") -> None:
        """Click a button of the card as soon as it is there; the click must be acknowledged."""
        card = await self.card(lane, request)
        value = next((one for one in _values(card.blocks) if f".{request}." in one), None)
        delivery = await self.sandbox.click(user, lane.channel, card.ts, f"sayso:{button}", value=value)
        assert delivery.ok, delivery

    async def until(self, gesture: Callable[[], Awaitable[Delivery]]) -> None:
        """Make a gesture again, as people do, until the app acknowledges it; each try takes what the app takes."""
        async with asyncio.timeout(PATIENCE):
            while not (await gesture()).ok:
                pass

    async def late_click(self, user: str, lane: Lane, request: str) -> Callable[[], Awaitable[None]]:
        """A click on Approve that somebody's screen still shows: made now, sent when what this returns is called."""
        card = await self.card(lane, request)
        self.sandbox.faults.add(delivery="block_actions", drop=True)
        payload = (await self.sandbox.click(user, lane.channel, card.ts, "sayso:approve")).payload

        async def send() -> None:
            delivery = await self.sandbox.deliver("block_actions", payload)
            assert delivery.ok, delivery

        return send

    async def deny(self, user: str, lane: Lane, request: str, reason: str) -> None:
        """Click Deny, fill in the reason, and send the form."""
        await self.click(user, lane, request, "deny")
        (view,) = self.sandbox.views(user)
        delivery = await self.sandbox.submit_view(user, view.id, {"sayso:reason": reason})
        assert delivery.ok, delivery

    # ------------------------------------------------------------ other processes

    async def ask(self, lane: Lane, *, call: str, target: str = "bank:acme") -> Process:
        """An agent in a process of its own, which acts by adding its target to the ledger."""
        agent = self.also(Process({}, self.folder))
        plan = {"redis": self.url, "trust": str(self.trust), "agent": AGENT, "ledger": str(self.ledger)}
        about = {"kind": lane.kind, "target": target, "arguments": {"amount": "9.50"}, "call": call}
        await agent.fork(children.ask, {**plan, **about})
        return agent

    def also(self, process: Process) -> Process:
        """End this process, too, with the world."""
        self._processes.append(process)
        return process

    @property
    def ledger(self) -> Path:
        """The file to which agents in processes of their own add what they did."""
        return self.folder / "ledger.txt"

    # ------------------------------------------------------------ the memory

    async def journal(self, request: str | None = None) -> list[Mapping[str, Any]]:
        """What the journal says, all or about one request, oldest first."""
        async with await RedisStore.connect(self.url) as store:
            records = [json.loads(entry.record) async for entry in store.journal(0)]
        return [record for record in records if request in (None, record.get("request"))]

    async def events(self, request: str) -> list[str]:
        """The names of what happened to one request, oldest first."""
        return [str(record["event"]) for record in await self.journal(request)]


@asynccontextmanager
async def a_world(
    mode: Mode = "socket",
    *,
    people: Workspace | None = None,
    policy: str = "",
    ack_deadline: float = 3.0,
    redis: Server | None = None,
    url: str = "",
) -> AsyncIterator[World]:
    """A deployment without a bot, of lanes or of the people and the policy given; nothing of it is left at the end.

    Slack's limits hold where people are given; lanes are too many for them. A `redis` that is given is somebody else's
    to start and stop; `url` is where it is found, where that is not its own (Sentinel, Cluster).
    """
    folder = Path(tempfile.mkdtemp(prefix="sayso-world-"))
    (folder / "policy.yaml").write_text(policy or policy_text())
    made = Sandbox(people or workspace(), enforce_rate_limits=people is not None, ack_deadline=ack_deadline)
    try:
        with nullcontext(redis) if redis is not None else running(*DURABLE) as server:
            async with made as sandbox:
                world = World(sandbox, server, folder, mode, url)
                try:
                    yield world
                finally:
                    await world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lanes() -> Iterator[Lane]:
    """All lanes there are."""
    return (Lane(f"lane{number}.act", f"C0LANE{number}") for number in range(1, LANES + 1))


def workspace() -> Workspace:
    """The demo's people, with a channel for every lane, where the guest is too."""
    made = Workspace.demo()
    members = [ALICE, BOB, DANA, MALLORY, GUEST, made.app.bot_user]
    for lane in lanes():
        made.add_channel(lane.channel, lane.kind.split(".")[0], list(members))
    made.add_group("S0LANES", "lanes", [ALICE, BOB, DANA, GUEST])
    return made


def policy_text(**defaults: str) -> str:
    """One yes of somebody in @lanes, asked in the lane's channel. JSON is YAML."""
    rules = [
        {
            "id": lane.channel.lower(),
            "match": {"kind": [lane.kind]},
            "exempts": ["defaults"],
            "destinations": [f"slack:{lane.channel}"],
        }
        for lane in lanes()
    ]
    wording = {"title": "Act in a lane", "done": "Acted", "not_done": "Not acted", "effect": "other"}
    agent = {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}
    return json.dumps(
        {
            "version": 1,
            "defaults": {"factors": [{"from": ["lanes"]}], "destinations": ["slack:C0SECURITY"], **defaults},
            "agents": {AGENT: agent},
            "audiences": {TOOL: {"kinds": ["*"]}, "other-tool": {"kinds": ["*"]}},
            "kinds": {lane.kind: wording for lane in lanes()},
            "people": {
                name: {"accounts": [f"slack:T0SAYSO:U0{name.upper()}"]} for name in ("alice", "bob", "dana", "mallory")
            },
            "groups": {"lanes": {"slack_usergroup": "S0LANES"}},
            "rules": rules,
        },
        indent=1,
    )


def text_of(message: Message) -> str:
    """All words of a message, in order, mentions as their ids."""
    return " ".join(itertools.chain([message.text], _words(message.blocks)))


def words_in(blocks: Any) -> str:
    """All words of some blocks, in order."""
    return " ".join(_words(blocks))


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _words(one)
    elif isinstance(part, dict):
        for name in ("text", "user_id", "elements"):
            if isinstance(part.get(name), str):
                yield part[name]
            else:
                yield from _words(part.get(name))


def _is_about(message: Message, request: str | None) -> bool:
    """Whether it is a card, of this request; one of a message that requests share is known by its buttons."""
    about = (message.metadata or {}).get("event_payload", {}).get("request")
    if about is not None:
        return request in (None, about)
    return any(request is None or f".{request}." in value for value in _values(message.blocks))


def _values(part: Any) -> Iterator[str]:
    """What the buttons of some blocks carry."""
    if isinstance(part, list):
        for one in part:
            yield from _values(one)
    elif isinstance(part, dict):
        if part.get("type") == "button" and "value" in part:
            yield str(part["value"])
        yield from _values([*part.values()])
