"""The channels of a team and their kinds: Teams lists them for a bot that is installed there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from handlers.teams.connector import Connector
from handlers.teams.errors import ApiProblem
from handlers.teams.places import Place, Places, place_in

log = structlog.get_logger(__name__)

PAUSE = 60.0  #: seconds between two looks at the channels of a team
_NEWS = frozenset({"conversationUpdate", "installationUpdate"})


class Channels:
    """Keeps the kinds of channels beside the places. `now` is a monotonic clock in seconds."""

    def __init__(self, connector: Connector, places: Places, *, now: Callable[[], float]) -> None:
        self._connector = connector
        self._places = places
        self._now = now
        self._looked: dict[str, float] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def learn(self, activity: Mapping[str, Any]) -> None:
        """Look at a team's channels after news of it, or where a channel of it was heard from whose kind is unknown."""
        place = place_in(activity)
        if place is not None and await self._places.channel(place.id) is not None:  # it was not removed just now
            await self.kind_of(place, anew=activity.get("type") in _NEWS)

    async def kind_of(self, place: Place, *, anew: bool = False) -> Place:
        """The place with the kind of its channel, as far as Teams tells it."""
        known = await self._places.channel(place.id) or place
        if not known.team or (known.channel and not anew):
            return known
        async with self._turns.setdefault(known.team, asyncio.Lock()):  # who comes meanwhile waits for the answer
            await self._look(known)
        return await self._places.channel(place.id) or known

    async def _look(self, place: Place) -> None:
        if self._now() - self._looked.get(place.team, -PAUSE) < PAUSE:
            return
        self._looked[place.team] = self._now()
        try:
            listed = await self._connector.channels(place.service, place.team)
        except ApiProblem as exc:
            log.warning("teams_channels_not_listed", team=place.team, error=str(exc))
        else:
            await self._places.listed(place, listed)
