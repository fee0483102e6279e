"""The Slack door as the house builds it: first who we are, then platform and directory, last the listeners."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from approvals.commands.commands import Commands
from approvals.service import Approvals
from handlers.seal import Seal
from handlers.slack.api import BASE_URL, new_client
from handlers.slack.app import build_app
from handlers.slack.directory import SlackDirectory
from handlers.slack.gestures import BUDGET
from handlers.slack.http import slack_routes
from handlers.slack.identity import Identity, identify
from handlers.slack.installed import Installed
from handlers.slack.platform import SlackPlatform
from handlers.slack.socket import PING, Line, SocketMode
from handlers.slack.watch import SlackWatch
from handlers.tasks import Tasks


class SlackDoor:
    """One workspace, by Socket Mode (`app_token`) or by HTTP (`signing_secret`); exactly one of them is given.

    `directory` and `platform` are ready at once, since the service needs them; `routes` (HTTP) and `receiving` (both)
    need the service.
    """

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        identity: Identity,
        seal_key: bytes,
        app_token: str | None,
        signing_secret: str | None,
        clock: Callable[[], float],
        budget: float,
        ping: float,
        watch: SlackWatch,
        external: Callable[[str], bool],
    ) -> None:
        if bool(app_token) == bool(signing_secret):
            raise ValueError("give either an app token (Socket Mode) or a signing secret (HTTP)")
        self.identity = identity
        self.directory = SlackDirectory(client, identity, now=clock)
        self._seal = Seal(seal_key, team=identity.team, app=identity.app)
        self.platform = SlackPlatform(client, identity, self._seal, external=external, now=clock)
        self._client = client
        self._session = session
        self._app_token = app_token
        self._signing_secret = signing_secret or ""
        self._budget = budget
        self._ping = ping
        self._watch = watch
        self._tasks = Tasks()
        self._installed = Installed(identity, watch)
        self._app: AsyncApp | None = None
        self.socket: SocketMode | None = None  #: set while receiving by Socket Mode

    def routes(self, approvals: Approvals, commands: Commands) -> list[web.RouteDef]:
        """What Slack calls in HTTP mode; nothing in Socket Mode."""
        if not self._signing_secret:
            return []
        app = self._listening(approvals, commands)
        return slack_routes(app, signing_secret=self._signing_secret, watch=self._watch)

    @asynccontextmanager
    async def receiving(self, approvals: Approvals, commands: Commands) -> AsyncIterator[None]:
        """Be connected, in Socket Mode; in both, finish on the way out what was started for clicks. Raises NotReady."""
        try:
            if self._app_token:
                app = self._listening(approvals, commands)
                self.socket = SocketMode(app, self._app_token, ping=self._ping, watch=self._watch)
                await self.socket.connect()
            yield
        finally:
            if self.socket is not None:
                await self.socket.close()
                self.socket = None
            await self._tasks.drain()
            await self.directory.close()

    async def is_connected(self) -> bool:
        """Whether clicks reach us, as far as can be seen from here: in HTTP mode as long as the app is installed."""
        if self._installed.gone:
            return False
        if not self._app_token:
            return True
        return self.socket is not None and await self.socket.is_connected()

    @property
    def by_socket(self) -> bool:
        """Whether clicks come by Socket Mode."""
        return self._app_token is not None

    async def line(self) -> Line:
        """In Socket Mode: the connection as it is now."""
        return await self.socket.line() if self.socket is not None else Line(connected=False)

    def _listening(self, approvals: Approvals, commands: Commands) -> AsyncApp:
        if self._app is None:
            self._app = build_app(
                approvals=approvals,
                client=self._client,
                session=self._session,
                identity=self.identity,
                seal=self._seal,
                commands=commands,
                tasks=self._tasks,
                installed=self._installed,
                signing_secret=self._signing_secret,
                budget=self._budget,
                watch=self._watch,
            )
        return self._app


async def open_door(
    *,
    session: aiohttp.ClientSession,
    bot_token: str,
    seal_key: bytes,
    app_token: str | None = None,
    signing_secret: str | None = None,
    base_url: str = BASE_URL,
    clock: Callable[[], float] = time.monotonic,
    budget: float = BUDGET,
    ping: float = PING,
    watch: SlackWatch | None = None,
    external: Callable[[str], bool] = lambda destination: False,
) -> SlackDoor:
    """Ask Slack who we are, once, and build the door; raises NotReady with a remedy.

    `clock` is monotonic seconds, for what the directory remembers; `budget` is the seconds a click's decision may take;
    `ping` is the seconds from ping to ping of Socket Mode; `watch` is told of everything that is worth counting;
    `external` says of a destination whether people of other organisations may read it.
    """
    watch = watch or SlackWatch()
    client = new_client(bot_token, session, base_url=base_url, watch=watch)
    return SlackDoor(
        client=client,
        session=session,
        identity=await identify(client),
        seal_key=seal_key,
        app_token=app_token,
        signing_secret=signing_secret,
        clock=clock,
        budget=budget,
        ping=ping,
        watch=watch,
        external=external,
    )
