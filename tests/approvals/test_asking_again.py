"""Asked again: after a denial that says what to change, after a plain denial, and while an end is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.card import BRIEF, CHANGES, Card, card_of
from approvals.errors import EntryRefused
from approvals.lifecycle import Status
from approvals.request import Request
from tests.approvals.house import House, a_house, with_leads
from tests.approvals.make import AGENT, MINUTE, a_document, a_rule, account, an_action

HOUR = 60 * MINUTE
MARKED = [a_rule(asked_again={"within": "1h"})]
AUTO_DENIED = [a_rule(asked_again={"within": "1h", "effect": "deny"})]
LESS = an_action(arguments={"amount": "6200.00", "currency": "EUR", "invoice": "INV-2093"})


async def denied(house: House, call: str = "first", answer: str = "deny", **changes: Any) -> Request:
    """A request that alice has denied."""
    request = await house.asked(call, **changes)
    await house.click(request, "alice", "changes" if answer == "changes" else "deny", reason="only half of it")
    return await house.now_is(request)


async def refusal(house: House, **changes: Any) -> EntryRefused:
    """How a request is refused."""
    with pytest.raises(EntryRefused) as caught:
        await house.approvals.submit(a_document("next", **changes), AGENT)
    return caught.value


def shown(card: Card) -> list[tuple[str, str, str]]:
    """What a card says has changed."""
    return [(one.name, " ".join(one.was), " ".join(one.now)) for one in card.changed]


# -- please change ------------------------------------------------------------------------------------------------


async def test_the_agent_is_told_what_to_change_and_the_card_too() -> None:
    house = await a_house()
    request = await denied(house, answer="changes")
    told = house.decision(request)
    assert (told["status"], told["changes"], told["receipt"]) == ("denied", "only half of it", None)
    card = card_of(request)
    assert (card.asks_for_changes, card.reason) == (True, "only half of it")
    assert "only half" not in str(await house.journal())


async def test_the_new_card_says_what_changed() -> None:
    house = await a_house()
    old = await denied(house, answer="changes")
    again = await house.asked("second", action=LESS, supersedes=old.id)
    card = card_of(again)
    assert again.status is Status.PENDING
    assert card.supersedes == old.code
    assert shown(card) == [("amount", "12400.00", "6200.00")]
    assert card.changes == 1


async def test_what_came_and_what_went_is_said_of_arguments_conditions_kind_and_target() -> None:
    house = await a_house()
    old = await denied(house, action=an_action(preconditions={"balance": {"min": "5"}}))
    now = an_action(
        kind="payments.refund", target="bank:other", arguments={"amount": "12400.00", "to": {"iban": "DE1"}, "the": "x"}
    )
    card = card_of(await house.asked("second", action=now, supersedes=old.id))
    assert {name: (was, now) for name, was, now in shown(card)} == {
        "the kind": ("payments.release", "payments.refund"),
        "the target": ("bank:acme-gmbh", "bank:other"),
        "currency": ("EUR", ""),
        "invoice": ("INV-2093", ""),
        "to.iban": ("", "DE1"),
        "the": ("", "x"),
        "precondition balance.min": ("5", ""),
    }


async def test_no_argument_can_pass_for_the_target_in_what_changed() -> None:
    house = await a_house()
    old = await denied(house)
    forged = an_action(arguments={"the target": "bank:evil", "precondition x": "1"})
    card = card_of(await house.asked("second", action=forged, supersedes=old.id))
    assert {'"the target"', '"precondition x"'} <= {one.name for one in card.changed}


async def test_many_and_long_changes_are_counted_and_cut() -> None:
    house = await a_house()
    old = await denied(house, action=an_action(arguments={"text": "\n".join(["line" * 50] * 30)}))
    many = an_action(arguments={f"a{number}": "1" for number in range(CHANGES + 7)})
    card = card_of(await house.asked("second", action=many, supersedes=old.id))
    assert (len(card.changed), card.changes) == (CHANGES, CHANGES + 8)
    (text,) = [one for one in card.changed if one.name == "text"]
    assert (len(text.was), text.was[-1]) == (BRIEF + 1, f"(+{30 - BRIEF} lines)")


async def test_an_action_that_does_not_fit_still_says_that_it_changed() -> None:
    house = await a_house()
    old = await denied(house)
    card = card_of(await house.asked("second", action=an_action(arguments={"a": "x" * 9_000}), supersedes=old.id))
    assert not card.complete
    assert card.changes == 4


@pytest.mark.parametrize("how", ["pending", "approved", "withdrawn"])
async def test_only_what_was_denied_can_be_superseded(how: str) -> None:
    house = await a_house()
    old = await house.asked("first")
    if how == "approved":
        await house.click(old, "alice")
    elif how == "withdrawn":
        await house.approvals.withdraw(AGENT, old.id)
    refused = await refusal(house, supersedes=old.id)
    assert (refused.reason, refused.field) == ("conflict", "supersedes")
    assert how in refused.message


async def test_nobody_elses_request_can_be_superseded_or_told_from_none() -> None:
    agents = {name: {"owner": "olga", "principals": ["dana"], "kinds": ["payments.*"]} for name in (AGENT, "other-bot")}
    house = await a_house(agents=agents)
    old = await house.approvals.submit(a_document("first"), "other-bot")
    told = [await refusal(house, supersedes=request) for request in (old.id, "0-" + "a" * 24)]
    assert {(one.reason, one.field, one.message) for one in told} == {
        ("not_found", "supersedes", f"{AGENT} has asked no such thing")
    }


async def test_asking_with_the_same_call_again_stays_the_same_request() -> None:
    house = await a_house()
    old = await denied(house)
    first = await house.asked("second", action=LESS, supersedes=old.id)
    assert (await house.asked("second", action=LESS, supersedes=old.id)).id == first.id
    assert len(await house.noted("asked")) == 2


# -- the same again -----------------------------------------------------------------------------------------------


async def test_the_same_asked_again_is_marked_with_who_denied_it_and_when() -> None:
    house = await a_house(rules=MARKED)
    old = await denied(house)
    house.wait(4 * MINUTE)
    again = await house.asked("second", action=LESS)
    (mark,) = card_of(again).earlier
    assert again.status is Status.PENDING
    assert (mark.status, [who.person for who in mark.by]) == (Status.DENIED, ["alice"])
    assert old.decision is not None
    assert mark.at == old.decision.at


@pytest.mark.parametrize(
    "change",
    [{"action": an_action(target="bank:other")}, {"action": an_action(kind="payments.refund")}],
)
async def test_something_else_is_not_marked(change: dict[str, Any]) -> None:
    house = await a_house(rules=MARKED)
    await denied(house)
    assert card_of(await house.asked("second", **change)).earlier == ()


async def test_after_the_window_nothing_is_marked() -> None:
    house = await a_house(rules=MARKED)
    await denied(house)
    house.wait(HOUR - 1)
    assert len(card_of(await house.asked("second")).earlier) == 1
    house.wait(1)
    assert card_of(await house.asked("third")).earlier == ()


async def test_asking_often_does_not_push_a_denial_out_of_sight() -> None:
    house = await a_house(rules=MARKED)
    old = await denied(house)
    for number in range(12):
        house.wait(1)
        again = await house.asked(f"again-{number}")
        await house.approvals.withdraw(AGENT, again.id)
    assert [mark.request for mark in (await house.asked("last")).earlier] == [old.id]


async def test_what_time_or_the_agent_ended_is_no_denial() -> None:
    house = await a_house(rules=AUTO_DENIED)
    expired, withdrawn = await house.asked("one"), await house.asked("two")
    await house.approvals.withdraw(AGENT, withdrawn.id)
    house.wait(30 * MINUTE)
    await house.in_time(expired)
    again = await house.asked("three")
    assert (again.status, again.earlier) == (Status.PENDING, ())


async def test_a_rule_may_deny_the_same_asked_again() -> None:
    house = await a_house(rules=AUTO_DENIED)
    old = await denied(house)
    again = await house.asked("second", action=LESS)
    told = house.decision(again)
    assert (told["status"], told["by"], told["receipt"]) == ("denied", [{"policy": "asked-again"}], None)
    assert "supersedes" in told["reason"]
    assert [mark.request for mark in again.earlier] == [old.id]
    assert (await house.reached("denied"))[-1]["by"] == "policy:asked-again"


async def test_being_denied_by_the_rule_does_not_start_the_window_anew() -> None:
    house = await a_house(rules=AUTO_DENIED)
    await denied(house)
    house.wait(HOUR - MINUTE)
    assert (await house.asked("second")).status is Status.DENIED
    house.wait(MINUTE)
    assert (await house.asked("third")).status is Status.PENDING


async def test_who_says_what_changed_is_asked_about_again() -> None:
    house = await a_house(rules=AUTO_DENIED)
    old = await denied(house)
    again = await house.asked("second", action=LESS, supersedes=old.id)
    assert again.status is Status.PENDING
    assert [mark.request for mark in again.earlier] == [old.id]


async def test_who_was_denied_by_the_rule_may_say_what_changed_then() -> None:
    house = await a_house(rules=AUTO_DENIED)
    await denied(house)
    by_rule = await house.asked("second")
    assert (await house.asked("third", action=LESS, supersedes=by_rule.id)).status is Status.PENDING


async def test_saying_that_something_changed_does_not_do_when_nothing_did() -> None:
    house = await a_house(rules=AUTO_DENIED)
    old = await denied(house)
    same = await house.asked("second", action=an_action(nonce="B" * 22), supersedes=old.id)
    assert same.status is Status.DENIED


async def test_superseding_something_else_does_not_do_either() -> None:
    house = await a_house(rules=AUTO_DENIED)
    other = await denied(house, "other", action=an_action(target="bank:other"))
    await denied(house, "first")
    assert (await house.asked("second", action=LESS, supersedes=other.id)).status is Status.DENIED


async def test_a_freeze_is_no_judgment_that_asking_again_could_ignore() -> None:
    house = await a_house(rules=AUTO_DENIED, **with_leads())
    frozen = await house.asked("first")
    await house.approvals.operators.freeze(account("carol"), "all", "", "incident")
    assert await house.status(frozen) == "denied"
    await house.approvals.operators.unfreeze(account("dave"), "all", "")
    assert (await house.asked("second")).status is Status.PENDING


# -- while an end is unknown --------------------------------------------------------------------------------------


async def unknown(house: House) -> Request:
    """A payment of which nobody knows whether it was made."""
    request = await house.approved("first")
    await house.spend(request)
    house.wait(15 * MINUTE)
    return await house.in_time(request)


async def test_while_an_end_is_unknown_asking_again_shows_it() -> None:
    house = await a_house()
    old = await unknown(house)
    house.wait(30 * HOUR)
    (mark,) = card_of(await house.asked("second")).earlier
    assert old.outcome is not None
    assert (mark.status, mark.at, [who.person for who in mark.by]) == (Status.UNKNOWN, old.outcome.at, ["alice"])


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_a_late_report_settles_it_and_the_next_card_is_silent(outcome: str) -> None:
    house = await a_house()
    old = await unknown(house)
    await house.report(old, outcome)
    assert await house.status(old) == outcome
    assert house.decision(old)["status"] == outcome
    assert card_of(await house.asked("second")).earlier == ()


async def test_an_unknown_end_is_not_a_denial() -> None:
    house = await a_house(rules=AUTO_DENIED)
    await unknown(house)
    assert (await house.asked("second")).status is Status.PENDING
