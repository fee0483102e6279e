"""Asking: what comes back, for every way a request can end."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import sayso

if TYPE_CHECKING:
    from sdk.tests.conftest import Bot, Connect

pytestmark = pytest.mark.redis


async def test_a_yes_comes_back_with_the_action_its_receipt_and_who_said_it(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.policy = lambda held: "approved"
    async with connect() as client:
        approval = await client.ask(**payment)
    assert approval.action.arguments == payment["arguments"]
    assert approval.action.digest() == bot.held[approval.request].digest
    assert [str(by) for by in approval.by] == ["alice via slack"]
    assert approval.receipt.count(".") == 2


async def test_the_request_on_the_wire_is_what_the_contract_says(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect(principal="dana") as client:
        pending = await client.ask_nowait(**payment, within="30m", audience="bank", started_by="dana")
        body = await bot.until("request")
    nonce = body["action"].pop("nonce")
    assert len(nonce) == 22
    assert body == {
        "v": 1,
        "call": "run-118/release",
        "action": {
            "kind": "payments.release",
            "target": "bank:acme",
            "arguments": payment["arguments"],
            "preconditions": {},
        },
        "audience": "bank",
        "because": "matches PO 118",
        "principal": "dana",
        "started_by": "dana",
        "within": "PT1800S",
    }
    assert pending.request in bot.held


async def test_what_nobody_can_say_with_a_question_is_a_type_error_and_sends_nothing(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        with pytest.raises(TypeError, match="a question cannot say supercedes"):
            await client.ask(**payment, **{"supercedes": "0-edbprlftnh2pah6p6j3r26h7"})  # type: ignore[arg-type]  # as untyped code would
    assert bot.seen == []


async def test_a_no_is_an_exception_with_the_reason_and_the_person(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        await bot.decide(pending.request, "denied", reason="not before the audit")
        with pytest.raises(sayso.Denied, match="denied by alice via slack: not before the audit") as caught:
            await pending.decision()
    assert caught.value.reason == "not before the audit"
    assert caught.value.request == pending.request
    assert caught.value.at is not None


async def test_a_no_that_says_what_to_change_is_its_own_exception(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        await bot.decide(pending.request, "denied", changes="split it by cost centre")
        with pytest.raises(sayso.ChangesRequested) as caught:
            await pending.decision()
    assert caught.value.changes == "split it by cost centre"
    assert isinstance(caught.value, sayso.Denied)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("denied", sayso.Denied),
        ("expired", sayso.Expired),
        ("withdrawn", sayso.Withdrawn),
        ("revoked", sayso.Revoked),
        ("lapsed", sayso.Lapsed),
        ("spent", sayso.AlreadySpent),
        ("succeeded", sayso.AlreadySpent),
        ("failed", sayso.AlreadySpent),
        ("unknown", sayso.AlreadySpent),
        ("a-status-of-the-future", sayso.NotApproved),
    ],
)
async def test_every_status_but_approved_is_an_exception(
    bot: Bot, connect: Connect, payment: dict[str, Any], status: str, error: type[sayso.NotApproved]
) -> None:
    bot.policy = lambda held: status
    async with connect() as client:
        with pytest.raises(sayso.NotApproved) as caught:
            await client.ask(**payment)
    assert type(caught.value) is error


async def test_a_refusal_names_the_field_and_the_remedy(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    bot.refuse = {
        "reason": "rate_limited",
        "message": "60 a minute",
        "field": "action.kind",
        "remedy": "ask again later",
        "retry_after": 30,
    }
    async with connect() as client:
        with pytest.raises(sayso.Refused, match="60 a minute; ask again later") as caught:
            await client.ask(**payment)
    refused = caught.value
    assert (refused.reason, refused.field, refused.retry_after) == ("rate_limited", "action.kind", 30)


async def test_the_same_call_with_another_action_is_a_conflict(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        await client.ask_nowait(**payment)
        with pytest.raises(sayso.Conflict):
            await client.ask(**payment | {"target": "bank:evil"})


async def test_the_same_call_with_another_action_is_a_conflict_even_when_the_first_was_approved(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.policy = lambda held: "approved"
    async with connect() as client:
        await client.ask(**payment)
        with pytest.raises(sayso.Conflict):
            await client.ask(**payment | {"arguments": {"amount": "99999.00"}})


async def test_a_restarted_process_joins_the_request_of_the_same_call(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as before:
        pending = await before.ask_nowait(**payment)
        await bot.until("request")
    async with connect() as after:
        again = await after.ask_nowait(**payment)
        assert again.request == pending.request
        assert again.action.nonce != pending.action.nonce
        await bot.decide(pending.request, "approved")
        approval = await again.decision()
        assert approval.action.nonce == pending.action.nonce
        async with approval.spend() as action:
            assert action == approval.action


async def test_a_restarted_process_finds_a_decision_that_came_while_it_was_away(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as before:
        pending = await before.ask_nowait(**payment)
        await bot.until("request")
    await bot.decide(pending.request, "approved")
    bot.mute.add("request")
    async with connect() as after:
        assert (await after.ask(**payment)).request == pending.request


async def test_without_a_call_every_question_is_a_new_request(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    del payment["call"]
    async with connect() as client:
        first, second = await client.ask_nowait(**payment), await client.ask_nowait(**payment)
    assert first.request != second.request


async def test_two_tasks_may_wait_for_the_same_call(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        first, second = await client.ask_nowait(**payment), await client.ask_nowait(**payment)
        await bot.until("request", 2)
        await bot.decide(first.request, "approved")
        one, two = await asyncio.gather(first.decision(), second.decision())
    assert one.action == two.action


async def test_a_decision_may_be_awaited_again(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    bot.policy = lambda held: "approved"
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        assert (await pending.decision()).receipt == (await pending.decision()).receipt
        assert pending.done


async def test_your_own_time_out_leaves_the_request_pending(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        with pytest.raises(sayso.StillPending) as caught:
            await pending.decision(timeout=0.01)
        assert isinstance(caught.value, TimeoutError)
        await bot.decide(pending.request, "approved")
        assert (await pending.decision(timeout=10)).request == pending.request


async def test_withdrawing_ends_the_wait(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        await pending.withdraw()
        with pytest.raises(sayso.Withdrawn):
            await pending.decision()


async def test_a_cancelled_question_without_a_call_is_withdrawn(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    del payment["call"]
    async with connect() as client:
        asking = asyncio.create_task(client.ask(**payment))
        await bot.until("request")
        asking.cancel()
        assert (await bot.until("withdraw"))["request"] in bot.held
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_cancelled_question_with_a_call_lives_on(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        asking = asyncio.create_task(client.ask(**payment))
        await bot.until("request")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert bot.bodies("withdraw") == []


async def test_the_acknowledgement_is_shown(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    bot.mute.add("request")
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        assert not pending.acknowledged
        bot.mute.clear()
        again = await client.ask_nowait(**payment)
        await bot.until("request", 2)
        await bot.decide(pending.request, "denied")
        with pytest.raises(sayso.Denied):
            await pending.decision()
    assert pending.acknowledged
    assert again.code == "7F3K-9Q"
    assert pending.expires_at == again.expires_at


async def test_a_decision_written_into_redis_by_hand_is_not_an_approval(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        held = bot.held[pending.request]
        held.status = "approved"
        forged = bot.decision(held)
        header, payload, _ = forged["receipt"].split(".")
        await bot.store(held.agent, forged | {"receipt": f"{header}.{payload}.{'A' * 86}"})
        with pytest.raises(sayso.ReceiptInvalid) as caught:
            await client.ask(**payment)
    assert caught.value.step == "signature"


async def test_an_approval_without_a_receipt_is_none(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        await bot.decide(pending.request, "approved", receipt=None)
        with pytest.raises(sayso.ReceiptInvalid):
            await pending.decision()


async def test_the_receipt_of_another_request_is_refused(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        held = bot.held[pending.request]
        await bot.decide(pending.request, "approved", receipt=bot.sign(bot.claims(held, txn="0-" + "a" * 24)))
        with pytest.raises(sayso.ReceiptInvalid) as caught:
            await pending.decision()
    assert caught.value.step == "txn"


async def test_garbage_on_the_out_stream_is_ignored(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        out = "{sayso:0}:out:payments-bot"
        await bot.redis.xadd(out, {"type": "decision", "body": b"\xff{"})
        await bot.redis.xadd(out, {"type": "decision", "body": b"[]"})
        await bot.redis.xadd(out, {"type": b"\xff", "body": b"{}"})
        await bot.redis.xadd(out, {"type": "news", "body": b"{}"})
        await bot.redis.xadd(out, {"other": "fields"})
        await bot.write("payments-bot", "pending", {"request": pending.request, "expires_at": "soon"})
        await bot.decide(pending.request, "approved")
        assert (await pending.decision()).request == pending.request


async def test_any_decision_of_this_agent_can_be_read_by_its_id(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.policy = lambda held: "denied"
    async with connect() as client:
        with pytest.raises(sayso.Denied) as caught:
            await client.ask(**payment)
        assert caught.value.request is not None
        decision = await client.decision_of(caught.value.request)
        assert (decision.status, str(decision.by[0])) == ("denied", "alice via slack")
        with pytest.raises(sayso.Refused) as refused:
            await client.decision_of("0-" + "a" * 24)
        assert refused.value.reason == "not_found"
        with pytest.raises(sayso.InvalidRequest):
            await client.decision_of("1-" + "a" * 24)
        with pytest.raises(sayso.InvalidRequest):
            await client.decision_of("{sayso:0}:journal")


async def test_connecting_needs_a_redis_a_bot_and_the_same_wire(bot: Bot, connect: Connect) -> None:
    for config in (b'{"v":2,"partitions":1}', b'{"v":1,"partitions":0}', b"[]", b"no"):
        await bot.redis.set("sayso:config", config)
        with pytest.raises(sayso.Unavailable):
            await connect().open()
    await bot.redis.delete("sayso:config")
    with pytest.raises(sayso.Unavailable, match="has the bot been started"):
        await connect().open()


async def test_without_redis_connecting_says_so() -> None:
    client = sayso.Sayso.connect("unix:///nonexistent/socket", agent="a")
    with pytest.raises(sayso.Unavailable, match="Redis"):
        await client.open()


async def test_the_partition_follows_from_the_agents_name(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    await bot.redis.set("sayso:config", json.dumps({"v": 1, "partitions": 16}))
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        assert await bot.redis.xlen("{sayso:13}:in:payments-bot") == 1
    assert pending.request.startswith("13-")


async def test_a_name_that_the_policy_does_not_hold_is_told_at_once(bot: Bot, connect: Connect) -> None:
    await bot.redis.set("sayso:names", b'{"v":1,"agents":["deploy-bot"],"audiences":["gateway"]}')
    with pytest.raises(sayso.Refused) as caught:
        await connect().open()
    assert (caught.value.reason, caught.value.field) == ("unknown_agent", "agent")
    assert "under agents add: payments-bot: {owner: " in str(caught.value.remedy)
    await bot.redis.set("sayso:names", b'{"v":1,"agents":["payments-bot"],"audiences":[]}')
    async with connect() as client:
        assert client.agent == "payments-bot"
