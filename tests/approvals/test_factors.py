"""Several demands, each met by its own people: who counts where, and what a no needs."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import PolicyInvalid
from approvals.lifecycle import Status
from approvals.ports import Account
from approvals.request import Request
from approvals.service import Counted, Late, Refused, Verdict
from tests.approvals.house import House, a_house
from tests.approvals.make import MINUTE, a_policy, a_policy_file, a_question, a_rule, account

BOTH = [a_rule(factors=[{"from": ["ops"]}, {"from": ["finance"]}])]  # alice or bob, and bob or carol
TWO_AND_ONE = [a_rule(factors=[{"from": ["ops"], "approvals": 2}, {"from": ["finance"]}])]
TWO_NOES = [a_rule(factors=[{"from": ["all"], "approvals": 2}], deny_quorum=2)]
ALL = a_policy_file()["groups"] | {"all": {"people": ["alice", "bob", "carol"]}}
STRANGER = Account("slack", "T0SAYSO", "U0STRANGER")
SECURITY = {"slack:usergroup:S0SEC": {STRANGER.id, account("alice").id}}


def counted(verdict: Verdict) -> Request:
    """The request after an answer that counts."""
    assert isinstance(verdict, Counted), verdict
    return verdict.request


def refused(verdict: Verdict) -> str:
    """Why an answer does not count."""
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


async def test_one_person_in_two_groups_meets_one_demand() -> None:
    house = await a_house(rules=BOTH)
    request = await house.asked()
    first = counted(await house.click(request, "bob"))
    assert (first.status, sum(first.got().values())) == (Status.PENDING, 1)
    assert counted(await house.click(request, "alice")).status is Status.APPROVED


async def test_whoever_else_comes_decides_which_demand_a_person_meets() -> None:
    house = await a_house(rules=BOTH)
    request = await house.asked()
    counted(await house.click(request, "bob"))
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_so_many_of_one_group_and_so_many_of_another() -> None:
    house = await a_house(rules=TWO_AND_ONE)
    request = await house.asked()
    assert counted(await house.click(request, "alice")).got() == {"ops": 1, "finance": 0}
    assert counted(await house.click(request, "bob")).got() == {"ops": 2, "finance": 0}
    after = counted(await house.click(request, "carol"))
    assert after.status is Status.APPROVED
    assert house.claims(request)["approval"]["quorum"]["need"] == 3


async def test_no_number_of_people_of_one_group_does_for_the_other() -> None:
    house = await a_house(groups=ALL, rules=[a_rule(factors=[{"from": ["ops"]}, {"from": ["security"]}])])
    request = await house.asked()
    for who in ("alice", "bob"):
        assert counted(await house.click(request, who)).status is Status.PENDING


async def test_a_second_account_of_a_person_is_the_same_person_for_every_demand() -> None:
    other = Account("slack", "T0SAYSO", "U0BOB2")
    people = a_policy_file()["people"] | {"bob": {"accounts": [account("bob").id, other.id]}}
    house = await a_house(rules=BOTH, people=people)
    request = await house.asked()
    counted(await house.click(request, "bob"))
    after = counted(await house.click(request, other))
    assert (after.status, len(after.votes)) == (Status.PENDING, 1)


async def test_an_account_linked_to_nobody_counts_alone_and_never_among_several() -> None:
    house = await a_house(rules=[a_rule(factors=[{"from": ["security"]}])])
    house.directory.groups = SECURITY
    assert counted(await house.click(await house.asked(), STRANGER)).status is Status.APPROVED

    house = await a_house(rules=[a_rule(factors=[{"from": ["security"], "approvals": 2}])])
    house.directory.groups = SECURITY
    assert refused(await house.click(await house.asked(), STRANGER)) == "unlinked"


async def test_an_account_linked_to_nobody_is_never_one_of_several_noes() -> None:
    house = await a_house(rules=[a_rule(factors=[{"from": ["security"]}], deny_quorum=2)])
    house.directory.groups = SECURITY
    request = await house.asked()
    assert refused(await house.click(request, STRANGER, "deny")) == "unlinked"
    assert counted(await house.click(request, STRANGER)).status is Status.APPROVED


# -- noes ---------------------------------------------------------------------------------------------------------


async def test_one_no_denies_where_nothing_else_is_said() -> None:
    house = await a_house(groups=ALL, rules=[a_rule(factors=[{"from": ["all"], "approvals": 3}])])
    request = await house.asked()
    await house.click(request, "alice")
    await house.click(request, "bob")
    assert counted(await house.click(request, "carol", "deny")).status is Status.DENIED


async def test_a_deny_quorum_needs_so_many_different_people() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    request = await house.asked()
    assert counted(await house.click(request, "alice", "deny", reason="too much")).status is Status.PENDING
    assert counted(await house.click(request, "alice", "deny", reason="too much")).status is Status.PENDING
    assert house.decision(request) == {}
    after = counted(await house.click(request, "bob", "changes", reason="half of it"))
    assert after.status is Status.DENIED
    told = house.decision(request)
    assert [one["person"] for one in told["by"]] == ["alice", "bob"]
    assert (told["changes"], told["receipt"]) == ("half of it", None)


async def test_below_the_deny_quorum_the_others_may_still_approve() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    request = await house.asked()
    await house.click(request, "alice", "deny")
    await house.click(request, "bob")
    after = counted(await house.click(request, "carol"))
    assert after.status is Status.APPROVED
    assert [one["sub"] for one in house.claims(request)["approval"]["approvers"]] == ["bob", "carol"]
    assert isinstance(await house.spend(request), object)
    assert await house.status(request) == "spent"


async def test_a_no_that_stayed_alone_does_not_hold_up_the_use_when_its_person_cannot_be_looked_up() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    request = await house.asked()
    for who, answer in (("alice", "deny"), ("bob", "approve"), ("carol", "approve")):
        await house.click(request, who, "deny" if answer == "deny" else "approve")
    house.directory.unreachable.add(account("alice").id)
    await house.spend(request)
    assert await house.status(request) == "spent"


async def test_the_no_of_somebody_who_left_no_longer_counts() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    request = await house.asked()
    await house.click(request, "alice", "deny")
    house.directory.not_full[account("alice").id] = "deactivated"
    after = counted(await house.click(request, "bob", "deny"))
    assert (after.status, [vote.person for vote in after.votes]) == (Status.PENDING, ["bob"])
    assert counted(await house.click(request, "carol", "deny")).status is Status.DENIED


async def test_a_no_is_not_held_up_by_what_cannot_be_looked_up() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    request = await house.asked()
    await house.click(request, "alice", "deny")
    house.directory.unreachable.add(account("alice").id)
    assert counted(await house.click(request, "bob", "deny")).status is Status.DENIED


async def test_a_deny_quorum_that_was_lowered_binds_what_is_pending_and_one_that_was_raised_does_not() -> None:
    house = await a_house(groups=ALL, rules=TWO_NOES)
    lowered = await house.asked("one")
    rule = a_rule(factors=[{"from": ["all"], "approvals": 2}])
    await house.adopt(groups=ALL, rules=[rule])
    assert counted(await house.click(lowered, "alice", "deny")).status is Status.DENIED
    kept = await house.asked("two")
    await house.adopt(groups=ALL, rules=TWO_NOES)
    assert counted(await house.click(kept, "bob", "deny")).status is Status.DENIED


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"rules": [a_rule(factors=[{"from": ["ops"]}], deny_quorum=3)]}, "deny_quorum: needs 3 of 2 people"),
        ({"rules": [a_rule(deny_quorum=3)]}, "deny_quorum: needs 3 of 2 people"),
        ({"defaults": a_policy_file()["defaults"] | {"deny_quorum": 3}}, "defaults.deny_quorum: needs 3 of 2 people"),
    ],
)
def test_a_deny_quorum_that_nobody_can_reach_is_an_error(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyInvalid, match=problem):
        a_policy(**sections)


def test_a_user_group_may_reach_any_deny_quorum() -> None:
    policy = a_policy(rules=[a_rule(factors=[{"from": ["security"]}], deny_quorum=5)])
    assert policy.terms(a_question()).deny_quorum == 5


# -- another mind -------------------------------------------------------------------------------------------------


async def both_asked() -> tuple[House, Request]:
    """A payment that needs two of alice, bob and carol, and two noes to deny."""
    house = await a_house(groups=ALL, rules=TWO_NOES)
    return house, await house.asked()


async def test_a_person_may_change_their_answer_while_it_is_open() -> None:
    house, request = await both_asked()
    await house.click(request, "alice")
    after = counted(await house.click(request, "alice", "deny", reason="on second thought"))
    assert [(vote.person, vote.answer) for vote in after.votes] == [("alice", "deny")]
    counted(await house.click(request, "bob"))
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_a_yes_that_became_a_no_no_longer_approves() -> None:
    house, request = await both_asked()
    await house.click(request, "alice")
    await house.click(request, "alice", "deny")
    assert counted(await house.click(request, "bob")).status is Status.PENDING
    assert [record["answer"] for record in await house.noted("voted")] == ["approve", "deny", "approve"]


async def test_an_answer_that_was_taken_back_counts_nowhere() -> None:
    house, request = await both_asked()
    await house.click(request, "alice")
    assert counted(await house.retract(request, "alice")).votes == ()
    assert counted(await house.click(request, "bob")).status is Status.PENDING
    assert counted(await house.click(request, "alice")).status is Status.APPROVED
    (record,) = await house.noted("retracted")
    assert (record["by"], record["to"]) == ("alice", "pending")


async def test_there_is_nothing_to_take_back_from_who_has_not_answered_or_once_it_is_decided() -> None:
    house, request = await both_asked()
    assert counted(await house.retract(request, "alice")).votes == ()
    await house.click(request, "alice")
    await house.click(request, "bob")
    late = await house.retract(request, "alice")
    assert isinstance(late, Late)
    assert await house.status(request) == "approved"
    assert await house.noted("retracted") == []


async def test_only_who_may_answer_may_take_an_answer_back() -> None:
    house, request = await both_asked()
    await house.click(request, "alice")
    assert refused(await house.retract(request, "olga")) == "own_request"
    assert len((await house.now_is(request)).votes) == 1


async def test_nothing_is_taken_back_after_the_deadline() -> None:
    house, request = await both_asked()
    await house.click(request, "alice")
    house.wait(30 * MINUTE)
    late = await house.retract(request, "alice")
    assert isinstance(late, Late)
    assert late.request.status is Status.EXPIRED
    assert len(late.request.votes) == 1


# -- a policy that changes while people are asked ------------------------------------------------------------------


async def test_an_exclusion_that_comes_later_binds_who_has_not_answered_and_who_has() -> None:
    rule = a_rule(factors=[{"from": ["all"], "approvals": 2}])
    house = await a_house(groups=ALL | {"interns": {"people": ["bob"]}}, rules=[rule])
    request = await house.asked()
    assert counted(await house.click(request, "bob")).status is Status.PENDING
    await house.adopt(groups=ALL | {"interns": {"people": ["bob"]}}, rules=[rule | {"exclude": ["interns"]}])
    assert refused(await house.click(request, "bob", "deny")) == "excluded"
    assert counted(await house.click(request, "alice")).got() == {"all": 1}
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_an_exemption_that_comes_later_loosens_nothing_that_was_asked_before() -> None:
    large = a_rule("large", factors=[{"from": ["all"], "approvals": 2}])
    trusted = a_rule("trusted", factors=[{"from": ["all"]}], exempts=["large", "defaults"])
    house = await a_house(groups=ALL, rules=[large])
    request = await house.asked()
    await house.adopt(groups=ALL, rules=[large, trusted])
    assert counted(await house.click(request, "alice")).status is Status.PENDING
    assert counted(await house.click(request, "bob")).status is Status.APPROVED
    later = await house.asked(call="run-118/again")
    assert later.terms.exempted == ("large", "defaults")
    assert counted(await house.click(later, "alice")).status is Status.APPROVED
