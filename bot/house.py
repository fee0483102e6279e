"""The one place where everything is built, started, and closed again, in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from approvals.commands.commands import Commands
from approvals.desk import Desk
from approvals.errors import ApprovalsError, StoreUnavailable
from approvals.pings import Pings
from approvals.policy import Policy
from approvals.ports import Inbox, Signer, Store
from approvals.reaching import Reaching
from approvals.service import Approvals
from bot.clock import Clock
from bot.collector import settle
from bot.courier import Courier
from bot.credentials import KnownCredentials
from bot.doors import Doors, open_doors
from bot.identity import TokenFiles
from bot.intake import Intake
from bot.keys import signer_for
from bot.known_places import must_be_open
from bot.loops import Loop
from bot.oncall import unasked
from bot.policies import AdoptedPolicy, read_policy
from bot.presence import EVERY as HEARTBEAT
from bot.presence import Presence
from bot.reload import IDLE, Reload, watching
from bot.rollback import RollBack
from bot.rotation import KeyWatch
from bot.sealer import HeadsFile, Sealer
from bot.settings import Settings, hide_from_libraries
from bot.signing import FileSigner, write_trust
from bot.telemetry.kit import Telemetry, open_telemetry
from bot.telemetry.metrics import metrics_route
from bot.telemetry.queues import Queues, open_queues
from bot.telemetry.readiness import Check, Draining, checks_of
from bot.telemetry.sampler import EVERY, Sampler
from bot.telemetry.watched import WatchedDirectory
from bot.zones import is_zone, minute_of_day
from handlers.api.routes import api_routes
from handlers.slack.door import SlackDoor
from storage.redis.address import UrlInvalid, where
from storage.redis.store import DAY, RedisStore

log = structlog.get_logger("sayso.house")

KEYS_HEARD = 20.0  #: seconds from one look at the registered keys to the next


@dataclass(frozen=True)
class House:
    """What runs, for those who start it: the demo, the tests, `serve`."""

    settings: Settings
    store: Store
    approvals: Approvals
    signer: FileSigner
    url: str  #: of the HTTP server
    draining: Draining
    reread: Callable[[], None]  #: put the policy file in force as it is now


@asynccontextmanager
async def open_store(settings: Settings, *, read_only: bool = False) -> AsyncIterator[RedisStore]:
    """The memory that the settings name. Raises ServerUnfit, UrlInvalid, and StoreUnavailable that says where it is."""
    try:
        store = await RedisStore.connect(
            settings.redis_url,
            partitions=settings.partitions,
            replicas=settings.redis_replicas,
            retention=settings.keep_requests_days * DAY,
            renderings=settings.keep_renderings_days * DAY,
            read_only=read_only,
        )
    except UrlInvalid:
        raise
    except StoreUnavailable as exc:
        raise StoreUnavailable(f"{exc}, at {where(settings.redis_url)}") from exc
    async with store:
        yield store


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Build everything, run it, and close it: no new clicks, finish what is in hand, then hang up."""
    hide_from_libraries()
    policy, text = read_policy(settings.policy)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        name = _process_name()
        inbox = await stack.enter_async_context(store.inbox(name))
        signer = await signer_for(settings, store)
        write_trust(settings.trust, signer.trust(settings.issuer))
        await _fits(settings, store, policy, text)
        policies = AdoptedPolicy(store, policy, text)
        await policies.put_in_force()
        kit = await stack.enter_async_context(open_telemetry(settings, policies, store.server))
        doors = await open_doors(stack, settings, signer, store, kit, policies)
        rooms = _rooms(settings, store, inbox, signer, policies, doors, kit)
        queues = await stack.enter_async_context(open_queues(settings.redis_url, settings.partitions))
        checks = _checks(rooms, store, queues, doors)
        presence = Presence(rooms.store.shelf, name)
        stack.push_async_callback(presence.leave)
        keys = Loop("keys", KeyWatch(signer, store, settings).step, idle=KEYS_HEARD, failed=kit.loop_failed)
        being = Loop("presence", presence.step, idle=HEARTBEAT, failed=kit.loop_failed)
        sampler = _sampler(rooms, queues, checks, presence, doors.slack)
        sampling = Loop("sampler", sampler.step, idle=EVERY, failed=kit.loop_failed)
        await rooms.sealer.step()  # before anything is spent: is Redis what it was?
        stack.push_async_callback(_seal_the_rest, rooms.sealer)
        stack.push_async_callback(rooms.courier.finish)
        reload = _reload(settings, store, inbox, policies, kit)
        await reload.step()  # before anybody is told that we are ready: the agents are heard
        reloading = Loop("policy", reload.step, idle=IDLE, failed=kit.loop_failed)
        await stack.enter_async_context(watching(settings.policy, _then(reload.changed, reloading.nudge)))
        await stack.enter_async_context(_running([*rooms.loops, keys, being, reloading, sampling]))
        routes = api_routes(trust=lambda: signer.trust(settings.issuer), checks=checks)
        await stack.enter_async_context(doors.receiving(rooms.approvals, rooms.commands))
        routes += doors.routes(rooms.approvals, rooms.commands)
        routes += await _metrics(stack, settings, kit)
        url = await stack.enter_async_context(_serving(settings.host, settings.port, routes, rooms.draining))
        for schedule in unasked(policy.sources, settings):
            log.error("on-call schedule cannot be asked", schedule=schedule)
        for risk in store.findings:
            log.warning("redis", risk=risk)
        log.info("ready", url=url, platforms=[*doors.platforms], agents=len(policy.agents))
        reread = _then(reload.asked, reloading.nudge)
        yield House(settings, rooms.store, rooms.approvals, signer, url, rooms.draining, reread)
        log.info("closing")


@dataclass(frozen=True)
class _Rooms:
    """The service over its watched ports, and what works for it."""

    kit: Telemetry
    store: Store
    directory: WatchedDirectory
    signer: Signer
    policies: AdoptedPolicy
    approvals: Approvals
    commands: Commands
    sealer: Sealer
    courier: Courier
    loops: Sequence[Loop]
    draining: Draining


def _rooms(
    settings: Settings,
    store: RedisStore,
    inbox: Inbox,
    signer: FileSigner,
    policies: AdoptedPolicy,
    doors: Doors,
    kit: Telemetry,
) -> _Rooms:
    """The service and its loops, not running yet."""
    memory, signing = kit.store(store), kit.signer(signer)
    directory = kit.directory(doors.directory)
    pings = Pings(store=memory, directory=directory, policies=policies, minute_of_day=minute_of_day, is_zone=is_zone)
    courier = _courier(settings, memory, doors, policies, pings, kit)
    posts_loop = Loop("posts", courier.serve, idle=0.1, failed=kit.loop_failed)
    courier_loop = Loop("courier", partial(_relay, courier, posts_loop), idle=0.25, failed=kit.loop_failed)
    sealer = Sealer(memory, signing, HeadsFile(settings.heads), issuer=settings.issuer)
    approvals = Approvals(
        store=memory,
        directory=directory,
        policies=policies,
        signer=signing,
        issuer=settings.issuer,
        detector=KnownCredentials(),
        identities=TokenFiles(settings.policy.parent),
        nudge=courier_loop.nudge,
        held=sealer.holds_spends,
        minute_of_day=minute_of_day,
        is_zone=is_zone,
    )
    commands = Commands(approvals=approvals, store=memory, directory=directory, policies=policies)
    loops = [courier_loop, posts_loop, *_loops(memory, kit.inbox(inbox), approvals, sealer, kit)]
    return _Rooms(kit, memory, directory, signing, policies, approvals, commands, sealer, courier, loops, Draining())


def _reload(settings: Settings, store: RedisStore, inbox: Inbox, policies: AdoptedPolicy, kit: Telemetry) -> Reload:
    """What keeps this process with the policy file; registered agents are heard, and find their names published."""

    async def served(agents: Sequence[str], audiences: Sequence[str]) -> None:
        await inbox.watch(agents, audiences)
        await store.publish_names(agents, audiences)

    fits = partial(_fits, settings, store)
    return Reload(settings.policy, policies, store, serve=served, counted=kit.policy_file, fits=fits)


def _then(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both


async def _relay(courier: Courier, posts: Loop) -> bool:
    """Relay, and let what was relayed be done at once."""
    found = await courier.relay()
    if found:
        posts.nudge()
    return found


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C; after SIGTERM it says for `drain_seconds` that it is not ready, and still decides.

    A load balancer needs that time to send new clicks elsewhere. Another signal ends it at once. SIGHUP reads the
    policy file again.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        if stop.is_set() or number == signal.SIGINT:
            at_once.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # until the house is open: it reads the file anyway
    async with open_house(settings) as house:
        settle()
        loop.add_signal_handler(signal.SIGHUP, house.reread)
        await stop.wait()
        house.draining.begun = True
        log.info("draining", seconds=settings.drain_seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(at_once.wait(), settings.drain_seconds)


async def _fits(settings: Settings, store: Store, policy: Policy, text: str) -> None:
    """Raises PolicyInvalid where a policy contradicts what is known of a platform that is on."""
    if settings.teams_app_id is not None:
        await must_be_open(policy, text, settings.policy, store.shelf)


def _process_name() -> str:
    """A name no other process has, for the consumer group: a dead taker's entries must not be taken for ours."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _courier(
    settings: Settings,
    store: Store,
    doors: Doors,
    policies: AdoptedPolicy,
    pings: Pings,
    kit: Telemetry,
) -> Courier:
    return Courier(
        store,
        doors.platforms,
        warm=doors.warm,
        accounts=lambda person: policies.current().accounts_of(person),
        watch=kit.courier(),
        operators=settings.operators_channel,
        reach=Reaching(store=store, policies=policies, rosters=doors.directory, book=pings.book),
    )


def _checks(rooms: _Rooms, store: RedisStore, queues: Queues, doors: Doors) -> dict[str, Check]:
    """What /readyz asks; not every house has replicas that must confirm, or a chat platform and its directory."""
    checks = checks_of(
        store=rooms.store,
        policies=rooms.policies,
        signer=rooms.signer,
        journal=rooms.sealer,
        loops=rooms.loops,
        draining=rooms.draining,
    )
    if store.replicas:
        checks["replicas"] = lambda: queues.has_replicas(store.replicas)
    return checks | doors.checks(rooms.directory)


def _sampler(
    rooms: _Rooms, queues: Queues, checks: Mapping[str, Check], presence: Presence, slack: SlackDoor | None
) -> Sampler:
    return Sampler(
        metrics=rooms.kit.metrics,
        labels=rooms.kit.labels,
        store=rooms.store,
        queues=queues,
        policies=rooms.policies,
        journal=rooms.sealer,
        loops=rooms.loops,
        checks=checks,
        replicas=lambda: presence.count,
        line=slack.line if slack is not None and slack.by_socket else None,
    )


def _loops(store: Store, inbox: Inbox, approvals: Approvals, sealer: Sealer, kit: Telemetry) -> list[Loop]:
    intake, clock = Intake(inbox, Desk(approvals)), Clock(store, approvals)
    steps: list[tuple[str, Callable[[], Awaitable[bool]], float]] = [
        ("intake", intake.take, 0.0),
        ("reclaim", intake.reclaim, 5.0),
        ("inspect", intake.inspect, 30.0),
        ("timers", clock.timers, 0.5),
        ("announcements", clock.announcements, 0.5),
        ("silent", clock.silent, 2.0),
        ("frozen", clock.frozen, 10.0),
        ("tidy", clock.tidy, 30.0),
        ("rollback", RollBack(store, sealer, approvals).step, 5.0),
        ("sealer", sealer.step, 1.0),
    ]
    return [Loop(name, step, idle=idle, failed=kit.loop_failed) for name, step, idle in steps]


async def _metrics(stack: AsyncExitStack, settings: Settings, kit: Telemetry) -> list[web.RouteDef]:
    """The route of the metrics, for the service's own server; nothing where they have a port of their own."""
    route = metrics_route(kit.metrics)
    if settings.metrics_port is None:
        return [route]
    url = await stack.enter_async_context(_serving(settings.host, settings.metrics_port, [route], Draining()))
    log.info("metrics", url=url)
    return []


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
async def _serving(host: str, port: int, routes: Sequence[web.RouteDef], draining: Draining) -> AsyncIterator[str]:
    """An HTTP server; gives its URL. While draining it lets no connection be kept: the next click goes elsewhere."""

    @web.middleware
    async def unkept(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if draining.begun:
            response.force_close()
        return response

    app = web.Application(middlewares=[unkept])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
