"""Waiting: one connection for any number, and no lost connection or lost entry loses a decision or invents one."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

import sayso
from sayso.errors import Refused, Unavailable
from sayso.link import Entry, RedisLink
from sayso.mailbox import Mailbox
from sayso.pace import Pace
from sayso.testing import Later, answering
from sayso.wire import Address

if TYPE_CHECKING:
    from sdk.tests.conftest import Bot, Connect, Server


@pytest.mark.redis
async def test_a_thousand_waiters_share_one_blocking_connection(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect(block=5) as client:
        pending = [await client.ask_nowait(**payment | {"call": f"run/{number}"}) for number in range(1000)]
        waiting = [asyncio.create_task(one.decision()) for one in pending]
        await bot.until("request", 1000)
        clients = await bot.redis.client_list()
        assert (
            sum(one["cmd"].startswith("xread") and one["flags"] == "b" for one in clients) <= 2
        )  # ours, and the bot's
        assert len(clients) <= 6  # ours: one reader and two for commands; the bot's: one reader, one or two for answers
        for one in pending:
            await bot.decide(one.request, "approved")
        approvals = await asyncio.gather(*waiting)
    assert [approval.request for approval in approvals] == [one.request for one in pending]


async def test_ten_thousand_waiters_need_little_memory() -> None:
    async with answering(lambda asked: Later()) as client:
        stage = client.stage
        await client.ask_nowait("a.b", target="t", arguments={"n": "warm"}, call="warm")
        gc.collect()
        tracemalloc.start()
        # What the played bot keeps is not the client's: only waiters registered in the mailbox are measured.
        mailbox = client._box
        waiters = [
            mailbox.register(("decision", f"0-{number:024}"), "request", b"x" * 300, standing=True)
            for number in range(10_000)
        ]
        for waiter in waiters:
            mailbox.limit(waiter, 1800)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert used / len(waiters) < 4096
    assert len(stage.asked) == 1


@pytest.mark.redis
async def test_a_decision_made_while_redis_was_gone_is_found(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        waiting = asyncio.create_task(pending.decision())
        await bot.until("request")
        server.kill()
        server.start()
        held = bot.held[pending.request]
        held.status = "approved"
        await bot.store(held.agent, bot.decision(held))  # the key alone: the wake-up was lost
        approval = await waiting
    assert approval.request == pending.request


@pytest.mark.redis
async def test_what_a_restart_lost_is_sent_again(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("request")  # never acknowledged
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        server.kill()
        server.start()
        bot.restart_from_nothing()
        bot.mute.clear()
        bot.policy = lambda held: "approved"
        assert (await pending.decision()).request == pending.request
        again = bot.bodies("request")
    assert again[0] == again[-1]


@pytest.mark.redis
async def test_an_acknowledged_request_that_redis_forgot_is_repaired_by_the_heartbeat(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect(repair=0.05) as client:
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        server.kill()
        bot.held.clear()
        bot.policy = lambda held: "approved"
        bot.restart_from_nothing()
        server.start()
        assert (await pending.decision()).request == pending.request


@pytest.mark.redis
async def test_the_stream_is_followed_after_it_began_anew(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        # An entry from a server whose clock was ahead: the stream that follows a failover has smaller ids.
        await bot.redis.xadd("{sayso:0}:out:payments-bot", {"type": "x", "body": "{}"}, id="9999999999999-0")
        pending = await client.ask_nowait(**payment)
        await bot.until("request")
        server.kill()
        bot.restart_from_nothing()
        server.start()
        other = await client.ask_nowait(**payment | {"call": "another"})
        waiting = asyncio.gather(pending.decision(), other.decision())
        await bot.until("request", 2)
        held = bot.held[pending.request]
        held.status = "approved"
        await bot.write(held.agent, "decision", bot.decision(held))
        await bot.decide(other.request, "approved")
        assert {approval.request for approval in await waiting} == {pending.request, other.request}


@pytest.mark.redis
async def test_silence_past_the_deadline_is_unavailable_never_approval(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("request")
    async with connect(grace=0.01, patience=0.01) as client:
        with pytest.raises(sayso.Unavailable, match="nothing was approved"):
            await client.ask(**payment)


@pytest.mark.redis
async def test_the_bots_deadline_counts_once_it_is_known(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    bot.clock = lambda: 0.0  # its deadline is long past, by Redis time
    async with connect(grace=0.05) as client:
        pending = await client.ask_nowait(**payment, within="30m")
        with pytest.raises(sayso.Unavailable):
            await pending.decision()
        assert pending.acknowledged


@pytest.mark.redis
async def test_a_decision_is_looked_for_once_more_before_giving_up(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.mute.add("request")
    async with connect(block=60) as client:
        pending = await client.ask_nowait(**payment)
        held = bot._hold("payments-bot", await bot.until("request"))
        held.status = "approved"
        await bot.store(held.agent, bot.decision(held))  # the key alone: the wake-up was trimmed away
        client._box.limit(pending._waiter, 0)  # its time is over now
        assert (await pending.decision()).request == pending.request


@pytest.mark.redis
async def test_closing_tells_whoever_still_waits(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment)
        waiting = asyncio.create_task(pending.decision())
        await bot.until("request")
    with pytest.raises(sayso.Unavailable, match="closed"):
        await waiting
    with pytest.raises(sayso.Unavailable, match="closed"):
        await client.ask(**payment)


@pytest.mark.redis
async def test_a_client_that_is_not_connected_says_so(connect: Connect, payment: dict[str, Any]) -> None:
    client = connect()
    with pytest.raises(sayso.Unavailable, match="async with"):
        await client.ask(**payment)
    await client.aclose()


@pytest.mark.redis
async def test_asking_while_redis_is_down_is_unavailable(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        server.kill()
        with pytest.raises(sayso.Unavailable):
            await client.ask(**payment)


class EarlyLink:
    """A line on which every answer is read before `append` returns."""

    def __init__(self, *answers: tuple[str, bytes]) -> None:
        self.answers = list(answers)
        self.delivered = asyncio.Event()
        self.appended = asyncio.Event()
        self.reads = 0

    async def config(self) -> tuple[bytes | None, bytes | None]:
        return b'{"v":1,"partitions":1}', None

    async def append(self, stream: str, kind: str, body: bytes) -> str:
        self.appended.set()
        await self.delivered.wait()
        return "5-0"

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        return [None] * len(keys)

    async def last_id(self, stream: str) -> str:
        return "0-0"

    async def read(self, stream: str, after: str) -> list[Entry]:
        self.reads += 1
        if self.reads == 1:
            await self.appended.wait()
            return [Entry(f"6-{number}", *answer) for number, answer in enumerate(self.answers)]
        self.delivered.set()
        await asyncio.Event().wait()
        return []

    async def aclose(self) -> None:
        pass


async def test_a_refusal_that_is_read_before_our_entry_has_an_id_still_reaches_us() -> None:
    link = EarlyLink(
        ("refused", b'{"entry":"4-0","reason":"malformed","message":"somebody else\'s"}'),
        ("refused", b'{"entry":"5-0","reason":"malformed","message":"ours"}'),
    )
    mailbox = Mailbox(link, Address(0, "a"), Pace())
    await mailbox.open()
    waiter = mailbox.register(("decision", "0-x"), "request", b"{}", standing=True)
    await mailbox.submit(waiter)
    with pytest.raises(Refused, match="ours"):
        await waiter.future
    await mailbox.aclose()


async def test_a_decision_that_is_read_before_our_entry_has_an_id_still_reaches_us() -> None:
    decision = b'{"request":"0-x","agent":"a","status":"denied","digest":"d","nonce":"n"}'
    mailbox = Mailbox(EarlyLink(("decision", decision)), Address(0, "a"), Pace())
    await mailbox.open()
    waiter = mailbox.register(("decision", "0-x"), "request", b"{}", standing=True)
    await mailbox.submit(waiter)
    assert (await waiter.future).status == "denied"
    await mailbox.aclose()


async def test_a_refused_repair_does_not_end_a_wait_that_the_bot_has_acknowledged() -> None:
    link = EarlyLink(
        ("pending", b'{"request":"0-x","digest":"d","nonce":"n"}'),
        ("refused", b'{"entry":"5-0","reason":"rate_limited"}'),
    )
    mailbox = Mailbox(link, Address(0, "a"), Pace())
    await mailbox.open()
    waiter = mailbox.register(("decision", "0-x"), "request", b"{}", standing=True)
    await mailbox.submit(waiter)
    assert not waiter.future.done()
    await mailbox.aclose()
    with pytest.raises(Unavailable):
        await waiter.future


@pytest.mark.redis
async def test_a_long_block_is_one_read_not_many(server: Server) -> None:
    link = RedisLink(server.url, block=0.3)
    watcher = RedisLink(server.url, block=0.3)
    assert await link.read("nothing", "0-0") == []
    stats: Any = await (await watcher._lines.commands()).info("commandstats")
    assert stats["cmdstat_xread"]["calls"] == 1
    await link.aclose()
    await watcher.aclose()


def test_reconnecting_is_spread_out_and_bounded() -> None:
    pace = Pace(first_backoff=0.05, most_backoff=5)
    assert all(0 <= pace.backoff(failures) <= 5 for failures in range(2000))
    assert all(pace.backoff(1) <= 0.1 for _ in range(100))
