"""How often an app may call: Slack's tiers per minute, and about one post per second and channel.

Source: docs.slack.dev/apis/web-api/rate-limits. A tier counts the calls of the last 60 seconds per method; a
channel is a token bucket of one post per second with a short burst.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.errors import RateLimited

TIERS = {1: 1, 2: 20, 3: 50, 4: 100}

METHOD_TIERS: Mapping[str, int] = {
    "apps.connections.open": 3,
    "bots.info": 3,
    "chat.delete": 3,
    "chat.getPermalink": 4,
    "chat.postEphemeral": 4,
    "chat.update": 3,
    "conversations.history": 3,
    "conversations.info": 3,
    "conversations.join": 3,
    "conversations.list": 2,
    "conversations.members": 4,
    "conversations.open": 3,
    "conversations.replies": 3,
    "files.completeUploadExternal": 4,
    "files.getUploadURLExternal": 4,
    "usergroups.list": 2,
    "usergroups.users.list": 2,
    "users.conversations": 3,
    "users.info": 4,
    "users.list": 2,
    "users.lookupByEmail": 3,
    "views.open": 4,
    "views.publish": 4,
    "views.push": 4,
    "views.update": 4,
}


@dataclass(frozen=True)
class LimitSettings:
    """The numbers; the defaults are Slack's documented ones."""

    enforced: bool = True
    posts_per_second: float = 1.0  #: per channel
    post_burst: int = 3
    posts_per_minute: int = 600  #: the whole workspace; Slack says only "several hundred messages per minute"
    tiers: Mapping[int, int] = field(default_factory=lambda: dict(TIERS))
    method_tiers: Mapping[str, int] = field(default_factory=lambda: dict(METHOD_TIERS))
    history_per_minute: int | None = None  #: 1 for commercial apps outside the Marketplace, since 2025


class Window:
    """At most `limit` events in any 60 seconds."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times: deque[float] = deque()

    def wait(self, now: float) -> float:
        """0 and the event is counted, or the seconds until it would fit."""
        while self._times and self._times[0] <= now - 60:
            self._times.popleft()
        if len(self._times) >= self.limit:
            return self._times[0] + 60 - now
        self._times.append(now)
        return 0.0


class Bucket:
    """A token bucket: `rate` per second, at most `burst` saved up."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def wait(self, now: float) -> float:
        """0 and one token is taken, or the seconds until there is one."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0


class Limiter:
    """Says 429 when an app calls too often."""

    def __init__(self, settings: LimitSettings, now: Callable[[], float]) -> None:
        self.settings = settings
        self._now = now
        self._methods: dict[str, Window] = {}
        self._channels: dict[str, Bucket] = {}
        self._posts = Window(settings.posts_per_minute)

    def check_method(self, method: str) -> None:
        """Count one call of a method; RateLimited if its tier is used up."""
        limit = self._method_limit(method)
        if not self.settings.enforced or limit is None:
            return
        window = self._methods.setdefault(method, Window(limit))
        _refuse_if_waiting(window.wait(self._now()))

    def _method_limit(self, method: str) -> int | None:
        history = self.settings.history_per_minute
        if history is not None and method in {"conversations.history", "conversations.replies"}:
            return history
        tier = self.settings.method_tiers.get(method)
        return None if tier is None else self.settings.tiers[tier]

    def check_post(self, channel: str) -> None:
        """Count one post to a channel; RateLimited if the channel or the workspace has had enough."""
        if not self.settings.enforced:
            return
        now = self._now()
        settings = self.settings
        bucket = self._channels.setdefault(channel, Bucket(settings.posts_per_second, settings.post_burst, now))
        _refuse_if_waiting(bucket.wait(now))
        _refuse_if_waiting(self._posts.wait(now))


def _refuse_if_waiting(seconds: float) -> None:
    if seconds > 0:
        raise RateLimited(max(1, math.ceil(seconds)))
