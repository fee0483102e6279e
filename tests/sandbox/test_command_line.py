"""`python -m sandbox` as a process: it says where it listens, serves the page, and stops on an interrupt."""

from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient


async def test_it_prints_what_an_app_needs_and_stops_when_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--port", "0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = {}
    async with asyncio.timeout(20):
        for _ in range(6):
            words = (await process.stdout.readline()).decode().split()
            said[" ".join(words[:2])] = words
    page, api, token = said["Page " + said_page(said)][1], said["Web API"][2], said["Bot token"][2]

    async with aiohttp.ClientSession() as session:
        async with session.get(page) as answer:
            assert "Sandbox" in await answer.text()
        client = AsyncWebClient(token, base_url=api, session=session)
        assert (await client.auth_test())["user_id"] == "U0SAYSO"

    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b""


def said_page(said: dict[str, list[str]]) -> str:
    """The address in the line that begins with Page."""
    return next(words[1] for name, words in said.items() if name.startswith("Page "))
