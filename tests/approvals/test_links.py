"""An account becomes a person's by using both; whoever holds only one of them cannot do it alone."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.links import CODE_LIVES, Code, Linked
from approvals.ports import Account
from approvals.service import Counted, Refused
from tests.approvals.house import House, a_house
from tests.approvals.make import a_policy_file, account

ALICE = account("alice")
OTHER = Account("teams", "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")


def with_links(**changes: Any) -> dict[str, Any]:
    """Everybody in ops may link their accounts; two of ops are needed."""
    two = {"factors": [{"from": ["ops"], "approvals": 2}], "destinations": ["slack:C0OPS"]}
    return {"roles": {"link": ["ops"]}, "defaults": two} | changes


async def code_of(house: House, who: Account = ALICE) -> str:
    """A code that somebody was shown."""
    shown = await house.approvals.links.begin(who)
    assert isinstance(shown, Code), shown
    return shown.code


async def linked(house: House, who: Account = ALICE, other: Account = OTHER) -> None:
    """Both accounts were used, one after the other."""
    assert isinstance(await house.approvals.links.claim(other, await code_of(house, who)), Linked)
    done = await house.approvals.links.confirm(who, other.id)
    assert done == Linked(other.id, house.policies.current().person_of(who.id) or "", confirmed=True)


async def click(house: House, who: Account) -> str:
    """What becomes of somebody's yes."""
    verdict = await house.click(await house.asked(), who)
    return verdict.reason if isinstance(verdict, Refused) else verdict.request.status.value


def reason(done: object) -> str:
    """Why it was not done."""
    assert isinstance(done, Refused), done
    assert done.sentence.endswith(".")
    return done.reason


async def test_an_account_that_was_linked_is_the_person() -> None:
    house = await a_house(**with_links())
    assert await click(house, OTHER) == "not_an_approver"
    await linked(house)
    request = await house.asked()
    verdict = await house.click(request, OTHER)
    assert isinstance(verdict, Counted)
    assert [vote.person for vote in verdict.request.votes] == ["alice"]
    again = await house.click(request, ALICE)
    assert isinstance(again, Counted)
    assert again.request.got() == {"ops": 1}  # the same person, whichever account
    (record,) = await house.noted("linked")
    assert (record["by"], record["account"], record["other"]) == ("alice", ALICE.id, OTHER.id)


async def test_before_it_is_confirmed_it_is_nobodys() -> None:
    house = await a_house(**with_links())
    done = await house.approvals.links.claim(OTHER, await code_of(house))
    assert done == Linked(OTHER.id, "alice", confirmed=False)
    assert await house.approvals.links.claimed(ALICE) == done
    assert await click(house, OTHER) == "not_an_approver"


async def test_who_asked_by_one_account_cannot_approve_by_another_that_was_linked() -> None:
    house = await a_house(**with_links())
    request = await house.asked(started_by=OTHER.id)
    assert OTHER.id in request.terms.excluded
    await linked(house)
    assert reason(await house.click(request, ALICE)) == "own_request"
    assert reason(await house.click(request, OTHER)) == "own_request"


async def test_a_code_holds_once_and_for_ten_minutes() -> None:
    house = await a_house(**with_links())
    code = await code_of(house)
    stranger = Account("teams", OTHER.tenant, "33333333-3333-3333-3333-333333333333")
    assert isinstance(await house.approvals.links.claim(OTHER, code.lower().replace("-", " ")), Linked)
    assert reason(await house.approvals.links.claim(stranger, code)) == "bad_code"
    late = await code_of(house)
    house.wait(CODE_LIVES)
    assert reason(await house.approvals.links.claim(OTHER, late)) == "bad_code"
    assert reason(await house.approvals.links.claim(OTHER, "AAAAA-AAAAA")) == "bad_code"
    assert [record["reason"] for record in await house.noted("link_refused")] == ["bad_code"] * 3


async def test_only_the_account_that_asked_confirms_and_only_the_one_that_typed() -> None:
    house = await a_house(**with_links())
    await house.approvals.links.claim(OTHER, await code_of(house))
    links = house.approvals.links
    assert reason(await links.confirm(account("bob"), OTHER.id)) == "nothing_claimed"
    assert reason(await links.confirm(ALICE, "teams:x:y")) == "nothing_claimed"
    assert reason(await links.confirm(OTHER, OTHER.id)) == "no_role"
    assert isinstance(await links.confirm(ALICE, OTHER.id), Linked)
    assert reason(await links.confirm(ALICE, OTHER.id)) == "nothing_claimed"


async def test_not_even_another_account_of_the_same_person_confirms() -> None:
    people = a_policy_file()["people"]
    people["alice"]["accounts"].append(account("alice2").id)
    house = await a_house(**with_links(people=people))
    await house.approvals.links.claim(OTHER, await code_of(house))
    assert reason(await house.approvals.links.confirm(account("alice2"), OTHER.id)) == "nothing_claimed"


async def test_what_the_file_says_since_of_an_account_is_not_confirmed_away() -> None:
    house = await a_house(**with_links())
    await house.approvals.links.claim(OTHER, await code_of(house))
    people = a_policy_file()["people"]
    people["bob"]["accounts"].append(OTHER.id)
    await house.adopt(**with_links(people=people))
    assert reason(await house.approvals.links.confirm(ALICE, OTHER.id)) == "linked_already"


async def test_the_account_of_somebody_who_left_the_file_is_nobodys() -> None:
    house = await a_house(**with_links())
    await linked(house)
    people, groups = a_policy_file()["people"], a_policy_file()["groups"]
    del people["alice"]
    ops = {"people": ["bob", "carol"], "slack_usergroup": "S0SEC"}
    await house.adopt(**with_links(people=people, groups=groups | {"ops": ops}))
    await house.policies.refresh()
    house.directory.groups = {"slack:usergroup:S0SEC": {OTHER.id}}
    assert await click(house, OTHER) == "unlinked"


@pytest.mark.parametrize("who", ["carol", "stranger"])
async def test_without_the_role_nobody_begins(who: str) -> None:
    house = await a_house(**with_links())
    assert reason(await house.approvals.links.begin(account(who))) == "no_role"
    nobody = await a_house()
    assert reason(await nobody.approvals.links.begin(ALICE)) == "no_such_role"


async def test_only_an_account_that_the_file_names_begins() -> None:
    house = await a_house(**with_links(roles={"link": ["security"]}))
    house.directory.groups = {"slack:usergroup:S0SEC": {OTHER.id}}
    assert reason(await house.approvals.links.begin(OTHER)) == "unlinked"


async def test_what_is_no_full_member_or_is_somebodys_already_cannot_be_linked() -> None:
    house = await a_house(**with_links())
    links = house.approvals.links
    assert reason(await links.claim(account("bob"), await code_of(house))) == "linked_already"
    house.directory.not_full[OTHER.id] = "a guest"
    assert reason(await links.claim(OTHER, await code_of(house))) == "not_a_member"
    house.directory.not_full.clear()
    await linked(house)
    assert reason(await links.claim(OTHER, await code_of(house, account("bob")))) == "linked_already"


async def test_the_file_wins() -> None:
    house = await a_house(**with_links())
    await linked(house)
    people = a_policy_file()["people"]
    people["bob"]["accounts"].append(OTHER.id)
    await house.adopt(**with_links(people=people))
    request = await house.asked()
    await house.policies.refresh()
    verdict = await house.click(request, OTHER)
    assert isinstance(verdict, Counted)
    assert [vote.person for vote in verdict.request.votes] == ["bob"]


@pytest.mark.parametrize("with_account", [ALICE, OTHER])
async def test_a_link_can_be_taken_back_from_either_side_and_counts_no_more(with_account: Account) -> None:
    house = await a_house(**with_links())
    await linked(house)
    assert [link.account for link in await house.approvals.links.links_of(ALICE)] == [OTHER.id]
    assert reason(await house.approvals.links.unlink(account("bob"), OTHER.id)) == "not_linked"
    assert isinstance(await house.approvals.links.unlink(with_account, OTHER.id), Linked)
    assert await click(house, OTHER) == "not_an_approver"
    assert not await house.approvals.links.links_of(ALICE)
    assert [record["other"] for record in await house.noted("unlinked")] == [OTHER.id]


async def test_where_policy_lets_nobody_link_an_old_link_counts_no_more() -> None:
    house = await a_house(**with_links())
    await linked(house)
    await house.adopt(**with_links(roles={}))
    await house.policies.refresh()
    assert await click(house, OTHER) == "not_an_approver"
