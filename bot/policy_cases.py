"""Cases for a policy: what an agent asks, and what it must come to. They run with `policy test`, and in CI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from approvals.action import Action
from approvals.errors import EntryRefused, PolicyInvalid, Problem
from approvals.intake import RequestDocument
from approvals.people import Voter, may_answer
from approvals.policy import Policy
from approvals.policy_errors import all_explained
from approvals.policy_file import Duration, Section
from approvals.ports import Account
from approvals.terms import Terms, met, progress
from bot.policies import placed, read_policy, read_yaml

_NONCE: Final = "A" * 22  #: cases are about what policy looks at, never about a digest


class Ask(Section):
    """What an agent asks, as far as policy looks at it."""

    agent: str
    kind: str
    target: str = "target"
    arguments: dict[str, Any] = Field(default_factory=dict)
    preconditions: dict[str, Any] = Field(default_factory=dict)
    principal: str | None = None
    audience: str | None = None
    started_by: str | None = None

    def document(self) -> RequestDocument:
        """The request as it would come in."""
        action = Action(
            kind=self.kind,
            target=self.target,
            arguments=self.arguments,
            preconditions=self.preconditions,
            nonce=_NONCE,
        )
        return RequestDocument(
            v=1,
            call="case",
            action=action,
            principal=self.principal,
            audience=self.audience,
            started_by=self.started_by,
        )


class Expect(Section):
    """What it must come to; only what is said is compared."""

    verdict: Literal["require", "allow", "deny"] | None = None
    refused: str | None = None  #: the reason for which the request is not accepted
    rules: tuple[str, ...] | None = None
    unclear: tuple[str, ...] | None = None
    exempted: tuple[str, ...] | None = None
    factors: dict[str, int] | None = None  #: the name of each demand, and how many people it takes
    destinations: tuple[str, ...] | None = None
    reason: tuple[str, ...] | None = None
    min_look: Duration | None = None
    confirm_code: bool | None = None
    within: Duration | None = None
    enough: tuple[tuple[str, ...], ...] = ()  #: people who together are enough
    not_enough: tuple[tuple[str, ...], ...] = ()


class Case(Section):
    """One case; with `after`, people are asked as they are once the escalation has come so far."""

    name: str
    ask: Ask
    after: Duration = 0
    expect: Expect


class Cases(Section):
    """A file of cases: for which policy (beside it), and who is in the groups that only a directory knows."""

    policy: str | None = None
    members: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    cases: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Result:
    """How one case went: every way in which it is not as expected."""

    name: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Members:
    """The directory of the cases: everybody is a full member, and groups hold whom the file says."""

    accounts: dict[str, frozenset[str]]  #: by source

    async def standing(self, account: Account) -> str | None:
        """Everybody is one of us."""
        return None

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the cases put somebody into a group."""
        return account.id in self.accounts.get(source, frozenset())


async def tried(path: Path, policy: Path | None = None) -> list[Result]:
    """Try every case of a file. Raises PolicyInvalid, also for a file of cases that is wrong."""
    cases = _read(path)
    found, _ = read_policy(policy or path.parent / (cases.policy or "policy.yaml"))
    directory = Members(_accounts(cases, found))
    return [
        Result(case.name, tuple([said async for said in _differences(case, found, directory)])) for case in cases.cases
    ]


def _read(path: Path) -> Cases:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyInvalid([Problem(f"cannot be read ({exc}); name a file of cases", where=str(path))]) from exc
    mapping, node = read_yaml(text, str(path))
    try:
        return Cases.model_validate(mapping)
    except ValidationError as exc:
        found = all_explained(exc.errors(include_url=False), Cases)
        raise PolicyInvalid(placed(problem, node, str(path)) for problem in found) from exc


def _accounts(cases: Cases, policy: Policy) -> dict[str, frozenset[str]]:
    """The accounts of those whom the cases put into groups, by the sources of each group."""
    found: dict[str, frozenset[str]] = {}
    for group, people in cases.members.items():
        accounts = frozenset(account for person in people for account in policy.accounts_of(person))
        found |= {source: accounts for source in policy.sources_of(group) if not source.startswith("person:")}
    return found


async def _differences(case: Case, policy: Policy, directory: Members) -> AsyncIterator[str]:
    """Every way in which a case does not come to what is expected."""
    outcome = _outcome(case, policy)
    refused = outcome.reason if isinstance(outcome, EntryRefused) else None
    if refused != case.expect.refused:
        yield _differs("refused", case.expect.refused, refused)
    if isinstance(outcome, EntryRefused):
        return
    for difference in _unlike(case.expect, outcome):
        yield difference
    asked = outcome.escalated(sum(step.after <= case.after for step in outcome.escalation))
    for people in case.expect.enough:
        if (why := await _short(people, asked, policy, directory)) is not None:
            yield f"{' and '.join(people)} should be enough: {why}"
    for people in case.expect.not_enough:
        if await _short(people, asked, policy, directory) is None:
            yield f"{' and '.join(people) or 'nobody'} should not be enough"


def _outcome(case: Case, policy: Policy) -> Terms | EntryRefused:
    now = int(time.time() * 1000)
    try:
        return policy.terms(policy.admit(case.ask.document(), case.ask.agent, now))
    except EntryRefused as refusal:
        return refusal


def _unlike(expected: Expect, terms: Terms) -> Iterator[str]:
    """Everything said of the terms that they are not; the order of names does not matter."""
    got = {
        "verdict": terms.verdict,
        "rules": sorted(terms.rules),
        "unclear": sorted(terms.unclear),
        "exempted": sorted(terms.exempted),
        "factors": {factor.name: factor.need for factor in terms.factors},
        "destinations": sorted(terms.destinations),
        "reason": sorted(terms.reasons),
        "min_look": terms.min_look,
        "confirm_code": terms.confirm_code,
        "within": terms.within,
    }
    for name, found in got.items():
        wanted = getattr(expected, name)
        if wanted is not None and (sorted(wanted) if isinstance(wanted, tuple) else wanted) != found:
            yield _differs(name, wanted, found)


def _differs(name: str, wanted: Any, found: Any) -> str:
    return f"{name} should be {_said(wanted)}, and is {_said(found)}"


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(value) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{name} {need}" for name, need in value.items()) or "nothing"
    return "nothing" if value is None else str(value)


async def _short(people: tuple[str, ...], terms: Terms, policy: Policy, directory: Members) -> str | None:
    """Why these people together cannot approve; None where they can. Each is asked as at a click."""
    if terms.verdict != "require":
        return f"the verdict is {terms.verdict}"
    counting, refusals = dict[str, frozenset[str]](), list[str]()
    for person in people:
        found = await _click(person, terms, policy, directory)
        if isinstance(found, str):
            refusals.append(f"{person}: {found}")
        else:
            counting[person] = found
    if met(terms.factors, counting):
        return None
    got = progress(terms.factors, counting)
    missing = [f"{factor.name} has {got[factor.name]} of {factor.need}" for factor in terms.factors]
    return "; ".join([*missing, *refusals])


async def _click(person: str, terms: Terms, policy: Policy, directory: Members) -> frozenset[str] | str:
    """The demands for which somebody's yes would count, or why it does not."""
    accounts = policy.accounts_of(person)
    if not accounts:
        return "has no account in the policy"
    found = await may_answer(Account(*accounts[0].split(":", 2)), terms, policy, directory)
    return frozenset(found.factors) if isinstance(found, Voter) else found.sentence
