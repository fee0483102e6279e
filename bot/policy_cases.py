"""Cases for a policy: what an agent asks, and what it must come to. They run with `policy test`, and in CI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from approvals.action import Action
from approvals.arrangements import Arranged, Delegation
from approvals.errors import EntryRefused, PolicyInvalid, Problem
from approvals.intake import RequestDocument
from approvals.people import Voter, account_of, may_answer
from approvals.policy import Policy
from approvals.policy_errors import all_explained
from approvals.policy_file import Duration, Section
from approvals.ports import Account
from approvals.request import counting
from approvals.terms import Terms, met, progress
from bot.earlier import Sums
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


class Earlier(Section):
    """What was asked and used before; what it does not say is as in the case's `ask`."""

    ago: Duration
    times: int = Field(default=1, ge=1, le=10_000)
    agent: str | None = None
    kind: str | None = None
    target: str | None = None
    arguments: dict[str, Any] | None = None
    principal: str | None = None

    def of(self, ask: Ask) -> Ask:
        """The request that it was."""
        return ask.model_copy(update=self.model_dump(exclude={"ago", "times"}, exclude_none=True))


class SeatEntry(Section):
    """Somebody's seat that another person has, for these kinds."""

    of: str
    to: str
    kinds: tuple[str, ...] = ("*",)


class Case(Section):
    """One case; with `after`, people are asked as they are once the escalation has come so far.

    `earlier` is what its windows hold already, `seats` who handed theirs to whom.
    """

    name: str
    ask: Ask
    earlier: tuple[Earlier, ...] = Field(default=(), max_length=100)
    seats: tuple[SeatEntry, ...] = ()
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
    click = partial(_click, terms=asked, policy=policy, directory=directory, arranged=_arranged(case, policy))
    for people in case.expect.enough:
        if (why := await _short(people, asked, click)) is not None:
            yield f"{' and '.join(people)} should be enough: {why}"
    for people in case.expect.not_enough:
        if await _short(people, asked, click) is None:
            yield f"{' and '.join(people) or 'nobody'} should not be enough"


def _outcome(case: Case, policy: Policy) -> Terms | EntryRefused:
    now, sums = int(time.time() * 1000), Sums(policy)
    try:
        for before in sorted(case.earlier, key=lambda one: -one.ago):
            ask, at = before.of(case.ask), now - before.ago
            question = policy.admit(ask.document(), ask.agent, at)
            for _ in range(before.times):
                sums.count(question, at, at)
        return policy.terms(sums.told(policy.admit(case.ask.document(), case.ask.agent, now), now))
    except EntryRefused as refusal:
        return refusal


def _arranged(case: Case, policy: Policy) -> Arranged:
    """The seats of a case as they count for its kind."""
    made = (
        Delegation(id=str(number), owner=seat.of, account=account, to=seat.to, kinds=seat.kinds, since=0, until=1)
        for number, seat in enumerate(case.seats)
        for account in policy.accounts_of(seat.of)[:1]
    )
    return Arranged(delegations=tuple(made)).covering(case.ask.kind)


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


_Click = Callable[[str], Awaitable[Voter | str]]


async def _short(people: tuple[str, ...], terms: Terms, click: _Click) -> str | None:
    """Why these people together cannot approve; None where they can. Each is asked as at a click."""
    if terms.verdict != "require":
        return f"the verdict is {terms.verdict}"
    found = [(person, await click(person)) for person in people]
    able = counting([(one.person, one.factors, one.behalf) for _, one in found if isinstance(one, Voter)])
    if met(terms.factors, able):
        return None
    got = progress(terms.factors, able)
    missing = [f"{factor.name} has {got[factor.name]} of {factor.need}" for factor in terms.factors]
    return "; ".join([*missing, *(f"{person}: {why}" for person, why in found if isinstance(why, str))])


async def _click(person: str, *, terms: Terms, policy: Policy, directory: Members, arranged: Arranged) -> Voter | str:
    """Who somebody is as a voter, or why their yes does not count."""
    accounts = policy.accounts_of(person)
    if not accounts:
        return "has no account in the policy"
    found = await may_answer(account_of(accounts[0]), terms, policy, directory, arranged=arranged)
    return found if isinstance(found, Voter) else found.sentence
