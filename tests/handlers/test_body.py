"""Bodies: whole, or refused; never larger than they may be, and never a fault of ours."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from handlers.body import whole_body
from tests.loopback import served

LIMIT = 1_000


@pytest.fixture
async def door() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A route that answers how long a body is, 413 to a longer one than it takes."""

    async def receive(request: web.Request) -> web.Response:
        body = await whole_body(request, LIMIT)
        return web.Response(status=413) if body is None else web.Response(text=str(len(body)))

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served([web.post("/", receive)]))
        yield await stack.enter_async_context(aiohttp.ClientSession()), url


@pytest.mark.parametrize(
    ("packing", "body", "status"),
    [
        ("identity", b"x" * LIMIT, 200),
        ("identity", b"x" * (LIMIT + 1), 413),
        ("gzip", gzip.compress(b"x" * LIMIT), 200),
        ("gzip", gzip.compress(b"x" * (LIMIT + 1)), 413),
        ("deflate", zlib.compress(b"x" * 5_000_000), 413),
        ("gzip", b"nothing of the kind", 400),
    ],
)
async def test_a_body_is_whole_or_refused(
    door: tuple[aiohttp.ClientSession, str], packing: str, body: bytes, status: int
) -> None:
    session, url = door
    for _ in range(2):  # and the next one of the same sender is read
        async with session.post(url, data=body, headers={"Content-Encoding": packing}) as answer:
            assert answer.status == status
        async with session.post(url, data=b"after") as answer:
            assert await answer.text() == "5"


async def test_a_body_without_a_length_is_read_until_it_is_too_long(door: tuple[aiohttp.ClientSession, str]) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    session, url = door
    for count, status in ((10, 200), (11, 413)):
        async with session.post(url, data=pieces(count)) as answer:
            assert answer.status == status
