"""Agents ask, take back and collect; and time does what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from approvals.action import request_id
from approvals.errors import EntryRefused, NotConfirmed, NotFound, SignerUnavailable, StoreUnavailable
from approvals.lifecycle import Status
from approvals.ports import Queue
from tests.approvals.house import House, a_house
from tests.approvals.make import AGENT, MINUTE, NOW, a_document, a_rule, an_action, some_terms

CALL = "run-118/release"
ALLOWED = [a_rule("small", effect="allow")]
DENIED = [a_rule("never", effect="deny")]


async def refusal(house: House, call: str = CALL, agent: str = AGENT, **changes: Any) -> EntryRefused:
    """How a request is refused."""
    with pytest.raises(EntryRefused) as caught:
        await house.approvals.submit(a_document(call, **changes), agent)
    return caught.value


async def test_a_new_request_waits_for_people() -> None:
    house = await a_house()
    request = await house.approvals.submit(a_document(because="please"), AGENT)
    assert request.id == request_id(AGENT, CALL, 1)
    assert (request.status, request.because, request.principal) == (Status.PENDING, "please", "dana")
    assert (request.asked_at, request.expires_at) == (NOW, NOW + 30 * MINUTE)
    assert request.terms.policy == house.policies.current().digest
    assert house.decision(request) == {}
    assert [entry["event"] for entry in await house.journal()] == ["policy", "asked"]


async def test_the_journal_holds_no_argument_no_nonce_and_nobodys_words() -> None:
    house = await a_house()
    request = await house.asked(because="words of the agent")
    await house.click(request, "alice", reason="words of alice")
    await house.spend(request)
    await house.report(request, note="words of the tool")
    text = str(await house.journal())
    for secret in ("12400.00", "INV-2093", request.action.nonce, "words of"):
        assert secret not in text


async def test_what_a_rule_allows_is_shown_only_where_the_rule_says_so() -> None:
    for announce in (False, True):
        rule = a_rule("small", effect="allow", announce=announce, destinations=["slack:C0NEWS"])
        house = await a_house(rules=[rule])
        request = await house.asked(posted=False)
        assert (request.status, request.is_news) == (Status.APPROVED, announce)
        assert len(await house.store.due(Queue.CARDS, limit=9, lease=1_000)) == announce
        assert request.asked.destinations == (("slack:C0NEWS",) if announce else ("slack:C0OPS",))


async def test_a_rule_that_announces_what_it_allows_changes_nothing_about_what_people_are_asked() -> None:
    told = a_rule("small", effect="allow", announce=True, destinations=["slack:C0NEWS"])
    house = await a_house(rules=[told, a_rule("large")])
    request = await house.approved()
    assert (request.status, request.is_news) == (Status.APPROVED, False)
    assert request.asked.destinations == ("slack:C0OPS",)


async def test_the_journal_says_which_rules_were_exempted_from_and_which_count_unclear() -> None:
    exempting = a_rule("trusted", match={"target": ["bank:acme-*"]}, exempts=["large"])
    unclear = a_rule("odd", when="arguments.nothing == 'x'")
    house = await a_house(rules=[a_rule("large"), exempting, unclear])
    await house.asked()
    asked = (await house.noted("asked"))[0]
    assert (asked["exempted"], asked["unclear"]) == (["large"], ["odd"])


async def test_asking_again_is_the_same_request() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(MINUTE)
    again = await house.approvals.submit(a_document(action=an_action(nonce="B" * 22)), AGENT)
    assert again == request
    assert again.action.nonce == request.action.nonce
    assert len(await house.noted("asked")) == 1


async def test_asking_again_after_the_decision_gets_the_decision_again() -> None:
    house = await a_house()
    request = await house.approved()
    assert house.wakes() == 1
    again = await house.approvals.submit(a_document(), AGENT)
    assert again.status is Status.APPROVED
    assert house.wakes() == 2
    assert house.decision(request)["nonce"] == request.action.nonce


@pytest.mark.parametrize(
    "change",
    [
        {"target": "bank:other"},
        {"arguments": {"amount": "12400.01"}},
        {"kind": "payments.refund"},
        {"preconditions": {"a": 1}},
    ],
)
async def test_the_same_call_with_another_action_is_a_conflict(change: dict[str, Any]) -> None:
    house = await a_house()
    request = await house.asked()
    refused = await refusal(house, action=an_action(**change))
    assert (refused.reason, refused.field) == ("conflict", "call")
    assert (await house.store.get(request.id)).request == request


async def test_the_same_action_under_another_call_is_asked_anew() -> None:
    """An approval cannot be replayed: the same content asked again is a new question (DESIGN §1.9)."""
    house = await a_house()
    await house.approved()
    other = await house.asked("run-119/release")
    assert other.status is Status.PENDING


async def test_two_submissions_at_once_are_one_request() -> None:
    house = await a_house()
    found = await asyncio.gather(*(house.approvals.submit(a_document(), AGENT) for _ in range(10)))
    assert len({request.id for request in found}) == 1
    assert len(await house.noted("asked")) == 1


async def test_a_rule_may_allow_without_a_person() -> None:
    house = await a_house(rules=ALLOWED)
    request = await house.asked()
    told = house.decision(request)
    assert (told["status"], told["by"]) == ("approved", [{"policy": "small"}])
    assert house.claims(request)["approval"]["mode"] == "policy"
    assert [entry["by"] for entry in await house.reached("approved")] == ["policy:small"]


async def test_a_rule_may_deny_without_a_person() -> None:
    house = await a_house(rules=DENIED)
    request = await house.asked()
    told = house.decision(request)
    assert (told["status"], told["by"], told["receipt"]) == ("denied", [{"policy": "never"}], None)


async def test_with_the_signer_down_an_allowed_request_is_published_later() -> None:
    house = await a_house(rules=ALLOWED)
    house.signer.down = True
    with pytest.raises(SignerUnavailable):
        await house.asked()
    house.signer.down = False
    request = await house.asked()
    assert house.decision(request)["status"] == "approved"
    assert len(await house.reached("approved")) == 1


@pytest.mark.parametrize(
    ("agent", "changes", "reason"),
    [
        ("stranger", {}, "unknown_agent"),
        (AGENT, {"action": an_action(kind="deploy.run")}, "kind_not_allowed"),
        (AGENT, {"principal": "alice"}, "principal_not_allowed"),
        (AGENT, {"audience": "stranger"}, "audience_not_allowed"),
    ],
)
async def test_what_policy_does_not_admit_leaves_no_request(agent: str, changes: dict[str, Any], reason: str) -> None:
    house = await a_house()
    assert (await refusal(house, agent=agent, **changes)).reason == reason
    with pytest.raises(NotFound):
        await house.store.get(request_id(agent, CALL, 1))


async def test_a_request_is_judged_by_the_policy_in_force() -> None:
    house = await a_house()
    await house.adopt(rules=DENIED)
    request = await house.asked()
    assert (request.status, request.terms.policy) == (Status.DENIED, house.policies.current().digest)


async def test_with_the_memory_down_nothing_is_asked() -> None:
    house = await a_house()
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.asked()


# -- withdraw and collect -----------------------------------------------------------------------------------------


async def test_an_agent_may_take_its_question_back() -> None:
    house = await a_house()
    request = await house.asked()
    after = await house.approvals.withdraw(AGENT, request.id)
    assert after.status is Status.WITHDRAWN
    assert house.decision(request)["status"] == "withdrawn"
    assert (await house.noted("withdrawn"))[0]["by"] == f"agent:{AGENT}"


async def test_what_was_decided_cannot_be_taken_back_by_the_agent() -> None:
    house = await a_house()
    request = await house.approved()
    assert (await house.approvals.withdraw(AGENT, request.id)).status is Status.APPROVED
    assert await house.status(request) == "approved"
    assert house.wakes() == 2


@pytest.mark.parametrize("request_", [request_id(AGENT, "never asked", 1), "0-" + "a" * 24])
async def test_what_was_never_asked_can_be_neither_withdrawn_nor_collected(request_: str) -> None:
    house = await a_house()
    for ask in (house.approvals.withdraw, house.approvals.collect):
        with pytest.raises(EntryRefused) as caught:
            await ask(AGENT, request_)
        assert (caught.value.reason, caught.value.field) == ("not_found", "request")


async def test_the_request_of_another_agent_looks_like_none() -> None:
    house = await a_house()
    request = await house.asked()
    told = []
    for wanted in (request.id, "0-" + "a" * 24):
        with pytest.raises(EntryRefused) as caught:
            await house.approvals.withdraw("other-bot", wanted)
        told.append((caught.value.reason, caught.value.message))
    assert told[0] == told[1]
    assert await house.status(request) == "pending"


async def test_collecting_gives_a_fresh_receipt_for_the_same_use() -> None:
    house = await a_house()
    request = await house.approved()
    first = house.claims(request)
    house.wait(5 * MINUTE)
    await house.approvals.collect(AGENT, request.id)
    fresh = house.claims(request)
    assert (fresh["jti"], fresh["txn"]) == (first["jti"], first["txn"])
    assert fresh["exp"] == first["exp"] + 300
    assert fresh["approval"] == first["approval"]


async def test_collecting_what_is_pending_tells_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    assert (await house.approvals.collect(AGENT, request.id)).status is Status.PENDING
    assert (house.decision(request), house.wakes()) == ({}, 0)


async def test_after_the_window_there_is_nothing_to_collect() -> None:
    house = await a_house()
    request = await house.approved()
    house.wait(15 * MINUTE)
    assert (await house.approvals.collect(AGENT, request.id)).status is Status.LAPSED
    told = house.decision(request)
    assert (told["status"], told["receipt"]) == ("lapsed", None)


async def test_collecting_wakes_the_agent_again() -> None:
    house = await a_house()
    request = await house.approved()
    await house.approvals.collect(AGENT, request.id)
    assert house.wakes() == 2


# -- time ---------------------------------------------------------------------------------------------------------


async def test_silence_is_a_no() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE - 1)
    assert (await house.approvals.after_time(request.id)).status is Status.PENDING
    house.wait(1)
    assert (await house.approvals.after_time(request.id)).status is Status.EXPIRED
    told = house.decision(request)
    assert (told["status"], told["by"], told["receipt"]) == ("expired", [], None)
    assert (await house.noted("expired"))[0]["by"] == "time"


async def test_a_yes_that_is_not_used_lapses() -> None:
    house = await a_house()
    request = await house.approved()
    house.wait(15 * MINUTE)
    assert (await house.approvals.after_time(request.id)).status is Status.LAPSED
    assert house.decision(request)["status"] == "lapsed"


async def test_an_outcome_that_nobody_reports_is_unknown() -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    house.wait(15 * MINUTE)
    assert (await house.approvals.after_time(request.id)).status is Status.UNKNOWN
    assert house.decision(request)["status"] == "unknown"


async def test_time_does_a_thing_once() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE)
    await asyncio.gather(*(house.approvals.after_time(request.id) for _ in range(5)))
    assert len(await house.noted("expired")) == 1
    assert house.wakes() == 1


async def test_an_agents_own_deadline_is_kept() -> None:
    house = await a_house()
    request = await house.asked(within="PT5M")
    assert request.expires_at == NOW + 5 * MINUTE
    house.wait(5 * MINUTE)
    assert (await house.approvals.after_time(request.id)).status is Status.EXPIRED


async def test_a_click_and_the_deadline_at_once_decide_once() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE)
    await asyncio.gather(house.click(request, "alice"), house.approvals.after_time(request.id))
    assert await house.status(request) == "expired"


async def test_publishing_what_is_not_confirmed_is_tried_again() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE)
    house.store.unconfirmed = True
    with pytest.raises(NotConfirmed):
        await house.approvals.after_time(request.id)
    assert house.decision(request) == {}
    house.store.unconfirmed = False
    await house.approvals.publish(request.id)
    assert house.decision(request)["status"] == "expired"


async def test_publishing_what_is_pending_does_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    await house.approvals.publish(request.id)
    assert house.decision(request) == {}


def test_the_house_keeps_the_terms_the_tests_speak_of() -> None:
    assert some_terms().within == 30 * MINUTE


# -- what others are told -----------------------------------------------------------------------------------------


async def announcements(house: House) -> list[str]:
    """The decisions that were committed and are not published."""
    return [*await house.store.due(Queue.ANNOUNCEMENTS, limit=10, lease=1)]


async def test_a_decision_waits_in_the_queue_until_it_is_published() -> None:
    house = await a_house()
    request = await house.asked()
    assert await announcements(house) == []
    house.signer.down = True
    await house.click(request, "alice")
    assert await announcements(house) == []  # whoever commits publishes; others wait two seconds with that
    house.wait(2_000)
    assert await announcements(house) == [request.id]
    house.signer.down = False
    house.wait(1)
    await house.approvals.publish(request.id)
    assert await announcements(house) == []


async def test_a_yes_that_decides_nothing_announces_nothing() -> None:
    house = await a_house(rules=[a_rule(factors=[{"from": ["ops"], "approvals": 2}])])
    await house.click(await house.asked(), "alice")
    assert await announcements(house) == []


async def test_what_a_rule_decided_has_no_card() -> None:
    house = await a_house(rules=ALLOWED)
    await house.asked()
    assert await house.store.due(Queue.CARDS, limit=10, lease=1) == []


async def test_the_journal_says_who_asked() -> None:
    house = await a_house()
    await house.asked()
    assert [entry["by"] for entry in await house.noted("asked")] == [f"agent:{AGENT}"]


async def test_couriers_are_nudged_at_every_step_that_changes_a_card() -> None:
    house = await a_house()
    request = await house.asked()
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: house.click(request, "alice"),
        lambda: house.spend(request),
        lambda: house.report(request),
        lambda: house.asked("another"),
    ]
    for step in steps:
        before = len(house.nudges)
        await step()
        assert len(house.nudges) > before
