"""Tools use receipts once, and say how it ended."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from approvals.errors import NotConfirmed, StoreUnavailable
from approvals.lifecycle import Status
from approvals.receipt import TYP
from approvals.request import Request
from approvals.service import Granted, NotGranted
from bot.signing import FileSigner
from tests.approvals.house import ATTEMPT, OTHER_ATTEMPT, a_house
from tests.approvals.make import AGENT, MINUTE, a_policy_file, a_rule, account

TOOL = "bank-tool"
TWO = [a_rule(factors=[{"from": ["ops"], "approvals": 2}])]


def refused(result: object) -> str:
    """Why a tool must not act."""
    assert isinstance(result, NotGranted), result
    assert result.message
    return result.reason


async def test_a_receipt_is_good_for_one_use() -> None:
    house = await a_house()
    request = await house.approved()
    assert isinstance(await house.spend(request), Granted)
    assert await house.status(request) == "spent"
    assert house.decision(request)["status"] == "spent"
    assert (await house.noted("spent"))[0]["by"] == f"tool:{AGENT}"


async def test_the_same_attempt_gets_the_same_answer_again() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    first = await house.spend(request, receipt=receipt)
    again = await house.spend(request, receipt=receipt)
    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert len(await house.noted("spent")) == 1


async def test_another_attempt_is_told_that_it_was_used() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    await house.spend(request, receipt=receipt)
    assert refused(await house.spend(request, OTHER_ATTEMPT, receipt=receipt)) == "already_spent"
    assert [entry["reason"] for entry in await house.noted("spend_refused")] == ["already_spent"]


async def test_a_fresh_receipt_does_not_allow_a_second_use() -> None:
    house = await a_house()
    request = await house.approved()
    old = house.decision(request)["receipt"]
    house.wait(MINUTE)
    await house.approvals.collect(AGENT, request.id)
    fresh = house.decision(request)["receipt"]
    assert isinstance(await house.spend(request, receipt=old), Granted)
    assert refused(await house.spend(request, OTHER_ATTEMPT, receipt=fresh)) == "already_spent"


async def test_many_attempts_at_once_are_one_use() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    attempts = [f"attempt-{number:016}" for number in range(10)]
    results = await asyncio.gather(*(house.spend(request, attempt, receipt=receipt) for attempt in attempts))
    assert sum(isinstance(result, Granted) for result in results) == 1
    assert {result.reason for result in results if isinstance(result, NotGranted)} == {"already_spent"}


async def test_only_the_receipts_audience_may_use_it() -> None:
    house = await a_house()
    own = await house.approved()
    assert refused(await house.spend(own, by=TOOL)) == "wrong_audience"
    tools = await house.approved("other", audience=TOOL)
    assert refused(await house.spend(tools, by=AGENT)) == "wrong_audience"
    assert isinstance(await house.spend(tools, by=TOOL), Granted)
    assert await house.status(own) == "approved"


def tampered(token: str) -> list[str]:
    """Receipts made from a good one by somebody without our key."""
    header, payload, signature = token.split(".")
    stranger = OKPKey.generate_key("Ed25519")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"approval-receipt+jwt"}').decode().rstrip("=")
    return [
        "",
        "a.b.c",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}.",
        f"{header}.{payload[:-2]}AA.{signature}",
        f"{none}.{payload}.",
        f"{header}.{payload}.{signature}.x",
        stranger.thumbprint(),
    ]


async def test_a_tampered_receipt_is_refused() -> None:
    house = await a_house()
    request = await house.approved()
    for token in tampered(house.decision(request)["receipt"]):
        assert refused(await house.spend(request, receipt=token)) == "receipt_invalid"
    assert await house.status(request) == "approved"


async def test_what_somebody_else_signed_is_refused() -> None:
    house = await a_house()
    request = await house.approved()
    forged = await FileSigner(OKPKey.generate_key("Ed25519")).sign(TYP, house.claims(request))
    assert refused(await house.spend(request, receipt=forged)) == "receipt_invalid"


async def test_what_we_signed_as_something_else_is_no_receipt() -> None:
    house = await a_house()
    request = await house.approved()
    other = await house.signer.sign("journal-head+jwt", house.claims(request))
    assert refused(await house.spend(request, receipt=other)) == "receipt_invalid"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"jti": "another"}, "not_approved"),
        ({"aud": TOOL}, "wrong_audience"),
        ({"txn": "0-" + "a" * 24}, "not_found"),
        ({"txn": "7-" + "a" * 24}, "receipt_invalid"),
        ({"txn": "nonsense"}, "receipt_invalid"),
        ({"txn": None}, "receipt_invalid"),
    ],
)
async def test_a_receipt_of_ours_that_fits_no_decision_is_refused(change: dict[str, Any], reason: str) -> None:
    house = await a_house()
    request = await house.approved()
    odd = await house.signer.sign(TYP, {**house.claims(request), **change})
    assert refused(await house.spend(request, receipt=odd)) == reason


async def test_a_receipt_is_used_in_the_partition_of_its_agent() -> None:
    house = await a_house()
    request = await house.approved()
    assert refused(await house.spend(request, partition=1)) == "receipt_invalid"


async def test_an_expired_receipt_is_refused_while_a_fresh_one_would_do() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    house.wait(2 * MINUTE)
    assert refused(await house.spend(request, receipt=receipt)) == "lapsed"
    await house.approvals.collect(AGENT, request.id)
    assert isinstance(await house.spend(request), Granted)


async def test_an_approval_whose_window_has_passed_is_refused() -> None:
    house = await a_house()
    request = await house.approved()
    house.wait(15 * MINUTE - 1)
    await house.approvals.collect(AGENT, request.id)
    receipt = house.decision(request)["receipt"]
    house.wait(1)
    assert refused(await house.spend(request, receipt=receipt)) == "lapsed"
    await house.approvals.after_time(request.id)
    assert refused(await house.spend(request, receipt=receipt)) == "lapsed"


@pytest.mark.parametrize(
    "sections",
    [
        {"rules": [a_rule(effect="deny")]},
        {"rules": TWO},
        {"groups": a_policy_file()["groups"] | {"ops": {"people": ["bob", "carol"]}}},
        {"agents": {AGENT: {"owner": "alice", "principals": ["dana"], "kinds": ["payments.*"]}}},
        {"agents": {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["reports.*"]}}},
        {"agents": {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["*"], "until": "2020-01-01"}}},
        {"agents": {}},
    ],
    ids=["denied now", "two needed now", "another group", "approver owns the agent", "other kinds", "expired", "gone"],
)
async def test_a_policy_that_was_tightened_after_the_yes_stops_the_use(sections: dict[str, Any]) -> None:
    house = await a_house()
    request = await house.approved()
    await house.adopt(**sections)
    assert refused(await house.spend(request)) == "policy"
    assert await house.status(request) == "approved"


@pytest.mark.parametrize(
    "sections",
    [
        {"rules": [a_rule(effect="allow")]},
        {"groups": a_policy_file()["groups"] | {"ops": {"people": ["alice", "bob", "carol"]}}},
        {"rules": [a_rule(factors=[{"from": ["ops", "finance"]}])]},
        {"groups": a_policy_file()["groups"] | {"ops": {"people": ["alice"]}}},
        {"rules": [a_rule(within="1h", use_within="1h", receipt_ttl="5m")]},
    ],
    ids=["allowed now", "a larger group", "more groups", "only the one who approved", "longer"],
)
async def test_a_policy_under_which_the_yes_still_suffices_changes_nothing(sections: dict[str, Any]) -> None:
    house = await a_house()
    request = await house.approved()
    await house.adopt(**sections)
    assert isinstance(await house.spend(request), Granted)


async def test_what_a_rule_allowed_needs_a_person_once_the_rule_is_gone() -> None:
    house = await a_house(rules=[a_rule(effect="allow")])
    request = await house.asked()
    await house.adopt(rules=[])
    assert refused(await house.spend(request)) == "policy"


async def test_what_a_rule_allows_can_be_used() -> None:
    house = await a_house(rules=[a_rule(effect="allow")])
    assert isinstance(await house.spend(await house.asked()), Granted)


async def test_the_yes_of_somebody_who_left_since_cannot_be_used() -> None:
    house = await a_house()
    request = await house.approved()
    house.directory.not_full[account("alice").id] = "deactivated"
    assert refused(await house.spend(request)) == "policy"
    house.directory.not_full.clear()
    assert isinstance(await house.spend(request), Granted)


async def test_approvers_who_cannot_be_looked_up_do_not_suffice() -> None:
    house = await a_house()
    request = await house.approved()
    house.directory.unreachable.add(account("alice").id)
    assert refused(await house.spend(request)) == "policy"


async def test_a_grant_stands_even_if_the_approver_leaves_before_it_is_asked_for_again() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    await house.spend(request, receipt=receipt)
    house.directory.not_full[account("alice").id] = "deactivated"
    house.wait(10 * MINUTE)
    assert isinstance(await house.spend(request, receipt=receipt), Granted)


async def test_without_replicas_the_tool_is_told_nothing_and_asks_again() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    house.store.unconfirmed = True
    for _ in range(2):
        with pytest.raises(NotConfirmed):
            await house.spend(request, receipt=receipt)
    house.store.unconfirmed = False
    assert isinstance(await house.spend(request, receipt=receipt), Granted)
    assert len(await house.noted("spent")) == 1


async def test_with_the_memory_down_nothing_is_granted() -> None:
    house = await a_house()
    request = await house.approved()
    receipt = house.decision(request)["receipt"]
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.spend(request, receipt=receipt)


# -- how it ended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "unknown"])
async def test_the_tool_says_how_it_ended(outcome: str) -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    after = await house.report(request, outcome, note="ref 1")
    assert isinstance(after, Request)
    assert after.outcome is not None
    assert (after.status.value, after.outcome.note) == (outcome, "ref 1")
    assert house.decision(request)["status"] == outcome


async def test_the_same_report_again_is_the_same_report() -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    await house.report(request)
    again = await house.report(request)
    assert isinstance(again, Request)
    assert len(await house.noted("succeeded")) == 1


async def test_another_report_does_not_overwrite_the_first() -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    await house.report(request)
    assert refused(await house.report(request, "failed")) == "already_reported"
    assert await house.status(request) == "succeeded"


async def test_a_late_report_resolves_what_was_unknown() -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    house.wait(15 * MINUTE)
    await house.approvals.after_time(request.id)
    late = await house.report(request, "failed")
    assert isinstance(late, Request)
    assert late.status is Status.FAILED


@pytest.mark.parametrize(("attempt", "by"), [(OTHER_ATTEMPT, AGENT), (ATTEMPT, TOOL), (OTHER_ATTEMPT, TOOL)])
async def test_only_the_attempt_that_used_it_may_report(attempt: str, by: str) -> None:
    house = await a_house()
    request = await house.approved()
    await house.spend(request)
    assert refused(await house.report(request, attempt=attempt, by=by)) == "wrong_audience"
    assert await house.status(request) == "spent"


async def test_nothing_is_reported_of_what_was_never_used() -> None:
    house = await a_house()
    request = await house.approved()
    assert refused(await house.report(request)) == "wrong_audience"
    assert await house.status(request) == "approved"


async def test_nothing_is_reported_of_what_nobody_knows() -> None:
    house = await a_house()
    stranger = (await house.approved()).model_copy(update={"id": "0-" + "a" * 24})
    assert refused(await house.report(stranger)) == "not_found"
