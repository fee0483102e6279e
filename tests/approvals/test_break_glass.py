"""In an emergency one person lets a request through alone: loudly, briefly, and open until another has reviewed it."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import PolicyInvalid
from approvals.lifecycle import Status
from approvals.notes import notes_of
from approvals.ports import Account
from approvals.request import Request
from approvals.service import Done, Granted, NotGranted, Refused
from bot.clock import Clock
from tests.approvals.house import House, a_house, with_leads
from tests.approvals.make import MINUTE, SHOWN, a_policy, a_policy_file, a_question, account

CAROL, DAVE, ALICE = account("carol"), account("dave"), account("alice")
HOUR = 60 * MINUTE
SECURITY = "slack:C0SEC"


def with_glass(**changes: Any) -> dict[str, Any]:
    """Carol and dave may break the glass, and review; two of alice and bob are needed otherwise."""
    entry = {"who": ["leads"], "kinds": ["payments.*"], "announce": [SECURITY]} | changes
    roles = with_leads()["roles"] | {"review": ["leads"]}
    two = {"factors": [{"from": ["ops"], "approvals": 2}], "destinations": ["slack:C0OPS"]}
    return with_leads() | {"roles": roles, "break_glass": entry, "defaults": two}


async def broken(house: House, who: Account = CAROL) -> Request:
    """A request that somebody let through alone."""
    request = await house.asked()
    done = await house.approvals.operators.break_glass(request.id, who, "payroll is stuck", shown=SHOWN)
    assert isinstance(done, Done), done
    return await house.now_is(request)


async def refusal(house: House, request: Request, who: Account, reason: str = "payroll is stuck") -> str:
    """Why somebody may not break the glass; the request stays as it was."""
    before = await house.now_is(request)
    done = await house.approvals.operators.break_glass(request.id, who, reason)
    assert isinstance(done, Refused), done
    assert done.sentence.endswith(".")
    assert await house.now_is(request) == before
    return done.reason


async def test_one_person_lets_it_through_alone_and_every_record_says_so() -> None:
    house = await a_house(**with_glass())
    request = await broken(house)
    assert request.status is Status.APPROVED
    assert request.decision is not None
    assert (request.decision.break_glass, request.decision.reason) == (True, "payroll is stuck")
    (record,) = await house.noted("break_glass")
    assert (record["by"], record["mode"], record["to"], record["shown"]) == ("carol", "break_glass", "approved", SHOWN)
    assert "payroll" not in str(record)
    approval = house.claims(request)["approval"]
    assert (approval["mode"], approval["quorum"]) == ("break_glass", {"need": 1, "got": 1, "factors": []})
    assert ([one["sub"] for one in approval["approvers"]], approval["shown"]) == (["carol"], SHOWN)


async def test_its_receipt_and_its_window_are_short() -> None:
    house = await a_house(**with_glass(receipt_ttl="30s", use_within="2m"))
    request = await broken(house)
    claims = house.claims(request)
    assert claims["exp"] - claims["iat"] == 30
    assert request.decision is not None
    assert request.decision.use_by == house.now + 2 * MINUTE


async def test_it_is_announced_where_policy_says_and_asks_for_a_review_there() -> None:
    house = await a_house(**with_glass())
    request = await broken(house)
    assert request.announced == (SECURITY,)
    assert request.asked.destinations == ("slack:C0OPS", SECURITY)
    (note,) = notes_of(request, lambda person: ())
    assert (note.key, note.what, [who.person for who in note.asked]) == ("emergency-0", "emergency", ["dave"])


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_who_may_approve_may_not_therefore_do_it_alone(who: str) -> None:
    house = await a_house(**with_glass())
    assert await refusal(house, await house.asked(), account(who)) == "no_role"
    assert [record["reason"] for record in await house.noted("break_glass_refused")] == ["no_role"]


@pytest.mark.parametrize("who", ["dana", "olga"])
async def test_never_ones_own_request(who: str) -> None:
    sections = with_glass()
    sections["groups"]["leads"] = {"people": ["dana", "olga", "carol"]}
    house = await a_house(**sections)
    assert await refusal(house, await house.asked(), account(who)) == "own_request"


@pytest.mark.parametrize("words", ["", "  \n"])
async def test_never_without_a_reason(words: str) -> None:
    house = await a_house(**with_glass())
    assert await refusal(house, await house.asked(), CAROL, words) == "reason_needed"


async def test_never_for_a_kind_that_says_so_that_the_section_leaves_out_or_that_is_not_listed() -> None:
    kinds = a_policy_file()["kinds"]
    never = {"payments.release": kinds["payments.release"] | {"break_glass": "never"}}
    for sections in (with_glass() | {"kinds": never}, with_glass(kinds=["deploy.*"]), with_glass() | {"kinds": {}}):
        house = await a_house(**sections)
        assert await refusal(house, await house.asked(), CAROL) == "no_break_glass"


async def test_not_where_policy_says_nothing_of_it() -> None:
    house = await a_house(**with_leads())
    assert await refusal(house, await house.asked(), CAROL) == "no_break_glass"


async def test_who_cannot_be_looked_up_is_no_full_member_or_is_nobody_we_know_cannot() -> None:
    house = await a_house(**with_glass())
    request = await house.asked()
    assert await refusal(house, request, account("stranger")) == "unlinked"
    house.directory.unreachable.add(CAROL.id)
    assert await refusal(house, request, CAROL) == "lookup_failed"
    house.directory.unreachable.clear()
    house.directory.not_full[CAROL.id] = "a guest"
    assert await refusal(house, request, CAROL) == "not_a_member"


async def test_a_later_policy_takes_it_away_and_none_gives_it_afterwards() -> None:
    house = await a_house(**with_glass())
    request = await house.asked()
    await house.adopt(**with_leads())
    assert await refusal(house, request, CAROL) == "no_break_glass"
    other = await a_house(**with_leads())
    late = await other.asked()
    await other.adopt(**with_glass())
    assert await refusal(other, late, CAROL) == "no_break_glass"


async def test_not_after_the_deadline_even_before_anybody_has_noticed_it() -> None:
    house = await a_house(**with_glass())
    request = await house.asked()
    house.wait(request.expires_at - house.now + 1)
    assert await refusal(house, request, CAROL) == "not_now"


async def test_a_freeze_or_a_rule_that_denies_is_stronger() -> None:
    house = await a_house(**with_glass())
    request = await house.asked()
    await house.adopt(**with_glass(), rules=[{"id": "never", "match": {"kind": ["payments.*"]}, "effect": "deny"}])
    assert await refusal(house, request, CAROL) == "policy_denies"
    frozen = await a_house(**with_glass())
    waiting = await frozen.asked()
    await frozen.approvals.operators.freeze(DAVE, "agent", waiting.agent, "")
    assert await refusal(frozen, waiting, CAROL) == "not_now"


async def test_what_may_not_be_approved_unseen_is_not_let_through_unseen_either() -> None:
    sections = with_glass()
    kind = a_policy_file()["kinds"]["payments.release"] | {"secret": ["invoice"]}
    house = await a_house(**sections | {"kinds": {"payments.release": kind}})
    assert await refusal(house, await house.asked(), CAROL) == "unseen"


async def test_what_is_decided_needs_no_emergency() -> None:
    house = await a_house(**with_glass())
    request = await house.asked()
    await house.click(request, "alice", "deny")
    assert await refusal(house, request, CAROL) == "not_now"


async def test_it_can_be_used_once_while_its_person_may_still_do_it() -> None:
    house = await a_house(**with_glass())
    request = await broken(house)
    house.directory.not_full[CAROL.id] = "deactivated"
    assert isinstance(await house.spend(request), NotGranted)
    house.directory.unreachable.add(CAROL.id)
    assert isinstance(await house.spend(request), NotGranted)
    house.directory.unreachable.clear()
    house.directory.not_full.clear()
    assert isinstance(await house.spend(request), Granted)


# -- the review ---------------------------------------------------------------------------------------------------


async def test_another_person_reviews_it_and_that_closes_it() -> None:
    house = await a_house(**with_glass())
    request = await broken(house)
    assert request.unreviewed
    done = await house.approvals.operators.review(request.id, DAVE, "was right: payroll was stuck")
    assert isinstance(done, Done)
    after = await house.now_is(request)
    assert not after.unreviewed
    assert (after.interventions[-1].did, after.interventions[-1].person) == ("reviewed", "dave")
    assert [record["by"] for record in await house.noted("reviewed")] == ["dave"]
    again = await house.approvals.operators.review(request.id, DAVE, "and again")
    assert isinstance(again, Refused)


@pytest.mark.parametrize(
    ("who", "words", "reason"),
    [
        ("carol", "I was right", "own_emergency"),
        ("alice", "fine", "no_role"),
        ("dana", "it was mine", "own_request"),
        ("dave", " ", "words_needed"),
        ("stranger", "fine", "no_role"),
    ],
)
async def test_who_had_a_part_in_it_may_not_review_it(who: str, words: str, reason: str) -> None:
    sections = with_glass()
    sections["groups"] |= {"reviewers": {"people": ["carol", "dave", "dana"]}}
    sections["roles"] = sections["roles"] | {"review": ["reviewers"]}
    house = await a_house(**sections)
    request = await broken(house)
    done = await house.approvals.operators.review(request.id, account(who), words)
    assert isinstance(done, Refused)
    assert done.reason == reason
    assert (await house.now_is(request)).unreviewed


async def test_it_is_reminded_of_until_then_whatever_became_of_it() -> None:
    house = await a_house(**with_glass(remind="1h"))
    request = await broken(house)
    clock = Clock(house.store, house.approvals)
    for hours in (1, 2, 5):
        house.clock[0] = (request.decision.at if request.decision else 0) + hours * HOUR
        while await clock.timers():
            pass
        after = await house.now_is(request)
        assert (after.status, after.review_reminded) == (Status.LAPSED, hours)
        assert [note.key for note in notes_of(after, lambda person: ())] == [f"emergency-{hours}"]
    await house.approvals.operators.review(request.id, DAVE, "was right")
    assert (await house.now_is(request)).next_due() is None


async def test_it_is_kept_until_it_was_reviewed() -> None:
    house = await a_house(**with_glass(remind="10d"))
    request = await broken(house)
    house.wait(40 * 24 * HOUR)
    await house.in_time(request)
    house.wait(40 * 24 * HOUR)
    assert (await house.now_is(request)).unreviewed


# -- the policy ---------------------------------------------------------------------------------------------------


def test_both_policies_must_allow_it() -> None:
    one = a_policy(**with_glass()).terms(a_question())
    other = a_policy(**with_glass(who=["finance"], receipt_ttl="10s", announce=["slack:C0MORE"])).terms(a_question())
    both = one.tightened_by(other).break_glass
    assert both is not None
    assert len(both.who) == 2
    assert (both.receipt_ttl, both.announce) == (10_000, (SECURITY, "slack:C0MORE"))
    never = a_policy(**with_leads()).terms(a_question())
    assert one.tightened_by(never).break_glass is None is never.tightened_by(one).break_glass


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (with_glass(who=["nobody"]), "break_glass.who: there is no group 'nobody'"),
        (with_glass(receipt_ttl="10m"), "break_glass.receipt_ttl: at most 300s"),
        (with_glass() | {"roles": {}}, "break_glass: nobody reviews"),
        (
            with_glass() | {"groups": {"ops": {"people": ["alice", "bob"]}, "leads": {"people": ["carol"]}}},
            "break_glass: the only reviewer may break the glass too",
        ),
    ],
)
def test_a_section_that_nobody_would_hear_of_is_a_load_error(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        a_policy(**sections)
    assert any(found.startswith(problem) for found in caught.value.problems), caught.value.problems
