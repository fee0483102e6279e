"""What an agent uses: connect, ask, and spend the yes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from sayso.action import Action
from sayso.errors import (
    AlreadySpent,
    ChangesRequested,
    Conflict,
    Denied,
    Expired,
    InvalidRequest,
    Lapsed,
    NotApproved,
    ReceiptInvalid,
    Revoked,
    StillPending,
    TrustMissing,
    Unavailable,
    Withdrawn,
)
from sayso.keys import TrustedKeys
from sayso.link import Link, RedisLink
from sayso.mailbox import Mailbox, Waiter
from sayso.pace import Pace
from sayso.spending import Check, Checker, Clock, Spend, SpentMemory, is_too_old
from sayso.trust import Trust, trust_from
from sayso.verifier import Floors, Receipt
from sayso.wire import (
    Address,
    By,
    DecisionAnswer,
    Deployment,
    Said,
    about_body,
    name,
    partition_of_request,
    request_body,
    within_seconds,
)

if TYPE_CHECKING:
    from sayso.gating import Gate

_log = logging.getLogger("sayso")

_FRESH_ENOUGH = 5.0  #: seconds a receipt must still have, so that a spend is not begun that cannot end in time

_ENDED: dict[str, tuple[type[NotApproved], str]] = {
    "denied": (Denied, "denied"),
    "expired": (Expired, "nobody answered in time, which counts as no"),
    "withdrawn": (Withdrawn, "withdrawn by the agent"),
    "revoked": (Revoked, "the approval was taken back before it was used"),
    "lapsed": (Lapsed, "the approval was not used within its window"),
    "spent": (AlreadySpent, "the approval was already used"),
    "succeeded": (AlreadySpent, "the approval was already used, and the action succeeded"),
    "failed": (AlreadySpent, "the approval was already used, and the action failed"),
    "unknown": (AlreadySpent, "the approval was already used, and nobody knows how the action ended"),
}

_current: ContextVar[Sayso | None] = ContextVar("sayso_client", default=None)


class Sayso:
    """An agent's line to the people who may say yes. Use it as `async with Sayso.connect(…) as sayso`.

    One client serves any number of tasks that wait at once, over one blocking connection. Inside the `async with` it
    is also the client that `@sayso.gate` uses.
    """

    def __init__(
        self,
        link: Link,
        *,
        agent: str,
        trust: Trust,
        audience: str | None = None,
        principal: str | None = None,
        floors: Floors | None = None,
        pace: Pace | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.agent = name(agent, "agent")
        self._link = link
        self._audience = None if audience is None else name(audience, "audience")
        self._principal = principal
        self._pace = pace or Pace()
        self._checker = Checker(trust, floors=floors or Floors(), clock=clock)
        self._memory = SpentMemory(clock)
        self._mailbox: Mailbox | None = None
        self._deployment: Deployment | None = None
        self._token: Token[Sayso | None] | None = None

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        agent: str,
        trust: str | Path | TrustedKeys | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        principal: str | None = None,
        floors: Floors | None = None,
        pace: Pace | None = None,
        clock: Clock = time.time,
    ) -> Self:
        """Prepare a client; the connection is made by `async with` (or `open`).

        `url` is redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (see `sayso.redis_url`). `trust` is
        where the bot's public keys are: the path of a JWKS file or an https URL; without it you can ask, but not
        spend. `issuer` pins the issuer named there. `audience` is the tool that will check the receipts, when that is
        not the agent itself. `principal` is for whom the agent acts, when it has several.
        """
        pace = pace or Pace()
        return cls(
            RedisLink(url, block=pace.block),
            agent=agent,
            trust=trust_from(trust, issuer=issuer),
            audience=audience,
            principal=principal,
            floors=floors,
            pace=pace,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.open()
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        if self._token is not None and _current.get() is self:
            _leave(self._token)
        await self.aclose()

    async def open(self) -> None:
        """Connect; raises Unavailable when Redis or the bot's configuration in it cannot be read.

        Raises Refused, with the lines to add to the policy, for an agent that is not registered there.
        """
        try:
            config, names = await self._link.config()
            self._deployment = Deployment.read(config)
            self._deployment.check_name(names, self.agent, "agents")
            address = Address(self._deployment.partition(self.agent), self.agent)
            mailbox = Mailbox(self._link, address, self._pace)
            await mailbox.open()
        except BaseException:
            await self._link.aclose()
            raise
        self._mailbox = mailbox

    async def aclose(self) -> None:
        """Disconnect; whoever still waits gets Unavailable. Requests live on: ask again with the same `call`."""
        if self._mailbox is not None:
            await self._mailbox.aclose()
        await self._link.aclose()

    async def ask(
        self,
        kind: str,
        *,
        target: str,
        arguments: Mapping[str, Any],
        preconditions: Mapping[str, Any] | None = None,
        call: str | None = None,
        **said: Unpack[Said],
    ) -> Approval:
        """Ask for one action, wait for people, and return their yes; all else is an exception (`sayso.errors`).

        `call` names this step of this run ("run-118/release"): asking again with the same call and action, even after
        a restart, joins the same request. Without it every call of `ask` is a new request, withdrawn when the wait is
        cancelled. `within` ("30m", "PT30M", a timedelta, seconds) can only shorten policy's deadline. `because` is
        shown to the people as the agent's own words. `preconditions` is what must still be true at the last moment,
        checked by `spend(preconditions=…)`.

        An agent that serves many people says with `principal` for whom it asks, and proves it with `principal_token`,
        an identity token of that person; without one, none of those it serves can approve it. The bot looks at the
        token once and keeps it nowhere.

        `supersedes` is the request of a denial that this one answers: `except ChangesRequested as no: …` change it,
        and ask as another call with `supersedes=no.request`; people see what changed. `cancel_on_disconnect` takes
        the question back when this agent has been silent for 90 s: nobody is asked on behalf of a crashed run. The
        client says every 30 s that it is there, for as long as such a request is open.
        """
        this_call = _once() if call is None else call
        try:
            pending = await self.ask_nowait(
                kind,
                target=target,
                arguments=arguments,
                preconditions=preconditions,
                call=this_call,
                **said,
            )
            return await pending.decision()
        except asyncio.CancelledError:
            if call is None:  # nobody can join this request again, so nobody should be asked any longer
                await self._box.in_background(self._abandon(this_call))
            raise

    async def ask_nowait(
        self,
        kind: str,
        *,
        target: str,
        arguments: Mapping[str, Any],
        preconditions: Mapping[str, Any] | None = None,
        call: str | None = None,
        **said: Unpack[Said],
    ) -> Pending:
        """Like `ask`, but return as soon as the request is in Redis; await `decision()` of what you get."""
        action = Action.of(kind, target, arguments, preconditions)
        call = _once() if call is None else call
        said["audience"] = said.get("audience") or self._audience
        said["principal"] = said.get("principal") or self._principal
        body = request_body(action, call=call, **said)
        topic, beating = ("decision", self._where.request_id(self.agent, call)), said.get("cancel_on_disconnect", False)
        waiter = self._box.register(topic, "request", body, standing=True, beating=beating)
        within = said.get("within")
        self._box.limit(waiter, self._pace.patience if within is None else within_seconds(within) + self._pace.grace)
        await self._submit(waiter)
        return Pending(self, waiter, action, call)

    async def decision_of(self, request: str, *, timeout: float | None = None) -> Decision:
        """Wait for what was decided about a request of this agent, whoever made it; `timeout` in seconds.

        This is information, never permission. Raises Refused when there is no such request, StillPending after
        `timeout`.
        """
        if partition_of_request(request) != self._where.partition(self.agent):
            raise InvalidRequest(
                f"{request} is not of this agent", field="request", remedy="ask as the agent that asked"
            )
        waiter = self._box.register(("decision", request), "collect", about_body(request), standing=True)
        self._box.limit(waiter, self._pace.patience)
        await self._submit(waiter)
        return Decision.of(await self._answer(waiter, timeout))

    def gate(self, kind: str, **how: Any) -> Gate:
        """`sayso.gate` for this client, whatever the current one is."""
        from sayso.gating import Gate

        return Gate(kind, client=self, **how)

    # --- for Pending and Approval ----------------------------------------------------------------------------------

    @property
    def _box(self) -> Mailbox:
        if self._mailbox is None:
            raise Unavailable("the client is not connected; use it inside `async with`")
        return self._mailbox

    @property
    def _where(self) -> Deployment:
        if self._deployment is None:
            raise Unavailable("the client is not connected; use it inside `async with`")
        return self._deployment

    async def _submit(self, waiter: Waiter) -> None:
        """Send, and go on waiting for it, unless that cannot be done."""
        try:
            # In a task of its own: Python 3.11's wait_for, inside redis-py, can lose a cancellation that meets a reply.
            await self._box.in_background(self._box.begin(waiter))
        except BaseException:
            self._box.forget(waiter)
            raise

    async def _abandon(self, call: str) -> None:
        request = self._where.request_id(self.agent, call)
        try:
            await self._box.append("withdraw", about_body(request))
        except Unavailable as exc:
            _log.info("the abandoned request %s could not be withdrawn: %s", request, exc)

    async def _answer(self, waiter: Waiter, timeout: float | None) -> DecisionAnswer:
        try:
            async with asyncio.timeout(timeout):
                answer: DecisionAnswer = await asyncio.shield(waiter.future)
        except TimeoutError as exc:
            raise StillPending(f"request {waiter.topic[1]} is still pending after {timeout} s") from exc
        return answer

    async def _approval(self, answer: DecisionAnswer, asked: Action, call: str) -> Approval:
        action = _rejoined(asked, answer)
        if answer.status != "approved":
            raise ended(answer)
        if answer.receipt is None:
            raise ReceiptInvalid("receipt", "an approval came without one")
        approval = Approval(
            request=answer.request,
            call=call,
            action=action,
            receipt=answer.receipt,
            audience=answer.audience or self.agent,
            by=answer.by,
            decided_at=answer.decided_at,
            use_by=answer.use_by,
            _client=self,
        )
        await self._look_at(approval)
        return approval

    async def _look_at(self, approval: Approval) -> None:
        """Refuse a forged approval early. What cannot be checked now is checked by `spend`, without exception."""
        try:
            await self._check(approval, approval.receipt, lambda _: True)
        except ReceiptInvalid as exc:
            if not is_too_old(exc):
                raise
        except (TrustMissing, Unavailable) as exc:
            _log.info("the receipt of %s is not checked yet: %s", approval.request, exc)

    async def _check(self, approval: Approval, compact: str, preconditions: Check | None) -> Receipt:
        receipt = await self._checker.check(
            compact, approval.action, agent=self.agent, audience=approval.audience, preconditions=preconditions
        )
        if receipt.request != approval.request:
            raise ReceiptInvalid("txn", "it is the receipt of another request")
        return receipt

    def _spend(self, approval: Approval, preconditions: Check | None) -> Spend:
        if approval.audience != self.agent:
            raise InvalidRequest(
                f"this receipt is for the tool {approval.audience!r}, only it can spend",
                field="audience",
                remedy="hand approval.receipt and approval.action to that tool",
            )

        async def verify() -> tuple[str, Receipt]:
            compact = await self._fresh(approval)
            return compact, await self._check(approval, compact, preconditions)

        return Spend(
            self._box, approval.action, verify, memory=self._memory, pace=self._pace, clock=self._checker.clock
        )

    async def _fresh(self, approval: Approval) -> str:
        """The approval's receipt, or a newer one with the same spend key when it is (nearly) too old."""
        try:
            old = await self._check(approval, approval.receipt, lambda _: True)
        except ReceiptInvalid as exc:
            if not is_too_old(exc):
                raise
        else:
            if old.expires_at - self._checker.clock() > _FRESH_ENOUGH:
                return approval.receipt
        return await self._collect(approval)

    async def _collect(self, approval: Approval) -> str:
        try:
            async with asyncio.timeout(self._pace.collect):
                answer = await self._newer(approval)
        except TimeoutError as exc:
            raise Unavailable("the receipt is too old, and no fresh one came; nothing was done") from exc
        _rejoined(approval.action, answer)
        if answer.status != "approved" or answer.receipt is None:
            raise ended(answer)
        return answer.receipt

    async def _newer(self, approval: Approval) -> DecisionAnswer:
        """The first decision document that says anything other than the one we have."""
        answer: DecisionAnswer | None = None
        sent = False
        while answer is None or (answer.status == "approved" and answer.receipt == approval.receipt):
            body = about_body(approval.request)
            waiter = self._box.register(("decision", approval.request), "collect", body)
            answer = await self._box.insist(waiter, sent=sent)
            sent = True  # what came may have been on its way before we asked: the answer to our asking is still to come
        return answer


class Pending:
    """A request that people may still answer."""

    __slots__ = ("_client", "_waiter", "action", "call")

    def __init__(self, client: Sayso, waiter: Waiter, action: Action, call: str) -> None:
        self._client = client
        self._waiter = waiter
        self.action = action
        self.call = call

    @property
    def request(self) -> str:
        """The request's id."""
        return self._waiter.topic[1]

    @property
    def acknowledged(self) -> bool:
        """Whether the bot has said that it has the request and people are being asked."""
        return self._waiter.pending is not None

    @property
    def code(self) -> str | None:
        """The short code on the card, like 7F3K-9Q, once acknowledged."""
        return self._waiter.pending.code if self._waiter.pending else None

    @property
    def expires_at(self) -> str | None:
        """Until when people may answer (RFC 3339), once acknowledged."""
        return self._waiter.pending.expires_at if self._waiter.pending else None

    @property
    def done(self) -> bool:
        """Whether `decision()` would return or raise at once."""
        return self._waiter.future.done()

    async def decision(self, timeout: float | None = None) -> Approval:
        """Wait for the decision; returns the yes, raises everything else. After `timeout` seconds: StillPending.

        May be awaited again, and by several tasks.
        """
        answer = await self._client._answer(self._waiter, timeout)
        return await self._client._approval(answer, self.action, self.call)

    async def withdraw(self) -> None:
        """Stop asking; `decision()` then raises Withdrawn, or gives what was decided before."""
        await self._client._box.append("withdraw", about_body(self.request))


@dataclass(frozen=True, slots=True)
class Approval:
    """People said yes to exactly `action`. This is not yet permission: `spend()` is."""

    request: str
    call: str
    action: Action
    receipt: str = field(repr=False)  #: the signed proof, to hand to the tool in `audience`
    audience: str
    by: tuple[By, ...]
    decided_at: str | None
    use_by: str | None
    _client: Sayso = field(repr=False, compare=False)

    def spend(self, *, preconditions: Check | None = None) -> Spend:
        """Verify the receipt, have it marked as used, and act: `async with approval.spend() as action`.

        `preconditions` is given the action's preconditions at the last moment and returns (or awaits to) True when
        they hold. Raises before the body runs, with nothing done: ReceiptInvalid, TrustError, AlreadySpent, Revoked,
        Lapsed, SpendRefused, Unavailable.
        """
        return self._client._spend(self, preconditions)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a request, for people and logs to read. Never permission."""

    request: str
    status: str
    by: tuple[By, ...] = ()
    decided_at: str | None = None
    reason: str | None = None
    changes: str | None = None
    use_by: str | None = None

    @classmethod
    def of(cls, answer: DecisionAnswer) -> Decision:
        """Take from a decision document what is worth reading."""
        return cls(
            request=answer.request,
            status=answer.status,
            by=answer.by,
            decided_at=answer.decided_at,
            reason=answer.reason,
            changes=answer.changes,
            use_by=answer.use_by,
        )


class use:
    """`with sayso.use(client):` makes it the client of `@sayso.gate` here, in this task and those it starts."""

    def __init__(self, client: Sayso) -> None:
        self._client = client
        self._token: Token[Sayso | None] | None = None

    def __enter__(self) -> Sayso:
        """From here on."""
        self._token = _current.set(self._client)
        return self._client

    def __exit__(self, *error: object) -> None:
        """Back to the one before."""
        if self._token is not None:
            _leave(self._token)


def current() -> Sayso | None:
    """The client that `@sayso.gate` would use here."""
    return _current.get()


def ended_as(status: str) -> NotApproved:
    """The exception for a status that is not `approved`, without what else is known."""
    kind, sentence = _ENDED.get(status, (NotApproved, f"not approved: {status}"))
    return kind(sentence)


def ended(answer: DecisionAnswer) -> NotApproved:
    """The exception for a decision that is not an approval."""
    kind, sentence = _ENDED.get(answer.status, (NotApproved, f"not approved: {answer.status}"))
    who = ", ".join(str(by) for by in answer.by)
    message = f"{sentence}{f' by {who}' if who else ''}{f': {answer.reason}' if answer.reason else ''}"
    about: dict[str, Any] = {
        "request": answer.request,
        "reason": answer.reason,
        "by": answer.by,
        "at": answer.decided_at,
    }
    if answer.status == "denied" and answer.changes:
        return ChangesRequested(f"{message}; please change: {answer.changes}", changes=answer.changes, **about)
    return kind(message, **about)


def _rejoined(asked: Action, answer: DecisionAnswer) -> Action:
    """The action under the nonce of this call's first submission; its digest must be the one that was decided."""
    try:
        action = asked.with_nonce(answer.nonce)
    except InvalidRequest as exc:
        raise ReceiptInvalid("nonce", "the decision carries no usable nonce") from exc
    if action.digest() != answer.digest:
        raise Conflict(
            "this call was asked before with another action",
            reason="conflict",
            field="call",
            remedy="use another call for another action",
        )
    return action


def _once() -> str:
    return f"once-{secrets.token_hex(16)}"


def _leave(token: Token[Sayso | None]) -> None:
    try:
        _current.reset(token)
    except ValueError:  # entered in another context (a test fixture): there is nothing to go back to here
        _current.set(None)
