"""Signed HTTP: signatures as Slack makes them, refused when wrong or old; events and their retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from slack_bolt.async_app import AsyncAck
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from sandbox.delivery.http import sign
from tests.loopback import served
from tests.sandbox.conftest import APPROVE_CARD, http_app, over_http

Json = dict[str, Any]


def test_the_signature_is_slacks_own() -> None:
    body, timestamp = "token=xyzz0WbapA4vBCDEFasx0q6G&text=94070", "1531420618"
    verifier = SignatureVerifier("8f742231b10e8888abcd99yyyzzz85a5", clock=_At(1531420618))
    assert verifier.is_valid(body, timestamp, sign("8f742231b10e8888abcd99yyyzzz85a5", timestamp, body))


class _At(Clock):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return self._seconds


async def test_bolt_refuses_a_wrong_signature_and_an_old_one(sandbox: Sandbox, client: AsyncWebClient) -> None:
    app = http_app(sandbox, client)
    clicks: list[str] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        clicks.append(body["user"]["id"])
        await ack()

    async with over_http(sandbox, app):
        ts = (await client.chat_postMessage(channel="C0DEPLOYS", text="x", blocks=APPROVE_CARD))["ts"]
        sandbox.faults.add(delivery="block_actions", bad_signature=True)
        forged = await sandbox.click("U0MALLORY", "C0DEPLOYS", ts, "approve")
        sandbox.faults.add(delivery="block_actions", timestamp_offset=-301)
        old = await sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve")
        good = await sandbox.click("U0ALICE", "C0DEPLOYS", ts, "approve")

    assert (forged.status, old.status, good.status) == (401, 401, 200)
    assert (forged.error, good.error) == ("http_401", None)
    assert clicks == ["U0ALICE"]


async def test_the_request_url_is_verified_with_a_challenge(sandbox: Sandbox, client: AsyncWebClient) -> None:
    async with over_http(sandbox, http_app(sandbox, client)):
        assert await sandbox.verify_url()
    sandbox.connect_http("http://127.0.0.1:9/nobody")
    assert not await sandbox.verify_url()


async def test_an_event_is_retried_three_times_with_its_number_and_reason(sandbox: Sandbox) -> None:
    seen: list[tuple[str | None, str | None, str]] = []

    async def failing(request: web.Request) -> web.Response:
        body = await request.json()
        headers = request.headers
        seen.append((headers.get("X-Slack-Retry-Num"), headers.get("X-Slack-Retry-Reason"), body["event_id"]))
        return web.Response(status=500)

    async with _served(sandbox, failing):
        first = await sandbox.send_event({"type": "app_home_opened", "user": "U0DANA"})
        await sandbox.wait_for(lambda: len(sandbox.log.deliveries_of("events_api")) == 4)

    assert first.error == "http_500"
    assert [number for number, _, _ in seen] == [None, "1", "2", "3"]
    assert {reason for _, reason, _ in seen[1:]} == {"http_error"}
    assert len({event_id for _, _, event_id in seen}) == 1


async def test_an_app_may_ask_for_no_retry(sandbox: Sandbox) -> None:
    async def refusing(request: web.Request) -> web.Response:
        return web.Response(status=500, headers={"X-Slack-No-Retry": "1"})

    async with _served(sandbox, refusing):
        await sandbox.send_event({"type": "app_home_opened", "user": "U0DANA"})
        assert len(sandbox.deliveries) == 1
        assert sandbox.idle


async def test_people_and_mentions_are_events_only_for_who_subscribes(sandbox: Sandbox, client: AsyncWebClient) -> None:
    app = http_app(sandbox, client)
    heard: asyncio.Queue[Json] = asyncio.Queue()

    @app.event("message")
    async def message(event: Json) -> None:
        await heard.put(event)

    @app.event("app_mention")
    async def mention(event: Json) -> None:
        await heard.put(event)

    async with over_http(sandbox, app):
        await sandbox.say("U0DANA", "C0DEPLOYS", "nobody listens yet")
        sandbox.workspace.app.events |= {"message.channels", "app_mention"}
        await sandbox.say("U0DANA", "C0DEPLOYS", "hello @sayso")
        async with asyncio.timeout(5):
            events = [await heard.get(), await heard.get()]

    assert {event["type"] for event in events} == {"message", "app_mention"}
    assert {event["text"] for event in events} == {"hello <@U0SAYSO|sayso>"}
    assert {event["channel_type"] for event in events} == {"channel"}


async def test_an_answer_slack_cannot_read_is_a_failure(sandbox: Sandbox, client: AsyncWebClient) -> None:
    async def garbled(request: web.Request) -> web.Response:
        return web.Response(text="{", content_type="application/json")

    async with _served(sandbox, garbled):
        assert (await sandbox.command("U0DANA", "C0DEPLOYS", "/sayso")).error == "invalid_json"


@asynccontextmanager
async def _served(sandbox: Sandbox, handler: Any) -> AsyncIterator[None]:
    async with served([web.post("/", handler)]) as url:
        sandbox.connect_http(f"{url}/")
        yield
