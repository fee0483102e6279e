"""Where the bot is installed: learned from what Teams sends, kept beside the requests, dropped when it is removed.

Teams gives no list of these places; each activity names its own, with the address at which it is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from approvals.ports import Shelf
from handlers.teams.shapes import guid, items, mapping, place_of, tenant_of, text

_PLACES = "teams-places"
_PEOPLE = "teams-people"
_TENANTS = "teams-tenants"
_CHANNELS = frozenset({"standard", "private", "shared"})
_KINDS = frozenset({"channel", "groupChat", "personal"})


@dataclass(frozen=True)
class Place:
    """A channel, a group chat or a chat with one person; `service` is the address of its part of the connector.

    `team` is the id of a channel's team, `channel` its kind: standard, private or shared; empty while nobody knows.
    `user` is the person of a personal chat as the connector calls them.
    """

    id: str
    service: str
    kind: str
    team: str = ""
    channel: str = ""
    user: str = ""

    @property
    def private(self) -> bool:
        """Whether it is a channel to which no bot can post."""
        return self.channel == "private"


class Places:
    """The places of our tenant, on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def channel(self, place: str) -> Place | None:
        """A channel or chat we have heard from, by its id."""
        return await self._at(f"{_PLACES}/{place}")

    async def person(self, object_id: str) -> Place | None:
        """Our chat with a person, if they have the app."""
        return await self._at(f"{_PEOPLE}/{object_id}")

    async def service(self, tenant: str) -> str:
        """The address at which this tenant was heard last; empty before anything was."""
        kept = await self._shelf.kept(f"{_TENANTS}/{tenant}")
        return text(kept.document.get("service")) if kept else ""

    async def remember(self, object_id: str, place: Place) -> None:
        """Keep the chat with a person that we opened ourselves."""
        await self._keep(f"{_PEOPLE}/{object_id}", asdict(place))

    async def heard(self, activity: Mapping[str, Any]) -> None:
        """Learn from an activity that the gate let in where it came from, or that we are there no longer."""
        data = mapping(activity.get("channelData"))
        if _removes_us(activity) or data.get("eventType") == "teamDeleted":
            await self._forget(activity, text(mapping(data.get("team")).get("id")))
        elif data.get("eventType") == "channelDeleted":
            await self._shelf.drop(f"{_PLACES}/{text(mapping(data.get('channel')).get('id')) or '?'}")
        else:
            await self._learn(activity)

    async def listed(self, heard_in: Place, channels: Iterable[Mapping[str, Any]]) -> None:
        """Keep all channels of the team of a place, with their kinds, also those we never heard from."""
        for one in channels:
            place, kind = text(one.get("id")), _kind_of(one)
            if place and kind:
                found = Place(place, heard_in.service, "channel", heard_in.team, kind)
                await self._keep(f"{_PLACES}/{place}", asdict(found))

    async def _learn(self, activity: Mapping[str, Any]) -> None:
        place, person = place_in(activity), guid(mapping(activity.get("from")).get("aadObjectId"))
        if place is None:
            return
        await self._keep(f"{_TENANTS}/{tenant_of(activity)}", {"service": place.service})
        if place.kind != "personal":
            known = await self.channel(place.id)
            kind = place.channel or (known.channel if known is not None else "")
            await self._keep(f"{_PLACES}/{place.id}", asdict(replace(place, channel=kind)))
        elif person:
            await self._keep(f"{_PEOPLE}/{person}", asdict(place))

    async def _forget(self, activity: Mapping[str, Any], team: str) -> None:
        """Drop the place of an activity, and with a team all of its channels."""
        gone = [f"{_PLACES}/{place_of(activity) or '?'}"]
        if person := guid(mapping(activity.get("from")).get("aadObjectId")):
            known = await self.person(person)
            gone += [f"{_PEOPLE}/{person}"] if known is not None and known.id == place_of(activity) else []
        if team:
            kept = await self._shelf.folder(_PLACES)
            gone += [one.name for one in kept if team in (one.document.get("team"), one.document.get("id"))]
        for name in gone:
            await self._shelf.drop(name)

    async def _at(self, name: str) -> Place | None:
        kept = await self._shelf.kept(name)
        return _read(kept.document) if kept else None

    async def _keep(self, name: str, document: Mapping[str, Any]) -> None:
        """Write only what is another than it was: most activities tell nothing new."""
        kept = await self._shelf.kept(name)
        if kept is None or dict(kept.document) != dict(document):
            await self._shelf.keep(name, document)


def _removes_us(activity: Mapping[str, Any]) -> bool:
    if activity.get("type") == "installationUpdate":
        return text(activity.get("action")).startswith("remove")
    us = text(mapping(activity.get("recipient")).get("id"))
    removed = {text(mapping(member).get("id")) for member in items(activity.get("membersRemoved"))}
    return activity.get("type") == "conversationUpdate" and bool(us) and us in removed


def _read(document: Mapping[str, Any]) -> Place:
    """A place as it was kept, also by a version that knew of private channels only."""
    known = {name: text(document.get(name)) for name in ("id", "service", "kind", "team", "channel", "user")}
    return Place(**known | ({"channel": "private"} if document.get("private") is True else {}))


def _kind_of(channel: Any) -> str:
    """The kind of a channel as Microsoft documents it, or as the Agents Playground says it; empty for another."""
    found = text(mapping(channel).get("type")) or text(mapping(channel).get("channelType"))
    return found.lower() if found.lower() in _CHANNELS else ""


def place_in(activity: Mapping[str, Any]) -> Place | None:
    """The place of an activity, where it names one completely."""
    data = mapping(activity.get("channelData"))
    kind = text(mapping(activity.get("conversation")).get("conversationType"))
    place, service = place_of(activity), text(activity.get("serviceUrl"))
    if not place or not service or kind not in _KINDS:
        return None
    return Place(
        id=place,
        service=service,
        kind=kind,
        team=text(mapping(data.get("team")).get("id")),
        channel=_kind_of(data.get("channel")),
        user=text(mapping(activity.get("from")).get("id")) if kind == "personal" else "",
    )
