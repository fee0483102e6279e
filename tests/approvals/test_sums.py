"""Limits over time, through the whole service: small steps come to the same as a large one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from approvals.errors import EntryRefused, StoreUnavailable
from approvals.ports import Queue
from approvals.request import Request
from tests.approvals.house import House, a_house
from tests.approvals.make import AGENT, MINUTE, NONCE, a_policy_file, a_rule, account, an_action
from tests.approvals.test_windows import MONEY, SUM, a_limit

DAY = 86_400_000
RULES = [a_rule("any"), a_limit(SUM.replace("9990", "8991"))]  # nine of 999 may pass, the tenth may not


def a_payment(amount: str = "999", **changes: Any) -> Any:
    """An action that moves money."""
    return an_action(arguments={"amount": amount, "currency": "EUR"}, **changes)


async def with_limit(**sections: Any) -> House:
    """A house in which payments beyond 8,991 a day need finance too."""
    return await a_house(**({"kinds": MONEY, "rules": RULES} | sections))


async def pay(house: House, number: int, amount: str = "999") -> Request:
    """One payment of many."""
    return await house.asked(f"pay-{number}", action=a_payment(amount))


def caught(requests: Sequence[Request]) -> int:
    """How many of them finance is asked for."""
    return sum("limit" in request.terms.rules for request in requests)


async def test_ten_small_payments_are_caught_like_a_large_one() -> None:
    house = await with_limit()
    assert caught([await pay(house, number) for number in range(9)]) == 0
    assert caught([await pay(house, 10)]) == 1


async def test_ten_at_once_on_two_bots_are_caught() -> None:
    house = await with_limit()
    neighbour = await house.neighbour()
    asked = await asyncio.gather(*(pay(bot, n) for n, bot in enumerate([house, neighbour] * 5)))
    assert caught(asked) == 1


async def test_another_currency_has_a_sum_of_its_own() -> None:
    house = await with_limit()
    await pay(house, 1, "8991")
    dollars = an_action(arguments={"amount": "999", "currency": "USD"})
    assert caught([await house.asked("dollars", action=dollars)]) == 0
    assert caught([await pay(house, 2, "0.000001")]) == 1


async def test_a_no_gives_the_amount_back() -> None:
    house = await with_limit()
    large = await pay(house, 1, "8991")
    await house.click(large, "alice", "deny")
    assert caught([await pay(house, 2)]) == 0


@pytest.mark.parametrize("end", ["expired", "withdrawn", "lapsed", "revoked"])
async def test_what_is_never_used_gives_the_amount_back(end: str) -> None:
    file = a_policy_file()
    house = await with_limit(groups=file["groups"] | {"leads": {"people": ["carol"]}}, roles={"revoke": ["leads"]})
    large = await pay(house, 1, "8991")
    if end in ("lapsed", "revoked"):
        await house.click(large, "alice")
    assert caught([await pay(house, 2)]) == 1, "while it may still be used it counts"
    if end == "withdrawn":
        await house.approvals.withdraw(AGENT, large.id)
    elif end == "revoked":
        await house.approvals.operators.revoke(large.id, account("carol"), "a mistake")
    else:
        house.wait(60 * MINUTE)
        await house.in_time(large)
    assert await house.status(large) == end
    assert caught([await pay(house, 3)]) == 0


async def test_what_was_used_counts_until_the_window_has_passed() -> None:
    house = await with_limit()
    large = await house.approved("pay-1", action=a_payment("8991"))
    house.wait(10 * MINUTE)
    await house.approvals.collect(AGENT, large.id)
    await house.spend(large)
    await house.report(large, "succeeded")
    house.wait(DAY - MINUTE)
    assert caught([await pay(house, 2)]) == 1
    house.wait(2 * MINUTE + 60 * MINUTE)
    assert caught([await pay(house, 4)]) == 0


async def test_the_same_call_counts_once_however_often_it_is_sent() -> None:
    house = await with_limit()
    for nonce in (NONCE, NONCE, "N" * 22):
        request = await house.asked("pay-1", posted=False, action=a_payment("8991", nonce=nonce))
        assert caught([request]) == 0
    assert request.sums == {request.shares[0].window: 8_991_000_000}
    assert caught([await pay(house, 2, "0.01")]) == 1


async def test_the_same_call_for_another_amount_changes_nothing() -> None:
    house = await with_limit()
    await pay(house, 1, "1")
    with pytest.raises(EntryRefused, match="another action"):
        await pay(house, 1, "9000")
    assert caught([await pay(house, 2, "8990")]) == 0


async def test_a_refused_request_takes_nothing() -> None:
    house = await with_limit()
    with pytest.raises(EntryRefused):
        await house.asked("x", action=a_payment("8991"), audience="stranger")
    assert caught([await pay(house, 1)]) == 0


async def test_a_denied_call_that_is_sent_again_takes_nothing() -> None:
    house = await with_limit()
    large = await pay(house, 1, "8991")
    await house.click(large, "alice", "deny")
    await house.asked("pay-1", posted=False, action=a_payment("8991"))
    assert caught([await pay(house, 2)]) == 0


async def test_a_crash_before_the_request_is_there_lets_nothing_through_and_does_not_count_for_ever() -> None:
    house = await with_limit()
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await pay(house, 1, "8991")
    house.store.down = False
    assert caught([await pay(house, 2)]) == 1
    assert caught([await house.asked("pay-1", action=a_payment("8991"))]) == 1, "taken up again it counts once"
    house.wait(3 * DAY)
    assert caught([await pay(house, 3)]) == 0


async def test_a_bot_that_dies_before_it_gave_an_amount_back_leaves_that_to_whoever_publishes_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await with_limit()
    large = await pay(house, 1, "8991")

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(house.store.windows, "recount", dies)
        with pytest.raises(asyncio.CancelledError):
            await house.click(large, "alice", "deny")
    assert caught([await pay(house, 2)]) == 1
    house.wait(MINUTE)
    for request in await house.store.due(Queue.ANNOUNCEMENTS, limit=10, lease=1):
        await house.approvals.publish(request)
    assert caught([await pay(house, 3)]) == 0


async def test_a_vote_under_a_policy_that_never_knew_the_sum_meets_the_limit() -> None:
    house = await with_limit(rules=[a_rule("any")])
    request = await pay(house, 1, "1")
    await house.adopt(kinds=MONEY, rules=RULES)
    await house.click(request, "alice")
    assert await house.status(request) == "pending", "finance is needed too: the sum at the asking is not known"


async def test_a_later_policy_judges_by_the_sum_at_the_asking() -> None:
    house = await with_limit()
    request = await pay(house, 1, "1")
    await pay(house, 2, "8991")
    await house.adopt(kinds=MONEY, rules=[*RULES, a_rule("more", match={"kind": ["reports.*"]})])
    await house.click(request, "alice")
    assert await house.status(request) == "approved"


async def test_no_amount_stands_in_the_journal() -> None:
    house = await with_limit()
    await pay(house, 1, "7654.321")
    assert not any("7654" in str(record) for record in await house.journal())
