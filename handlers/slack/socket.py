"""Slack over Socket Mode: a connection that we open, so that no address of ours need be public."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

from handlers.slack.api import called
from handlers.slack.errors import ApiProblem, ApiRefused, NotReady
from handlers.slack.watch import SlackWatch

log = structlog.get_logger(__name__)

MOST = 10  #: connections that Slack lets one app have
PING = 10.0  #: seconds from ping to ping; a connection that answers none is opened anew after about 2.4 of them
_TOO_MANY = "too_many_websockets"


@dataclass(frozen=True)
class Line:
    """The connection as it is now.

    `connections` is how many the app has, as Slack's last hello said: more than there are replicas means that clicks
    go to connections nobody reads any more (python-slack-sdk #1940). `hellos` counts how often Slack said it.
    """

    connected: bool
    connections: int = 0
    hellos: int = 0


class SocketMode:
    """One Socket Mode connection, kept open by the SDK, which opens it anew when it is ended or half-open."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        *,
        timeout: float = 15.0,
        ping: float = PING,
        watch: SlackWatch | None = None,
    ) -> None:
        self._app_token = app_token
        self._timeout = timeout
        self._web = app.client
        self._watch = watch or SlackWatch()
        self._handler = AsyncSocketModeHandler(app, app_token, ping_interval=ping)
        self._handler.client.on_message_listeners.append(self._heard)
        self._first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connections = 0
        self._hellos = 0

    async def connect(self) -> None:
        """Connect, and hear Slack's hello; raises NotReady.

        The token is tried first, and the first frame waited for: with a bad token, or as the eleventh connection, the
        SDK would try for ever.
        """
        try:
            await called(self._web.apps_connections_open(app_token=self._app_token), timeout=self._timeout)
            async with asyncio.timeout(self._timeout):
                await self._handler.connect_async()  # type: ignore[no-untyped-call]  # bolt leaves it so
                said = await self._first
        except (ApiProblem, TimeoutError) as exc:
            raise _not_ready(exc) from exc
        if said == _TOO_MANY:
            raise NotReady(
                f"Slack lets this app have {MOST} connections, and it has them",
                "run fewer replicas, or let Slack call them over HTTP; connections of processes that died end by"
                " themselves within some minutes",
            )

    async def line(self) -> Line:
        """The connection as it is now."""
        return Line(await self.is_connected(), self._connections, self._hellos)

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
            self._connections = int(frame.get("num_connections") or 0)
            self._hellos += 1
            self._watch.connected()
            self._begun("hello")
        elif frame.get("type") == "disconnect":
            reason = str(frame.get("reason"))
            self._watch.disconnected(reason)
            log.info("slack_socket_disconnect", reason=reason)
            self._begun(reason)

    def _begun(self, said: str) -> None:
        if not self._first.done():
            self._first.set_result(said)


def _not_ready(problem: Exception) -> NotReady:
    if not isinstance(problem, ApiRefused):
        return NotReady(f"Slack's Socket Mode does not answer ({type(problem).__name__})", "check the network")
    return NotReady(
        f"Slack refuses the app-level token ({problem.code})",
        "make one with the scope connections:write under Basic Information of the app's settings; it begins with xapp-",
    )
