"""What is wrong with a policy file whose every key is right: names that lead nowhere, demands that nobody can meet.

Each problem says where it stands and what to do about it. What is only worth a look is in approvals/policy_remarks.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from approvals.errors import Problem
from approvals.policy_file import DEFAULTS, AgentEntry, Demands, FactorEntry, Match, PolicyFile, RuleEntry, matches
from approvals.terms import Factor, progress
from approvals.windows import windows_in

_Path = tuple[str | int, ...]
_MOST_TTL: Final = 300_000


def problems(file: PolicyFile) -> list[Problem]:
    """Why the file cannot be used; where a name leads nowhere, nothing is said that would follow from it."""
    found = [*_dangling(file), *_exemptions(file), *_overlaps(file), *_windows(file), *_announced(file)]
    return (
        found or [*_too_few(file), *_escalations(file), *_unreviewed(file), *_strangers(file)] or [*_nobody_left(file)]
    )


def _rules(file: PolicyFile) -> Iterator[tuple[_Path, str, RuleEntry]]:
    for place, rule in enumerate(file.rules):
        yield ("rules", place), f"rules.{rule.id}", rule


def _demands(file: PolicyFile) -> Iterator[tuple[_Path, str, Demands]]:
    yield ("defaults",), "defaults", file.defaults
    yield from _rules(file)


def destinations_in(file: PolicyFile) -> Iterator[tuple[str, _Path, str]]:
    """Every destination that a file names, with its path and where that is in words."""
    for path, where, demands in _demands(file):
        for key, names in (("destinations", demands.destinations), ("fallback", demands.fallback)):
            yield from ((name, (*path, key, place), f"{where}.{key}") for place, name in enumerate(names))
    for path, where, demands in _demands(file):
        for number, step in enumerate(demands.escalate):
            at = (*path, "escalate", number, "destinations")
            yield from ((name, (*at, place), f"{where}.escalate") for place, name in enumerate(step.destinations))
    announced = file.break_glass.announce if file.break_glass else ()
    yield from (
        (name, ("break_glass", "announce", place), "break_glass.announce") for place, name in enumerate(announced)
    )


# -- names that lead nowhere --------------------------------------------------------------------------------------


def _dangling(file: PolicyFile) -> Iterator[Problem]:
    for path, where, demands in _demands(file):
        yield from _groups_of(file, path, where, demands)
    for role, groups in file.roles.items():
        yield from _unknown(groups, file.groups, "group", ("roles", role), f"roles.{role}")
    if file.break_glass is not None:
        yield from _unknown(file.break_glass.who, file.groups, "group", ("break_glass", "who"), "break_glass.who")
    for name, group in file.groups.items():
        yield from _unknown(group.people, file.people, "person", ("groups", name, "people"), f"groups.{name}")
    for name, person in file.people.items():
        manager, team = (person.manager,) if person.manager else (), (person.team,) if person.team else ()
        yield from _unknown(manager, file.people, "person", ("people", name, "manager"), f"people.{name}.manager")
        yield from _unknown(team, file.groups, "group", ("people", name, "team"), f"people.{name}.team")
    for name, agent in file.agents.items():
        if agent.owner not in file.people and not agent.owner.startswith("service:"):
            what = f"there is no person {agent.owner!r}; define it, or write service:<name>"
            yield Problem(what, ("agents", name, "owner"), f"agents.{name}.owner")
    for path, where, rule in _rules(file):
        kinds = tuple(kind for kind in rule.match.kind if not _is_glob(kind))
        yield from _unknown(kinds, file.kinds, "kind", (*path, "match", "kind"), f"{where}.match.kind")


def _groups_of(file: PolicyFile, path: _Path, where: str, demands: Demands) -> Iterator[Problem]:
    for place, factor in enumerate(demands.factors):
        yield from _unknown(factor.groups, file.groups, "group", (*path, "factors", place), f"{where}.factors")
    for place, step in enumerate(demands.escalate):
        yield from _unknown(step.to, file.groups, "group", (*path, "escalate", place), f"{where}.escalate")
    yield from _unknown(demands.exclude or (), file.groups, "group", (*path, "exclude"), f"{where}.exclude")


def _unknown(names: Iterable[str], known: Collection[str], what: str, path: _Path, where: str) -> Iterator[Problem]:
    section = {"group": "groups", "person": "people", "kind": "kinds"}[what]
    for name in (name for name in names if name not in known):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        yield Problem(f"there is no {what} {name!r}{meant}; define it under {section}", path, where)


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


# -- exemptions ---------------------------------------------------------------------------------------------------


def _exemptions(file: PolicyFile) -> Iterator[Problem]:
    """Rules and the defaults can be exempted from by name, never a denial, and never in a circle."""
    rules = {rule.id: rule for rule in file.rules}
    for path, where, rule in _rules(file):
        for name in rule.exempts:
            if (what := _wrong_exemption(name, rules)) is not None:
                yield Problem(what, (*path, "exempts"), f"{where}.exempts")
        if circle := _circle(rule.id, rules):
            what = f"a circle ({' exempts '.join(circle)}); take one of them out"
            yield Problem(what, (*path, "exempts"), f"{where}.exempts")


def _wrong_exemption(name: str, rules: dict[str, RuleEntry]) -> str | None:
    if name == DEFAULTS:
        return None
    if name not in rules:
        near = difflib.get_close_matches(name, (DEFAULTS, *rules), n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"there is no rule {name!r}{meant}; name one that stands in this file"
    if rules[name].effect == "deny":
        return f"{name!r} denies, and nothing exempts from a denial; narrow what it matches instead"
    return None


def _circle(start: str, rules: dict[str, RuleEntry]) -> list[str]:
    """The way along exemptions from a rule back to itself; empty where there is none."""
    ways, seen = [[start]], set[str]()
    while ways:
        way = ways.pop()
        for name in rules[way[-1]].exempts if way[-1] in rules else ():
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


# -- windows ------------------------------------------------------------------------------------------------------


def _windows(file: PolicyFile) -> Iterator[Problem]:
    """What is summed must be the money of every kind that the rule is for: what is not known cannot be added up."""
    for path, where, rule in _rules(file):
        kinds = {name: kind for name, kind in file.kinds.items() if matches(rule.match.kind, name)}
        for window in windows_in(rule.when) if rule.when is not None else ():
            if window.path is None:
                continue
            strangers = [name for name, kind in kinds.items() if kind.money is None or kind.money.amount != window.path]
            if strangers or not kinds:
                names = ", ".join(strangers) or "a listed kind"
                what = f"sums {window.path!r}; say `money: {{amount: {window.path}}}` of {names}, or narrow match.kind"
                yield Problem(what, (*path, "when"), f"{where}.when")


# -- demands that nobody can meet ---------------------------------------------------------------------------------


def _too_few(file: PolicyFile) -> Iterator[Problem]:
    for name, group in file.groups.items():
        if not group.sources():
            yield Problem("nobody is in it; add people or a user group", ("groups", name), f"groups.{name}")
    for path, where, demands in _demands(file):
        for place, factor in enumerate(demands.factors):
            people = _people(file, factor.groups)
            if factor.manager_of is None and people is not None and factor.approvals > len(people):
                what = f"needs {factor.approvals} of {len(people)} people; add people or lower it"
                yield Problem(what, (*path, "factors", place), f"{where}.factors")
        needed, asked = demands.deny_quorum or file.defaults.deny_quorum or 1, _asked(demands, file)
        if asked is not None and needed > len(asked):
            what = f"needs {needed} of {len(asked)} people; add people or lower it"
            yield Problem(what, (*path, "deny_quorum"), f"{where}.deny_quorum")
        if demands.receipt_ttl is not None and demands.receipt_ttl > _MOST_TTL:
            what = "at most 300s, so that a stolen receipt is soon worthless"
            yield Problem(what, (*path, "receipt_ttl"), f"{where}.receipt_ttl")


def _people(file: PolicyFile, groups: Iterable[str]) -> set[str] | None:
    """Everybody in these groups; None where that is known only at the click."""
    found = [file.groups[group] for group in groups]
    return None if any(group.is_open for group in found) else {one for group in found for one in group.people}


def _asked(demands: Demands, file: PolicyFile) -> set[str] | None:
    """Everybody whom the factors ask; None where that is known only at the click."""
    factors = demands.factors or file.defaults.factors
    if any(factor.manager_of for factor in factors):
        return None
    return _people(file, [name for factor in factors for name in factor.groups])


def _strangers(file: PolicyFile) -> Iterator[Problem]:
    """People of whom a demand has to know the manager or the team, and the file does not say it."""
    for path, where, demands in _demands(file):
        match = demands.match if isinstance(demands, RuleEntry) else Match()
        for name, agent in file.agents.items():
            if not matches(match.agent, name) or not _may_meet(match.kind, agent.kinds):
                continue
            asks = any(factor.manager_of for factor in demands.factors)
            for one in agent.principals if asks else ():
                if not (person := file.people.get(one)) or not person.manager:
                    what = f"asks the manager of {one!r} (agents.{name}); say people.{one}.manager"
                    yield Problem(what, (*path, "factors"), f"{where}.factors")
            for one in _excluded_with_team(agent, demands):
                if not (person := file.people.get(one)) or not person.team:
                    what = f"excludes the team of {one!r} (agents.{name}); say people.{one}.team"
                    yield Problem(what, (*path, "exclude_team_of"), f"{where}.exclude_team_of")


def _excluded_with_team(agent: AgentEntry, demands: Demands) -> Iterator[str]:
    """Those whose team a demand excludes; a service that owns an agent has none."""
    whose = demands.exclude_team_of or ()
    if "principal" in whose:
        yield from agent.principals
    if "owner" in whose and not agent.owner.startswith("service:"):
        yield agent.owner


def _may_meet(globs: Iterable[str], others: Iterable[str]) -> bool:
    """Whether anything could match one of each; what stands before the first wildcard tells, and it may err to yes."""
    pairs = ((_literal(one), _literal(other)) for one in globs for other in others)
    return any(one.startswith(other) or other.startswith(one) for one, other in pairs)


def _literal(glob: str) -> str:
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def _nobody_left(file: PolicyFile) -> Iterator[Problem]:
    """Demands that cannot be met for some agent, because those who are asked stand behind the request themselves."""
    for path, where, demands in _demands(file):
        for name, principal in _askers(file, demands):
            if what := _missing(file, demands, name, principal):
                yield Problem(what, path, f"{where}.factors")
                break


def _askers(file: PolicyFile, demands: Demands) -> Iterator[tuple[str, str]]:
    """The agents to which demands may apply, each with everybody for whom it asks."""
    match = demands.match if isinstance(demands, RuleEntry) else Match()
    for name, agent in file.agents.items():
        shared = any(matches(agent.kinds, kind) and matches(match.kind, kind) for kind in file.kinds)
        if matches(match.agent, name) and (shared or not isinstance(demands, RuleEntry)):
            yield from ((name, one) for one in agent.principals if matches(match.principal, one))


def _missing(file: PolicyFile, demands: Demands, agent: str, principal: str) -> str | None:
    """What keeps an agent's requests for somebody from ever being approved."""
    if demands.effect != "require":
        return None
    owner = file.agents[agent].owner
    barred = _people(file, _barred_groups(file, demands, (principal, owner))) or set()
    found = (_factor(file, entry, demands, principal) for entry in _entries(file, demands))
    known = tuple(_numbered(factor for factor in found if factor is not None))
    entry = file.agents[agent]
    behind = (principal,) if entry.identity is not None else entry.principals  # without a token, any of them may be it
    people = {source for factor in known for source in factor.sources} - {owner, *behind, *barred}
    eligible = {one: frozenset(factor.name for factor in known if one in factor.sources) for one in people}
    got = progress(known, eligible)
    if all(got[factor.name] >= factor.need for factor in known):
        return None
    needed = sum(factor.need for factor in known)
    return (
        f"needs {needed} different people, and for what {agent} asks for {principal} only {sum(got.values())} can count"
        " (nobody approves what they stand behind); add people"
    )


def _barred_groups(file: PolicyFile, demands: Demands, chain: tuple[str, str]) -> set[str]:
    """The groups that are excluded whose members the file names."""
    principal, owner = chain
    named = {"principal": principal, "owner": owner}
    people = (file.people.get(named.get(one, "")) for one in demands.exclude_team_of or ())
    groups = {*(demands.exclude or ()), *(person.team for person in people if person and person.team)}
    return {group for group in groups if not file.groups[group].is_open}


def _entries(file: PolicyFile, demands: Demands) -> list[FactorEntry]:
    """All that is asked where demands hold: of the same groups once, and also by the defaults if nothing exempts."""
    entries = demands.factors or file.defaults.factors
    if not any(DEFAULTS in rule.exempts for rule in file.rules):
        entries += file.defaults.factors
    most: dict[frozenset[str], FactorEntry] = {}
    for entry in entries:
        known = most.setdefault(frozenset(entry.groups), entry)
        most[frozenset(entry.groups)] = max(known, entry, key=lambda one: one.approvals)
    return [*most.values()]


def _factor(file: PolicyFile, entry: FactorEntry, demands: Demands, principal: str) -> Factor | None:
    """A demand with everybody who may come to answer it; None where only a directory knows them."""
    more = _people(file, (group for step in demands.escalate for group in step.to))
    people = {file.people[principal].manager or ""} if entry.manager_of else _people(file, entry.groups)
    if people is None or more is None:
        return None
    return Factor(name="", sources=tuple(sorted(people | more)), need=entry.approvals)


def _numbered(factors: Iterable[Factor]) -> Iterator[Factor]:
    for number, factor in enumerate(factors):
        yield factor.model_copy(update={"name": str(number)})


# -- what nobody is asked -----------------------------------------------------------------------------------------


def _announced(file: PolicyFile) -> Iterator[Problem]:
    """What asks somebody is shown anyway, and what is denied has nothing to announce."""
    for path, where, rule in _rules(file):
        if rule.announce and rule.effect != "allow":
            what = "announce belongs to a rule with effect: allow; people see all that they are asked anyway"
            yield Problem(what, (*path, "announce"), f"{where}.announce")


# -- emergencies --------------------------------------------------------------------------------------------------


def _unreviewed(file: PolicyFile) -> Iterator[Problem]:
    """Emergencies that nobody would hear of afterwards, or whose receipt would live on."""
    entry = file.break_glass
    if entry is None:
        return
    path, where = ("break_glass",), "break_glass"
    who, review = _people(file, entry.who), _people(file, file.roles.get("review", ()))
    if review == set():
        yield Problem("nobody reviews what was let through; name groups under roles.review", path, where)
    elif who and review and any(review <= {person} for person in who):
        yield Problem("the only reviewer may break the glass too; add another one to roles.review", path, where)
    if entry.receipt_ttl > _MOST_TTL:
        what = "at most 300s, so that a stolen receipt is soon worthless"
        yield Problem(what, (*path, "receipt_ttl"), f"{where}.receipt_ttl")


# -- escalation ---------------------------------------------------------------------------------------------------


def _escalations(file: PolicyFile) -> Iterator[Problem]:
    """Steps that ask nobody new, or come too late to."""
    for path, where, demands in _demands(file):
        asked = {name for factor in demands.factors or file.defaults.factors for name in factor.groups}
        places = {*(demands.destinations or file.defaults.destinations)}
        open_for = min(_within(file, one) for one in (demands, *_beside(file, demands)))
        for number, step in sorted(enumerate(demands.escalate), key=lambda numbered: numbered[1].after):
            if (what := _wrong_step(step.to, step.destinations, asked, places)) is not None:
                yield Problem(what, (*path, "escalate", number), f"{where}.escalate")
            if step.after >= open_for:
                what = "comes when nobody can answer any more; let it come before `within` has passed"
                yield Problem(what, (*path, "escalate", number, "after"), f"{where}.escalate")
            asked |= {*step.to}
            places |= {*step.destinations}


def _within(file: PolicyFile, demands: Demands) -> int:
    return demands.within or file.defaults.within


def _beside(file: PolicyFile, demands: Demands) -> tuple[Demands, ...]:
    """The defaults, where demands do not exempt from them themselves."""
    exempts = demands.exempts if isinstance(demands, RuleEntry) else ()
    return () if DEFAULTS in exempts else (file.defaults,)


def _wrong_step(to: tuple[str, ...], destinations: tuple[str, ...], asked: set[str], places: set[str]) -> str | None:
    if not to and not destinations:
        return "leads nowhere; say `to` which groups, or to which destinations"
    if not {*to} - asked and not {*destinations} - places:
        return "asks only those who are asked already (a circle); name others, or take it out"
    return None


# -- names that two things share ----------------------------------------------------------------------------------


def _overlaps(file: PolicyFile) -> Iterator[Problem]:
    for name in file.audiences:
        if name in file.agents:
            what = "an agent has this name too; rename one"
            yield Problem(what, ("audiences", name), f"audiences.{name}")
    if "tool" in file.agents:
        what = "this name is taken by the wire (in:tool:…); rename it"
        yield Problem(what, ("agents", "tool"), "agents.tool")
    for path, _, rule in _rules(file):
        if rule.id in {DEFAULTS, "default"}:
            what = f"no rule can be called {rule.id!r}: the defaults hold beside every rule; rename it"
            yield Problem(what, (*path, "id"), "rules")
    yield from _twice(file)
    yield from _alike(file)
    yield from _accounts(file)


def _twice(file: PolicyFile) -> Iterator[Problem]:
    ids = [rule.id for rule in file.rules]
    for place, one in enumerate(ids):
        if ids[:place].count(one) == 1:
            yield Problem(f"two rules are called {one!r}; rename one", ("rules", place, "id"), "rules")


def _alike(file: PolicyFile) -> Iterator[Problem]:
    """Names of one section that people would take for each other on a card: on-call and on_call, bot-1 and bot-l."""
    named: list[tuple[str, Iterable[str]]] = [
        ("agents", file.agents),
        ("audiences", file.audiences),
        ("people", file.people),
        ("groups", file.groups),
        ("rules", dict.fromkeys(rule.id for rule in file.rules)),
    ]
    for section, names in named:
        seen: dict[str, str] = {}
        for name in names:
            if (other := seen.setdefault(_skeleton(name), name)) != name:
                path: _Path = (section,) if section == "rules" else (section, name)
                yield Problem(f"reads like {other!r}; rename one", path, f"{section}.{name}")


def _skeleton(name: str) -> str:
    """What is left of a name for an eye in a hurry."""
    return name.translate(str.maketrans("01", "ol", "-_."))


def _accounts(file: PolicyFile) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, entry in file.people.items():
        for account in entry.accounts:
            if (other := owners.setdefault(account.casefold(), name)) != name:
                path: _Path = ("people", name, "accounts")
                yield Problem(f"{account} belongs to {other} already", path, f"people.{name}.accounts")
