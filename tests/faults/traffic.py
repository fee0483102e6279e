"""Many requests at once through the whole: agents that ask and act, a person who clicks until it counts.

What anybody was told of is written down when they are told, and compared at the end with what the memory says.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sayso
from approvals.errors import ApprovalsError, NotFound
from sandbox import NotOnScreen
from storage.redis import RedisStore
from tests.e2e.world import ALICE, Lane, World, text_of

#: What a person reads who must not take the click for safe.
DOUBTS = ("not yet safe", "do not know this request", "Something went wrong", "not certain", "could not")
PACE: Final[dict[str, Any]] = {"resend": 0.5, "repair": 2.0, "spend": 60.0, "submit": 60.0, "report": 60.0}


@dataclass
class Traffic:
    """`told` has per request the spend keys of every yes that an agent got, or that a click was acknowledged for."""

    world: World
    store: RedisStore
    agents: dict[str, set[str]] = field(default_factory=dict)
    people: dict[str, tuple[Lane, str]] = field(default_factory=dict)
    acts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    cards: dict[str, int] = field(default_factory=dict)
    lanes: dict[int, Lane] = field(default_factory=dict)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def flow(self, client: sayso.Sayso, count: int, *, at_once: int = 6) -> None:
        """So many lives, some side by side."""
        turns = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with turns:
                await self.one(client, number)

        await asyncio.gather(*(one(number) for number in range(count)))

    async def one(self, client: sayso.Sayso, number: int) -> None:
        """A life, from the asking to the act."""
        lane = self.lanes[number] = self.world.lane()
        pending = await client.ask_nowait(
            lane.kind, target=f"bank:{number}", arguments={"n": number}, call=f"run/{number}"
        )
        deciding = asyncio.create_task(pending.decision())
        clicking = asyncio.create_task(self._click(lane, pending, deciding))
        try:
            approval = await deciding
            await self.heard(approval)
            async with approval.spend() as action:
                self.acts[action.target] += 1
        except sayso.NotApproved as exc:
            self.refused[str(getattr(exc, "code", "") or type(exc).__name__)] += 1
        finally:
            clicking.cancel()
            await asyncio.wait([clicking])
        self.cards[pending.request] = len(self.world.cards(lane, pending.request))

    async def until(self, count: int) -> None:
        """Wait until agents were told of so many decisions."""
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: len(self.agents) >= count)

    async def lost(self) -> list[str]:
        """Requests of which an agent or a person was told a decision that the memory does not have."""
        told = {request: set(keys) for request, keys in self.agents.items()}
        for request, (lane, key) in self.people.items():
            if not self._doubted(lane):
                told.setdefault(request, set()).add(key)
        return [request for request, keys in told.items() if keys != {await self._kept(request)}]

    async def heard(self, approval: sayso.Approval) -> None:
        """An agent was told a yes."""
        async with self._more:
            self.agents.setdefault(approval.request, set()).add(key_of(approval.receipt))
            self._more.notify_all()

    async def _click(self, lane: Lane, pending: sayso.Pending, deciding: asyncio.Task[sayso.Approval]) -> None:
        """Click on what stands there, again after a moment, until the agent has its answer."""
        while not deciding.done():
            await self.world.card(lane, pending.request)
            for card in self.world.cards(lane, pending.request):
                try:
                    clicked = await self.world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")
                except NotOnScreen:
                    continue
                key = await self._kept(pending.request) if clicked.ok else None
                if key is not None:
                    self.people.setdefault(pending.request, (lane, key))
            await asyncio.wait([deciding], timeout=0.3)

    async def _kept(self, request: str) -> str | None:
        """The spend key of the decision that the memory has."""
        try:
            decision = (await self.store.get(request)).request.decision
        except NotFound:
            return None
        except ApprovalsError:
            return None
        return decision.jti if decision else None

    def _doubted(self, lane: Lane) -> bool:
        said = [text_of(message) for message in self.world.sandbox.ephemerals(ALICE, lane.channel)]
        return any(doubt in one for one in said for doubt in DOUBTS)


def key_of(receipt: str) -> str:
    """The spend key in a receipt."""
    payload = receipt.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["jti"])


async def decided_otherwise(store: RedisStore, requests: set[str]) -> dict[str, Mapping[str, int]]:
    """The requests for which the journals, as they are now, do not have just one yes and at most one spend."""
    seen: dict[str, Counter[str]] = {request: Counter() for request in requests}
    for partition in range(store.partitions):
        async for entry in store.journal(partition):
            record = json.loads(entry.record)
            if "request" in record and record["event"] in ("approved", "spent"):
                seen.setdefault(record["request"], Counter())[record["event"]] += 1
    return {request: found for request, found in seen.items() if found["approved"] != 1 or found["spent"] > 1}
