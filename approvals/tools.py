"""What tools are answered: may they act on a receipt, and how did it end (DESIGN §5: spending goes through the bot)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals import receipt as receipts
from approvals.action import partition_of_request
from approvals.arrangements import Arranged, Arrangements
from approvals.commits import binding, change_of, home, record_of, still_in_force, under_policy
from approvals.errors import DirectoryUnavailable, EntryRefused, NotFound, OutsideWindow
from approvals.intake import ReportDocument, SpendDocument
from approvals.lifecycle import Event, Status
from approvals.people import UNCHECKED, NotAllowed, account_of, may_break_glass, standing_votes
from approvals.policy import Policy
from approvals.ports import Change, Directory, Policies, SecretDetector, Signer, Store, Stored
from approvals.publishing import Publisher
from approvals.request import Request
from approvals.terms import Terms


@dataclass(frozen=True)
class Granted:
    """The tool may act, now, once."""

    request: Request


@dataclass(frozen=True)
class NotGranted:
    """The tool must not act; `reason` is one of the contract's codes."""

    request: str
    reason: str
    message: str


class Tools:
    """Spending and reporting."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        policies: Policies,
        signer: Signer,
        publisher: Publisher,
        nudge: Callable[[], None],
        held: Callable[[], bool],
        detector: SecretDetector | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._signer = signer
        self._publisher = publisher
        self._nudge = nudge
        self._held = held
        self._detector = detector
        self._arrangements = Arrangements(store.shelf)

    async def spend(self, audience: str, document: SpendDocument, *, partition: int) -> Granted | NotGranted:
        """Use a receipt, once. Everything is checked again; the same attempt gets the same answer again."""
        claims = self._signer.verify(receipts.TYP, document.receipt)
        request = str(claims.get("txn", "")) if claims else ""
        if claims is None or not _in_partition(request, partition):
            return NotGranted(request, "receipt_invalid", "this is not a receipt of ours for this partition")
        if self._held():
            return NotGranted(request, "held", "the memory was rolled back: no receipt is honoured for some minutes")
        try:
            return await under_policy(self._policies, lambda policy: self._spend(audience, document, claims, policy))
        except NotFound:
            return NotGranted(request, "not_found", "there is no such request any more")

    async def _spend(
        self, audience: str, document: SpendDocument, claims: Mapping[str, Any], policy: Policy
    ) -> Granted | NotGranted:
        stored = await self._store.get(claims["txn"])
        refusal = _unspendable(stored, audience, document, claims) or await self._no_longer(stored, policy)
        if refusal is not None:
            await still_in_force(self._policies, policy)
            await self._store.note(_refused_spend(stored.request, audience, refusal), partition=home(claims["txn"]))
            return refusal

        def change(now: Stored) -> Change | None:
            if _unspendable(now, audience, document, claims) or now.request.status is not Status.APPROVED:
                return None
            after = now.request.spent(document.attempt, audience, now.now)
            usable_until = min(claims["exp"] * 1000, after.decision.use_by or 0) if after.decision else 0
            return change_of(now.request, after, policy, {"by": f"tool:{audience}"}, not_after=usable_until)

        try:
            after = await self._store.update(stored.request.id, change, known=stored)
        except OutsideWindow:
            return NotGranted(stored.request.id, "lapsed", "the receipt's time is over")
        if refusal := _unspendable(after, audience, document, claims):
            return refusal
        await self._publisher.publish(after.request)  # raises NotConfirmed: then the entry is taken up again
        self._nudge()
        return Granted(after.request)

    async def _no_longer(self, stored: Stored, policy: Policy) -> NotGranted | None:
        """Whether policy or people have changed since the yes, so that it must not be used."""
        request = stored.request
        if request.status is not Status.APPROVED or request.decision is None:
            return None  # the same attempt again: it was granted, and what happened since cannot unsay that
        try:
            terms = binding(request, policy, stored.now)
        except EntryRefused as refusal:
            return NotGranted(request.id, "policy", refusal.message)
        if terms.verdict == "deny":
            return NotGranted(request.id, "policy", "a rule of the policy now denies this")
        if request.decision.rule is not None:
            return None if terms.verdict == "allow" else NotGranted(request.id, "policy", "a person is needed now")
        if request.is_barred(terms):
            return NotGranted(request.id, "policy", "part of this is secret, and must no longer be approved unseen")
        arranged = await self._arrangements.about(request, policy, stored.now)
        if request.decision.break_glass:
            return await self._emergency_over(request, terms, policy, arranged)
        try:
            asked = terms.escalated(request.escalated)
            yeses = [vote for vote in request.votes if vote.answer == "approve"]
            standing = await standing_votes(yeses, asked, policy, self._directory, arranged)
        except DirectoryUnavailable:
            return _unchecked(request)
        gone = frozenset(vote.person for vote in yeses) - standing.keys()
        if not request.tightened(terms, without=gone, counting=standing).is_met():
            return NotGranted(request.id, "policy", "those who approved no longer suffice")
        return None

    async def _emergency_over(
        self, request: Request, terms: Terms, policy: Policy, arranged: Arranged
    ) -> NotGranted | None:
        """Whether whoever let it through alone may no longer do so."""
        for vote in request.decision.by if request.decision else ():
            by = await may_break_glass(account_of(vote.account), terms, policy, self._directory, arranged)
            if by is UNCHECKED:
                return _unchecked(request)
            if isinstance(by, NotAllowed):
                return NotGranted(request.id, "policy", "those who approved no longer suffice")
        return None

    async def report(self, audience: str, document: ReportDocument) -> Request | NotGranted:
        """Take down how it ended, from the tool that used the receipt."""
        return await under_policy(self._policies, lambda policy: self._report(audience, document, policy))

    async def _report(self, audience: str, document: ReportDocument, policy: Policy) -> Request | NotGranted:
        holds_credential = self._detector is not None and self._detector.first_in([("", document.note)]) is not None
        note = "(not kept: it looks like a credential)" if holds_credential else document.note
        event = {"succeeded": Event.SUCCEED, "failed": Event.FAIL, "unknown": Event.LOSE}[document.outcome]

        def change(now: Stored) -> Change | None:
            before = now.request
            if not _reports(before, audience, document) or before.status.value == document.outcome:
                return None
            if before.status not in (Status.SPENT, Status.UNKNOWN):
                return None
            after = before.reported(event, now.now, note)
            return change_of(before, after, policy, {"by": f"tool:{audience}"})

        try:
            after = (await self._store.update(document.request, change)).request
        except NotFound:
            return NotGranted(document.request, "not_found", "there is no such request any more")
        if not _reports(after, audience, document):
            return NotGranted(document.request, "wrong_audience", "another attempt used the receipt, or none did")
        if after.status.value != document.outcome:
            return NotGranted(document.request, "already_reported", f"{after.status.value} was reported before")
        await self._publisher.publish(after)
        self._nudge()
        return after


def _unchecked(request: Request) -> NotGranted:
    return NotGranted(request.id, "policy", "those who approved cannot be checked just now; try again")


def _refused_spend(request: Request, audience: str, refusal: NotGranted) -> Mapping[str, Any]:
    said = {"event": "spend_refused", "by": f"tool:{audience}", "reason": refusal.reason}
    return {**record_of(request, request), **said}


def _unspendable(
    stored: Stored, audience: str, document: SpendDocument, claims: Mapping[str, Any]
) -> NotGranted | None:
    """Why this attempt must not act on this receipt, or None: it may, or it already had the grant."""
    request = stored.request
    decision, spent = request.decision, request.spend
    if audience != request.audience or claims.get("aud") != audience:
        return NotGranted(request.id, "wrong_audience", f"this receipt is for {request.audience}")
    if decision is None or claims.get("jti") != decision.jti:
        return NotGranted(request.id, "not_approved", "the receipt does not belong to this request's decision")
    if spent is not None:
        again = spent.attempt == document.attempt
        return None if again else NotGranted(request.id, "already_spent", "the receipt was used before")
    if request.status is not Status.APPROVED:
        reason = request.status.value if request.status in (Status.REVOKED, Status.LAPSED) else "not_approved"
        return NotGranted(request.id, reason, f"the request is {request.status.value}")
    if stored.now >= claims["exp"] * 1000:
        return NotGranted(request.id, "lapsed", "the receipt's time is over; collect a fresh one")
    return None


def _reports(request: Request, audience: str, document: ReportDocument) -> bool:
    spent = request.spend
    return spent is not None and spent.audience == audience and spent.attempt == document.attempt


def _in_partition(request: str, partition: int) -> bool:
    try:
        return partition_of_request(request) == partition
    except ValueError:
        return False
