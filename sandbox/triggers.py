"""Short-lived permissions an interaction gives to the app: trigger ids and response URLs.

A trigger id opens one modal within 3 seconds; a response URL takes 5 posts within 30 minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.errors import SlackError

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5


@dataclass
class Trigger:
    """One trigger id: for whom, since when, and the modal it came from, if any."""

    user: str
    at: float
    view_id: str | None = None
    exchanged: bool = False


class Triggers:
    """Trigger ids: single-use, 3 seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._triggers: dict[str, Trigger] = {}

    def issue(self, user: str, view_id: str | None = None) -> str:
        """A new trigger id of Slack's form, three parts with dots."""
        trigger_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user, self._now(), view_id)
        return trigger_id

    def exchange(self, trigger_id: str) -> Trigger:
        """Use it up; SlackError says why not."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.exchanged:
            raise SlackError("exchanged_trigger_id")
        if self._now() - trigger.at > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        trigger.exchanged = True
        return trigger


@dataclass
class ResponseUrl:
    """Where one interaction may be answered, and what it was about."""

    key: str
    channel: str
    user: str
    at: float
    message_ts: str | None = None
    ephemeral: bool = False
    uses: int = 0


@dataclass
class ResponseUrls:
    """Response URLs: five posts within 30 minutes."""

    now: Callable[[], float]
    team_id: str
    base: str = ""  #: the server's address, set when it listens
    _urls: dict[str, ResponseUrl] = field(default_factory=dict)

    def issue(self, channel: str, user: str, message_ts: str | None = None, *, ephemeral: bool = False) -> str:
        """A new response URL on this server."""
        key = secrets.token_hex(12)
        self._urls[key] = ResponseUrl(key, channel, user, self.now(), message_ts, ephemeral)
        return f"{self.base}/response/{self.team_id}/{key}"

    def use(self, key: str) -> ResponseUrl:
        """Count one use; SlackError used_url, expired_url or invalid_url says why not."""
        url = self._urls.get(key)
        if url is None:
            raise SlackError("invalid_url")
        if self.now() - url.at > RESPONSE_SECONDS:
            raise SlackError("expired_url")
        if url.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        url.uses += 1
        return url
