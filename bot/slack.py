"""The Slack door as the house opens and closes it, over HTTP or Socket Mode."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from approvals.ports import Post, Store
from approvals.service import Approvals
from bot.settings import Settings
from bot.signing import FileSigner
from handlers.slack.api import new_client
from handlers.slack.app import build_app
from handlers.slack.directory import SlackDirectory
from handlers.slack.http import slack_routes
from handlers.slack.identity import Identity, identify
from handlers.slack.platform import SlackPlatform
from handlers.slack.seal import Seal
from handlers.slack.socket import SocketMode
from handlers.slack.tasks import Tasks


@dataclass(frozen=True)
class Workspace:
    """A Slack workspace whose tokens are good: what the rules need of it."""

    session: aiohttp.ClientSession
    client: AsyncWebClient
    identity: Identity
    seal: Seal
    platform: SlackPlatform
    directory: SlackDirectory


@dataclass(frozen=True)
class Door:
    """How clicks come in: routes for the HTTP server, or a socket that is already connected."""

    routes: Sequence[web.RouteDef]
    socket: SocketMode | None

    async def works(self) -> bool:
        """Whether clicks can reach us."""
        return self.socket is None or await self.socket.is_connected()


@asynccontextmanager
async def open_workspace(settings: Settings, signer: FileSigner) -> AsyncIterator[Workspace | None]:
    """Ask Slack who we are; None where Slack is off. Raises NotReady for a bad token."""
    if settings.resolved_slack_mode() == "off":
        yield None
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        client = new_client(_secret(settings.slack_bot_token), session, base_url=settings.slack_api_url)
        identity = await identify(client)
        seal = Seal(signer.secret_for("slack buttons"), identity)
        directory = SlackDirectory(client, identity, now=time.monotonic)
        try:
            yield Workspace(session, client, identity, seal, SlackPlatform(client, identity, seal), directory)
        finally:
            await directory.close()


@asynccontextmanager
async def open_door(
    settings: Settings, workspace: Workspace, approvals: Approvals, store: Store
) -> AsyncIterator[Door]:
    """Let clicks in; on the way out no more come in, and what was promised privately is sent."""

    async def posts(request: str) -> Mapping[str, Post]:
        return (await store.get(request)).posts

    tasks, secret = Tasks(), _secret(settings.slack_signing_secret)
    app = build_app(
        approvals=approvals,
        client=workspace.client,
        session=workspace.session,
        identity=workspace.identity,
        seal=workspace.seal,
        posts=posts,
        tasks=tasks,
        signing_secret=secret,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tasks.drain)
        if settings.resolved_slack_mode() == "http":
            yield Door(slack_routes(app, signing_secret=secret), None)
            return
        socket = SocketMode(app, _secret(settings.slack_app_token))
        await socket.connect()
        stack.push_async_callback(socket.close)
        yield Door((), socket)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""
