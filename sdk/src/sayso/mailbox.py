"""One reader for any number of waiters: it routes answers, and repairs what a lost connection may have lost.

A waiter is registered before its entry is appended, so no answer can be missed; an answer that comes before Redis has
even told us the id of our entry is kept until it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from sayso.errors import Conflict, NotAccepting, Refused, Unavailable
from sayso.link import Entry, Link
from sayso.pace import Pace
from sayso.wire import (
    Address,
    Answer,
    DecisionAnswer,
    PendingAnswer,
    RefusedAnswer,
    ReportAnswer,
    SpendAnswer,
    heartbeat_body,
    read_answer,
    read_decision,
)

_log = logging.getLogger("sayso")
#: refusals kept for entries whose ids we do not know yet; other processes' refusals are among them
_MOST_EARLY = 10_000

Topic = tuple[str, str]  #: what is waited for: ("decision", request id), ("spend", attempt) or ("report", attempt)


class Acknowledged(NamedTuple):
    """What is kept of a `pending` answer: the whole of it would be a third of a waiter."""

    code: str | None
    expires_at: str | None


class Waiter:
    """Somebody who waits for one answer; small, for there may be ten thousand."""

    __slots__ = ("beating", "body", "deadline", "entry", "future", "heard", "kind", "pending", "standing", "topic")

    def __init__(self, topic: Topic, kind: str, body: bytes, *, standing: bool, beating: bool) -> None:
        loop = asyncio.get_running_loop()
        self.topic = topic
        self.kind = kind
        self.body = body
        self.standing = standing  #: what already stands under the decision key will do; mailbox repairs the request
        self.beating = beating  #: while this waits, the bot is told that we are here
        self.future: asyncio.Future[Any] = loop.create_future()
        self.entry: str | None = None  #: the id of the newest entry that carried it
        self.heard = loop.time()  #: when anything was last heard or sent about it, on the loop's clock
        self.pending: Acknowledged | None = None  #: the bot's word that it has the request
        self.deadline: asyncio.TimerHandle | None = None


class Mailbox:
    """The two streams of one party, shared by everyone in this process who waits for an answer there."""

    def __init__(self, link: Link, address: Address, pace: Pace) -> None:
        self._link = link
        self._address = address
        self._pace = pace
        self._waiters: dict[Topic, list[Waiter]] = {}
        self._entries: dict[str, Waiter] = {}
        self._appending = 0
        self._early: dict[str, RefusedAnswer] = {}
        self._after = "0-0"
        self._overdue: list[Waiter] = []
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._doubted: float | None = None  #: when we last came back to a Redis that may have forgotten something

    async def open(self) -> None:
        """Note where the out stream ends, and start reading from there."""
        self._after = await self._link.last_id(self._address.outbox)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep())]

    async def aclose(self) -> None:
        """Let background work end, stop reading, and tell every waiter that nothing will come any more."""
        self._closed = True
        if self._background:
            await asyncio.wait(self._background, timeout=self._pace.report)
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            # Again after a moment: a cancellation that is lost (see _read) would else cost a whole block.
            await asyncio.wait(running, timeout=0.05)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiter in self._everyone():
            self._fail(waiter, Unavailable("the client was closed while this was waiting; nothing was approved"))

    def register(
        self, topic: Topic, kind: str, body: bytes, *, standing: bool = False, beating: bool = False
    ) -> Waiter:
        """Make a waiter for `topic`, whose entry will be (`kind`, `body`).

        `standing`: the decision that is already stored will do, and the mailbox itself repairs what was lost. Others
        are carried by `insist`. `beating`: heartbeats are sent for as long as it waits.
        """
        if self._closed:
            raise Unavailable("the client is closed")
        waiter = Waiter(topic, kind, body, standing=standing, beating=beating)
        self._waiters.setdefault(topic, []).append(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Nobody waits for this any more."""
        group = self._waiters.get(waiter.topic, [])
        if waiter in group:
            group.remove(waiter)
        if not group:
            self._waiters.pop(waiter.topic, None)
        if waiter.entry is not None:
            self._entries.pop(waiter.entry, None)
        if waiter.deadline is not None:
            waiter.deadline.cancel()

    def limit(self, waiter: Waiter, seconds: float) -> None:
        """From now on, give up on this waiter after `seconds`."""
        if waiter.deadline is not None:
            waiter.deadline.cancel()
        waiter.deadline = asyncio.get_running_loop().call_later(seconds, self._time_is_up, waiter)

    async def submit(self, waiter: Waiter) -> None:
        """Append the waiter's entry, again if need be; raises Unavailable when that cannot be done."""
        self._appending += 1
        try:
            entry = await self._link.append(self._address.inbox, waiter.kind, waiter.body)
            self._sent(waiter, entry)
        finally:
            self._appending -= 1
            if not self._appending:
                self._early.clear()

    async def begin(self, waiter: Waiter) -> None:
        """Submit, however often it takes to outlast a failover; then look once whether it was decided before."""
        loop = asyncio.get_running_loop()
        deadline, failures = loop.time() + self._pace.submit, 0
        while True:
            try:
                await self.submit(waiter)
                return await self.look([waiter])
            except Unavailable as exc:
                failures += 1
                pause = self._pace.backoff(failures)
                if exc.lasting or self._closed or loop.time() + pause > deadline:
                    raise
                _log.info("%s; trying again", exc)
            await asyncio.sleep(pause)

    async def append(self, kind: str, body: bytes) -> None:
        """Append an entry whose answer nobody waits for."""
        await self._link.append(self._address.inbox, kind, body)

    async def look(self, waiters: Iterable[Waiter]) -> None:
        """Look at the decision keys of these waiters, and answer those that are decided."""
        asked = [waiter for waiter in waiters if waiter.standing]
        keys = [self._address.decision_key(waiter.topic[1]) for waiter in asked]
        if not keys:
            return
        for waiter, raw in zip(asked, await self._link.documents(keys), strict=True):
            decision = read_decision(raw)
            if decision is not None and decision.request == waiter.topic[1]:
                self._succeed(waiter, decision)

    async def insist(self, waiter: Waiter, *, sent: bool = False) -> Any:
        """Submit (unless `sent` already), and submit again, until the answer is there; the caller sets the time-out."""
        try:
            while not waiter.future.done():
                if not sent:
                    await self._try_to_submit(waiter)
                sent = False
                await asyncio.wait({waiter.future}, timeout=self._pace.resend)
            return waiter.future.result()
        finally:
            self.forget(waiter)

    def in_background(self, work: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """Do something that goes on when its caller is cancelled, and that `aclose` waits for."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return asyncio.shield(task)

    def _everyone(self) -> list[Waiter]:
        return [waiter for group in self._waiters.values() for waiter in group]

    async def _try_to_submit(self, waiter: Waiter) -> None:
        try:
            await self.submit(waiter)
        except Unavailable as exc:
            _log.info("%s: %s; trying again", waiter.kind, exc)

    def _sent(self, waiter: Waiter, entry: str) -> None:
        if waiter.entry is not None:
            self._entries.pop(waiter.entry, None)
        waiter.entry = entry
        waiter.heard = asyncio.get_running_loop().time()
        if waiter.future.done() or waiter not in self._waiters.get(waiter.topic, []):
            return
        self._entries[entry] = waiter
        if (refused := self._early.pop(entry, None)) is not None:
            self._refuse(waiter, refused)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read until closed; after a lost connection, catch up first."""
        failures = 0
        # Not for ever: a cancellation that meets an arriving answer can be lost in Python 3.11's wait_for.
        while not self._closed:
            try:
                if failures:
                    await self._catch_up()
                entries = await self._link.read(self._address.outbox, self._after)
                if not entries:
                    await self.look(self._everyone())
            except Unavailable as exc:
                failures += 1
                _log.warning("%s; attempt %d to come back follows", exc, failures)
                await asyncio.sleep(self._pace.backoff(failures))
                continue
            failures = 0
            for entry in entries:
                self._after = entry.id
                self._deliver(entry)

    async def _catch_up(self) -> None:
        """After a reconnect: mend our place in the stream, look at every decision, send what was never acknowledged.

        A failover may have lost what was acknowledged, too: the keeper sends that again, while we read on.
        """
        doubted = asyncio.get_running_loop().time()
        newest = await self._link.last_id(self._address.outbox)
        if _order(newest) < _order(self._after):  # the stream was lost, or another server's clock is behind
            self._after = newest
        await self.look(self._everyone())
        await self._submit_again([w for w in self._everyone() if w.standing and w.pending is None])
        self._doubted = doubted
        self._wake.set()

    async def _submit_again(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                await self.submit(waiter)

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Give up on waiters whose time is over, repair those about whom nothing is heard, say that we are here."""
        now = asyncio.get_running_loop().time
        repair, heartbeat = now() + self._pace.repair, now() + self._pace.heartbeat
        while not self._closed:
            await self._woken(min(repair, heartbeat))
            if self._doubted is not None or now() >= repair:
                repair = now() + (self._pace.repair if await self._repair() else self._pace.resend)
            if now() >= heartbeat:
                heartbeat = now() + (self._pace.heartbeat if await self._beat() else self._pace.resend)
            await self._give_up()

    async def _woken(self, at: float) -> None:
        """Sleep until it is time, or there is something to do."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._wake.wait()
        self._wake.clear()

    async def _repair(self) -> bool:
        """Look after every request that was long silent, or may be forgotten since; False: that is still to be done."""
        doubted = self._doubted
        silent_since = asyncio.get_running_loop().time() - self._pace.repair / 2
        before = silent_since if doubted is None else max(silent_since, doubted)
        silent = [w for w in self._everyone() if w.standing and w.heard <= before]
        try:
            await self.look(silent)
            await self._submit_again(silent)
        except Unavailable as exc:
            _log.info("%s; the repair is tried again later", exc)
            return False
        if self._doubted == doubted:
            self._doubted = None
        return True

    async def _beat(self) -> bool:
        """Say that we are here, if anybody's request depends on it; False: it could not be said."""
        if not any(waiter.beating for waiter in self._everyone()):
            return True
        try:
            await self.append("heartbeat", heartbeat_body())
        except Unavailable as exc:
            _log.warning("%s; the heartbeat is tried again", exc)
            return False
        return True

    def _time_is_up(self, waiter: Waiter) -> None:
        self._overdue.append(waiter)
        self._wake.set()

    async def _give_up(self) -> None:
        """One last look at the decision, for those whose time is over."""
        overdue, self._overdue = self._overdue, []
        try:
            await self.look(overdue)
        except Unavailable as exc:
            _log.info("%s; giving up without a last look", exc)
        for waiter in overdue:
            self._fail(waiter, Unavailable("no decision came before the deadline and its grace; nothing was approved"))

    # --- delivering ------------------------------------------------------------------------------------------------

    def _deliver(self, entry: Entry) -> None:
        answer = read_answer(entry.type, entry.body)
        if isinstance(answer, PendingAnswer):
            self._acknowledge(answer, entry.id)
        elif isinstance(answer, RefusedAnswer):
            self._route_refusal(answer)
        elif answer is not None:
            for waiter in list(self._waiters.get(_topic(answer), [])):
                self._succeed(waiter, answer)

    def _acknowledge(self, answer: PendingAnswer, entry_id: str) -> None:
        for waiter in self._waiters.get(("decision", answer.request), []):
            waiter.pending = Acknowledged(answer.code, answer.expires_at)
            waiter.heard = asyncio.get_running_loop().time()
            if (left := _seconds_left(answer.expires_at, entry_id)) is not None:
                self.limit(waiter, left + self._pace.grace)

    def _route_refusal(self, answer: RefusedAnswer) -> None:
        waiter = self._entries.get(answer.entry)
        if waiter is not None:
            self._refuse(waiter, answer)
        elif self._appending and len(self._early) < _MOST_EARLY:  # perhaps ours: Redis has not told us the id yet
            self._early[answer.entry] = answer

    def _refuse(self, waiter: Waiter, answer: RefusedAnswer) -> None:
        if waiter.pending is not None and answer.reason != "conflict":
            return  # a repair was refused, but the bot has the request: the first submission stands
        refusal = _refusal_of(answer)(
            answer.message or answer.reason,
            reason=answer.reason,
            field=answer.field,
            remedy=answer.remedy,
            retry_after=answer.retry_after,
        )
        self._fail(waiter, refusal)

    def _succeed(self, waiter: Waiter, answer: Answer) -> None:
        if not waiter.future.done():
            waiter.future.set_result(answer)
        self.forget(waiter)

    def _fail(self, waiter: Waiter, error: Exception) -> None:
        if not waiter.future.done():
            waiter.future.set_exception(error)
            waiter.future.exception()  # seen: a Pending that nobody awaits is no reason for a warning
        self.forget(waiter)


def _topic(answer: Answer) -> Topic:
    if isinstance(answer, DecisionAnswer):
        return ("decision", answer.request)
    if isinstance(answer, SpendAnswer):
        return ("spend", answer.attempt)
    return ("report", answer.attempt) if isinstance(answer, ReportAnswer) else ("", "")


def _refusal_of(answer: RefusedAnswer) -> type[Refused]:
    if answer.reason == "not_accepting":
        return NotAccepting
    # What a request supersedes can be in conflict too (it was not denied): that is no other action under this call.
    return Conflict if answer.reason == "conflict" and answer.field in ("call", None) else Refused


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _seconds_left(expires_at: str | None, entry_id: str) -> float | None:
    """From now to the deadline, which is Redis time, as is the answer's own entry id.

    After a failover ids can run ahead of the time; where our own clock is behind them, it is believed instead: waiting
    too long harms nobody.
    """
    if expires_at is None:
        return None
    try:
        moment = datetime.fromisoformat(expires_at).timestamp()
    except ValueError:
        return None
    return max(0.0, moment - min(_order(entry_id)[0] / 1000, time.time()))
