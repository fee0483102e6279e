"""Several directories as one: whom no platform can look up is neither let in nor let past."""

from __future__ import annotations

import pytest

from approvals.errors import DirectoryUnavailable
from approvals.people import NotAllowed, may_answer
from approvals.ports import Account
from bot.doors import Directories
from tests.approvals.make import a_policy, a_policy_file, a_question, account
from tests.approvals.test_people import People

ABROAD = Account("teams", "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")


async def test_a_group_of_a_platform_that_is_off_is_neither_joined_nor_left() -> None:
    directory = Directories({"slack": People()})
    with pytest.raises(DirectoryUnavailable, match="teams is not connected"):
        await directory.is_member(ABROAD, "teams:group:33333333-3333-3333-3333-333333333333")
    assert not await directory.is_member(ABROAD, "slack:usergroup:S0FINANCE")


async def test_who_is_behind_a_source_is_the_word_of_whoever_it_belongs_to() -> None:
    slack, duty = (
        People(groups={"slack:usergroup:S0SEC": {"slack:T:U"}}),
        People(groups={"oncall:ical:a": {"ical:a:b"}}),
    )
    directories = Directories({"slack": slack, "ical": duty})
    assert [*await directories.accounts("slack:usergroup:S0SEC")] == ["slack:T:U"]
    assert [*await directories.accounts("oncall:ical:a")] == ["ical:a:b"]
    for source in ("teams:group:33333333-3333-3333-3333-333333333333", "oncall:pagerduty:P1"):
        with pytest.raises(DirectoryUnavailable, match="nobody is connected"):
            await directories.accounts(source)


async def test_whom_a_group_that_nobody_can_look_up_may_keep_out_is_not_let_past() -> None:
    file = a_policy_file()
    people = {**file["people"], "bob": {"accounts": [account("bob").id, ABROAD.id]}}
    groups = {**file["groups"], "theirs": {"entra_group": "33333333-3333-3333-3333-333333333333"}}
    rule = {"id": "not-theirs", "match": {"kind": ["*"]}, "exclude": ["theirs"]}
    policy = a_policy(people=people, groups=groups, rules=[rule])
    terms = policy.terms(a_question())
    found = await may_answer(account("bob"), terms, policy, Directories({"slack": People()}))
    assert isinstance(found, NotAllowed)
    assert found.reason == "lookup_failed"
