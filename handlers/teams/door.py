"""The Teams door as the house builds it: platform and directory at once, what Teams calls when the service is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from approvals.commands.commands import Commands
from approvals.ports import Store
from approvals.service import Approvals
from handlers.seal import Seal
from handlers.tasks import Tasks
from handlers.teams.addresses import BOTS, GRAPH, Addresses
from handlers.teams.clicks import Clicks
from handlers.teams.connector import Connector, Rest
from handlers.teams.desk import Desk, Pause
from handlers.teams.directory import Graph, TeamsDirectory
from handlers.teams.gate import Gate
from handlers.teams.http import BUDGET, teams_routes
from handlers.teams.identity import Identity
from handlers.teams.keys import Keys
from handlers.teams.marks import Marks
from handlers.teams.places import Places
from handlers.teams.platform import LOOK_AGAIN, TeamsPlatform
from handlers.teams.press import INVOKE
from handlers.teams.shapes import Json
from handlers.teams.tokens import Build, Tokens
from handlers.teams.views import Views
from handlers.teams.watch import TeamsWatch


@dataclass(frozen=True)
class Clocks:
    """The clocks of the door, in seconds: what time it is, and what only ever grows."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Options:
    """What a door may be built with beside its credentials.

    `fallback` names the team whose roster says who is a member where Graph does not; `external` says of a destination
    whether people of other organisations may read it.
    """

    addresses: Addresses = field(default_factory=Addresses)
    clocks: Clocks = field(default_factory=Clocks)
    fallback: Callable[[], str] = lambda: ""
    external: Callable[[str], bool] = lambda destination: False
    budget: float = BUDGET
    look_again: tuple[float, ...] = LOOK_AGAIN
    pause: Pause = asyncio.sleep
    watch: TeamsWatch = field(default_factory=TeamsWatch)


class TeamsDoor:
    """One bot in one tenant. `store` keeps where it is installed, and what its answers show."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        identity: Identity,
        issuer: Build,
        seal_key: bytes,
        store: Store,
        options: Options | None = None,
    ) -> None:
        options = options or Options()
        addresses, clocks = options.addresses, options.clocks
        self.identity = identity
        self._tasks = Tasks()
        self.keys = Keys(session, self._tasks, url=addresses.openid, now=clocks.monotonic)
        self.tokens = Tokens(issuer, now=clocks.monotonic)
        self.places = Places(store.shelf)
        self.graph = Graph(Rest(session, self.tokens, GRAPH, watch=options.watch), url=addresses.graph)
        self.connector = Connector(Rest(session, self.tokens, BOTS, watch=options.watch))
        self._marks = Marks(Seal(seal_key, team=identity.tenant, app=identity.app))
        self.directory = TeamsDirectory(
            self.graph, self.connector, self.places, identity, now=clocks.monotonic, fallback=options.fallback
        )
        self.platform = TeamsPlatform(
            self.connector,
            self.places,
            identity,
            self._marks,
            names=self.directory.name,
            look_again=options.look_again,
            external=options.external,
            now=clocks.monotonic,
        )
        self._gate = Gate(
            self.keys, app=identity.app, tenant=identity.tenant, now=clocks.wall, services=addresses.services
        )
        self._store = store
        self._options = options

    def routes(self, approvals: Approvals, commands: Commands) -> list[web.RouteDef]:
        """What Teams calls."""
        options = self._options
        desk = Desk(commands, self.platform, self.identity, self._tasks, pause=options.pause)
        views = Views(approvals, self.platform, self._store, self._tasks)
        clicks = Clicks(approvals, self._marks, desk, views, watch=options.watch)

        async def dispatch(activity: Mapping[str, Any], until: float) -> Json:
            heard = self._tasks.start(self.places.heard(activity), "teams place")
            if activity.get("type") == "invoke" and activity.get("name") == INVOKE:
                return await clicks.answered(activity, until)  # which does not wait for the place
            await asyncio.wait({heard}, timeout=until - asyncio.get_running_loop().time())
            self._tasks.start(self.platform.learn(activity), "teams channels")
            if activity.get("type") == "message":
                desk.heard(activity)
            return {}

        return teams_routes(self._gate, dispatch, watch=options.watch, budget=options.budget)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """On the way out, finish what was started for activities."""
        try:
            yield
        finally:
            await self._tasks.drain()
            await self.directory.close()
            self.tokens.close()

    async def idle(self) -> None:
        """Return when what was started for activities is done."""
        await self._tasks.idle()

    async def is_connected(self) -> bool:
        """Whether clicks could be checked here, as far as can be seen: Microsoft's keys are known."""
        return await self.keys.works()
