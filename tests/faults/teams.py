"""Teams in the lives of bots that die: Microsoft's side on loopback, and people who look and click until it counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

import sayso
from tests.e2e.processes import PATIENCE, Bot
from tests.e2e.teams import teams_settings
from tests.e2e.world import World
from tests.fakes.connector import FakeConnector, Message
from tests.fakes.entra import Entra, a_token
from tests.handlers.teams.world import CHANNEL, TEAM, account, an_activity, look, press, read, titles
from tests.loopback import served

#: Both platforms are asked, and alice and bob have an account on each.
RULE: Mapping[str, Any] = {"id": "teams", "match": {"kind": ["lane1.act"]}, "destinations": [f"teams:{CHANNEL}"]}
PEOPLE: Mapping[str, Any] = {
    name: {"accounts": [f"slack:T0SAYSO:U0{name.upper()}", account(name)]} for name in ("alice", "bob", "dana")
}
SECTIONS: Mapping[str, Any] = {"people": PEOPLE, "groups": {"lanes": {"people": ["alice", "bob"]}}}


@dataclass
class TeamsSide:
    """The channel in Teams, and those who read it."""

    connector: FakeConnector
    session: aiohttp.ClientSession

    def cards(self, asked: sayso.Pending) -> list[Message]:
        """The messages that show a request, the card and its copies."""
        return [message for message in self.connector.cards(CHANNEL) if str(asked.code) in read(message.card)]

    def open(self, asked: sayso.Pending) -> list[Message]:
        """Those of them that have buttons."""
        return [message for message in self.cards(asked) if titles(message.card)]

    async def approve(self, bot: Bot, asked: sayso.Pending) -> bool:
        """Bob looks at everything, alice clicks the first that has a button then; whether she was answered."""
        await self.look(bot, asked)
        shown = self.open(asked)
        return bool(shown) and await self._send(bot, press("alice", shown[0], "Approve", service=self.service))

    async def look(self, bot: Bot, asked: sayso.Pending) -> None:
        """Bob has everything with buttons in view."""
        for message in self.open(asked):
            await self._send(bot, look("bob", message, service=self.service))

    async def settled(self, bot: Callable[[], Bot], asked: sayso.Pending) -> int:
        """Look, with whichever bot is up, until nothing has buttons and a card says how it ended; how many do."""
        async with asyncio.timeout(PATIENCE):
            while self.open(asked) or not self.decided(asked):
                self.connector.changed.clear()
                await self.look(bot(), asked)
                await _for_a_moment(self.connector.changed)
        return self.decided(asked)

    def decided(self, asked: sayso.Pending) -> int:
        """How many cards say that it was approved."""
        return sum("Approved" in read(message.card) for message in self.cards(asked))

    @property
    def service(self) -> str:
        """The service address of the tenant."""
        return self.connector.service

    async def install(self, bot: Bot) -> bool:
        """Teams tells a bot that it was added to the channel."""
        return await self._send(
            bot, an_activity(service=self.service) | {"type": "installationUpdate", "action": "add"}
        )

    async def _send(self, bot: Bot, activity: Mapping[str, Any]) -> bool:
        headers = {"Authorization": f"Bearer {a_token(self.service)}"}
        try:
            async with self.session.post(f"{bot.url}/teams/messages", json=activity, headers=headers) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False  # it died meanwhile


@asynccontextmanager
async def teams_beside(world: World) -> AsyncIterator[TeamsSide]:
    """Microsoft's side of a deployment; bots that are started from now on find it."""
    entra, connector = Entra(), FakeConnector(time.monotonic)
    connector.installed = {CHANNEL, TEAM}
    for name in PEOPLE:
        entra.add(name)
    async with AsyncExitStack() as stack:
        entra.url = await stack.enter_async_context(served(entra.routes()))
        connector.url = await stack.enter_async_context(served(connector.routes()))
        world.settings = stack.enter_context(teams_settings(world.folder, entra, f"{connector.url}/"))
        yield TeamsSide(connector, await stack.enter_async_context(aiohttp.ClientSession()))


async def _for_a_moment(event: asyncio.Event) -> None:
    """Wait for an event, or until it is time to look again."""
    with_time = asyncio.create_task(event.wait())
    await asyncio.wait([with_time], timeout=0.3)
    with_time.cancel()
