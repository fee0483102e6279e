"""Slack: how long a burst takes to be on screen under Slack's limits, and how many signed clicks a bot decides.

Slack is the sandbox, in a process of its own, over HTTP, with the limits it enforces (sandbox/limits.py): about one
post a second in a channel, 50 edits a minute. The bot of these rows is the real service, courier and bolt app over a
real Redis with `appendfsync always`. Nothing is scaled: a burst of 1,000 takes a minute of real time.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web

from approvals.action import Action
from approvals.card import card_of
from approvals.commands.commands import Commands
from approvals.indices import Query
from approvals.intake import RequestDocument
from approvals.ports import Post
from approvals.request import Request
from approvals.service import Approvals
from benchmarks.house import ISSUER, running
from benchmarks.processes import child
from benchmarks.report import Figure, percentile
from benchmarks.servers import Place, a_place
from benchmarks.workspace import AGENT, CHANNEL, POLICY, Seen, Slack, workspace
from bot.courier import Courier
from bot.loops import Loop
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner, read_key
from bot.zones import is_zone
from handlers.seal import Seal, Sealed
from handlers.slack.door import SlackDoor, open_door
from handlers.slack.http import PATH
from storage.redis.store import RedisStore

HERE: Final = f"slack:{CHANNEL}"
_KEY: Final = bytes(range(32))
_AT_ONCE: Final = 50  #: requests that are asked, or clicks that are on their way, at the same time
_AFTERWARDS: Final = 10  #: requests that come one by one when the burst is over
_PERIOD, _WORK = 1.0, 0.5  #: seconds from one post to the next in a channel, and for everything else
_DEADLINE: Final = 3_000.0  #: ms that Slack gives to an acknowledgement
_PACE: Final = 200  #: clicks a second


@dataclass(frozen=True)
class _Bot:
    """The service behind its Slack door."""

    store: RedisStore
    approvals: Approvals
    door: SlackDoor

    async def asks(self, count: int) -> list[Request]:
        """So many requests, as fast as they are taken."""
        asked: list[Request] = []
        for start in range(0, count, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, count))
            asked += await asyncio.gather(*(self.approvals.submit(_document(), AGENT) for _ in numbers))
        return asked


async def measure(quick: bool) -> list[Figure]:
    """Both rows."""
    return [*await _burst(50 if quick else 1_000), *await _clicks(40 if quick else 2_000, 20 if quick else 500)]


async def _burst(count: int) -> list[Figure]:
    """So many requests to one channel at once: seconds until the last can be clicked, and what came after them."""
    async with a_place() as place, a_bot(place) as (bot, slack):
        began = time.time()
        await bot.asks(count)
        asked = time.time() - began
        seen = await _until_seen(slack, count)
        waits = [await _one_more(bot, slack, count + number) for number in range(1, _AFTERWARDS + 1)]
        told = await _until_seen(slack, 0)
        answer = await asyncio.to_thread(slack.ask, "click")
    decided = "and it was clicked" if answer else "but a click on it FAILED"
    return [
        Figure(f"burst, {count} requests to one channel, last one clickable", seen.last - began, "s", 100.0,
               note=f"asked within {asked:.0f} s; {seen.messages} messages; {decided}"),
        Figure("burst, a click on the last one that failed", 0.0 if answer else 1.0, "", 0.0),
        Figure("burst, 429s that were not waited out", told.ignored, "", 0.0, note=f"{told.limited} 429s"),
        Figure("burst, the longest wait of a request once it is over", max(waits), "s", _PERIOD + _WORK),
    ]  # fmt: skip


async def _until_seen(slack: Slack, count: int) -> Seen:
    seen: Seen = await asyncio.to_thread(slack.ask, "seen", count)
    if seen.requests < count:
        raise RuntimeError(f"{count - seen.requests} of {count} requests never came on screen")
    return seen


async def _one_more(bot: _Bot, slack: Slack, count: int) -> float:
    """The seconds until one more request is on screen."""
    began = time.time()
    await bot.asks(1)
    return (await _until_seen(slack, count)).last - began


async def _clicks(count: int, crowd: int) -> list[Figure]:
    """Clicks as fast as they go, at a steady pace, and many within one second; each on a request of its own."""
    async with a_place() as place, a_bot(place, posts=False) as (bot, slack):

        async def run(cards: int, at_once: int, per_second: int) -> tuple[list[float], float]:
            done = await asyncio.to_thread(slack.ask, "run", await _carded(bot, cards), at_once, per_second)
            return [1_000 * seconds for seconds in done[0]], done[1]

        await run(_AT_ONCE, _AT_ONCE, 0)  # everything is warm
        fast, seconds = await run(count, _AT_ONCE, 0)
        steady, _ = await run(count, 0, _PACE)
        many, _ = await run(crowd, 0, crowd)
        pending = len((await bot.store.list(Query(), limit=count)).requests)
    lost = 2 * count + crowd - len(fast) - len(steady) - len(many)
    name = f"click to durable decision and ack, {_PACE} a second"
    return [
        Figure(f"clicks a second, {_AT_ONCE} on their way", len(fast) / seconds, "/s"),
        Figure(f"{name}, p50", percentile(steady, 0.5), "ms"),
        Figure(f"{name}, p99", percentile(steady, 0.99), "ms", _DEADLINE),
        Figure(f"{crowd} clicks within one second, the slowest", max(many), "ms", _DEADLINE),
        Figure("clicks that were not acknowledged, or decided nothing", lost + pending, "", 0.0),
    ]


async def _carded(bot: _Bot, count: int) -> list[tuple[str, str]]:
    """Requests that stand in the channel: each the ts of its card and what the button carries."""
    seal = Seal(_KEY, team=bot.door.identity.team, app=bot.door.identity.app)
    cards = []
    for number, request in enumerate(await bot.asks(count)):
        ts, shown = f"{int(time.time())}.{number:06}", card_of(request).digest()
        post = Post(HERE, "posted", 1, {"channel": CHANNEL, "ts": ts}, shown)
        await bot.store.record_post(request.id, post)
        cards.append((ts, seal.value(Sealed(request.id, shown), CHANNEL)))
    return cards


@asynccontextmanager
async def a_bot(place: Place, *, posts: bool = True) -> AsyncIterator[tuple[_Bot, Slack]]:
    """A service with its Slack door, and the Slack it is connected to; without `posts` nobody posts or edits cards."""
    async with AsyncExitStack() as stack:
        pipe = stack.enter_context(child(workspace, posts))
        slack = Slack(pipe, *pipe.recv())
        store = await stack.enter_async_context(await RedisStore.connect(place.url))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        door = await open_door(
            session=session,
            bot_token=slack.bot_token,
            seal_key=_KEY,
            signing_secret=slack.signing_secret,
            base_url=slack.api_url,
        )
        policies = AdoptedPolicy(store, parse_policy(POLICY), POLICY)
        await policies.put_in_force()
        signer = FileSigner(read_key(place.folder / "key.pem"))
        courier = Courier(store, {"slack": door.platform}, warm=door.directory.warm)
        serving = Loop("posts", courier.serve, idle=0.1)
        relaying = Loop("courier", courier.relay, idle=0.25)
        approvals = Approvals(
            store=store,
            directory=door.directory,
            policies=policies,
            signer=signer,
            issuer=ISSUER,
            is_zone=is_zone,
            nudge=relaying.nudge if posts else lambda: None,
        )
        commands = Commands(approvals=approvals, store=store, directory=door.directory, policies=policies)
        await _listen(stack, door, approvals, commands, slack)
        if posts:
            stack.push_async_callback(courier.finish)
            await stack.enter_async_context(running([relaying, serving]))
        yield _Bot(store, approvals, door), slack


async def _listen(
    stack: AsyncExitStack, door: SlackDoor, approvals: Approvals, commands: Commands, slack: Slack
) -> None:
    """Serve the door over HTTP, and tell Slack where."""
    application = web.Application()
    application.add_routes(door.routes(approvals, commands))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await stack.enter_async_context(door.receiving(approvals, commands))
    await asyncio.to_thread(slack.ask, "connect", f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}")


def _document() -> RequestDocument:
    """A request whose row shows every argument."""
    action = Action(
        kind="bench.run",
        target="service:billing@production",
        arguments={"release": secrets.token_hex(6), "region": "eu-west-1"},
        nonce=secrets.token_urlsafe(16),
    )
    return RequestDocument(v=1, call=f"run/{secrets.token_hex(8)}", action=action, because="the release is due")
