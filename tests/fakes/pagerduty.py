"""PagerDuty's REST API on loopback: who is on call in a schedule, by time, with a token and a rate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from tests.loopback import served

TOKEN = "u+test-token"


@dataclass
class PagerDuty:
    """Its schedules: shifts as (from, to, user). `broken` is answered in place of the truth."""

    url: str = ""
    shifts: dict[str, list[tuple[datetime, datetime, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: web.Response | None = None

    async def users(self, request: web.Request) -> web.Response:
        """GET /schedules/{id}/users"""
        schedule = request.match_info["schedule"]
        self.asked.append(schedule)
        if self.broken is not None:
            return self.broken
        if request.headers.get("Authorization") != f"Token token={TOKEN}":
            return web.json_response({"error": {"message": "Invalid credentials", "code": 2006}}, status=401)
        if schedule not in self.shifts:
            return web.json_response({"error": {"message": "Not Found", "code": 2100}}, status=404)
        since, until = (datetime.fromisoformat(request.query[name]) for name in ("since", "until"))
        users = [user for start, end, user in self.shifts[schedule] if start < until and since < end]
        return web.json_response({"users": [{"id": user, "type": "user", "summary": "Alice"} for user in users]})


@asynccontextmanager
async def a_pagerduty() -> AsyncIterator[PagerDuty]:
    """PagerDuty, listening."""
    fake = PagerDuty()
    async with served([web.get("/schedules/{schedule}/users", fake.users)]) as fake.url:
        yield fake
