"""Spending: a yes is used once, by whoever it is for, for exactly what was approved, and how it ended is reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import OKPKey

import sayso

if TYPE_CHECKING:
    from sdk.tests.conftest import Bot, Connect, ConnectTool, Server

pytestmark = pytest.mark.redis


async def approved(client: sayso.Sayso, bot: Bot, payment: dict[str, Any], **changes: Any) -> sayso.Approval:
    """Ask, and let the bot say yes."""
    bot.policy = lambda held: "approved"
    return await client.ask(**payment | changes)


async def test_what_runs_is_what_was_approved_and_it_is_reported_as_succeeded(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        async with approval.spend() as action:
            assert (action.kind, action.target) == ("payments.release", "bank:acme")
            assert action.arguments == payment["arguments"]
            assert bot.held[approval.request].status == "spent"
        assert (await bot.until("report"))["outcome"] == "succeeded"
        assert bot.bodies("report")[-1]["attempt"] == bot.bodies("spend")[-1]["attempt"]


async def test_not_done_is_reported_as_failed_with_its_words_and_goes_on(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.NotDone):
            async with approval.spend():
                raise sayso.NotDone("the bank was closed")
    report = await bot.until("report")
    assert (report["outcome"], report["note"]) == ("failed", "the bank was closed")


async def test_any_other_exception_is_reported_as_unknown_without_its_text(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(ValueError, match="secret"):
            async with approval.spend():
                raise ValueError("secret account number")
    report = await bot.until("report")
    assert (report["outcome"], report["note"]) == ("unknown", "ValueError")


async def test_a_time_out_in_the_middle_is_reported_as_unknown(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(TimeoutError):
            async with approval.spend(), asyncio.timeout(0.01):
                await asyncio.Event().wait()
    assert (await bot.until("report"))["outcome"] == "unknown"


async def acting(approval: sayso.Approval) -> asyncio.Task[None]:
    """A task that has begun to act, and does not end by itself."""
    begun = asyncio.Event()

    async def act() -> None:
        async with approval.spend():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(act())
    await begun.wait()
    return task


async def test_a_cancelled_task_still_reports_unknown(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        task = await acting(await approved(client, bot, payment))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await bot.until("report"))["outcome"] == "unknown"


async def test_a_report_survives_a_second_cancellation(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        task = await acting(await approved(client, bot, payment))
        task.cancel()
        await asyncio.wait({task}, timeout=0)  # let the first one reach the report
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await bot.until("report"))["outcome"] == "unknown"


async def test_an_approval_is_used_once(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        async with approval.spend():
            pass
        with pytest.raises(sayso.AlreadySpent, match="in this process"):
            await approval.spend().__aenter__()
    assert len(bot.bodies("spend")) == 1


async def test_an_approval_is_used_once_across_processes(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as one, connect() as other:
        mine = await approved(one, bot, payment)
        theirs = await other.ask(**payment)
        async with mine.spend():
            pass
        with pytest.raises(sayso.AlreadySpent, match="refused: already_spent"):
            await theirs.spend().__aenter__()


async def test_of_many_at_once_one_may_act(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    acted: list[sayso.Action] = []

    async def act(approval: sayso.Approval) -> None:
        async with approval.spend() as action:
            acted.append(action)

    async with connect() as client:
        approval = await approved(client, bot, payment)
        ends = await asyncio.gather(*(act(approval) for _ in range(20)), return_exceptions=True)
    assert len(acted) == 1
    assert sum(isinstance(end, sayso.AlreadySpent) for end in ends) == 19


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("already_spent", sayso.AlreadySpent),
        ("lapsed", sayso.Lapsed),
        ("revoked", sayso.Revoked),
        ("policy", sayso.SpendRefused),
        ("not_approved", sayso.SpendRefused),
        ("wrong_audience", sayso.SpendRefused),
        ("receipt_invalid", sayso.SpendRefused),
        ("a_reason_of_the_future", sayso.SpendRefused),
    ],
)
async def test_every_refusal_of_a_spend_is_an_exception_before_anything_is_done(
    bot: Bot, connect: Connect, payment: dict[str, Any], reason: str, error: type[sayso.NotApproved]
) -> None:
    bot.spend_reason = reason
    async with connect() as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.NotApproved) as caught:
            async with approval.spend():
                pytest.fail("nothing may be done")
    assert type(caught.value) is error
    assert bot.bodies("report") == []


async def test_a_refused_spend_may_be_tried_again(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        bot.spend_reason = "policy"  # a freeze, say
        with pytest.raises(sayso.SpendRefused) as caught:
            await approval.spend().__aenter__()
        assert caught.value.code == "policy"
        bot.spend_reason = None
        async with approval.spend():
            pass


async def test_a_spend_that_is_not_answered_is_not_done_and_called_off(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("spend")
    async with connect(spend=0.05) as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.Unavailable, match="nothing was done"):
            async with approval.spend():
                pytest.fail("nothing may be done")
        report = await bot.until("report")
        with pytest.raises(sayso.AlreadySpent):
            await approval.spend().__aenter__()
    assert report["outcome"] == "failed"
    assert report["attempt"] == bot.bodies("spend")[-1]["attempt"]


async def test_a_cancelled_spend_is_called_off(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    bot.mute.add("spend")
    async with connect() as client:
        approval = await approved(client, bot, payment)
        task = asyncio.create_task(approval.spend().__aenter__())
        await bot.until("spend")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await bot.until("report"))["outcome"] == "failed"


async def test_an_unanswered_spend_is_sent_again_as_the_same_attempt(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("spend")
    async with connect(resend=0.02) as client:
        approval = await approved(client, bot, payment)
        entering = asyncio.create_task(approval.spend().__aenter__())
        await bot.until("spend", 2)
        bot.mute.clear()
        assert (await entering).target == "bank:acme"
    assert len({body["attempt"] for body in bot.bodies("spend")}) == 1


async def test_a_grant_for_another_approval_is_not_acted_on(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("spend")
    async with connect() as client:
        approval = await approved(client, bot, payment)
        entering = asyncio.create_task(approval.spend().__aenter__())
        attempt = (await bot.until("spend"))["attempt"]
        await bot.write("payments-bot", "spend", {"attempt": attempt, "granted": True, "jti": "another"})
        with pytest.raises(sayso.Unavailable, match="for another approval"):
            await entering


async def test_a_report_nobody_answers_does_not_turn_success_into_an_error(
    bot: Bot, connect: Connect, payment: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    bot.mute.add("report")
    async with connect(report=0.05) as client:
        approval = await approved(client, bot, payment)
        async with approval.spend():
            pass
    assert "could not be reported" in caplog.text


async def test_a_receipt_that_grew_too_old_is_exchanged_for_a_fresh_one(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    later = [0.0]

    def clock() -> float:
        return time.time() + later[0]

    bot.clock = clock
    async with connect(clock=clock) as client:
        approval = await approved(client, bot, payment)
        later[0] = 600
        async with approval.spend():
            pass
    assert bot.bodies("collect")
    assert bot.bodies("spend")[-1]["receipt"] != approval.receipt


async def test_an_old_receipt_that_comes_again_is_no_fresh_one(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    later = [0.0]
    bot.mute.add("collect")
    async with connect(clock=lambda: time.time() + later[0]) as client:
        approval = await approved(client, bot, payment)
        later[0] = 600
        entering = asyncio.create_task(approval.spend().__aenter__())
        await bot.until("collect")
        held = bot.held[approval.request]
        assert held.document is not None
        await bot.write(held.agent, "decision", held.document)
        await bot.write(held.agent, "decision", held.document)
        bot.clock = lambda: time.time() + later[0]
        await bot.decide(approval.request, "approved")
        assert (await entering) == approval.action


async def test_when_no_fresh_receipt_comes_nothing_is_done(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    later = [0.0]
    bot.mute.add("collect")
    async with connect(clock=lambda: time.time() + later[0], collect=0.5) as client:
        approval = await approved(client, bot, payment)
        later[0] = 600
        with pytest.raises(sayso.Unavailable, match="no fresh one came"):
            await approval.spend().__aenter__()


async def test_collecting_learns_that_the_approval_was_taken_back(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    later = [0.0]
    async with connect(clock=lambda: time.time() + later[0]) as client:
        approval = await approved(client, bot, payment)
        bot.held[approval.request].status = "revoked"
        later[0] = 600
        with pytest.raises(sayso.Revoked):
            await approval.spend().__aenter__()


async def test_changing_the_arguments_after_the_yes_is_noticed(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        approval.action.arguments["amount"] = "99999.00"
        with pytest.raises(sayso.ReceiptInvalid) as caught:
            await approval.spend().__aenter__()
    assert caught.value.step == "digest"
    assert bot.bodies("spend") == []


async def test_what_is_handed_out_is_a_copy(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        approval = await approved(client, bot, payment)
        async with approval.spend() as action:
            action.arguments["amount"] = "1.00"
        assert approval.action.arguments["amount"] == "12400.00"


async def test_without_trust_nothing_is_spent(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect(trust=None) as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.TrustMissing, match="pass trust="):
            await approval.spend().__aenter__()
    assert bot.bodies("spend") == []


async def test_a_forged_approval_is_not_spent_even_if_it_was_not_checked_before(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    mallory = OKPKey.generate_key("Ed25519", {"kid": "bot-1"})
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        held = bot.held[pending.request]
        await bot.decide(pending.request, "approved", receipt=bot.sign(bot.claims(held), key=mallory))
        with pytest.raises(sayso.ReceiptInvalid) as caught:
            await pending.decision()
    assert caught.value.step == "signature"


async def test_preconditions_are_checked_at_the_last_moment(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    seen: list[Mapping[str, Any]] = []

    def unchanged(preconditions: Mapping[str, Any]) -> bool:
        seen.append(preconditions)
        return True

    async def changed(preconditions: Mapping[str, Any]) -> bool:
        return False

    async with connect() as client:
        approval = await approved(client, bot, payment, preconditions={"version": 7})
        with pytest.raises(sayso.ReceiptInvalid) as unchecked:
            await approval.spend().__aenter__()
        with pytest.raises(sayso.ReceiptInvalid) as no_longer:
            await approval.spend(preconditions=changed).__aenter__()
        async with approval.spend(preconditions=unchanged):
            pass
    assert (unchecked.value.step, no_longer.value.step) == ("preconditions", "preconditions")
    assert seen == [{"version": 7}]


async def test_an_agent_cannot_spend_what_is_meant_for_a_tool(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect(audience="bank") as client:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.InvalidRequest, match="to that tool"):
            approval.spend()


async def test_a_tool_spends_what_an_agent_hands_it(
    bot: Bot, connect: Connect, connect_tool: ConnectTool, payment: dict[str, Any]
) -> None:
    async with connect(audience="bank") as client, connect_tool() as tool:
        approval = await approved(client, bot, payment)
        handed = approval.action.document()  # as JSON, over whatever protocol
        async with tool.spend(approval.receipt, handed, agent="payments-bot") as action:
            assert action.arguments == payment["arguments"]
        with pytest.raises(sayso.AlreadySpent):
            await tool.spend(approval.receipt, approval.action, agent="payments-bot").__aenter__()
    assert (await bot.until("report"))["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("what", "step"),
    [
        ({"agent": "other-bot"}, "agent"),
        ({"audience": "other-tool"}, "aud"),
        ({"action": {"target": "bank:evil"}}, "target"),
        ({"action": {"kind": "payments.refund"}}, "kind"),
        ({"action": {"arguments": {"amount": "99999.00"}}}, "digest"),
        ({"action": {"nonce": "A" * 22}}, "digest"),
    ],
)
async def test_a_tool_refuses_what_was_not_approved_for_it(
    bot: Bot, connect: Connect, connect_tool: ConnectTool, payment: dict[str, Any], what: dict[str, Any], step: str
) -> None:
    audience = what.get("audience", "bank")
    async with connect(audience="bank") as client, connect_tool(audience=audience) as tool:
        approval = await approved(client, bot, payment)
        action = approval.action.document() | what.get("action", {})
        with pytest.raises(sayso.ReceiptInvalid) as caught:
            await tool.spend(approval.receipt, action, agent=what.get("agent", "payments-bot")).__aenter__()
    assert caught.value.step == step
    assert bot.bodies("spend") == []


async def test_a_tool_refuses_an_action_document_with_strange_members(connect_tool: ConnectTool) -> None:
    tool = connect_tool()
    action = sayso.Action.of("a.b", "t", {}).document()
    with pytest.raises(sayso.InvalidRequest, match="unknown member"):
        tool.spend("x", action | {"risk": "low"}, agent="a")
    del action["nonce"]
    with pytest.raises(sayso.InvalidRequest, match="missing member"):
        tool.spend("x", action, agent="a")
    await tool.aclose()


async def test_a_tool_does_not_spend_a_receipt_that_has_just_ended(
    bot: Bot, connect: Connect, connect_tool: ConnectTool, payment: dict[str, Any]
) -> None:
    async with connect(audience="bank") as client, connect_tool(clock=lambda: time.time() + 125) as tool:
        approval = await approved(client, bot, payment)
        with pytest.raises(sayso.ReceiptInvalid) as caught:  # within the skew, but past its end
            await tool.spend(approval.receipt, approval.action, agent="payments-bot").__aenter__()
    assert caught.value.step == "exp"
    assert bot.bodies("spend") == []


async def test_a_spend_that_the_bot_does_not_accept_is_refused_and_may_be_tried_again(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("spend")
    async with connect() as client:
        approval = await approved(client, bot, payment)
        entering = asyncio.create_task(approval.spend().__aenter__())
        await bot.until("spend")
        entry = await bot.newest("{sayso:0}:in:payments-bot")
        refusal = {"entry": entry, "reason": "not_accepting", "message": "frozen", "retry_after": 5}
        await bot.write("payments-bot", "refused", refusal)
        with pytest.raises(sayso.Refused, match="frozen"):
            await entering
        bot.mute.clear()
        async with approval.spend():
            pass


async def test_the_least_rights_that_the_contract_gives_are_enough(
    server: Server, bot: Bot, connect: Connect, connect_tool: ConnectTool, payment: dict[str, Any]
) -> None:
    agent = ["%W~{sayso:0}:in:payments-bot", "%R~{sayso:0}:out:payments-bot", "%R~{sayso:0}:decision:payments-bot:*"]
    tool = ["%W~{sayso:0}:in:tool:bank", "%R~{sayso:0}:out:tool:bank"]
    for user, keys in {"agent": agent, "tool": tool}.items():
        commands = ["+xadd", "+xread", "+xrevrange", "+get"]
        await bot.acl("SETUSER", user, "on", ">secret", "%R~sayso:config", *keys, *commands)
    bot.policy = lambda held: "approved"
    path = server.url.removeprefix("unix://")
    as_agent = connect(url=f"unix://agent:secret@{path}", audience="bank")
    as_tool = connect_tool(url=f"unix://tool:secret@{path}")
    async with as_agent as client, as_tool as bank:
        approval = await client.ask(**payment)
        async with bank.spend(approval.receipt, approval.action, agent="payments-bot"):
            pass
    assert (await bot.until("report"))["outcome"] == "succeeded"
