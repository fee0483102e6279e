"""Using an approval, once: verify, spend, act, report. The same for agents that act themselves and for tools."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

from sayso.action import Action, new_nonce
from sayso.errors import (
    AlreadySpent,
    Lapsed,
    NotApproved,
    NotDone,
    ReceiptInvalid,
    Refused,
    Revoked,
    SpendRefused,
    Unavailable,
)
from sayso.mailbox import Mailbox
from sayso.pace import Pace
from sayso.trust import Trust
from sayso.verifier import SKEW, Floors, Receipt, Verifier, peek_kid
from sayso.wire import ReportAnswer, SpendAnswer, report_body, spend_body

_log = logging.getLogger("sayso")

Clock = Callable[[], float]  #: seconds since the epoch
Check = Callable[[Mapping[str, Any]], bool | Awaitable[bool]]  #: whether an action's preconditions hold

_REFUSALS: dict[str | None, type[NotApproved]] = {"already_spent": AlreadySpent, "lapsed": Lapsed, "revoked": Revoked}


class SpentMemory:
    """Every spend key this process has used, until the receipt's end: the second use is refused without asking."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def claim(self, receipt: Receipt) -> None:
        """Remember a spend key; raises AlreadySpent when it is remembered already."""
        now = self._clock()
        self._until = {jti: until for jti, until in self._until.items() if until > now}
        if receipt.jti in self._until:
            raise AlreadySpent("this approval was used before, in this process", request=receipt.request)
        self._until[receipt.jti] = receipt.expires_at + SKEW

    def release(self, receipt: Receipt) -> None:
        """Forget a spend key for which the bot did not grant the spend."""
        self._until.pop(receipt.jti, None)


class Checker:
    """Verifies receipts for one audience with whatever keys `trust` gives now."""

    def __init__(self, trust: Trust, *, floors: Floors, clock: Clock) -> None:
        self._trust = trust
        self._floors = floors
        self.clock = clock

    async def check(
        self, compact: str, action: Action, *, agent: str, audience: str, preconditions: Check | None
    ) -> Receipt:
        """See Verifier.verify; raises ReceiptInvalid, TrustError or Unavailable."""
        trusted = await self._trust.for_kid(peek_kid(compact))
        holds = await _ask(preconditions, action)
        verifier = Verifier(trusted, audience=audience, floors=self._floors)
        return verifier.verify(
            compact,
            action,
            agent=agent,
            at=self.clock(),
            preconditions=None if preconditions is None else lambda _: holds,
        )


class Spend(AbstractAsyncContextManager[Action]):
    """`async with … as action`: inside, the approval is spent and yours to carry out, exactly as in `action`, once.

    Leaving normally reports `succeeded`; raising NotDone reports `failed`; anything else reports `unknown`.
    Exceptions go on.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        action: Action,
        verify: Callable[[], Awaitable[tuple[str, Receipt]]],
        *,
        memory: SpentMemory,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._mailbox = mailbox
        self._action = action
        self._verify = verify
        self._memory = memory
        self._pace = pace
        self._clock = clock
        self._attempt = new_nonce()
        self._receipt: Receipt | None = None

    async def __aenter__(self) -> Action:
        """Verify the receipt, have the bot check once more and mark it spent, and hand out the approved action."""
        action = self._action.copy()  # what is verified is what is handed out, whatever happens to the original
        compact, receipt = await self._verify()
        if receipt.expires_at <= self._clock():
            raise ReceiptInvalid("exp", "too old to be spent; have the agent collect a fresh one")
        self._memory.claim(receipt)
        answer = await self._asked(compact, receipt)
        if not answer.granted:
            self._memory.release(receipt)
            raise _refusal(answer, receipt)
        if answer.jti != receipt.jti or self._clock() >= receipt.expires_at:
            await self._call_off(receipt)
            raise Unavailable("the spend was granted too late, or for another approval; nothing was done")
        self._receipt = receipt
        return action

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Report how it ended, even when the task is being cancelled."""
        if self._receipt is None:
            return
        outcome, note = _outcome(error)
        body = report_body(self._receipt.request, self._attempt, outcome, note)
        in_a_hurry = isinstance(error, asyncio.CancelledError)
        await self._mailbox.in_background(self._append(body) if in_a_hurry else self._send(body, outcome))

    async def _asked(self, compact: str, receipt: Receipt) -> SpendAnswer:
        """Ask until answered, refused or out of time; whatever ends it without an answer, the spend is called off."""
        waiter = self._mailbox.register(("spend", self._attempt), "spend", spend_body(compact, self._attempt))
        try:
            async with asyncio.timeout(min(self._pace.spend, receipt.expires_at - self._clock())):
                answer: SpendAnswer = await self._mailbox.insist(waiter)
                return answer
        except TimeoutError as exc:
            await self._call_off(receipt)
            raise Unavailable("no answer to the spend in time; nothing was done, and this approval is used up") from exc
        except Refused:
            self._memory.release(receipt)
            raise
        except BaseException:
            await self._call_off(receipt)
            raise

    async def _call_off(self, receipt: Receipt) -> None:
        """Should the spend be granted after all: it stands before this report in the stream, and nothing was done."""
        body = report_body(receipt.request, self._attempt, "failed", "the tool stopped waiting and did nothing")
        await self._mailbox.in_background(self._append(body))

    async def _append(self, body: bytes) -> None:
        try:
            await self._mailbox.append("report", body)
        except Unavailable as exc:
            _log.warning("the outcome could not be reported, a person will have to resolve it: %s", exc)

    async def _send(self, body: bytes, outcome: str) -> None:
        """Report until it is written down; never raises, for the action is what it is by now."""
        try:
            waiter = self._mailbox.register(("report", self._attempt), "report", body)
            async with asyncio.timeout(self._pace.report):
                answer: ReportAnswer = await self._mailbox.insist(waiter)
            if not answer.recorded:
                _log.warning("the outcome %s was not recorded: %s", outcome, answer.message or answer.reason)
        except (Refused, Unavailable, TimeoutError) as exc:
            _log.warning("the outcome %s could not be reported, a person will have to resolve it: %r", outcome, exc)


def _outcome(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return "succeeded", ""
    if isinstance(error, NotDone):
        return "failed", str(error)
    return "unknown", type(error).__name__  # its text may hold a secret


def _refusal(answer: SpendAnswer, receipt: Receipt) -> NotApproved:
    message = answer.message or f"the bot refused the spend: {answer.reason}"
    if kind := _REFUSALS.get(answer.reason):
        return kind(message, request=receipt.request, reason=answer.message or None)
    return SpendRefused(message, code=answer.reason or "unknown", request=receipt.request)


async def _ask(preconditions: Check | None, action: Action) -> bool:
    if preconditions is None or not action.preconditions:
        return False
    holds = preconditions(action.copy().preconditions)
    return (await holds if inspect.isawaitable(holds) else holds) is True


def is_too_old(error: ReceiptInvalid) -> bool:
    """Whether a fresh receipt would help."""
    return error.step == "exp"
