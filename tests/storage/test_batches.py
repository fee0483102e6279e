"""Commands of the same moment share a pipeline, and nothing else: not their refusals, not their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from storage.redis.batches import Batches, Command
from tests.servers import Server, running
from tests.storage.lossy import LossyLine, lossy

pytestmark = pytest.mark.redis


class Line:
    """A client with its batches."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._batches = Batches()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        return await self._batches.send(self._client, commands)


@pytest.fixture(scope="module")
def server() -> Any:
    with running() as one:
        yield one


@asynccontextmanager
async def a_line(server: Server) -> AsyncIterator[tuple[Line, LossyLine]]:
    """A client's batches, and the line they go over."""
    async with lossy(server.port) as line:
        client = Redis.from_url(line.url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        client.response_callbacks.clear()
        try:
            yield Line(client), line
        finally:
            await client.aclose(close_connection_pool=True)


async def test_what_is_wanted_at_the_same_moment_goes_in_one_round_trip(server: Server) -> None:
    async with a_line(server) as (batches, line):
        await asyncio.gather(*(batches.send([("ECHO", "warm")]) for _ in range(20)))
        line.forget()
        replies = await asyncio.gather(*(batches.send([("ECHO", str(number)), ("PING",)]) for number in range(20)))
        assert replies == [[str(number).encode(), b"PONG"] for number in range(20)]
        assert len(line.commands) == 40
        assert line.round_trips == 2  # the first does not wait for others to come


async def test_a_refusal_reaches_only_who_asked(server: Server) -> None:
    async with a_line(server) as (batches, _):
        good, bad, other = await asyncio.gather(
            batches.send([("PING",)]), batches.send([("HGET", "x")]), batches.send([("ECHO", "y")])
        )
        assert (good, other) == ([b"PONG"], [b"y"])
        assert isinstance(bad[0], ResponseError)


async def test_a_text_that_is_no_unicode_fails_only_its_sender(server: Server) -> None:
    async with a_line(server) as (batches, _):
        replies = await asyncio.gather(
            *(batches.send([("ECHO", text)]) for text in ("a", "b", "\ud800", "c")), return_exceptions=True
        )
        assert isinstance(replies[2], UnicodeEncodeError)
        assert [replies[0], replies[1], replies[3]] == [[b"a"], [b"b"], [b"c"]]


async def test_a_lost_line_is_told_to_everybody_and_the_next_command_works(server: Server) -> None:
    async with a_line(server) as (batches, line):
        await batches.send([("PING",)])
        line.lose_replies = 10
        lost = await asyncio.gather(
            *(batches.send([("ECHO", str(number))]) for number in range(5)), return_exceptions=True
        )
        assert all(isinstance(reply, RedisError) for reply in lost)
        line.lose_replies = 0
        assert await batches.send([("PING",)]) == [b"PONG"]


async def test_one_who_gives_up_takes_nothing_from_the_others(server: Server) -> None:
    async with a_line(server) as (batches, _):
        first, second, third = (asyncio.create_task(batches.send([("ECHO", word)])) for word in "abc")
        await asyncio.sleep(0)
        second.cancel()
        assert await first == [b"a"]
        assert await third == [b"c"]


async def test_a_command_that_blocks_holds_up_nobody(server: Server) -> None:
    async with a_line(server) as (batches, _):
        await batches.send([("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")])
        words = ("XREADGROUP", "GROUP", "group", "me", "BLOCK", 5_000, "STREAMS", "stream", ">")
        blocked = asyncio.create_task(batches.send([words]))
        while b"blocked_clients:1" not in (await batches.send([("INFO", "clients")]))[0]:
            continue
        assert await batches.send([("PING",)]) == [b"PONG"]
        await batches.send([("XADD", "stream", "*", "a", "1")])
        assert (await blocked)[0][0][0] == b"stream"


async def test_more_than_a_pipeline_holds_goes_in_several(server: Server) -> None:
    async with a_line(server) as (batches, _):
        replies = await asyncio.gather(*(batches.send([("ECHO", str(number))]) for number in range(2_000)))
        assert replies == [[str(number).encode()] for number in range(2_000)]
