"""People answer: whose click counts, what it does, and what everybody is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from approvals.errors import StoreUnavailable
from approvals.lifecycle import Status
from approvals.ports import Account, Post
from approvals.request import Request
from approvals.service import Click, Counted, Late, Open, Refused, Verdict
from tests.approvals.house import CHANNEL, a_house
from tests.approvals.make import AGENT, MINUTE, a_policy_file, a_rule, account

TWO = [a_rule(factors=[{"from": ["ops"], "approvals": 2}])]
THREE_ASKED = a_policy_file()["groups"] | {"ops": {"people": ["alice", "bob", "carol"]}}


def refused(verdict: object) -> str:
    """The reason of a refusal."""
    assert isinstance(verdict, Refused), verdict
    assert verdict.sentence.endswith(".")
    return verdict.reason


def counted(verdict: Verdict) -> Request:
    """The request after an answer that counts."""
    assert isinstance(verdict, Counted), verdict
    return verdict.request


async def test_a_yes_approves_and_the_agent_is_told_with_a_receipt() -> None:
    house = await a_house()
    request = await house.asked()
    assert house.decision(request) == {}
    after = counted(await house.click(request, "alice"))
    assert after.status is Status.APPROVED
    told = house.decision(request)
    assert (told["status"], told["by"], told["digest"]) == (
        "approved",
        [{"person": "alice", "via": "slack"}],
        request.digest,
    )
    claims = house.claims(request)
    assert after.decision is not None
    assert (claims["jti"], claims["txn"]) == (after.decision.jti, request.id)
    assert claims["authorization_details"][0]["action_digest"] == request.digest


async def test_the_receipt_names_the_journal_entry_of_the_decision() -> None:
    house = await a_house()
    request = await house.approved()
    index = house.claims(request)["approval"]["log"]["index"]
    entry = (await house.journal())[index - 1]
    assert (entry["event"], entry["request"], entry["by"]) == ("approved", request.id, "alice")


async def test_a_no_denies_and_carries_its_reason() -> None:
    house = await a_house()
    request = await house.asked()
    assert counted(await house.click(request, "bob", "deny", reason="wrong invoice")).status is Status.DENIED
    told = house.decision(request)
    assert (told["status"], told["reason"], told["receipt"]) == ("denied", "wrong invoice", None)


async def test_a_vote_keeps_what_was_on_screen() -> None:
    house = await a_house()
    request = await house.asked()
    after = counted(await house.click(request, "alice", shown="sha256:seen"))
    assert after.votes[0].shown == "sha256:seen"
    assert house.claims(request)["approval"]["shown"] == "sha256:seen"
    assert (await house.noted("approved"))[0]["shown"] == "sha256:seen"


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("dana", "own_request"),
        ("olga", "own_request"),
        ("carol", "not_an_approver"),
        (Account("slack", "T0OTHER", "U0ALICE"), "not_an_approver"),
    ],
)
async def test_a_refused_click_changes_nothing_and_stands_in_the_journal(who: str | Account, reason: str) -> None:
    house = await a_house()
    request = await house.asked()
    before = await house.store.get(request.id)
    assert refused(await house.click(request, who)) == reason
    assert (await house.store.get(request.id)).request == before.request
    (entry,) = await house.noted("click_refused")
    clicker = account(who) if isinstance(who, str) else who
    assert (entry["reason"], entry["account"], entry["request"]) == (reason, clicker.id, request.id)


async def test_who_started_it_may_not_approve_it() -> None:
    house = await a_house()
    request = await house.asked(started_by=account("alice").id)
    assert refused(await house.click(request, "alice")) == "own_request"
    assert counted(await house.click(request, "bob")).status is Status.APPROVED


async def test_a_late_click_is_told_who_decided() -> None:
    house = await a_house()
    request = await house.approved()
    verdict = await house.click(request, "bob", "deny")
    assert isinstance(verdict, Late)
    assert verdict.request.decision is not None
    assert [vote.person for vote in verdict.request.decision.by] == ["alice"]
    assert await house.status(request) == "approved"


async def test_a_second_click_of_the_same_person_is_not_counted_twice() -> None:
    house = await a_house(rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    assert counted(await house.click(request, "alice")).status is Status.PENDING
    assert len(await house.noted("voted")) == 1


async def test_a_quorum_of_two_needs_two_people() -> None:
    house = await a_house(rules=TWO)
    request = await house.asked()
    first = counted(await house.click(request, "alice"))
    assert (first.status, first.got(), house.decision(request)) == (Status.PENDING, {"ops": 1}, {})
    second = counted(await house.click(request, "bob"))
    assert second.status is Status.APPROVED
    assert [one["sub"] for one in house.claims(request)["approval"]["approvers"]] == ["alice", "bob"]


async def test_two_accounts_of_one_person_are_one_yes() -> None:
    other = Account("slack", "T0SAYSO", "U0ALICE2")
    people = a_policy_file()["people"] | {"alice": {"accounts": [account("alice").id, other.id]}}
    house = await a_house(rules=TWO, people=people)
    request = await house.asked()
    await house.click(request, "alice")
    assert counted(await house.click(request, other)).status is Status.PENDING


async def test_two_people_at_once_decide_once() -> None:
    house = await a_house()
    request = await house.asked()
    verdicts = await asyncio.gather(house.click(request, "alice"), house.click(request, "bob", "deny"))
    assert sorted(type(verdict).__name__ for verdict in verdicts) == ["Counted", "Late"]
    decided = [record for record in await house.journal() if record.get("to") in ("approved", "denied")]
    assert len(decided) == 1
    winner = next(verdict for verdict in verdicts if isinstance(verdict, Counted))
    assert house.decision(request)["status"] == winner.request.status.value


async def test_two_halves_of_a_quorum_at_once_make_a_whole() -> None:
    house = await a_house(rules=TWO)
    request = await house.asked()
    await asyncio.gather(house.click(request, "alice"), house.click(request, "bob"))
    assert await house.status(request) == "approved"
    assert len(await house.noted("approved")) == 1


async def test_many_clicks_at_once_have_one_spend_key() -> None:
    house = await a_house()
    request = await house.asked()
    await asyncio.gather(*(house.click(request, who) for who in ["alice", "bob"] * 10))
    assert len(await house.noted("approved")) == 1
    assert house.wakes() == 1


# -- where the click was made -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": {"channel": "C0OPS", "ts": "1.2"}},
        {"reference": {"channel": "C0EVIL", "ts": "1780000000.000100"}},
        {"reference": {}, "places": ()},
        {"reference": {"channel": "C0EVIL", "ts": "1"}, "places": ("slack:C0EVIL",)},
    ],
)
async def test_a_click_on_a_card_that_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    house = await a_house()
    request = await house.asked()
    assert refused(await house.click(request, "alice", **changes)) == "not_this_card"
    assert await house.status(request) == "pending"


async def test_a_click_on_a_card_that_was_never_posted_is_refused() -> None:
    house = await a_house()
    request = await house.asked(posted=False)
    assert refused(await house.click(request, "alice")) == "not_this_card"


async def test_an_orphan_card_is_adopted_at_its_first_click() -> None:
    """The courier crashed between posting and recording: the card people see is the one that was intended there."""
    house = await a_house()
    request = await house.asked(posted=False)
    await house.store.intend(request.id, CHANNEL, "courier that crashed")
    assert counted(await house.click(request, "alice", shown="sha256:seen")).status is Status.APPROVED
    post = (await house.store.get(request.id)).posts[CHANNEL]
    assert (post.state, dict(post.reference), post.shown) == ("posted", house.message(), "sha256:seen")


async def test_an_intention_elsewhere_adopts_nothing() -> None:
    house = await a_house()
    request = await house.asked(posted=False)
    await house.store.intend(request.id, CHANNEL, "courier")
    elsewhere = ("slack:C0EVIL",)
    assert refused(await house.click(request, "alice", places=elsewhere)) == "not_this_card"


async def test_a_failed_post_is_no_card() -> None:
    house = await a_house()
    request = await house.asked(posted=False)
    await house.store.record_post(request.id, Post(CHANNEL, "failed", house.now, house.message()))
    assert refused(await house.click(request, "alice")) == "not_this_card"


async def test_a_click_on_what_nobody_knows_is_answered() -> None:
    house = await a_house()
    request = await house.asked()
    gone = Click(account("alice"), "approve", "sha256:x", (CHANNEL,), house.message())
    assert refused(await house.approvals.vote("0-" + "a" * 24, gone)) == "not_found"
    assert refused(await house.approvals.may_answer("0-" + "a" * 24, gone)) == "not_found"
    assert await house.status(request) == "pending"


async def test_asking_whether_somebody_may_answer_counts_nothing() -> None:
    house = await a_house()
    request = await house.asked()
    click = Click(account("alice"), "deny", "sha256:x", (CHANNEL,), house.message())
    assert isinstance(await house.approvals.may_answer(request.id, click), Open)
    assert (await house.store.get(request.id)).request == request
    await house.click(request, "bob")
    assert isinstance(await house.approvals.may_answer(request.id, click), Late)


# -- time ---------------------------------------------------------------------------------------------------------


async def test_the_last_millisecond_still_counts() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE - 1)
    assert counted(await house.click(request, "alice")).status is Status.APPROVED


async def test_a_click_exactly_at_expiry_is_too_late() -> None:
    house = await a_house()
    request = await house.asked()
    house.wait(30 * MINUTE)
    verdict = await house.click(request, "alice")
    assert isinstance(verdict, Late)
    assert verdict.request.status is Status.EXPIRED
    assert house.decision(request)["status"] == "expired"
    assert house.decision(request)["by"] == []


# -- people and policy that change --------------------------------------------------------------------------------


async def test_a_failed_lookup_counts_nothing_and_can_be_tried_again() -> None:
    house = await a_house()
    request = await house.asked()
    house.directory.unreachable.add(account("alice").id)
    assert refused(await house.click(request, "alice")) == "lookup_failed"
    house.directory.unreachable.clear()
    assert counted(await house.click(request, "alice")).status is Status.APPROVED


async def test_the_yes_of_somebody_who_left_no_longer_counts() -> None:
    house = await a_house(groups=THREE_ASKED, rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    house.directory.not_full[account("alice").id] = "deactivated"
    after = counted(await house.click(request, "bob"))
    assert (after.status, [vote.person for vote in after.votes]) == (Status.PENDING, ["bob"])
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_a_yes_that_cannot_be_checked_again_is_neither_counted_nor_lost() -> None:
    house = await a_house(groups=THREE_ASKED, rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    house.directory.unreachable.add(account("alice").id)
    assert refused(await house.click(request, "bob")) == "lookup_failed"
    assert [entry["reason"] for entry in await house.noted("click_refused")] == ["lookup_failed"]
    house.directory.unreachable.clear()
    assert counted(await house.click(request, "bob")).status is Status.APPROVED


async def test_a_no_needs_nobody_else_to_be_checked() -> None:
    house = await a_house(rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    house.directory.unreachable.add(account("alice").id)
    assert counted(await house.click(request, "bob", "deny")).status is Status.DENIED


async def test_a_rule_that_was_tightened_binds_what_is_pending() -> None:
    house = await a_house()
    request = await house.asked()
    await house.adopt(rules=TWO)
    assert counted(await house.click(request, "alice")).status is Status.PENDING
    assert counted(await house.click(request, "bob")).status is Status.APPROVED


async def test_a_rule_that_was_loosened_does_not() -> None:
    house = await a_house(rules=TWO)
    request = await house.asked()
    await house.adopt(rules=[])
    assert counted(await house.click(request, "alice")).status is Status.PENDING


async def test_somebody_who_joined_the_chain_loses_the_yes_they_gave() -> None:
    house = await a_house(groups=THREE_ASKED, rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    agents = {AGENT: {"owner": "alice", "principals": ["dana"], "kinds": ["payments.*"]}}
    await house.adopt(groups=THREE_ASKED, rules=TWO, agents=agents)
    after = counted(await house.click(request, "bob"))
    assert (after.status, [vote.person for vote in after.votes]) == (Status.PENDING, ["bob"])


async def test_somebody_who_left_the_group_does_not_do_for_the_new_one() -> None:
    """A group keeps its name and changes its people: both demands hold, each with its own people."""
    house = await a_house()
    request = await house.asked()
    groups = a_policy_file()["groups"] | {"ops": {"people": ["bob", "carol"]}}
    await house.adopt(groups=groups)
    assert counted(await house.click(request, "alice")).status is Status.PENDING
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_a_yes_counts_for_a_demand_that_was_added_later() -> None:
    house = await a_house(groups=THREE_ASKED, rules=TWO)
    request = await house.asked()
    await house.click(request, "alice")
    leads = THREE_ASKED | {"leads": {"people": ["alice", "dana"]}}
    rules = [*TWO, a_rule("leads", factors=[{"from": ["leads"]}])]
    await house.adopt(groups=leads, rules=rules)
    await house.click(request, "bob")
    assert counted(await house.click(request, "carol")).status is Status.APPROVED


async def test_a_request_that_policy_now_forbids_cannot_be_approved() -> None:
    house = await a_house()
    request = await house.asked()
    await house.adopt(rules=[a_rule(effect="deny")])
    assert refused(await house.click(request, "alice")) == "policy_denies"


@pytest.mark.parametrize(
    "agents",
    [
        {"other-bot": {"owner": "olga", "principals": ["dana"], "kinds": ["*"]}},
        {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["reports.*"]}},
        {AGENT: {"owner": "olga", "principals": ["carol"], "kinds": ["*"]}},
        {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["*"], "until": "2020-01-01"}},
    ],
)
async def test_an_agent_that_may_no_longer_ask_gets_no_approval(agents: dict[str, Any]) -> None:
    house = await a_house()
    request = await house.asked()
    await house.adopt(agents=agents)
    assert refused(await house.click(request, "alice")) == "policy_changed"
    assert await house.status(request) == "pending"


# -- when something is down ---------------------------------------------------------------------------------------


async def test_with_the_signer_down_the_clicker_reads_not_yet_safe_and_nothing_is_published() -> None:
    house = await a_house()
    request = await house.asked()
    house.signer.down = True
    verdict = await house.click(request, "alice")
    assert isinstance(verdict, Counted)
    assert (verdict.safe, verdict.request.status) == (False, Status.APPROVED)
    assert house.decision(request) == {}
    house.signer.down = False
    await house.approvals.publish(request.id)
    assert house.claims(request)["txn"] == request.id


async def test_a_denial_needs_no_signer() -> None:
    house = await a_house()
    request = await house.asked()
    house.signer.down = True
    verdict = await house.click(request, "alice", "deny")
    assert isinstance(verdict, Counted)
    assert verdict.safe
    assert house.decision(request)["status"] == "denied"


async def test_without_enough_replicas_nothing_is_published() -> None:
    house = await a_house()
    request = await house.asked()
    house.store.unconfirmed = True
    verdict = await house.click(request, "alice")
    assert isinstance(verdict, Counted)
    assert not verdict.safe
    assert house.decision(request) == {}
    house.store.unconfirmed = False
    await house.approvals.publish(request.id)
    assert house.decision(request)["status"] == "approved"


async def test_with_the_memory_down_the_click_fails_loudly() -> None:
    house = await a_house()
    request = await house.asked()
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.click(request, "alice")
    house.store.down = False
    assert await house.status(request) == "pending"


async def test_couriers_are_nudged_when_cards_may_have_changed() -> None:
    house = await a_house()
    request = await house.asked()
    before = len(house.nudges)
    await house.click(request, "alice")
    assert len(house.nudges) > before
