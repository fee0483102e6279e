"""Channels that people of other organisations read (Slack Connect): nothing is posted there unless policy says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from approvals.errors import ChatRefused

FRESH: Final = 60.0  #: seconds for which it is believed that a channel is ours alone
CODE: Final = "external_channel"  #: our own code, beside Slack's
REMEDY: Final = "people of another organisation read this channel: choose another, or list it under external_channels"
#: https://docs.slack.dev/reference/objects/conversation-object; the second is there only where it is true
_SHARED: Final = "is_ext_shared"
_SOON: Final = "is_pending_ext_shared"


class Outsiders:
    """Asks Slack about a channel before something is posted there. `now` is a monotonic clock in seconds.

    `info` gives the channel's object; `allowed` says whether policy lets a destination be read by others.
    """

    def __init__(
        self,
        info: Callable[[str], Awaitable[Mapping[str, Any]]],
        *,
        allowed: Callable[[str], bool],
        now: Callable[[], float],
    ) -> None:
        self._info = info
        self._allowed = allowed
        self._now = now
        self._ours: dict[str, float] = {}

    async def must_not_read(self, destination: str, channel: str) -> None:
        """Raises ChatRefused where outsiders read a channel, or where Slack does not say that none do."""
        if self._allowed(destination) or self._now() - self._ours.get(channel, -FRESH) < FRESH:
            return
        asked = self._now()
        found = await self._info(channel)
        if is_read_outside(found):
            raise ChatRefused(CODE, REMEDY, place=True)
        self._ours[channel] = asked


def is_read_outside(channel: Mapping[str, Any]) -> bool:
    """Whether outsiders read a channel, or soon will, or Slack does not say that none do."""
    return channel.get(_SHARED) is not False or channel.get(_SOON, False) is not False
