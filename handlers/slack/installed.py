"""Whether the app is still installed here with the token it was started with, as Slack's own events tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from handlers.slack.identity import Identity
from handlers.slack.watch import SlackWatch

log = structlog.get_logger(__name__)

_REMEDY = "install the app again, give the service its new bot token and start it anew"


class Installed:
    """Once the app is gone nothing that still arrives is believed, and the process says that it is not ready.

    Cards stay where they are and requests wait until their deadline: silence is no approval.
    https://docs.slack.dev/reference/events/tokens_revoked, …/app_uninstalled
    """

    def __init__(self, identity: Identity, watch: SlackWatch) -> None:
        self._identity = identity
        self._watch = watch
        self.gone = False

    async def uninstalled(self, event: Mapping[str, Any]) -> None:
        """Somebody removed the app from the workspace."""
        self._lost("app_uninstalled")

    async def revoked(self, event: Mapping[str, Any]) -> None:
        """Tokens were revoked: ours, or those of a person, which we have none of."""
        tokens = event.get("tokens")
        bots = tokens.get("bot") if isinstance(tokens, dict) else None
        if isinstance(bots, list) and self._identity.bot_user in bots:
            self._lost("tokens_revoked")

    def _lost(self, event: str) -> None:
        self.gone = True
        self._watch.disconnected(event)
        log.error("slack_gone", event_type=event, remedy=_REMEDY)
