"""Slack in a process of its own: the sandbox with its limits, and somebody who clicks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import aiohttp

from sandbox import Message, Sandbox, Workspace
from sandbox.delivery import payloads
from sandbox.delivery.http import encode, sign
from sandbox.log import Call

TEAM, CHANNEL, ALICE = "T0SAYSO", "C0BENCH", "U0ALICE"
AGENT = "bench"
_PATIENCE: Final = 300.0
APPROVE = "sayso:approve"
POLICY: Final = f"""\
version: 1
defaults:
  factors: [{{from: [people], approvals: 1}}]
  destinations: ["slack:{CHANNEL}"]
people: {{dana: {{}}, alice: {{accounts: ["slack:{TEAM}:{ALICE}"]}}}}
groups: {{people: {{people: [alice]}}}}
agents:
  {AGENT}: {{owner: dana, principals: [dana], kinds: ["*"], limits: {{open: 1000000, per_minute: 1000000}}}}
"""


@dataclass(frozen=True)
class Seen:
    """What stands in the channel: requests that can be answered, messages, when the last was posted (s, Unix).

    `limited` counts the calls that were answered 429, `ignored` those that came before such a wait was over.
    """

    requests: int
    messages: int
    last: float
    limited: int
    ignored: int


@dataclass(frozen=True)
class Slack:
    """The other end of the pipe."""

    pipe: Connection
    api_url: str
    bot_token: str
    signing_secret: str

    def ask(self, what: str, *about: Any) -> Any:
        """Have something done there; blocks."""
        self.pipe.send((what, *about))
        return self.pipe.recv()


def workspace(limits: bool, pipe: Connection) -> None:
    """The process: says "ready" and its address, then does what it is asked."""
    asyncio.run(_serve(limits, pipe))


async def _serve(limits: bool, pipe: Connection) -> None:
    made = Workspace.demo()
    made.add_channel(CHANNEL, "bench", [ALICE, made.app.bot_user])
    async with Sandbox(made, enforce_rate_limits=limits) as sandbox, aiohttp.ClientSession() as session:
        pipe.send("ready")
        pipe.send((sandbox.api_url, sandbox.bot_token, sandbox.signing_secret))
        while True:
            what, *about = await asyncio.to_thread(pipe.recv)
            if what == "connect":
                sandbox.connect_http(*about)
                pipe.send(None)
            elif what == "seen":
                pipe.send(await _seen_at_least(sandbox, *about))
            elif what == "click":
                pipe.send(await _click_on_the_last(sandbox))
            else:
                pipe.send(await Clicker(sandbox, session).run(*about))


async def _seen_at_least(sandbox: Sandbox, count: int) -> Seen:
    """What is to be seen, once there are so many requests, or a long time has passed."""
    with suppress(TimeoutError):
        await sandbox.wait_for(lambda: _seen(sandbox).requests >= count or None, timeout=_PATIENCE)
    return _seen(sandbox)


def _seen(sandbox: Sandbox) -> Seen:
    messages = sandbox.messages(CHANNEL)
    calls = sandbox.log.calls
    return Seen(
        requests=len({value for message in messages for value in _approvals(message)}),
        messages=len(messages),
        last=max((float(message.ts) for message in messages), default=0.0),
        limited=sum(call.status == 429 for call in calls),
        ignored=_ignored(calls),
    )


def _approvals(message: Message) -> list[str]:
    """What the Approve buttons of a message carry."""
    elements = [element for block in message.blocks for element in block.get("elements", [])]
    return [element["value"] for element in elements if element.get("action_id") == APPROVE]


def _ignored(calls: Sequence[Call]) -> int:
    """Calls of a method within a second after it was answered 429: no Retry-After is shorter."""
    until: dict[tuple[str, str], float] = {}
    ignored = 0
    for call in calls:
        which = (call.method, str(call.args.get("channel")))
        ignored += call.at < until.get(which, 0.0)
        if call.status == 429:
            until[which] = call.at + 1.0
    return ignored


async def _click_on_the_last(sandbox: Sandbox) -> bool:
    """Approve the last row of the last message; whether that was acknowledged."""
    message = sandbox.messages(CHANNEL)[-1]
    delivery = await sandbox.click(ALICE, CHANNEL, message.ts, APPROVE, value=_approvals(message)[-1])
    return delivery.ok


class Clicker:
    """Sends signed clicks as Slack does."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._sandbox = sandbox
        self._session = session

    async def run(
        self, cards: Sequence[tuple[str, str]], at_once: int, per_second: int
    ) -> tuple[Sequence[float], float]:
        """Click Approve on each of the cards (ts and value); the seconds of each acknowledged click, and of all.

        So many are on their way `at_once`; or they begin at a pace, whatever became of those before.
        """
        began = time.perf_counter()
        if per_second:
            clicks = [self._at(began + number / per_second, card) for number, card in enumerate(cards)]
        else:
            gate = asyncio.Semaphore(at_once)
            clicks = [self._behind(gate, card) for card in cards]
        took = await asyncio.gather(*clicks)
        return [one for one in took if one is not None], time.perf_counter() - began

    async def _at(self, when: float, card: tuple[str, str]) -> float | None:
        await asyncio.sleep(when - time.perf_counter())
        return await self._click(*card)

    async def _behind(self, gate: asyncio.Semaphore, card: tuple[str, str]) -> float | None:
        async with gate:
            return await self._click(*card)

    async def _click(self, ts: str, value: str) -> float | None:
        """The seconds until a click was acknowledged; None: it was not."""
        content_type, body = encode("block_actions", self._payload(ts, value))
        at = str(int(time.time()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": sign(self._sandbox.signing_secret, at, body),
        }
        began = time.perf_counter()
        url = str(self._sandbox.workspace.app.request_url)
        async with self._session.post(url, data=body.encode(), headers=headers) as answer:
            await answer.read()
            return time.perf_counter() - began if answer.status == 200 else None

    def _payload(self, ts: str, value: str) -> dict[str, Any]:
        place = self._sandbox.workspace
        message = Message(CHANNEL, ts, place.app.bot_user, "", bot=place.bot_fields())
        action = {"type": "button", "action_id": APPROVE, "block_id": "b", "value": value, "action_ts": ts}
        extras = {
            "trigger_id": self._sandbox.slack.triggers.issue(ALICE),
            "response_url": self._sandbox.slack.response_urls.issue(CHANNEL, ALICE, ts),
        }
        return payloads.message_actions(place, place.users[ALICE], place.channels[CHANNEL], message, action, extras)
