"""What is written, signed or sent by somebody who should not have: refused where it arrives, and nothing changes."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from joserfc.jwk import OKPKey
from redis.asyncio import Redis

import sayso
from bot.signing import FileSigner
from tests.e2e.world import AGENT, ALICE, TOOL, Lane, World, a_world, text_of

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]

Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A deployment over HTTP with a running bot, which the tests share, each in a lane of its own."""
    async with a_world("http") as made:
        await made.bot()
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def redis(world: World) -> AsyncIterator[Redis]:
    """Somebody with all rights in Redis, and without the signing key."""
    async with Redis.from_url(world.redis.url, protocol=2) as client:
        yield client


# ------------------------------------------------------------ decisions and receipts


@pytest.mark.parametrize("receipt", ["none", "rubbish", "altered", "signed by another key", "of another request"])
async def test_a_decision_somebody_wrote_into_redis_is_no_approval(world: World, redis: Redis, receipt: str) -> None:
    lane, elsewhere = world.lane(), world.lane()
    async with world.agent() as client:
        approved = await _approved(world, elsewhere, client)
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        await world.card(lane, pending.request)
        forged = {
            "none": None,
            "rubbish": "e30.e30.e30",
            "altered": _altered(approved.receipt, pending.request),
            "signed by another key": await _signed_by_another_key(approved.receipt, pending),
            "of another request": approved.receipt,
        }[receipt]
        await _write_decision(redis, pending, forged)
        with pytest.raises(sayso.ReceiptInvalid):
            await pending.decision()

        await world.click(ALICE, lane, pending.request)
        again = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"}, call=pending.call)
        assert again.request == pending.request
    assert await world.events(pending.request) == ["asked", "approved"]


async def test_a_receipt_is_refused_for_another_action_agent_or_tool(world: World) -> None:
    lane = world.lane()
    async with world.agent(audience=TOOL) as client, world.tool() as tool, world.tool("other-tool") as other:
        approval = await _approved(world, lane, client)
        dearer = sayso.Action.from_document({**approval.action.document(), "arguments": {"amount": "9500"}})
        for step, spend in {
            "aud": other.spend(approval.receipt, approval.action, agent=AGENT),
            "agent": tool.spend(approval.receipt, approval.action, agent="another-bot"),
            "digest": tool.spend(approval.receipt, dearer, agent=AGENT),
        }.items():
            with pytest.raises(sayso.ReceiptInvalid) as refused:
                async with spend:
                    raise AssertionError("it acted")
            assert refused.value.step == step
        async with tool.spend(approval.receipt, approval.action, agent=AGENT):
            pass


# ------------------------------------------------------------ spends without our SDK


async def test_the_bot_itself_refuses_what_the_sdk_would_not_send(world: World, redis: Redis) -> None:
    lane = world.lane()
    async with world.agent(audience=TOOL) as client:
        approval = await _approved(world, lane, client)
    receipt = approval.receipt
    forged = _altered(receipt, approval.request)

    assert (await _spend(redis, "other-tool", receipt))["reason"] == "wrong_audience"
    assert (await _spend(redis, TOOL, forged))["reason"] == "receipt_invalid"
    attempt = secrets.token_urlsafe(16)
    granted = await _spend(redis, TOOL, receipt, attempt)
    assert granted["granted"] is True
    again = await _spend(redis, TOOL, receipt, attempt)
    assert {**again, "entry": ""} == {**granted, "entry": ""}
    second = await _spend(redis, TOOL, receipt)
    assert (second["granted"], second["reason"]) == (False, "already_spent")

    stolen = await _report(redis, "other-tool", approval.request, attempt, "succeeded")
    assert stolen["recorded"] is False
    assert (await _report(redis, TOOL, approval.request, attempt, "failed"))["status"] == "failed"
    rewritten = await _report(redis, TOOL, approval.request, attempt, "succeeded")
    assert (rewritten["recorded"], rewritten["reason"]) == (False, "already_reported")
    await world.card(lane, approval.request, "the tool reports that nothing was done")


# ------------------------------------------------------------ clicks


@pytest.mark.parametrize(
    "forgery", [{"bad_signature": True}, {"timestamp_offset": -400}, {"timestamp_offset": 400}], ids=str
)
async def test_an_unsigned_or_old_click_is_answered_401_and_changes_nothing(world: World, forgery: Json) -> None:
    lane = world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        card = await world.card(lane, pending.request)
        before = text_of(card)
        world.sandbox.faults.add(delivery="block_actions", **forgery)
        delivery = await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")
        assert delivery.status == 401
        await _unchanged(world, lane, pending, before)


async def test_a_click_of_another_workspace_or_another_card_does_not_count(world: World) -> None:
    lane, elsewhere = world.lane(), world.lane()
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
        other = await client.ask_nowait(elsewhere.kind, target="bank:evil", arguments={"amount": "9.50"})
        card, decoy = await world.card(lane, pending.request), await world.card(elsewhere, other.request)
        before = text_of(card)

        def from_elsewhere(body: Json) -> None:
            body["user"]["team_id"] = "T0OTHER"

        def on_another_card(body: Json) -> None:
            body["container"] |= {"channel_id": elsewhere.channel, "message_ts": decoy.ts}
            body["channel"]["id"] = elsewhere.channel

        def of_another_rendering(body: Json) -> None:
            body["actions"][0]["value"] = body["actions"][0]["value"][:-4] + "AAAA"

        for alter in (from_elsewhere, on_another_card, of_another_rendering):
            await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve", alter=alter)
        await _unchanged(world, lane, pending, before)
        await other.withdraw()


async def test_the_routes_that_only_read_change_nothing_and_others_do_not_exist(world: World) -> None:
    url = world.bots[0].url
    async with aiohttp.ClientSession() as session:
        for path, status in {"/healthz": 200, "/readyz": 200, "/jwks.json": 200, "/slack/events": 405}.items():
            async with session.get(url + path) as answer:
                assert (path, answer.status) == (path, status)
        async with session.get(url + "/jwks.json") as answer:
            published = await answer.text()
    assert json.loads(published) == json.loads(world.trust.read_text())
    assert '"d"' not in published


# ------------------------------------------------------------ helpers


async def _approved(world: World, lane: Lane, client: sayso.Sayso) -> sayso.Approval:
    pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "9.50"})
    await world.click(ALICE, lane, pending.request)
    return await pending.decision()


async def _unchanged(world: World, lane: Lane, pending: sayso.Pending, before: str) -> None:
    assert not pending.done
    assert text_of(await world.card(lane, pending.request)) == before
    assert "approved" not in await world.events(pending.request)
    await pending.withdraw()
    with pytest.raises(sayso.Withdrawn):
        await pending.decision()


async def _write_decision(redis: Redis, pending: sayso.Pending, receipt: str | None) -> None:
    """Exactly what the bot would write for an approval, with a receipt of somebody's own."""
    document = {
        "v": 1,
        "request": pending.request,
        "agent": AGENT,
        "call": pending.call,
        "status": "approved",
        "digest": pending.action.digest(),
        "nonce": pending.action.nonce,
        "audience": AGENT,
        "decided_at": "2026-11-22T14:05:01.123Z",
        "by": [{"person": "alice", "via": "slack"}],
        "receipt": receipt,
    }
    body = json.dumps(document)
    await redis.set(f"{{sayso:0}}:decision:{AGENT}:{pending.request}", body)
    await redis.xadd(f"{{sayso:0}}:out:{AGENT}", {"type": "decision", "body": body})


def _altered(receipt: str, request: str) -> str:
    """A receipt whose claims name a request, under the signature of the original ones."""
    header, _, signature = receipt.split(".")
    claims = json.dumps({**_claims(receipt), "txn": request}).encode()
    return ".".join((header, base64.urlsafe_b64encode(claims).decode().rstrip("="), signature))


async def _signed_by_another_key(receipt: str, pending: sayso.Pending) -> str:
    """A receipt with every claim right for this request, signed by somebody with a key of their own."""
    signer = FileSigner(OKPKey.generate_key("Ed25519"))
    claims = _claims(receipt) | {"txn": pending.request}
    claims["authorization_details"][0]["action_digest"] = pending.action.digest()
    return await signer.sign("approval-receipt+jwt", claims)


def _claims(receipt: str) -> Json:
    claims = receipt.split(".")[1]
    read: Json = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return read


async def _spend(redis: Redis, tool: str, receipt: str, attempt: str | None = None) -> Mapping[str, Any]:
    body = {"v": 1, "receipt": receipt, "attempt": attempt or secrets.token_urlsafe(16)}
    return await _answer(redis, tool, "spend", body)


async def _report(redis: Redis, tool: str, request: str, attempt: str, outcome: str) -> Mapping[str, Any]:
    return await _answer(redis, tool, "report", {"v": 1, "request": request, "attempt": attempt, "outcome": outcome})


async def _answer(redis: Redis, tool: str, type_: str, body: Json) -> Mapping[str, Any]:
    """Append an entry as a tool does without our SDK, and wait for the answer to exactly that entry."""
    line: Any = redis  # redis-py's own types do not tell bytes from text
    out = f"{{sayso:0}}:out:tool:{tool}"
    newest = await line.xrevrange(out, count=1)
    after = newest[0][0] if newest else "0-0"
    entry = await line.xadd(f"{{sayso:0}}:in:tool:{tool}", {"type": type_, "body": json.dumps(body)})
    while True:
        for _, entries in await line.xread({out: after}, block=10_000):
            answers: list[Json] = [json.loads(fields[b"body"]) for _, fields in entries]
            if mine := [answer for answer in answers if answer["entry"] == entry.decode()]:
                return mine[0]
            after = entries[-1][0]
