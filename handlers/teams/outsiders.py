"""Where people of other organisations read (shared channels, group chats): nothing is posted unless policy says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from approvals.errors import ChatRefused
from handlers.teams.places import Place
from handlers.teams.shapes import guid

FRESH: Final = 60.0  #: seconds for which it is believed that a place is ours alone
CODE: Final = "external_channel"  #: our own code, beside Microsoft's
REMEDY: Final = (
    "people of another organisation read there, or Teams does not say that none do: choose another channel or chat, "
    "or list it under external_channels"
)
_OURS_ALONE: Final = frozenset({"standard"})  #: kinds of channels in which only a team's own members are


class Outsiders:
    """Asks for the roster of a place before something is posted there. `now` is a monotonic clock in seconds.

    `allowed` says whether policy lets a destination be read by others. Guests are members of our own tenant.
    """

    def __init__(
        self,
        roster: Callable[[Place], Awaitable[Sequence[Mapping[str, Any]]]],
        *,
        tenant: str,
        allowed: Callable[[str], bool],
        now: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._tenant = tenant
        self._allowed = allowed
        self._now = now
        self._ours: dict[str, float] = {}

    async def must_not_read(self, destination: str, place: Place) -> None:
        """Raises ChatRefused where outsiders read a place, or where Teams does not say that none do."""
        if place.kind == "personal" or place.channel in _OURS_ALONE or self._allowed(destination):
            return
        if self._now() - self._ours.get(place.id, -FRESH) < FRESH:
            return
        asked = self._now()
        members = await self._roster(place)
        if not members or any(guid(one.get("tenantId")) != self._tenant for one in members):
            raise ChatRefused(CODE, REMEDY, place=True)
        self._ours[place.id] = asked
