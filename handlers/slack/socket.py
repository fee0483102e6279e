"""Slack over Socket Mode: a connection that we open, so that no address of ours need be public."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

from handlers.slack.api import called
from handlers.slack.errors import ApiProblem, ApiRefused, NotReady
from handlers.slack.watch import SlackWatch

log = structlog.get_logger(__name__)


class SocketMode:
    """One Socket Mode connection, kept open by the SDK.

    `connections` is how many the app has, as Slack's last hello said: more than there are replicas means that clicks
    go to connections nobody reads any more (python-slack-sdk #1940).
    """

    def __init__(
        self, app: AsyncApp, app_token: str, *, timeout: float = 15.0, watch: SlackWatch | None = None
    ) -> None:
        self._app_token = app_token
        self._timeout = timeout
        self._web = app.client
        self._watch = watch or SlackWatch()
        self._handler = AsyncSocketModeHandler(app, app_token)
        self._handler.client.on_message_listeners.append(self._heard)
        self.connections: int | None = None
        self.disconnects: dict[str, int] = {}  #: how often Slack ended a connection, by its reason

    async def connect(self) -> None:
        """Connect; raises NotReady. The token is tried first: with a bad one the SDK would try for ever."""
        try:
            await called(self._web.apps_connections_open(app_token=self._app_token), timeout=self._timeout)
            async with asyncio.timeout(self._timeout):
                await self._handler.connect_async()  # type: ignore[no-untyped-call]  # bolt leaves it so
        except (ApiProblem, TimeoutError) as exc:
            raise _not_ready(exc) from exc

    async def is_connected(self) -> bool:
        """Whether the connection is up now."""
        return bool(await self._handler.client.is_connected())

    async def close(self) -> None:
        """Disconnect and leave no task behind."""
        await self._handler.close_async()  # type: ignore[no-untyped-call]  # bolt leaves it so

    async def _heard(self, message: Any) -> None:
        """Look at the raw frames; hello and disconnect reach no other listener."""
        try:
            frame = json.loads(message.data)
        except (TypeError, ValueError):
            return
        if frame.get("type") == "hello":
            self.connections = frame.get("num_connections")
        elif frame.get("type") == "disconnect":
            reason = str(frame.get("reason"))
            self.disconnects[reason] = self.disconnects.get(reason, 0) + 1
            self._watch.disconnected(reason)
            log.info("slack_socket_disconnect", reason=reason)


def _not_ready(problem: Exception) -> NotReady:
    if not isinstance(problem, ApiRefused):
        return NotReady(f"Slack's Socket Mode does not answer ({type(problem).__name__})", "check the network")
    return NotReady(
        f"Slack refuses the app-level token ({problem.code})",
        "make one with the scope connections:write under Basic Information of the app's settings; it begins with xapp-",
    )
