"""Commands of all tasks share a few lines, and nothing else: not their refusals, not their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LineLost
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as NoReply

from storage.redis.lines import Lines
from tests.servers import Server, running
from tests.storage.lossy import LossyLine, lossy

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Any:
    with running() as one:
        yield one


@asynccontextmanager
async def some_lines(port: int, *, timeout: float = 5.0, **options: Any) -> AsyncIterator[Lines]:
    """Lines to a port on loopback that send nothing twice; of those for one task alone there are two."""
    lines = Lines({"host": "127.0.0.1", "port": port, **options}, timeout=timeout, connections=2, retries=0)
    try:
        yield lines
    finally:
        await lines.aclose()


@asynccontextmanager
async def a_line(server: Server) -> AsyncIterator[tuple[Lines, LossyLine]]:
    """Lines to a server, and what they go over."""
    async with lossy(server.port) as line, some_lines(_port(line)) as lines:
        yield lines, line


def _port(line: LossyLine) -> int:
    return int(line.url.rpartition(":")[2].partition("/")[0])


async def blocked(lines: Lines, server: Server, words: tuple[Any, ...]) -> asyncio.Task[list[Any]]:
    """A command that the server holds up, and does by now."""
    waiting = asyncio.create_task(lines.send([words]))
    async with some_lines(server.port) as others:
        while b"blocked_clients:1" not in (await others.send([("INFO", "clients")]))[0]:
            continue
    return waiting


async def test_what_is_wanted_at_the_same_moment_goes_in_one_round_trip(server: Server) -> None:
    async with a_line(server) as (lines, line):
        await asyncio.gather(*(lines.send([("ECHO", "warm")]) for _ in range(20)))
        line.forget()
        replies = await asyncio.gather(*(lines.send([("ECHO", str(number)), ("PING",)]) for number in range(20)))
        assert replies == [[str(number).encode(), b"PONG"] for number in range(20)]
        assert len(line.commands) == 40
        assert line.round_trips <= 2  # the first does not wait for others to come


async def test_a_refusal_reaches_only_who_asked(server: Server) -> None:
    async with a_line(server) as (lines, _):
        good, bad, other = await asyncio.gather(
            lines.send([("PING",)]), lines.send([("HGET", "x")]), lines.send([("ECHO", "y")])
        )
        assert (good, other) == ([b"PONG"], [b"y"])
        assert isinstance(bad[0], ResponseError)


async def test_a_text_that_is_no_unicode_fails_only_its_sender(server: Server) -> None:
    async with a_line(server) as (lines, _):
        replies = await asyncio.gather(
            *(lines.send([("ECHO", text)]) for text in ("a", "b", "\ud800", "c")), return_exceptions=True
        )
        assert isinstance(replies[2], UnicodeEncodeError)
        assert [replies[0], replies[1], replies[3]] == [[b"a"], [b"b"], [b"c"]]


async def test_a_lost_line_is_told_to_everybody_and_the_next_command_works(server: Server) -> None:
    async with a_line(server) as (lines, line):
        await lines.send([("PING",)])
        line.lose_replies = 10
        lost = await asyncio.gather(
            *(lines.send([("ECHO", str(number))]) for number in range(5)), return_exceptions=True
        )
        assert all(isinstance(reply, RedisError) for reply in lost)
        line.lose_replies = 0
        assert await lines.send([("PING",)]) == [b"PONG"]


async def test_one_who_gives_up_takes_nothing_from_the_others(server: Server) -> None:
    async with a_line(server) as (lines, _):
        first, second, third = (asyncio.create_task(lines.send([("ECHO", word)])) for word in "abc")
        await asyncio.sleep(0)
        second.cancel()
        assert await first == [b"a"]
        assert await third == [b"c"]


async def test_a_command_that_blocks_holds_up_nobody(server: Server) -> None:
    async with some_lines(server.port) as lines:
        await lines.send([("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")])
        words = ("XREADGROUP", "GROUP", "group", "me", "BLOCK", 5_000, "STREAMS", "stream", ">")
        waiting = await blocked(lines, server, words)
        assert await lines.send([("PING",)]) == [b"PONG"]
        await lines.send([("XADD", "stream", "*", "a", "1")])
        assert (await waiting)[0][0][0] == b"stream"


async def test_a_reply_that_nobody_waits_for_any_more_is_nobody_elses(server: Server) -> None:
    async with some_lines(server.port) as lines:
        waiting = await blocked(lines, server, ("WAIT", 1, 5_000))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await lines.send([("WAIT", 0, 0), ("ECHO", "mine")]) == [0, b"mine"]


async def test_lines_for_one_task_alone_are_limited(server: Server) -> None:
    async with some_lines(server.port, timeout=0.2) as lines:
        waiting = [asyncio.create_task(lines.send([("WAIT", 1, 5_000)])) for _ in range(3)]
        replies = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(reply) for reply in replies] == [NoReply, NoReply, LineLost]


async def test_more_than_a_server_reads_at_once_goes_over_several_lines(server: Server) -> None:
    async with some_lines(server.port) as lines:
        await lines.send([("PING",)])
        texts = [str(number) * 10 for number in range(2_000)]
        replies = await asyncio.gather(*(lines.send([("ECHO", text)]) for text in texts))
        assert replies == [[text.encode()] for text in texts]
        while b"connected_clients:2" not in (await lines.send([("INFO", "clients")]))[0]:
            continue  # it was opened while the first was busy
        replies = await asyncio.gather(*(lines.send([("ECHO", text)]) for text in texts))
        assert replies == [[text.encode()] for text in texts]


async def test_a_server_that_says_nothing_is_given_up(server: Server) -> None:
    async with some_lines(server.port, timeout=0.2) as lines:
        await lines.send([("CLIENT", "PAUSE", 60_000, "WRITE")])
        with pytest.raises(NoReply):
            await lines.send([("SET", "a", "1")])
        await lines.send([("CLIENT", "UNPAUSE")])
        assert await lines.send([("PING",)]) == [b"PONG"]


async def test_a_line_that_the_server_closed_meanwhile_is_not_used(server: Server) -> None:
    async with some_lines(server.port) as lines, some_lines(server.port) as others:
        (mine,) = await lines.send([("CLIENT", "ID")])
        assert (await others.send([("CLIENT", "KILL", "ID", mine)])) == [1]
        while mine == (await lines.send([("CLIENT", "ID")]))[0]:
            continue  # until the end of the line has come through


async def test_after_a_long_silence_a_line_is_tried_before_it_is_used(server: Server) -> None:
    async with lossy(server.port) as line, some_lines(_port(line), health_check_interval=1e-9) as lines:
        await lines.send([("ECHO", "a")])
        line.forget()
        await lines.send([("ECHO", "b")])
        assert line.commands == ["PING", "ECHO"]


async def test_lines_that_were_hung_up_on_are_not_opened_again(server: Server) -> None:
    async with some_lines(server.port) as lines:
        waiting = await blocked(lines, server, ("WAIT", 1, 5_000))
        await lines.aclose()
        for lost in (waiting, lines.send([("PING",)]), lines.send([("WAIT", 0, 0)])):
            with pytest.raises(LineLost):
                await lost


async def test_whoever_waits_for_a_line_when_we_hang_up_is_told_so() -> None:
    greeted, gone = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.set()
        await reader.read()
        writer.close()
        gone.set()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with some_lines(silent.sockets[0].getsockname()[1]) as lines:
        waiting = asyncio.create_task(lines.send([("PING",)]))
        await greeted.wait()
        await lines.aclose()
        with pytest.raises(LineLost):
            await waiting
    await gone.wait()
    silent.close()
    await silent.wait_closed()


async def test_nobody_there_is_told_to_everybody() -> None:
    async with some_lines(1) as lines:
        lost = await asyncio.gather(*(lines.send([("PING",)]) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(reply, LineLost) for reply in lost)
