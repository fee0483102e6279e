"""Looks for what would keep Teams from working: credentials, keys, Graph's permissions, places and people."""

from __future__ import annotations

import secrets

import aiohttp

from approvals.errors import ApprovalsError
from approvals.policy import Policy
from bot.accounts import Members, examine_accounts
from bot.doors import NOBODY, teams_door
from bot.findings import Finding
from bot.house import open_store
from bot.settings import Settings
from handlers.teams.addresses import BOTS
from handlers.teams.directory import GROUP, TEAM, standing_in_roster, standing_of
from handlers.teams.door import TeamsDoor
from handlers.teams.errors import ApiProblem
from handlers.teams.http import PATH
from handlers.teams.shapes import guid
from handlers.teams.watch import TeamsWatch

_CREDENTIALS = "check SAYSO_TEAMS_APP_ID, SAYSO_TEAMS_TENANT_ID and the secret, certificate or identity"
_GRAPH = (
    "grant the app User.Read.All and GroupMember.Read.All (application) with admin consent; docs/how-to/teams-app.md"
)
_INSTALL = "add the app to that team or chat, or let the person add it; this is learned from what Teams then sends"


async def examine_teams(settings: Settings, policy: Policy | None) -> list[Finding]:
    """Look at what can be looked at from here; nothing is posted."""
    try:
        async with (
            open_store(settings, read_only=True) as store,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        ):
            # it never opens a button, so any key will do
            door = teams_door(session, settings, store, seal_key=secrets.token_bytes(32), watch=TeamsWatch())
            if door is None:
                return []
            async with door.receiving():
                return await examine_door(door, settings, policy)
    except ApprovalsError:
        return []  # Redis has a finding of its own


async def examine_door(door: TeamsDoor, settings: Settings, policy: Policy | None) -> list[Finding]:
    """The findings about one door."""
    try:
        await door.tokens.get(BOTS)
    except ApiProblem as exc:
        return [Finding("problem", f"Teams: Entra gives no token: {exc}", _CREDENTIALS)]
    found = [Finding("ok", f"Teams: app {door.identity.app} of tenant {door.identity.tenant}")]
    found += [await _keys(door), await _heard(door)]
    graph = await _graph(door)
    if policy is None:
        return [*found, graph]
    team = policy.teams_roster
    fallback = [await _roster(door, team, "teams_roster")] if team else []
    falls_back = graph.level == "problem" and [one.level for one in fallback] == ["ok"]
    if falls_back:
        graph = Finding("warning", f"{graph.what}; the roster that teams_roster names is asked instead", graph.remedy)
    found += [graph, *fallback]
    found += [await _place(door, one) for one in policy.destinations if one.startswith("teams:")]
    if falls_back or graph.level == "ok":
        found += await _people(door, policy, team if falls_back else "")
    teams = [one.removeprefix(TEAM) for one in policy.sources if one.startswith(TEAM)]
    found += [await _roster(door, one, "teams_team") for one in teams]
    if falls_back or graph.level == "ok":
        found += [await _group(door, one) for one in policy.sources if one.startswith(GROUP)]
    return found


async def _keys(door: TeamsDoor) -> Finding:
    if await door.keys.works():
        return Finding("ok", "Teams: the keys that Microsoft signs with are known")
    return Finding(
        "problem",
        "Teams: the keys that Microsoft signs with cannot be read",
        "let the service reach login.botframework.com",
    )


async def _heard(door: TeamsDoor) -> Finding:
    if service := await door.places.service(door.identity.tenant):
        return Finding("ok", f"Teams: it reaches this service, and is answered at {service}")
    remedy = f"set the bot's messaging endpoint to https://<your host>{PATH}, then write to the bot once"
    return Finding("warning", "Teams: nothing has arrived from it yet", remedy)


async def _graph(door: TeamsDoor) -> Finding:
    """Looks up somebody who does not exist: that needs the same permission."""
    try:
        await door.graph.user(NOBODY)
    except ApiProblem as exc:
        return Finding("problem", f"Graph: users cannot be looked up: {exc}", _GRAPH)
    return Finding("ok", "Graph: users can be looked up")


async def _place(door: TeamsDoor, destination: str) -> Finding:
    name = destination.removeprefix("teams:")
    known = await (door.places.person(name) if guid(name) else door.places.channel(name))
    if known is None:
        return Finding("warning", f"{destination}: not heard from yet", _INSTALL)
    if known.private:
        return Finding("problem", f"{destination}: a private channel", "bots cannot post there; name another one")
    try:
        await door.connector.reaches(known.service, known.id)
    except ApiProblem as exc:
        return Finding("problem", f"{destination}: not installed any more, as Teams says: {exc}", _INSTALL)
    return Finding("ok", f"{destination}: installed")


async def _roster(door: TeamsDoor, team: str, named_by: str) -> Finding:
    """Whether the people in a team can be told."""
    try:
        people = await door.directory.roster(team)
    except ApiProblem as exc:
        return Finding("problem", f"{named_by} {team}: its people cannot be told: {exc}", _INSTALL)
    return Finding("ok", f"{named_by} {team}: {len(people)} people")


async def _people(door: TeamsDoor, policy: Policy, team: str) -> list[Finding]:
    """Whether the people of the policy are members, by Graph or by a team's roster."""
    roster = await door.directory.roster(team) if team else {}

    async def standing(user: str) -> str | None:
        if team:
            return standing_in_roster(roster.get(user), door.identity)
        return standing_of(await door.graph.user(user))

    members = Members(
        via="teams",
        platform="Teams",
        tenant=door.identity.tenant,
        elsewhere="not of this tenant",
        user="the object id from Entra",
        standing=standing,
        problem=ApiProblem,
    )
    return await examine_accounts(policy, members)


async def _group(door: TeamsDoor, source: str) -> Finding:
    """Whether membership of a group can be asked for."""
    group = source.removeprefix(GROUP)
    try:
        await door.graph.group(group)
    except ApiProblem as exc:
        return Finding("problem", f"Entra group {group}: {exc}", f"check its object id in Entra; {_GRAPH}")
    return Finding("ok", f"Entra group {group}: there")
