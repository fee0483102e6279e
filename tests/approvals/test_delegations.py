"""A seat that is handed over for a while counts once, for its owner, and is never handed on."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from approvals.attention import notified
from approvals.card import Group, card_of
from approvals.delegations import MOST, Handed
from approvals.errors import EntryRefused
from approvals.letters import Stand, letters_of
from approvals.lifecycle import Status
from approvals.notes import notes_of
from approvals.ports import Account
from approvals.request import Request
from approvals.service import Counted, NotGranted, Refused
from tests.approvals.house import House, a_house
from tests.approvals.make import MINUTE, a_policy_file, account, an_action
from tests.approvals.test_reaching import reaching

DAY = 24 * 60 * MINUTE
SECURITY = "slack:usergroup:S0SEC"
Answer = Literal["approve", "deny", "changes"]


def with_seats(need: int = 2, **changes: Any) -> dict[str, Any]:
    """So many of alice and bob; everybody may hand their seat over, and erin is nobody's approver."""
    people = a_policy_file()["people"] | {name: {"accounts": [account(name).id]} for name in ("erin", "frank")}
    groups = a_policy_file()["groups"] | {"everybody": {"people": list(people)}}
    sections = {
        "people": people,
        "groups": groups,
        "roles": {"delegate": ["everybody"]},
        "defaults": {"factors": [{"from": ["ops"], "approvals": need}], "destinations": ["slack:C0OPS"]},
    }
    return sections | changes


async def handed(house: House, owner: str, to: str, kinds: tuple[str, ...] = ("*",), days: float = 3) -> str:
    """The id of a seat that somebody handed over."""
    until = house.now + int(days * DAY)
    done = await house.approvals.delegations.delegate(account(owner), to, until, kinds)
    assert isinstance(done, Handed), done
    return done.delegation.id


async def said(house: House, request: Request, who: str, answer: Answer = "approve") -> str:
    """The status after somebody's answer, or why it does not count."""
    verdict = await house.click(request, who, answer)
    if isinstance(verdict, Refused):
        return verdict.reason
    assert isinstance(verdict, Counted), verdict
    return verdict.request.status.value


async def test_whoever_was_handed_a_seat_counts_for_its_owner() -> None:
    house = await a_house(**with_seats())
    request = await house.asked()
    assert await said(house, request, "erin") == "not_an_approver"
    await handed(house, "alice", "erin", ("payments.*",))
    assert await said(house, request, "erin") == "pending"
    assert (await house.now_is(request)).stood_in_for("erin") == "alice"
    (told,) = card_of(await house.now_is(request)).said
    assert (told.who.person, told.instead_of, told.factor) == ("erin", "alice", "ops")
    assert await said(house, request, "bob") == "approved"
    approvers = house.claims(request)["approval"]["approvers"]
    assert [(one["sub"], one.get("for")) for one in approvers] == [("erin", "alice"), ("bob", None)]


@pytest.mark.parametrize("first", ["alice", "erin"])
async def test_owner_and_taker_count_once_for_their_one_seat(first: str) -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    request = await house.asked()
    second = "erin" if first == "alice" else "alice"
    assert await said(house, request, first) == "pending"
    assert await said(house, request, second) == "pending"
    assert (await house.now_is(request)).got() == {"ops": 1}
    assert await said(house, request, "bob") == "approved"
    decision = (await house.now_is(request)).decision
    assert decision is not None
    assert [vote.person for vote in decision.by] == ["alice", "bob"]


async def test_an_owner_who_says_no_is_not_outvoted_by_their_taker() -> None:
    house = await a_house(**with_seats(defaults=with_seats()["defaults"] | {"deny_quorum": 2}))
    await handed(house, "alice", "erin")
    request = await house.asked()
    assert await said(house, request, "alice", "deny") == "pending"
    assert await said(house, request, "erin", "deny") == "pending"  # the same seat: still one no
    assert await said(house, request, "bob", "deny") == "denied"


async def test_two_takers_of_one_seat_count_once() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    await handed(house, "alice", "frank")
    request = await house.asked()
    assert [await said(house, request, who) for who in ("erin", "frank")] == ["pending", "pending"]
    assert (await house.now_is(request)).got() == {"ops": 1}


async def test_who_is_asked_anyway_and_took_a_seat_counts_once() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "bob")
    request = await house.asked()
    assert await said(house, request, "bob") == "pending"
    assert (await house.now_is(request)).stood_in_for("bob") is None


async def test_a_taker_of_two_seats_sits_in_one() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    await handed(house, "bob", "erin")
    request = await house.asked()
    assert await said(house, request, "erin") == "pending"
    assert (await house.now_is(request)).got() == {"ops": 1}


async def test_a_taker_sits_in_the_seat_that_is_free() -> None:
    """Bob is in finance by himself, and took carol's place in security."""
    factors = [{"name": "finance", "from": ["money"]}, {"name": "security", "from": ["guards"]}]
    groups = with_seats()["groups"] | {"money": {"people": ["alice", "bob"]}, "guards": {"people": ["carol"]}}
    demands = {"factors": factors, "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(defaults=demands, groups=groups))
    await handed(house, "carol", "bob")
    request = await house.asked()
    assert await said(house, request, "alice") == "pending"
    assert await said(house, request, "bob") == "approved"
    assert (await house.now_is(request)).stood_in_for("bob") == "carol"


async def test_a_seat_is_not_handed_on() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    await handed(house, "erin", "frank")
    assert await said(house, await house.asked(), "frank") == "not_an_approver"


@pytest.mark.parametrize("who", ["dana", "olga"])
async def test_nobody_behind_the_request_takes_a_seat_or_gives_one(who: str) -> None:
    sections = with_seats()
    sections["groups"]["ops"] = {"people": ["alice", "bob", who]}
    house = await a_house(**sections)
    await handed(house, "alice", who)
    await handed(house, who, "erin")
    request = await house.asked()
    assert await said(house, request, who) == "own_request"
    assert await said(house, request, "erin") == "not_an_approver"


async def test_it_counts_for_its_kinds_and_its_time_only() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin", ("reports.*",))
    assert await said(house, await house.asked("one"), "erin") == "not_an_approver"
    await handed(house, "alice", "erin", ("payments.*",), days=0.01)
    request = await house.asked("two")
    assert await said(house, request, "erin") == "pending"
    house.wait(DAY // 100)
    assert await said(house, request, "bob") == "pending"  # erin's yes fell with the seat


async def test_a_seat_that_was_taken_back_takes_its_yes_with_it_until_it_was_used() -> None:
    house = await a_house(**with_seats())
    seat = await handed(house, "alice", "erin")
    request = await house.asked()
    assert [await said(house, request, who) for who in ("erin", "bob")] == ["pending", "approved"]
    assert isinstance(await house.approvals.delegations.undelegate(account("alice"), seat), Handed)
    assert isinstance(await house.spend(request), NotGranted)


@pytest.mark.parametrize("what", ["left the group", "left the company", "lost the role"])
async def test_a_seat_counts_only_while_its_owner_could_take_it(what: str) -> None:
    sections = with_seats(need=1)
    house = await a_house(**sections)
    await handed(house, "alice", "erin")
    request = await house.asked()
    if what == "left the group":
        await house.adopt(**sections | {"groups": sections["groups"] | {"ops": {"people": ["bob"]}}})
    elif what == "left the company":
        house.directory.not_full[account("alice").id] = "deactivated"
    else:
        await house.adopt(**sections | {"roles": {"delegate": ["finance"]}})
    assert await said(house, request, "erin") == "not_an_approver"


async def test_an_owner_who_cannot_be_looked_up_refuses_the_taker_and_nobody_else() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    await handed(house, "alice", "bob")
    request = await house.asked()
    house.directory.unreachable.add(account("alice").id)
    assert await said(house, request, "erin") == "lookup_failed"
    assert await said(house, request, "bob") == "pending"


async def test_a_group_that_only_a_directory_knows_is_asked_about_its_owner() -> None:
    demands = {"factors": [{"from": ["security"]}], "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(defaults=demands))
    house.directory.groups = {SECURITY: {account("carol").id}}
    await handed(house, "carol", "erin")
    assert await said(house, await house.asked(), "erin") == "approved"


# -- handing over -------------------------------------------------------------------------------------------------


async def test_handing_over_and_taking_back_stand_in_the_journal() -> None:
    house = await a_house(**with_seats())
    seat = await handed(house, "alice", account("erin").id, ("payments.*",))
    mine = await house.approvals.delegations.delegations_of(account("erin"))
    assert [(one.id, one.owner, one.to, one.kinds) for one in mine] == [(seat, "alice", "erin", ("payments.*",))]
    assert isinstance(await house.approvals.delegations.undelegate(account("erin"), seat), Handed)
    assert not await house.approvals.delegations.delegations_of(account("alice"))
    (given,), (back,) = await house.noted("delegated"), await house.noted("undelegated")
    assert (given["by"], given["to"], given["kinds"]) == ("alice", "erin", ["payments.*"])
    assert (back["by"], back["delegation"]) == ("erin", seat)


@pytest.mark.parametrize(
    ("who", "to", "days", "kinds", "reason"),
    [
        ("alice", "alice", 1, ("*",), "own_delegation"),
        ("alice", "nobody", 1, ("*",), "no_such_person"),
        ("alice", "slack:T0OTHER:U0ERIN", 1, ("*",), "no_such_person"),
        ("alice", "erin", 0, ("*",), "bad_until"),
        ("alice", "erin", 91, ("*",), "bad_until"),
        ("alice", "erin", 1, (), "bad_kinds"),
        ("alice", "erin", 1, ("<!channel>",), "bad_kinds"),
        ("stranger", "erin", 1, ("*",), "no_role"),
    ],
)
async def test_what_cannot_be_handed_over(who: str, to: str, days: int, kinds: tuple[str, ...], reason: str) -> None:
    house = await a_house(**with_seats())
    done = await house.approvals.delegations.delegate(account(who), to, house.now + days * DAY, kinds)
    assert isinstance(done, Refused)
    assert (done.reason, done.sentence[-1]) == (reason, ".")
    assert not await house.approvals.delegations.delegations_of(account("alice"))


async def test_without_the_role_nobody_hands_anything_over_and_nothing_counts() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    await house.adopt(**with_seats(roles={}))
    done = await house.approvals.delegations.delegate(account("bob"), "erin", house.now + DAY)
    assert isinstance(done, Refused)
    assert done.reason == "no_such_role"
    assert await said(house, await house.asked(), "erin") == "not_an_approver"


async def test_an_account_that_nobody_is_linked_to_has_no_seat() -> None:
    house = await a_house(**with_seats(roles={"delegate": ["security"]}))
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    house.directory.groups = {SECURITY: {stranger.id}}
    done = await house.approvals.delegations.delegate(stranger, "erin", house.now + DAY)
    assert isinstance(done, Refused)
    assert done.reason == "unlinked"


async def test_nobody_hands_over_more_than_so_much_or_takes_back_what_is_not_theirs() -> None:
    house = await a_house(**with_seats())
    seats = [await handed(house, "alice", "erin") for _ in range(MOST)]
    done = await house.approvals.delegations.delegate(account("alice"), "frank", house.now + DAY)
    assert isinstance(done, Refused)
    assert done.reason == "too_many_delegations"
    back = await house.approvals.delegations.undelegate(account("bob"), seats[0])
    assert isinstance(back, Refused)
    assert back.reason == "no_such_delegation"
    assert (await house.now_is(await house.asked())).status is Status.PENDING


async def test_a_seat_does_not_count_beside_its_owner_who_was_given_another_name() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    request = await house.asked()
    sections = with_seats()
    people = {"alicia" if name == "alice" else name: entry for name, entry in sections["people"].items()}
    groups = {
        "ops": {"people": ["bob"], "slack_usergroup": "S0SEC"},
        "finance": {"people": ["bob", "carol"]},
        "everybody": {"people": list(people), "slack_usergroup": "S0SEC"},
    }
    house.directory.groups[SECURITY] = {account("alice").id}
    await house.adopt(**sections | {"people": people, "groups": groups})
    assert await said(house, request, "alice") == "pending"
    assert await said(house, request, "erin") == "not_an_approver"


# -- who is called ------------------------------------------------------------------------------------------------


async def asked_on_the_card(house: House, request: Request) -> tuple[list[str], tuple[str, ...]]:
    """Whom a card calls by name, and with which accounts."""
    (seat,) = card_of(await house.now_is(request)).needs
    return [who.person for who in seat.people], tuple(one for who in seat.people for one in who.accounts)


async def test_whoever_has_a_seat_is_called_in_its_owners_place() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin", ("payments.*",))
    assert await asked_on_the_card(house, await house.asked()) == (
        ["bob", "erin"],
        (account("bob").id, account("erin").id),
    )
    report = await house.asked(call="other", action=an_action(kind="reports.send"))
    assert (await asked_on_the_card(house, report))[0] == ["alice", "bob"]


@pytest.mark.parametrize("notify", ["mention", "dm", "none"])
async def test_they_are_called_as_the_demand_wants_it(notify: str) -> None:
    demands = {"factors": [{"from": ["ops"], "notify": notify}], "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(defaults=demands))
    await handed(house, "alice", "erin")
    request = await house.asked()
    letters = letters_of(request, Stand("slack:C0OPS", {"ts": "1"}), house.policies.current().accounts_of)
    assert [one.destination for one in letters] == (["slack:U0BOB", "slack:U0ERIN"] if notify == "dm" else [])
    assert notified(request) == (() if notify == "none" else ("person:bob", "person:erin"))


async def test_a_seat_of_somebody_in_a_group_of_the_platform_is_called_by_name_beside_the_group() -> None:
    demands = {"factors": [{"from": ["security"]}], "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(defaults=demands))
    house.directory.groups[SECURITY] = {account("alice").id}
    await handed(house, "alice", "erin")
    (seat,) = card_of(await house.asked()).needs
    assert ([who.person for who in seat.people], seat.groups) == (["erin"], (Group(source=SECURITY),))


async def test_a_call_that_is_sent_again_under_a_freeze_joins_what_was_asked_where_seats_are_handed_over() -> None:
    house = await a_house(**with_seats(roles={"delegate": ["everybody"], "freeze": ["everybody"]}))
    await handed(house, "alice", "erin")
    first = await house.asked()
    await house.approvals.operators.freeze(account("carol"), "all", "", "incident")
    assert (await house.asked(posted=False)).id == first.id
    with pytest.raises(EntryRefused, match="frozen by carol"):
        await house.asked(call="another", posted=False)


async def test_who_could_not_answer_is_not_called_and_the_owner_is() -> None:
    """Erin is shut out by the policy, and then nobody can say whether she is one of us."""
    shut_out = with_seats()["groups"] | {"ops": {"people": ["alice"]}, "out": {"people": ["erin"]}}
    demands = {"factors": [{"from": ["ops"]}], "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(groups=shut_out, defaults=demands | {"exclude": ["out"]}))
    await handed(house, "alice", "erin")
    assert (await asked_on_the_card(house, await house.asked()))[0] == ["alice"]
    await house.adopt(**with_seats(groups=shut_out, defaults=demands))
    assert (await asked_on_the_card(house, await house.asked(call="two")))[0] == ["erin"]
    house.directory.unreachable.add(account("erin").id)
    assert (await asked_on_the_card(house, await house.asked(call="three")))[0] == ["alice"]


async def test_a_seat_that_is_handed_over_or_back_while_people_wait_counts_from_the_next_reminder() -> None:
    demands = with_seats()["defaults"] | {"reminders": {"first": "5m", "times": 1, "most": 2}}
    house = await a_house(**with_seats(defaults=demands))
    request = await house.asked()
    seat = await handed(house, "alice", "erin")
    house.wait(5 * MINUTE)
    reminded = await house.in_time(request)
    (note,) = notes_of(reminded, house.policies.current().accounts_of)
    assert [who.person for who in note.asked] == ["bob", "erin"]
    assert (await asked_on_the_card(house, request))[0] == ["bob", "erin"]
    await house.approvals.delegations.undelegate(account("alice"), seat)
    house.wait(5 * MINUTE)
    assert notified(await house.in_time(request)) == ("person:alice", "person:bob")


async def test_an_owner_who_answers_all_the_same_is_not_called_twice_by_another_name() -> None:
    house = await a_house(**with_seats())
    await handed(house, "alice", "erin")
    request = await house.asked()
    assert await said(house, request, "alice") == "pending"
    assert (await asked_on_the_card(house, request))[0] == ["bob"]


async def test_who_is_on_call_and_has_handed_their_seat_over_is_not_called() -> None:
    schedule = "oncall:ical:primary"
    people = with_seats()["people"]
    groups = with_seats()["groups"] | {"duty": {"oncall": ["ical:primary"]}}
    demands = {"factors": [{"from": ["duty"]}], "destinations": ["slack:C0OPS"]}
    house = await a_house(**with_seats(people=people, groups=groups, defaults=demands))
    house.directory.groups[schedule] = {account("alice").id, account("bob").id}
    await handed(house, "alice", "erin")
    request = await house.asked()
    await reaching(house)(await house.store.get(request.id))
    assert (await asked_on_the_card(house, request))[0] == ["erin", "bob"]
