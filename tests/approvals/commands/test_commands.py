"""Commands show and do only what their caller may see and do, and ask before what cannot be undone."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.commands.lists import PAGE
from approvals.errands import NOTE
from approvals.freeze import Freeze
from approvals.ports import Account, Post
from approvals.sight import Caller
from approvals.text import visible
from tests.approvals.commands.desk import buttons, commands_of, home, in_channel, offers, said, words
from tests.approvals.house import CHANNEL, House, a_house, with_leads
from tests.approvals.make import AGENT, MINUTE, a_rule, account, an_action
from tests.approvals.test_links import OTHER, linked, with_links

OUTSIDE = "mallory"


@pytest.fixture
async def house() -> House:
    """Carol and dave hold every role; alice and bob are asked; dana is the principal, olga the agent's owner."""
    return await a_house(**with_leads())


# -- lists --------------------------------------------------------------------------------------------------------


async def test_what_waits_is_listed_with_where_its_card_stands(house: House) -> None:
    request = await house.asked()
    answer = await said(house, "alice", "pending")
    assert words(answer) == (
        "Waiting for an answer, newest first\n"
        f"{request.code} payments.release → bank:acme-gmbh · expires 20:56[{CHANNEL}]"
    )
    assert [(one.label, one.command) for one in buttons(answer)] == [("Show", f"show {request.id}")]


async def test_a_note_under_a_card_is_not_listed_as_one_more_card(house: House) -> None:
    request = await house.asked()
    await house.store.record_post(request.id, Post(f"{CHANNEL}{NOTE}reminder-1", "posted", house.now))
    told = words(await said(house, "alice", f"show {request.code}"))
    assert (told.count(f"[{CHANNEL}]"), NOTE in told) == (1, False)


@pytest.mark.parametrize(
    ("who", "sees"),
    [("alice", True), ("bob", True), ("carol", True), ("dana", True), ("olga", True), (OUTSIDE, False)],
)
async def test_only_who_it_concerns_or_who_may_see_all_is_told_of_it(house: House, who: str, sees: bool) -> None:
    request = await house.asked()
    listed = await said(house, who, "pending kind:payments.release")
    shown = await said(house, who, f"show {request.code}")
    assert (request.code in words(listed)) is sees
    assert (shown.title == "Approval record") is sees
    here = await in_channel(house, who, f"show {request.code}")
    assert here.title == "Approval record"


async def test_who_is_no_full_member_or_cannot_be_looked_up_sees_what_stands_in_the_channel_only(house: House) -> None:
    request = await house.asked()
    house.directory.not_full |= {account("alice").id: "a guest", account("dana").id: "deactivated"}
    house.directory.unreachable.add(account("carol").id)
    for who in ("alice", "carol", "dana"):
        assert (await said(house, who, f"show {request.code}")).title == "There is no such request"
        assert (await in_channel(house, who, f"show {request.code}")).title == "Approval record"


async def test_a_list_can_be_narrowed(house: House) -> None:
    payment = await house.asked()
    report = await house.asked("run-1/report", action=an_action(kind="reports.send"))
    assert payment.code not in words(await said(house, "alice", "pending kind:reports.send"))
    assert report.code in words(await said(house, "alice", f"pending agent:{AGENT} kind:reports.send"))
    assert words(await said(house, "alice", "pending agent:nobody")).endswith("Nothing waits for an answer.")
    assert words(await said(house, "dana", "pending mine")).endswith("Nothing waits for an answer.")
    assert words(await said(house, "alice", "pending channel")).endswith("Nothing waits for an answer.")
    assert payment.code in words(await in_channel(house, OUTSIDE, "pending channel"))


async def test_what_has_waited_for_half_of_its_time_is_overdue(house: House) -> None:
    old = await house.asked()
    house.wait(16 * MINUTE)
    new = await house.asked("run-2/release", action=an_action(target="bank:other"))
    told = words(await said(house, "alice", "pending overdue"))
    assert old.code in told
    assert new.code not in told


async def test_a_long_list_comes_in_pages_and_each_request_stands_on_one(house: House) -> None:
    asked = set()
    for number in range(PAGE * 2 + 1):
        asked.add((await house.asked(f"run/{number}", action=an_action(target=f"bank:{number}"))).id)
    found: list[str] = []
    text = "pending mine"
    while text:
        answer = await said(house, "bob", text)
        found += [one.command.split()[1] for one in buttons(answer) if one.label == "Show"]
        text = next((one.command for one in answer.buttons), "")
    assert len(found) == len(asked)
    assert set(found) == asked


async def test_what_was_decided_is_listed_for_who_answered_and_for_the_principal(house: House) -> None:
    request = await house.approved()
    await house.asked("run-2/release", action=an_action(target="bank:other"))
    for who in ("alice", "dana", "olga"):
        told = words(await said(house, who, "history"))
        assert f"{request.code} payments.release → bank:acme-gmbh · approved 20:26 by @alice" in told
        assert "bank:other" not in told
    assert words(await said(house, "bob", "history mine")).endswith("Nothing was decided.")
    assert request.code in words(await said(house, "carol", f"history agent:{AGENT}"))
    assert request.code not in words(await said(house, OUTSIDE, f"history agent:{AGENT}"))


async def test_the_overview_holds_what_waits_for_me_what_my_agents_asked_and_what_i_decided(house: House) -> None:
    waiting = await house.asked()
    decided = await house.approved("run-2/release", action=an_action(target="bank:other"))
    mine = await home(house, "alice")
    assert [waiting.code in words(part) for part in mine] == [True, False, False, False, False]
    assert [decided.code in words(part) for part in mine] == [False, False, True, False, False]
    theirs = await home(house, "olga")
    assert [waiting.code in words(part) for part in theirs] == [False, True, False, False, False]
    assert [decided.code in words(part) for part in theirs] == [False, True, False, False, False]
    strangers = await home(house, OUTSIDE)
    assert not any(buttons(part) for part in strangers)


# -- one request --------------------------------------------------------------------------------------------------


async def test_the_record_tells_what_happened_in_order_and_what_people_saw() -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    house.wait(MINUTE)
    await house.click(request, "alice")
    await house.spend(request)
    house.wait(MINUTE)
    await house.report(request, "failed", note="*no* funds")
    now = await house.now_is(request)
    told = words(await said(house, "carol", f"show {request.code}"))
    trail = told.split("\n")[-5:]
    assert trail[0] == f"20:26 asked by {AGENT}"
    assert trail[1] == f"20:27 approved by @alice · saw {now.votes[0].shown[:19]}"
    assert trail[2] == f"20:27 approved · journal entry {now.decision_entry}"
    assert trail[3] == f"20:27 receipt used by {AGENT}"
    assert trail[4] == "20:28 failed · the tool says *no* funds"
    assert request.digest in told
    assert request.action.nonce not in told
    assert "amount 12400.00" in told


async def test_what_cannot_be_seen_is_written_out(house: House) -> None:
    hostile = "bank:\u202eevil\n*x* <!channel>"
    await house.asked(action=an_action(target=hostile, arguments={"a\u200bb": "c\u202ed"}))
    told = words(await said(house, "alice", "pending")) + words(
        await said(house, "alice", buttons(await said(house, "alice", "pending"))[0].command)
    )
    assert told == visible(told)
    assert "\\u{202E}evil\\n*x*" in told


async def test_a_code_of_several_requests_asks_which(house: House) -> None:
    first = await house.asked()
    await house.click(first, "alice", "deny")
    again = await house.asked("run-119/release")
    assert again.code == first.code
    answer = await said(house, "alice", f"show {first.code}")
    assert answer.title == "Several requests have this code"
    assert {one.command for one in buttons(answer)} == {f"show {first.id}", f"show {again.id}"}


async def test_ones_own_answer_can_be_taken_back() -> None:
    two = a_rule(factors=[{"from": ["ops"], "approvals": 2}])
    house = await a_house(rules=[two])
    request = await house.asked()
    assert words(await said(house, "alice", f"retract {request.id}")).endswith("has no answer of yours.")
    await house.click(request, "alice")
    offered = buttons(await said(house, "alice", f"show {request.id}"))
    assert f"retract {request.id}" in [one.command for one in offered]
    assert (await said(house, "alice", f"retract {request.id}")).title == "Taken back"
    assert (await house.now_is(request)).votes == ()
    assert [record["by"] for record in await house.noted("retracted")] == ["alice"]


async def test_only_who_may_answer_takes_an_answer_back() -> None:
    house = await a_house(rules=[a_rule(factors=[{"from": ["ops"], "approvals": 2}])])
    request = await house.asked()
    await house.click(request, "alice")
    house.directory.not_full[account("alice").id] = "deactivated"
    assert (await in_channel(house, "alice", f"retract {request.id}")).title == "Nothing was done"
    assert len((await house.now_is(request)).votes) == 1
    house.directory.not_full.clear()
    await house.click(request, "bob")
    assert (await said(house, "alice", f"retract {request.id}")).title == "Too late"


# -- operators ----------------------------------------------------------------------------------------------------


async def pressed(house: House, who: str, answer: Any, reason: str = "") -> Any:
    """The answer to the button that asks whether one is sure."""
    (button,) = [one for one in buttons(answer) if one.danger]
    assert bool(button.asks) is bool(reason)
    return await said(house, who, f"{button.command} {reason}".strip())


async def test_a_yes_is_taken_back_by_who_may_once_they_said_why_and_were_asked(house: House) -> None:
    request = await house.approved()
    asked = await said(house, "carol", f"revoke {request.code}")
    assert asked.title == "Take this yes back?"
    assert await house.status(request) == "approved"
    done = await pressed(house, "carol", asked, "the vendor was hacked")
    assert words(done).endswith("is now revoked.")
    assert (await house.now_is(request)).interventions[0].reason == "the vendor was hacked"


async def test_who_has_no_role_is_refused_at_once_and_that_is_journalled(house: House) -> None:
    request = await house.approved()
    answer = await said(house, "alice", f"revoke {request.code} because")
    assert words(answer) == "Nothing was done\nThe policy does not let you revoke."
    assert [record["account"] for record in await house.noted("revoke_refused")] == [account("alice").id]
    assert (await said(house, "alice", "freeze all because")).title == "Nothing was done"
    assert (await said(house, "alice", "unfreeze all")).title == "Nothing was done"
    assert (await said(house, "alice", "unfreeze")).title == "Nothing was done"
    assert offers(await said(house, "alice", f"show {request.id}")) == []


async def test_more_time_is_given() -> None:
    house = await a_house(**with_leads(), rules=[a_rule(extend_to="2h")])
    request = await house.asked()
    offered = offers(await said(house, "alice", f"show {request.code}"))
    assert [one.command for one in offered] == [f"extend {request.id} 30m"]
    assert words(await said(house, "alice", offered[0].command)).endswith("can be answered until 21:26")
    refused = words(await said(house, "carol", f"extend {request.code} 9d"))
    most = "the deadline can be moved to 2h after it was asked at most, and only forward."
    assert refused == f"Nothing was done\nThat cannot be done: {most}"


async def test_how_it_ended_is_settled_by_who_says_how_they_know(house: House) -> None:
    request = await house.approved()
    await house.spend(request)
    house.wait(16 * MINUTE)
    assert (await house.in_time(request)).status.value == "unknown"
    offered = offers(await said(house, "dave", f"show {request.code}"))
    assert [one.label for one in offered] == ["It succeeded", "It failed"]
    done = await pressed(house, "dave", await said(house, "dave", offered[0].command), "seen at the bank")
    assert words(done).endswith("is now succeeded.")


async def test_a_request_is_looked_at_from_where_its_card_stands_and_from_no_other_channel(house: House) -> None:
    request = await house.asked()
    assert (await in_channel(house, OUTSIDE, f"show {request.code}")).title == "Approval record"
    assert (await said(house, OUTSIDE, f"show {request.code}", "slack:C0ELSE")).title == "There is no such request"


async def test_an_account_that_was_linked_is_asked_first_like_any_other_of_its_person() -> None:
    house = await a_house(**with_links(roles={"link": ["ops"], "freeze": ["ops"]}))
    await linked(house)
    answer = await commands_of(house).answer("freeze all an incident", Caller(OTHER))
    assert answer.title == "Freeze?"
    assert house.policies.current().freezes == ()


async def test_a_freeze_needs_a_reason_and_everything_at_once_is_asked_about(house: House) -> None:
    request = await house.asked()
    assert buttons(await said(house, "carol", f"freeze agent {AGENT}"))[0].asks
    asked = await said(house, "carol", "freeze all an incident")
    assert asked.title == "Freeze?"
    assert await house.status(request) == "pending"
    done = await pressed(house, "carol", asked)
    assert words(done) == "Frozen\neverything is frozen until another person unfreezes it."
    assert await house.status(request) == "denied"
    assert "an incident" in words(await said(house, "dave", "unfreeze"))


async def test_another_person_lets_it_go_on(house: House) -> None:
    await said(house, "carol", f"freeze agent {AGENT} it lies")
    assert house.policies.current().freezes[0].reason == "it lies"
    own = await pressed(house, "carol", await said(house, "carol", f"unfreeze agent {AGENT}"))
    assert words(own).endswith("You froze this, so another person has to unfreeze it.")
    asked = await said(house, "dave", f"unfreeze agent {AGENT}")
    assert "it lies" in words(asked)
    assert (await pressed(house, "dave", asked)).title == "Unfrozen"
    assert house.policies.current().freezes == ()
    assert words(await said(house, "dave", "unfreeze")) == "Frozen\nNothing is frozen."


async def test_what_was_frozen_by_another_bot_is_known(house: House) -> None:
    other = await house.neighbour()
    await other.approvals.operators.freeze(account("carol"), "kind", "payments.*", "x")
    assert isinstance(other.policies.current().freezes[0], Freeze)
    assert "kind payments.*" in words(await said(house, "dave", "unfreeze"))


# -- why ----------------------------------------------------------------------------------------------------------


async def test_why_tells_every_rule_what_they_come_to_and_who_that_asks() -> None:
    rules = [a_rule("payments", factors=[{"from": ["ops"], "approvals": 2}]), {"id": "r", "match": {"kind": ["x.*"]}}]
    house = await a_house(**with_leads(), rules=rules)
    request = await house.asked()
    told = words(await said(house, "alice", f"why {request.code}"))
    assert "payments counts" in told
    assert "r does not count" in told
    assert "ops: 2 of @alice, @bob" in told
    assert "another policy" not in told
    await house.adopt(**with_leads(), rules=[a_rule(effect="deny")])
    told = words(await said(house, "alice", f"why {request.code}"))
    assert "it is denied" in told
    assert "another policy" in told


async def test_why_calls_a_group_of_a_platform_by_its_name_in_the_policy() -> None:
    groups = {**with_leads()["groups"], "sre": {"slack_usergroup": "S0SRE"}}
    house = await a_house(**{**with_leads(), "groups": groups}, rules=[a_rule(factors=[{"from": ["ops", "sre"]}])])
    request = await house.asked()
    told = words(await said(house, "alice", f"why {request.code}"))
    assert "1 of @alice, @bob, sre" in told
    assert "S0SRE" not in told


# -- emergencies --------------------------------------------------------------------------------------------------


async def an_emergency() -> House:
    """Carol may let payments through alone; dave may review."""
    sections = with_leads()
    sections["groups"] |= {"on-call": {"people": ["carol"]}}
    sections["roles"] = {"review": ["leads"], "see": ["leads"]}
    sections["break_glass"] = {"who": ["on-call"], "kinds": ["payments.*"], "announce": ["slack:C0SECURITY"]}
    return await a_house(**sections)


async def test_the_glass_is_broken_by_who_saw_the_whole_and_said_why_and_another_person_reviews_it() -> None:
    house = await an_emergency()
    long = "x" * 1_500
    request = await house.asked(action=an_action(arguments={"note": long}))
    asked = await said(house, "carol", f"break-glass {request.code} at once")
    assert asked.title == "Let this through alone?"
    assert long in words(asked)
    assert await house.status(request) == "pending"
    done = await pressed(house, "carol", asked, "the bank closes at five")
    assert done.title == "Done"
    after = await house.now_is(request)
    assert after.status.value == "approved"
    assert after.decision is not None
    seen = await house.store.rendering(after.decision.by[0].shown)
    assert seen is not None
    assert long.encode() in seen
    assert words(await said(house, "carol", f"review {request.id} all well")).startswith("Nothing was done")
    assert (await said(house, "dave", f"review {request.id} all well")).title == "Reviewed"


async def test_what_changed_since_it_was_shown_is_shown_again() -> None:
    house = await an_emergency()
    request = await house.asked()
    (button,) = buttons(await said(house, "carol", f"break-glass {request.id}"))
    house.wait(MINUTE)
    await house.click(request, "bob", "deny")
    again = await said(house, "carol", f"{button.command} now")
    assert again.title == "Let this through alone?"
    assert await house.status(request) == "denied"


async def test_what_is_too_long_to_show_is_not_let_through_by_a_command() -> None:
    house = await an_emergency()
    request = await house.asked(action=an_action(arguments={"note": "x" * 9_000}))
    assert "too long to be shown" in words(await said(house, "carol", f"break-glass {request.code} now"))
    assert await house.status(request) == "pending"


async def test_anybody_who_sees_it_may_say_that_something_looks_wrong(house: House) -> None:
    request = await house.asked()
    assert (await said(house, "alice", f"report {request.code} the account is new")).title == "Reported"
    assert (await said(house, OUTSIDE, f"report {request.code} x")).title == "There is no such request"


# -- seats and accounts -------------------------------------------------------------------------------------------


def with_seats() -> dict[str, Any]:
    """Everybody of ops may hand over their seat, and link accounts."""
    return with_leads() | {"roles": {"delegate": ["ops"], "link": ["ops"]}}


async def test_a_seat_is_handed_over_and_taken_back() -> None:
    house = await a_house(**with_seats())
    request = await house.asked()
    assert words(await said(house, "carol", "pending mine")).endswith("Nothing waits for an answer.")
    done = await said(house, "alice", f"delegate {account('carol').id} until 3d for payments.*")
    assert words(done).startswith("Delegated\n@alice → @carol for payments.* until ")
    assert request.code in words(await said(house, "carol", "pending mine"))
    assert words(await said(house, "carol", "delegations")) == words(await said(house, "alice", "delegations"))
    (button,) = buttons(done)
    assert (await said(house, "alice", button.command)).title == "Taken back"
    assert request.code not in words(await said(house, "carol", "pending mine"))
    assert "handed over nothing" in words(await said(house, "alice", "delegations"))


async def test_a_seat_is_not_handed_over_to_some_day_or_without_the_role() -> None:
    house = await a_house(**with_seats())
    assert "I do not know when that is: someday" in words(await said(house, "alice", "delegate carol until someday"))
    assert (await said(house, "carol", "delegate alice until friday")).title == "Nothing was done"
    assert (await said(house, "alice", "undelegate nothing")).title == "Nothing was done"


async def test_two_accounts_become_one_persons_by_using_both() -> None:
    house = await a_house(**with_seats())
    teams = Account("teams", "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000")
    code = words(await said(house, "alice", "link")).split("ten minutes: ")[1].split(".")[0]
    claimed = await commands_of(house).answer(f"link {code}", Caller(teams))
    assert claimed.title == "Almost linked"
    asked = await said(house, "alice", "link")
    assert teams.id in words(asked)
    assert (await pressed(house, "alice", asked)).title == "Linked"
    request = await house.asked()
    seen = await commands_of(house).answer("pending mine", Caller(teams))
    assert request.code in words(seen)
    assert (await said(house, "alice", f"unlink {teams.id}")).title == "Unlinked"
    assert (await commands_of(house).answer("link nonsense", Caller(teams))).title == "Nothing was done"


async def test_quiet_hours_are_chosen_told_and_given_up(house: House) -> None:
    assert words(await said(house, "alice", "quiet")).endswith("You are notified at any hour.")
    chosen = await said(house, "alice", "quiet 22:00-07:00 Europe/Berlin")
    assert "left in peace from 22:00 to 07:00, Europe/Berlin" in words(chosen)
    assert words((await home(house, "alice"))[-1]) == words(chosen)
    choose, off = buttons(chosen)
    assert (choose.command, "22:00-07:00" in choose.asks) == ("quiet", True)
    assert words(await said(house, "alice", off.command)).endswith("You are notified at any hour.")
    house.directory.not_full[account("bob").id] = "a guest"
    assert (await said(house, "bob", "quiet 22:00-07:00")).title == "Nothing was done"


# -- the rest -----------------------------------------------------------------------------------------------------


async def test_help_and_mistakes_are_answered_without_the_memory(house: House) -> None:
    house.store.down = True
    told = words(await said(house, "alice", "help"))
    assert "/revoke ID REASON" in told
    wrong = words(await said(house, "alice", "pendign"))
    assert wrong.startswith(
        "I did not understand that\nThere is no such command pendign. Did you mean pending?\n/pending"
    )
    form = words(await said(house, "alice", "extend 7F3K-9Q soon"))
    assert form.endswith("It is written /extend ID 30m.")
