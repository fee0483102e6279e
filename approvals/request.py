"""A request and everything that has happened to it. Changes are pure: each returns the request that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from approvals.action import Action, Frozen, digest_of, short_code
from approvals.durations import written
from approvals.errors import IllegalTransition
from approvals.lifecycle import OVER, Event, Status, step
from approvals.masking import holds_secret, masked
from approvals.question import Question
from approvals.terms import Presentation, Terms, met, progress, seated
from approvals.windows import Share


class Behalf(Frozen):
    """Somebody a voter stands in for, and the factors that only this one would have counted for."""

    person: str
    factors: tuple[str, ...]


class StandIn(Frozen):
    """Who is called in somebody's place, for the demands for which that one's seat was handed to them."""

    owner: str
    person: str
    accounts: tuple[str, ...]
    factors: tuple[str, ...]


class Vote(Frozen):
    """One person's yes or no, with what they saw. `changes` is a no that says what to change."""

    person: str
    account: str
    via: str
    tenant: str
    answer: Literal["approve", "deny", "changes"]
    factors: tuple[str, ...]  #: those the person counted for at the click
    at: int
    shown: str  #: digest of the rendering that was on screen
    reason: str = ""
    behalf: tuple[Behalf, ...] = ()  #: those who had handed their seat to the voter


class Decision(Frozen):
    """How the question was answered; it never changes."""

    status: Status
    at: int
    by: tuple[Vote, ...] = ()
    rule: str | None = None  #: set when policy decided, not a person
    reason: str = ""
    changes: str = ""  #: what a person wants changed before they are asked again
    jti: str | None = None  #: the spend key of an approval
    use_by: int | None = None
    break_glass: bool = False  #: whether one person alone let it through in an emergency


class Superseded(Frozen):
    """The denied request that this one answers, and what it would have done: the card says what changed."""

    request: str
    code: str
    kind: str
    target: str
    arguments: dict[str, Any]
    preconditions: dict[str, Any]
    secret: tuple[str, ...] = ()  #: paths of arguments that were masked on its card

    def differs_from(self, action: Action) -> bool:
        """Whether anything but the nonce is another now."""
        was = (self.kind, self.target, self.arguments, self.preconditions)
        return digest_of(list(was)) != digest_of([action.kind, action.target, action.arguments, action.preconditions])


class Earlier(Frozen):
    """A request of the same agent for the same kind and target that people should know of."""

    request: str
    status: Status
    at: int
    by: tuple[str, ...] = ()


Did = Literal["revoked", "extended", "resolved", "reviewed", "reported"]


class Intervention(Frozen):
    """What a person did to a request beside voting, such as taking the yes back or reviewing an emergency."""

    did: Did
    person: str
    account: str
    at: int
    reason: str = ""


class Callee(Frozen):
    """Somebody who is notified because of what they are on call for, or a member of; with their accounts."""

    person: str
    accounts: tuple[str, ...]


class Callees(Frozen):
    """Whom a source stood for when people were last notified: the first of them, and how many `more` there were.

    `unknown`: nobody could say, so nobody was notified for it.
    """

    people: tuple[Callee, ...] = ()
    more: int = 0
    unknown: bool = False


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


def counting(
    answers: Sequence[tuple[str, tuple[str, ...], tuple[Behalf, ...]]],
) -> dict[str, frozenset[str]]:
    """Whose answer counts, and for which factors: of people who answered, each with their factors and others' seats.

    A seat that was handed over counts only where its owner has not answered, and for the first who took it: so nobody
    is ever behind two answers.
    """
    answered = {person for person, _, _ in answers}
    found: dict[str, frozenset[str]] = {}
    for person, own, behalf in answers:
        handed = [one for one in behalf if one.person not in answered]
        answered |= {one.person for one in handed}
        if names := frozenset((*own, *(name for one in handed for name in one.factors))):
            found[person] = names
    return found


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
    accounts: dict[str, tuple[str, ...]] = Field(default_factory=dict)  #: of the people whom policy names to answer
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
    reminded: int = 0  #: how many reminders were given
    escalated: int = 0  #: how many steps of the escalation were taken
    superseded: Superseded | None = None
    earlier: tuple[Earlier, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    cancel_on_disconnect: bool = False
    looks: tuple[str, ...] = ()  #: the reviews that votes rested on; each is good for one
    vouched: bool = False  #: whether an identity token said whom the agent acts for
    shares: tuple[Share, ...] = ()  #: what it takes of windows
    sums: dict[str, int] = Field(default_factory=dict)  #: what these came to when it was asked
    quiet: tuple[str, ...] = ()  #: approver sources that are asked and not notified: often enough, or not at this hour
    callees: dict[str, Callees] = Field(default_factory=dict)  #: by source: whom a card calls, a letter is written to
    called_for: str = ""  #: on which occasion they were looked up
    stand_ins: tuple[StandIn, ...] = ()  #: who was called in whose place, when people were last notified
    review_reminded: int = 0  #: how many reminders to review an emergency were due

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
            vouched=self.vouched,
            sums=self.sums,
        )

    @property
    def shown(self) -> Action:
        """The action as it may be shown: with a mask in place of everything that policy declares secret."""
        if not self.presentation.secret:
            return self.action
        arguments = masked(self.action.arguments, self.presentation.secret, self.action.nonce)
        return self.action.model_copy(update={"arguments": arguments})

    @property
    def shown_before(self) -> Superseded | None:
        """The denied request, masked alike and under this one's nonce: equal masks are equal values.

        It may be of another kind, or from before a policy changed: what was masked on its own card stays masked.
        """
        was = self.superseded
        if was is None:
            return None
        arguments = masked(was.arguments, (*was.secret, *self.presentation.secret), self.action.nonce)
        return was.model_copy(update={"arguments": arguments})

    @property
    def hides_secret(self) -> bool:
        """Whether anything of the action is masked."""
        return holds_secret(self.action.arguments, self.presentation.secret)

    def is_barred(self, terms: Terms) -> bool:
        """Whether nobody can approve it under these terms, because part of it is masked and must be seen."""
        return self.hides_secret and not terms.unseen

    @property
    def code(self) -> str:
        """The short code by which people name it."""
        return short_code(self.digest)

    def vote_of(self, person: str) -> Vote | None:
        """The standing vote of a person, if any."""
        return next((vote for vote in self.votes if vote.person == person), None)

    @property
    def asked(self) -> Terms:
        """The terms as they stand after the escalation steps that were taken."""
        return self.terms.escalated(self.escalated)

    def got(self) -> dict[str, int]:
        """How many of each factor's people have said yes."""
        return progress(self.terms.factors, self._approving())

    def voted(self, vote: Vote, *, jti: str, look: str = "") -> Request:
        """The request after one more vote; decided when the vote settles it. A person's later vote replaces theirs.

        `look` is the review that the vote rests on, which is used up by it.
        """
        self._must_allow(Event.APPROVE)
        votes = (*(known for known in self.votes if known.person != vote.person), vote)
        after = self._with(votes=votes, looks=(*self.looks, look) if look else self.looks)
        if vote.answer != "approve":
            return after._denied_if_enough(vote)
        if not after.is_met():
            return after
        counting = after._approving()
        approvals = tuple(known for known in votes if known.person in counting)
        return after._decided(Event.APPROVE, vote.at, by=approvals, reason=vote.reason, jti=jti)

    def broken_glass(self, vote: Vote, *, jti: str) -> Request:
        """The request let through by one person alone, as its terms provide for an emergency; for a short time."""
        allowed = self.terms.break_glass
        if allowed is None:
            raise IllegalTransition("policy provides for no emergency here")
        times = {"use_within": allowed.use_within, "receipt_ttl": allowed.receipt_ttl}
        short = {name: min(value, getattr(self.terms, name)) for name, value in times.items()}
        places = tuple(dict.fromkeys((*self.terms.destinations, *allowed.announce)))
        after = self._with(
            votes=(*(known for known in self.votes if known.person != vote.person), vote),
            terms=self.terms.model_copy(update={**short, "destinations": places}),
        )
        return after._decided(Event.APPROVE, vote.at, by=(vote,), reason=vote.reason, jti=jti, break_glass=True)

    def marked(self, by: Intervention) -> Request:
        """The request with something that a person did, which changes nothing of its life."""
        return self._with(interventions=(*self.interventions, by))

    @property
    def announced(self) -> tuple[str, ...]:
        """The places where it is told although nobody is asked there any more."""
        emergency = self.decision is not None and self.decision.break_glass
        return self.terms.break_glass.announce if emergency and self.terms.break_glass else ()

    def is_due_at(self, destination: str) -> bool:
        """Whether people have to see it at a destination where it does not stand yet."""
        return self.status is Status.PENDING or (self.unreviewed and destination in self.announced)

    @property
    def is_news(self) -> bool:
        """Whether a rule let it through and wants people to see it: once, where they would have been asked."""
        decision = self.decision
        allowed = decision is not None and decision.status is Status.APPROVED and decision.rule is not None
        return allowed and self.terms.announced

    def was_marked(self, did: Did, person: str | None = None) -> bool:
        """Whether somebody, or this person, did that."""
        return any(one.did == did and person in (None, one.person) for one in self.interventions)

    @property
    def unreviewed(self) -> bool:
        """Whether an emergency still waits for a second person to look at it."""
        emergency = self.decision is not None and self.decision.break_glass
        return emergency and not self.was_marked("reviewed")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself, so that it need not be kept forever."""
        return self.status in OVER and not self.unreviewed

    def retracted(self, person: str) -> Request:
        """The request without a person's vote, while it is still open."""
        self._must_allow(Event.APPROVE)
        return self._with(votes=tuple(vote for vote in self.votes if vote.person != person))

    def denied_by(self, rule: str, reason: str, at: int) -> Request:
        """The request denied without a vote: a freeze, or asking again after a denial; `rule` names it."""
        return self._decided(Event.DENY, at, rule=rule, reason=reason)

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
        counting: Mapping[str, Vote] | None = None,
    ) -> Request:
        """The request under stricter terms, without the votes of people who may no longer answer.

        `counting` says for what people count now; whom it leaves out counts as at the click.
        """
        now = counting or {}
        kept = tuple(_counted_as(vote, now.get(vote.person, vote)) for vote in self.votes if vote.person not in without)
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

    def revoked(self, by: Intervention) -> Request:
        """A person took the yes back before it was used."""
        return self._moved(Event.REVOKE, closed_at=by.at, interventions=(*self.interventions, by))

    def extended(self, until: int, by: Intervention) -> Request:
        """People have until `until` (ms) to answer; never beyond what the terms allow."""
        self._must_allow(Event.EXPIRE)
        longest = self.terms.longest
        if by.at >= self.expires_at:
            raise IllegalTransition("the deadline has passed")
        if longest is None:
            raise IllegalTransition("the policy lets nobody extend this")
        if not self.expires_at < until <= self.asked_at + longest:
            most = f"{written(longest)} after it was asked"
            raise IllegalTransition(f"the deadline can be moved to {most} at most, and only forward")
        return self._with(expires_at=until, interventions=(*self.interventions, by))

    def reported(self, event: Event, at: int, note: str = "") -> Request:
        """The tool says how it ended, or the time to say so passed (SUCCEED, FAIL or LOSE)."""
        return self._moved(event, outcome=Outcome(status=step(self.status, event), at=at, note=note))

    def resolved(self, event: Event, by: Intervention) -> Request:
        """A person found out how it ended when the tool could not say."""
        return self.reported(event, by.at, by.reason)._with(interventions=(*self.interventions, by))

    def next_due(self) -> int | None:
        """When time itself will change the request, if nothing else does first."""
        due = [at for at in (self._life_due(), self._review_due()) if at is not None]
        return min(due, default=None)

    def after_time(self, at: int) -> Request:
        """The request after its due instant: expired, escalated, reminded, lapsed, or its outcome lost."""
        life, review = self._life_due(), self._review_due()
        if review is not None and at >= review and (life is None or at < life):
            return self._reminded_to_review(at)
        if self.status is Status.PENDING:
            return self._waited(at)
        if self.status is Status.APPROVED:
            return self.lapsed(at)
        return self.reported(Event.LOSE, at)

    def _review_due(self) -> int | None:
        """When somebody is next reminded that an emergency waits for its review."""
        allowed = self.terms.break_glass
        if self.decision is None or allowed is None or not self.unreviewed:
            return None
        return self.decision.at + (self.review_reminded + 1) * allowed.remind

    def _reminded_to_review(self, at: int) -> Request:
        """The request after a reminder; of several that came due while nobody could give them, one is given."""
        allowed, decision = self.terms.break_glass, self.decision
        passed = (at - decision.at) // allowed.remind if decision and allowed else 0
        return self._with(review_reminded=passed)

    def _life_due(self) -> int | None:
        if self.status is Status.PENDING:
            return min(self.expires_at, *self._steps_due())
        if self.status is Status.APPROVED and self.decision is not None:
            return self.decision.use_by
        if self.status is Status.SPENT and self.spend is not None:
            return self.spend.at + self.terms.outcome_within
        return None

    def _waited(self, at: int) -> Request:
        escalation, reminder = self._steps_due()
        if at >= self.expires_at:
            return self.expired(at)
        if at >= escalation:
            return self._with(escalated=self.escalated + 1)
        if at >= reminder:
            return self._with(reminded=self.reminded + 1)
        return self

    def _steps_due(self) -> tuple[int, int]:
        """When the next escalation step and the next reminder are due; the deadline where there is none left."""
        steps, reminders = self.terms.escalation[self.escalated :], self.terms.reminders[self.reminded :]
        escalation = self.asked_at + steps[0].after if steps else self.expires_at
        reminder = self.asked_at + reminders[0] if reminders else self.expires_at
        return escalation, reminder

    def _denied_if_enough(self, vote: Vote) -> Request:
        counting = self._counting()
        against = tuple(known for known in self.votes if known.answer != "approve" and known.person in counting)
        if len(against) < self.terms.deny_quorum:
            return self
        changes = "\n".join(known.reason for known in against if known.answer == "changes")
        return self._decided(Event.DENY, vote.at, by=against, reason=vote.reason, changes=changes)

    def stood_in_for(self, person: str) -> str | None:
        """Whose seat somebody's answer takes, where it is not their own."""
        vote = self.vote_of(person)
        if vote is None or not vote.behalf:
            return None
        seat = seated(self.terms.factors, self._approving()).get(person)
        if seat in vote.factors or (seat is None and vote.factors):
            return None
        return next((one.person for one in vote.behalf if seat is None or seat in one.factors), None)

    def _approving(self) -> dict[str, frozenset[str]]:
        counting = self._counting()
        yeses = (vote.person for vote in self.votes if vote.answer == "approve")
        return {person: counting[person] for person in yeses if person in counting}

    def _counting(self) -> dict[str, frozenset[str]]:
        """Whose answer counts, and for which factors."""
        return counting([(vote.person, vote.factors, vote.behalf) for vote in self.votes])

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
        changes: str = "",
        jti: str | None = None,
        break_glass: bool = False,
    ) -> Request:
        status = step(self.status, event)
        use_by = at + self.terms.use_within if status is Status.APPROVED else None
        decision = Decision(
            status=status,
            at=at,
            by=by,
            rule=rule,
            reason=reason,
            changes=changes,
            jti=jti if use_by else None,
            use_by=use_by,
            break_glass=break_glass,
        )
        return self._with(status=status, decision=decision)

    def _moved(self, event: Event, **changes: object) -> Request:
        return self._with(status=step(self.status, event), **changes)

    def _with(self, **changes: object) -> Request:
        return self.model_copy(update=changes)


def _counted_as(vote: Vote, now: Vote) -> Vote:
    return vote.model_copy(update={"factors": now.factors, "behalf": now.behalf})
