"""Socket Mode: a bad token is an error, not a wait; and what the connection says of itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from handlers.slack.blocks import APPROVE
from handlers.slack.door import open_door
from handlers.slack.errors import NotReady
from handlers.slack.socket import MOST, SocketMode
from tests.handlers.slack.world import KEY, World, a_world


async def test_a_connected_door_says_so_and_counts_its_connections() -> None:
    async with a_world("socket") as world:
        assert await world.door.is_connected()
        line = await world.door.line()
        assert (line.connected, line.connections, line.hellos) == (True, 1, 1)
    assert not await world.door.is_connected()


async def test_an_http_door_is_always_connected() -> None:
    async with a_world("http") as world:
        assert await world.door.is_connected()


async def test_a_bad_app_token_is_a_clear_error() -> None:
    async with a_world("http") as world:
        app = world.door._listening(world.approvals, world.commands)
        socket = SocketMode(app, "xapp-wrong")
        try:
            with pytest.raises(NotReady, match="connections:write"):
                await socket.connect()
        finally:
            await socket.close()


async def test_slack_out_of_reach_is_a_clear_error() -> None:
    async with a_world("http") as world:
        app = world.door._listening(world.approvals, world.commands)
        await world.sandbox.stop()
        socket = SocketMode(app, world.sandbox.app_token, timeout=2.0)
        try:
            with pytest.raises(NotReady, match="network"):
                await socket.connect()
        finally:
            await socket.close()


async def test_the_eleventh_replica_does_not_start_and_is_told_why() -> None:
    async with a_world("http") as world, AsyncExitStack() as stack:
        app = world.door._listening(world.approvals, world.commands)
        world.sandbox.workspace.app.request_url = None
        for _ in range(MOST):
            await _connected(stack, SocketMode(app, world.sandbox.app_token))
        with pytest.raises(NotReady, match="fewer replicas"):
            await _connected(stack, SocketMode(app, world.sandbox.app_token))


async def test_a_connection_that_slack_ends_is_opened_anew_and_clicks_arrive() -> None:
    async with a_world("socket") as world:
        request = await world.ask()
        await world.sandbox.socket.disconnect("refresh_requested")
        await _connected_anew(world)
        assert (await world.click("U0ALICE", request, APPROVE)).ok
        line = await world.door.line()
        assert line.connected
        assert line.hellos >= 2


async def test_a_half_open_connection_is_noticed_and_opened_anew() -> None:
    """Nothing gets through any more, either way: python-slack-sdk sees it by the pongs that stay away."""
    async with a_world("socket", ping=0.2) as world:
        world.sandbox.socket.connections[0].frozen = True
        await _connected_anew(world)
        assert (await world.click("U0ALICE", await world.ask(), APPROVE)).ok
        assert (await world.door.line()).hellos == 2


async def test_closing_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with a_world("socket"):
        pass
    assert asyncio.all_tasks() <= before


@pytest.mark.parametrize(("token", "remedy"), [("xoxb-wrong", "Bot User OAuth Token"), ("", "Bot User OAuth Token")])
async def test_a_bad_bot_token_is_known_before_anything_starts(token: str, remedy: str) -> None:
    async with a_world("http") as world:
        with pytest.raises(NotReady, match=remedy):
            await _open(world, world.session, token)


async def test_a_missing_scope_is_known_before_anything_starts() -> None:
    async with a_world("http") as world:
        world.sandbox.workspace.app.scopes.discard("users:read")
        with pytest.raises(NotReady, match="users:read"):
            await _open(world, world.session, world.sandbox.bot_token)


async def test_a_door_needs_exactly_one_way_in() -> None:
    async with a_world("http") as world:
        with pytest.raises(ValueError, match="either"):
            await open_door(
                session=world.session,
                bot_token=world.sandbox.bot_token,
                seal_key=KEY,
                app_token="xapp-1",
                signing_secret="s",
                base_url=world.sandbox.api_url,
            )


async def _connected(stack: AsyncExitStack, socket: SocketMode) -> None:
    stack.push_async_callback(socket.close)
    await socket.connect()


async def _connected_anew(world: World) -> None:
    """Wait until there is a second connection, and no first one."""

    def anew() -> bool | None:
        return [one.number for one in world.sandbox.socket.connections] == [2] or None

    await world.sandbox.wait_for(anew, 10.0)


async def _open(world: World, session: aiohttp.ClientSession, token: str) -> None:
    await open_door(session=session, bot_token=token, seal_key=KEY, signing_secret="s", base_url=world.sandbox.api_url)
