"""The one place where everything is built, started, and closed again, in the opposite order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog
from handlers.slack.door import SlackDoor

from approvals.ports import ChatPlatform, Directory, Store
from approvals.service import Approvals
from bot.keys import signer_for
from bot.loops import Loop
from bot.policies import AdoptedPolicy, read_policy
from bot.settings import Settings
from bot.signing import FileSigner, read_key, write_trust
from storage.redis.store import RedisStore

log = structlog.get_logger("sayso.house")


@dataclass(frozen=True)
class House:
    """What runs, for those who start it: the demo, the tests, `serve`."""

    settings: Settings
    store: Store
    approvals: Approvals
    signer: FileSigner
    slack: SlackDoor | None
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
    """Build everything, run it, and close it: no new work, finish what is in hand, then hang up."""
    policy, text = read_policy(settings.policy)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        for risk in store.findings:
            log.warning("redis", risk=risk)
        inbox = await stack.enter_async_context(store.inbox(_process_name()))
        signer = await signer_for(settings, store)
        write_trust(settings.trust, signer.trust(settings.issuer))
        policies = AdoptedPolicy(store, policy, text)
        await policies.put_in_force()
        await inbox.watch(policy.agents, policy.audiences)

        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)))
        wake: list[Loop] = []
        slack = await _slack(settings, signer, session)
        directory: Directory = slack.directory if slack is not None else NoDirectory()
        approvals = Approvals(
            store=store,
            directory=directory,
            policies=policies,
            signer=signer,
            issuer=settings.issuer,
            nudge=lambda: [loop.nudge() for loop in wake] and None,
        )
        platforms: Mapping[str, ChatPlatform] = {"slack": slack.platform} if slack is not None else {}
        loops = _loops(settings, store, inbox, approvals, signer, platforms, slack)
        wake += [loop for loop in loops if loop.name == "courier"]
        await stack.enter_async_context(_running(loops))
        url = await stack.enter_async_context(_serving(settings, store, signer, slack, loops))
        if slack is not None:
            await stack.enter_async_context(slack.receiving(approvals))
        log.info("ready", url=url, slack=settings.resolved_slack_mode(), agents=len(policy.agents))
        yield House(settings, store, approvals, signer, slack, url)
        log.info("closing")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with open_house(settings):
        await stop.wait()
