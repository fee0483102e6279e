"""The desk where intake entries are read: each is given to the service, and answered as the contract says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from approvals import wire
from approvals.errors import EntryRefused
from approvals.intake import About, Heartbeat, ReportDocument, SpendDocument, read, read_request
from approvals.outline import outline
from approvals.ports import Answer, Entry, Taken
from approvals.request import Request
from approvals.service import Approvals
from approvals.tools import Granted, NotGranted

#: Refusals of entries that are as they should be: kept aside, a flood of them would push out what is worth a look.
_NOTHING_WRONG = frozenset({"rate_limited", "too_many_open", "not_accepting"})


@dataclass(frozen=True)
class Handled:
    """What to tell the sender; `dead_letter` is the reason under which the entry is kept aside, `outline` as what.

    `settled`: the sender was told, and the entry is gone.
    """

    answers: tuple[Answer, ...] = field(default=())
    settled: bool = False
    dead_letter: str | None = None
    outline: bytes = b""


class Desk:
    """Reads entries, one at a time, whoever sent them.

    Errors other than a refusal (a store that is down, a decision that is not replicated yet) are raised: the entry
    then stays unanswered and is taken up again.
    """

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals
        self._by_type: dict[tuple[bool, str], Callable[[Entry, bytes], Awaitable[tuple[Answer, ...] | None]]] = {
            (False, "request"): self._request,
            (False, "withdraw"): self._withdraw,
            (False, "collect"): self._collect,
            (False, "heartbeat"): self._heartbeat,
            (False, "spend"): self._spend,
            (False, "report"): self._report,
            (True, "spend"): self._spend,
            (True, "report"): self._report,
        }

    async def handle(self, entry: Entry) -> Handled:
        """Do what an entry asks for, or refuse it with a reason."""
        try:
            read_it = self._by_type.get((entry.tool, entry.type or ""))
            if read_it is None or entry.body is None:
                raise EntryRefused(
                    "malformed",
                    "an entry has the two fields `type` and `body`, and a type this stream knows",
                    field="type",
                    remedy="see docs/reference/redis-contract.md",
                )
            answers = await read_it(entry, entry.body)
            return Handled(settled=True) if answers is None else Handled(answers)
        except EntryRefused as refusal:
            answers = (wire.refused(entry, refusal),)
            if refusal.reason in _NOTHING_WRONG:
                return Handled(answers)
            return Handled(answers, dead_letter=refusal.reason, outline=outline(entry.body or b""))

    async def _request(self, entry: Entry, body: bytes) -> tuple[Answer, ...] | None:
        taken = Taken(entry, partial(_told_at_once, entry))
        request = await self._approvals.submit(read_request(body), entry.owner, taken=taken)
        if taken.settled:
            return None
        return (wire.pending(entry, request),) if request.decision is None else ()

    async def _withdraw(self, entry: Entry, body: bytes) -> tuple[Answer, ...]:
        await self._approvals.withdraw(entry.owner, read(About, body).request)
        return ()

    async def _collect(self, entry: Entry, body: bytes) -> tuple[Answer, ...]:
        await self._approvals.collect(entry.owner, read(About, body).request)
        return ()

    async def _heartbeat(self, entry: Entry, body: bytes) -> tuple[Answer, ...]:
        read(Heartbeat, body)
        await self._approvals.heartbeat(entry.owner)
        return ()

    async def _spend(self, entry: Entry, body: bytes) -> tuple[Answer, ...]:
        document = read(SpendDocument, body)
        result = await self._approvals.spend(entry.owner, document, partition=entry.partition)
        if isinstance(result, Granted):
            decision = result.request.decision
            jti = decision.jti if decision else None
            return (wire.about_attempt("spend", entry, result.request.id, document.attempt, granted=True, jti=jti),)
        return (_not_granted("spend", entry, document.attempt, result, granted=False),)

    async def _report(self, entry: Entry, body: bytes) -> tuple[Answer, ...]:
        document = read(ReportDocument, body)
        result = await self._approvals.report(entry.owner, document)
        if isinstance(result, NotGranted):
            return (_not_granted("report", entry, document.attempt, result, recorded=False),)
        status = result.status.value
        return (wire.about_attempt("report", entry, result.id, document.attempt, recorded=True, status=status),)


def _told_at_once(entry: Entry, request: Request) -> Answer | None:
    """What the commit of a request may tell its agent: nothing while more has to be done before the entry may go."""
    if request.decision is not None or request.cancel_on_disconnect:
        return None
    return wire.pending(entry, request)


def _not_granted(kind: str, entry: Entry, attempt: str, result: NotGranted, **verdict: bool) -> Answer:
    return wire.about_attempt(
        kind, entry, result.request, attempt, **verdict, reason=result.reason, message=result.message
    )
