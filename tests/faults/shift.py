"""A deployment in which bots die: whenever one does, the next is started; people and agents insist, as they do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from approvals.errors import ApprovalsError, NotFound
from approvals.lifecycle import Status
from approvals.request import Request
from sandbox import Delivery, NotOnScreen
from sandbox.views import View
from storage.redis import RedisStore
from tests.e2e.processes import PATIENCE, Bot
from tests.e2e.world import ALICE, Lane, World, policy_text, words_in
from tests.faults.teams import TeamsSide

REASON = "not on a Friday"
PEOPLE = {"U0ALICE": "alice", "U0BOB": "bob"}


def policy(*, rules: Sequence[Mapping[str, Any]] = (), sections: Mapping[str, Any], **defaults: Any) -> str:
    """The lanes' policy with these rules, sections and defaults, in which those of the lanes may also do the rest."""
    made = json.loads(policy_text(**defaults))
    roles = {"freeze": ["lanes"], "review": ["lanes"]}
    return json.dumps({**made, "rules": [*made["rules"], *rules], "roles": roles, **sections})


class Shift:
    """One bot at a time: the first as `breaks` and `plan` have it, every later one whole."""

    def __init__(self, world: World, store: RedisStore, lane: Lane) -> None:
        self.world = world
        self.store = store
        self.lane = lane
        self.teams: TeamsSide | None = None  #: where Teams is there beside Slack
        self.deaths: list[int] = []
        self.bot: Bot
        self.over = asyncio.Event()
        self._up = asyncio.Event()
        self._plan: Mapping[str, Any] = {
            "hasty": True,
            "freezes": {"kind": lane.kind, "reason": REASON, "tenant": "T0SAYSO", "user": ALICE},
        }

    async def begin(self, **plan: Any) -> None:
        """Start the first bot, and another where it dies before it is ready."""
        self.bot = await self.world.start_bot(**self._plan, **plan)
        try:
            await self.bot.ready()
        except AssertionError:
            self.deaths.append(await self.bot.ended())
            self.bot = await self.world.bot(**self._plan)
        self._up.set()

    async def relieve(self) -> None:
        """Whenever the bot ends, start another, until it is over; never leaves a start half done."""
        over = asyncio.create_task(self.over.wait())
        while not over.done():
            end = asyncio.create_task(_end_of(self.bot))
            await asyncio.wait([end, over], return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                end.cancel()
                return
            self.deaths.append(end.result())
            self._up.clear()
            self.bot = await self.world.bot(**self._plan)
            self._up.set()

    async def changed(self) -> None:
        """After something that did not work: return when a bot is up that may do better."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await _end_of(self.bot)
                self._up.clear()
        await self._up.wait()

    # ------------------------------------------------------------ what people do

    async def answer(self, user: str, request: str) -> None:
        """Click Approve, again and again, until the answer is in the memory or the request has ended."""
        await self.insist(request, user, lambda: self._approve(user, request))

    async def ask_for_changes(self, user: str, request: str, words: str) -> None:
        """Click Ask for changes and send the form, until it counted."""
        await self.insist(request, user, lambda: self._change(user, request, words))

    async def read_and_approve(self, user: str, request: str) -> None:
        """Open the review, turn every page and send it, until the answer counted."""
        await self.insist(request, user, lambda: self._read(user, request))

    async def break_the_glass(self, user: str, request: str, reason: str) -> None:
        """Have oneself shown the request and let it through alone, until it is."""
        await self.insist(request, user, lambda: self._break(user, request, reason))

    async def review(self, user: str, request: str, words: str) -> None:
        """Say what came of an emergency, until that is kept."""
        async with asyncio.timeout(2 * PATIENCE):
            while (found := await self.request(request)) is None or found.unreviewed:
                await self._up.wait()
                if not (await self._type(user, f"review {request} {words}")).ok:
                    await self.changed()

    async def freeze(self) -> None:
        """Have whichever bot is up freeze the lane's kind, until one of them has done it."""
        while not any("froze Done" in line for line in self.bot.lines):
            await self._up.wait()
            pid = await self.bot.says(_freezes)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
            done = asyncio.create_task(self.bot.says(lambda line: line == "froze Done"))
            await asyncio.wait([done])
            if done.exception() is not None:
                await self.changed()

    async def insist(self, request: str, user: str, gesture: Callable[[], Any]) -> None:
        """Do something again and again, with whichever bot is up, until the person's answer counted."""
        async with asyncio.timeout(2 * PATIENCE):
            while not await self._counted(request, user):
                await self._up.wait()
                with contextlib.suppress(NotOnScreen):
                    if await gesture():
                        continue
                await self.changed()

    async def _approve(self, user: str, request: str) -> bool:
        ts, value = await self.world.see(lambda: self._button(request), f"a button for {request}", list)
        return (await self.world.sandbox.click(user, self.lane.channel, ts, "sayso:approve", value=value)).ok

    def _button(self, request: str) -> tuple[str, str] | None:
        """Where a request can be approved: the message, a card or one that several share, and the button's value."""
        for message in self.world.sandbox.messages(self.lane.channel):
            for element in (one for block in message.blocks for one in block.get("elements", [])):
                if element.get("action_id") == "sayso:approve" and request in element["value"]:
                    return message.ts, element["value"]
        return None

    async def _read(self, user: str, request: str) -> bool:
        sandbox, bot = self.world.sandbox, self.bot
        for left in sandbox.views(user):
            await sandbox.close_view(user, left.id)
        card = await self.world.card(self.lane, request)
        went_on = (await sandbox.click(user, self.lane.channel, card.ts, "sayso:review")).ok
        page = 0
        while went_on and (view := await self._page(bot, user, page + 1)) is not None:
            if "submit" in view.definition:
                went_on = (await sandbox.submit_view(user, view.id, {})).ok
                if "submit" not in sandbox.views(user)[-1].definition:
                    return went_on
            else:
                page += 1
                went_on = (await sandbox.click_in_view(user, view.id, f"sayso:page:{page}")).ok
        return False

    async def _page(self, bot: Bot, user: str, number: int) -> View | None:
        """The review with this page on somebody's screen; None where the bot died before it was there."""

        def shown() -> View | None:
            views = self.world.sandbox.views(user)
            return views[-1] if views and f"page {number} of " in words_in(views[-1].blocks) else None

        looking = asyncio.create_task(self.world.sandbox.wait_for(shown, PATIENCE))
        end = asyncio.create_task(_end_of(bot))
        await asyncio.wait([looking, end], return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if looking.done():
            return looking.result()
        looking.cancel()
        return None

    async def _break(self, user: str, request: str, reason: str) -> bool:
        before = len(self.world.sandbox.ephemerals(user))
        shown = await self._type(user, f"break-glass {request}")
        answers = self.world.sandbox.ephemerals(user)[before:]
        buttons = [one for answer in answers for block in answer.blocks for one in block.get("elements", [])]
        commands = [json.loads(one["value"])["command"] for one in buttons if "value" in one]
        return bool(shown.ok and commands) and (await self._type(user, f"{commands[0]} {reason}")).ok

    async def _type(self, user: str, words: str) -> Delivery:
        return await self.world.sandbox.command(user, self.lane.channel, "/sayso", words)

    async def _change(self, user: str, request: str, words: str) -> bool:
        card = await self.world.card(self.lane, request)
        opened = await self.world.sandbox.click(user, self.lane.channel, card.ts, "sayso:changes")
        views = self.world.sandbox.views(user)
        if not opened.ok or not views:
            return False
        return (await self.world.sandbox.submit_view(user, views[-1].id, {"sayso:reason": words})).ok

    async def _counted(self, request: str, user: str) -> bool:
        found = await self.request(request)
        if found is None or found.status is Status.PENDING:
            return found is not None and found.vote_of(PEOPLE[user]) is not None
        return True

    async def request(self, request: str) -> Request | None:
        """The request as the memory has it now; None while it has none, or does not answer."""
        try:
            return (await self.store.get(request)).request
        except NotFound:
            return None
        except ApprovalsError:
            return None


@asynccontextmanager
async def a_shift(world: World, **plan: Any) -> AsyncIterator[Shift]:
    """A running bot, relieved whenever it dies."""
    async with await RedisStore.connect(world.url, replicas=0) as store:
        shift = Shift(world, store, world.lane())
        await shift.begin(**plan)
        relief = asyncio.create_task(shift.relieve())
        try:
            yield shift
        finally:
            shift.over.set()
            await relief


async def _end_of(bot: Bot) -> int:
    """Wait as long as it takes."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await bot.ended()


def _freezes(line: str) -> int:
    return int(line.split()[1]) if line.startswith("freezes ") else 0
