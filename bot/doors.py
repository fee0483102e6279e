"""The chat platforms of this deployment: each door is built from the settings, and all of them are asked as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from approvals.commands.commands import Commands
from approvals.errors import DirectoryUnavailable
from approvals.ports import Account, ChatPlatform, Directory, Rosters, Store
from approvals.service import Approvals
from bot.oncall import open_oncall
from bot.policies import AdoptedPolicy
from bot.settings import Settings
from bot.signing import FileSigner
from bot.telemetry.kit import Telemetry
from bot.telemetry.readiness import Check, directory_check
from bot.telemetry.watched import WatchedDirectory
from handlers.slack.door import SlackDoor, open_door
from handlers.teams.addresses import Addresses
from handlers.teams.door import Options, TeamsDoor
from handlers.teams.identity import Identity
from handlers.teams.tokens import Credentials, issuer_of
from handlers.teams.watch import TeamsWatch

NOBODY = "00000000-0000-0000-0000-000000000000"  #: whom no tenant has; looked up to see whether that works


class Directories:
    """A Directory made of one for each platform: an account is looked up where it comes from."""

    def __init__(self, by_platform: Mapping[str, Known]) -> None:
        self._by_platform = by_platform

    async def standing(self, account: Account) -> str | None:
        directory = self._by_platform.get(account.via)
        return await directory.standing(account) if directory is not None else "not known to any directory"

    async def is_member(self, account: Account, source: str) -> bool:
        directory = self._by_platform.get(account.via)
        if directory is not None:
            return await directory.is_member(account, source)
        if source.startswith((f"{account.via}:", f"oncall:{account.via}:")):
            # "Not in it" would let in whom policy keeps out by a group that nobody can look up.
            raise DirectoryUnavailable(f"{account.via} is not connected, so nobody can say who is in {source}")
        return False

    async def accounts(self, source: str) -> Iterable[str]:
        """The accounts behind a source, by the word of whoever it belongs to."""
        directory = self._by_platform.get(source.removeprefix("oncall:").partition(":")[0])
        if directory is None:
            raise DirectoryUnavailable(f"nobody is connected who can say who is in {source}")
        return await directory.accounts(source)


class Known(Directory, Rosters, Protocol):
    """What a platform or a paging service knows of people."""


@dataclass(frozen=True)
class Doors:
    """The doors that the settings open, None where a platform is off; and who says who is on call."""

    slack: SlackDoor | None = None
    teams: TeamsDoor | None = None
    oncall: Mapping[str, Known] = field(default_factory=dict)

    @property
    def platforms(self) -> dict[str, ChatPlatform]:
        """Where cards can be shown."""
        return {door.platform.name: door.platform for door in (self.slack, self.teams) if door is not None}

    @property
    def directory(self) -> Known:
        """Who people are; where no platform is connected, it vouches for nobody."""
        found: dict[str, Known] = {
            door.platform.name: door.directory for door in (self.slack, self.teams) if door is not None
        }
        return Directories({**found, **self.oncall})

    async def warm(self, sources: Iterable[str]) -> None:
        """Look groups up before anybody clicks."""
        wanted = tuple(sources)
        await asyncio.gather(*(door.directory.warm(wanted) for door in (self.slack, self.teams) if door is not None))

    def routes(self, approvals: Approvals, commands: Commands) -> list[web.RouteDef]:
        """What the platforms call."""
        found = self.slack.routes(approvals, commands) if self.slack is not None else []
        return found + (self.teams.routes(approvals, commands) if self.teams is not None else [])

    @asynccontextmanager
    async def receiving(self, approvals: Approvals, commands: Commands) -> AsyncIterator[None]:
        """Be connected; on the way out, finish what was started for clicks. Raises NotReady."""
        async with AsyncExitStack() as stack:
            if self.slack is not None:
                await stack.enter_async_context(self.slack.receiving(approvals, commands))
            if self.teams is not None:
                await stack.enter_async_context(self.teams.receiving())
            yield

    def checks(self, directory: WatchedDirectory) -> dict[str, Check]:
        """What /readyz asks of the platforms, and of `directory`, which is all of theirs."""
        checks: dict[str, Check] = {}
        probes: list[Account] = []
        if self.slack is not None:
            checks["slack"] = self.slack.is_connected
            probes.append(Account("slack", self.slack.identity.team, self.slack.identity.bot_user))
        if self.teams is not None:
            checks["teams"] = self.teams.is_connected
            probes.append(Account("teams", self.teams.identity.tenant, NOBODY))
        if probes:
            checks["directory"] = directory_check(directory, *probes)
        return checks


async def open_doors(
    stack: AsyncExitStack,
    settings: Settings,
    signer: FileSigner,
    store: Store,
    kit: Telemetry,
    policies: AdoptedPolicy,
) -> Doors:
    """Build the doors, not yet open; the stack closes what they use. Raises NotReady for a bad Slack token.

    They go by the policy in force: to where people of other organisations may read, and to whom else members are known.
    """
    external = partial(_is_external, policies)
    timeout = aiohttp.ClientTimeout(total=20)
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
    return Doors(
        slack=await _slack(session, settings, signer, kit, external),
        teams=teams_door(
            session,
            settings,
            store,
            seal_key=signer.secret_for("teams buttons"),
            watch=kit.teams(),
            external=external,
            fallback=lambda: policies.current().teams_roster,
        ),
        oncall=open_oncall(stack, session, settings),
    )


def _is_external(policies: AdoptedPolicy, destination: str) -> bool:
    """Whether the policy in force lets people of other organisations read what is posted at a destination."""
    return destination in policies.current().external_channels


async def _slack(
    session: aiohttp.ClientSession,
    settings: Settings,
    signer: FileSigner,
    kit: Telemetry,
    external: Callable[[str], bool],
) -> SlackDoor | None:
    mode = settings.resolved_slack_mode()
    if mode == "off" or settings.slack_bot_token is None:
        return None
    return await open_door(
        session=session,
        bot_token=settings.slack_bot_token.get_secret_value(),
        seal_key=signer.secret_for("slack buttons"),
        app_token=_secret(settings.slack_app_token) if mode == "socket" else None,
        signing_secret=_secret(settings.slack_signing_secret) if mode == "http" else None,
        base_url=settings.slack_api_url,
        watch=kit.slack(),
        external=external,
    )


def teams_door(
    session: aiohttp.ClientSession,
    settings: Settings,
    store: Store,
    *,
    seal_key: bytes,
    watch: TeamsWatch,
    external: Callable[[str], bool] = lambda destination: False,
    fallback: Callable[[], str] = lambda: "",
) -> TeamsDoor | None:
    """The Teams door; None where Teams is off."""
    if settings.teams_app_id is None or settings.teams_tenant_id is None:
        return None
    credentials = Credentials(
        settings.teams_app_id,
        settings.teams_tenant_id,
        secret=_secret(settings.teams_client_secret) or "",
        certificate=settings.teams_certificate,
        managed=settings.teams_managed_identity,
    )
    addresses = Addresses(settings.teams_openid_url, settings.teams_graph_url, tuple(settings.teams_services.split()))
    return TeamsDoor(
        session=session,
        identity=Identity(settings.teams_app_id, settings.teams_tenant_id),
        issuer=issuer_of(credentials, authority=settings.teams_authority),
        seal_key=seal_key,
        store=store,
        options=Options(addresses=addresses, fallback=fallback, external=external, watch=watch),
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
