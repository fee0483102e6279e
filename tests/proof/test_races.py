"""Fifty people click four times each, on two bots, on one request: one decision, one receipt, one card."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from joserfc.jwk import OKPKey

import sayso
from approvals.card import card_of
from approvals.intake import SpendDocument
from approvals.ports import Account
from approvals.receipt import TYP
from approvals.request import Request
from approvals.service import Approvals, Click, Counted, Granted, Late, NotGranted
from bot.courier import Courier
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner
from sandbox.errors import NotOnScreen
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.approvals.make import AGENT, a_document, a_policy_file
from tests.bot.chat import Chat
from tests.bot.test_courier import step
from tests.e2e.world import AGENT as LANE_AGENT
from tests.e2e.world import World, a_world, text_of
from tests.servers import Server, running
from tests.service import a_service

pytestmark = pytest.mark.redis

CROWD = 50
CLICKS = 4
CHANNEL = "slack:C0OPS"
NAMES = tuple(f"person{number:02}" for number in range(CROWD))
Answer = Literal["approve", "deny", "changes"]


def account(name: str) -> Account:
    """The account of somebody in the crowd."""
    return Account("slack", "T0SAYSO", f"U0{name.upper()}")


def the_crowd(need: int, against: int = 1) -> dict[str, Any]:
    """Sections of a policy in which everybody of the crowd is asked."""
    demand = {"factors": [{"name": "crowd", "from": ["crowd"], "approvals": need}], "deny_quorum": against}
    file = a_policy_file()
    return {
        "people": file["people"] | {name: {"accounts": [account(name).id]} for name in NAMES},
        "groups": file["groups"] | {"crowd": {"people": list(NAMES)}},
        "defaults": file["defaults"] | demand,
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server as it is recommended: every commit is on disk before it is answered."""
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@dataclass
class Bot:
    """One of the two: its own connections, its own courier, the same Slack."""

    store: RedisStore
    approvals: Approvals
    courier: Courier


@dataclass
class Pair:
    """Two bots and what they share."""

    bots: tuple[Bot, Bot]
    chat: Chat
    signer: FileSigner

    async def quiet(self) -> None:
        """Let both couriers work until neither finds anything to do."""
        while any(await asyncio.gather(*(step(bot.courier) for bot in self.bots))):
            pass

    async def out(self, request: Request) -> list[dict[str, Any]]:
        """Every decision document the agent was woken with."""
        stream = Keys(0).out(AGENT, tool=False)
        entries = await self.bots[0].store._link.call("XRANGE", stream, "-", "+")
        found = [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in entries]
        documents = [json.loads(one[b"body"]) for one in found if one[b"type"] == b"decision"]
        return [one for one in documents if one["request"] == request.id]


@asynccontextmanager
async def a_pair(server: Server, **sections: Any) -> AsyncIterator[Pair]:
    """Two bots on one empty memory."""
    server.command("FLUSHALL")
    signer = FileSigner(OKPKey.generate_key("Ed25519"))
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(await RedisStore.connect(server.url)) for _ in range(2)]
        start = await stores[0].now()
        chat = Chat(lambda: start)
        text = json.dumps(a_policy_file(**sections))
        bots = []
        for store in stores:
            policies = AdoptedPolicy(store, parse_policy(text), text)
            await policies.put_in_force()
            approvals = a_service(store, policies, signer)
            bots.append(Bot(store, approvals, Courier(store, {"slack": chat})))
        yield Pair((bots[0], bots[1]), chat, signer)


def answer_of(place: int, mixed: bool) -> Answer:
    """Who says what: everybody yes, or a third no, a third 'please change'."""
    return ("approve", "deny", "changes")[place % 3] if mixed else "approve"


async def all_click(pair: Pair, request: Request, *, mixed: bool = False) -> list[tuple[str, object]]:
    """Everybody clicks four times, at once, now on one bot and now on the other."""
    shown = card_of(request).digest()
    (message,) = pair.chat.at(CHANNEL)
    reference = next({"ts": ts} for ts, one in pair.chat.messages.items() if one is message)

    async def click(place: int, number: int) -> tuple[str, object]:
        name = NAMES[place]
        made = Click(account(name), answer_of(place, mixed), shown, (CHANNEL,), reference)
        return name, await pair.bots[(place + number) % 2].approvals.vote(request.id, made)

    return await asyncio.gather(*(click(place, number) for number in range(CLICKS) for place in range(CROWD)))


async def asked(pair: Pair) -> Request:
    """A request whose card stands in the channel."""
    request = await pair.bots[0].approvals.submit(a_document(), AGENT)
    await pair.quiet()
    return request


async def decided_once(pair: Pair, request: Request, verdicts: list[tuple[str, object]]) -> Request:
    """The request after the race, of which everything there is only one is looked at."""
    for bot in pair.bots:
        await bot.approvals.publish(request.id)
    await pair.quiet()
    after = (await pair.bots[1].store.get(request.id)).request
    assert after.decision is not None

    assert len(verdicts) == CROWD * CLICKS
    assert {type(verdict) for _, verdict in verdicts} <= {Counted, Late}
    counted = {name for name, verdict in verdicts if isinstance(verdict, Counted)}
    assert {vote.person for vote in after.decision.by} <= counted

    records = [json.loads(entry.record) async for entry in pair.bots[0].store.journal(0)]
    ends = [record for record in records if record.get("from") == "pending" and record.get("to") != "pending"]
    assert len(ends) == 1
    answers = [(one["by"], one["answer"]) for one in records if one["event"] in ("voted", ends[0]["to"])]
    assert len(set(answers)) == len(answers)

    told = await pair.out(request)
    assert {one["status"] for one in told} == {after.status.value}
    claims = [pair.signer.verify(TYP, one["receipt"]) for one in told if one["receipt"]]
    assert {found["jti"] for found in claims if found} <= {after.decision.jti}

    (message,) = pair.chat.at(CHANNEL)
    assert message.card == card_of(after)
    assert pair.chat.calls.count("post") == 1
    return after


@pytest.mark.parametrize("need", [1, 2, 7, 20])
async def test_however_many_are_needed_one_decision_stands(server: Server, need: int) -> None:
    async with a_pair(server, **the_crowd(need)) as pair:
        request = await asked(pair)
        after = await decided_once(pair, request, await all_click(pair, request))
        assert after.status.value == "approved"
        assert after.decision is not None
        assert len({vote.person for vote in after.decision.by}) == need
        await used_once(pair, after)


@pytest.mark.parametrize(("need", "against"), [(1, 1), (5, 5), (12, 3), (3, 12)])
async def test_of_yes_and_no_at_once_one_decision_stands(server: Server, need: int, against: int) -> None:
    async with a_pair(server, **the_crowd(need, against)) as pair:
        request = await asked(pair)
        after = await decided_once(pair, request, await all_click(pair, request, mixed=True))
        assert after.status.value in ("approved", "denied")
        assert after.decision is not None
        said = {answer_of(NAMES.index(vote.person), True) == "approve" for vote in after.decision.by}
        assert said == {after.status.value == "approved"}


async def used_once(pair: Pair, request: Request) -> None:
    """Fifty attempts at once to use the receipt, on both bots: one may act."""
    receipt = (await pair.out(request))[0]["receipt"]

    async def spend(number: int) -> object:
        document = SpendDocument(v=1, receipt=receipt, attempt=f"attempt-{number:016}")
        return await pair.bots[number % 2].approvals.spend(AGENT, document, partition=0)

    found = await asyncio.gather(*(spend(number) for number in range(CROWD)))
    assert sum(isinstance(one, Granted) for one in found) == 1
    assert {one.reason for one in found if isinstance(one, NotGranted)} == {"already_spent"}


# -- with real processes ------------------------------------------------------------------------------------------


async def crowded(world: World) -> None:
    """The crowd joins the workspace and the channel."""
    workspace = world.sandbox.workspace
    for name in NAMES:
        workspace.add_user(f"U0{name.upper()}", name, name.title())
        workspace.join("C0SECURITY", f"U0{name.upper()}")


def crowd_policy() -> str:
    """Everything is asked in one channel, and seven of the crowd are needed."""
    file = a_policy_file(**the_crowd(7))
    file["defaults"]["destinations"] = ["slack:C0SECURITY"]
    file["agents"] = {LANE_AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["*"]}}
    return json.dumps(file)


@pytest.mark.timeout(180)
async def test_two_real_bots_in_front_of_a_real_crowd_decide_once() -> None:
    async with a_world(policy=crowd_policy()) as world:
        await crowded(world)
        await world.bot()
        await world.bot()
        async with world.agent() as client:
            pending = await client.ask_nowait("payments.release", target="bank:acme", arguments={"amount": "1.00"})
            card = await world.see(lambda: next(iter(about(world, pending.request)), None), "a card", list)

            async def click(name: str) -> None:
                with suppress(NotOnScreen):  # somebody's screen shows the decision already
                    await world.sandbox.click(f"U0{name.upper()}", "C0SECURITY", card.ts, "sayso:approve")

            deciding = asyncio.ensure_future(pending.decision())
            while not deciding.done():  # whoever is told to click again does
                await asyncio.gather(*(click(name) for _ in range(CLICKS) for name in NAMES))
            approval = await deciding
            assert len({by.person for by in approval.by}) == 7
            async with approval.spend():
                acted = True
            with pytest.raises(sayso.AlreadySpent):
                async with approval.spend():
                    acted = False
            assert acted

        await world.see(
            lambda: [one for one in about(world, pending.request) if "succeeded in" in text_of(one)] or None,
            "how it ended",
            lambda: [text_of(one) for one in about(world, pending.request)],
        )
        assert len(about(world, pending.request)) == 1
        ways = [record for record in await world.journal(pending.request) if record.get("from") != record.get("to")]
        assert [record["to"] for record in ways] == ["pending", "approved", "spent", "succeeded"]


def about(world: World, request: str) -> list[Any]:
    """The cards about a request, wherever they stand."""
    found = world.sandbox.messages("C0SECURITY")
    return [one for one in found if ((one.metadata or {}).get("event_payload") or {}).get("request") == request]
