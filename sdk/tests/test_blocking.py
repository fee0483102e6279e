"""The blocking face: the same client, without asyncio."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sayso
from sayso import blocking
from sayso.testing import Later, Yes, answering, approving, denying, silent

if TYPE_CHECKING:
    from sdk.tests.conftest import Bot, Server


def test_asking_and_spending_without_asyncio() -> None:
    scripted = approving("alice", "bob")
    with blocking.face(scripted) as client:
        approval = client.ask("payments.release", target="bank:acme", arguments={"amount": "1.00"})
        assert [by.person for by in approval.by] == ["alice", "bob"]
        with approval.spend() as action:
            assert action.arguments == {"amount": "1.00"}
        with pytest.raises(sayso.AlreadySpent), approval.spend():
            pytest.fail("must not run")
    assert scripted.outcomes == ["succeeded"]


def test_exceptions_are_the_same() -> None:
    with blocking.face(denying("no", changes="less")) as client, pytest.raises(sayso.ChangesRequested):
        client.ask("a.b", target="t", arguments={})
    with blocking.face(silent()) as client, pytest.raises(sayso.Expired):
        client.ask("a.b", target="t", arguments={})


def test_an_exception_inside_is_reported() -> None:
    scripted = approving()
    with blocking.face(scripted) as client:
        approval = client.ask("a.b", target="t", arguments={})
        with pytest.raises(ZeroDivisionError), approval.spend():
            raise ZeroDivisionError
    assert scripted.outcomes == ["unknown"]


def test_a_pending_request_may_be_waited_for_in_a_thread() -> None:
    with blocking.face(answering(lambda asked: Later())) as client:
        pending = client.ask_nowait("a.b", target="t", arguments={}, call="c")
        with pytest.raises(sayso.StillPending):
            pending.decision(timeout=0.01)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(pending.decision()))
        thread.start()
        client.decide(pending.request, Yes())
        thread.join()
        assert found[0].call == "c"
        assert "Pending" in repr(pending)


def test_a_tool_has_a_blocking_face_too() -> None:
    scripted = approving(audience="bank")
    with blocking.face(scripted) as client:
        approval = client.ask("a.b", target="t", arguments={"x": 1})
        with client.tool("bank") as tool, tool.spend(approval.receipt, approval.action, agent="test-agent") as action:
            assert action.arguments == {"x": 1}
    assert scripted.outcomes == ["succeeded"]


def test_a_closed_client_says_so() -> None:
    with blocking.face(approving()) as client:
        pass
    with pytest.raises(sayso.SaysoError, match="closed"):
        client.ask("a.b", target="t", arguments={})


def test_no_thread_is_left_behind() -> None:
    with blocking.face(approving()) as client:
        client.ask("a.b", target="t", arguments={})
    with pytest.raises(sayso.Unavailable), blocking.Sayso.connect("unix:///nonexistent", agent="a"):
        pytest.fail("there is no Redis")
    assert not [thread for thread in threading.enumerate() if thread.name == "sayso"]


@pytest.mark.redis
async def test_it_works_over_redis(bot: Bot, server: Server, jwks: Path) -> None:
    bot.policy = lambda held: "approved"

    def work() -> dict[str, Any]:
        with blocking.Sayso.connect(server.url, agent="payments-bot", trust=jwks) as client:
            approval = client.ask("payments.release", target="bank:acme", arguments={"amount": "1.00"})
            with approval.spend() as action:
                arguments: dict[str, Any] = action.arguments
                return arguments

    assert await asyncio.to_thread(work) == {"amount": "1.00"}
    assert bot.bodies("report")[-1]["outcome"] == "succeeded"
