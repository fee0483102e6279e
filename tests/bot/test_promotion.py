"""The courier on a real master whose replica is promoted: no card is posted that the new master will not know of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from approvals.card import Card, card_of
from approvals.request import Request
from bot.courier import LEASE_MS, Courier
from storage.redis import RedisStore
from tests.bot.chat import Chat
from tests.build import CHANNEL, DIGEST, a_change, a_request
from tests.servers import Server, running

pytestmark = pytest.mark.redis

OPTIONS = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
SOON = 100  #: ms for which a write waits for the replica


class Overtaken(Chat):
    """A platform at which the replica is promoted when a card is posted, before that can be recorded."""

    def __init__(self, replica: Server) -> None:
        super().__init__(now)
        self._replica = replica

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        reference = await super().post(destination, request, card)
        self._replica.command("REPLICAOF", "NO", "ONE")
        return reference


@dataclass
class Pair:
    """A master and its replica, with a request that both have and no card shows yet."""

    replica: Server
    store: RedisStore  #: on the master; whoever uses it does not notice that another has been promoted
    request: Request

    def promote(self) -> None:
        """The replica serves from here on, and hears nothing more from the old master."""
        self.replica.command("REPLICAOF", "NO", "ONE")

    @asynccontextmanager
    async def promoted(self) -> AsyncIterator[RedisStore]:
        """The memory on the new master, when every lease has run out."""
        async with await RedisStore.connect(self.replica.url, replicas=0) as store:
            store.clock_offset = LEASE_MS + 1
            yield store


def now() -> int:
    """The time of this machine, which is the servers' too, in ms."""
    return time.time_ns() // 1_000_000


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with running(*OPTIONS) as master, running(*OPTIONS, "--replicaof", f"127.0.0.1 {master.port}") as replica:
        async with (
            await RedisStore.connect(master.url, replicas=1, confirm=SOON) as store,
            Redis.from_url(master.url) as client,
        ):
            await store.adopt(DIGEST, "version: 1", {"event": "policy"})
            request = a_request(destinations=(CHANNEL,), now=await store.now())
            await store.create(request.id, lambda *_: a_change(request, show=True))
            acks = 0
            while not acks:
                pipeline = client.pipeline(transaction=False)
                pipeline.execute_command("SET", "x", "1")
                pipeline.execute_command("WAIT", "1", "1000")
                _, acks = await pipeline.execute()
            yield Pair(replica, store, request)
        replica.thaw()


async def steps(courier: Courier, count: int = 3) -> None:
    """So many turns of both loops, without waiting for what is not due."""
    for _ in range(count):
        await courier.relay()
        await courier.serve()


async def test_nothing_is_posted_while_the_intention_could_still_be_lost(pair: Pair) -> None:
    chat = Chat(now)
    courier = Courier(pair.store, {"slack": chat})
    pair.replica.freeze()
    await steps(courier)
    assert chat.calls == []
    pair.replica.thaw()
    async with asyncio.timeout(20):
        while not chat.messages:
            await steps(courier, 1)
    assert [message.request for message in chat.at(CHANNEL)] == [pair.request.id]


async def test_a_card_of_whose_record_the_new_master_never_heard_is_found_not_posted_again(pair: Pair) -> None:
    chat = Overtaken(pair.replica)
    await steps(Courier(pair.store, {"slack": chat}))
    assert (await pair.store.get(pair.request.id)).posts[CHANNEL].state == "posted"
    async with pair.promoted() as store:
        assert (await store.get(pair.request.id)).posts[CHANNEL].state == "intended"
        await steps(Courier(store, {"slack": chat}))
        assert len(chat.at(CHANNEL)) == 1
        assert chat.calls.count("find_posted") == 1
        assert (await store.get(pair.request.id)).posts[CHANNEL].shown == card_of(pair.request).digest()


async def test_who_still_reaches_the_old_master_posts_nothing_there(pair: Pair) -> None:
    chat = Chat(now)
    pair.promote()
    await steps(Courier(pair.store, {"slack": chat}))
    assert chat.calls == []
    async with pair.promoted() as store:
        await steps(Courier(store, {"slack": chat}))
    assert len(chat.at(CHANNEL)) == 1
