"""The policy: which agents may ask what, who may say yes, where they are asked and for how long.

Every matching rule is evaluated and the strictest wins, so that adding a rule can only tighten (DESIGN §7).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from approvals.action import Action, digest_of
from approvals.care import Care
from approvals.errors import EntryRefused, PolicyInvalid, Problem
from approvals.freeze import Freeze
from approvals.intake import RequestDocument
from approvals.limits import Limits
from approvals.matching import Explanation, Facts, Heard, heard, shares
from approvals.money import is_currency, millionths
from approvals.paths import value_at
from approvals.policy_errors import all_explained
from approvals.policy_file import (
    AgentEntry,
    AskedAgainEntry,
    Demands,
    EscalationEntry,
    FactorEntry,
    IdentityEntry,
    PersonEntry,
    PolicyFile,
    ReminderEntry,
    Role,
    RuleEntry,
    matches,
)
from approvals.policy_problems import destinations_in, problems
from approvals.policy_remarks import remarks, warnings
from approvals.question import Question
from approvals.summaries import filled
from approvals.terms import AskedAgain, BreakGlass, Escalation, Factor, Presentation, Terms, joined, strictest
from approvals.windows import Share, windows_in

_FOREVER: Final = 10**12
_REMEMBERED: Final = 1_024  #: terms of one policy
_NOBODY: Final = PersonEntry()


class Policy:
    """A policy text that was checked as a whole and can be asked."""

    def __init__(self, file: PolicyFile, digest: str, freezes: tuple[Freeze, ...] = ()) -> None:
        self.digest = digest
        self.freezes = freezes
        self._file = file
        self._has_windows = any(windows_in(rule.when) for rule in file.rules if rule.when is not None)
        self._person_of = {account: name for name, entry in file.people.items() for account in entry.accounts}
        self._known: dict[tuple[Hashable, ...], Terms] = {}

    @classmethod
    def parse(cls, mapping: Any, digest: str) -> Policy:
        """Check a mapping read from YAML; raises PolicyInvalid that lists every problem with its remedy."""
        try:
            file = PolicyFile.model_validate(mapping)
        except ValidationError as exc:
            raise PolicyInvalid(all_explained(exc.errors(include_url=False))) from exc
        if found := problems(file):
            raise PolicyInvalid(found)
        return cls(file, digest)

    @property
    def warnings(self) -> list[Problem]:
        """What may be meant as it stands, and probably is not."""
        return warnings(self._file)

    @property
    def remarks(self) -> list[str]:
        """Which rules loosen, and beside which the defaults ask for more than their author may have thought."""
        return remarks(self._file)

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of all registered agents."""
        return tuple(self._file.agents)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names of all registered tools."""
        return tuple(self._file.audiences)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that the file describes."""
        return tuple(self._file.kinds)

    @property
    def people(self) -> tuple[str, ...]:
        """The names of all people."""
        return tuple(self._file.people)

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every place a card could be shown in."""
        return tuple(dict.fromkeys(name for name, _, _ in self.destinations_in_text()))

    def destinations_in_text(self) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
        """Every destination as often as the file names it: with its path in the file, and where that is in words."""
        return destinations_in(self._file)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every approver source that a group names."""
        return tuple(dict.fromkeys(source for group in self._file.groups.values() for source in group.sources()))

    def sources_of(self, group: str) -> tuple[str, ...]:
        """The approver sources that a group names; none of a group that there is not."""
        entry = self._file.groups.get(group)
        return () if entry is None else entry.sources()

    def group_of(self, source: str) -> str | None:
        """The name of the first group that names this source, for people to read; None where none does any more."""
        return next((name for name, group in self._file.groups.items() if source in group.sources()), None)

    def sources_behind(self, name: str) -> tuple[str, ...]:
        """The approver sources of a group, or of a person by themselves. Raises ValueError for what is neither."""
        if name in self._file.groups:
            return self.sources_of(name)
        if name in self._file.people:
            return (f"person:{name}",)
        raise ValueError(f"the policy has no group and no person {name!r}")

    def frozen(self, freezes: tuple[Freeze, ...]) -> Policy:
        """The same policy while these freezes are in force."""
        return Policy(self._file, self.digest, freezes)

    @property
    def epoch(self) -> str:
        """What every commit is compared with: changes with the text, and with every freeze."""
        return epoch_of(self.digest, self.freezes)

    @property
    def external_channels(self) -> tuple[str, ...]:
        """The destinations that people of other organisations may read."""
        return self._file.external_channels

    @property
    def teams_roster(self) -> str:
        """The team whose roster may say who is a member where Graph does not; empty: none may."""
        return self._file.teams_roster or ""

    @property
    def care(self) -> Care | None:
        """How people's attention is cared for; None: the file does not say."""
        return self._file.attention.care() if self._file.attention else None

    def role(self, role: Role) -> tuple[str, ...]:
        """The sources of those who hold a role; nobody where the file does not say."""
        return self._sources(self._file.roles.get(role, ()))

    def limits_of(self, agent: str) -> Limits | None:
        """How much a registered agent may ask."""
        entry = self._file.agents.get(agent)
        return None if entry is None else Limits(agent, entry.limits.open, entry.limits.per_minute)

    def agents_for(self, person: str) -> tuple[str, ...]:
        """The agents that a person answers for, or that may act for them."""
        found = self._file.agents.items()
        return tuple(name for name, entry in found if person == entry.owner or person in entry.principals)

    def owner_of(self, agent: str) -> str | None:
        """Who answers for a registered agent."""
        entry = self._file.agents.get(agent)
        return None if entry is None else entry.owner

    def freeze_of(self, question: Question) -> Freeze | None:
        """The freeze that a question falls under, if any."""
        return next((freeze for freeze in self.freezes if freeze.covers(question)), None)

    def person_of(self, account: str) -> str | None:
        """The person to whom the file links an account, if any."""
        return self._person_of.get(account)

    def accounts_of(self, person: str) -> tuple[str, ...]:
        """The accounts the file links to a person; empty for a service or a stranger."""
        entry = self._file.people.get(person)
        return entry.accounts if entry else ()

    def presentation(self, action: Action) -> Presentation:
        """How an action is worded; one of an unlisted kind by the kind's own name, as a risk that cannot be undone."""
        kind = action.kind
        entry = self._file.kinds.get(kind)
        if entry is None:
            return Presentation(title=f"Run {kind}", done=f"Done: {kind}", not_done=f"Not done: {kind}")
        words = entry.model_dump(include={*Presentation.model_fields} - {"summary"})
        return Presentation(**words, summary=filled(entry.summary, action))

    def not_looked_at(self, kind: str) -> tuple[str, ...]:
        """The arguments of a kind in which a credential may stand: those that are masked, or declared to be none."""
        entry = self._file.kinds.get(kind)
        return (*entry.secret, *entry.shown) if entry else ()

    def identity_of(self, agent: str) -> IdentityEntry | None:
        """Whose tokens say for whom an agent acts, if anybody's do."""
        entry = self._file.agents.get(agent)
        return entry.identity if entry else None

    def subjects_of(self, principal: str) -> tuple[str, ...]:
        """What an identity token may call a principal."""
        return (principal, *self._person(principal).subjects)

    def shares(self, document: RequestDocument, agent: str, *, vouched: bool) -> tuple[Share, ...]:
        """What a document takes of windows; nothing where the agent is not registered."""
        entry = self._file.agents.get(agent)
        if entry is None or not self._has_windows:
            return ()
        return self.shares_of(_question(entry, document, agent, vouched=vouched))

    def shares_of(self, question: Question) -> tuple[Share, ...]:
        """What an admitted question takes of windows."""
        found = shares(self._file.rules, self._facts(question)) if self._has_windows else ()
        return tuple({share.window: share for share in found}.values())

    @property
    def longest_open(self) -> int:
        """For how long (ms) a request may be on its way to being used, whichever rules it falls under."""
        base, demands = self._file.defaults, (self._file.defaults, *self._file.rules)
        waits = (max(demand.within or base.within, demand.extend_to or base.extend_to or 0) for demand in demands)
        uses = [demand.use_within or base.use_within for demand in demands]
        emergency = self._file.break_glass.use_within if self._file.break_glass else 0
        return max(waits) + max(*uses, emergency)

    def admit(self, document: RequestDocument, agent: str, now: int, *, vouched: bool = False) -> Question:
        """The question of a registered agent, with the principal and the audience it left out filled in.

        `now` is in ms; `vouched`: an identity token said that it is this principal. Raises EntryRefused that names
        the field and the YAML lines that would allow it.
        """
        entry = self._registered(agent, now)
        if document.principal is None and len(entry.principals) > 1:
            raise EntryRefused(
                "principal_not_allowed",
                f"{agent} acts for several: say for whom",
                field="principal",
                remedy=f"name one of: {', '.join(entry.principals)}",
            )
        question = _question(entry, document, agent, vouched=vouched)
        self.must_allow(question, now)
        self._must_say_how_much(question)
        return question

    def must_allow(self, question: Question, now: int) -> None:
        """Raise EntryRefused unless the agent may ask this, now: at intake, and again at every vote and spend."""
        if freeze := self.freeze_of(question):
            raise EntryRefused(
                "not_accepting",
                f"frozen by {freeze.by}: {freeze.reason or 'no reason was given'}",
                remedy="wait until another operator unfreezes it",
            )
        entry, kind = self._registered(question.agent, now), question.action.kind
        if not matches(entry.kinds, kind):
            raise EntryRefused(
                "kind_not_allowed",
                f"{question.agent} may not ask for {kind}",
                field="action.kind",
                remedy=f"under agents.{question.agent}.kinds add: {kind}",
            )
        if question.principal not in entry.principals:
            raise EntryRefused(
                "principal_not_allowed",
                f"{question.agent} is not registered to act for this principal",
                field="principal",
                remedy=f"name one of: {', '.join(entry.principals)}",
            )
        if not self._executes(question.audience, question.agent, kind):
            raise EntryRefused(
                "audience_not_allowed",
                f"{question.audience} is not registered to execute {kind}",
                field="audience",
                remedy=f"under audiences.{question.audience}.kinds add: {kind}",
            )

    def terms(self, question: Question) -> Terms:
        """What is demanded of an admitted question: the strictest of every rule that counts, and of the defaults.

        What a rule leaves out it demands as the defaults do, also where a rule exempts from them; so whatever rule is
        added can only tighten.
        """
        return self.explain(question).terms

    def explain(self, question: Question) -> Explanation:
        """Every rule with whether it counts and why, and the terms that this comes to."""
        facts = self._facts(question)
        said = heard(self._file.rules, facts)
        every = zip((*self._file.rules, self._file.defaults), said, strict=True)
        return Explanation(said, self._known_terms(facts, [demands for demands, one in every if one.counts], said))

    def _known_terms(self, facts: Facts, demands: list[Demands], said: tuple[Heard, ...]) -> Terms:
        """The terms of what the rules said, computed once for all questions that differ in nothing they depend on."""
        one = facts.question
        about = (said, one.agent, one.action.kind, one.principal, one.started_by, one.vouched, one.within)
        terms = self._known.pop(about, None) or self._terms(facts, demands, said)
        self._known[about] = terms  # the last ones asked for stay
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return terms

    def _terms(self, facts: Facts, demands: list[Demands], said: tuple[Heard, ...]) -> Terms:
        """The strictest of these demands. Of the question it looks at nothing that `_known_terms` does not name."""
        base, question, each = self._file.defaults, facts.question, partial(_each, demands, self._file.defaults)
        human = [demand for demand in demands if demand.effect == "require"]
        told = [demand for demand in demands if isinstance(demand, RuleEntry) and demand.announce]
        return Terms(
            policy=self.digest,
            rules=tuple(one.rule for one in said if one.counts),
            exempted=tuple(one.rule for one in said if one.exempted_by),
            unclear=tuple(one.rule for one in said if one.counts and not one.certain),
            verdict=strictest(*(demand.effect for demand in demands)),
            factors=joined(*(self._factors(demand, facts) for demand in human)),
            excluded=self._chain(question),
            barred=self._barred(each("exclude"), each("exclude_team_of"), question),
            deny_quorum=min(quorum or 1 for quorum in each("deny_quorum")),
            reminders=_reminders(_each(human or [base], base, "reminders")),
            escalation=self._escalation(human or [base], facts),
            longest=_longest(each("extend_to")),
            asked_again=_asked_again(each("asked_again")),
            reasons=tuple(sorted({answer for answers in each("reason") for answer in answers or ()})),
            min_look=max(look or 0 for look in each("min_look")),
            confirm_code=any(each("confirm_code")),
            unseen=all(each("unseen")),
            announced=bool(told),
            destinations=_union(self._places(demand) for demand in human or told) or base.destinations,
            fallback=_union(demand.fallback for demand in human or told) or base.fallback,
            within=min(question.within or _FOREVER, *each("within")),
            use_within=min(each("use_within")),
            receipt_ttl=min(each("receipt_ttl")),
            outcome_within=base.outcome_within,
            break_glass=self._break_glass(question.action.kind),
        )

    def _break_glass(self, kind: str) -> BreakGlass | None:
        """How this kind may be let through in an emergency: never where it is not listed, or where either says no."""
        entry, listed = self._file.break_glass, self._file.kinds.get(kind)
        if entry is None or listed is None or listed.break_glass == "never" or not matches(entry.kinds, kind):
            return None
        return BreakGlass(
            who=(self._sources(entry.who),),
            announce=entry.announce,
            use_within=entry.use_within,
            receipt_ttl=entry.receipt_ttl,
            remind=entry.remind,
            reviewers=self.role("review"),
        )

    def _facts(self, question: Question) -> Facts:
        agent, principal = self._file.agents[question.agent], self._person(question.principal)
        return Facts(
            question=question,
            kind=self._file.kinds.get(question.action.kind),
            owner=agent.owner,
            principals=self._principals(question),
            team=principal.team,
            manager=principal.manager,
            unvouched=agent.identity is not None and not question.vouched,
        )

    def _principals(self, question: Question) -> tuple[str, ...]:
        """Everybody of whom the agent could have said that it acts for them: one, where an identity token says who."""
        return (question.principal,) if question.vouched else self._file.agents[question.agent].principals

    def _must_say_how_much(self, question: Question) -> None:
        """Raise EntryRefused where a kind that moves money does not say how much, in a way that can be added up."""
        entry, arguments = self._file.kinds.get(question.action.kind), question.action.arguments
        money = entry.money if entry else None
        if money is not None and millionths(value_at(arguments, money.amount)) is None:
            raise EntryRefused(
                "malformed",
                "this is no amount",
                field=f"action.arguments.{money.amount}",
                remedy="send a text such as 12400.00: digits, and a point with up to six decimals",
            )
        if money is not None and money.currency and not is_currency(value_at(arguments, money.currency)):
            raise EntryRefused(
                "malformed",
                "this is no currency",
                field=f"action.arguments.{money.currency}",
                remedy="send its code of three capital letters, such as EUR",
            )

    def _registered(self, agent: str, now: int) -> AgentEntry:
        entry = self._file.agents.get(agent)
        if entry is None:
            raise EntryRefused(
                "unknown_agent",
                f"no agent {agent!r} is registered",
                field="agent",
                remedy=f"under agents add: {agent}: {{owner: …, principals: […], kinds: […]}}",
            )
        if entry.until is not None and datetime.fromtimestamp(now / 1000, UTC).date() > entry.until:
            raise EntryRefused(
                "agent_expired",
                f"{agent} was registered until {entry.until}",
                field="agent",
                remedy=f"its owner ({entry.owner}) extends agents.{agent}.until",
            )
        return entry

    def _executes(self, audience: str, agent: str, kind: str) -> bool:
        if audience == agent:
            return True
        entry = self._file.audiences.get(audience)
        return entry is not None and matches(entry.kinds, kind)

    def _factors(self, demands: Demands, facts: Facts) -> tuple[Factor, ...]:
        """Whom demands ask; those whom the defaults ask, where they do not say."""
        entries = demands.factors or self._file.defaults.factors
        return tuple(factor for entry in entries for factor in self._asked(entry, facts))

    def _places(self, demands: Demands) -> tuple[str, ...]:
        """Where demands want to be shown; where the people of the defaults are, if it is they who are asked."""
        return demands.destinations or (() if demands.factors else self._file.defaults.destinations)

    def _asked(self, entry: FactorEntry, facts: Facts) -> Iterator[Factor]:
        """What one entry comes to; the managers of all for whom the agent could ask, each for themselves."""
        if entry.manager_of is None:
            name, sources = entry.name or "+".join(entry.groups), self._sources(entry.groups)
            yield Factor(name=name, sources=sources, need=entry.approvals, notify=entry.notify)
        else:
            for principal in facts.principals:
                source = f"person:{self._person(principal).manager}"
                yield Factor(name=entry.name or "manager", sources=(source,), notify=entry.notify)

    def _sources(self, groups: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source for group in groups for source in self._file.groups[group].sources()))

    def _barred(self, excluded: list[Any], with_team: list[Any], question: Question) -> tuple[str, ...]:
        """The sources of everybody whom any demand excludes by group or by team."""
        groups = {*_union(excluded)}
        for one in _union(with_team):
            groups |= {team for person in self._behind(one, question) if (team := self._person(person).team)}
        return tuple(sorted(self._sources(groups)))

    def _behind(self, who: str, question: Question) -> tuple[str, ...]:
        """Those whom a rule calls so."""
        agent = self._file.agents[question.agent]
        if who == "principal":
            return self._principals(question)
        return (agent.owner,) if who == "owner" else (question.started_by or "",)

    def _person(self, name: str) -> PersonEntry:
        """What the file says of a person, named by id or account; nothing of a service or a stranger."""
        return self._file.people.get(self._person_of.get(name, name), _NOBODY)

    def _escalation(self, demands: list[Demands], facts: Facts) -> tuple[Escalation, ...]:
        """Every step, each for the people of its own rule alone: it must not open another rule's demand.

        Two rules that demand the same people share the steps that both have.
        """
        steps: dict[tuple[str, ...], list[set[Escalation]]] = {}
        for demand in demands:
            for factor in self._factors(demand, facts):
                people = tuple(sorted(factor.sources))
                steps.setdefault(people, []).append({self._step(entry, people) for entry in demand.escalate})
        shared = [set.intersection(*groups) for groups in steps.values()]
        return tuple(sorted(set().union(*shared), key=lambda step: (step.after, step.joins)))

    def _step(self, entry: EscalationEntry, people: tuple[str, ...]) -> Escalation:
        return Escalation(
            after=entry.after, sources=self._sources(entry.to), destinations=entry.destinations, joins=people
        )

    def _chain(self, question: Question) -> tuple[str, ...]:
        """Everybody who stands behind the question: owner, whoever started it, and whom the agent may be acting for."""
        chain = {self._file.agents[question.agent].owner, *self._principals(question), question.started_by}
        return tuple(sorted({self._person_of.get(one, one) for one in chain if one}))


def _question(entry: AgentEntry, document: RequestDocument, agent: str, *, vouched: bool) -> Question:
    """What an agent asks, with the principal and the audience it left out filled in."""
    return Question(
        agent=agent,
        action=document.action,
        principal=document.principal or entry.principals[0],
        audience=document.audience or agent,
        started_by=document.started_by,
        within=document.within_ms,
        vouched=vouched,
    )


def epoch_of(digest: str, freezes: tuple[Freeze, ...]) -> str:
    """The epoch of a policy text under freezes; the text's own digest where nothing is frozen."""
    if not freezes:
        return digest
    return digest_of({"policy": digest, "freezes": [freeze.model_dump() for freeze in freezes]})


def _each(demands: list[Demands], base: Demands, name: str) -> list[Any]:
    """What each demand says of a key; saying nothing is saying what the defaults say, if they say anything."""
    said = (getattr(demand, name) for demand in demands)
    return [getattr(base, name) if value is None else value for value in said]


def _reminders(entries: list[ReminderEntry | None]) -> tuple[int, ...]:
    """Every reminder that any of them wants."""
    return tuple(sorted({offset for entry in entries if entry for offset in entry.offsets()}))


def _longest(allowed: list[int | None]) -> int | None:
    """How long the deadline may become: the shortest anybody allows, and not at all where one does not."""
    known = [one for one in allowed if one is not None]
    return min(known) if len(known) == len(allowed) else None


def _asked_again(said: list[AskedAgainEntry | None]) -> AskedAgain:
    """The strictest answer to asking again: the longest mark, and the longest denial where anybody wants one."""
    entries = [entry or AskedAgainEntry() for entry in said]
    denying = (entry.within for entry in entries if entry.effect == "deny")
    return AskedAgain(within=max(entry.within for entry in entries), deny_within=max(denying, default=0))


def _union(groups: Iterable[Iterable[str] | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group or ()))
