"""The Bot Connector on loopback: its limits and errors as Microsoft documents them, and faults on demand.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]

#: How many messages a bot may send into a thread, in so many seconds.
LIMITS = ((7, 1.0), (8, 2.0), (60, 30.0), (1_800, 3_600.0))
LARGEST = 100_000  #: bytes of a message in UTF-16


@dataclass
class Message:
    """A message in a conversation, and every version it had."""

    id: str
    conversation: str
    versions: list[Json] = field(default_factory=list)

    @property
    def card(self) -> Json:
        """The card it shows now."""
        shown: Json = self.versions[-1]["attachments"][0]["content"]
        return shown


@dataclass
class Fault:
    """What becomes of the next call of a kind: an error, or no answer; `done` says whether it works all the same."""

    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    done: bool = False


class FakeConnector:
    """One tenant's conversations. `now` is a clock in seconds; rates are enforced by it."""

    def __init__(self, now: Callable[[], float], *, token: str = "token-for-https://api.botframework.com") -> None:
        self._now = now
        self._token = token
        self.url = ""
        self.messages: dict[str, Message] = {}
        self.installed: set[str] = set()
        self.kinds: dict[str, str] = {}  #: of channels that are not standard ones
        self.rosters: dict[str, list[Json]] = {}
        self.personal: dict[str, str] = {}
        self.limits: tuple[tuple[int, float], ...] = LIMITS
        self.strangers: set[str] = set()  #: object ids that cannot be mentioned
        self.page = 2  #: members on a page of a roster
        self.asked: list[str] = []
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.silent = asyncio.Event()
        self.changed = asyncio.Event()  #: set whenever a message was posted or changed
        self._sent: defaultdict[str, list[float]] = defaultdict(list)
        self._ids = itertools.count(1)

    @property
    def service(self) -> str:
        """The service address of this tenant."""
        return f"{self.url}/emea/"

    def fail(self, kind: str, *faults: Fault) -> None:
        """Let the next calls of a kind (send, update, create, members) go wrong."""
        self.faults[kind] += faults

    def cards(self, conversation: str) -> list[Message]:
        """The messages in a conversation that show a card, oldest first."""
        found = [one for one in self.messages.values() if one.conversation.partition(";")[0] == conversation]
        return [one for one in found if one.versions[-1].get("attachments")]

    def routes(self) -> list[web.RouteDef]:
        """Everything it answers."""
        base = "/emea/v3/conversations"
        return [
            web.post(base, self._handled("create", self._create)),
            web.post(f"{base}/{{place}}/activities", self._handled("send", self._send)),
            web.put(f"{base}/{{place}}/activities/{{id}}", self._handled("update", self._update)),
            web.get(f"{base}/{{place}}/pagedmembers", self._handled("members", self._members)),
            web.get(f"{base}/{{place}}/members/{{id}}", self._handled("member", self._member)),
            web.get("/emea/v3/teams/{team}/conversations", self._handled("channels", self._channels)),
        ]

    def _handled(self, kind: str, how: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            self.asked.append(kind)
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                return _error(401, "Unauthorized")
            fault = self.faults[kind].pop(0) if self.faults[kind] else None
            if fault is None or fault.done:
                answer: web.Response = await how(request)
                if fault is None:
                    return answer
            if fault.status == 0:
                await self.silent.wait()
            return _error(fault.status, fault.code, fault.headers)

        return handle

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        user = wanted["members"][0]["id"]
        if wanted["tenantId"] != wanted["channelData"]["tenant"]["id"] or wanted["isGroup"]:
            return _error(400, "BadSyntax")
        if user not in self.personal:
            return _error(403, "BotNotInConversationRoster")
        return web.json_response({"id": self.personal[user]}, status=201)

    async def _send(self, request: web.Request) -> web.Response:
        place, activity = request.match_info["place"], await request.json()
        if place.partition(";")[0] not in self.installed:
            return _error(403, "BotNotInConversationRoster")
        if refused := self._too_large(activity) or self._too_fast(place) or self._mentions_wrongly(activity):
            return refused
        message = Message(str(1_700_000_000_000 + next(self._ids)), place, [activity])
        self.messages[message.id] = message
        self.changed.set()
        return web.json_response({"id": message.id}, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        message, activity = self.messages.get(request.match_info["id"]), await request.json()
        if message is None or message.conversation != request.match_info["place"]:
            return _error(404, "ActivityNotFoundInConversation")
        if refused := self._too_large(activity):
            return refused
        message.versions.append(activity)
        self.changed.set()
        return web.json_response({"id": message.id})

    async def _channels(self, request: web.Request) -> web.Response:
        """The channels of the one team there is: whoever is in one of them is in the team."""
        if not self.installed:
            return _error(403, "BotNotInConversationRoster")
        listed = sorted({*self.kinds, *(place for place in self.installed if place.endswith("tacv2"))})
        channels = [{"id": place, "name": place, "type": self.kinds.get(place, "standard")} for place in listed]
        return web.json_response({"conversations": channels})

    async def _members(self, request: web.Request) -> web.Response:
        roster = self.rosters.get(request.match_info["place"])
        if roster is None and request.match_info["place"] not in self.installed:
            return _error(403, "BotNotInConversationRoster")
        if roster is None:
            return _error(404, "ConversationNotFound")
        start = int(request.query.get("continuationToken", "0"))
        page: Json = {"members": roster[start : start + self.page]}
        if start + self.page < len(roster):
            page["continuationToken"] = str(start + self.page)
        return web.json_response(page)

    async def _member(self, request: web.Request) -> web.Response:
        roster = self.rosters.get(request.match_info["place"], [])
        found = next((one for one in roster if one["id"] == request.match_info["id"]), None)
        return web.json_response(found) if found else _error(404, "MemberNotFoundInConversation")

    def _too_large(self, activity: Json) -> web.Response | None:
        size = len(json.dumps(activity, ensure_ascii=False).encode("utf-16-le"))
        return _error(413, "MessageSizeTooBig") if size > LARGEST else None

    def _mentions_wrongly(self, activity: Json) -> web.Response | None:
        """Every mention stands once in what its card says, and names somebody who can be mentioned."""
        for attachment in activity.get("attachments", []):
            entities = attachment["content"].get("msteams", {}).get("entities", [])
            said = json.dumps(_marked_up(attachment["content"]), ensure_ascii=False)
            if said.count("<at>") != len(entities) or any(said.count(one["text"]) != 1 for one in entities):
                return _error(400, "BadSyntax")
            if any(one["mentioned"]["id"] in self.strangers for one in entities):
                return _error(400, "BadSyntax")
        return None

    def _too_fast(self, place: str) -> web.Response | None:
        sent, now = self._sent[place], self._now()
        for most, seconds in self.limits:
            if sum(1 for at in sent if now - at < seconds) >= most:
                return _error(429, "TooManyRequests", {"Retry-After": "3"})
        sent.append(now)
        return None


def _marked_up(node: Any) -> list[str]:
    """The texts of a card in which Teams reads mentions."""
    if isinstance(node, list):
        return [text for one in node for text in _marked_up(one)]
    if not isinstance(node, dict):
        return []
    if node.get("type") == "TextBlock":
        return [node["text"]]
    return [text for one in node.values() for text in _marked_up(one)]


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {"error": {"code": code, "message": "as the real one says it"}}
    return web.json_response(body, status=status, headers=dict(headers or {}))
