"""The policy: which agents may ask what, who may say yes, where they are asked and for how long.

Every matching rule is evaluated and the strictest wins, so that adding a rule can only tighten (DESIGN §7).
The text is YAML on disk; this module sees the mapping that was read from it.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from approvals.action import KIND, NAME, digest_of
from approvals.errors import EntryRefused, PolicyInvalid
from approvals.freeze import Freeze
from approvals.intake import RequestDocument
from approvals.limits import Limits
from approvals.question import Question
from approvals.terms import (
    AskedAgain,
    Effect,
    Escalation,
    Factor,
    Presentation,
    Risk,
    Terms,
    joined,
    strictest,
)

_FOREVER: Final = 10**12
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

#: Keys of the final shape whose feature is not built yet: a load error that says so, never ignored.
NOT_BUILT: Final = frozenset(
    {"when", "exempts", "reason", "min_look", "confirm_code", "notify"}
    | {"break_glass", "step_up", "secret", "shown", "money", "environment", "sample_review"}
)


def _duration(value: Any) -> Any:
    """Milliseconds from 90s, 15m, 2h or 1d."""
    if isinstance(value, str) and (found := re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", value)):
        return int(found[1]) * _UNITS[found[2]]
    raise ValueError("write a duration as a number and a unit: 90s, 15m, 2h, 1d")


Duration = Annotated[int, BeforeValidator(_duration)]
Glob = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
AgentName = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
KindName = Annotated[str, StringConstraints(pattern=rf"^{KIND}$")]
Account = Annotated[str, StringConstraints(pattern=r"^[a-z]+(:[A-Za-z0-9._@-]+){2}$")]
Destination = Annotated[str, StringConstraints(pattern=r"^slack:[CDGU][A-Z0-9]{2,20}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\n\r\t<>&*_`~|]+$")]


class Section(BaseModel):
    """A part of the policy file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitsEntry(Section):
    """How many requests of an agent may be open at once, and how many it may ask in a minute."""

    open: int = Field(default=2_000, ge=1, le=1_000_000)
    per_minute: int = Field(default=2_000, ge=1, le=1_000_000)


class AgentEntry(Section):
    """A registered agent: who answers for it, for whom it acts, what it may ask and how much, until when."""

    owner: str
    principals: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[Glob, ...] = Field(min_length=1)
    limits: LimitsEntry = LimitsEntry()
    until: date | None = None


class AudienceEntry(Section):
    """A tool that checks receipts, and the kinds it executes."""

    kinds: tuple[Glob, ...] = Field(min_length=1)


class KindEntry(Section):
    """What a kind does and how cards word it."""

    title: Line
    done: Line
    not_done: Line
    effect: Effect
    risk: Risk = "high"
    reversible: bool = False


class PersonEntry(Section):
    """A person and the accounts that are theirs."""

    accounts: tuple[Account, ...] = ()


class GroupEntry(Section):
    """Approvers: named people, a chat platform's user group, or both."""

    people: tuple[str, ...] = ()
    slack_usergroup: Annotated[str, StringConstraints(pattern=r"^S[A-Z0-9]{2,20}$")] | None = None

    def sources(self) -> tuple[str, ...]:
        """The group as the sources of a factor."""
        named = tuple(f"person:{person}" for person in self.people)
        return named if self.slack_usergroup is None else (*named, f"slack:usergroup:{self.slack_usergroup}")


class FactorEntry(Section):
    """One demand of a rule: so many approvals from these groups."""

    name: Id | None = None
    groups: tuple[str, ...] = Field(alias="from", min_length=1)
    approvals: int = Field(default=1, ge=1, le=20)


class Match(Section):
    """What a rule applies to; globs, and every list that is given must match."""

    kind: tuple[Glob, ...] = ("*",)
    target: tuple[Glob, ...] = ("*",)
    agent: tuple[Glob, ...] = ("*",)

    def covers(self, kind: str, target: str, agent: str) -> bool:
        """Whether all three match one of their globs."""
        return _any(self.kind, kind) and _any(self.target, target) and _any(self.agent, agent)


class ReminderEntry(Section):
    """When those who have not answered are reminded: first after `first`, then `times` as long each time."""

    first: Duration
    times: float = Field(default=2.0, ge=1.0, le=10.0)
    most: int = Field(default=3, ge=1, le=10)

    def offsets(self) -> tuple[int, ...]:
        """The reminders in ms from the asking."""
        gaps = [self.first * self.times**number for number in range(self.most)]
        return tuple(int(sum(gaps[: number + 1])) for number in range(self.most))


class EscalationEntry(Section):
    """A step for when nobody answers: these groups may answer too, and these places are asked."""

    after: Duration
    to: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()


class AskedAgainEntry(Section):
    """What follows when the same is asked again after a denial: a mark on the card, or another denial."""

    within: Duration = 3_600_000
    effect: Literal["mark", "deny"] = "mark"


class Demands(Section):
    """What is demanded when a rule, or the default, applies."""

    effect: Literal["allow", "require", "deny"] = "require"
    factors: tuple[FactorEntry, ...] = Field(default=(), max_length=10)
    destinations: tuple[Destination, ...] = ()
    deny_quorum: int | None = Field(default=None, ge=1, le=20)
    reminders: ReminderEntry | None = None
    escalate: tuple[EscalationEntry, ...] = Field(default=(), max_length=10)
    extend_to: Duration | None = None
    asked_again: AskedAgainEntry | None = None
    within: Duration | None = None
    use_within: Duration | None = None
    receipt_ttl: Duration | None = None


class RuleEntry(Demands):
    """A named set of demands and what it applies to."""

    id: Id
    match: Match = Match()


class Defaults(Demands):
    """What holds where no rule says more; it always requires a human."""

    effect: Literal["require"] = "require"
    factors: tuple[FactorEntry, ...] = Field(min_length=1, max_length=10)
    destinations: tuple[Destination, ...] = Field(min_length=1)
    within: Duration = 1_800_000
    use_within: Duration = 900_000
    receipt_ttl: Duration = 120_000
    outcome_within: Duration = 900_000


Role = Literal["freeze", "unfreeze", "revoke", "extend", "resolve", "see"]


class PolicyFile(Section):
    """The whole file, in its published shape (docs/reference/policy.schema.json)."""

    version: Literal[1]
    defaults: Defaults
    agents: dict[AgentName, AgentEntry] = Field(default_factory=dict)
    audiences: dict[AgentName, AudienceEntry] = Field(default_factory=dict)
    kinds: dict[KindName, KindEntry] = Field(default_factory=dict)
    people: dict[Id, PersonEntry] = Field(default_factory=dict)
    groups: dict[Id, GroupEntry] = Field(default_factory=dict)
    roles: dict[Role, tuple[str, ...]] = Field(default_factory=dict)
    rules: tuple[RuleEntry, ...] = ()


class Policy:
    """A policy text that was checked as a whole and can be asked."""

    def __init__(self, file: PolicyFile, digest: str, freezes: tuple[Freeze, ...] = ()) -> None:
        self.digest = digest
        self.freezes = freezes
        self._file = file
        self._person_of = {account: name for name, entry in file.people.items() for account in entry.accounts}

    @classmethod
    def parse(cls, mapping: Any, digest: str) -> Policy:
        """Check a mapping read from YAML; raises PolicyInvalid that lists every problem with its remedy."""
        try:
            file = PolicyFile.model_validate(mapping)
        except ValidationError as exc:
            raise PolicyInvalid([_explain(error) for error in exc.errors(include_url=False)]) from exc
        if problems := [*_dangling(file), *_too_few(file), *_overlaps(file)]:
            raise PolicyInvalid(problems)
        return cls(file, digest)

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of all registered agents."""
        return tuple(self._file.agents)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names of all registered tools."""
        return tuple(self._file.audiences)

    @property
    def people(self) -> tuple[str, ...]:
        """The names of all people."""
        return tuple(self._file.people)

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every place a card could be shown in."""
        demands = [self._file.defaults, *self._file.rules]
        found = [*(d for demand in demands for d in demand.destinations)]
        found += [d for demand in demands for step in demand.escalate for d in step.destinations]
        return tuple(dict.fromkeys(found))

    @property
    def sources(self) -> tuple[str, ...]:
        """Every approver source that a group names."""
        return tuple(dict.fromkeys(source for group in self._file.groups.values() for source in group.sources()))

    def frozen(self, freezes: tuple[Freeze, ...]) -> Policy:
        """The same policy while these freezes are in force."""
        return Policy(self._file, self.digest, freezes)

    @property
    def epoch(self) -> str:
        """What every commit is compared with: changes with the text, and with every freeze."""
        return epoch_of(self.digest, self.freezes)

    def role(self, role: Role) -> tuple[str, ...]:
        """The sources of those who hold a role; nobody where the file does not say."""
        groups = self._file.roles.get(role, ())
        return tuple(dict.fromkeys(source for group in groups for source in self._file.groups[group].sources()))

    def limits_of(self, agent: str) -> Limits | None:
        """How much a registered agent may ask."""
        entry = self._file.agents.get(agent)
        return None if entry is None else Limits(agent, entry.limits.open, entry.limits.per_minute)

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

    def presentation(self, kind: str) -> Presentation:
        """How a kind is worded; an unlisted kind is worded by its own name, as a risk that cannot be undone."""
        entry = self._file.kinds.get(kind)
        if entry is None:
            return Presentation(title=f"Run {kind}", done=f"Done: {kind}", not_done=f"Not done: {kind}")
        return Presentation(**entry.model_dump())

    def admit(self, document: RequestDocument, agent: str, now: int) -> Question:
        """The question of a registered agent, with the principal and the audience it left out filled in.

        `now` is in ms. Raises EntryRefused that names the field and the YAML lines that would allow it.
        """
        entry = self._registered(agent, now)
        principal = document.principal or entry.principals[0]
        if document.principal is None and len(entry.principals) > 1:
            raise EntryRefused(
                "principal_not_allowed",
                f"{agent} acts for several: say for whom",
                field="principal",
                remedy=f"name one of: {', '.join(entry.principals)}",
            )
        question = Question(
            agent=agent,
            action=document.action,
            principal=principal,
            audience=document.audience or agent,
            started_by=document.started_by,
            within=document.within_ms,
        )
        self.must_allow(question, now)
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
        if not _any(entry.kinds, kind):
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
        """What is demanded of an admitted question: the strictest of every rule that matches.

        What a rule leaves out it demands as the default does, so that no rule beside it can loosen that. The default
        itself holds where no rule matches, and always for a kind that is not listed.
        """
        base = self._file.defaults
        kind, target = question.action.kind, question.action.target
        rules = [rule for rule in self._file.rules if rule.match.covers(kind, target, question.agent)]
        known = bool(rules) and kind in self._file.kinds
        demands: list[Demands] = [*rules] if known else [*rules, base]
        human = [demand for demand in demands if demand.effect == "require"]
        return Terms(
            policy=self.digest,
            rules=(*(rule.id for rule in rules), *(() if known else ("default",))),
            verdict=strictest(*(demand.effect for demand in demands)),
            factors=joined(*(self._factors(demand if demand.factors else base) for demand in human)),
            excluded=self._chain(question),
            deny_quorum=min(demand.deny_quorum or base.deny_quorum or 1 for demand in demands),
            reminders=_reminders(human or [base], base),
            escalation=self._escalation(human or [base]),
            longest=_longest(demands, base),
            asked_again=_asked_again(demands, base),
            destinations=_union(demand.destinations for demand in human) or base.destinations,
            within=min(question.within or _FOREVER, _shortest(demands, "within", base.within)),
            use_within=_shortest(demands, "use_within", base.use_within),
            receipt_ttl=_shortest(demands, "receipt_ttl", base.receipt_ttl),
            outcome_within=base.outcome_within,
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
        return entry is not None and _any(entry.kinds, kind)

    def _factors(self, demands: Demands) -> tuple[Factor, ...]:
        return tuple(
            Factor(
                name=entry.name or "+".join(entry.groups),
                sources=tuple(source for group in entry.groups for source in self._file.groups[group].sources()),
                need=entry.approvals,
            )
            for entry in demands.factors
        )

    def _escalation(self, demands: list[Demands]) -> tuple[Escalation, ...]:
        """Every step, each for the people of its own rule alone: it must not open another rule's demand.

        Two rules that demand the same people share the steps that both have.
        """
        steps: dict[tuple[str, ...], list[set[Escalation]]] = {}
        for demand in demands:
            for factor in self._factors(demand if demand.factors else self._file.defaults):
                people = tuple(sorted(factor.sources))
                steps.setdefault(people, []).append({self._step(entry, people) for entry in demand.escalate})
        shared = [set.intersection(*groups) for groups in steps.values()]
        return tuple(sorted(set().union(*shared), key=lambda step: (step.after, step.joins)))

    def _step(self, entry: EscalationEntry, people: tuple[str, ...]) -> Escalation:
        sources = tuple(source for group in entry.to for source in self._file.groups[group].sources())
        return Escalation(after=entry.after, sources=sources, destinations=entry.destinations, joins=people)

    def _chain(self, question: Question) -> tuple[str, ...]:
        """Everybody who stands behind the question: owner, principal and whoever started it."""
        chain = {self._file.agents[question.agent].owner, question.principal, question.started_by}
        return tuple(sorted({self._person_of.get(one, one) for one in chain if one}))


def _any(globs: tuple[str, ...], value: str) -> bool:
    return any(fnmatchcase(value, glob) for glob in globs)


def epoch_of(digest: str, freezes: tuple[Freeze, ...]) -> str:
    """The epoch of a policy text under freezes; the text's own digest where nothing is frozen."""
    if not freezes:
        return digest
    return digest_of({"policy": digest, "freezes": [freeze.model_dump() for freeze in freezes]})


def _reminders(demands: list[Demands], base: Demands) -> tuple[int, ...]:
    """Every reminder that any of them wants."""
    entries = [entry for demand in demands if (entry := demand.reminders or base.reminders)]
    return tuple(sorted({offset for entry in entries for offset in entry.offsets()}))


def _longest(demands: list[Demands], base: Demands) -> int | None:
    """How long the deadline may become: the shortest anybody allows, and not at all where one does not."""
    allowed = [demand.extend_to or base.extend_to for demand in demands]
    return None if None in allowed else min(one for one in allowed if one is not None)


def _asked_again(demands: list[Demands], base: Demands) -> AskedAgain:
    """The strictest answer to asking again: the longest mark, and the longest denial where anybody wants one."""
    entries = [demand.asked_again or base.asked_again or AskedAgainEntry() for demand in demands]
    denying = (entry.within for entry in entries if entry.effect == "deny")
    return AskedAgain(within=max(entry.within for entry in entries), deny_within=max(denying, default=0))


def _shortest(demands: list[Demands], name: str, default: int) -> int:
    """The shortest of what each demand says of a duration; saying nothing is saying the default."""
    said = (getattr(demand, name) for demand in demands)
    return min(default if value is None else value for value in said)


def _union(groups: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))


def _explain(error: Any) -> str:
    """One of pydantic's errors as "where: what; remedy"."""
    where = ".".join(str(part) for part in error["loc"])
    key = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    if key in NOT_BUILT:
        return f"{where}: this key's feature is not built yet; remove it (it would not be enforced)"
    near = difflib.get_close_matches(key, _known_keys(), n=1)
    return f"{where}: there is no such key" + (f"; did you mean {near[0]!r}?" if near else "")


def _known_keys() -> list[str]:
    models = (PolicyFile, Defaults, RuleEntry, Match, FactorEntry, GroupEntry, PersonEntry, KindEntry, AgentEntry)
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _dangling(file: PolicyFile) -> list[str]:
    """Names that lead nowhere."""
    problems = [
        f"{where}.factors: there is no group {group!r}; define it under groups"
        for where, demands in _demands(file)
        for factor in demands.factors
        for group in factor.groups
        if group not in file.groups
    ]
    problems += [
        f"{where}.escalate: there is no group {group!r}; define it under groups"
        for where, demands in _demands(file)
        for step in demands.escalate
        for group in step.to
        if group not in file.groups
    ]
    problems += [
        f"roles.{role}: there is no group {group!r}; define it under groups"
        for role, groups in file.roles.items()
        for group in groups
        if group not in file.groups
    ]
    for name, entry in file.groups.items():
        problems += [
            f"groups.{name}: there is no person {p!r}; define it under people"
            for p in entry.people
            if p not in file.people
        ]
    for name, agent in file.agents.items():
        if agent.owner not in file.people and not agent.owner.startswith("service:"):
            problems.append(
                f"agents.{name}.owner: there is no person {agent.owner!r}; define it, or write service:<name>"
            )
    return problems


def _too_few(file: PolicyFile) -> list[str]:
    """Demands that nobody can ever meet."""
    problems = [
        f"groups.{name}: nobody is in it; add people or a user group"
        for name, entry in file.groups.items()
        if not entry.sources()
    ]
    for where, demands in _demands(file):
        for factor in demands.factors:
            groups = [file.groups.get(group) for group in factor.groups]
            if any(group is None or group.slack_usergroup for group in groups):
                continue  # told by _dangling, or known only at the click
            people = {person for group in groups if group for person in group.people}
            if factor.approvals > len(people):
                problems.append(
                    f"{where}.factors: needs {factor.approvals} of {len(people)} people; add people or lower it"
                )
        needed, asked = demands.deny_quorum or file.defaults.deny_quorum or 1, _asked(demands, file)
        if asked is not None and needed > len(asked):
            problems.append(f"{where}.deny_quorum: needs {needed} of {len(asked)} people; add people or lower it")
        if demands.receipt_ttl is not None and demands.receipt_ttl > 300_000:
            problems.append(f"{where}.receipt_ttl: at most 300s, so that a stolen receipt is soon worthless")
    return problems


def _asked(demands: Demands, file: PolicyFile) -> set[str] | None:
    """Everybody whom the factors ask; None where that is known only at the click, or told by _dangling."""
    factors = demands.factors or file.defaults.factors
    groups = [file.groups.get(name) for factor in factors for name in factor.groups]
    if any(group is None or group.slack_usergroup for group in groups):
        return None
    return {person for group in groups if group for person in group.people}


def _overlaps(file: PolicyFile) -> list[str]:
    """Names that two things share."""
    problems = [
        f"audiences.{name}: an agent has this name too; rename one" for name in file.audiences if name in file.agents
    ]
    if "tool" in file.agents:
        problems.append("agents.tool: this name is taken by the wire (in:tool:…); rename it")
    ids = [rule.id for rule in file.rules]
    problems += [
        f"rules: two rules are called {one!r}; rename one" for one in sorted({i for i in ids if ids.count(i) > 1})
    ]
    owners: dict[str, str] = {}
    for name, entry in file.people.items():
        for account in entry.accounts:
            if owners.setdefault(account, name) != name:
                problems.append(f"people.{name}.accounts: {account} belongs to {owners[account]} already")
    return problems


def _demands(file: PolicyFile) -> list[tuple[str, Demands]]:
    return [("defaults", file.defaults), *((f"rules.{rule.id}", rule) for rule in file.rules)]
