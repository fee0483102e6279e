"""What the bot does for agents, people and tools, over the ports: decide, commit, confirm, publish (DESIGN §4)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from approvals import receipt as receipts
from approvals.action import partition_of_request, request_id
from approvals.errors import (
    DirectoryUnavailable,
    EntryRefused,
    EpochChanged,
    NotConfirmed,
    NotFound,
    OutsideWindow,
    SignerUnavailable,
)
from approvals.intake import ReportDocument, RequestDocument, SpendDocument
from approvals.lifecycle import Event, Status
from approvals.people import NotAllowed, Voter, may_answer
from approvals.policy import Policy
from approvals.ports import Account, Change, Directory, Policies, Post, Signer, Store, Stored
from approvals.request import Request, Vote
from approvals.terms import Terms
from approvals.wire import decision_document

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Click:
    """One person's answer as a door received it.

    `places` are the destinations the click can have come from and `reference` the message it was made on; they must
    match a card that was posted there. `shown` is the digest of the rendering whose button was clicked.
    """

    account: Account
    answer: Literal["approve", "deny"]
    shown: str
    places: tuple[str, ...]
    reference: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True)
class Counted:
    """The answer counts, durably; `safe` is false while a decision is not yet published."""

    request: Request
    safe: bool = True


@dataclass(frozen=True)
class Refused:
    """The answer does not count; `sentence` is for the person, `reason` its name in docs and the journal."""

    reason: str
    sentence: str


@dataclass(frozen=True)
class Late:
    """Nothing is left to decide; `request` tells who decided, and when."""

    request: Request


Verdict = Counted | Refused | Late


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


class Approvals:
    """The service that every door and loop calls.

    `nudge` is called when cards may have to change, so that a courier in this process need not wait for its next look.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        policies: Policies,
        signer: Signer,
        issuer: str,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._signer = signer
        self._issuer = issuer
        self._nudge = nudge

    # -- agents ---------------------------------------------------------------------------------------------------

    async def submit(self, document: RequestDocument, agent: str) -> Request:
        """Take a request, or recognise one that was asked before. Raises EntryRefused."""
        wanted = request_id(agent, document.call, self._store.partitions)

        async def commit(policy: Policy) -> tuple[Stored, bool]:
            return await self._store.create(wanted, lambda now: _asked(wanted, document, agent, policy, now))

        stored, new = await self._under_policy(commit)
        if not new and not stored.request.action.same_as(document.action):
            raise EntryRefused(
                "conflict",
                "this call was asked before with another action",
                field="call",
                remedy="name another call for another action; the first one stands",
            )
        if stored.request.decision is not None:
            await self._publish(stored.request, again=not new)
        self._nudge()
        return stored.request

    async def withdraw(self, agent: str, request: str) -> Request:
        """Take a question back. Raises EntryRefused when the agent has asked no such thing."""
        stored = await self._of_agent(agent, request)

        async def commit(policy: Policy) -> Stored:
            def change(now: Stored) -> Change | None:
                if now.request.status is not Status.PENDING:
                    return None
                return _change(now.request, now.request.withdrawn(now.now), policy, {"by": f"agent:{agent}"})

            return await self._store.update(request, change, known=stored)

        after = (await self._under_policy(commit)).request
        await self._publish(after, again=True)
        self._nudge()
        return after

    async def collect(self, agent: str, request: str) -> Request:
        """Send a decision again, with a fresh receipt while the approval may still be used."""
        stored = await self._of_agent(agent, request)
        due = stored.request.next_due()
        if due is not None and stored.now >= due:
            stored = Stored(await self.after_time(request), stored.now, stored.posts)
        if stored.request.decision is not None:
            await self._publish(stored.request, again=True)
        return stored.request

    # -- people ---------------------------------------------------------------------------------------------------

    async def vote(self, request: str, click: Click) -> Verdict:
        """Count one person's answer, if it counts. Authority is checked here, now, for every door."""
        return await self._under_policy(lambda policy: self._vote(request, click, policy))

    async def may_answer(self, request: str, click: Click) -> Voter | Refused | Late:
        """What `vote` would say to this click, without counting it; for a door that has to ask for a reason first."""
        try:
            stored = await self._store.get(request)
        except NotFound:
            return _gone()
        return await self._checked(stored, click, self._policies.current())

    async def waiting_for(self, account: Account, destination: str, *, limit: int = 20) -> Sequence[Request]:
        """Pending requests that this person may answer, or that stand in the channel they are in; newest first."""
        policy, found = self._policies.current(), []
        for request in await self._store.waiting(limit=200):
            here = destination in request.terms.destinations
            if here or isinstance(await may_answer(account, request.terms, policy, self._directory), Voter):
                found.append(request)
        return found[:limit]

    async def _vote(self, request: str, click: Click, policy: Policy) -> Verdict:
        try:
            stored = await self._store.get(request)
        except NotFound:
            return _gone()
        checked = await self._checked(stored, click, policy)
        if not isinstance(checked, Voter):
            return checked
        await self._adopt(stored, click)
        return await self._commit_vote(stored, click, checked, policy)

    async def _checked(self, stored: Stored, click: Click, policy: Policy) -> Voter | Refused | Late:
        """Whether this click may answer; a refusal stands in the journal before anybody is told of it."""
        checked = await self._check(stored, click, policy)
        if isinstance(checked, Refused):
            await self._store.note(
                _refused_click(stored.request, click, checked), partition=_partition(stored.request.id)
            )
        return checked

    async def _check(self, stored: Stored, click: Click, policy: Policy) -> Voter | Refused | Late:
        request = stored.request
        if request.status is not Status.PENDING:
            return Late(request)
        if _post_at(stored, click) is None:
            return Refused(
                "not_this_card", "This button does not belong to a card I posted here, so nothing was counted."
            )
        try:
            terms = _binding(request, policy, stored.now)
        except EntryRefused as refusal:
            return Refused("policy_changed", f"Policy no longer allows this request: {refusal.message}.")
        if terms.verdict == "deny":
            return Refused("policy_denies", "A rule of the policy now denies this request, so it cannot be answered.")
        voter = await may_answer(click.account, terms, policy, self._directory)
        return Refused(voter.reason, voter.sentence) if isinstance(voter, NotAllowed) else voter

    async def _commit_vote(self, stored: Stored, click: Click, voter: Voter, policy: Policy) -> Verdict:
        try:
            standing = await self._standing_for(stored, click, policy)
        except DirectoryUnavailable:
            return await self._uncertain(stored.request, click)
        gone = frozenset(vote.person for vote in stored.request.votes) - standing.keys()
        jti = secrets.token_urlsafe(16)

        def change(now: Stored) -> Change | None:
            before = now.request
            known = before.vote_of(voter.person)
            if before.status is not Status.PENDING or (known is not None and known.answer == click.answer):
                return None
            terms = _binding(before, policy, now.now)
            after = before.tightened(terms, without=gone, counting=standing).voted(
                _vote(click, voter, now.now), jti=jti
            )
            record = {"by": voter.person, "account": click.account.id, "answer": click.answer, "shown": click.shown}
            return _change(before, after, policy, record, not_after=before.expires_at)

        try:
            after = (await self._store.update(stored.request.id, change, known=stored)).request
        except OutsideWindow:
            return Late(await self.after_time(stored.request.id))
        except NotConfirmed:
            return Counted((await self._store.get(stored.request.id)).request, safe=False)
        return await self._told(after, voter)

    async def _told(self, after: Request, voter: Voter) -> Verdict:
        """The verdict on a committed state; a decision is published before anybody is told of it."""
        self._nudge()
        if after.status is Status.PENDING:
            return Counted(after)
        mine = after.decision is not None and any(vote.person == voter.person for vote in after.decision.by)
        if not mine:
            return Late(after)
        return Counted(after, safe=await self._published(after))

    async def _standing_for(self, stored: Stored, click: Click, policy: Policy) -> Mapping[str, tuple[str, ...]]:
        """Whose yes still stands beside this click, and for which factors; a no asks for nobody else's."""
        votes = stored.request.votes
        if click.answer == "deny":
            return {vote.person: vote.factors for vote in votes}
        return await self._standing(votes, _binding(stored.request, policy, stored.now), policy)

    async def _standing(self, votes: Sequence[Vote], terms: Terms, policy: Policy) -> Mapping[str, tuple[str, ...]]:
        """Who has said yes and still may, and for which factors each counts now. Raises DirectoryUnavailable.

        Somebody who left, joined the principal chain or became somebody else in policy loses their vote.
        """
        standing = {}
        for vote in votes:
            account = Account(vote.via, vote.tenant, vote.account.rsplit(":", 1)[-1])
            voter = await may_answer(account, terms, policy, self._directory)
            if isinstance(voter, NotAllowed) and voter.reason == "lookup_failed":
                raise DirectoryUnavailable(f"{vote.account} could not be looked up")
            if isinstance(voter, Voter) and voter.person == vote.person:
                standing[vote.person] = voter.factors
        return standing

    async def _uncertain(self, request: Request, click: Click) -> Refused:
        """Count nothing while those who said yes before cannot be checked again: nobody's vote is lost over it."""
        refusal = Refused(
            "lookup_failed", "I could not check the others who said yes just now, so nothing was counted. Click again."
        )
        await self._store.note(_refused_click(request, click, refusal), partition=_partition(request.id))
        return refusal

    async def _adopt(self, stored: Stored, click: Click) -> None:
        """Record the message of a click as the post it is, where a crash kept its courier from doing so."""
        post = _post_at(stored, click)
        if post is not None and post.state == "intended":
            found = Post(post.destination, "posted", stored.now, click.reference, click.shown)
            await self._store.record_post(stored.request.id, found)

    # -- tools ----------------------------------------------------------------------------------------------------

    async def spend(self, audience: str, document: SpendDocument, *, partition: int) -> Granted | NotGranted:
        """Use a receipt, once. Everything is checked again; the same attempt gets the same answer again."""
        claims = self._signer.verify(receipts.TYP, document.receipt)
        request = str(claims.get("txn", "")) if claims else ""
        if claims is None or not _in_partition(request, partition):
            return NotGranted(request, "receipt_invalid", "this is not a receipt of ours for this partition")
        try:
            return await self._under_policy(lambda policy: self._spend(audience, document, claims, policy))
        except NotFound:
            return NotGranted(request, "not_found", "there is no such request any more")

    async def _spend(
        self, audience: str, document: SpendDocument, claims: Mapping[str, Any], policy: Policy
    ) -> Granted | NotGranted:
        stored = await self._store.get(claims["txn"])
        refusal = _unspendable(stored, audience, document, claims) or await self._no_longer(stored, policy)
        if refusal is not None:
            await self._store.note(
                _refused_spend(stored.request, audience, refusal), partition=_partition(claims["txn"])
            )
            return refusal

        def change(now: Stored) -> Change | None:
            if _unspendable(now, audience, document, claims) or now.request.status is not Status.APPROVED:
                return None
            after = now.request.spent(document.attempt, audience, now.now)
            usable_until = min(claims["exp"] * 1000, after.decision.use_by or 0) if after.decision else 0
            return _change(now.request, after, policy, {"by": f"tool:{audience}"}, not_after=usable_until)

        try:
            after = await self._store.update(stored.request.id, change, known=stored)
        except OutsideWindow:
            return NotGranted(stored.request.id, "lapsed", "the receipt's time is over")
        if refusal := _unspendable(after, audience, document, claims):
            return refusal
        await self._publish(after.request, again=False)  # raises NotConfirmed: then the entry is taken up again
        self._nudge()
        return Granted(after.request)

    async def _no_longer(self, stored: Stored, policy: Policy) -> NotGranted | None:
        """Whether policy or people have changed since the yes, so that it must not be used."""
        request = stored.request
        if request.status is not Status.APPROVED or request.decision is None:
            return None  # the same attempt again: it was granted, and what happened since cannot unsay that
        try:
            terms = _binding(request, policy, stored.now)
        except EntryRefused as refusal:
            return NotGranted(request.id, "policy", refusal.message)
        if terms.verdict == "deny":
            return NotGranted(request.id, "policy", "a rule of the policy now denies this")
        if request.decision.rule is not None:
            return None if terms.verdict == "allow" else NotGranted(request.id, "policy", "a person is needed now")
        try:
            standing = await self._standing(request.votes, terms, policy)
        except DirectoryUnavailable:
            return NotGranted(request.id, "policy", "those who approved cannot be checked just now; try again")
        gone = frozenset(vote.person for vote in request.votes) - standing.keys()
        if not request.tightened(terms, without=gone, counting=standing).is_met():
            return NotGranted(request.id, "policy", "those who approved no longer suffice")
        return None

    async def report(self, audience: str, document: ReportDocument) -> Request | NotGranted:
        """Take down how it ended, from the tool that used the receipt."""
        return await self._under_policy(lambda policy: self._report(audience, document, policy))

    async def _report(self, audience: str, document: ReportDocument, policy: Policy) -> Request | NotGranted:
        event = {"succeeded": Event.SUCCEED, "failed": Event.FAIL, "unknown": Event.LOSE}[document.outcome]

        def change(now: Stored) -> Change | None:
            before = now.request
            if not _reports(before, audience, document) or before.status.value == document.outcome:
                return None
            if before.status not in (Status.SPENT, Status.UNKNOWN):
                return None
            after = before.reported(event, now.now, document.note)
            return _change(before, after, policy, {"by": f"tool:{audience}"})

        try:
            after = (await self._store.update(document.request, change)).request
        except NotFound:
            return NotGranted(document.request, "not_found", "there is no such request any more")
        if not _reports(after, audience, document):
            return NotGranted(document.request, "wrong_audience", "another attempt used the receipt, or none did")
        if after.status.value != document.outcome:
            return NotGranted(document.request, "already_reported", f"{after.status.value} was reported before")
        await self._publish(after)
        self._nudge()
        return after

    # -- time and publishing --------------------------------------------------------------------------------------

    async def after_time(self, request: str) -> Request:
        """Let time do to a request what is due; nothing where nothing is."""

        async def commit(policy: Policy) -> Stored:
            def change(now: Stored) -> Change | None:
                due = now.request.next_due()
                if due is None or now.now < due:
                    return None
                return _change(now.request, now.request.after_time(now.now), policy, {"by": "time"}, not_before=due)

            return await self._store.update(request, change)

        after = (await self._under_policy(commit)).request
        if after.decision is not None:
            await self._publish(after)
        self._nudge()
        return after

    async def publish(self, request: str) -> None:
        """Publish a decision that was committed but not announced, because something was down."""
        stored = await self._store.get(request)
        if stored.request.decision is not None:
            await self._publish(stored.request)

    async def _published(self, request: Request) -> bool:
        try:
            await self._publish(request)
        except (NotConfirmed, SignerUnavailable):
            return False
        return True

    async def _publish(self, request: Request, *, again: bool = False) -> None:
        """Mint the receipt from what is stored, and let the agent know; a pending request has nothing to publish."""
        if request.decision is None:
            return
        token = None
        if request.status is Status.APPROVED:
            now = await self._store.now()
            partition = _partition(request.id)
            claims = receipts.claims_of(request, issuer=self._issuer, partition=partition, now=now)
            token = await self._signer.sign(receipts.TYP, claims)
        await self._store.publish(request, decision_document(request, token), again=again)

    # -- shared ---------------------------------------------------------------------------------------------------

    async def _under_policy(self, work: Callable[[Policy], Awaitable[_Result]]) -> _Result:
        """Do work under the policy in force, again when another replica has just put a newer one in force."""
        try:
            return await work(self._policies.current())
        except EpochChanged:
            return await work(await self._policies.refresh())

    async def _of_agent(self, agent: str, request: str) -> Stored:
        unknown = EntryRefused("not_found", f"{agent} has asked no such thing", field="request", remedy="check the id")
        try:
            stored = await self._store.get(request)
        except NotFound as exc:
            raise unknown from exc
        if stored.request.agent != agent:
            raise unknown
        return stored


def _asked(request: str, document: RequestDocument, agent: str, policy: Policy, now: int) -> Change:
    """The commit that makes a document a request, decided at once where a rule says so."""
    question = policy.admit(document, agent, now)
    terms = policy.terms(question)
    asked = Request(
        id=request,
        agent=agent,
        call=document.call,
        action=document.action,
        digest=document.action.digest(),
        audience=question.audience,
        because=document.because,
        principal=question.principal,
        principal_accounts=policy.accounts_of(question.principal),
        started_by=document.started_by,
        trace=document.trace,
        asked_at=now,
        expires_at=now + terms.within,
        terms=terms,
        presentation=policy.presentation(document.action.kind),
    )
    after = asked if terms.verdict == "require" else asked.decided_by_rule(now, jti=secrets.token_urlsafe(16))
    by = {"by": f"agent:{agent}"} if after is asked else {"by": f"policy:{'+'.join(terms.rules)}"}
    return _change(None, after, policy, by, show=after is asked)


def _change(
    before: Request | None,
    after: Request,
    policy: Policy,
    record: Mapping[str, Any],
    *,
    not_before: int = 0,
    not_after: int | None = None,
    show: bool = True,
) -> Change:
    decided = after.decision is not None and (before is None or before.decision is None)
    moved = before is None or before.status is not after.status
    return Change(
        request=after,
        record={**_record(before, after), **record, "policy": policy.digest},
        epoch=policy.digest,
        not_before=not_before,
        not_after=not_after,
        decides=decided,
        announce=moved and after.decision is not None,
        show=show,
    )


def _record(before: Request | None, after: Request) -> Mapping[str, Any]:
    """What every journal entry about a request says: no argument values, no nonce, nobody's words."""
    moved = before is None or before.status is not after.status
    return {
        "v": 1,
        "event": ("asked" if before is None else after.status.value) if moved else "voted",
        "request": after.id,
        "agent": after.agent,
        "kind": after.action.kind,
        "digest": after.digest,
        "from": before.status.value if before else None,
        "to": after.status.value,
    }


def _refused_click(request: Request, click: Click, refused: Refused) -> Mapping[str, Any]:
    said = {"event": "click_refused", "account": click.account.id, "answer": click.answer, "reason": refused.reason}
    return {**_record(request, request), **said, "shown": click.shown}


def _refused_spend(request: Request, audience: str, refusal: NotGranted) -> Mapping[str, Any]:
    said = {"event": "spend_refused", "by": f"tool:{audience}", "reason": refusal.reason}
    return {**_record(request, request), **said}


def _binding(request: Request, policy: Policy, now: int) -> Terms:
    """The stricter of what was demanded at intake and what policy demands now; raises EntryRefused."""
    policy.must_allow(request.question, now)
    if policy.digest == request.terms.policy:
        return request.terms
    return request.terms.tightened_by(policy.terms(request.question))


def _vote(click: Click, voter: Voter, at: int) -> Vote:
    return Vote(
        person=voter.person,
        account=click.account.id,
        via=click.account.via,
        tenant=click.account.tenant,
        answer=click.answer,
        factors=voter.factors,
        at=at,
        shown=click.shown,
        reason=click.reason,
    )


def _post_at(stored: Stored, click: Click) -> Post | None:
    """The post a click was made on: the message itself, or one that was intended there and never recorded."""
    for post in stored.posts.values():
        if post.state == "posted" and dict(post.reference) == dict(click.reference):
            return post
    waiting = (stored.posts.get(place) for place in click.places)
    return next((post for post in waiting if post is not None and post.state == "intended"), None)


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


def _partition(request: str) -> int:
    return partition_of_request(request)


def _in_partition(request: str, partition: int) -> bool:
    try:
        return partition_of_request(request) == partition
    except ValueError:
        return False


def _gone() -> Refused:
    return Refused("not_found", "I do not know this request any more, so nothing was counted.")
