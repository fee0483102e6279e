"""Looks for what would keep the service from working. Every finding has a remedy."""

from __future__ import annotations

import time
from collections.abc import Callable

from approvals.errors import ApprovalsError, PolicyInvalid
from approvals.policy import Policy
from approvals.ports import Trouble
from bot.findings import Finding
from bot.policies import read_policy
from bot.settings import Settings
from bot.signing import KeyProblem
from bot.slack_doctor import examine_slack

_SKEW_MS = 5_000
_RECENT_MS = 7 * 86_400_000


async def examine(settings: Settings, *, wall: Callable[[], float] = time.time) -> list[Finding]:
    """Look at the policy, Redis and its clock, the signing key, and the platforms, with whom and where policy asks.

    `wall` is this machine's time in seconds.
    """
    findings, policy = _policy(settings)
    findings += await _redis(settings, wall)
    findings += _key(settings)
    findings += await examine_slack(settings, policy, wall=wall)
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


async def _redis(settings: Settings, wall: Callable[[], float]) -> list[Finding]:
    from bot.house import open_store

    try:
        async with open_store(settings, read_only=True) as store:
            skew = abs(await store.now() - int(wall() * 1000))
            found = [Finding("ok", f"Redis answers: {store.server}")]
            found += [_risk(*finding.split(": ", 1)) for finding in store.findings]
            found += [
                _tampered(trouble) for trouble in await store.troubles() if wall() * 1000 - trouble.at < _RECENT_MS
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
    from bot.keys import open_signer

    try:
        signer = open_signer(settings)
    except KeyProblem as exc:
        return [Finding("warning", str(exc), "the first `serve` on an empty Redis creates it")]
    return [Finding("ok", f"receipts are signed with key {signer.kid}, as {settings.issuer}")]
