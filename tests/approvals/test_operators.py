"""What operators may do: take a yes back, settle how it ended, stop and let go on; each by role, each journalled."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from approvals.errors import EntryRefused
from approvals.freeze import Freeze
from approvals.lifecycle import Status
from approvals.ports import Account
from approvals.request import Request
from approvals.service import Click, Counted, Done, Granted, NotGranted, Refused
from bot.clock import Clock
from tests.approvals.house import House, a_house, with_leads
from tests.approvals.make import AGENT, MINUTE, a_document, a_policy, a_question, a_rule, account, an_action

OTHER = "reports-bot"
CAROL, DAVE, ALICE = account("carol"), account("dave"), account("alice")
Scope = Literal["agent", "kind", "all"]


def with_two_agents() -> dict[str, Any]:
    """The leads, and two agents."""
    entry = {"owner": "olga", "principals": ["dana"], "kinds": ["payments.*", "reports.*"]}
    return with_leads() | {"agents": {AGENT: entry, OTHER: entry}}


def refused(verdict: object) -> str:
    """Why it was not done."""
    assert isinstance(verdict, Refused), verdict
    assert verdict.sentence.endswith(".")
    return verdict.reason


async def ask_as(house: House, agent: str, call: str, **changes: Any) -> Request:
    """A request of some agent."""
    return await house.approvals.submit(a_document(call, **changes), agent)


# -- who ----------------------------------------------------------------------------------------------------------


async def every_intervention(house: House, request: Request, who: Account) -> list[object]:
    """Everything an operator can do, tried by one account."""
    operators = house.approvals.operators
    return [
        await operators.revoke(request.id, who),
        await operators.resolve(request.id, who, "succeeded", ""),
        await operators.freeze(who, "all", "", ""),
        await operators.unfreeze(who, "all", ""),
    ]


@pytest.mark.parametrize("who", ["alice", "dana", "olga"])
async def test_without_the_role_nothing_is_done(who: str) -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    tried = await every_intervention(house, request, account(who))
    assert {refused(one) for one in tried} == {"no_role"}
    assert await house.status(request) == "approved"
    assert [record["account"] for record in await house.noted("revoke_refused")] == [account(who).id]


async def test_where_policy_names_nobody_nobody_may() -> None:
    house = await a_house()
    request = await house.approved()
    assert {refused(one) for one in await every_intervention(house, request, CAROL)} == {"no_such_role"}


async def test_who_cannot_be_looked_up_or_is_no_full_member_may_not() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    house.directory.unreachable.add(CAROL.id)
    assert refused(await house.approvals.operators.revoke(request.id, CAROL)) == "lookup_failed"
    house.directory.unreachable.clear()
    house.directory.not_full[CAROL.id] = "deactivated"
    assert refused(await house.approvals.operators.revoke(request.id, CAROL)) == "not_a_member"
    assert await house.status(request) == "approved"


async def test_a_role_that_was_taken_away_elsewhere_is_gone_at_once() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    sections = with_leads()
    await house.adopt(**sections | {"groups": sections["groups"] | {"leads": {"people": ["dave"]}}})
    assert refused(await house.approvals.operators.revoke(request.id, CAROL)) == "no_role"
    assert refused(await house.approvals.operators.freeze(CAROL, "all", "", "")) == "no_role"
    assert await house.status(request) == "approved"
    assert house.policies.current().freezes == ()


# -- revoke -------------------------------------------------------------------------------------------------------


async def test_a_yes_that_was_taken_back_cannot_be_used_and_the_agent_is_told() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    receipt, wakes = house.decision(request)["receipt"], house.wakes()
    done = await house.approvals.operators.revoke(request.id, CAROL, "the vendor was hacked")
    assert isinstance(done, Done)
    told = house.decision(request)
    assert (told["status"], told["receipt"], house.wakes()) == ("revoked", None, wakes + 1)
    spent = await house.spend(request, receipt=receipt)
    assert isinstance(spent, NotGranted)
    assert spent.reason == "revoked"
    assert [record["by"] for record in await house.noted("revoked")] == ["carol"]
    assert (await house.approvals.collect(AGENT, request.id)).status is Status.REVOKED


@pytest.mark.parametrize("status", ["pending", "denied", "spent"])
async def test_only_an_unused_yes_can_be_taken_back(status: str) -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    if status != "pending":
        await house.click(request, "alice", "deny" if status == "denied" else "approve")
    if status == "spent":
        await house.spend(request)
    assert refused(await house.approvals.operators.revoke(request.id, CAROL)) == "not_now"
    assert await house.status(request) == status


async def test_taking_back_and_using_at_once_do_one_of_both() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    done, spent = await asyncio.gather(house.approvals.operators.revoke(request.id, CAROL), house.spend(request))
    assert isinstance(done, Done) is not isinstance(spent, Granted)
    assert await house.status(request) == ("revoked" if isinstance(done, Done) else "spent")


async def test_while_it_is_not_yet_kept_safely_the_operator_is_told_so() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    house.store.unconfirmed = True
    done = await house.approvals.operators.revoke(request.id, CAROL)
    assert isinstance(done, Done)
    assert (done.safe, await house.status(request)) == (False, "revoked")
    house.store.unconfirmed = False
    house.wait(2_000)
    await Clock(house.store, house.approvals).announcements()
    assert house.decision(request)["status"] == "revoked"


# -- resolve ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_a_person_may_say_how_it_ended_where_the_tool_could_not(outcome: Literal["succeeded", "failed"]) -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    await house.spend(request)
    house.wait(15 * MINUTE)
    await house.in_time(request)
    done = await house.approvals.operators.resolve(request.id, DAVE, outcome, "asked the bank")
    assert isinstance(done, Done)
    after = await house.now_is(request)
    assert after.outcome is not None
    assert (after.status.value, after.outcome.note, after.interventions[-1].person) == (
        outcome,
        "asked the bank",
        "dave",
    )
    assert house.decision(request)["status"] == outcome
    (record,) = await house.noted("resolved")
    assert (record["by"], record["from"], record["to"]) == ("dave", "unknown", outcome)
    late = await house.report(request, "failed" if outcome == "succeeded" else "succeeded")
    assert isinstance(late, NotGranted)
    assert await house.status(request) == outcome


@pytest.mark.parametrize("status", ["pending", "approved", "spent"])
async def test_what_is_not_unknown_needs_nobody_to_settle_it(status: str) -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    if status != "pending":
        await house.click(request, "alice")
    if status == "spent":
        await house.spend(request)
    assert refused(await house.approvals.operators.resolve(request.id, DAVE, "succeeded", "")) == "not_now"
    assert await house.status(request) == status


async def test_nothing_is_done_to_what_nobody_knows() -> None:
    house = await a_house(**with_leads())
    assert refused(await house.approvals.operators.revoke("0-" + "a" * 24, CAROL)) == "not_found"


# -- freeze -------------------------------------------------------------------------------------------------------

SCOPES: list[tuple[Scope, str]] = [("agent", AGENT), ("kind", "payments.*"), ("all", "")]


async def three_requests(house: House) -> dict[str, Request]:
    """What a freeze may meet: this agent's payment, another agent's payment, another agent's report."""
    return {
        "mine": await ask_as(house, AGENT, "mine"),
        "theirs": await ask_as(house, OTHER, "theirs"),
        "report": await ask_as(house, OTHER, "report", action=an_action(kind="reports.send")),
    }


@pytest.mark.parametrize(
    ("scope", "name", "stopped"),
    [
        ("agent", AGENT, {"mine"}),
        ("kind", "payments.*", {"mine", "theirs"}),
        ("kind", "reports.send", {"report"}),
        ("all", "", {"mine", "theirs", "report"}),
    ],
)
async def test_what_falls_under_a_freeze_is_denied_with_its_reason_and_nothing_else(
    scope: Scope, name: str, stopped: set[str]
) -> None:
    house = await a_house(**with_two_agents())
    requests = await three_requests(house)
    assert isinstance(await house.approvals.operators.freeze(CAROL, scope, name, "the bank was breached"), Done)
    assert {key for key, one in requests.items() if await house.status(one) == "denied"} == stopped
    for key in stopped:
        told = house.decision(requests[key])
        assert (told["status"], told["reason"], told["receipt"]) == ("denied", "the bank was breached", None)
        assert told["by"] == [{"policy": f"freeze:{scope}:{name}" if name else "freeze:all"}]
    assert {record["by"] for record in await house.noted("denied")} == {"carol"}


@pytest.mark.parametrize(("scope", "name"), SCOPES)
async def test_while_it_is_frozen_nothing_new_is_taken_on(scope: Scope, name: str) -> None:
    house = await a_house(**with_two_agents())
    await house.approvals.operators.freeze(CAROL, scope, name, "the bank was breached")
    with pytest.raises(EntryRefused) as caught:
        await ask_as(house, AGENT, "late")
    assert caught.value.reason == "not_accepting"
    assert "the bank was breached" in caught.value.message


@pytest.mark.parametrize(("scope", "name"), SCOPES)
async def test_a_yes_that_was_not_used_before_cannot_be_used_and_can_again_afterwards(scope: Scope, name: str) -> None:
    house = await a_house(**with_two_agents())
    request = await house.approved()
    await house.approvals.operators.freeze(CAROL, scope, name, "")
    stopped = await house.spend(request)
    assert isinstance(stopped, NotGranted)
    assert (stopped.reason, await house.status(request)) == ("policy", "approved")
    await house.approvals.operators.unfreeze(DAVE, scope, name)
    assert isinstance(await house.spend(request), Granted)


async def test_the_same_attempt_is_told_again_that_it_had_the_grant() -> None:
    house = await a_house(**with_leads())
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    await house.spend(request, receipt=receipt)
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert isinstance(await house.spend(request, receipt=receipt), Granted)
    assert not isinstance(await house.report(request), NotGranted)


async def test_nobody_can_answer_what_is_frozen_even_before_it_is_denied() -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    freeze = Freeze(scope="all", by="carol", at=house.now, reason="incident")
    epoch = house.policies.current().epoch
    await (await house.neighbour()).policies.put_freezes((freeze,), {"event": "freeze"}, instead_of=epoch)
    assert refused(await house.click(request, "alice")) == "policy_changed"
    assert await house.status(request) == "pending"


async def test_only_another_person_lets_it_go_on() -> None:
    house = await a_house(**with_leads())
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert refused(await house.approvals.operators.unfreeze(CAROL, "all", "")) == "own_freeze"
    assert isinstance(await house.approvals.operators.unfreeze(DAVE, "all", ""), Done)
    assert (await house.asked("after")).status is Status.PENDING
    events = [(record["event"], record["by"]) for record in await house.journal() if "freeze" in record["event"]]
    assert events == [("freeze", "carol"), ("unfreeze", "dave")]


async def test_a_second_account_is_not_another_person() -> None:
    second = Account("slack", "T0SAYSO", "U0CAROL2")
    sections = with_leads()
    people = sections["people"] | {"carol": {"accounts": [CAROL.id, second.id]}}
    house = await a_house(**sections | {"people": people})
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert refused(await house.approvals.operators.unfreeze(second, "all", "")) == "own_freeze"


async def test_an_account_that_is_linked_to_nobody_is_not_known_to_be_another_person() -> None:
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    sections = with_leads()
    groups = sections["groups"] | {"leads": {"people": ["carol"], "slack_usergroup": "S0LEADS"}}
    house = await a_house(**sections | {"groups": groups})
    house.directory.groups = {"slack:usergroup:S0LEADS": {stranger.id}}
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert refused(await house.approvals.operators.unfreeze(stranger, "all", "")) == "unlinked"
    assert house.policies.current().freezes


async def test_who_froze_unlinked_and_was_linked_since_is_the_same_person() -> None:
    stranger = Account("slack", "T0SAYSO", "U0STRANGER")
    sections = with_leads()
    sections["groups"] |= {"leads": {"people": ["carol", "dave"], "slack_usergroup": "S0LEADS"}}
    house = await a_house(**sections)
    house.directory.groups = {"slack:usergroup:S0LEADS": {stranger.id}}
    await house.approvals.operators.freeze(stranger, "all", "", "")
    await house.adopt(**sections | {"people": sections["people"] | {"dave": {"accounts": [DAVE.id, stranger.id]}}})
    assert refused(await house.approvals.operators.unfreeze(DAVE, "all", "")) == "own_freeze"
    assert isinstance(await house.approvals.operators.unfreeze(CAROL, "all", ""), Done)


async def test_what_is_not_frozen_cannot_be_let_go_on() -> None:
    house = await a_house(**with_leads())
    await house.approvals.operators.freeze(CAROL, "agent", AGENT, "")
    assert refused(await house.approvals.operators.unfreeze(DAVE, "all", "")) == "not_frozen"


async def test_an_agent_that_nobody_registered_is_not_taken_for_frozen() -> None:
    """A misspelled name must not let an operator believe that something was stopped."""
    house = await a_house(**with_leads())
    assert refused(await house.approvals.operators.freeze(CAROL, "agent", "payment-bot", "")) == "no_such_agent"


async def test_freezing_twice_is_freezing_once() -> None:
    house = await a_house(**with_leads())
    for who in (CAROL, DAVE, CAROL):
        assert isinstance(await house.approvals.operators.freeze(who, "all", "", ""), Done)
    assert [freeze.by for freeze in house.policies.current().freezes] == ["carol"]
    assert len(await house.noted("freeze")) == 1


async def test_one_freeze_is_lifted_and_the_other_stays() -> None:
    house = await a_house(**with_leads())
    await house.approvals.operators.freeze(CAROL, "agent", AGENT, "")
    await house.approvals.operators.freeze(CAROL, "kind", "payments.*", "")
    await house.approvals.operators.unfreeze(DAVE, "agent", AGENT)
    with pytest.raises(EntryRefused, match="frozen by carol"):
        await house.asked("late")


async def test_all_of_many_are_denied_also_those_asked_in_the_same_instant() -> None:
    house = await a_house(**with_leads())
    asked = [await house.asked(f"call-{number}", posted=False) for number in range(430)]
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert {await house.status(request) for request in asked} == {"denied"}


async def test_a_denial_that_is_not_yet_safe_does_not_spare_the_others() -> None:
    house = await a_house(**with_leads())
    asked = [await house.asked(f"call-{number}", posted=False) for number in range(3)]
    house.store.unconfirmed = True
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert {await house.status(request) for request in asked} == {"denied"}
    assert [house.decision(request) for request in asked] == [{}] * 3


# -- several bots, restarts and reloads ---------------------------------------------------------------------------


async def test_a_freeze_binds_the_other_bot_at_its_next_step() -> None:
    house = await a_house(**with_leads())
    other = await house.neighbour()
    request = await house.approved()
    waiting = await house.asked("waiting")
    await house.approvals.operators.freeze(CAROL, "agent", AGENT, "")
    assert isinstance(await other.spend(request), NotGranted)
    assert not isinstance(await other.click(waiting, "alice"), Done)
    with pytest.raises(EntryRefused, match="frozen"):
        await other.asked("late")


async def test_two_freezes_on_two_bots_at_once_are_both_in_force() -> None:
    house = await a_house(**with_two_agents())
    other = await house.neighbour()
    done = await asyncio.gather(
        house.approvals.operators.freeze(CAROL, "agent", AGENT, ""),
        other.approvals.operators.freeze(DAVE, "agent", OTHER, ""),
    )
    assert all(isinstance(one, Done) for one in done)
    for agent in (AGENT, OTHER):
        with pytest.raises(EntryRefused, match="frozen"):
            await ask_as(house, agent, "late")
    assert {freeze.name for freeze in (await other.policies.refresh()).freezes} == {AGENT, OTHER}


async def test_a_bot_that_has_not_heard_of_an_unfreeze_freezes_again() -> None:
    """It must not say that this is frozen already: nothing would be."""
    house = await a_house(**with_leads())
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    other = await house.neighbour()
    await other.approvals.operators.unfreeze(DAVE, "all", "")
    assert isinstance(await house.approvals.operators.freeze(CAROL, "all", "", "again"), Done)
    with pytest.raises(EntryRefused, match="again"):
        await other.asked("late")


async def test_a_bot_that_has_not_heard_of_a_freeze_can_lift_it() -> None:
    house = await a_house(**with_leads())
    other = await house.neighbour()
    await house.approvals.operators.freeze(CAROL, "all", "", "")
    assert isinstance(await other.approvals.operators.unfreeze(DAVE, "all", ""), Done)
    assert (await house.asked("after")).status is Status.PENDING


async def test_an_unfreeze_does_not_lift_what_was_frozen_elsewhere_meanwhile() -> None:
    house = await a_house(**with_two_agents())
    await house.approvals.operators.freeze(CAROL, "agent", AGENT, "")
    other = await house.neighbour()
    await asyncio.gather(
        house.approvals.operators.unfreeze(DAVE, "agent", AGENT),
        other.approvals.operators.freeze(CAROL, "agent", OTHER, ""),
    )
    assert {freeze.name for freeze in (await house.policies.refresh()).freezes} == {OTHER}


async def test_a_freeze_whose_bot_died_is_finished_by_another_that_never_heard_of_it() -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    other = await house.neighbour()
    freeze = Freeze(scope="all", by="carol", at=house.now, reason="incident")
    epoch = house.policies.current().epoch
    await house.policies.put_freezes((freeze,), {"event": "freeze"}, instead_of=epoch)  # and then it died
    await Clock(other.store, other.approvals).frozen()
    assert other.decision(request)["reason"] == "incident"


async def test_a_freeze_outlives_a_restart_and_a_new_policy() -> None:
    house = await a_house(**with_leads())
    await house.approvals.operators.freeze(CAROL, "all", "", "incident")
    await house.adopt(**with_leads(), rules=[a_rule(within="5m")])
    late = await house.neighbour()
    assert late.policies.current().freezes[0].reason == "incident"
    with pytest.raises(EntryRefused, match="incident"):
        await house.asked("late")
    assert isinstance(await house.approvals.operators.unfreeze(DAVE, "all", ""), Done)
    assert (await house.asked("after")).expires_at - house.now == 5 * MINUTE


async def test_a_click_between_many_freezes_is_decided_under_the_last() -> None:
    """Several epochs may pass while one click is worked on; it must neither fail nor slip through."""
    house = await a_house(**with_two_agents())
    other = await house.neighbour()
    request = await house.asked()
    for name in ("reports.a", "reports.b"):
        await other.approvals.operators.freeze(CAROL, "kind", name, "")
    verdict = await house.click(request, "alice")
    assert await house.status(request) == "approved", verdict


# -- what it covers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "name", "covered"),
    [
        ("agent", AGENT, True),
        ("agent", "payments", False),
        ("agent", "*", False),
        ("kind", "payments.release", True),
        ("kind", "payments.*", True),
        ("kind", "*", True),
        ("kind", "payments", False),
        ("all", "", True),
    ],
)
def test_what_a_freeze_covers(scope: Scope, name: str, covered: bool) -> None:
    freeze = Freeze(scope=scope, name=name, by="carol", at=0)
    policy = a_policy().frozen((freeze,))
    assert freeze.covers(a_question()) is covered
    assert (policy.freeze_of(a_question()) == freeze) is covered


def test_every_freeze_is_another_epoch_and_none_is_the_text_itself() -> None:
    policy = a_policy()
    one, two = (Freeze(scope="agent", name=name, by="carol", at=0) for name in (AGENT, OTHER))
    epochs = [policy.epoch, *(policy.frozen(freezes).epoch for freezes in ((one,), (two,), (one, two)))]
    assert len(set(epochs)) == 4
    assert policy.frozen(()).epoch == policy.digest


# -- suspicion ----------------------------------------------------------------------------------------------------


async def test_anybody_of_us_may_report_a_request_once_and_that_decides_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    for _ in range(2):
        done = await house.approvals.operators.report_suspicious(request.id, account("erin"), "odd vendor")
        assert isinstance(done, Done)
    after = await house.now_is(request)
    assert (after.status, [one.did for one in after.interventions]) == (Status.PENDING, ["reported"])
    (record,) = await house.noted("reported_suspicious")
    assert (record["account"], "vendor" in str(record)) == (account("erin").id, False)


async def test_a_guest_reports_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    house.directory.not_full[account("erin").id] = "a guest"
    assert refused(await house.approvals.operators.report_suspicious(request.id, account("erin"))) == "not_a_member"
    house.directory.unreachable.add(account("erin").id)
    assert refused(await house.approvals.operators.report_suspicious(request.id, account("erin"))) == "lookup_failed"
    assert not (await house.now_is(request)).interventions


def denial(request: Request, who: str) -> Click:
    """A no from the card."""
    place = request.terms.destinations[0]
    return Click(account(who), "deny", "sha256:x", (place,), House.message(place), "not today")


async def test_who_denies_and_pauses_stops_everything_the_agent_asked() -> None:
    house = await a_house(**with_leads() | {"roles": {"freeze": ["ops"], "unfreeze": ["leads"]}})
    request, other = await house.asked("one"), await house.asked("two")
    paused = await house.approvals.deny_and_pause(request.id, denial(request, "alice"))
    assert isinstance(paused.verdict, Counted)
    assert isinstance(paused.frozen, Done)
    decisions = [(await house.now_is(one)).decision for one in (request, other)]
    assert [(one.rule, one.reason) for one in decisions if one] == [
        (None, "not today"),
        (f"freeze:agent:{AGENT}", "not today"),
    ]


async def test_without_the_role_the_no_counts_and_the_agent_goes_on() -> None:
    house = await a_house(**with_leads())
    request, other = await house.asked("one"), await house.asked("two")
    paused = await house.approvals.deny_and_pause(request.id, denial(request, "alice"))
    assert isinstance(paused.verdict, Counted)
    assert refused(paused.frozen) == "no_role"
    assert (await house.status(request), await house.status(other)) == ("denied", "pending")
