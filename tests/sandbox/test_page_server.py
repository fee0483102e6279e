"""The page's server side: what each person may see, and who may not act through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.sandbox.conftest import APPROVE_CARD

Json = dict[str, Any]


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends what a browser on the page sends."""
    async with aiohttp.ClientSession(sandbox.url, headers={"Origin": sandbox.url}) as session:
        yield session


async def look(browser: aiohttp.ClientSession, path: str, **query: str) -> Json:
    async with browser.get(path, params=query) as answer:
        assert answer.status == 200
        body: Json = await answer.json()
        return body


async def test_the_page_is_served_under_a_strict_policy(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with browser.get("/static/app.js") as script:
        assert script.content_type == "text/javascript"


@pytest.mark.parametrize("name", ["../page.py", "%2e%2e%2fpage.py", "nothing.js", "index.html.bak"])
async def test_only_the_pages_own_files_are_served(browser: aiohttp.ClientSession, name: str) -> None:
    async with browser.get(f"/static/{name}") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/", "/page/state", "/page/messages", "/page/events", "/static/app.js"])
async def test_a_rebound_name_is_refused(browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(path, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
        {"Host": "evil.example"},
    ],
)
async def test_another_site_cannot_act(
    sandbox: Sandbox, browser: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    body = json.dumps({"user": "U0DANA", "channel": "C0DEPLOYS", "text": "forged"})
    async with browser.post("/page/say", data=body, headers={"Content-Type": "application/json"} | headers) as answer:
        assert answer.status == 403
    assert sandbox.messages("C0DEPLOYS") == []


async def test_a_request_without_an_origin_cannot_act(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(sandbox.url) as stranger:
        answer = await stranger.post("/page/say", json={"user": "U0DANA", "channel": "C0DEPLOYS", "text": "x"})
        assert answer.status == 403


async def test_each_person_sees_their_own_workspace(
    sandbox: Sandbox, client: AsyncWebClient, browser: aiohttp.ClientSession
) -> None:
    sandbox.workspace.add_channel("G0SECRET", "secret", ["U0ALICE"], "group")
    await client.chat_postEphemeral(channel="C0DEPLOYS", user="U0ALICE", text="psst")
    alice = await look(browser, "/page/state", user="U0ALICE")
    bob = await look(browser, "/page/state", user="U0BOB")
    assert "G0SECRET" in [channel["id"] for channel in alice["channels"]]
    assert "G0SECRET" not in [channel["id"] for channel in bob["channels"]]
    assert [m["text"] for m in (await messages(browser, "U0ALICE"))] == ["psst"]
    assert await messages(browser, "U0BOB") == []
    async with browser.get("/page/messages", params={"user": "U0BOB", "channel": "G0SECRET"}) as answer:
        assert answer.status == 404
    for nobody in ("U0LEFT", "U0SAYSO", "U0X"):
        async with browser.get("/page/state", params={"user": nobody}) as answer:
            assert answer.status == 404


async def messages(browser: aiohttp.ClientSession, user: str) -> list[Json]:
    body = await look(browser, "/page/messages", user=user, channel="C0DEPLOYS")
    found: list[Json] = body["messages"]
    return found


async def test_a_gesture_that_cannot_be_is_explained(browser: aiohttp.ClientSession) -> None:
    async def gesture(name: str, body: Any) -> tuple[int, Any]:
        async with browser.post(f"/page/{name}", json=body) as answer:
            return answer.status, await answer.json() if answer.status == 200 else None

    click = {"user": "U0DANA", "channel": "C0DEPLOYS", "ts": "1.0", "action_id": "a", "block_id": "b"}
    status, body = await gesture("click", click)
    assert (status, body["error"]) == (200, "cannot")
    status, body = await gesture("say", {"user": "U0DANA", "channel": "C0DEPLOYS", "text": "/nonsense"})
    assert body["message"] == "/nonsense is not a valid command"
    assert (await gesture("say", {"user": "U0DANA"}))[0] == 400
    assert (await gesture("say", ["x"]))[0] == 400
    assert (await gesture("submit", {"user": "U0DANA", "view_id": "V", "values": "x"}))[0] == 400


async def test_live_updates_reach_only_whom_they_concern(
    sandbox: Sandbox, client: AsyncWebClient, browser: aiohttp.ClientSession
) -> None:
    async with browser.get("/page/events", params={"user": "U0BOB"}) as stream:
        assert await stream.content.readline() == b": hello\n"
        await client.chat_postEphemeral(channel="C0DEPLOYS", user="U0ALICE", text="not for bob")
        await client.chat_postMessage(channel="C0DATA", text="for all", blocks=APPROVE_CARD)
        frame = await _next_frame(stream)
    assert frame == {"kind": "message", "channel": "C0DATA"}


async def _next_frame(stream: aiohttp.ClientResponse) -> Json:
    async with asyncio.timeout(5):
        while not (line := await stream.content.readline()).startswith(b"data: "):
            pass
    frame: Json = json.loads(line.removeprefix(b"data: "))
    return frame


async def test_a_stream_ends_when_the_sandbox_stops() -> None:
    async with aiohttp.ClientSession() as session:
        async with Sandbox() as sandbox:
            stream = await session.get(f"{sandbox.url}/page/events", params={"user": "U0BOB"})
            assert await stream.content.readline() == b": hello\n"
        with pytest.raises(aiohttp.ClientError):
            await stream.content.read()
        stream.close()
