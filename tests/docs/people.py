"""People at the sandbox's page, who find a card and press a button: over HTTP, exactly as the page does it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import aiohttp

from handlers.slack.blocks import APPROVE, DENY
from handlers.slack.reason import REASON

T = TypeVar("T")
Json = dict[str, Any]

PATIENCE = 40.0  #: seconds after which something that should have happened has not
GESTURE = re.compile(r'(\w+) (approves|denies) ([\w.-]+)(?: because "([^"]+)")?(?:, and reads "([^"]+)")?')


class People:
    """Everybody in one workspace, each by name."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def act(self, gestures: str) -> None:
        """Do what a line says: `carol denies report-2020 because "the audit needs it"; alice approves payments`."""
        for gesture in gestures.split("; "):
            found = GESTURE.fullmatch(gesture.strip())
            assert found, f"nobody understands {gesture!r}"
            await self._act(*found.groups())

    async def _act(self, name: str, verb: str, about: str, reason: str | None, reads: str | None) -> None:
        user = f"U0{name.upper()}"
        await self._press(user, about, APPROVE if verb == "approves" else DENY)
        if verb == "denies":
            (view,) = (await self._get("state", user=user))["views"]
            sent = await self._post("submit", {"user": user, "view_id": view["id"], "values": {REASON: reason}})
            assert sent["ok"], sent
        if reads:
            await self._see(user, reads, lambda shown: _told(shown, reads))

    async def _press(self, user: str, about: str, button: str) -> None:
        """Press a button of the first card about something; a card that changes under one's hand is looked at again."""
        while True:
            place, card, block = await self._see(user, f"a card about {about}", lambda shown: _card(shown, about))
            about_it = {"user": user, "channel": place, "ts": card, "action_id": button, "block_id": block}
            outcome = await self._post("click", about_it)
            if outcome["ok"]:
                return
            assert outcome["error"] == "cannot", outcome

    async def _see(self, user: str, what: str, find: Callable[[list[Json]], T | None]) -> T:
        """Wait until this person sees something in one of their channels; look again whenever the page says so."""
        shown: list[Json] = []
        try:
            async with asyncio.timeout(PATIENCE), self._session.get(f"{self._url}/page/events?user={user}") as events:
                async for _ in events.content:
                    shown = [message async for message in self._screen(user)]
                    if (found := find(shown)) is not None:
                        return found
        except TimeoutError:
            pass
        raise AssertionError(f"{user} never saw {what}, but {[message['text'] for message in shown]}")

    async def _screen(self, user: str) -> AsyncIterator[Json]:
        """Every message this person can see, with the place it stands in."""
        for channel in (await self._get("state", user=user))["channels"]:
            for message in (await self._get("messages", user=user, channel=channel["id"]))["messages"]:
                yield message | {"place": channel["id"]}

    async def _get(self, what: str, **query: str) -> Json:
        async with self._session.get(f"{self._url}/page/{what}", params=query) as answer:
            found: Json = await answer.json()
            return found

    async def _post(self, gesture: str, body: Json) -> Json:
        async with self._session.post(
            f"{self._url}/page/{gesture}", json=body, headers={"Origin": self._url}
        ) as answer:
            outcome: Json = await answer.json()
            return outcome


def _card(messages: list[Json], about: str) -> tuple[str, str, str] | None:
    """The channel, the time stamp and the buttons' block of the first card about something that can be answered."""
    for message in messages:
        for block in message.get("blocks") or ():
            buttons = [element.get("action_id") for element in block.get("elements") or ()]
            if APPROVE in buttons and about in str(message["blocks"]):
                return message["place"], message["ts"], block["block_id"]
    return None


def _told(messages: list[Json], words: str) -> bool | None:
    return any(message["ephemeral"] and words in str(message) for message in messages) or None
