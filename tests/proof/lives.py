"""Whole lives on one memory: two bots, an agent, tools, people and operators, with crashes where the bots write.

Two such sides, one in this process and one in Redis, are asked the same and have to answer the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from joserfc.jwk import OKPKey
from redis.asyncio import Redis

from approvals.action import partition_of, request_id
from approvals.card import card_of
from approvals.delegations import Handed
from approvals.desk import Desk
from approvals.errors import ApprovalsError, NotFound, SignerUnavailable
from approvals.ports import Entry, Queue, Stored
from approvals.request import Request
from approvals.reviewing import Opened
from approvals.service import Approvals, Click, Counted, Done, Late, Refused
from bot.clock import Clock
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner
from storage.memory import MemoryStore
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.approvals.make import a_policy_file, account, an_action
from tests.approvals.test_people import People
from tests.service import a_service

STEP = 100_000  #: ms by which time moves; every limit lies half a step away, so that milliseconds never matter
PARTITIONS = 2
AGENTS = ("payments-bot", "other-bot")  #: one in each partition
CALLS = tuple((agent, call) for agent in AGENTS for call in ("one", "two", "three"))
ACTIONS = (
    an_action(),
    an_action(arguments={"amount": "6200.00"}),
    an_action(kind="reports.send", target="mail:all"),
)
ATTEMPTS = tuple(f"attempt-{number:016}" for number in range(3))
PEOPLE = ("alice", "bob", "carol", "dave", "dana", "olga", "stranger")
CHAIN = {"dana", "olga"}  #: who stands behind the agents; they are in the groups, and must not count all the same
OPS, LEADS = {"alice", "bob", "carol", "dana"}, {"carol", "dave", "olga"}
NEED = 2
MOST = 4  #: payments that may be on their way at once
CHANNEL = "slack:C0OPS"
MESSAGE = {"channel": "C0OPS", "ts": "1.1"}


def policy_text() -> str:
    """Two of ops approve a payment, two deny it; the leads join them later, and hold every role. Reports pass.

    A payment of 6,200 is approved from its review alone. The leads may break the glass. A fifth payment is denied.
    """
    file = a_policy_file()
    entry = {"owner": "olga", "principals": ["dana"], "kinds": ["payments.*", "reports.*"]}
    report = file["kinds"]["payments.release"]
    return json.dumps(
        file
        | {
            "agents": dict.fromkeys(AGENTS, entry),
            "kinds": file["kinds"] | {"reports.send": report},
            "people": file["people"] | {"dave": {"accounts": [account("dave").id]}},
            "groups": {"ops": {"people": sorted(OPS)}, "leads": {"people": sorted(LEADS)}},
            "audiences": {},
            "roles": {role: ["leads"] for role in ROLES} | {"delegate": ["ops", "leads"]},
            "break_glass": {
                "who": ["leads"],
                "announce": ["slack:C0SEC"],
                "use_within": "350s",
                "receipt_ttl": "250s",
                "remind": "750s",
            },
            "defaults": {
                "factors": [{"from": ["ops"], "approvals": NEED}],
                "deny_quorum": 2,
                "destinations": [CHANNEL],
                "within": "1050s",
                "use_within": "650s",
                "receipt_ttl": "250s",
                "outcome_within": "550s",
                "extend_to": "1850s",
                "reminders": {"first": "250s", "times": 2, "most": 2},
                "escalate": [{"after": "450s", "to": ["leads"]}],
                "asked_again": {"within": "1450s", "effect": "deny"},
            },
            "rules": [
                {"id": "reports", "match": {"kind": ["reports.*"]}, "effect": "allow", "exempts": ["defaults"]},
                {"id": "careful", "match": {"arguments": {"amount": {"==": "6200.00"}}}, "confirm_code": True},
                {
                    "id": "limit",
                    "match": {"kind": ["payments.*"]},
                    "when": f'window_count("1450s", "all") > {MOST}',
                    "effect": "deny",
                },
            ],
        }
    )


ROLES = ("freeze", "unfreeze", "revoke", "extend", "resolve", "see", "review")


class Crashed(Exception):
    """The bot died here: what it was about to do next never happens."""


@dataclass
class Faults:
    """Where the next bot that comes by dies; each goes off once."""

    armed: set[str] = field(default_factory=set)

    def strike(self, where: str) -> None:
        """Die, if it is time."""
        if where in self.armed:
            self.armed.clear()
            raise Crashed(where)

    def apart(self, rest: dict[str, Any]) -> dict[str, Any]:
        """What `update` is called with: where somebody is to die, a commit and its publication are two steps."""
        return {**rest, "tell": None} if self.armed else rest


class Crashing:
    """Before a store among the bases: its callers may die right after a commit, or right before or after publishing."""

    faults: Faults

    async def create(self, *args: Any, **rest: Any) -> tuple[Stored, bool]:
        made: tuple[Stored, bool] = await super().create(*args, **rest)  # type: ignore[misc]  # the store's
        self.faults.strike("after create")
        return made

    async def update(self, *args: Any, **rest: Any) -> Stored:
        after: Stored = await super().update(*args, **self.faults.apart(rest))  # type: ignore[misc]  # the store's
        self.faults.strike("after update")
        return after

    async def publish(self, *args: Any, **rest: Any) -> None:
        self.faults.strike("before publish")
        await super().publish(*args, **rest)  # type: ignore[misc]  # the store's
        self.faults.strike("after publish")


class CrashingMemory(Crashing, MemoryStore):
    """The memory in this process."""


class CrashingRedis(Crashing, RedisStore):
    """The memory in Redis."""


class SwitchedSigner(FileSigner):
    """The signer, with a switch."""

    down = False

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        if self.down:
            raise SignerUnavailable("switched off")
        return await super().sign(typ, claims)


KEY = OKPKey.generate_key("Ed25519")


@dataclass
class Bot:
    """One process: what it believes, and what it runs."""

    approvals: Approvals
    clock: Clock
    desk: Desk


Sent = tuple[str, str, Mapping[str, Any]]  #: type, agent, body; a spend's receipt differs from side to side


class Side:
    """One memory with everything around it. Every method answers in a form that can be compared."""

    def __init__(self, store: CrashingMemory | CrashingRedis) -> None:
        self.store = store
        self.faults = store.faults = Faults()
        self.directory = People()
        self.signer = SwitchedSigner(KEY)
        self.bots: list[Bot] = []
        self.entries = 0
        self.looks: dict[tuple[str, str], tuple[str, str]] = {}  #: whose reviews are open: the look, and its code

    async def start(self) -> None:
        """Two bots, each with a policy file that says the same."""
        self.bots = [await self._bot(), await self._bot()]

    async def restart(self, which: int) -> str:
        """A bot dies and another takes its place."""
        self.faults.armed.clear()
        self.bots[which] = await self._bot()
        return "restarted"

    async def _bot(self) -> Bot:
        text = policy_text()
        policies = AdoptedPolicy(self.store, parse_policy(text), text)
        await policies.put_in_force()
        approvals = a_service(self.store, policies, self.signer, directory=self.directory)
        return Bot(approvals, Clock(self.store, approvals), Desk(approvals))

    async def ask(self, name: str, *args: Any) -> Any:
        """What a method answers, or the name of the error; a bot that died is replaced."""
        try:
            return await getattr(self, name)(*args)
        except Crashed as crash:
            return f"crashed {crash}"
        except ApprovalsError as exc:
            return type(exc).__name__

    # -- the agent and its tools: entries as they lie in a stream ---------------------------------------------------

    async def deliver(self, bot: int, sent: Sent) -> Any:
        """One bot handles an entry; the answer it would append."""
        kind, agent, body = sent
        if kind in ("spend", "report"):
            with_receipt = await self._of_tool(body)
            if with_receipt is None:
                return "no receipt"
            body = with_receipt
        self.entries += 1
        entry = Entry(
            partition_of(agent, PARTITIONS), agent, False, f"{self.entries}-0", kind, json.dumps(body).encode()
        )
        handled = await self.bots[bot].desk.handle(entry)
        names = ("status", "reason", "granted", "recorded")
        told = [(one.type, {name: one.body[name] for name in names if name in one.body}) for one in handled.answers]
        return told, handled.dead_letter

    async def _of_tool(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The body of a spend with the receipt that the agent found here first, or finds now."""
        if "receipt" not in body:
            return body
        found = await self.receipts(body["receipt"])
        if not found:
            return None
        return {"v": 1, "attempt": body["attempt"], "receipt": found[-1 if body["fresh"] else 0]}

    async def receipts(self, request: str) -> list[str]:
        """Every receipt the agent was given for a request, in order."""
        agent = next(agent for agent, call in CALLS if request_id(agent, call, PARTITIONS) == request)
        told = [json.loads(body) for kind, body in await self.out(agent) if kind == "decision"]
        return [one["receipt"] for one in told if one["request"] == request and one["receipt"]]

    # -- people -----------------------------------------------------------------------------------------------------

    async def click(self, bot: int, request: str, who: str, answer: Literal["approve", "deny", "changes"]) -> Any:
        """Somebody answers on the card in the channel."""
        click = await self._click(request, who, answer)
        return verdict(await self.bots[bot].approvals.vote(request, click))

    async def read(self, bot: int, request: str, who: str, again: bool) -> Any:
        """Somebody reads every page of a review and approves from it; `again` from one that they had open before."""
        approvals, click = self.bots[bot].approvals, await self._click(request, who, "approve")
        if not again or (request, who) not in self.looks:
            opened = await approvals.reviews.open(request, click)
            if not isinstance(opened, Opened):
                return verdict(opened)
            for page in range(opened.look.pages):
                await approvals.reviews.turned(opened.look.id, account(who), page)
            self.looks[request, who] = opened.look.id, opened.review.confirm_code()
        look, code = self.looks[request, who]
        return verdict(await approvals.vote_from(look, account(who), confirm=code))

    async def delegate(self, bot: int, who: str, to: str, steps: int) -> Any:
        """Somebody hands their seat to another for a while."""
        until = await self.store.now() + steps * STEP + STEP // 2
        return verdict(await self.bots[bot].approvals.delegations.delegate(account(who), to, until))

    async def undelegate(self, bot: int, who: str) -> Any:
        """Somebody takes the first of their seats back, or gives the first they got back."""
        delegations = self.bots[bot].approvals.delegations
        mine = await delegations.delegations_of(account(who))
        return verdict(await delegations.undelegate(account(who), mine[0].id)) if mine else "nothing to take back"

    async def retract(self, bot: int, request: str, who: str) -> Any:
        """Somebody takes their answer back."""
        click = await self._click(request, who, "approve")
        return verdict(await self.bots[bot].approvals.retract(request, click))

    async def _click(self, request: str, who: str, answer: Literal["approve", "deny", "changes"]) -> Click:
        """A press on the card that a courier has brought to its channel. Raises NotFound while nothing was asked."""
        stored = await self.store.get(request)
        if CHANNEL not in stored.posts:
            await self.store.intend(request, CHANNEL, "courier")
        shown, reason = card_of(stored.request).digest(), "because" if answer != "approve" else ""
        return Click(account(who), answer, shown, (CHANNEL,), MESSAGE, reason=reason)

    async def operate(self, bot: int, what: str, who: str, *args: Any) -> Any:
        """An operator does something."""
        operators = self.bots[bot].approvals.operators
        done = await getattr(operators, what)(*args[:1], account(who), *args[1:]) if what in BY_ID else (
            await getattr(operators, what)(account(who), *args)
        )  # fmt: skip
        return verdict(done)

    async def leave(self, who: str, gone: bool) -> str:
        """Somebody's account is deactivated, or active again."""
        if gone:
            self.directory.not_full[account(who).id] = "deactivated"
        else:
            self.directory.not_full.pop(account(who).id, None)
        return "known"

    # -- what happens by itself ---------------------------------------------------------------------------------------

    async def tick(self, bot: int, loop: str) -> Any:
        """One step of a loop of one bot."""
        return await getattr(self.bots[bot].clock, loop)()

    async def arm(self, where: str) -> str:
        """The next bot that comes by dies there."""
        self.faults.armed.add(where)
        return "armed"

    async def sign(self, works: bool) -> str:
        """The key can be used, or cannot."""
        self.signer.down = not works
        return "switched"

    async def settle(self) -> None:
        """Everything works again, and the loops run until nothing is due."""
        self.faults.armed.clear()
        self.signer.down = False
        for loop in ("frozen", "silent", "timers", "announcements"):
            for _ in range(12):
                await self.tick(0, loop)

    async def due_in(self) -> list[int]:
        """In how many ms each decision that nobody published yet is everybody's to publish."""
        now = await self.store.now()
        return [at - now for at in await self.announcements()]

    async def announcements(self) -> list[int]:
        """When that is, by the memory's clock."""
        raise NotImplementedError

    # -- what can be seen ---------------------------------------------------------------------------------------------

    async def advance(self, steps: int) -> str:
        """Let time pass."""
        raise NotImplementedError

    async def out(self, agent: str) -> Sequence[tuple[str, bytes]]:
        """What stands on an agent's out stream."""
        raise NotImplementedError

    async def request(self, which: tuple[str, str]) -> Request | None:
        """A request, if it was ever made."""
        try:
            return (await self.store.get(request_id(*which, PARTITIONS))).request
        except NotFound:
            return None

    async def requests(self) -> list[Request]:
        """All that were made."""
        return [found for which in CALLS if (found := await self.request(which)) is not None]

    async def journal(self) -> list[list[dict[str, Any]]]:
        """Every entry of every partition."""
        return [
            [json.loads(entry.record) async for entry in self.store.journal(partition)]
            for partition in range(PARTITIONS)
        ]

    async def told(self) -> dict[str, list[dict[str, Any]]]:
        """Every decision document that was published, by request, in order."""
        found: dict[str, list[dict[str, Any]]] = {}
        for agent in AGENTS:
            for kind, body in await self.out(agent):
                if kind == "decision":
                    document = json.loads(body)
                    found.setdefault(document["request"], []).append(document)
        return found

    async def aclose(self) -> None:
        """Hang up."""
        await self.store.aclose()


BY_ID = ("revoke", "resolve", "extend", "break_glass", "review")


class MemorySide(Side):
    """The memory in this process."""

    def __init__(self) -> None:
        self.offset = 0
        super().__init__(CrashingMemory(self._now, PARTITIONS))

    def _now(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset

    async def advance(self, steps: int) -> str:
        self.offset += steps * STEP
        return "later"

    async def announcements(self) -> list[int]:
        return list(self.store._queues[Queue.ANNOUNCEMENTS].values()) if isinstance(self.store, MemoryStore) else []

    async def out(self, agent: str) -> Sequence[tuple[str, bytes]]:
        return self.store.inbox().answers(agent) if isinstance(self.store, MemoryStore) else ()


class RedisSide(Side):
    """The memory in a real server; `client` is somebody with every right."""

    def __init__(self, store: CrashingRedis, client: Any) -> None:
        super().__init__(store)
        self.client = client

    @classmethod
    async def connect(cls, url: str) -> RedisSide:
        """An empty memory in a server."""
        client = Redis.from_url(url)
        await client.flushall()
        return cls(await CrashingRedis.connect(url, partitions=PARTITIONS), client)

    async def advance(self, steps: int) -> str:
        if isinstance(self.store, RedisStore):
            self.store.clock_offset += steps * STEP
        return "later"

    async def announcements(self) -> list[int]:
        queues = [Keys(partition).queue(Queue.ANNOUNCEMENTS) for partition in range(PARTITIONS)]
        return [int(at) for queue in queues for _, at in await self.client.zrange(queue, 0, -1, withscores=True)]

    async def out(self, agent: str) -> Sequence[tuple[str, bytes]]:
        entries = await self.client.xrange(Keys(partition_of(agent, PARTITIONS)).out(agent, tool=False))
        return [(fields[b"type"].decode(), fields[b"body"]) for _, fields in entries]

    async def aclose(self) -> None:
        await super().aclose()
        await self.client.aclose()


def verdict(found: object) -> Any:
    """A verdict in a form that can be compared."""
    match found:
        case Counted(request, safe):
            return "counted", request.status.value, safe
        case Late(request):
            return "late", request.status.value
        case Refused(reason, _):
            return "refused", reason
        case Done(request, what, safe):
            return "done", request.status.value if request else None, what, safe
        case Handed(delegation):
            return "handed", delegation.owner, delegation.to
    return found


def seen(request: Request) -> Any:
    """Everything of a request that does not depend on the milliseconds of a clock or on chance."""
    decision = request.decision
    return {
        "id": request.id,
        "digest": request.digest,
        "status": request.status.value,
        "version": request.version,
        "votes": [(vote.person, vote.answer, vote.factors) for vote in request.votes],
        "decision": decision
        and (decision.status.value, decision.rule, decision.reason, [vote.person for vote in decision.by]),
        "entry": request.decision_entry,
        "spent": request.spend and request.spend.attempt,
        "outcome": request.outcome and request.outcome.status.value,
        "within": request.expires_at - request.asked_at,
        "steps": (request.reminded, request.escalated),
        "earlier": [(mark.request, mark.status.value) for mark in request.earlier],
        "sums": request.sums,
        "unreviewed": (request.unreviewed, request.review_reminded),
        "interventions": [(one.did, one.person) for one in request.interventions],
    }
