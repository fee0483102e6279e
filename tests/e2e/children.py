"""What forked processes do: the service, whole or breaking off at a chosen step, and agents that ask.

Nothing of this is in the service: a breaking bot is the service with methods of its memory and its platform wrapped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import bot.clock
import bot.courier
import bot.house
import bot.intake
import sayso
from approvals import receipt as receipts
from approvals.errors import SignerUnavailable
from approvals.ports import Account
from bot.cli import app
from bot.settings import Settings
from bot.signing import FileSigner
from handlers.slack.platform import SlackPlatform
from handlers.teams.platform import TeamsPlatform
from storage.redis import RedisInbox, RedisStore
from storage.redis.outbox import RedisOutbox
from storage.redis.shelf import RedisShelf
from storage.redis.windows import RedisWindows

PARTS: Mapping[str, type] = {
    "store": RedisStore,
    "outbox": RedisOutbox,
    "shelf": RedisShelf,
    "windows": RedisWindows,
    "inbox": RedisInbox,
    "platform": SlackPlatform,
    "teams": TeamsPlatform,
    "signer": FileSigner,
}


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
    or "after", "nth": 1}; with "how": "stop" it says so and stops until SIGCONT. `tells` names the methods
    ("store.update") whose calls it says. `freezes` lets an operator freeze a kind whenever SIGUSR1 comes: {"kind",
    "reason", "tenant", "user"}. While the file `unsigned` exists, the signer signs no receipt.
    """
    if plan.get("hasty"):
        bot.courier.LEASE_MS = bot.clock.LEASE_MS = 300
        bot.intake.ABANDONED_MS = 1
    if breaks := plan.get("breaks"):
        end = _stop if breaks.get("how") == "stop" else _die
        _break_off(PARTS[breaks["part"]], breaks["method"], breaks["when"], breaks["nth"], end)
    for name in plan.get("tells", ()):
        _tell(*name.split("."))
    if unsigned := plan.get("unsigned"):
        _sign_nothing_while(Path(unsigned))
    if freezes := plan.get("freezes"):
        _freeze_when_told(freezes)
    app(["serve"])


def _break_off(part: type, method: str, when: str, nth: int, end: Callable[[], None]) -> None:
    """Let the process die by its own hand before, or after, the n-th call of a method."""
    original: Callable[..., Awaitable[Any]] = getattr(part, method)
    calls = 0

    async def breaking(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += _is_counted(original, args)
        mine = calls if _is_counted(original, args) else 0
        if mine == nth and when == "before":
            end()
        answer = await original(*args, **kwargs)
        if mine == nth and when == "after":
            end()
        return answer

    setattr(part, method, breaking)


def _is_counted(method: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """All calls are, but for what comes with time: heads of the journal that are signed, bots that say they run."""
    if method.__name__ == "sign":
        return receipts.TYP in args
    return not any(isinstance(arg, str) and arg.startswith("replicas") for arg in args)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    _say(f"stopped {os.getpid()}")
    os.kill(os.getpid(), signal.SIGSTOP)


def _tell(part: str, method: str) -> None:
    """Say every call of a method before it is made, with its number."""
    original: Callable[..., Awaitable[Any]] = getattr(PARTS[part], method)
    calls = 0

    async def telling(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if _is_counted(original, args):
            calls += 1
            _say(f"port {part} {method} {calls}")
        return await original(*args, **kwargs)

    setattr(PARTS[part], method, telling)


def _sign_nothing_while(down: Path) -> None:
    """Let the signer be unavailable for receipts while a file exists, as a KMS is while its network is cut."""
    original = FileSigner.sign

    async def signing(self: FileSigner, typ: str, claims: Mapping[str, Any]) -> str:
        if typ == receipts.TYP and down.exists():  # noqa: ASYNC240 - a local file, in a test's own process
            _say("unsigned")
            raise SignerUnavailable("the test has cut the line to the signer")
        return await original(self, typ, claims)

    FileSigner.sign = signing  # type: ignore[method-assign] # this process is the test's own


def _freeze_when_told(about: Mapping[str, str]) -> None:
    """A door of the test's own, for what no other door offers: SIGUSR1 is an operator who freezes a kind."""
    opened = bot.house.open_house

    @asynccontextmanager
    async def with_a_door(settings: Settings) -> AsyncIterator[bot.house.House]:
        async with opened(settings) as house:
            loop, work = asyncio.get_running_loop(), set[asyncio.Task[None]]()
            loop.add_signal_handler(signal.SIGUSR1, lambda: work.add(loop.create_task(_freeze(house, about))))
            _say(f"freezes {os.getpid()}")
            yield house

    bot.house.open_house = with_a_door


async def _freeze(house: bot.house.House, about: Mapping[str, str]) -> None:
    operator = Account("slack", about["tenant"], about["user"])
    done = await house.approvals.operators.freeze(operator, "kind", about["kind"], about["reason"])
    _say(f"froze {type(done).__name__}")


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
