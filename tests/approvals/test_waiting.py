"""While nobody answers: reminders, escalation, more time, an agent that goes away; and what time ends."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.lifecycle import Status
from approvals.ports import Queue
from approvals.request import Request
from approvals.service import HEARTBEAT_MS, Counted, Done, Refused
from bot.clock import Clock
from tests.approvals.house import House, a_house, with_leads
from tests.approvals.make import AGENT, MINUTE, a_rule, account

REMINDED = [a_rule(reminders={"first": "5m", "times": 2, "most": 3}, within="60m")]
#: alice or bob; after ten minutes carol or dave too, in another channel; after twenty everybody of finance too
STEPS: list[dict[str, Any]] = [
    {"after": "10m", "to": ["leads"], "destinations": ["slack:C0LEADS"]},
    {"after": "20m", "to": ["finance"]},
]
ESCALATED = [a_rule(factors=[{"from": ["ops"]}], escalate=STEPS)]
EXTENDABLE = [a_rule(extend_to="60m")]


async def clicked(house: House, request: Request, who: str) -> str:
    """What a click comes to: the status after it, or the reason of its refusal."""
    verdict = await house.click(request, who)
    return verdict.request.status.value if isinstance(verdict, Counted) else getattr(verdict, "reason", "late")


# -- reminders ----------------------------------------------------------------------------------------------------


async def test_reminders_come_with_growing_pauses_and_then_no_more() -> None:
    house = await a_house(rules=REMINDED)
    request = await house.asked()
    assert [offset // MINUTE for offset in request.terms.reminders] == [5, 15, 35]
    given = []
    for _ in range(59):
        house.wait(MINUTE)
        given.append((await house.in_time(request)).reminded)
    assert [given.count(number) for number in range(4)] == [4, 10, 20, 25]
    assert [record["by"] for record in await house.noted("reminded")] == ["time"] * 3
    house.wait(MINUTE)
    assert (await house.in_time(request)).status is Status.EXPIRED


async def test_a_reminder_changes_no_decision_and_no_deadline() -> None:
    house = await a_house(rules=REMINDED)
    request = await house.asked()
    house.wait(5 * MINUTE)
    after = await house.in_time(request)
    same = {"reminded": 0, "version": request.version}
    assert after.model_copy(update=same) == request
    assert house.wakes() == 0


async def test_the_deadline_comes_before_a_reminder_that_would_be_due_with_it() -> None:
    house = await a_house(rules=[a_rule(reminders={"first": "5m"}, within="5m")])
    request = await house.asked()
    house.wait(5 * MINUTE)
    after = await house.in_time(request)
    assert (after.status, after.reminded) == (Status.EXPIRED, 0)


# -- escalation ---------------------------------------------------------------------------------------------------


async def test_each_step_lets_more_people_answer_and_never_answers_itself() -> None:
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    assert await clicked(house, request, "carol") == "not_an_approver"
    house.wait(10 * MINUTE)
    after = await house.in_time(request)
    assert (after.status, after.escalated) == (Status.PENDING, 1)
    assert after.asked.destinations == ("slack:C0OPS", "slack:C0LEADS")
    assert await clicked(house, request, "carol") == "approved"


async def test_before_the_step_is_committed_nobody_of_it_may_answer() -> None:
    """The clock alone opens nothing: what is stored does, so that every replica says the same."""
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    house.wait(10 * MINUTE)
    assert await clicked(house, request, "carol") == "not_an_approver"


async def test_steps_missed_while_no_bot_ran_are_all_taken() -> None:
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    house.wait(25 * MINUTE)
    assert (await house.in_time(request)).escalated == 2
    assert len(await house.noted("escalated")) == 2


async def test_nobody_answering_after_every_step_is_still_a_no() -> None:
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    house.wait(30 * MINUTE)
    assert (await house.in_time(request)).status is Status.EXPIRED
    assert house.decision(request)["receipt"] is None


async def test_those_who_were_asked_first_may_go_on_answering() -> None:
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    assert await clicked(house, request, "alice") == "approved"


async def test_a_step_opens_its_own_demand_and_no_other() -> None:
    """One of ops (or, later, of the leads), and one of finance, whom nobody stands in for."""
    rules = [*ESCALATED, a_rule("money", factors=[{"from": ["finance"]}])]
    house = await a_house(rules=rules, **with_leads())
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    assert await clicked(house, request, "dave") == "pending"
    assert await clicked(house, request, "alice") == "pending"
    assert await clicked(house, request, "bob") == "approved"


async def test_who_was_excluded_stays_excluded_when_a_step_would_ask_them() -> None:
    sections = with_leads()
    groups = sections["groups"] | {"leads": {"people": ["olga", "dana", "carol"]}}
    house = await a_house(rules=ESCALATED, **sections | {"groups": groups})
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    assert await clicked(house, request, "olga") == "own_request"
    assert await clicked(house, request, "dana") == "own_request"


async def test_a_yes_through_a_step_can_be_used() -> None:
    house = await a_house(rules=ESCALATED, **with_leads())
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    await house.click(request, "carol")
    await house.spend(request)
    assert await house.status(request) == "spent"


@pytest.mark.parametrize(
    "later",
    [
        [a_rule(factors=[{"from": ["ops"]}])],
        [a_rule(factors=[{"from": ["ops"]}], escalate=[{"after": "25m", "to": ["leads"]}])],
        [a_rule(factors=[{"from": ["ops"]}], escalate=[{"after": "10m", "to": ["finance"]}])],
    ],
    ids=["no steps", "a later step", "a step to others"],
)
async def test_a_step_that_policy_no_longer_takes_opens_nothing_more(later: list[dict[str, Any]]) -> None:
    sections = with_leads()
    house = await a_house(rules=ESCALATED, **sections)
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    await house.adopt(rules=later, **sections)
    assert await clicked(house, request, "dave") == "not_an_approver"
    assert await clicked(house, request, "alice") == "approved"


async def test_a_yes_through_a_step_that_policy_no_longer_takes_cannot_be_used() -> None:
    sections = with_leads()
    house = await a_house(rules=ESCALATED, **sections)
    request = await house.asked()
    house.wait(10 * MINUTE)
    await house.in_time(request)
    await house.click(request, "dave")
    await house.adopt(rules=[a_rule(factors=[{"from": ["ops"]}])], **sections)
    refused = await house.spend(request)
    assert getattr(refused, "reason", None) == "policy"


# -- more time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["alice", "carol"])
async def test_an_approver_or_whoever_has_the_role_may_give_more_time(who: str) -> None:
    house = await a_house(rules=EXTENDABLE, **with_leads())
    request = await house.asked()
    done = await house.approvals.operators.extend(request.id, account(who), 20 * MINUTE)
    assert isinstance(done, Done)
    after = await house.now_is(request)
    assert after.expires_at == request.expires_at + 20 * MINUTE
    (record,) = await house.noted("extended")
    assert (record["by"], record["to"]) == (who, "pending")
    house.wait(45 * MINUTE)
    assert (await house.in_time(request)).status is Status.PENDING
    house.wait(5 * MINUTE)
    assert (await house.in_time(request)).status is Status.EXPIRED


@pytest.mark.parametrize("who", ["dana", "olga"])
async def test_nobody_else_may(who: str) -> None:
    sections = with_leads()
    house = await a_house(rules=EXTENDABLE, **sections)
    request = await house.asked()
    refused = await house.approvals.operators.extend(request.id, account(who), MINUTE)
    assert isinstance(refused, Refused)
    assert [record["account"] for record in await house.noted("extend_refused")] == [account(who).id]


@pytest.mark.parametrize(("more", "works"), [(30 * MINUTE, True), (30 * MINUTE + 1, False), (0, False), (-1, False)])
async def test_only_forward_and_never_past_what_the_rule_allows(more: int, works: bool) -> None:
    house = await a_house(rules=EXTENDABLE, **with_leads())
    request = await house.asked()
    done = await house.approvals.operators.extend(request.id, account("carol"), more)
    assert isinstance(done, Done) is works
    assert (await house.now_is(request)).expires_at == request.expires_at + (more if works else 0)


async def test_again_and_again_comes_to_the_same_end() -> None:
    house = await a_house(rules=EXTENDABLE, **with_leads())
    request = await house.asked()
    for _ in range(5):
        await house.approvals.operators.extend(request.id, account("carol"), 10 * MINUTE)
    assert (await house.now_is(request)).expires_at == request.asked_at + 60 * MINUTE


async def test_where_no_rule_allows_it_nobody_gives_more_time() -> None:
    house = await a_house(**with_leads())
    request = await house.asked()
    refused = await house.approvals.operators.extend(request.id, account("carol"), 1)
    assert isinstance(refused, Refused)
    assert refused.reason == "not_now"


async def test_what_has_expired_is_not_brought_back_even_before_anybody_noticed() -> None:
    house = await a_house(rules=EXTENDABLE, **with_leads())
    request = await house.asked()
    house.wait(30 * MINUTE)
    refused = await house.approvals.operators.extend(request.id, account("carol"), 20 * MINUTE)
    assert isinstance(refused, Refused)
    assert (await house.in_time(request)).status is Status.EXPIRED


async def test_a_rule_that_now_allows_less_time_binds_what_is_pending() -> None:
    sections = with_leads()
    house = await a_house(rules=EXTENDABLE, **sections)
    request = await house.asked()
    await house.adopt(rules=[a_rule(extend_to="40m")], **sections)
    assert isinstance(await house.approvals.operators.extend(request.id, account("carol"), 20 * MINUTE), Refused)
    assert isinstance(await house.approvals.operators.extend(request.id, account("carol"), 10 * MINUTE), Done)


async def test_somebody_who_is_no_longer_asked_gives_no_more_time() -> None:
    sections = with_leads()
    house = await a_house(rules=EXTENDABLE, **sections)
    request = await house.asked()
    await house.adopt(rules=EXTENDABLE, **sections | {"groups": sections["groups"] | {"ops": {"people": ["bob"]}}})
    assert isinstance(await house.approvals.operators.extend(request.id, account("alice"), MINUTE), Refused)


# -- an agent that goes away --------------------------------------------------------------------------------------


async def test_a_silent_agent_has_withdrawn_what_it_wanted_withdrawn_then() -> None:
    house = await a_house()
    clock = Clock(house.store, house.approvals)
    stays, goes = await house.asked("stays"), await house.asked("goes", cancel_on_disconnect=True)
    house.wait(HEARTBEAT_MS - 1)
    assert not await clock.silent()
    house.wait(1)
    assert await clock.silent()
    assert (await house.status(stays), await house.status(goes)) == ("pending", "withdrawn")
    assert house.decision(goes)["status"] == "withdrawn"
    assert [record["by"] for record in await house.noted("withdrawn")] == ["disconnect"]
    assert not await clock.silent()


async def test_whoever_is_heard_of_is_waited_for() -> None:
    house = await a_house()
    clock = Clock(house.store, house.approvals)
    request = await house.asked(cancel_on_disconnect=True)
    for _ in range(10):
        house.wait(HEARTBEAT_MS - 1)
        await house.approvals.heartbeat(AGENT)
        assert not await clock.silent()
    assert await house.status(request) == "pending"


async def test_asking_again_is_a_sign_of_life() -> None:
    house = await a_house()
    clock = Clock(house.store, house.approvals)
    request = await house.asked(cancel_on_disconnect=True)
    house.wait(HEARTBEAT_MS - 1)
    await house.asked(cancel_on_disconnect=True)
    house.wait(1)
    assert not await clock.silent()
    assert await house.status(request) == "pending"


async def test_what_was_decided_before_is_left_to_the_agent() -> None:
    house = await a_house()
    request = await house.approved(cancel_on_disconnect=True)
    house.wait(HEARTBEAT_MS)
    await Clock(house.store, house.approvals).silent()
    assert await house.status(request) == "approved"


async def test_all_of_many_are_withdrawn() -> None:
    house = await a_house()
    asked = [await house.asked(f"call-{number}", posted=False, cancel_on_disconnect=True) for number in range(230)]
    house.wait(HEARTBEAT_MS)
    await Clock(house.store, house.approvals).silent()
    assert {await house.status(request) for request in asked} == {"withdrawn"}


async def test_an_agent_that_never_asked_for_it_is_never_missed() -> None:
    house = await a_house()
    await house.asked()
    house.wait(HEARTBEAT_MS)
    assert await house.store.due(Queue.SILENT, limit=10, lease=1) == []


# -- nobody could be shown ----------------------------------------------------------------------------------------


async def test_what_nobody_could_be_shown_stays_open_until_its_time_and_is_a_no_then() -> None:
    house = await a_house()
    request = await house.asked(posted=False)
    house.wait(30 * MINUTE - 1)
    assert (await house.in_time(request)).status is Status.PENDING
    house.wait(1)
    assert (await house.in_time(request)).status is Status.EXPIRED
