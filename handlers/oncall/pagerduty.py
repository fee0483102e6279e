"""PagerDuty: who is on call in a schedule, asked by REST.

https://developer.pagerduty.com/api-reference (GET /schedules/{id}/users). A user is `pagerduty:<subdomain>:<user id>`;
the policy lists that account under a person. An e-mail address says nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from handlers.oncall.schedule import OnCall
from handlers.recent import PATIENCE

URL: Final = "https://api.pagerduty.com"
_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"


class PagerDutyProblem(Exception):
    """PagerDuty does not say who is on call."""


class PagerDuty(OnCall):
    """The schedules of one PagerDuty account. `now` is the time of day by which shifts change."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        token: str,
        subdomain: str,
        url: str = URL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__("pagerduty", clock, (PagerDutyProblem, aiohttp.ClientError, TimeoutError), patience)
        self._session = session
        self._headers = {"Authorization": f"Token token={token}", "Accept": _ACCEPT}
        self._subdomain = subdomain
        self._url = url.rstrip("/")
        self._now = now

    async def look_up(self, schedule: str) -> frozenset[str]:
        """Everybody on call in this second; after a hand-over only the one who took over."""
        since = self._now()
        params = {"since": since.isoformat(), "until": (since + timedelta(seconds=1)).isoformat()}
        url = f"{self._url}/schedules/{schedule}/users"
        async with self._session.get(url, params=params, headers=self._headers, allow_redirects=False) as response:
            if response.status != 200:
                raise PagerDutyProblem(f"PagerDuty answered {response.status}")
            try:
                answer = await response.json()
            except ValueError as exc:
                raise PagerDutyProblem("PagerDuty's answer is not JSON") from exc
        return frozenset(f"{self.via}:{self._subdomain}:{user}" for user in _users(answer))


def _users(answer: Any) -> list[str]:
    """The ids in an answer; one that is not shaped as documented says nothing."""
    users = answer.get("users") if isinstance(answer, dict) else None
    ids = [user.get("id") if isinstance(user, dict) else None for user in users] if isinstance(users, list) else [None]
    if not all(isinstance(one, str) and one for one in ids):
        raise PagerDutyProblem("PagerDuty's answer is not shaped as documented")
    return [str(one) for one in ids]
