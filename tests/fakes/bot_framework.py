"""The Bot Framework on loopback, between a client like Teams and a bot: signs what people do, passes on what comes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.fakes.entra import a_token

MESSAGES = "/messages"
CONNECTOR = "/connector"

Json = dict[str, Any]


@dataclass
class Sent:
    """A message that the bot sent, in its present version."""

    id: str
    conversation: str
    activity: Json

    @property
    def card(self) -> Json:
        """The card it shows."""
        shown: Json = self.activity["attachments"][0]["content"]
        return shown


@dataclass
class BotFramework:
    """Between `client`, the address of a client's connector, and `bot`, that of a bot's endpoint.

    The tokens name our own service address whatever a body says, as Microsoft's do: who posts a body does not choose
    its token.
    """

    session: aiohttp.ClientSession
    url: str = ""
    client: str = ""
    bot: str = ""
    heard: list[tuple[Json, int]] = field(default_factory=list)  #: what people did, and how that was answered
    sent: dict[str, Sent] = field(default_factory=dict)  #: what the bot sent, by its id

    def __post_init__(self) -> None:
        self.changed = asyncio.Event()  #: set whenever anything was heard or sent

    @property
    def service(self) -> str:
        """The service address under which the bot finds the connector."""
        return f"{self.url}{CONNECTOR}"

    def routes(self) -> list[web.RouteDef]:
        """Everything it answers."""
        return [web.post(MESSAGES, self._hear), web.route("*", f"{CONNECTOR}/{{path:.+}}", self._pass)]

    async def deliver(self, activity: Json) -> tuple[int, Any]:
        """Sign an activity and give it to the bot; returns the status and the document of the answer."""
        headers = {"Authorization": f"Bearer {a_token(self.service)}"}
        async with self.session.post(self.bot, json=activity, headers=headers) as answer:
            self.heard.append((activity, answer.status))
            self.changed.set()
            body = await answer.text()
            return answer.status, json.loads(body) if body else {}

    async def _hear(self, request: web.Request) -> web.Response:
        status, document = await self.deliver(await request.json())
        return web.json_response(document, status=status)

    async def _pass(self, request: web.Request) -> web.Response:
        """Pass a call of the bot on to the client, and remember the message that came of it."""
        path, body = request.match_info["path"], await request.read()
        url = f"{self.client}/{path}"
        headers = {"Content-Type": "application/json"}
        async with self.session.request(request.method, url, data=body, headers=headers) as answer:
            found = await answer.read()
            if answer.ok and request.method in ("POST", "PUT") and "/activities" in path:
                self._remember(path.split("/")[2], json.loads(body), json.loads(found))
            return web.Response(body=found, status=answer.status, content_type="application/json")

    def _remember(self, conversation: str, activity: Json, answer: Json) -> None:
        self.sent[answer["id"]] = Sent(answer["id"], conversation, activity)
        self.changed.set()
