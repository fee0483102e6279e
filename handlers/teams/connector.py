"""The Bot Connector's REST calls that we use: each once, in bounded time, with errors that say what can be done.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference; why not the SDK's
client, in docs/decisions/0008.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from handlers.teams.errors import ApiLimited, ApiProblem, ApiRefused, ApiSilent
from handlers.teams.shapes import Json, items, mapping, text
from handlers.teams.tokens import Tokens
from handlers.teams.watch import TeamsWatch

PATIENCE = 15.0  #: seconds; Microsoft's own gateways give up after ten to fifteen
_PAGE = 500
_PAGES = 20
_NOT_NOW = frozenset({412, 429})
_LONGEST_WAIT = 600.0


class Rest:
    """One JSON call to Microsoft, with a token of ours; also Graph's. The session stays the caller's."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tokens: Tokens,
        resource: str,
        *,
        watch: TeamsWatch | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._session = session
        self._tokens = tokens
        self._resource = resource
        self._watch = watch or TeamsWatch()
        self._patience = patience

    async def call(self, name: str, method: str, url: str, body: Json | None = None) -> Mapping[str, Any]:
        """The answer's JSON; `name` is ours, for the metrics. A token that was not taken is replaced, once."""
        began, code = time.perf_counter(), "no_answer"
        try:
            try:
                answer = await self._once(method, url, body)
            except ApiRefused as exc:
                if exc.status != 401:
                    raise
                self._tokens.forget(self._resource)
                answer = await self._once(method, url, body)
            code = "ok"
            return answer
        except ApiProblem as exc:
            code = exc.code if isinstance(exc, ApiRefused) else type(exc).__name__
            raise
        finally:
            self._watch.called(name, code, time.perf_counter() - began)

    async def _once(self, method: str, url: str, body: Json | None) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {await self._tokens.get(self._resource)}"}
        try:
            async with (
                asyncio.timeout(self._patience),
                self._session.request(method, url, json=body, headers=headers, allow_redirects=False) as answer,
            ):
                return _read(answer.status, answer.headers, await answer.read())
        except aiohttp.ClientConnectorError as exc:
            raise ApiSilent("Microsoft cannot be reached", maybe_done=False) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ApiSilent(f"no answer from Microsoft ({type(exc).__name__})") from exc


class Connector:
    """Messages and rosters. `service` is the service address that Teams gave for the conversation."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def send(self, service: str, conversation: str, activity: Json) -> str:
        """Post a message, at most once; returns its id."""
        url = _url(service, "conversations", conversation, "activities")
        return _id(await self._rest.call("send", "POST", url, activity))

    async def update(self, service: str, conversation: str, message: str, activity: Json) -> None:
        """Change a message. Idempotent."""
        url = _url(service, "conversations", conversation, "activities", message)
        await self._rest.call("update", "PUT", url, activity)

    async def open_personal(self, service: str, tenant: str, user: str, app: str) -> str:
        """The id of our chat with a person (by `29:…` or object id); it is made where there is none."""
        body = {
            "isGroup": False,
            "bot": {"id": f"28:{app}"},
            "members": [{"id": user}],
            "tenantId": tenant,
            "channelData": {"tenant": {"id": tenant}},
        }
        return _id(await self._rest.call("open_personal", "POST", _url(service, "conversations"), body))

    async def channels(self, service: str, team: str) -> list[Mapping[str, Any]]:
        """The channels of a team in which we are installed, with their kinds.

        https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context#get-the-list-of-channels-in-a-team
        """
        answer = await self._rest.call("channels", "GET", _url(service, "teams", team, "conversations"))
        return [mapping(channel) for channel in items(answer.get("conversations"))]

    async def member(self, service: str, conversation: str, member: str) -> Mapping[str, Any]:
        """One person of a team or chat, as its roster has them, by `29:…`."""
        url = _url(service, "conversations", conversation, "members", member)
        return await self._rest.call("member", "GET", url)

    async def reaches(self, service: str, conversation: str) -> None:
        """Nothing, where we are in a team or chat; raises ApiRefused where we are not."""
        url = f"{_url(service, 'conversations', conversation, 'pagedmembers')}?pageSize=1"
        await self._rest.call("members", "GET", url)

    async def members(self, service: str, conversation: str) -> list[Mapping[str, Any]]:
        """Everybody in a team or chat, as its roster has them."""
        found: list[Mapping[str, Any]] = []
        url, more = f"{_url(service, 'conversations', conversation, 'pagedmembers')}?pageSize={_PAGE}", ""
        for _ in range(_PAGES):
            page = await self._rest.call("members", "GET", url + more)
            found += [mapping(member) for member in items(page.get("members"))]
            token = text(page.get("continuationToken"))
            if not token:
                return found
            more = f"&continuationToken={quote(token, safe='')}"
        raise ApiRefused(413, "roster_too_long")


def _url(service: str, *parts: str) -> str:
    if any(part in ("", ".", "..") for part in parts):  # it would be another address
        raise ApiRefused(400, "no_id")
    return "/".join([f"{service.rstrip('/')}/v3", *(quote(part, safe=":@") for part in parts)])


def _id(answer: Mapping[str, Any]) -> str:
    found = text(answer.get("id"))
    if not found:
        raise ApiSilent("an answer without an id")
    return found


def _read(status: int, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    try:
        document = mapping(json.loads(body)) if body else {}
    except ValueError:
        document = {}
    if 200 <= status < 300:
        return document
    if status in _NOT_NOW:
        raise ApiLimited(_seconds(headers.get("Retry-After")))
    if status >= 500 or status == 408:
        raise ApiSilent(f"Microsoft answered {status}")
    raise ApiRefused(status, _word(mapping(document.get("error")).get("code")) or f"http_{status}")


def _word(code: Any) -> str:
    """Microsoft's code of an error, where it is one word."""
    found = text(code)
    return found if found.isascii() and found.replace("_", "").isalnum() and len(found) <= 64 else ""


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(1.0, float(retry_after or 1)), _LONGEST_WAIT)
    except ValueError:
        return 1.0
