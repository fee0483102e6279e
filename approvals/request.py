"""A request and everything that has happened to it. Changes are pure: each returns the request that follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from approvals.action import Action, Frozen, short_code
from approvals.lifecycle import Event, Status, step
from approvals.question import Question
from approvals.terms import Presentation, Terms, met, progress


class Vote(Frozen):
    """One person's yes or no, with what they saw."""

    person: str
    account: str
    via: str
    tenant: str
    answer: Literal["approve", "deny"]
    factors: tuple[str, ...]  #: those the person counted for when it was last checked
    at: int
    shown: str  #: digest of the rendering that was on screen
    reason: str = ""


class Decision(Frozen):
    """How the question was answered; it never changes."""

    status: Status
    at: int
    by: tuple[Vote, ...] = ()
    rule: str | None = None  #: set when policy decided, not a person
    reason: str = ""
    jti: str | None = None  #: the spend key of an approval
    use_by: int | None = None


class Spend(Frozen):
    """Who used the receipt, and when."""

    attempt: str
    audience: str
    at: int


class Outcome(Frozen):
    """How it ended, in the tool's own words (untrusted)."""

    status: Status
    at: int
    note: str = ""


class Request(Frozen):
    """An agent's question about one action. All instants are ms since the epoch, by the store's clock."""

    v: Literal[1] = 1  #: of the stored document; older ones are still read
    id: str
    agent: str
    call: str
    action: Action
    digest: str
    audience: str
    because: str
    principal: str
    principal_accounts: tuple[str, ...] = ()  #: so that cards can mention them
    started_by: str | None
    trace: str | None
    asked_at: int
    expires_at: int
    terms: Terms
    presentation: Presentation
    status: Status = Status.PENDING
    votes: tuple[Vote, ...] = ()
    decision: Decision | None = None
    spend: Spend | None = None
    outcome: Outcome | None = None
    closed_at: int | None = None  #: when an approval that was never used ended: revoked or lapsed

    version: int = Field(default=0, exclude=True)  #: set by the store: how many times it was committed
    decision_entry: int | None = Field(default=None, exclude=True)  #: set by the store: the decision's journal number

    @property
    def question(self) -> Question:
        """What policy judges; asked again at every vote and spend."""
        return Question(
            agent=self.agent,
            action=self.action,
            principal=self.principal,
            audience=self.audience,
            started_by=self.started_by,
        )

    @property
    def code(self) -> str:
        """The short code by which people name it."""
        return short_code(self.digest)

    def vote_of(self, person: str) -> Vote | None:
        """The standing vote of a person, if any."""
        return next((vote for vote in self.votes if vote.person == person), None)

    def got(self) -> dict[str, int]:
        """How many of each factor's people have said yes."""
        return progress(self.terms.factors, self._approving())

    def voted(self, vote: Vote, *, jti: str) -> Request:
        """The request after one more vote; decided when the vote settles it. A person's later vote replaces theirs."""
        self._must_allow(Event.APPROVE)
        votes = (*(known for known in self.votes if known.person != vote.person), vote)
        after = self._with(votes=votes)
        if vote.answer == "deny":
            return after._decided(Event.DENY, vote.at, by=(vote,), reason=vote.reason)
        if not after.is_met():
            return after
        approvals = tuple(known for known in votes if known.answer == "approve")
        return after._decided(Event.APPROVE, vote.at, by=approvals, reason=vote.reason, jti=jti)

    def decided_by_rule(self, at: int, *, jti: str) -> Request:
        """The request as policy alone decides it, by the verdict of its terms (allow or deny)."""
        rule = "+".join(self.terms.rules)
        if self.terms.verdict == "allow":
            return self._decided(Event.APPROVE, at, rule=rule, jti=jti)
        return self._decided(Event.DENY, at, rule=rule, reason="a rule of the policy denies this")

    def is_met(self) -> bool:
        """Whether the standing votes meet every factor."""
        return met(self.terms.factors, self._approving())

    def tightened(
        self,
        terms: Terms,
        *,
        without: frozenset[str] = frozenset(),
        counting: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Request:
        """The request under stricter terms, without the votes of people who may no longer answer.

        `counting` says for which factors people count now; whom it leaves out counts as at the click.
        """
        now = counting or {}
        kept = tuple(
            vote.model_copy(update={"factors": now.get(vote.person, vote.factors)})
            for vote in self.votes
            if vote.person not in without
        )
        return self._with(terms=terms, votes=kept)

    def expired(self, at: int) -> Request:
        """Nobody answered in time."""
        return self._decided(Event.EXPIRE, at)

    def withdrawn(self, at: int) -> Request:
        """The agent no longer asks."""
        return self._decided(Event.WITHDRAW, at)

    def spent(self, attempt: str, audience: str, at: int) -> Request:
        """The tool uses the receipt."""
        return self._moved(Event.SPEND, spend=Spend(attempt=attempt, audience=audience, at=at))

    def lapsed(self, at: int) -> Request:
        """Nobody used the receipt in time."""
        return self._moved(Event.LAPSE, closed_at=at)

    def reported(self, event: Event, at: int, note: str = "") -> Request:
        """The tool says how it ended, or the time to say so passed (SUCCEED, FAIL or LOSE)."""
        return self._moved(event, outcome=Outcome(status=step(self.status, event), at=at, note=note))

    def next_due(self) -> int | None:
        """When time itself will change the request, if nothing else does first."""
        if self.status is Status.PENDING:
            return self.expires_at
        if self.status is Status.APPROVED and self.decision is not None:
            return self.decision.use_by
        if self.status is Status.SPENT and self.spend is not None:
            return self.spend.at + self.terms.outcome_within
        return None

    def after_time(self, at: int) -> Request:
        """The request after its due instant: expired, lapsed, or its outcome lost."""
        if self.status is Status.PENDING:
            return self.expired(at)
        if self.status is Status.APPROVED:
            return self.lapsed(at)
        return self.reported(Event.LOSE, at, "nothing was reported in time")

    def _approving(self) -> dict[str, frozenset[str]]:
        return {vote.person: frozenset(vote.factors) for vote in self.votes if vote.answer == "approve"}

    def _must_allow(self, event: Event) -> None:
        step(self.status, event)

    def _decided(
        self,
        event: Event,
        at: int,
        *,
        by: tuple[Vote, ...] = (),
        rule: str | None = None,
        reason: str = "",
        jti: str | None = None,
    ) -> Request:
        status = step(self.status, event)
        use_by = at + self.terms.use_within if status is Status.APPROVED else None
        decision = Decision(
            status=status, at=at, by=by, rule=rule, reason=reason, jti=jti if use_by else None, use_by=use_by
        )
        return self._with(status=status, decision=decision)

    def _moved(self, event: Event, **changes: object) -> Request:
        return self._with(status=step(self.status, event), **changes)

    def _with(self, **changes: object) -> Request:
        return self.model_copy(update=changes)
