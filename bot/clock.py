"""What time does by itself: expiry, lapse, lost outcomes; and decisions that are still to be published."""

from __future__ import annotations

from approvals.errors import NotFound
from approvals.ports import Queue, Store
from approvals.service import Approvals
from bot.loops import each

BATCH = 200
LEASE_MS = 10_000


class Clock:
    """A step for each of five loops. Expiry does not depend on them: every commit compares the time itself."""

    def __init__(self, store: Store, approvals: Approvals) -> None:
        self._store = store
        self._approvals = approvals

    async def timers(self) -> bool:
        """Let time do what is due."""
        due = await self._store.due(Queue.TIMERS, limit=BATCH, lease=LEASE_MS)
        await each(self._after_time(request) for request in due)
        return bool(due)

    async def announcements(self) -> bool:
        """Publish what was decided while the signer or the replicas were down, or by a bot that died."""
        due = await self._store.due(Queue.ANNOUNCEMENTS, limit=BATCH, lease=LEASE_MS)
        await each(self._publish(request) for request in due)
        return bool(due)

    async def silent(self) -> bool:
        """Withdraw what agents asked that have gone away, and wanted it withdrawn then."""
        due = await self._store.due(Queue.SILENT, limit=BATCH, lease=LEASE_MS)
        for agent in due:
            await self._approvals.disconnected(agent)
            await self._store.gone(agent, LEASE_MS)
        return bool(due)

    async def tidy(self) -> bool:
        """Forget what ended long ago."""
        return await self._store.tidy(limit=BATCH) >= BATCH

    async def frozen(self) -> bool:
        """Deny what was asked before a freeze and is still pending, because the bot that froze it died."""
        await self._approvals.operators.deny_frozen()
        return False

    async def _after_time(self, request: str) -> None:
        try:
            await self._approvals.after_time(request)
        except NotFound:
            await self._store.settle(Queue.TIMERS, request, 0)

    async def _publish(self, request: str) -> None:
        try:
            await self._approvals.publish(request)
        except NotFound:
            await self._store.settle(Queue.ANNOUNCEMENTS, request, 0)
