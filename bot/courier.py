"""Brings every destination of a request to show how it stands: at least once, crash-safe, at the platform's rate.

Two steps. `relay` notes in the outboxes of the destinations what a changed request needs there; doing it twice does
nothing. `serve` takes destinations under a lease and does what waits there (delivery.py), many side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from weakref import WeakValueDictionary

from approvals.errands import Accounts
from approvals.errors import NotFound
from approvals.ports import ChatPlatform, Lease, Queue, Store, Stored
from bot.delivery import Delivery, Desk
from bot.loops import each
from bot.posting import CourierWatch

__all__ = ["Courier", "CourierWatch"]

LEASE_MS = 30_000  #: longer than any one call may take, so that no second courier does it meanwhile
BATCH = 50
ROOM = 16  #: destinations that one process serves at once
TRY_UNSAFE_AGAIN_MS = 500


def takes_files(platforms: Mapping[str, ChatPlatform], destination: str) -> bool:
    """Whether a file can lie under a card at a destination."""
    platform = platforms.get(destination.partition(":")[0])
    return platform is not None and platform.takes_files


class Courier:
    """The steps of the courier's loops. `platforms` by their name, the first part of a destination.

    `operators` is the destination where operators are told what they should know; `reach` looks up whom a request
    calls before anything is posted about it (approvals/reaching.py).
    """

    def __init__(
        self,
        store: Store,
        platforms: Mapping[str, ChatPlatform],
        *,
        warm: Callable[[tuple[str, ...]], Awaitable[None]] | None = None,
        accounts: Accounts = lambda _: (),
        watch: CourierWatch | None = None,
        operators: str | None = None,
        reach: Callable[[Stored], Awaitable[Stored]] | None = None,
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._reach = reach or _as_it_is
        self._desk = Desk(
            store,
            watch or CourierWatch(),
            accounts=accounts,
            warm=warm,
            operators=operators,
            files=lambda destination: takes_files(platforms, destination),
        )
        self._serving: set[asyncio.Task[None]] = set()
        self._held: set[Lease] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def relay(self) -> bool:
        """Note for some changed requests what their destinations need."""
        due = await self._store.due(Queue.CARDS, limit=BATCH, lease=LEASE_MS)
        await each(self._relay(request) for request in due)
        return bool(due)

    async def serve(self) -> bool:
        """Begin with the destinations that are due, as many as there is room for; wait until one is done."""
        await self._hand_back_broken_off()
        for lease in await self._store.outbox.take(limit=ROOM - len(self._serving), lease=LEASE_MS):
            self._serving.add(asyncio.create_task(self._serve(lease), name=f"serve {lease.destination}"))
        if not self._serving:
            return False
        done, self._serving = await asyncio.wait(self._serving, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        await each(done)
        return True

    async def finish(self) -> None:
        """Wait for what is being done."""
        serving, self._serving = self._serving, set()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, lease: Lease) -> None:
        """Serve a destination; after a process stood still its lease is taken anew while its last act still goes on."""
        self._held.add(lease)
        async with self._turns.setdefault(lease.destination, asyncio.Lock()):
            await Delivery(self._desk, self._platforms, lease, lease_ms=LEASE_MS).run()
        self._held.discard(lease)

    async def _hand_back_broken_off(self) -> None:
        """Give back what this process held when the memory was lost, so that nobody waits for the leases to end."""
        if not self._serving:
            for lease in tuple(self._held):
                await self._store.outbox.hand_back(lease, 0)
                self._held.discard(lease)

    async def _relay(self, request: str) -> None:
        try:
            stored = await self._store.get(request)
        except NotFound:
            await self._store.settle(Queue.CARDS, request, 0)
            return
        stored = await self._reach(stored)
        if await self._desk.is_safe(stored):
            await self._desk.add_all(stored)
            await self._store.settle(Queue.CARDS, request, stored.request.version)
        else:
            await self._store.postpone(Queue.CARDS, request, TRY_UNSAFE_AGAIN_MS)


async def _as_it_is(stored: Stored) -> Stored:
    return stored
