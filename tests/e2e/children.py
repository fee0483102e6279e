"""What forked processes do: the service, whole or breaking off at a chosen step, and agents that ask.

Nothing of this is in the service: a breaking bot is the service with methods of its memory and its platform wrapped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import bot.clock
import bot.courier
import bot.intake
import sayso
from bot.cli import app
from handlers.slack.platform import SlackPlatform
from storage.redis import RedisInbox, RedisStore

PARTS: Mapping[str, type] = {"store": RedisStore, "inbox": RedisInbox, "platform": SlackPlatform}


def run(
    output: Connection,
    environment: Mapping[str, str],
    folder: str,
    work: Callable[[Mapping[str, Any]], None],
    plan: Mapping[str, Any],
) -> None:
    """Become a process of its own: session, environment, folder and output; then work."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a TextIOWrapper in a fresh process
    work(plan)


def serve(plan: Mapping[str, Any]) -> None:
    """`python -m bot serve`; `hasty` shortens the leases, so that what a dead bot held is taken up at once.

    `breaks` names a step at which the process kills itself: {"part": "platform", "method": "post", "when": "before"
    or "after", "nth": 1}.
    """
    if plan.get("hasty"):
        bot.courier.LEASE_MS = bot.clock.LEASE_MS = 300
        bot.intake.ABANDONED_MS = 1
    if breaks := plan.get("breaks"):
        _break_off(PARTS[breaks["part"]], breaks["method"], breaks["when"], breaks["nth"])
    app(["serve"])


def _break_off(part: type, method: str, when: str, nth: int) -> None:
    """Let the process die by its own hand before, or after, the n-th call of a method."""
    original: Callable[..., Awaitable[Any]] = getattr(part, method)
    calls = 0

    async def breaking(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls
        if mine == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await original(*args, **kwargs)
        if mine == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(part, method, breaking)


def ask(plan: Mapping[str, Any]) -> None:
    """An agent: asks one thing, waits, acts on the yes by adding a line to a file, and says each step."""
    asyncio.run(_ask(plan))


async def _ask(plan: Mapping[str, Any]) -> None:
    async with sayso.Sayso.connect(plan["redis"], agent=plan["agent"], trust=plan["trust"]) as client:
        pending = await client.ask_nowait(
            plan["kind"], target=plan["target"], arguments=plan["arguments"], call=plan["call"]
        )
        _say(f"asked {pending.request}")
        try:
            approval = await pending.decision()
            async with approval.spend() as action:
                with open(plan["ledger"], "a", encoding="utf-8") as ledger:  # noqa: ASYNC230 - a line in a local file
                    ledger.write(f"{action.target}\n")
            _say("acted")
        except sayso.NotApproved as exc:
            _say(f"not approved: {type(exc).__name__}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
