"""Entra as the directory, by Graph: who is a full, active member of our tenant, and who is in a group.

Where Graph does not say it (an organisation that does not grant the permissions, an outage), the roster of a team that
policy names for that may say who is a member. Who is in a team that a rule asks is always its roster's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from approvals.errors import DirectoryUnavailable
from approvals.ports import Account
from handlers.recent import PATIENCE, Recent
from handlers.tasks import Tasks
from handlers.teams.addresses import GRAPH_URL
from handlers.teams.connector import Connector, Rest
from handlers.teams.errors import ApiProblem, ApiRefused
from handlers.teams.identity import Identity
from handlers.teams.places import Places
from handlers.teams.shapes import guid, items, mapping, object_id, text

GROUP = "teams:group:"
TEAM = "teams:team:"
MOST_MEMBERS = 100  #: of a group, who are looked at to be written to; more than anybody writes to

_FOREIGN = "from another tenant"
_PROBLEMS = (ApiProblem,)
Roster = Mapping[str, Mapping[str, Any]]


class Known(NamedTuple):
    """What is known of a user: what they are instead of a full member (None: just that), and what they are called."""

    standing: str | None
    name: str


class Graph:
    """The look-ups in Microsoft Graph that we use."""

    def __init__(self, rest: Rest, *, url: str = GRAPH_URL) -> None:
        self._rest = rest
        self._url = url.rstrip("/")

    async def user(self, object_id: str) -> Mapping[str, Any] | None:
        """A user of the tenant; None if there is none. https://learn.microsoft.com/graph/api/user-get"""
        url = f"{self._url}/users/{quote(object_id)}?$select=id,accountEnabled,userType,displayName"
        try:
            return await self._rest.call("user", "GET", url)
        except ApiRefused as exc:
            if exc.status == 404:
                return None
            raise

    async def group(self, group: str) -> Mapping[str, Any]:
        """A group of the tenant. https://learn.microsoft.com/graph/api/group-get"""
        return await self._rest.call("group", "GET", f"{self._url}/groups/{quote(group)}?$select=id")

    async def members(self, group: str) -> frozenset[str]:
        """The first of the active users in a group, also through other groups.

        https://learn.microsoft.com/graph/api/group-list-transitivemembers
        """
        select = f"$select=id,accountEnabled,userType&$top={MOST_MEMBERS}"
        url = f"{self._url}/groups/{quote(group)}/transitiveMembers/microsoft.graph.user?{select}"
        answer = await self._rest.call("group_members", "GET", url)
        users = [one for one in map(mapping, items(answer.get("value"))) if standing_of(one) is None]
        return frozenset(found for one in users if (found := guid(one.get("id"))))

    async def is_in(self, object_id: str, group: str) -> bool:
        """Whether a user is in a group, also through another group.

        https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
        """
        url = f"{self._url}/users/{quote(object_id)}/checkMemberGroups"
        answer = await self._rest.call("check_member_groups", "POST", url, {"groupIds": [group]})
        return group in {guid(one) for one in items(answer.get("value"))}


class TeamsDirectory:
    """Directory for one tenant. `now` is a monotonic clock in seconds; call `close` on the way out.

    `fallback` is the id of the team whose roster says who is a member where Graph does not; empty: then nobody is.
    """

    def __init__(
        self,
        graph: Graph,
        connector: Connector,
        places: Places,
        identity: Identity,
        *,
        now: Callable[[], float],
        fallback: Callable[[], str] = lambda: "",
        patience: float = PATIENCE,
    ) -> None:
        self._graph = graph
        self._connector = connector
        self._places = places
        self._identity = identity
        self._fallback = fallback
        self._tasks = Tasks()
        self._users: Recent[Known] = Recent("Entra", now, self._tasks, problems=_PROBLEMS, patience=patience)
        self._groups: Recent[bool] = Recent("Entra", now, self._tasks, problems=_PROBLEMS, patience=patience)
        self._members: Recent[frozenset[str]] = Recent("Entra", now, self._tasks, problems=_PROBLEMS, patience=patience)
        self._rosters: Recent[Roster] = Recent("Teams", now, self._tasks, problems=_PROBLEMS, patience=patience)

    async def standing(self, account: Account) -> str | None:
        """None for a full, active, human member; else what the account is instead."""
        if not self._is_ours(account):
            return _FOREIGN
        return (await self._known(account.user)).standing

    async def name(self, user: str) -> str | None:
        """What a member in good standing is called (text of anybody's; may be empty); None: they are none.

        Raises DirectoryUnavailable.
        """
        known = await self._known(user)
        return known.name if known.standing is None else None

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the account is in an Entra group or on a team's roster; other sources hold nobody of ours."""
        if not self._is_ours(account):
            return False
        if source.startswith(TEAM):
            member = (await self._roster(source.removeprefix(TEAM))).get(account.user)
            return standing_in_roster(member, self._identity) is None
        if not source.startswith(GROUP):
            return False
        group = source.removeprefix(GROUP)
        return await self._groups.get(f"{account.user}/{group}", lambda: self._graph.is_in(account.user, group))

    async def accounts(self, source: str) -> Iterable[str]:
        """The accounts in an Entra group, or on a team's roster in good standing. Raises DirectoryUnavailable."""
        if source.startswith(TEAM):
            roster = await self._roster(source.removeprefix(TEAM))
            users: Iterable[str] = [user for user, one in roster.items() if not standing_in_roster(one, self._identity)]
        elif source.startswith(GROUP):
            group = source.removeprefix(GROUP)
            users = await self._members.get(group, lambda: self._graph.members(group))
        else:
            raise DirectoryUnavailable(f"{source} is no group of Teams")
        return [f"teams:{self._identity.tenant}:{user}" for user in users]

    async def warm(self, sources: Iterable[str]) -> None:
        """Look rosters up before anybody clicks; a failure here is a later look-up's problem."""
        wanted = [source.removeprefix(TEAM) for source in dict.fromkeys(sources) if source.startswith(TEAM)]
        if (team := self._fallback()) and team not in wanted:
            wanted.append(team)
        for found in await asyncio.gather(*map(self._roster, wanted), return_exceptions=True):
            if isinstance(found, BaseException) and not isinstance(found, DirectoryUnavailable):
                raise found

    async def close(self) -> None:
        """End the look-ups that nobody waits for any more."""
        await self._tasks.drain(0)

    def _is_ours(self, account: Account) -> bool:
        return account.via == "teams" and account.tenant == self._identity.tenant

    async def _known(self, user: str) -> Known:
        try:
            return await self._users.get(user, lambda: self._look_up(user))
        except DirectoryUnavailable:
            if not (team := self._fallback()):
                raise
        member = (await self._roster(team)).get(user)
        return Known(standing_in_roster(member, self._identity), text(mapping(member).get("name")))

    async def _look_up(self, user: str) -> Known:
        found = await self._graph.user(user)
        return Known(standing_of(found), text(mapping(found).get("displayName")))

    async def _roster(self, team: str) -> Roster:
        return await self._rosters.get(team, lambda: self.roster(team))

    async def roster(self, team: str) -> Roster:
        """Who is in a team now, by object id. Raises ApiProblem."""
        known = await self._places.channel(team)
        service = known.service if known else await self._places.service(self._identity.tenant)
        if not service:
            raise ApiRefused(404, "not_installed")
        members = await self._connector.members(service, team)
        return {user: member for member in members if (user := object_id(member))}


def standing_of(user: Mapping[str, Any] | None) -> str | None:
    """What a user object of Graph says; what is missing counts against the account.

    https://learn.microsoft.com/graph/api/resources/user
    """
    if user is None:
        return "unknown"
    if user.get("accountEnabled") is not True:
        return "deactivated"
    return None if user.get("userType") == "Member" else "a guest"


def standing_in_roster(member: Mapping[str, Any] | None, identity: Identity) -> str | None:
    """What a roster says of a member; outsiders of a shared channel stand in it too."""
    if member is None:
        return "unknown"
    if guid(member.get("tenantId")) != identity.tenant:
        return _FOREIGN
    return None if member.get("userRole") == "user" else "a guest"
