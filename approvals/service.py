"""What the bot does for agents and people, over the ports: decide, commit, confirm, publish (DESIGN §4)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from approvals.action import likeness, request_id
from approvals.arrangements import Arrangements
from approvals.attention import Book, notified, utc_minute, with_care
from approvals.click import Click, refused_click
from approvals.commits import binding, change_of, home, still_in_force, under_policy
from approvals.credentials import must_hold_none
from approvals.delegations import Delegations
from approvals.errors import DirectoryUnavailable, EntryRefused, NotConfirmed, NotFound, OutsideWindow, OverLimit
from approvals.identity import is_vouched
from approvals.indices import Query
from approvals.intake import ReportDocument, RequestDocument, SpendDocument
from approvals.lifecycle import Status
from approvals.links import Links
from approvals.operators import Operators
from approvals.people import NotAllowed, Voter, may_answer, standing_votes
from approvals.pings import Pings
from approvals.policy import Policy
from approvals.ports import (
    Account,
    Change,
    Directory,
    Identities,
    Policies,
    SecretDetector,
    Signer,
    Store,
    Stored,
    Taken,
)
from approvals.publishing import Publisher
from approvals.question import Question
from approvals.request import Earlier, Request, Superseded, Vote
from approvals.reserving import Reserved, reserving
from approvals.review import OVER
from approvals.reviewing import Reviews, request_of
from approvals.standing import Spot, Standing, adopted, original_of, post_at
from approvals.terms import Terms
from approvals.tools import Granted, NotGranted, Tools
from approvals.verdicts import DENIED, NOT_THIS_CARD, UNKNOWN, UNSEEN, Counted, Done, Late, Refused, Verdict
from approvals.windows import Share, holder_of

__all__ = [
    "Approvals",
    "Click",
    "Counted",
    "Done",
    "Granted",
    "Late",
    "NotGranted",
    "Open",
    "Paused",
    "Refused",
    "Verdict",
]

_PAGE = 200
MARKS = 5  #: earlier requests that a card tells of
HEARTBEAT_MS = 90_000  #: an agent silent for this long is gone; the SDK says something every 30 s


@dataclass(frozen=True)
class Open:
    """A request that a person may answer, and the terms on which."""

    request: Request
    terms: Terms
    voter: Voter


@dataclass(frozen=True)
class Paused:
    """What came of denying and pausing the agent: the vote's verdict and the freeze's; None: there was no agent."""

    verdict: Verdict
    frozen: Done | Refused | None


@dataclass(frozen=True)
class _Found:
    """Somebody who may answer, and what they answer."""

    voter: Voter
    stored: Stored


class Approvals:
    """The service that every door and loop calls; `operators` holds what people do beside voting.

    `nudge` is called when cards may have to change, so that a courier in this process need not wait for its next look.
    `held` says that no receipt may be spent now, because the memory may have forgotten a spend (DESIGN §8). Without a
    `detector` no credential is looked for; without `identities` no identity token is believed.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        policies: Policies,
        signer: Signer,
        issuer: str,
        is_zone: Callable[[str], bool],
        detector: SecretDetector | None = None,
        identities: Identities | None = None,
        nudge: Callable[[], None] = lambda: None,
        held: Callable[[], bool] = lambda: False,
        minute_of_day: Callable[[str, int], int] = utc_minute,
    ) -> None:
        self._store = store
        self._detector = detector
        self._identities = identities
        self._directory = directory
        self._policies = policies
        self._arrangements = Arrangements(store.shelf)
        self._nudge = nudge
        self._publisher = Publisher(store, signer, issuer)
        self.reviews = Reviews(store=store, policies=policies, check=self._check, new_key=_new_key)
        self.operators = Operators(
            store=store,
            directory=directory,
            policies=policies,
            publisher=self._publisher,
            nudge=nudge,
            new_key=_new_key,
        )
        self.pings = Pings(
            store=store, directory=directory, policies=policies, minute_of_day=minute_of_day, is_zone=is_zone
        )
        self.delegations = Delegations(store=store, directory=directory, policies=policies, new_key=_new_key)
        self.links = Links(store=store, directory=directory, policies=policies, new_key=_new_key)
        self._tools = Tools(
            store=store,
            directory=directory,
            policies=policies,
            signer=signer,
            publisher=self._publisher,
            nudge=nudge,
            held=held,
            detector=detector,
        )

    # -- agents ---------------------------------------------------------------------------------------------------

    async def submit(self, document: RequestDocument, agent: str, *, taken: Taken | None = None) -> Request:
        """Take a request, or recognise one asked before. `taken`: the entry it came by. Raises EntryRefused."""
        wanted = request_id(agent, document.call, self._store.partitions)
        superseded = await self._superseded(document, agent)
        like = likeness(agent, document.action)

        async def commit(policy: Policy) -> tuple[Stored, bool]:
            try:
                vouched = await self._is_vouched(document, agent, policy)
                shares = policy.shares(document, agent, vouched=vouched is True)
                book = await self.pings.book(policy)
                async with self._reserving(wanted, document, shares, policy) as reserved:
                    entry = _Entry(wanted, document, agent, superseded, vouched, reserved.shares, reserved.sums, book)
                    entry = replace(entry, book=await self._with_seats(entry, policy))

                    def make(now: int, earlier: Sequence[Request]) -> Change:
                        return _asked(entry, policy, self._detector, now, earlier)

                    stored, reserved.kept = await self._store.create(
                        wanted, make, like=like, limits=policy.limits_of(agent), taken=taken
                    )
                return stored, reserved.kept
            except OverLimit as exc:
                await still_in_force(self._policies, policy)
                raise _over(exc) from exc
            except EntryRefused:
                await still_in_force(self._policies, policy)
                raise

        stored, new = await under_policy(self._policies, commit)
        if not new and not stored.request.action.same_as(document.action):
            raise EntryRefused(
                "conflict",
                "this call was asked before with another action",
                field="call",
                remedy="name another call for another action; the first one stands",
            )
        if new and stored.request.status is Status.PENDING and self._policies.current().care is not None:
            await self.pings.count(notified(stored.request), stored.now)
        if stored.request.cancel_on_disconnect and stored.request.status is Status.PENDING:
            await self.heartbeat(agent)
        await self._publisher.publish(stored.request, now=stored.now, again=not new)
        self._nudge()
        return stored.request

    async def _with_seats(self, entry: _Entry, policy: Policy) -> Book:
        """The book of an entry, with who is called in whose place.

        What policy refuses has no terms, and calls nobody; whether it was asked before, only the store can say.
        """
        kind = entry.document.action.kind
        try:
            seats = await self.pings.stand_ins(policy, kind, partial(_terms, entry, policy))
        except EntryRefused:
            return entry.book
        return replace(entry.book, stand_ins=seats)

    def _reserving(
        self, request: str, document: RequestDocument, shares: tuple[Share, ...], policy: Policy
    ) -> AbstractAsyncContextManager[Reserved]:
        holder, token = holder_of(request, document.action) if shares else "", secrets.token_hex(8)
        return reserving(self._store.windows, holder, shares, hold=policy.longest_open, token=token)

    async def _is_vouched(self, document: RequestDocument, agent: str, policy: Policy) -> bool | EntryRefused:
        """Whether somebody else than the agent says for whom it acts, or why what it sent does not say so.

        That is only told of a new request: one that is sent again was vouched for when it was asked.
        """
        if document.principal_token is None:
            return False
        try:
            return is_vouched(document, agent, policy, self._identities, await self._store.now())
        except EntryRefused as refusal:
            return refusal

    async def _superseded(self, document: RequestDocument, agent: str) -> Superseded | None:
        """The denied request that this one answers, as the card needs it. Raises EntryRefused."""
        if document.supersedes is None:
            return None
        old = (await self._of_agent(agent, document.supersedes, "supersedes")).request
        if old.status is not Status.DENIED:
            raise EntryRefused(
                "conflict",
                f"the request it supersedes is {old.status}, not denied",
                field="supersedes",
                remedy="name a request that was denied, or leave it out",
            )
        was = old.action
        return Superseded(
            request=old.id,
            code=old.code,
            kind=was.kind,
            target=was.target,
            arguments=was.arguments,
            preconditions=was.preconditions,
            secret=old.presentation.secret,
        )

    async def withdraw(self, agent: str, request: str, *, by: str = "") -> Request:
        """Take a question back; `by` for the journal, the agent by default. Raises EntryRefused."""
        stored = await self._of_agent(agent, request)

        async def commit(policy: Policy) -> Stored:
            def change(now: Stored) -> Change | None:
                if now.request.status is not Status.PENDING:
                    return None
                return change_of(now.request, now.request.withdrawn(now.now), policy, {"by": by or f"agent:{agent}"})

            return await self._store.update(request, change, known=stored)

        after = (await under_policy(self._policies, commit)).request
        await self._publisher.publish(after, again=True)
        self._nudge()
        return after

    async def collect(self, agent: str, request: str) -> Request:
        """Send a decision again, with a fresh receipt while the approval may still be used."""
        stored = await self._of_agent(agent, request)
        due = stored.request.next_due()
        overdue = due is not None and stored.now >= due
        after = await self.after_time(request) if overdue else stored.request
        await self._publisher.publish(after, again=True)
        return after

    async def heartbeat(self, agent: str) -> None:
        """The agent is there; what it asked with `cancel_on_disconnect` stays open for a while."""
        await self._store.heard(agent, HEARTBEAT_MS)

    async def disconnected(self, agent: str) -> None:
        """The agent has not been heard of: withdraw what it wanted withdrawn then."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self._store.list(Query(agent=agent), cursor, _PAGE)
            for request in page.requests:
                if request.cancel_on_disconnect:
                    await self.withdraw(agent, request.id, by="disconnect")
            cursor = page.cursor

    # -- people ---------------------------------------------------------------------------------------------------

    async def vote(self, request: str, click: Click) -> Verdict:
        """Count one person's answer, if it counts. Authority is checked here, now, for every door."""

        async def commit(policy: Policy) -> Verdict:
            found = await self._found(request, click, policy)
            if not isinstance(found, _Found):
                return found
            if post_at(await adopted(self._store, found.stored, click.spot), click.spot) is None:
                refusal = refused_click(found.stored.request, click, NOT_THIS_CARD)
                await self._store.note(refusal, partition=home(request))
                return NOT_THIS_CARD
            careful = await self.reviews.careful(found.stored, found.voter, click, policy)
            if isinstance(careful, Refused):
                return careful
            return await self._commit_vote(found.stored, careful, found.voter, policy)

        return await under_policy(self._policies, commit)

    async def seen(self, request: str, spot: Spot) -> Standing | Refused:
        """A message of a request is on somebody's screen: it is adopted where nobody recorded it, or found a copy."""
        try:
            stored = await adopted(self._store, await self._store.get(request), spot)
        except NotFound:
            return UNKNOWN
        original = original_of(stored, spot)
        return NOT_THIS_CARD if original is None and post_at(stored, spot) is None else Standing(stored, original)

    async def vote_from(self, view: str, account: Account, *, reason: str = "", confirm: str = "") -> Verdict:
        """Count somebody's approval that was given in a review."""
        click = await self.reviews.click(view, account, reason=reason, confirm=confirm)
        request = request_of(view)
        return OVER if click is None or request is None else await self.vote(request, click)

    async def deny_and_pause(self, request: str, click: Click) -> Paused:
        """Deny, and freeze the agent where the person holds that role too: everything else it asked is then denied."""
        verdict = await self.vote(request, replace(click, answer="deny"))
        try:
            agent = (await self._store.get(request)).request.agent
        except NotFound:
            return Paused(verdict, None)
        return Paused(verdict, await self.operators.freeze(click.account, "agent", agent, click.reason))

    async def retract(self, request: str, click: Click) -> Verdict:
        """Take one's own answer back while the request is still open."""

        async def commit(policy: Policy) -> Verdict:
            found = await self._found(request, click, policy)
            return await self._retracted(found, click, policy) if isinstance(found, _Found) else found

        return await under_policy(self._policies, commit)

    async def take_back(self, request: str, account: Account) -> Verdict:
        """`retract` from where no card is, such as a command."""
        click = Click(account, "approve", shown="", places=(), reference={})

        async def commit(policy: Policy) -> Verdict:
            found = await self._found(request, click, policy, on_card=False)
            return await self._retracted(found, click, policy) if isinstance(found, _Found) else found

        return await under_policy(self._policies, commit)

    async def _retracted(self, found: _Found, click: Click, policy: Policy) -> Verdict:
        request, person = found.stored.request.id, found.voter.person

        def change(now: Stored) -> Change | None:
            if now.request.status is not Status.PENDING or now.request.vote_of(person) is None:
                return None
            record = {"by": person, "account": click.account.id, "shown": click.shown}
            open_until = now.request.expires_at
            after = now.request.retracted(person)
            return change_of(now.request, after, policy, record, event="retracted", not_after=open_until)

        try:
            after = (await self._store.update(request, change, known=found.stored)).request
        except OutsideWindow:
            return Late(await self.after_time(request))
        self._nudge()
        return Counted(after) if after.status is Status.PENDING else Late(after)

    async def may_answer(self, request: str, click: Click) -> Open | Refused | Late:
        """What `vote` would say to this click, without counting it; for a door that has to ask for a reason first."""

        async def look(policy: Policy) -> Open | Refused | Late:
            found = await self._found(request, click, policy)
            if not isinstance(found, _Found):
                return found
            stored = found.stored
            return Open(stored.request, binding(stored.request, policy, stored.now), found.voter)

        return await under_policy(self._policies, look)

    async def _found(
        self, request: str, click: Click, policy: Policy, *, on_card: bool = True
    ) -> _Found | Refused | Late:
        """Who clicks on what; a refusal stands in the journal before anybody is told of it."""
        try:
            stored = await self._store.get(request)
        except NotFound:
            return UNKNOWN
        checked = await self._check(stored, click, policy, on_card=on_card)
        if isinstance(checked, Voter):
            return _Found(checked, stored)
        if isinstance(checked, Refused):
            await still_in_force(self._policies, policy)
            await self._store.note(refused_click(stored.request, click, checked), partition=home(request))
        return checked

    async def _check(
        self, stored: Stored, click: Click, policy: Policy, *, on_card: bool = True
    ) -> Voter | Refused | Late:
        request = stored.request
        if request.status is not Status.PENDING:
            return Late(request)
        if on_card and post_at(stored, click.spot) is None:
            return NOT_THIS_CARD
        try:
            terms = binding(request, policy, stored.now)
        except EntryRefused as refusal:
            return Refused("policy_changed", f"Policy no longer allows this request: {refusal.message}.")
        if terms.verdict == "deny":
            return DENIED
        if click.answer == "approve" and request.is_barred(terms):
            return UNSEEN
        asked = terms.escalated(request.escalated)
        arranged = await self._arrangements.about(request, policy, stored.now, click.account.id)
        voter = await may_answer(click.account, asked, policy, self._directory, click.answer, arranged)
        return Refused(voter.reason, voter.sentence) if isinstance(voter, NotAllowed) else voter

    async def _commit_vote(self, stored: Stored, click: Click, voter: Voter, policy: Policy) -> Verdict:
        try:
            standing = await self._standing_for(stored, click, policy)
        except DirectoryUnavailable:
            return await self._uncertain(stored.request, click)
        gone = frozenset(vote.person for vote in stored.request.votes) - standing.keys()
        jti = _new_key()

        def change(now: Stored) -> Change | None:
            before = now.request
            known = before.vote_of(voter.person)
            if before.status is not Status.PENDING or (known is not None and known.answer == click.answer):
                return None
            if click.view in before.looks:
                return None
            terms = binding(before, policy, now.now)
            kept = before.tightened(terms, without=gone, counting=standing)
            after = kept.voted(_vote(click, voter, now.now), jti=jti, look=click.view)
            record = {"by": voter.person, "account": click.account.id, "answer": click.answer, "shown": click.shown}
            return change_of(before, after, policy, record, not_after=before.expires_at)

        try:
            after = await self._store.update(stored.request.id, change, known=stored, tell=self._publisher.tell)
        except OutsideWindow:
            return Late(await self.after_time(stored.request.id))
        except NotConfirmed:
            return Counted((await self._store.get(stored.request.id)).request, safe=False)
        return await self._told(after, voter)

    async def _told(self, stored: Stored, voter: Voter) -> Verdict:
        """The verdict on a committed state; a decision is published before anybody is told of it."""
        self._nudge()
        after = stored.request
        if after.status is Status.PENDING:
            return Counted(after) if after.vote_of(voter.person) else OVER
        mine = after.decision is not None and any(vote.person == voter.person for vote in after.decision.by)
        if not mine:
            return Late(after)
        return Counted(after, safe=stored.told or await self._publisher.published(after, now=stored.now))

    async def _standing_for(self, stored: Stored, click: Click, policy: Policy) -> Mapping[str, Vote]:
        """Whose answer still stands beside this click, and for which factors.

        A no is never held up by what cannot be looked up: the answers of others then count as they were given.
        """
        request = stored.request
        terms = binding(request, policy, stored.now).escalated(request.escalated)
        as_given = {vote.person: vote for vote in request.votes}
        if click.answer != "approve" and terms.deny_quorum == 1:
            return as_given
        arranged = await self._arrangements.about(request, policy, stored.now)
        try:
            return await standing_votes(request.votes, terms, policy, self._directory, arranged)
        except DirectoryUnavailable:
            if click.answer == "approve":
                raise
            return as_given

    async def _uncertain(self, request: Request, click: Click) -> Refused:
        """Count nothing while those who said yes before cannot be checked again: nobody's vote is lost over it."""
        refusal = Refused(
            "lookup_failed", "I could not check the others who said yes just now, so nothing was counted. Click again."
        )
        await self._store.note(refused_click(request, click, refusal), partition=home(request.id))
        return refusal

    # -- tools ----------------------------------------------------------------------------------------------------

    async def spend(self, audience: str, document: SpendDocument, *, partition: int) -> Granted | NotGranted:
        """Use a receipt, once (tools.py)."""
        return await self._tools.spend(audience, document, partition=partition)

    async def report(self, audience: str, document: ReportDocument) -> Request | NotGranted:
        """Take down how it ended (tools.py)."""
        return await self._tools.report(audience, document)

    # -- time and publishing --------------------------------------------------------------------------------------

    async def after_time(self, request: str) -> Request:
        """Let time do to a request what is due; nothing where nothing is."""

        async def commit(policy: Policy) -> Stored:
            book = await self.pings.book(policy)

            def change(now: Stored) -> Change | None:
                due = now.request.next_due()
                if due is None or now.now < due:
                    return None
                after = now.request.after_time(now.now)
                after = with_care(after, book, now.now) if _has_waited(now.request, after) else after
                event = _event_of_time(now.request, after)
                return change_of(now.request, after, policy, {"by": "time"}, event=event, not_before=due)

            before = await self._store.get(request)
            asked = before.request.terms.escalated(before.request.escalated + 1)
            seats = await self.pings.stand_ins(policy, before.request.action.kind, lambda _: asked)
            book = replace(book, stand_ins=seats)
            stored = await self._store.update(request, change, known=before)
            if book.care is not None and _has_waited(before.request, stored.request):
                await self.pings.count(notified(stored.request), stored.now)
            return stored

        after = (await under_policy(self._policies, commit)).request
        await self._publisher.publish(after)
        self._nudge()
        return after

    async def lapse_unused(self, decided_before: int) -> None:
        """Let every approval lapse that was decided before an instant (ms) and is not known to have been used.

        For a memory that was rolled back: each of them may have been used in the time that it has forgotten.
        """
        cursor: str | None = ""
        while cursor is not None:
            page = await self._store.list(Query(statuses=(Status.APPROVED,)), cursor, _PAGE)
            for request in page.requests:
                if request.decision is not None and request.decision.at < decided_before:
                    await self._lapse(request.id)
            cursor = page.cursor

    async def _lapse(self, request: str) -> None:
        async def commit(policy: Policy) -> Stored:
            def change(now: Stored) -> Change | None:
                if now.request.status is not Status.APPROVED:
                    return None
                return change_of(now.request, now.request.lapsed(now.now), policy, {"by": "roll-back"})

            return await self._store.update(request, change)

        with suppress(NotFound):
            after = (await under_policy(self._policies, commit)).request
            await self._publisher.published(after)
            self._nudge()

    async def publish(self, request: str) -> None:
        """Publish a decision that was committed but not announced, because something was down."""
        stored = await self._store.get(request)
        await self._publisher.publish(stored.request, now=stored.now)

    # -- shared ---------------------------------------------------------------------------------------------------

    async def _of_agent(self, agent: str, request: str, field: str = "request") -> Stored:
        unknown = EntryRefused("not_found", f"{agent} has asked no such thing", field=field, remedy="check the id")
        try:
            stored = await self._store.get(request)
        except NotFound as exc:
            raise unknown from exc
        if stored.request.agent != agent:
            raise unknown
        return stored


def _new_key() -> str:
    """A name that nobody can guess: 128 bit."""
    return secrets.token_urlsafe(16)


def _over(limit: OverLimit) -> EntryRefused:
    """What an agent is told that asks too much."""
    if limit.retry_after is None:
        return EntryRefused(
            "too_many_open",
            "as many requests of this agent as policy lets it are waiting for an answer",
            remedy="wait until people have answered some, or withdraw some",
        )
    return EntryRefused(
        "rate_limited",
        "this agent asks faster than policy lets it",
        remedy="ask again later; the limit stands in policy under agents.<name>.limits",
        retry_after=-(-limit.retry_after // 1000),
    )


@dataclass(frozen=True)
class _Entry:
    """What is known of a request before the memory is asked for it."""

    request: str
    document: RequestDocument
    agent: str
    superseded: Superseded | None
    vouched: bool | EntryRefused
    shares: tuple[Share, ...]
    sums: Mapping[str, int]
    book: Book


def _asked(
    entry: _Entry, policy: Policy, detector: SecretDetector | None, now: int, earlier: Sequence[Request]
) -> Change:
    """The commit that makes a document a request, decided at once where a rule says so."""
    document, agent, question = entry.document, entry.agent, _question(entry, policy, now)
    if detector is not None:
        must_hold_none(document, policy.not_looked_at(document.action.kind), detector)
    terms = policy.terms(question)
    asked = Request(
        id=entry.request,
        agent=agent,
        call=document.call,
        action=document.action,
        digest=document.action.digest(),
        audience=question.audience,
        because=document.because,
        principal=question.principal,
        principal_accounts=policy.accounts_of(question.principal),
        accounts={person: policy.accounts_of(person) for person in terms.named},
        started_by=document.started_by,
        trace=document.trace,
        asked_at=now,
        expires_at=now + terms.within,
        terms=terms,
        presentation=policy.presentation(document.action),
        superseded=entry.superseded,
        earlier=_marks(earlier, terms, now),
        cancel_on_disconnect=document.cancel_on_disconnect,
        vouched=question.vouched,
        shares=entry.shares,
        sums=question.sums,
    )
    after = _by_rule(with_care(asked, entry.book, now), now)
    by = f"agent:{agent}" if after.decision is None else f"policy:{after.decision.rule}"
    return change_of(
        None, after, policy, {"by": by, **_remarkable(terms)}, show=after.decision is None or after.is_news
    )


def _question(entry: _Entry, policy: Policy, now: int) -> Question:
    """What policy is asked of an entry. Raises EntryRefused."""
    if isinstance(entry.vouched, EntryRefused):
        raise entry.vouched
    question = policy.admit(entry.document, entry.agent, now, vouched=entry.vouched)
    return question.model_copy(update={"sums": dict(entry.sums)})


def _terms(entry: _Entry, policy: Policy, now: int) -> Terms:
    return policy.terms(_question(entry, policy, now))


def _remarkable(terms: Terms) -> Mapping[str, Any]:
    """What the journal says of rules that were exempted from, or count because it cannot be told whether they apply."""
    said = {"exempted": terms.exempted, "unclear": terms.unclear}
    return {name: list(rules) for name, rules in said.items() if rules}


def _by_rule(asked: Request, now: int) -> Request:
    """The request as it is, or as a rule decides it without asking anybody."""
    denied_at = max((mark.at for mark in asked.earlier if mark.status is Status.DENIED), default=None)
    soon = denied_at is not None and now - denied_at < asked.terms.asked_again.deny_within
    if soon and not _says_what_changed(asked):
        return asked.denied_by(
            "asked-again", "the same was denied a short while ago; say what changed (supersedes)", now
        )
    if asked.terms.verdict == "require":
        return asked
    return asked.decided_by_rule(now, jti=_new_key())


def _says_what_changed(asked: Request) -> bool:
    """Whether a request answers an earlier one for the same, and is not just that one again."""
    old, action = asked.superseded, asked.action
    return old is not None and (old.kind, old.target) == (action.kind, action.target) and old.differs_from(action)


def _marks(earlier: Sequence[Request], terms: Terms, now: int) -> tuple[Earlier, ...]:
    """What people should know of those who asked for the same, newest first.

    What the earlier ones knew is kept: asking often enough must not push a denial out of sight.
    """
    marks = {mark.request: mark for other in earlier for mark in other.earlier}
    marks |= {other.id: _mark(other) for other in earlier}
    found = [mark for mark in marks.values() if _matters(mark, terms, now)]
    return tuple(sorted(found, key=lambda mark: mark.at, reverse=True)[:MARKS])


def _matters(mark: Earlier, terms: Terms, now: int) -> bool:
    """Whether people should know of it: a person's denial some time ago, or an end that is unknown."""
    if mark.status is Status.UNKNOWN:
        return True
    again = terms.asked_again
    return mark.status is Status.DENIED and bool(mark.by) and now - mark.at < max(again.within, again.deny_within)


def _mark(other: Request) -> Earlier:
    at = other.outcome.at if other.outcome else other.decision.at if other.decision else other.asked_at
    by = tuple(vote.person for vote in other.decision.by) if other.decision else ()
    return Earlier(request=other.id, status=other.status, at=at, by=by)


def _has_waited(before: Request, after: Request) -> bool:
    """Whether people are to be notified anew, because nobody has answered."""
    return (after.reminded, after.escalated) != (before.reminded, before.escalated)


def _event_of_time(before: Request, after: Request) -> str:
    """What the journal calls a step of waiting; the status names the others."""
    if after.escalated > before.escalated:
        return "escalated"
    if after.review_reminded > before.review_reminded:
        return "review_reminded"
    return "reminded" if after.reminded > before.reminded else ""


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
        behalf=voter.behalf,
    )
