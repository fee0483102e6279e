"""Who may answer: the one check of authority."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from approvals.errors import DirectoryUnavailable
from approvals.people import NotAllowed, Voter, may_answer
from approvals.policy import Policy
from approvals.ports import Account
from approvals.terms import Factor, Terms
from tests.approvals.make import a_factor, a_policy, a_policy_file, a_question, account, some_terms

SECURITY = Factor(name="security", sources=("slack:usergroup:S0SEC",))


@dataclass
class People:
    """A directory in memory: who is in which user group, who is no full member, and what cannot be looked up."""

    groups: dict[str, set[str]] = field(default_factory=dict)
    not_full: dict[str, str] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)

    async def standing(self, account: Account) -> str | None:
        """None for everybody who is not known to be less."""
        self._reach(account)
        return self.not_full.get(account.id)

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the account is in a group."""
        self._reach(account)
        self._reach(source)
        return account.id in self.groups.get(source, ())

    async def accounts(self, source: str) -> Iterable[str]:
        """The accounts in a group."""
        self._reach(source)
        return frozenset(self.groups.get(source, ()))

    def _reach(self, what: Account | str) -> None:
        if (what if isinstance(what, str) else what.id) in self.unreachable:
            raise DirectoryUnavailable("switched off by the test")


async def answer(who: str | Account, terms: Terms | None = None, **given: Any) -> Voter | NotAllowed:
    """What the check says to one person's click."""
    clicker = account(who) if isinstance(who, str) else who
    policy: Policy = given.get("policy", a_policy())
    return await may_answer(clicker, terms or some_terms(), policy, given.get("directory", People()))


async def refusal(who: str | Account, terms: Terms | None = None, **given: Any) -> str:
    """The reason why somebody may not answer."""
    found = await answer(who, terms, **given)
    assert isinstance(found, NotAllowed), found
    assert found.sentence.endswith(".")
    return found.reason


async def test_a_named_approver_may_answer() -> None:
    assert await answer("alice") == Voter("alice", account("alice"), ("ops",))


async def test_an_approver_counts_for_every_factor_they_are_in() -> None:
    terms = some_terms(factors=(a_factor("ops", "alice"), a_factor("other", "bob"), SECURITY))
    directory = People(groups={"slack:usergroup:S0SEC": {account("alice").id}})
    assert await answer("alice", terms, directory=directory) == Voter("alice", account("alice"), ("ops", "security"))


async def test_who_is_not_asked_may_not_answer() -> None:
    assert await refusal("carol") == "not_an_approver"
    assert await refusal(Account("slack", "T0SAYSO", "U0STRANGER")) == "not_an_approver"


async def test_who_may_not_answer_is_told_who_may() -> None:
    terms = some_terms(factors=(a_factor("finance", "bob"), SECURITY))
    told = await answer("carol", terms), await answer("carol", some_terms(factors=()))
    assert [one.sentence for one in told if isinstance(one, NotAllowed)] == [
        "You are not among those asked here: finance and security.",
        "You are not among those asked here: nobody.",
    ]


async def test_the_same_user_in_another_workspace_is_somebody_else() -> None:
    assert await refusal(replace(account("alice"), tenant="T0OTHER")) == "not_an_approver"
    assert await refusal(replace(account("alice"), via="teams")) == "not_an_approver"


async def test_nobody_is_asked_where_there_are_no_factors() -> None:
    assert await refusal("alice", some_terms(factors=())) == "not_an_approver"


async def test_an_empty_group_is_nobody() -> None:
    terms = some_terms(factors=(SECURITY,))
    assert await refusal("alice", terms) == "not_an_approver"


@pytest.mark.parametrize("who", ["owner", "principal", "started_by", "started_by as an account"])
async def test_nobody_in_the_principal_chain_counts(who: str) -> None:
    file = a_policy_file()
    bot = file["agents"]["payments-bot"]
    question = a_question()
    if who == "owner":
        bot["owner"] = "alice"
    elif who == "principal":
        bot["principals"] = ["alice"]
        question = a_question(principal="alice")
    else:
        started_by = "alice" if who == "started_by" else account("alice").id
        question = a_question(started_by=started_by)
    policy = a_policy(agents=file["agents"])
    assert await refusal("alice", policy.terms(question), policy=policy) == "own_request"
    assert isinstance(await answer("bob", policy.terms(question), policy=policy), Voter)


async def test_a_persons_other_account_is_the_same_person() -> None:
    other = Account("slack", "T0SAYSO", "U0ALICE2")
    people = a_policy_file()["people"] | {"alice": {"accounts": [account("alice").id, other.id]}}
    policy = a_policy(people=people)
    terms = policy.terms(a_question(started_by=account("alice").id))
    assert await refusal(other, terms, policy=policy) == "own_request"
    found = await answer(other, some_terms(), policy=policy)
    assert isinstance(found, Voter)
    assert found.person == "alice"


async def test_an_account_of_the_chain_that_nobody_is_linked_to_is_excluded() -> None:
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    terms = some_terms(factors=(SECURITY,), excluded=(stranger.id,))
    directory = People(groups={"slack:usergroup:S0SEC": {stranger.id}})
    assert await refusal(stranger, terms, directory=directory) == "own_request"


async def test_an_unlinked_account_never_counts_where_more_than_one_is_needed() -> None:
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    directory = People(groups={"slack:usergroup:S0SEC": {stranger.id}})
    alone = some_terms(factors=(SECURITY,))
    assert await answer(stranger, alone, directory=directory) == Voter(stranger.id, stranger, ("security",))
    two = some_terms(factors=(SECURITY.model_copy(update={"need": 2}),))
    assert await refusal(stranger, two, directory=directory) == "unlinked"
    both = some_terms(factors=(SECURITY, a_factor()))
    assert await refusal(stranger, both, directory=directory) == "unlinked"


@pytest.mark.parametrize("standing", ["a guest", "a bot", "deactivated", "of another workspace"])
async def test_only_full_active_members_may_answer(standing: str) -> None:
    found = await answer("alice", directory=People(not_full={account("alice").id: standing}))
    assert isinstance(found, NotAllowed)
    assert found.reason == "not_a_member"
    assert standing in found.sentence


async def test_a_failed_lookup_refuses() -> None:
    assert await refusal("alice", directory=People(unreachable={account("alice").id})) == "lookup_failed"
    terms = some_terms(factors=(SECURITY,))
    assert await refusal("alice", terms, directory=People(unreachable={"slack:usergroup:S0SEC"})) == "lookup_failed"


async def test_a_person_named_like_a_group_source_is_not_looked_up() -> None:
    """What the directory says of a `person:` source must not matter: it knows accounts, not people."""
    directory = People(groups={"person:alice": {account("carol").id}})
    assert await refusal("carol", directory=directory) == "not_an_approver"


BARRED = ("person:bob", "slack:usergroup:S0DATA")


async def test_who_is_in_an_excluded_group_does_not_count_whatever_else_they_are_in() -> None:
    terms = some_terms(barred=BARRED)
    directory = People(groups={"slack:usergroup:S0DATA": {account("alice").id}})
    assert await refusal("bob", terms) == "excluded"
    assert await refusal("alice", terms, directory=directory) == "excluded"
    assert isinstance(await answer("alice", terms), Voter)


async def test_an_unlinked_account_of_an_excluded_group_does_not_count_either() -> None:
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    directory = People(groups={source: {stranger.id} for source in ("slack:usergroup:S0SEC", "slack:usergroup:S0DATA")})
    terms = some_terms(factors=(SECURITY,), barred=BARRED)
    assert await refusal(stranger, terms, directory=directory) == "excluded"


async def test_where_an_exclusion_cannot_be_looked_up_nobody_counts() -> None:
    directory = People(unreachable={"slack:usergroup:S0DATA"})
    assert await refusal("alice", some_terms(barred=BARRED), directory=directory) == "lookup_failed"


async def test_a_person_belongs_by_any_account_in_good_standing_and_is_barred_by_any_at_all() -> None:
    other = Account("teams", "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")
    people = a_policy_file()["people"] | {"carol": {"accounts": [account("carol").id, other.id]}}
    policy, source = a_policy(people=people), SECURITY.sources[0]
    directory = People(groups={source: {other.id}})
    asked, barred = some_terms(factors=(SECURITY,)), some_terms(factors=(a_factor("c", "carol"),), barred=(source,))
    assert isinstance(await answer("carol", asked, policy=policy, directory=directory), Voter)
    assert await refusal("carol", barred, policy=policy, directory=directory) == "excluded"
    directory.not_full[other.id] = "deactivated"
    assert await refusal("carol", asked, policy=policy, directory=directory) == "not_an_approver"
    assert await refusal("carol", barred, policy=policy, directory=directory) == "excluded"
    directory.unreachable.add(other.id)
    assert await refusal("carol", asked, policy=policy, directory=directory) == "lookup_failed"
