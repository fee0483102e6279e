"""The processes of a measurement: a bot, an asker, an echo; each listens to a pipe, and none outlives its block."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import redis.asyncio as redis
import structlog

from benchmarks.house import a_bot, request_body
from bot.collector import settle

BATCH: Final = 100  #: entries of one read, on every side: the bot's own (bot/intake.py)
_PATIENCE: Final = 20_000  #: ms of silence after which an asker gives up
PING, PONG = "bench:ping", "bench:pong"

Streams = tuple[str, str]  #: where an asker writes and where it reads


def streams_of(agent: str) -> Streams:
    """An agent's streams in a deployment of one partition."""
    return f"{{sayso:0}}:in:{agent}", f"{{sayso:0}}:out:{agent}"


@contextmanager
def child(target: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """A process with a pipe; it has said "ready" when this begins, and it is gone when this ends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*args, there))
    process.start()
    there.close()
    try:
        here.recv()
        yield here
    finally:
        process.terminate()
        process.join()


@dataclass(frozen=True)
class Work:
    """What a bot has done so far: approvals, and the seconds of CPU it has used since it was made."""

    approvals: int
    cpu: float


def bot(url: str, folder: Path, agents: Sequence[str], votes: bool, pipe: Connection) -> None:
    """A bot process; every word it is sent is answered with its Work."""

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # the figures have standard output

    async def work() -> None:
        async with a_bot(url, folder, agents, votes=votes) as voting:
            settle()
            pipe.send("ready")
            while True:
                await asyncio.to_thread(pipe.recv)
                if voting.failed:
                    raise RuntimeError(f"{len(voting.failed)} votes did not count: {voting.failed[0]}")
                pipe.send(Work(voting.voted, _cpu()))

    asyncio.run(work())


def asker(url: str, pipe: Connection) -> None:
    """An agent process with bare redis-py; it is sent (streams, in flight, count, per second) and answers seconds."""

    async def ask() -> None:
        async with _bare(url) as line:
            pipe.send("ready")
            number = 0
            while True:
                streams, in_flight, count, pace = await asyncio.to_thread(pipe.recv)
                pipe.send(await _ask_all(line, streams, in_flight, count, number, pace))
                number += count

    asyncio.run(ask())


def echo(url: str, pipe: Connection) -> None:
    """The bare pair's other process: it answers every entry with one, each read in one pipeline."""

    async def answer() -> None:
        async with _bare(url) as line:
            pipe.send("ready")
            last: bytes | str = "0"
            while True:
                entries = await _read(line, PING, last)
                answers = line.pipeline(transaction=False)
                for _, fields in entries:
                    answers.xadd(PONG, {"type": "decision", "body": fields[b"body"]})
                if entries:
                    last = entries[-1][0]
                    await answers.execute()

    asyncio.run(answer())


def _bare(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=None, protocol=2)


async def _ask_all(line: redis.Redis, streams: Streams, in_flight: int, count: int, first: int, pace: float) -> float:
    """Ask `count` times with so many in flight, at most `pace` a second (0: as many as go); the seconds it took.

    As many as came back are asked anew in one pipeline, as the other side answers.
    """
    newest: Any = await line.xrevrange(streams[1], count=1)
    last = newest[0][0] if newest else "0"
    began, sent, answered = time.monotonic(), 0, 0
    while answered < count:
        allowed = int((time.monotonic() - began) * pace) + 1 if pace else count
        more = max(0, min(in_flight - (sent - answered), count - sent, allowed - sent))
        await _send(line, streams[0], range(first + sent, first + sent + more))
        sent += more
        heard = await _read(line, streams[1], last, block=2 if pace else _PATIENCE)
        if not heard and not pace:
            raise RuntimeError(f"{count - answered} of {count} were not answered within {_PATIENCE} ms")
        for entry, fields in heard:
            last = entry
            answered += fields[b"type"] == b"decision"
    return time.monotonic() - began


async def _send(line: redis.Redis, stream: str, numbers: range) -> None:
    if not numbers:
        return
    requests = line.pipeline(transaction=False)
    for number in numbers:
        requests.xadd(
            stream, {"type": "request", "body": request_body(f"{os.getpid()}/{number}", target=f"service:{number}")}
        )
    await requests.execute()


async def _read(
    line: redis.Redis, stream: str, last: Any, block: int = 5_000
) -> list[tuple[bytes, dict[bytes, bytes]]]:
    reply: Any = await line.xread({stream: last}, count=BATCH, block=block)
    return reply[0][1] if reply else []


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
