"""A sandbox, a clock that tests turn by hand, and real Slack apps (slack-bolt) over both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox, Workspace
from tests.loopback import served

START = 1_800_000_000.0


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def unhurried(clock: Clock) -> Sandbox:
    """A sandbox without rate limits, whose ack deadline is short enough for tests."""
    workspace = Workspace.demo(now=clock)
    return Sandbox(workspace, enforce_rate_limits=False, ack_deadline=2.0, event_retry_delays=(0, 0, 0))


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with unhurried(clock) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncWebClient]:
    async with web_client(sandbox) as client:
        yield client


@asynccontextmanager
async def web_client(sandbox: Sandbox, token: str | None = None) -> AsyncIterator[AsyncWebClient]:
    """The real client of slack_sdk, pointed at the sandbox."""
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(token or sandbox.bot_token, base_url=sandbox.api_url, session=session)


@asynccontextmanager
async def over_http(sandbox: Sandbox, app: AsyncApp) -> AsyncIterator[str]:
    """Serve a bolt app on loopback, checking signatures, and point the sandbox at it."""

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    async with served([web.post("/slack/events", handle)]) as base:
        url = f"{base}/slack/events"
        sandbox.connect_http(url)
        try:
            yield url
        finally:
            sandbox.connect_http(None)


@asynccontextmanager
async def over_socket(sandbox: Sandbox, app: AsyncApp) -> AsyncIterator[AsyncSocketModeHandler]:
    """Connect a bolt app by Socket Mode."""
    handler = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # slack-bolt has no types here
    try:
        yield handler
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # slack-bolt has no types here


def http_app(sandbox: Sandbox, client: AsyncWebClient) -> AsyncApp:
    """A bolt app that checks the sandbox's signatures."""
    return AsyncApp(client=client, signing_secret=sandbox.signing_secret)


def button(text: str, action_id: str, value: str = "v", **more: object) -> dict[str, object]:
    """A Block Kit button."""
    label = {"type": "plain_text", "text": text}
    return {"type": "button", "text": label, "action_id": action_id, "value": value, **more}


def card(*buttons: dict[str, object]) -> list[dict[str, object]]:
    """A section and a row of buttons."""
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": "*Release* the payment?"}},
        {"type": "actions", "block_id": "row", "elements": list(buttons)},
    ]


APPROVE_CARD = card(button("Approve", "approve", "r1"), button("Deny", "deny", "r1"))
