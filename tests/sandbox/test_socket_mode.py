"""Socket Mode, frame by frame with a bare WebSocket, and through slack-bolt's reconnecting client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.sandbox.conftest import APPROVE_CARD, over_socket, web_client

Json = dict[str, Any]


async def address(sandbox: Sandbox) -> str:
    async with web_client(sandbox, sandbox.app_token) as client:
        answer = await client.apps_connections_open(app_token=sandbox.app_token)
        return str(answer["url"])


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(await address(sandbox), autoping=False) as socket:
        yield socket


async def posted(client: AsyncWebClient) -> str:
    return str((await client.chat_postMessage(channel="C0DEPLOYS", text="x", blocks=APPROVE_CARD))["ts"])


async def test_hello_counts_the_connections(sandbox: Sandbox) -> None:
    async with connected(sandbox) as first, connected(sandbox) as second:
        hello, later = await first.receive_json(), await second.receive_json()
    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert later["num_connections"] == 2
    assert hello["connection_info"] == {"app_id": "A0SAYSO"}


async def test_an_address_works_once(sandbox: Sandbox) -> None:
    url = await address(sandbox)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_a_click_is_an_envelope_and_its_ack_carries_no_payload(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await posted(client)
    async with connected(sandbox) as socket:
        await socket.receive_json()
        click = asyncio.create_task(sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve"))
        envelope = await socket.receive_json()
        await socket.send_str("not json")
        await socket.send_json({"envelope_id": "somebody-elses"})
        await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "ignored"}})
        delivery = await click
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("interactive", False)
    assert envelope["payload"]["type"] == "block_actions"
    assert (delivery.ok, delivery.transport, delivery.body) == (True, "socket", None)


async def test_clicks_are_spread_over_the_connections(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await posted(client)
    async with connected(sandbox) as first, connected(sandbox) as second:
        for socket in (first, second):
            await socket.receive_json()
        clicks = [asyncio.create_task(sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve")) for _ in range(4)]
        for socket in (first, second, first, second):
            envelope = await socket.receive_json()
            await socket.send_json({"envelope_id": envelope["envelope_id"]})
        assert all([(await click).ok for click in clicks])


async def test_the_eleventh_connection_is_sent_away(sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connected(sandbox))
        await sandbox.wait_for(lambda: len(sandbox.socket.connections) == 10)
        async with connected(sandbox) as eleventh:
            frame = await eleventh.receive_json()
            assert (frame["type"], frame["reason"]) == ("disconnect", "too_many_websockets")
            assert (await eleventh.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_pings_are_answered_until_the_connection_is_half_open(sandbox: Sandbox) -> None:
    async with connected(sandbox) as socket:
        await socket.receive_json()
        await socket.ping(b"there?")
        assert (await socket.receive()).data == b"there?"
        await sandbox.socket.ping()
        assert (await socket.receive()).type is aiohttp.WSMsgType.PING
        sandbox.socket.connections[0].frozen = True
        await socket.ping(b"still there?")
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.1)


async def test_an_ack_on_another_socket_counts_only_if_it_is_said_to(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await posted(client)
    sandbox.ack_deadline = 0.2

    async def click_and_ack_elsewhere() -> str | None:
        async with connected(sandbox) as first, connected(sandbox) as second:
            sockets = {}
            for socket in (first, second):
                await socket.receive_json()
                sockets[asyncio.create_task(socket.receive_json())] = socket
            click = asyncio.create_task(sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve"))
            done, idle = await asyncio.wait(sockets, return_when=asyncio.FIRST_COMPLETED)
            (got,), (other,) = done, idle
            await sockets[other].send_json({"envelope_id": got.result()["envelope_id"]})
            delivery = await click
            other.cancel()
            await asyncio.wait([other])
            return delivery.error

    assert await click_and_ack_elsewhere() is None
    sandbox.socket.acks_on_other_sockets = False
    assert await click_and_ack_elsewhere() == "timeout"


async def test_bolt_reconnects_when_told_to(sandbox: Sandbox, client: AsyncWebClient) -> None:
    app = AsyncApp(client=client)

    @app.action("approve")
    async def approve(ack: AsyncAck) -> None:
        await ack()

    ts = await posted(client)
    async with over_socket(sandbox, app):
        (first,) = await sandbox.wait_for(lambda: list(sandbox.socket.connections))
        await sandbox.socket.disconnect("refresh_requested")
        await sandbox.wait_for(lambda: [one for one in sandbox.socket.connections if one is not first])
        await sandbox.wait_for(lambda: first not in sandbox.socket.connections)
        assert (await sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve")).ok


async def test_a_warning_leaves_the_connection_open(sandbox: Sandbox) -> None:
    async with connected(sandbox) as socket:
        await socket.receive_json()
        await sandbox.socket.disconnect("warning")
        assert (await socket.receive_json())["reason"] == "warning"
        await socket.ping(b"x")
        assert (await socket.receive()).type is aiohttp.WSMsgType.PONG


async def test_an_unacknowledged_event_is_sent_again_with_its_attempt(sandbox: Sandbox) -> None:
    sandbox.ack_deadline = 0.1
    async with connected(sandbox) as socket:
        await socket.receive_json()
        await sandbox.send_event({"type": "app_home_opened", "user": "U0DANA"})
        first, second = await socket.receive_json(), await socket.receive_json()
        await socket.send_json({"envelope_id": second["envelope_id"]})
        await sandbox.wait_for(lambda: sandbox.deliveries[-1].ok)
    assert (first["type"], first["retry_attempt"]) == ("events_api", 0)
    assert (second["retry_attempt"], second["retry_reason"]) == (1, "http_timeout")
    assert first["payload"]["event_id"] == second["payload"]["event_id"]
