"""The one place where everything is built, started, and closed again, in the opposite order."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web
from pydantic import SecretStr

from approvals.desk import Desk
from approvals.errors import ApprovalsError
from approvals.ports import Account, ChatPlatform, Inbox, Post, Store
from approvals.service import Approvals
from bot.clock import Clock
from bot.courier import Courier
from bot.intake import Intake
from bot.keys import signer_for
from bot.loops import Loop
from bot.policies import AdoptedPolicy, read_policy
from bot.sealer import HeadsFile, Sealer
from bot.settings import Settings
from bot.signing import FileSigner, read_key, write_trust
from handlers.api.routes import api_routes
from handlers.slack.door import SlackDoor, open_door
from storage.redis.store import RedisStore

log = structlog.get_logger("sayso.house")


@dataclass(frozen=True)
class House:
    """What runs, for those who start it: the demo, the tests, `serve`."""

    settings: Settings
    store: Store
    approvals: Approvals
    signer: FileSigner
    url: str  #: of the HTTP server


@asynccontextmanager
async def open_store(settings: Settings, *, read_only: bool = False) -> AsyncIterator[RedisStore]:
    """The memory that the settings name."""
    store = await RedisStore.connect(
        settings.redis_url,
        partitions=settings.partitions,
        replicas=settings.redis_replicas,
        read_only=read_only,
    )
    async with store:
        yield store


def open_signer(settings: Settings) -> FileSigner:
    """The signer with the existing key. Raises KeyProblem."""
    return FileSigner(read_key(settings.signing_key))


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Build everything, run it, and close it: no new clicks, finish what is in hand, then hang up."""
    policy, text = read_policy(settings.policy)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        inbox = await stack.enter_async_context(store.inbox(_process_name()))
        signer = await signer_for(settings, store)
        write_trust(settings.trust, signer.trust(settings.issuer))
        policies = AdoptedPolicy(store, policy, text)
        await policies.put_in_force()
        await inbox.watch(policy.agents, policy.audiences)
        await store.publish_names(policy.agents, policy.audiences)
        slack = await _slack(stack, settings, signer)
        courier_loop = Loop("courier", _courier(store, slack).step, idle=0.25)
        approvals = Approvals(
            store=store,
            directory=slack.directory if slack is not None else NobodyKnown(),
            policies=policies,
            signer=signer,
            issuer=settings.issuer,
            nudge=courier_loop.nudge,
        )
        sealer = Sealer(store, signer, HeadsFile(settings.heads), issuer=settings.issuer)
        await sealer.step()  # before anything is spent: is Redis what it was?
        stack.push_async_callback(_seal_the_rest, sealer)
        await stack.enter_async_context(_running([courier_loop, *_loops(store, inbox, approvals, sealer)]))
        routes = _routes(settings, store, signer, sealer, slack)
        if slack is not None:
            await stack.enter_async_context(slack.receiving(approvals, _posts(store)))
            routes += slack.routes(approvals, _posts(store))
        url = await stack.enter_async_context(_serving(settings, routes))
        for risk in store.findings:
            log.warning("redis", risk=risk)
        log.info("ready", url=url, slack=settings.resolved_slack_mode(), agents=len(policy.agents))
        yield House(settings, store, approvals, signer, url)
        log.info("closing")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with open_house(settings):
        await stop.wait()


class NobodyKnown:
    """The directory where no chat platform is connected: it vouches for nobody."""

    async def standing(self, account: Account) -> str | None:
        """No account can be checked."""
        return "not known to any directory"

    async def is_member(self, account: Account, source: str) -> bool:
        """Nobody is in any group."""
        return False


def _process_name() -> str:
    """A name no other process has, for the consumer group: a dead taker's entries must not be taken for ours."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


async def _slack(stack: AsyncExitStack, settings: Settings, signer: FileSigner) -> SlackDoor | None:
    """The Slack door, not yet open; None where Slack is off. Raises NotReady for a bad token."""
    mode = settings.resolved_slack_mode()
    if mode == "off" or settings.slack_bot_token is None:
        return None
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)))
    return await open_door(
        session=session,
        bot_token=settings.slack_bot_token.get_secret_value(),
        seal_key=signer.secret_for("slack buttons"),
        app_token=_secret(settings.slack_app_token) if mode == "socket" else None,
        signing_secret=_secret(settings.slack_signing_secret) if mode == "http" else None,
        base_url=settings.slack_api_url,
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def _posts(store: Store) -> Callable[[str], Awaitable[Mapping[str, Post]]]:
    async def posts(request: str) -> Mapping[str, Post]:
        return (await store.get(request)).posts

    return posts


def _courier(store: Store, slack: SlackDoor | None) -> Courier:
    platforms: dict[str, ChatPlatform] = {"slack": slack.platform} if slack is not None else {}
    return Courier(store, platforms, warm=slack.directory.warm if slack is not None else None)


def _routes(
    settings: Settings, store: Store, signer: FileSigner, sealer: Sealer, slack: SlackDoor | None
) -> list[web.RouteDef]:
    async def redis_answers() -> bool:
        return await store.now() > 0

    async def journal_whole() -> bool:
        return not sealer.behind

    checks: dict[str, Callable[[], Awaitable[bool]]] = {"redis": redis_answers, "journal": journal_whole}
    if slack is not None:
        checks["slack"] = slack.is_connected
    return api_routes(trust=lambda: signer.trust(settings.issuer), checks=checks)


def _loops(store: Store, inbox: Inbox, approvals: Approvals, sealer: Sealer) -> list[Loop]:
    intake = Intake(inbox, Desk(approvals), may_spend=lambda: not sealer.behind)
    clock = Clock(store, approvals)
    return [
        Loop("intake", intake.take),
        Loop("reclaim", intake.reclaim, idle=5.0),
        Loop("timers", clock.timers, idle=0.5),
        Loop("announcements", clock.announcements, idle=0.5),
        Loop("sealer", sealer.step, idle=1.0),
    ]


async def _seal_the_rest(sealer: Sealer) -> None:
    """Seal what the last steps of the loops wrote."""
    try:
        await sealer.step()
    except ApprovalsError as exc:
        log.warning("the last entries are not sealed", error=type(exc).__name__)


@asynccontextmanager
async def _running(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run the loops; on the way out each finishes the step it is in."""
    tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _serving(settings: Settings, routes: Sequence[web.RouteDef]) -> AsyncIterator[str]:
    """The HTTP server; gives its URL."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        port = runner.addresses[0][1]
        yield f"http://{settings.host}:{port}"
    finally:
        await runner.cleanup()
