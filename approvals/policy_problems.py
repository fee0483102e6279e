"""What is wrong with a policy file, each problem as one line with its remedy."""

from __future__ import annotations

import difflib
from typing import Any

from approvals.policy_file import (
    NOT_BUILT,
    AgentEntry,
    Defaults,
    Demands,
    FactorEntry,
    GroupEntry,
    KindEntry,
    Match,
    PersonEntry,
    PolicyFile,
    RuleEntry,
)


def explained(error: Any) -> str:
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


def problems(file: PolicyFile) -> list[str]:
    """What is wrong with a file whose every key is right: each with its remedy."""
    return [*_dangling(file), *_too_few(file), *_overlaps(file)]


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
            if any(group is None or group.is_open for group in groups):
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
    if any(group is None or group.is_open for group in groups):
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
