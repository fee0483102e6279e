"""Looks for what would keep the service from working. Every finding has a remedy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import aiohttp

from approvals.errors import ApprovalsError, PolicyInvalid
from approvals.policy import Policy
from bot.policies import read_policy
from bot.settings import Settings
from bot.signing import KeyProblem
from handlers.slack.api import called, new_client
from handlers.slack.errors import ApiProblem, NotReady
from handlers.slack.identity import Identity, identify

_SKEW_MS = 5_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warning", "problem"]
    what: str
    remedy: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at the policy, Redis and its clock, the signing key, and Slack."""
    findings, policy = _policy(settings)
    findings += await _redis(settings)
    findings += _key(settings)
    findings += await _slack(settings, policy)
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
            found += [Finding("warning", risk, "see docs/how-to/redis.md") for risk in store.findings]
    except ApprovalsError as exc:
        return [Finding("problem", f"Redis: {exc}", "check SAYSO_REDIS_URL and that the server runs")]
    if skew > _SKEW_MS:
        found.append(Finding("warning", f"Redis' clock is {skew} ms from this machine's", "synchronise both with NTP"))
    return found


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
        for destination in policy.destinations if policy else ():
            found.append(await _channel(client, identity, destination))
    return found


async def _channel(client: object, identity: Identity, destination: str) -> Finding:
    place = destination.removeprefix("slack:")
    if place.startswith("U"):
        return Finding("ok", f"{destination}: a direct message")
    try:
        answer = await called(client.conversations_info(channel=place))  # type: ignore[attr-defined]
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
