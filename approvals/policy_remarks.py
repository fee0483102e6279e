"""What a policy file comes to that its author may not have meant: warnings, what loosens, what is asked for in sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from approvals.errors import Problem
from approvals.policy_file import DEFAULTS, Demands, FactorEntry, Match, PolicyFile, RuleEntry, matches


def warnings(file: PolicyFile) -> list[Problem]:
    """What may be meant as it stands, and probably is not."""
    return [*_unlike(file), *_elsewhere(file), *_not_there(file)]


def _unlike(file: PolicyFile) -> Iterator[Problem]:
    """Patterns that no listed kind is like: misspelled, or for what nobody has described."""
    globs: list[tuple[tuple[str | int, ...], str, tuple[str, ...]]] = [
        (("rules", place, "match", "kind"), f"rules.{rule.id}", rule.match.kind)
        for place, rule in enumerate(file.rules)
    ]
    globs += [(("agents", name, "kinds"), f"agents.{name}.kinds", agent.kinds) for name, agent in file.agents.items()]
    globs += [
        (("audiences", name, "kinds"), f"audiences.{name}.kinds", one.kinds) for name, one in file.audiences.items()
    ]
    if file.break_glass is not None:
        globs.append((("break_glass", "kinds"), "break_glass.kinds", file.break_glass.kinds))
    for path, where, patterns in globs:
        for glob in patterns:
            if not any(fnmatchcase(kind, glob) for kind in file.kinds):
                yield Problem(f"no listed kind is like {glob!r}; list the kinds it is for under kinds", path, where)


def _elsewhere(file: PolicyFile) -> Iterator[Problem]:
    """Channels that are allowed to be shared, and to which nothing is ever posted."""
    demands: tuple[Demands, ...] = (file.defaults, *file.rules)
    used = {place for one in demands for place in (*one.destinations, *one.fallback)}
    used |= {place for one in demands for step in one.escalate for place in step.destinations}
    used |= {*(file.break_glass.announce if file.break_glass else ())}
    for place in file.external_channels:
        if place not in used:
            yield Problem(f"nothing is ever shown in {place}; take it out", ("external_channels",), "external_channels")


def _not_there(file: PolicyFile) -> Iterator[Problem]:
    """Demands of people who have no account on any platform where they are asked: never notified, and never heard."""
    places: list[tuple[tuple[str | int, ...], str, Demands]] = [(("defaults",), "defaults", file.defaults)]
    places += [(("rules", place), f"rules.{rule.id}", rule) for place, rule in enumerate(file.rules)]
    for path, where, demands in places:
        if demands.effect != "require" or not (demands.factors or demands.destinations):
            continue
        asked_in = {_platform(place) for place in (demands.destinations or file.defaults.destinations)}
        asked_in |= {_platform(place) for step in demands.escalate for place in step.destinations}
        for factor in demands.factors or file.defaults.factors:
            groups = [file.groups[name] for name in factor.groups]
            people = {person for group in groups for person in group.people}
            accounts = {_platform(account) for person in people for account in file.people[person].accounts}
            if people and not any(group.is_open for group in groups) and not accounts & asked_in:
                what = f"nobody of {_listed(factor.groups, 'or')} has an account in {_listed(sorted(asked_in), 'or')}, "
                what += "where they are asked; list their accounts there under people, or add another destination"
                yield Problem(what, (*path, "factors" if demands.factors else "destinations"), where)


def _platform(place: str) -> str:
    """The platform of a destination or an account."""
    return place.partition(":")[0]


def remarks(file: PolicyFile) -> list[str]:
    """A line for all that rules exempt from, and for every rule beside which the defaults ask for more than it says."""
    return [*_loosening(file), *_in_sum(file)]


def _loosening(file: PolicyFile) -> Iterator[str]:
    for name in (DEFAULTS, *(rule.id for rule in file.rules)):
        if by := [rule.id for rule in file.rules if name in rule.exempts]:
            yield f"{name}: not demanded where {_listed(by, 'or')} applies for certain (exempts)"


def _in_sum(file: PolicyFile) -> Iterator[str]:
    """What rules come to that do not exempt from the defaults, where the author may have thought they did."""
    for rule in file.rules:
        if rule.effect == "deny" or _is_exempted(rule, file):
            continue
        if rule.effect == "allow":
            asks = _listed(_asks(file.defaults.factors))
            yield f"rules.{rule.id} allows nothing alone: the defaults ask for {asks}; to ask nobody, {_REMEDY}"
        elif said := [*_people(rule, file.defaults), *_without_effect(rule, file.defaults)]:
            yield f"rules.{rule.id} {', and '.join(said)}; to have it as it stands, {_REMEDY}"


_REMEDY: Final = f"say `exempts: [{DEFAULTS}]`"


def _people(rule: RuleEntry, defaults: Demands) -> Iterator[str]:
    """Whom a rule and the defaults ask together, if that is more than the rule says."""
    both = [*_asks((*rule.factors, *defaults.factors))]
    if rule.factors and both != [*_asks(rule.factors)]:
        yield f"asks, with the defaults, for {_listed(both)}"


def _asks(entries: Iterable[FactorEntry]) -> Iterator[str]:
    """How many of whom; the same groups asked twice are asked once, for the larger number."""
    most: dict[str, int] = {}
    for entry in entries:
        groups = "the managers" if entry.manager_of else " or ".join(sorted({*entry.groups}))
        most[groups] = max(entry.approvals, most.get(groups, 0))
    return (f"{number} of {groups}" for groups, number in most.items())


def _without_effect(rule: RuleEntry, defaults: Demands) -> Iterator[str]:
    """The keys that say something weaker than the defaults do: the stricter of both holds."""
    weaker = [key for key in _SHORTEST if (getattr(rule, key) or 0) > (getattr(defaults, key) or 0)]
    weaker += ["deny_quorum"] if (rule.deny_quorum or 1) > (defaults.deny_quorum or 1) else []
    weaker += ["min_look"] if rule.min_look is not None and rule.min_look < (defaults.min_look or 0) else []
    weaker += ["unseen"] if rule.unseen and not defaults.unseen else []
    weaker += ["confirm_code"] if rule.confirm_code is False and defaults.confirm_code else []
    weaker += [key for key in _SETS if _lacks(getattr(rule, key), getattr(defaults, key))]
    weaker += ["escalate"] if _opens_more(rule, defaults) else []
    if weaker:
        yield f"has no effect by its {_listed(weaker)} (the stricter of it and the defaults holds)"


_SHORTEST: Final = ("within", "use_within", "receipt_ttl", "extend_to")
_SETS: Final = ("exclude", "exclude_team_of", "reason")


def _lacks(said: tuple[str, ...] | None, defaults: tuple[str, ...] | None) -> bool:
    return said is not None and not {*said} >= {*(defaults or ())}


def _opens_more(rule: RuleEntry, defaults: Demands) -> bool:
    """Whether a rule has steps for people whom the defaults ask without them."""
    shared = {*_asks(rule.factors or defaults.factors)} & {*_asks(defaults.factors)}
    return bool(shared) and any(step not in defaults.escalate for step in rule.escalate)


def _is_exempted(rule: RuleEntry, file: PolicyFile) -> bool:
    """Whether the defaults never count where a rule applies: it exempts from them, or one that always applies too."""
    return any(DEFAULTS in one.exempts and (one is rule or _covers(one, rule)) for one in file.rules)


def _covers(wide: RuleEntry, narrow: RuleEntry) -> bool:
    """Whether a rule applies, for certain, to all that another one applies to; it may err to no."""
    kinds = all(kind in wide.match.kind or matches(wide.match.kind, kind) for kind in narrow.match.kind)
    plain, said = Match(), wide.match.model_copy(update={"kind": narrow.match.kind})
    alike = (getattr(said, key) in (getattr(plain, key), getattr(narrow.match, key)) for key in _LISTS)
    return kinds and all(alike) and not wide.match.arguments and wide.when is None


_LISTS: Final = ("target", "agent", "principal", "effect", "risk", "environment")


def _listed(names: Iterable[str], word: str = "and") -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
