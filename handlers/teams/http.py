"""The one route that Teams calls. It is never answered with a 5xx: Teams then stops calling, for hours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from handlers.body import whole_body
from handlers.teams.gate import Gate, TurnedAway
from handlers.teams.shapes import Json, mapping
from handlers.teams.watch import TeamsWatch

log = structlog.get_logger(__name__)

PATH = "/teams/messages"
LIMIT = 256 * 1024
BUDGET = 4.0  #: seconds from the beginning of a request to its answer

#: Takes an activity and the instant (of the loop's clock) until which it has to be answered.
Dispatch = Callable[[Mapping[str, Any], float], Awaitable[Json]]


def teams_routes(
    gate: Gate, dispatch: Dispatch, *, watch: TeamsWatch, budget: float = BUDGET, limit: int = LIMIT
) -> list[web.RouteDef]:
    """The route: 401 without a token that holds, 413 over `limit` bytes, 403 where the body is not what it vouches for.

    Whatever came from Teams itself is answered 200, also where it is of a shape that nobody has seen yet.
    """

    async def receive(request: web.Request) -> web.Response:
        until = asyncio.get_running_loop().time() + budget
        vouched = await gate.vouched(request.headers.get("Authorization", ""))
        if isinstance(vouched, TurnedAway):
            return turned_away(vouched.reason, 401)
        body = await whole_body(request, limit)
        if body is None:
            return turned_away("too_large", 413)
        activity = _read(body)
        if wrong := gate.admitted(vouched, activity):
            return turned_away(wrong.reason, 403)
        return web.json_response(await _dispatched(dispatch, activity, until))

    def turned_away(reason: str, status: int) -> web.Response:
        watch.turned_away(reason)
        log.warning("teams_turned_away", reason=reason)
        return web.Response(status=status)

    return [web.post(PATH, receive)]


async def _dispatched(dispatch: Dispatch, activity: Mapping[str, Any], until: float) -> Json:
    try:
        return await dispatch(activity, until)
    except Exception:
        log.exception("teams_activity_failed")
        return {}


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(body))
    except (ValueError, RecursionError):
        return {}
