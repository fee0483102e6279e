"""One check of authority for every door: generated people with several accounts, and a directory that trusts nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.arrangements import Arranged, Delegation
from approvals.people import Voter, may_answer
from approvals.policy import Policy
from approvals.ports import Account
from approvals.question import Question
from approvals.request import Request
from approvals.service import Click
from approvals.terms import Terms
from tests.approvals.house import a_house
from tests.approvals.make import NOW, SHOWN, a_policy, a_policy_file, a_question, a_request, a_vote, account
from tests.approvals.test_people import People

NAMES = ("alice", "bob", "carol", "dana", "olga")
TENANT = "11111111-1111-1111-1111-111111111111"
GROUP = "slack:usergroup:S0SEC"


def accounts(name: str) -> tuple[Account, ...]:
    """Everybody has two accounts in Slack and one in Teams."""
    number = NAMES.index(name)
    return (
        account(name),
        Account("slack", "T0SAYSO", f"U1{name.upper()}"),
        Account("teams", TENANT, f"22222222-2222-2222-2222-22222222222{number}"),
    )


PERSON_OF = {one.id: name for name in NAMES for one in accounts(name)}
ALL = [one for name in NAMES for one in accounts(name)]
STRANGER = Account("slack", "T0SAYSO", "U0STRANGER")


@dataclass(frozen=True)
class Case:
    """A policy, a question, what people arranged, and who clicked with which account."""

    policy: Policy
    question: Question
    arranged: Arranged
    group: frozenset[str]
    clicks: tuple[tuple[Account, str], ...]

    @property
    def chain(self) -> set[str]:
        """The people behind the question, as far as anybody can know: an account that nobody linked is nobody's."""
        named = ("olga", self.question.principal, self.question.started_by or "")
        return {self.policy.person_of(one) or self.arranged.links.get(one) or one for one in named}


people = st.sampled_from(NAMES)
some_people = st.sets(people, min_size=1, max_size=4).map(sorted)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Anything that a policy can say with these people; accounts that only a link knows are left out of the file."""
    unlisted = {one.id for one in draw(st.sets(st.sampled_from(ALL), max_size=4))}
    links = {one: PERSON_OF[one] for one in sorted(unlisted) if draw(st.booleans())}
    factors = [
        {"name": f"f{number}", "from": [f"g{number}"], "approvals": draw(st.integers(1, 2))}
        for number in range(draw(st.integers(1, 2)))
    ]
    groups: dict[str, dict[str, Any]] = {
        f"g{number}": {"people": [*draw(some_people)], "slack_usergroup": GROUP.rsplit(":", 1)[-1]}
        for number in range(len(factors))
    }
    groups["all"] = {"people": [*NAMES]}
    file = a_policy_file(
        people={n: {"accounts": [one.id for one in accounts(n) if one.id not in unlisted]} for n in NAMES},
        groups=groups,
        roles={"delegate": ["all"]},
        defaults={"factors": factors, "destinations": ["slack:C0OPS"]},
    )
    started_by = draw(st.none() | people | st.sampled_from(ALL).map(lambda one: one.id))
    handed = draw(st.lists(st.tuples(people, people), max_size=4))
    seats = tuple(
        Delegation(id=str(i), owner=a, account=account(a).id, to=b, kinds=("*",), since=0, until=NOW * 2)
        for i, (a, b) in enumerate(handed)
    )
    group = frozenset(one.id for one in draw(st.sets(st.sampled_from([*ALL, STRANGER]), max_size=6)))
    clicks = draw(
        st.lists(st.tuples(st.sampled_from([*ALL, STRANGER]), st.sampled_from(["approve", "deny"])), max_size=9)
    )
    return Case(a_policy(**file), a_question(started_by=started_by), Arranged(links, seats), group, tuple(clicks))


async def after_all(case: Case, terms: Terms) -> Request:
    """The request once everybody has clicked whose click counts."""
    directory = People(groups={GROUP: set(case.group)})
    request = a_request(terms=terms)
    for who, answer in case.clicks:
        if request.decision is not None:
            break
        voter = await may_answer(who, terms, case.policy, directory, answer, case.arranged)
        if isinstance(voter, Voter):
            cast = {"person": voter.person, "account": who.id, "via": who.via, "tenant": who.tenant}
            vote = a_vote(
                answer=answer,
                factors=voter.factors,
                behalf=voter.behalf,
                **{k: v for k, v in cast.items() if k != "person"},
            )
            request = request.voted(vote.model_copy(update={"person": voter.person}), jti="j")
    return request


def seats_of(request: Request, person: str) -> Iterator[tuple[str, str]]:
    """The factors that somebody may sit in, each with whose seat it is."""
    vote = request.vote_of(person)
    for name in vote.factors if vote else ():
        yield name, person
    for handed in vote.behalf if vote else ():
        yield from ((name, handed.person) for name in handed.factors)


def seatable(request: Request, wanted: Sequence[str], left: tuple[str, ...], used: frozenset[str]) -> bool:
    """Whether every wanted seat gets a person of its own, and nobody is behind two of them: by trying everything."""
    if not wanted:
        return True
    for person in left:
        for name, owner in seats_of(request, person):
            if name == wanted[0] and not used & {person, owner}:
                rest = tuple(one for one in left if one != person)
                if seatable(request, wanted[1:], rest, used | {person, owner}):
                    return True
    return False


@settings(max_examples=150)
@given(cases())
def test_nothing_is_approved_without_different_people_who_have_no_part_in_it(case: Case) -> None:
    terms = case.policy.terms(case.question)
    request = asyncio.run(after_all(case, terms))
    truly: Mapping[str, str] = {**PERSON_OF, STRANGER.id: STRANGER.id}
    for vote in request.votes:
        assert not case.chain & {one.person for one in vote.behalf}
        if vote.person in NAMES:  # the account is listed or linked, so everybody knows who it is
            assert vote.person == truly[vote.account]
            assert vote.person not in case.chain
        else:
            assert vote.account not in terms.excluded
    if request.decision is not None and request.decision.status.value == "approved":
        wanted = [factor.name for factor in terms.factors for _ in range(factor.need)]
        assert seatable(request, wanted, tuple(vote.person for vote in request.decision.by), frozenset())
        unknown = [vote for vote in request.decision.by if vote.person not in NAMES]
        assert not unknown or len(wanted) == 1


# -- who cannot be checked changes nothing ------------------------------------------------------------------------


class TrustsNobody(People):
    """A directory in which nobody is a member."""

    async def standing(self, account: Account) -> str | None:
        return "not known here"


async def test_whoever_the_directory_does_not_vouch_for_changes_nothing_by_any_method() -> None:
    """A new way to act that forgets the check fails here: every public method that takes an account is tried."""
    roles = ("freeze", "unfreeze", "revoke", "extend", "resolve", "see", "delegate", "link", "review")
    everything = {
        "roles": {role: ["ops"] for role in roles},
        "break_glass": {"who": ["ops"], "announce": ["slack:C0SEC"]},
        "defaults": {"factors": [{"from": ["ops"]}], "destinations": ["slack:C0OPS"], "extend_to": "2h"},
    }
    house = await a_house(**everything)
    house.approvals = type(house)(house.store, house.signer, house.policies, house.clock, TrustsNobody()).approvals
    request = await house.asked()
    before, place = await house.now_is(request), request.terms.destinations[0]
    click = Click(account("alice"), "approve", SHOWN, (place,), house.message(place), "because")
    values: dict[str, Any] = {
        "request": request.id, "account": account("alice"), "click": click, "reason": "because", "words": "because",
        "more": 60_000, "outcome": "succeeded", "note": "n", "scope": "all", "name": "", "to": "bob", "kinds": ("*",),
        "until": NOW + 60_000, "delegation": "d", "code": "AAAAA-AAAAA", "other": account("bob").id, "view": "a-view",
        "confirm": "7F3K-9Q", "role": "freeze", "policy": house.policies.current(),
    }  # fmt: skip
    approvals = house.approvals
    for part in (approvals, approvals.operators, approvals.delegations, approvals.links):
        for name, parameters in acts(part):
            await getattr(part, name)(**{one: values[one] for one in parameters if one in values})
    assert await house.now_is(request) == before
    assert house.policies.current().freezes == ()
    for folder in ("delegations", "links", "link-codes", "link-claims"):
        assert not await house.store.shelf.folder(folder)


def acts(part: object) -> list[tuple[str, tuple[str, ...]]]:
    """The public methods by which a person acts: those that take an account or a click."""
    found = []
    for name in (one for one in dir(part) if not one.startswith("_")):
        code = getattr(getattr(part, name), "__code__", None)
        parameters = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code else ()
        if {"account", "click"} & {*parameters}:
            found.append((name, tuple(parameters)))
    assert found
    return found
