"""Looks for what would keep the service from working. Every finding has a remedy."""

from __future__ import annotations

import time

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from approvals.errors import ApprovalsError, PolicyInvalid
from approvals.policy import Policy
from approvals.ports import Trouble
from bot.findings import Finding
from bot.policies import read_policy
from bot.settings import Settings
from bot.signing import KeyProblem
from handlers.slack.api import called, new_client
from handlers.slack.directory import GROUP, standing_of
from handlers.slack.errors import ApiProblem, NotReady
from handlers.slack.identity import Identity, identify

_SKEW_MS = 5_000
_RECENT_MS = 7 * 86_400_000


async def examine(settings: Settings) -> list[Finding]:
    """Look at the policy, Redis and its clock, the signing key, and the platforms, with whom and where policy asks."""
    findings, policy = _policy(settings)
    findings += await _redis(settings)
    findings += _key(settings)
    findings += await _slack(settings, policy)
    if settings.teams_app_id is not None:
        from bot.teams_doctor import examine_teams

        findings += await examine_teams(settings, policy)
    return findings


def _policy(settings: Settings) -> tuple[list[Finding], Policy | None]:
    try:
        policy, _ = read_policy(settings.policy)
    except PolicyInvalid as exc:
        return [
            Finding("problem", problem, "edit the file; `policy check` tells when it is sound")
            for problem in exc.problems
        ], None
    if not policy.agents:
        return [Finding("warning", f"{settings.policy}: no agent is registered", "add one under `agents`")], policy
    return [Finding("ok", f"{settings.policy}: {', '.join(policy.agents)} may ask")], policy


async def _redis(settings: Settings) -> list[Finding]:
    from bot.house import open_store

    try:
        async with open_store(settings, read_only=True) as store:
            skew = abs(await store.now() - int(time.time() * 1000))
            found = [Finding("ok", f"Redis answers: {store.server}")]
            found += [_risk(*finding.split(": ", 1)) for finding in store.findings]
            found += [
                _tampered(trouble) for trouble in await store.troubles() if time.time() * 1000 - trouble.at < _RECENT_MS
            ]
    except ApprovalsError as exc:
        return [
            Finding(
                "problem",
                f"Redis: {exc}",
                "check SAYSO_REDIS_URL and that the server runs; `python -m bot redis` runs one",
            )
        ]
    if skew > _SKEW_MS:
        found.append(Finding("warning", f"Redis' clock is {skew} ms from this machine's", "synchronise both with NTP"))
    return found


def _risk(name: str, what: str) -> Finding:
    """What is risky about Redis, or could not be proven: a warning, because the bot works all the same."""
    return Finding("warning", f"Redis: {what}", f"see {name} in docs/how-to/redis.md")


def _tampered(trouble: Trouble) -> Finding:
    """What an agent or a tool did to its own stream; it harms nobody else."""
    who = f"{'tool' if trouble.tool else 'agent'} {trouble.owner}"
    what = {
        "erased": f"erased {trouble.much} entries of its stream that nobody had read",
        "blocked": "gave its stream the largest id, so that it takes no more entries",
        "flooded": f"has {trouble.much} entries in its stream",
        "replaced": f"has a {trouble.much} in place of its stream",
    }[trouble.what]
    return Finding("warning", f"{who} {what}", "ask its owner; see docs/how-to/redis.md")


def _key(settings: Settings) -> list[Finding]:
    from bot.house import open_signer

    try:
        signer = open_signer(settings)
    except KeyProblem as exc:
        return [Finding("warning", str(exc), "the first `serve` on an empty Redis creates it")]
    return [Finding("ok", f"receipts are signed with key {signer.kid}, as {settings.issuer}")]


async def _slack(settings: Settings, policy: Policy | None) -> list[Finding]:
    if settings.resolved_slack_mode() == "off" or settings.slack_bot_token is None:
        return [
            Finding(
                "warning", "Slack is off", "set SLACK_BOT_TOKEN and SLACK_APP_TOKEN; `slack manifest` makes the app"
            )
        ]
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = new_client(settings.slack_bot_token.get_secret_value(), session, base_url=settings.slack_api_url)
        try:
            identity = await identify(client)
        except NotReady as exc:
            return [Finding("problem", exc.message, exc.remedy)]
        found = [Finding("ok", f"Slack: app {identity.app} in workspace {identity.team}")]
        if policy is not None:
            found += [await _channel(client, identity, destination) for destination in policy.destinations]
            found += await _people(client, identity, policy)
            found += [one for source in policy.sources if (one := await _group(client, source)) is not None]
    return found


async def _channel(client: AsyncWebClient, identity: Identity, destination: str) -> Finding:
    place = destination.removeprefix("slack:")
    if place.startswith("U"):
        return Finding("ok", f"{destination}: a direct message")
    try:
        answer = await called(client.conversations_info(channel=place))
    except ApiProblem as exc:
        return Finding("problem", f"{destination}: {exc}", "check the channel's id, and invite the app: /invite @Sayso")
    channel = answer["channel"]
    if channel.get("is_archived"):
        return Finding("problem", f"{destination}: the channel is archived", "name another one in the policy")
    if channel.get("is_ext_shared"):
        return Finding("warning", f"{destination}: shared with another workspace", "outsiders read what is asked there")
    if not channel.get("is_member"):
        return Finding("problem", f"{destination}: the app is not in this channel", "invite it there: /invite @Sayso")
    return Finding("ok", f"{destination}: joined")


async def _people(client: AsyncWebClient, identity: Identity, policy: Policy) -> list[Finding]:
    """Whether every account is a member's: a wrong one lets nobody answer, or lets an owner answer for themselves."""
    accounts = [(person, account) for person in policy.people for account in policy.accounts_of(person)]
    ours = [(person, account) for person, account in accounts if account.startswith("slack:")]
    looked = [await _account(client, identity, person, account) for person, account in ours]
    if troubles := [one for one in looked if one is not None]:
        return troubles
    return [Finding("ok", f"people: {len(ours)} accounts, all of members")]


async def _account(client: AsyncWebClient, identity: Identity, person: str, account: str) -> Finding | None:
    _, team, user = account.split(":")
    remedy = f"correct it under people.{person}: slack:{identity.team}:<the member ID from their profile>"
    if team != identity.team:
        return Finding("problem", f"{person}: {account} is not in this workspace", remedy)
    try:
        standing = standing_of((await called(client.users_info(user=user)))["user"], identity)
    except ApiProblem as exc:
        return Finding("problem", f"{person}: {account}: {exc}", remedy)
    return None if standing is None else Finding("warning", f"{person}: {account} is {standing}", remedy)


async def _group(client: AsyncWebClient, source: str) -> Finding | None:
    """What is wrong with a user group, if it is one."""
    if not source.startswith(GROUP):
        return None
    group = source.removeprefix(GROUP)
    try:
        members = (await called(client.usergroups_users_list(usergroup=group)))["users"]
    except ApiProblem as exc:
        return Finding("problem", f"user group {group}: {exc}", "check its id: People, User groups, Copy group ID")
    if not members:
        return Finding("problem", f"user group {group}: nobody is in it", "add people to it in Slack")
    return Finding("ok", f"user group {group}: {len(members)} people")
