"""The policy file: its sections and keys, and what a value of each looks like.

The text is YAML on disk; these shapes check the mapping that was read from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from approvals import conditions, paths, summaries
from approvals.action import KIND, NAME
from approvals.care import Care, Hours
from approvals.durations import milliseconds
from approvals.money import millionths
from approvals.terms import Effect, Notify, Risk

#: Keys of the final shape whose feature is not built yet: a load error that says so, never ignored.
NOT_BUILT: Final = frozenset({"step_up", "sample_review"})


def _amount(value: Any) -> Any:
    """An amount as text, exact: "10000" or "0.50"; a number with a fraction would not be."""
    if millionths(value) is None:
        raise ValueError('write an amount as text, with a point and up to six decimals: "10000", "0.50"')
    return str(value)


def _duration(value: Any) -> Any:
    """Milliseconds from 90s, 15m, 2h or 1d."""
    return milliseconds(value if isinstance(value, str) else "")


Duration = Annotated[int, BeforeValidator(_duration)]
Amount = Annotated[
    str, BeforeValidator(_amount), WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"})
]
Glob = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1)]
EVERYTHING: Final = ("*",)
DEFAULTS: Final = "defaults"  #: by this name they take part like a rule, and are exempted from
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
AgentName = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
KindName = Annotated[str, StringConstraints(pattern=rf"^{KIND}$")]
_GUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  #: in small letters: an id has one spelling
_THREAD: Final = r"19:[A-Za-z0-9_-]{1,120}@thread\.(tacv2|skype|v2)"

#: How accounts of a platform are spelled where more is known than that there are three parts.
_ACCOUNTS: Final = {"teams": re.compile(rf"teams:{_GUID}:{_GUID}")}


def _account(value: str) -> str:
    """An account in the one spelling in which its platform vouches for it: another would be another person."""
    shape = _ACCOUNTS.get(value.split(":")[0])
    if shape is not None and shape.fullmatch(value) is None:
        raise ValueError("write teams:<tenant id>:<object id>, both as Entra shows them, in small letters")
    return value


Account = Annotated[str, StringConstraints(pattern=r"^[a-z]+(:[A-Za-z0-9._@-]+){2}$"), AfterValidator(_account)]
Destination = Annotated[str, StringConstraints(pattern=rf"^(slack:[CDGU][A-Z0-9]{{2,20}}|teams:({_THREAD}|{_GUID}))$")]
OnCall = Annotated[str, StringConstraints(pattern=r"^(pagerduty|ical):[A-Za-z0-9._-]{1,64}$")]
Path = Annotated[str, StringConstraints(pattern=rf"^{paths.PATH}$")]
Pattern = Annotated[str, StringConstraints(pattern=rf"^{paths.PATTERN}$")]
Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=summaries.LONGEST), AfterValidator(summaries.checked)
]
Condition = Annotated[
    str, StringConstraints(min_length=1, max_length=conditions.LONGEST), AfterValidator(conditions.checked)
]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\n\r\t<>&*_`~|]+$")]


class Section(BaseModel):
    """A part of the policy file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitsEntry(Section):
    """How many requests of an agent may be open at once, and how many it may ask in a minute."""

    open: int = Field(default=2_000, ge=1, le=1_000_000)
    per_minute: int = Field(default=2_000, ge=1, le=1_000_000)


class IdentityEntry(Section):
    """Who vouches for the person an agent asks for: tokens of this issuer for this audience, by keys in this file.

    The claim names the person as the agent's `principals` do, or as one of `people.<id>.subjects`.
    """

    issuer: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    audience: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    jwks: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    claim: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "sub"


class AgentEntry(Section):
    """A registered agent: who answers for it, for whom it acts, what it may ask and how much, until when."""

    owner: str
    principals: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[Glob, ...] = Field(min_length=1)
    limits: LimitsEntry = LimitsEntry()
    until: date | None = None
    identity: IdentityEntry | None = None


class AudienceEntry(Section):
    """A tool that checks receipts, and the kinds it executes."""

    kinds: tuple[Glob, ...] = Field(min_length=1)


class MoneyEntry(Section):
    """Where a kind's arguments say how much money it moves. A request that does not say so there is refused."""

    amount: Path
    currency: Path | None = None


class KindEntry(Section):
    """What a kind does and how cards word it."""

    title: Line
    done: Line
    not_done: Line
    effect: Effect
    risk: Risk = "high"
    reversible: bool = False
    environment: Id | None = None
    environment_from: Path | None = None
    break_glass: Literal["allowed", "never"] = "allowed"
    denials: tuple[Line, ...] = Field(default=(), max_length=10)
    summary: Sentence | None = None
    money: MoneyEntry | None = None
    secret: tuple[Pattern, ...] = Field(default=(), max_length=50)
    shown: tuple[Pattern, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _no_secret_in_the_summary(self) -> Self:
        if self.summary is not None and (path := summaries.shows(self.summary, self.secret)) is not None:
            raise ValueError(f"summary: {{{path}}} is secret; take it out")
        return self

    @model_validator(mode="after")
    def _one_environment(self) -> Self:
        if self.environment is not None and self.environment_from is not None:
            raise ValueError("say either environment, or environment_from which argument it is read")
        return self


class PersonEntry(Section):
    """A person, the accounts that are theirs, and where they stand."""

    accounts: tuple[Account, ...] = ()
    subjects: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = ()
    manager: str | None = None
    team: str | None = None


class GroupEntry(Section):
    """Approvers: named people, and whoever is in a user group, an Entra group or a team, or on call now."""

    people: tuple[str, ...] = ()
    slack_usergroup: Annotated[str, StringConstraints(pattern=r"^S[A-Z0-9]{2,20}$")] | None = None
    entra_group: Annotated[str, StringConstraints(pattern=rf"^{_GUID}$")] | None = None
    teams_team: Annotated[str, StringConstraints(pattern=rf"^{_THREAD}$")] | None = None
    oncall: tuple[OnCall, ...] = ()

    def sources(self) -> tuple[str, ...]:
        """The group as the sources of a factor."""
        return (*(f"person:{person}" for person in self.people), *self._looked_up())

    @property
    def is_open(self) -> bool:
        """Whether who is in it is known only at the click."""
        return bool(self._looked_up())

    def _looked_up(self) -> tuple[str, ...]:
        named = {
            "slack:usergroup": self.slack_usergroup,
            "teams:group": self.entra_group,
            "teams:team": self.teams_team,
        }
        groups = tuple(f"{kind}:{name}" for kind, name in named.items() if name is not None)
        return (*groups, *(f"oncall:{schedule}" for schedule in self.oncall))


class FactorEntry(Section):
    """One demand of a rule: so many approvals from these groups, or the approval of somebody's manager."""

    name: Id | None = None
    groups: tuple[str, ...] = Field(default=(), alias="from", min_length=1)
    manager_of: Literal["principal"] | None = None
    approvals: int = Field(default=1, ge=1, le=20)
    notify: Notify = "mention"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.groups) == (self.manager_of is not None):
            raise ValueError("say either `from` which groups, or `manager_of: principal`")
        if self.manager_of is not None and self.approvals != 1:
            raise ValueError("everybody has one manager: leave `approvals` out")
        return self


Scalar = StrictStr | StrictInt | StrictBool


class Comparison(Section):
    """What an argument is compared with; every comparison that is given must hold."""

    equals: Scalar | None = Field(default=None, alias="==")
    differs: Scalar | None = Field(default=None, alias="!=")
    more: Amount | None = Field(default=None, alias=">")
    least: Amount | None = Field(default=None, alias=">=")
    less: Amount | None = Field(default=None, alias="<")
    most: Amount | None = Field(default=None, alias="<=")
    among: tuple[Scalar, ...] | None = Field(default=None, alias="in", min_length=1)
    outside: tuple[Scalar, ...] | None = Field(default=None, alias="not in", min_length=1)
    like: tuple[Glob, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set or any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError('compare it with something: {">": "10000"}, {in: [EUR, USD]}, {like: ["*@example.com"]}')
        return self


class Match(Section):
    """What a rule applies to: everything that is given must match, each list by one of its patterns."""

    kind: Globs = EVERYTHING
    target: Globs = EVERYTHING
    agent: Globs = EVERYTHING
    principal: Globs = EVERYTHING
    effect: tuple[Effect, ...] | None = Field(default=None, min_length=1)
    risk: tuple[Risk, ...] | None = Field(default=None, min_length=1)
    environment: Globs = EVERYTHING
    arguments: dict[Path, Comparison] = Field(default_factory=dict)


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
    """What is demanded when a rule applies, or by the defaults. A rule demands what it leaves out as they do."""

    effect: Literal["allow", "require", "deny"] = "require"
    factors: tuple[FactorEntry, ...] = Field(default=(), max_length=10)
    destinations: tuple[Destination, ...] = ()
    fallback: tuple[Destination, ...] = Field(default=(), max_length=5)
    deny_quorum: int | None = Field(default=None, ge=1, le=20)
    reminders: ReminderEntry | None = None
    escalate: tuple[EscalationEntry, ...] = Field(default=(), max_length=10)
    extend_to: Duration | None = None
    asked_again: AskedAgainEntry | None = None
    exclude: tuple[str, ...] | None = None
    exclude_team_of: tuple[Literal["principal", "owner", "started_by"], ...] | None = None
    reason: tuple[Literal["approve", "deny"], ...] | None = None
    min_look: Duration | None = None
    confirm_code: bool | None = None
    unseen: bool | None = None
    within: Duration | None = None
    use_within: Duration | None = None
    receipt_ttl: Duration | None = None


class RuleEntry(Demands):
    """A named set of demands and what it applies to."""

    id: Id
    match: Match = Match()
    when: Condition | None = None
    exempts: tuple[str, ...] = ()
    announce: bool = False


class Defaults(Demands):
    """What holds for every request, beside every rule that does not exempt from it; it always requires a human."""

    effect: Literal["require"] = "require"
    factors: tuple[FactorEntry, ...] = Field(min_length=1, max_length=10)
    destinations: tuple[Destination, ...] = Field(min_length=1)
    within: Duration = 1_800_000
    use_within: Duration = 900_000
    receipt_ttl: Duration = 120_000
    outcome_within: Duration = 900_000


class BudgetEntry(Section):
    """How often one person or group is notified at most; `per_hour` of any hour, `per_day` of any day."""

    per_hour: int | None = Field(default=None, ge=1, le=400)
    per_day: int | None = Field(default=None, ge=1, le=400)


class QuietEntry(Section):
    """Hours in which nobody is notified who is not on call, unless they chose others."""

    begin: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+([/_+-][A-Za-z0-9]+)*$", max_length=60)] = "UTC"

    def hours(self) -> Hours:
        """The same as the rules read it."""
        return Hours(begin=_minutes(self.begin), end=_minutes(self.end), zone=self.zone)


class AttentionEntry(Section):
    """How people's attention is cared for."""

    budget: BudgetEntry = BudgetEntry()
    quiet_hours: QuietEntry | None = None

    def care(self) -> Care:
        """The same as the rules read it."""
        hours = self.quiet_hours.hours() if self.quiet_hours is not None else None
        return Care(per_hour=self.budget.per_hour, per_day=self.budget.per_day, quiet=hours)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


class BreakGlassEntry(Section):
    """Who may let a request through alone in an emergency, for which kinds, and who is told of it."""

    who: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[Glob, ...] = Field(default=("*",), min_length=1)
    announce: tuple[Destination, ...] = Field(min_length=1)
    use_within: Duration = 300_000
    receipt_ttl: Duration = 60_000
    remind: Duration = 14_400_000


Role = Literal["freeze", "unfreeze", "revoke", "extend", "resolve", "see", "delegate", "link", "review"]


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
    external_channels: tuple[Destination, ...] = ()
    teams_roster: Annotated[str, StringConstraints(pattern=rf"^{_THREAD}$")] | None = None
    break_glass: BreakGlassEntry | None = None
    attention: AttentionEntry | None = None
    rules: tuple[RuleEntry, ...] = ()


def matches(globs: tuple[str, ...], value: str) -> bool:
    """Whether a value matches any of the globs."""
    return any(_pattern(glob)(value) for glob in globs)


@lru_cache(maxsize=100_000)
def _pattern(glob: str) -> Callable[[str], Any]:
    """What a glob matches; fnmatch itself remembers fewer patterns than a large policy has."""
    return re.compile(translate(glob)).match
