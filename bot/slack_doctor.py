"""Looks for what would keep Slack from working: tokens, scopes, clocks, places, people and groups."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from approvals.action import Action, request_id
from approvals.card import card_of
from approvals.errors import ChatError, ChatRefused
from approvals.policy import Policy
from approvals.request import Request
from approvals.terms import Presentation, Terms
from bot.accounts import Members, examine_accounts
from bot.findings import Finding
from bot.settings import Settings
from handlers.seal import Seal
from handlers.slack.api import called, new_client
from handlers.slack.directory import GROUP, standing_of
from handlers.slack.errors import ApiProblem, NotReady
from handlers.slack.identity import Identity, identify
from handlers.slack.manifest import SCOPES
from handlers.slack.outsiders import REMEDY, is_read_outside
from handlers.slack.platform import SlackPlatform

_SKEW = 60.0  #: seconds; Slack's signatures are believed for five minutes
_OFF = Finding("warning", "Slack is off", "set SLACK_BOT_TOKEN and SLACK_APP_TOKEN; `slack manifest` makes the app")
_CONNECT = (
    "make one with the scope connections:write under Basic Information of the app's settings; it begins with xapp-"
)

Wall = Callable[[], float]


async def examine_slack(settings: Settings, policy: Policy | None, *, wall: Wall = time.time) -> list[Finding]:
    """Look at what can be looked at from here; nothing is posted. `wall` is the time in seconds."""
    if settings.resolved_slack_mode() == "off" or settings.slack_bot_token is None:
        return [_OFF] if settings.teams_app_id is None else []
    async with _client(settings) as client:
        try:
            identity, answer = await identify(client), await called(client.auth_test())
        except (NotReady, ApiProblem) as exc:
            remedy = exc.remedy if isinstance(exc, NotReady) else "try again in a moment"
            return [Finding("problem", exc.message if isinstance(exc, NotReady) else f"Slack: {exc}", remedy)]
        found = [Finding("ok", f"Slack: app {identity.app} in workspace {identity.team}")]
        found += [*_scopes(answer), *_clock(answer, wall), *await _socket(client, settings)]
        places = [*(policy.destinations if policy else ()), *_operators(settings)]
        external = policy.external_channels if policy else ()
        for one in dict.fromkeys(place for place in places if place.startswith("slack:")):
            found.append(await _place(client, one, may_be=one in external))
        if policy is not None:
            found += await _people(client, identity, policy)
            found += [await _group(client, source) for source in policy.sources if source.startswith(GROUP)]
    return found


async def send_test_card(settings: Settings, destination: str) -> Finding:
    """Post a card that asks nothing and has no buttons, so that people see where and how they will be asked."""
    if settings.resolved_slack_mode() == "off" or settings.slack_bot_token is None:
        return Finding("problem", "no test card was sent: Slack is off", _OFF.remedy)
    async with _client(settings) as client:
        try:
            identity = await identify(client)
            request = _sample(int(time.time() * 1000))
            platform = SlackPlatform(
                client, identity, Seal(secrets.token_bytes(32), team=identity.team, app=identity.app)
            )
            await platform.post(destination, request, card_of(request))
        except NotReady as exc:
            return Finding("problem", exc.message, exc.remedy)
        except ChatError as exc:
            remedy = exc.remedy if isinstance(exc, ChatRefused) else "try again in a moment"
            return Finding("problem", f"{destination}: no test card was sent: {exc}", remedy)
    return Finding("ok", f"{destination}: a test card was sent; look at it there")


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[AsyncWebClient]:
    token = settings.slack_bot_token
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield new_client(token.get_secret_value() if token else "", session, base_url=settings.slack_api_url)


def _scopes(answer: AsyncSlackResponse) -> Iterable[Finding]:
    """Whether the token has every scope of the manifest; Slack says in a header which it has."""
    granted = _header(answer, "X-OAuth-Scopes")
    if granted is None:
        return [Finding("warning", "Slack does not say which scopes the token has", "compare them with the manifest's")]
    missing = [scope for scope in SCOPES if scope not in granted.replace(" ", "").split(",")]
    if not missing:
        return [Finding("ok", f"scopes: all {len(SCOPES)} of the manifest")]
    return [
        Finding(
            "problem",
            f"scopes: {scope} is missing ({SCOPES[scope]})",
            "take over the current manifest (`slack manifest`) under App Manifest, and install the app again",
        )
        for scope in missing
    ]


def _clock(answer: AsyncSlackResponse, wall: Wall) -> Iterable[Finding]:
    """Whether this machine's clock is Slack's: signatures are refused where it is not."""
    said = _header(answer, "Date")
    if said is None:
        return []
    skew = abs(parsedate_to_datetime(said).timestamp() - wall())
    if skew <= _SKEW:
        return []
    return [Finding("problem", f"this machine's clock is {skew:.0f} s from Slack's", "synchronise it with NTP")]


def _header(answer: AsyncSlackResponse, name: str) -> str | None:
    found = (value for key, value in dict(answer.headers).items() if key.lower() == name.lower())
    return next(map(str, found), None)


async def _socket(client: AsyncWebClient, settings: Settings) -> list[Finding]:
    """Whether a Socket Mode connection could be opened; over HTTP only Slack itself can try."""
    if settings.resolved_slack_mode() != "socket" or settings.slack_app_token is None:
        return []
    try:
        await called(client.apps_connections_open(app_token=settings.slack_app_token.get_secret_value()))
    except ApiProblem as exc:
        return [Finding("problem", f"Slack refuses the app-level token ({exc})", _CONNECT)]
    return [Finding("ok", "Socket Mode: a connection can be opened")]


def _operators(settings: Settings) -> list[str]:
    return [settings.operators_channel] if settings.operators_channel else []


async def _place(client: AsyncWebClient, destination: str, *, may_be: bool) -> Finding:
    """Whether cards can be posted at a destination; it `may_be` read by outsiders where policy says so."""
    place = destination.removeprefix("slack:")
    if place.startswith(("U", "W")):
        return Finding("ok", f"{destination}: a direct message")
    try:
        answer = await called(client.conversations_info(channel=place))
    except ApiProblem as exc:
        return Finding("problem", f"{destination}: {exc}", "check the channel's id, and invite the app: /invite @Sayso")
    channel = answer["channel"]
    if channel.get("is_archived"):
        return Finding("problem", f"{destination}: the channel is archived", "name another one in the policy")
    if is_read_outside(channel) and not may_be:
        return Finding("problem", f"{destination}: shared with another workspace, so nothing is posted there", REMEDY)
    if is_read_outside(channel):
        return Finding("warning", f"{destination}: shared with another workspace", "outsiders read what is asked there")
    if not channel.get("is_member"):
        return Finding("problem", f"{destination}: the app is not in this channel", "invite it there: /invite @Sayso")
    return Finding("ok", f"{destination}: joined")


async def _people(client: AsyncWebClient, identity: Identity, policy: Policy) -> list[Finding]:
    async def standing(user: str) -> str | None:
        return standing_of((await called(client.users_info(user=user)))["user"], identity)

    members = Members(
        via="slack",
        platform="Slack",
        tenant=identity.team,
        elsewhere="not in this workspace",
        user="the member ID from their profile",
        standing=standing,
        problem=ApiProblem,
    )
    return await examine_accounts(policy, members)


async def _group(client: AsyncWebClient, source: str) -> Finding:
    """Whether somebody is in a user group."""
    group = source.removeprefix(GROUP)
    try:
        members = (await called(client.usergroups_users_list(usergroup=group)))["users"]
    except ApiProblem as exc:
        return Finding("problem", f"user group {group}: {exc}", "check its id: People, User groups, Copy group ID")
    if not members:
        return Finding("problem", f"user group {group}: nobody is in it", "add people to it in Slack")
    return Finding("ok", f"user group {group}: {len(members)} people")


def _sample(now: int) -> Request:
    """A request that nobody made, and that is over."""
    action = Action(
        kind="sayso.test",
        target="nothing",
        arguments={"sent_by": "python -m bot doctor"},
        nonce=secrets.token_urlsafe(16),
    )
    terms = Terms(policy="", rules=("test",), within=1, use_within=1, receipt_ttl=1, outcome_within=1)
    words = Presentation(title="Test card", done="Test card", not_done="Test card: nothing is asked", risk="low")
    return Request(
        id=request_id("doctor", f"test/{now}", 1),
        agent="doctor",
        call=f"test/{now}",
        action=action,
        digest=action.digest(),
        audience="doctor",
        because="If you can read this, cards reach you here.",
        principal="doctor",
        started_by=None,
        trace=None,
        asked_at=now,
        expires_at=now + 1,
        terms=terms,
        presentation=words,
    ).withdrawn(now)
