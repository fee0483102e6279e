"""What follows when Redis has forgotten something: no approval of before may be used any more."""

from __future__ import annotations

import structlog

from approvals.ports import Store
from approvals.service import Approvals
from bot.sealer import Sealer

log = structlog.get_logger("sayso.rollback")


class RollBack:
    """The step of a loop. Spends are refused meanwhile (Sealer.holds_spends); when they are honoured again, there is
    no approval left that could have been used in the time Redis has forgotten.
    """

    def __init__(self, store: Store, sealer: Sealer, approvals: Approvals) -> None:
        self._store = store
        self._sealer = sealer
        self._approvals = approvals
        self._noticed: int | None = None

    async def step(self) -> bool:
        """While Redis is behind what was sealed, let lapse what was approved before that was noticed."""
        if not (self._sealer.behind and self._sealer.holds_spends()):
            self._noticed = None
            return False
        if self._noticed is None:
            self._noticed = await self._store.now()
            log.error("approvals of before the roll-back lapse", before=self._noticed)
        await self._approvals.lapse_unused(self._noticed)
        return False
