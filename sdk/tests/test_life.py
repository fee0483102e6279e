"""What happens between asking and the answer: asking again after a no, saying that we are here, being frozen out."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import sayso
from sayso import cli
from sayso.errors import Unavailable
from sayso.link import Entry
from sayso.mailbox import Mailbox
from sayso.pace import Pace
from sayso.testing import Asked, Later, No, Refuse, Reply, Yes, answering, approving, denying
from sayso.wire import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.tests.conftest import Bot, Connect, Server

OLD = "0-edbprlftnh2pah6p6j3r26h7"


# --- asking again -------------------------------------------------------------------------------------------------


@pytest.mark.redis
async def test_a_no_that_says_what_to_change_is_answered_by_another_request(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:
        first = await client.ask_nowait(**payment)
        await bot.until("request")
        await bot.decide(first.request, "denied", changes="split it by cost centre")
        with pytest.raises(sayso.ChangesRequested, match="please change: split it") as no:
            await first.decision()
        bot.policy = lambda held: "approved"
        payment |= {"call": "run-118/release-2", "arguments": {"amount": "6200.00"}}
        approval = await client.ask(**payment, supersedes=no.value.request)
    assert no.value.changes == "split it by cost centre"
    assert (await bot.until("request"))["supersedes"] == first.request != approval.request
    assert "cancel_on_disconnect" not in bot.bodies("request")[-1]


@pytest.mark.parametrize("wrong", ["run-118/release", "", "0-short", 7])
async def test_what_is_superseded_is_named_by_its_request_id(wrong: Any) -> None:
    async with approving() as client:
        with pytest.raises(sayso.InvalidRequest) as caught:
            await client.ask("a.b", target="t", arguments={}, supersedes=wrong)
    assert caught.value.field == "supersedes"
    assert client.asked == []


@pytest.mark.redis
async def test_superseding_what_was_not_denied_is_refused_but_no_conflict_of_calls(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    bot.refuse = {"reason": "conflict", "message": "it is pending, not denied", "field": "supersedes"}
    async with connect() as client:
        with pytest.raises(sayso.Refused, match="not denied") as caught:
            await client.ask(**payment, supersedes=OLD)
    assert not isinstance(caught.value, sayso.Conflict)
    assert (caught.value.reason, caught.value.field) == ("conflict", "supersedes")


async def test_a_gated_function_asks_again_with_what_it_supersedes() -> None:
    ran: list[str] = []

    @sayso.gate("payments.release", target="bank:acme", call="release/{amount}", cancel_on_disconnect=True)
    async def release(amount: str) -> None:
        ran.append(amount)

    def answer(asked: Asked) -> Reply:
        return Yes() if asked.supersedes else No(changes="half of it")

    async with answering(answer) as client:
        with pytest.raises(sayso.ChangesRequested) as no:
            await release("12400.00")
        await release("6200.00", sayso_supersedes=no.value.request)  # type: ignore[call-arg]  # the gate's own
    assert ran == ["6200.00"]
    assert [asked.supersedes for asked in client.asked] == [None, no.value.request]
    assert all(asked.cancel_on_disconnect for asked in client.asked)


async def test_the_gates_own_arguments_are_no_parameters() -> None:
    async def release(sayso_supersedes: str) -> None: ...

    with pytest.raises(sayso.InvalidRequest, match="rename it"):
        sayso.gate("a.b", target="t")(release)


async def test_the_played_bot_lets_only_a_denial_be_superseded() -> None:
    async with answering(lambda asked: Yes() if asked.call == "yes" else No()) as client:
        approved = await client.ask("a.b", target="t", arguments={}, call="yes")
        with pytest.raises(sayso.Refused, match="approved, not denied"):
            await client.ask("a.b", target="t", arguments={}, call="x", supersedes=approved.request)
        with pytest.raises(sayso.Refused, match="no such request"):
            await client.ask("a.b", target="t", arguments={}, call="y", supersedes=OLD)


def test_the_command_asks_again_and_prints_what_to_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = denying("too much", changes="half of it")
    monkeypatch.setattr(cli, "_connect", lambda options: client)
    words = ["ask", "a.b", "--target", "t", "--agent", "test-agent", "--call", "one", "--json"]
    assert cli.main([*words, "--cancel-on-disconnect"]) == cli.DENIED
    told = json.loads(capsys.readouterr().out)
    assert (told["error"], told["changes"], told["reason"]) == ("ChangesRequested", "half of it", "too much")
    assert client.asked[0].cancel_on_disconnect
    assert told["request"] == client.asked[0].request


# --- frozen -------------------------------------------------------------------------------------------------------


async def test_a_freeze_is_an_error_of_its_own() -> None:
    frozen = Refuse("not_accepting", "frozen by erin: the gateway misbehaves", remedy="wait until it is unfrozen")
    async with answering(lambda asked: frozen) as client:
        with pytest.raises(sayso.NotAccepting, match="frozen by erin") as caught:
            await client.ask("a.b", target="t", arguments={})
    assert isinstance(caught.value, sayso.Refused)
    assert caught.value.remedy == "wait until it is unfrozen"


# --- saying that we are here --------------------------------------------------------------------------------------


@pytest.mark.redis
async def test_heartbeats_are_sent_while_a_request_that_needs_them_is_open(
    bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect(heartbeat=0.02) as client:
        pending = await client.ask_nowait(**payment, cancel_on_disconnect=True)
        assert await bot.until("heartbeat", 3) == {"v": 1}
        await bot.decide(pending.request, "approved")
        await pending.decision()
        before = len(bot.bodies("heartbeat"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await bot.until("heartbeat", before + 2)  # one may have been on its way
    assert bot.bodies("request")[0]["cancel_on_disconnect"] is True


@pytest.mark.redis
async def test_nobody_else_is_heard_of(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect(heartbeat=0.01) as client:
        await client.ask_nowait(**payment)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await bot.until("heartbeat")


async def test_any_number_of_such_requests_needs_no_task_of_its_own() -> None:
    async with answering(lambda asked: Later()) as client:
        tasks = len(asyncio.all_tasks())
        for number in range(100):
            await client.ask_nowait("a.b", target="t", arguments={}, call=f"c{number}", cancel_on_disconnect=True)
        assert len(asyncio.all_tasks()) == tasks


@pytest.mark.redis
async def test_silence_ends_with_withdrawn(bot: Bot, connect: Connect, payment: dict[str, Any]) -> None:
    async with connect() as client:
        pending = await client.ask_nowait(**payment, cancel_on_disconnect=True)
        await bot.until("request")
        await bot.decide(pending.request, "withdrawn", by=[])  # as the bot does after 90 s
        with pytest.raises(sayso.Withdrawn):
            await pending.decision()


class FlakyLink:
    """A line that fails at first; what came through is kept."""

    def __init__(self, failures: int, *, lasting: bool = False) -> None:
        self.failures = failures
        self.lasting = lasting
        self.tried = 0
        self.sent: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def config(self) -> tuple[bytes | None, bytes | None]:
        return b'{"v":1,"partitions":1}', None

    async def append(self, stream: str, kind: str, body: bytes) -> str:
        self.tried += 1
        if self.tried <= self.failures:
            raise Unavailable("a failover is under way", lasting=self.lasting)
        self.sent.put_nowait((kind, body))
        return f"{self.tried}-0"

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        return [None] * len(keys)

    async def last_id(self, stream: str) -> str:
        return "0-0"

    async def read(self, stream: str, after: str) -> list[Entry]:
        await asyncio.Event().wait()
        return []

    async def aclose(self) -> None:
        pass


async def test_a_heartbeat_that_could_not_be_sent_is_sent_soon_after() -> None:
    link = FlakyLink(failures=2)
    mailbox = Mailbox(link, Address(0, "a"), Pace(heartbeat=0.01, resend=0.01))
    await mailbox.open()
    mailbox.register(("decision", OLD), "request", b"{}", standing=True, beating=True)
    assert await link.sent.get() == ("heartbeat", b'{"v":1}')
    assert link.tried == 3
    await mailbox.aclose()


# --- failovers ----------------------------------------------------------------------------------------------------


async def test_asking_outlasts_a_failover() -> None:
    link = FlakyLink(failures=5)
    mailbox = Mailbox(link, Address(0, "a"), Pace(first_backoff=0.001, most_backoff=0.01))
    await mailbox.open()
    waiter = mailbox.register(("decision", OLD), "request", b"{}", standing=True)
    await mailbox.begin(waiter)
    assert (link.tried, waiter.entry) == (6, "6-0")
    await mailbox.aclose()


async def test_what_somebody_has_to_put_right_is_not_tried_again() -> None:
    link = FlakyLink(failures=5, lasting=True)
    mailbox = Mailbox(link, Address(0, "a"), Pace(submit=3_600))
    await mailbox.open()
    with pytest.raises(Unavailable, match="failover"):
        await mailbox.begin(mailbox.register(("decision", OLD), "request", b"{}", standing=True))
    assert link.tried == 1
    await mailbox.aclose()


@pytest.mark.redis
async def test_a_user_who_may_not_ask_is_told_at_once(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    await bot.acl("SETUSER", "reader", "on", ">secret", "~*", "-@all", "+get", "+xread", "+xrevrange", "+ping")
    async with connect(url=f"unix://reader:secret@{server.socket}", submit=3_600) as client:
        with pytest.raises(sayso.Unavailable, match="no permissions") as caught:
            await client.ask(**payment)
    assert caught.value.lasting


@pytest.mark.redis
async def test_a_request_that_a_failover_forgot_is_sent_again_although_it_was_acknowledged(
    server: Server, bot: Bot, connect: Connect, payment: dict[str, Any]
) -> None:
    async with connect() as client:  # its regular repair comes after five minutes
        pending = await client.ask_nowait(**payment)
        waiting = asyncio.create_task(pending.decision())
        other = await client.ask_nowait(**payment | {"call": "other"})
        await bot.until("request", 2)
        await bot.decide(other.request, "approved")
        await other.decision()  # so what was written before it has been read, too
        assert pending.acknowledged
        server.kill()
        bot.held.clear()
        bot.restart_from_nothing()
        bot.policy = lambda held: "approved"
        server.start()
        assert (await waiting).request == pending.request
    assert bot.bodies("request")[0] == bot.bodies("request")[-1]
