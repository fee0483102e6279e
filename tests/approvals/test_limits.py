"""An agent that asks too much is told so, and nothing of it is kept aside."""

from __future__ import annotations

import pytest

from approvals.errors import PolicyInvalid
from tests.approvals.house import a_house
from tests.approvals.make import AGENT, MINUTE, a_policy, a_policy_file
from tests.approvals.test_desk import BODY, answered, handled


def limited(**limits: int) -> dict[str, object]:
    """The agents of the policy, this one with limits."""
    agents = a_policy_file()["agents"]
    return {**agents, AGENT: {**agents[AGENT], "limits": limits}}


async def test_one_that_asks_too_fast_is_told_when_to_ask_again() -> None:
    house = await a_house(agents=limited(per_minute=2))
    for call in ("1", "2"):
        assert (await answered(house, "request", {**BODY, "call": call}))["type"] == "pending"
    told = await answered(house, "request", {**BODY, "call": "3"})
    assert (told["type"], told["reason"], told["retry_after"]) == ("refused", "rate_limited", 30)
    house.clock[0] += MINUTE
    assert (await answered(house, "request", {**BODY, "call": "3"}))["type"] == "pending"


async def test_one_with_too_many_open_may_ask_again_when_one_was_withdrawn() -> None:
    house = await a_house(agents=limited(open=1))
    first = await answered(house, "request", {**BODY, "call": "1"})
    told = await answered(house, "request", {**BODY, "call": "2"})
    assert (told["reason"], told["retry_after"]) == ("too_many_open", None)
    assert (await answered(house, "request", {**BODY, "call": "1"}))["type"] == "pending"  # asked before: no new one
    await house.approvals.withdraw(AGENT, first["request"])
    assert (await answered(house, "request", {**BODY, "call": "2"}))["type"] == "pending"


async def test_a_limit_that_a_newer_policy_has_raised_refuses_nothing_any_more() -> None:
    """On a bot that has not heard of it: no refusal rests on a policy that is no longer in force."""
    house = await a_house(agents=limited(per_minute=1))
    late = await house.neighbour()
    await answered(house, "request", {**BODY, "call": "1"})
    await house.adopt(agents=limited(per_minute=1_000))
    house.wait(1_000)
    assert (await answered(late, "request", {**BODY, "call": "2"}))["type"] == "pending"


async def test_what_was_only_too_much_is_no_dead_letter() -> None:
    house = await a_house(agents=limited(open=1))
    await answered(house, "request", {**BODY, "call": "1"})
    assert (await handled(house, "request", {**BODY, "call": "2"})).dead_letter is None


def test_every_agent_has_limits_and_nobody_else() -> None:
    policy = a_policy(agents=limited(open=7))
    limits = policy.limits_of(AGENT)
    assert limits is not None
    assert (limits.agent, limits.open, limits.per_minute) == (AGENT, 7, 2_000)
    assert policy.limits_of("nobody") is None


@pytest.mark.parametrize("limits", [{"open": 0}, {"per_minute": 0}, {"per_minute": 1_000_001}, {"an_hour": 1}])
def test_limits_that_make_no_sense_are_errors(limits: dict[str, int]) -> None:
    with pytest.raises(PolicyInvalid):
        a_policy(agents=limited(**limits))
