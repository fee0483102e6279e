"""A freeze in Redis: in every partition at once, through restarts, reloads and a bot that died half-way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from approvals.action import partition_of
from approvals.errors import EntryRefused, EpochChanged, StoreUnavailable
from approvals.freeze import Freeze
from approvals.lifecycle import Status
from approvals.ports import Account
from approvals.service import Done
from bot.policies import AdoptedPolicy, Rulebook, digest_of_text, parse_policy
from bot.signing import FileSigner, create_key
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.bot.test_policies import House
from tests.build import a_document, policy_mapping
from tests.servers import Server

PARTITIONS = 3
AGENTS = ("payments-bot", "export-bot", "backup-bot", "mail-bot", "report-bot")
ALICE, BOB = (Account("slack", "T0SAYSO", f"U0{name}") for name in ("ALICE", "BOB"))

pytestmark = pytest.mark.redis


def text(**sections: Any) -> str:
    """A policy with agents in every partition, and operators."""
    entry = {"owner": "dana", "principals": ["dana"], "kinds": ["payments.*"]}
    roles = {role: ["finance"] for role in ("freeze", "unfreeze")}
    return json.dumps(policy_mapping(agents=dict.fromkeys(AGENTS, entry), roles=roles) | sections)


@pytest.fixture
def signer(folder: Any) -> FileSigner:
    return FileSigner(create_key(folder / "key.pem"))


@asynccontextmanager
async def a_bot(redis: Server, signer: FileSigner, policy: str) -> AsyncIterator[House]:
    """A bot that starts with a policy file of its own."""
    async with await RedisStore.connect(redis.url, partitions=PARTITIONS) as store:
        house = House(store, policy, signer)
        await house.policies.put_in_force()
        yield house


def epochs(redis: Server) -> set[str]:
    """The epochs of all partitions, as Redis has them."""
    replies = (redis.command("HGET", Keys(partition).meta, "epoch") for partition in range(PARTITIONS))
    return {str(reply).split()[-1] for reply in replies}


async def asked(house: House, agent: str) -> Any:
    return await house.approvals.submit(a_document(), agent)


async def test_a_freeze_of_everything_stops_every_agent_in_every_partition(redis: Server, signer: FileSigner) -> None:
    assert {partition_of(agent, PARTITIONS) for agent in AGENTS} == set(range(PARTITIONS))
    async with a_bot(redis, signer, text()) as house, a_bot(redis, signer, text()) as other:
        requests = [await asked(house, agent) for agent in AGENTS]
        done = await house.approvals.operators.freeze(ALICE, "all", "", "incident 7")
        assert isinstance(done, Done)
        assert len(epochs(redis)) == 1
        for request in requests:
            after = (await other.store.get(request.id)).request
            assert after.status is Status.DENIED
            assert after.decision is not None
            assert (after.decision.rule, after.decision.reason) == ("freeze:all", "incident 7")
        for agent in AGENTS:
            with pytest.raises(EntryRefused, match="incident 7"):
                await asked(other, agent)
        assert isinstance(await other.approvals.operators.unfreeze(BOB, "all", ""), Done)
        assert [(await asked(house, agent)).status for agent in AGENTS] == [Status.PENDING] * len(AGENTS)


async def test_a_freeze_outlives_every_bot_and_a_new_policy_file(redis: Server, signer: FileSigner) -> None:
    async with a_bot(redis, signer, text()) as house:
        await house.approvals.operators.freeze(ALICE, "agent", AGENTS[0], "stolen token")
    async with a_bot(redis, signer, text(rules=[{"id": "short", "within": "5m"}])) as later:
        with pytest.raises(EntryRefused, match="stolen token"):
            await asked(later, AGENTS[0])
        assert (await asked(later, AGENTS[1])).terms.rules == ("short", "defaults")
        assert isinstance(await later.approvals.operators.unfreeze(BOB, "agent", AGENTS[0]), Done)
        assert later.policies.current().epoch == later.policies.current().digest


async def test_what_a_bot_froze_in_one_partition_before_it_died_is_finished_by_the_next(
    redis: Server, signer: FileSigner
) -> None:
    async with a_bot(redis, signer, text()) as house:
        before = house.policies.current()
        frozen = before.frozen((Freeze(scope="all", by="alice", at=1, reason="half-way"),))
        kept = Rulebook(text(), frozen.freezes).to_json()
        first, *rest = (Keys(partition) for partition in range(PARTITIONS))
        redis.command("SET", first.policy(frozen.epoch), kept)
        redis.command("HSET", first.meta, "epoch", frozen.epoch)
        redis.command("HINCRBY", first.meta, "epoch_number", "1")
        assert len(epochs(redis)) == 2
        await house.approvals.operators.deny_frozen()
        assert epochs(redis) == {frozen.epoch}
        assert len(rest) == PARTITIONS - 1


async def test_of_two_that_freeze_at_once_one_is_told_to_look_again(redis: Server, signer: FileSigner) -> None:
    async with a_bot(redis, signer, text()) as house, a_bot(redis, signer, text()) as other:
        epoch = house.policies.current().epoch
        mine, theirs = (Freeze(scope="agent", name=name, by="alice", at=1) for name in AGENTS[:2])
        await house.policies.put_freezes((mine,), {"event": "freeze"}, instead_of=epoch)
        with pytest.raises(EpochChanged):
            await other.policies.put_freezes((theirs,), {"event": "freeze"}, instead_of=epoch)
        assert other.policies.current().freezes == ()
        with pytest.raises(EpochChanged):
            await house.policies.put_freezes((theirs,), {"event": "freeze"}, instead_of=epoch)
        assert (await other.policies.refresh()).freezes == (mine,)


async def test_a_text_that_was_kept_before_there_were_freezes_is_still_read(redis: Server, signer: FileSigner) -> None:
    async with await RedisStore.connect(redis.url, partitions=PARTITIONS) as store:
        await store.adopt(digest_of_text(text()), text(), {"event": "policy"})
    newer = text(rules=[{"id": "short", "within": "5m"}])
    async with a_bot(redis, signer, newer) as house:
        assert house.policies.current().digest == digest_of_text(newer)
        assert (await asked(house, AGENTS[0])).status is Status.PENDING


async def test_a_bot_that_cannot_read_what_is_frozen_does_not_start(redis: Server, signer: FileSigner) -> None:
    async with a_bot(redis, signer, text()) as house:
        await house.approvals.operators.freeze(ALICE, "all", "", "")
        epoch = house.policies.current().epoch
    redis.command("SET", Keys(0).policy(epoch), Rulebook(text()).to_json())
    async with await RedisStore.connect(redis.url, partitions=PARTITIONS) as store:
        with pytest.raises(StoreUnavailable):
            await AdoptedPolicy(store, parse_policy(text()), text()).put_in_force()
