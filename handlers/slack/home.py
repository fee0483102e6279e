"""The home tab: somebody's overview, drawn whenever they look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.commands.commands import Commands
from approvals.ports import Account
from approvals.sight import Caller
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem
from handlers.slack.identity import Identity
from handlers.slack.replies import Replies
from handlers.tasks import Tasks

log = structlog.get_logger(__name__)


class Home:
    """The listeners of the home tab."""

    def __init__(self, *, commands: Commands, client: AsyncWebClient, identity: Identity, tasks: Tasks) -> None:
        self._commands = commands
        self._client = client
        self._identity = identity
        self._tasks = tasks
        self._replies = Replies(identity)

    async def opened(self, event: Mapping[str, Any]) -> None:
        """Somebody looks at it. The event is sent for the Messages tab too."""
        if event.get("tab") == "home":
            self._draw_soon(str(event.get("user")))

    async def refreshed(self, ack: AsyncAck, body: Mapping[str, Any]) -> None:
        """Somebody wants to see it as it is now."""
        user = body.get("user")
        self._draw_soon(str(user.get("id")) if isinstance(user, dict) else "")
        await ack()

    def _draw_soon(self, user: str) -> None:
        self._tasks.start(self._draw(user), "slack home")

    async def _draw(self, user: str) -> None:
        caller = Caller(Account("slack", self._identity.team, user))
        parts, now = await self._commands.home(caller)
        try:
            await called(self._client.views_publish(user_id=user, view=self._replies.home(parts, now)))
        except ApiProblem as exc:
            log.warning("slack_home_not_drawn", error=str(exc))
