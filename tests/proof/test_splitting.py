"""Ten payments at once on two bots and one real Redis, of several partitions: the limit sees every one of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from joserfc.jwk import OKPKey

from approvals.errors import StoreUnavailable
from approvals.intake import RequestDocument
from approvals.request import Request
from approvals.service import Approvals
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner
from storage.redis import RedisStore
from tests.approvals.make import AGENT, a_document, a_policy_file, an_action
from tests.approvals.test_sums import RULES, caught
from tests.approvals.test_windows import MONEY
from tests.servers import running
from tests.service import a_service

pytestmark = pytest.mark.redis


@asynccontextmanager
async def bots(count: int = 2) -> AsyncIterator[list[Approvals]]:
    """So many bots, each with its own connections, on one empty memory of three partitions."""
    agents = {name: a_policy_file()["agents"][AGENT] for name in ("payments-bot", "a", "b", "c")}
    rules = [
        rule | {"when": rule["when"].replace('"24h"', '"24h", "all"')} if "when" in rule else rule for rule in RULES
    ]
    text = json.dumps(a_policy_file(kinds=MONEY, rules=rules, agents=agents))
    signer = FileSigner(OKPKey.generate_key("Ed25519"))
    with running() as server:
        async with AsyncExitStack() as stack:
            found = []
            for _ in range(count):
                store = await stack.enter_async_context(await RedisStore.connect(server.url, partitions=3))
                policies = AdoptedPolicy(store, parse_policy(text), text)
                await policies.put_in_force()
                found.append(a_service(store, policies, signer))
            yield found


def a_payment(number: int, amount: str = "999") -> RequestDocument:
    """One payment of many."""
    action = an_action(arguments={"amount": amount, "currency": "EUR"})
    return a_document(f"pay-{number}", action=action)


async def test_ten_at_once_are_caught_and_a_withdrawal_makes_room_for_one() -> None:
    async with bots() as (here, there):
        agents = ["payments-bot", "a", "b", "c"]
        asked: list[Request] = await asyncio.gather(
            *((here, there)[n % 2].submit(a_payment(n), agents[n % 4]) for n in range(10))
        )
        assert caught(asked) == 1, "the sum is over all agents, whose requests lie in several partitions"
        first = next(request for request in asked if "limit" not in request.terms.rules)
        await here.withdraw(first.agent, first.id)
        limited = next(request for request in asked if "limit" in request.terms.rules)
        await there.withdraw(limited.agent, limited.id)
        assert caught([await there.submit(a_payment(11), "a")]) == 0
        assert caught([await here.submit(a_payment(12), "b")]) == 1


async def test_copies_of_one_call_that_race_a_refused_copy_keep_their_share() -> None:
    """A copy that is refused (here: its memory goes away) must not give back what another copy has reserved."""
    async with bots() as (here, there):
        copies = await asyncio.gather(
            *(bot.submit(a_payment(1, "8991"), AGENT) for bot in (here, there) * 5), return_exceptions=True
        )
        assert not [one for one in copies if isinstance(one, BaseException) and not isinstance(one, StoreUnavailable)]
        assert caught([await here.submit(a_payment(2), AGENT)]) == 1
