"""The real service on a real Redis, without a chat platform: people answer as soon as their card would be there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from joserfc.jwk import OKPKey

from approvals.card import card_of
from approvals.desk import Desk
from approvals.errors import StoreUnavailable
from approvals.intake import RequestDocument
from approvals.ports import Post, Stored, Taken
from approvals.request import Request
from approvals.service import Approvals, Click
from bot.clock import Clock
from bot.intake import Intake
from bot.loops import Loop
from bot.policies import AdoptedPolicy, parse_policy
from bot.signing import FileSigner, write_trust
from bot.zones import is_zone
from storage.redis import RedisStore
from tests.approvals.make import a_policy_file, account
from tests.approvals.test_people import People

ISSUER = "https://sayso.example"

Answer: TypeAlias = Literal["approve", "deny", "changes"]
Opinion: TypeAlias = Callable[[Request], tuple[Answer, str] | None]  #: what alice says to a request, and why


class Telling(RedisStore):
    """The memory; `changed` is set whenever something in it may have changed, and `until` waits for that."""

    changed: asyncio.Event

    async def create(self, *args: Any, **rest: Any) -> tuple[Stored, bool]:
        with self._telling():
            return await super().create(*args, **rest)

    async def update(self, *args: Any, **rest: Any) -> Stored:
        with self._telling():
            return await super().update(*args, **rest)

    async def heard(self, *args: Any, **rest: Any) -> None:
        with self._telling():
            await super().heard(*args, **rest)

    async def until(self, find: Callable[[], Awaitable[Any]]) -> Any:
        """What is found, as soon as it is there; looked for again after every change."""
        async with asyncio.timeout(30):
            while True:
                self.changed.clear()
                if found := await find():
                    return found
                await self.changed.wait()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.changed.set()


class Remembering(Approvals):
    """The service; `asked` is what it took from agents and has not been told to forget."""

    asked: dict[str, Request]
    remembered: asyncio.Event

    async def submit(self, document: RequestDocument, agent: str, *, taken: Taken | None = None) -> Request:
        """Take a request."""
        request = await super().submit(document, agent, taken=taken)
        self.asked[request.id] = request
        self.remembered.set()
        return request


@dataclass
class Running:
    """The service as it runs; `opinion` may be exchanged at any time."""

    store: Telling
    approvals: Remembering
    trust: Path
    opinion: Opinion = lambda request: None

    async def answer(self) -> bool:
        """Let alice answer what she has an opinion on; the card is said to stand where it belongs."""
        for request in list(self.approvals.asked.values()):
            if (opinion := self.opinion(request)) is not None:
                await self._click(request, *opinion)
                del self.approvals.asked[request.id]
        return False

    async def seen(self, call: str) -> Request:
        """The request of a call, once it was asked."""
        async with asyncio.timeout(30):
            while not (found := [one for one in self.approvals.asked.values() if one.call == call]):
                self.approvals.remembered.clear()
                await self.approvals.remembered.wait()
        return found[0]

    async def _click(self, request: Request, answer: Answer, reason: str) -> None:
        if (await self.store.get(request.id)).request.decision is not None:
            return  # by a rule, or by a click whose answer was lost
        place, reference, shown = request.terms.destinations[0], {"ts": "1"}, card_of(request).digest()
        await self.store.intend(request.id, place, "courier")
        await self.store.record_post(request.id, Post(place, "posted", await self.store.now(), reference, shown))
        await self.approvals.vote(request.id, Click(account("alice"), answer, shown, (place,), reference, reason))


@asynccontextmanager
async def serving(url: str, folder: Path, **how: Any) -> AsyncIterator[Running]:
    """The service at a URL until the end; its public keys are written into the folder. `how` is for the store."""
    text = json.dumps(a_policy_file(roles={"freeze": ["finance"]}))  # JSON is YAML
    async with await Telling.connect(url, **how) as store, store.inbox("bot") as inbox:
        store.changed = asyncio.Event()
        signer = FileSigner(OKPKey.generate_key("Ed25519"))
        trust = folder / "jwks.json"
        write_trust(trust, signer.trust(ISSUER))
        policies = AdoptedPolicy(store, parse_policy(text), text)
        await policies.put_in_force()
        await inbox.watch(policies.current().agents, policies.current().audiences)
        nudged = asyncio.Event()
        approvals = Remembering(
            store=store,
            directory=People(),
            policies=policies,
            signer=signer,
            issuer=ISSUER,
            is_zone=is_zone,
            nudge=nudged.set,
        )
        approvals.asked, approvals.remembered = {}, asyncio.Event()
        house = Running(store, approvals, trust)
        intake, clock = Intake(inbox, Desk(approvals)), Clock(store, approvals)
        people = Loop("people", house.answer, idle=0.05)
        loops = [
            Loop("intake", intake.take),
            Loop("reclaim", intake.reclaim, idle=1.0),
            Loop("timers", clock.timers, idle=0.5),
            Loop("announcements", clock.announcements, idle=0.1),
            Loop("silent", clock.silent, idle=0.5),
            people,
        ]
        tasks = [asyncio.create_task(loop.run()) for loop in loops]
        try:
            yield house
        finally:
            for loop in loops:
                loop.stop()
            await asyncio.gather(*tasks)


async def surely(work: Callable[[], Awaitable[Any]]) -> Any:
    """Do something, however often it takes until the memory can be reached again; each try is patient by itself."""
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreUnavailable):
                return await work()
