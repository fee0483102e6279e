"""What stands in front of somebody who looks at a message or presses a button of it: the card as it is, or a way to it.

Teams cannot be searched, so what a crash left between a post and its record is posted again. Only one of the two is
the card; the other, a copy, is closed as soon as anybody looks at it or presses one of its buttons: it turns into a
card without buttons that leads to the one that counts (docs/decisions/0015).
"""

from __future__ import annotations

import asyncio

import structlog

from approvals.card import Card, card_of
from approvals.errors import ApprovalsError, ChatRefused
from approvals.lifecycle import Status
from approvals.ports import Post, Store, Stored
from approvals.request import Request
from approvals.rows import Row, row_of
from approvals.service import Approvals
from approvals.standing import Spot, Standing, beside, moved, post_at
from approvals.verdicts import Refused
from handlers.tasks import Tasks
from handlers.teams.answers import banner, replaced
from handlers.teams.elements import Json
from handlers.teams.platform import GONE, TeamsPlatform
from handlers.teams.press import Press

log = structlog.get_logger(__name__)


class Views:
    """Shows requests to whoever looks; closes copies in the background. `store` keeps what is shown before it is."""

    def __init__(self, approvals: Approvals, platform: TeamsPlatform, store: Store, tasks: Tasks) -> None:
        self._approvals = approvals
        self._platform = platform
        self._store = store
        self._tasks = tasks
        self._closing: set[str] = set()

    async def pointer(self, press: Press) -> Json | None:
        """What takes the place of a copy; None where the message is the card, or nobody has to answer it any more."""
        seen = await self._seen(press)
        return self._leading(seen) if isinstance(seen, Standing) else None

    async def refreshed(self, press: Press) -> Json:
        """The message as it is now, for somebody who looks at it: this changes no request."""
        seen = await self._seen(press)
        if isinstance(seen, Refused):
            return banner(seen.sentence)
        if (pointer := self._leading(seen)) is not None:
            return pointer
        post = post_at(seen.stored, press.spot)
        if post is None or not post.shared:
            return replaced(await self.card(seen.stored.request, press))
        mates = await beside(self._store, post)
        others = [None if one is None else row_of(card_of(one.request)) for one in mates]
        await asyncio.gather(*(self._keep(row) for row in others if row is not None))
        return replaced(self._platform.drawn_together(others, press.place, press.mark).card)

    async def card(self, request: Request, press: Press, words: str = "") -> Json:
        """The card as it is now in place of the one that was pressed, with words for this one person."""
        card = card_of(request)
        await self._keep(card)
        return self._platform.drawn(request, card, press.place, press.mark, notice=words).card

    async def _seen(self, press: Press) -> Standing | Refused:
        seen = await self._approvals.seen(press.request, press.spot)
        if isinstance(seen, Standing) and seen.original is not None and press.message not in self._closing:
            self._closing.add(press.message)
            self._tasks.start(self._close(seen.stored, seen.original, press.spot), "teams copy")
        return seen

    def _leading(self, seen: Standing) -> Json | None:
        request = seen.stored.request
        if seen.original is None or request.status is not Status.PENDING:
            return None
        return replaced(self._platform.pointer(request, seen.original.reference).card)

    async def _close(self, stored: Stored, original: Post, spot: Spot) -> None:
        """Close a copy for everybody. What goes wrong is tried again at the next look."""
        try:
            if await self._is_there(stored, original):
                await self._platform.close(spot.reference, stored.request, original.reference)
                log.info("teams_copy_closed", request=stored.request.id)
            else:
                await self._show(stored, await moved(self._store, stored, original, spot))
                log.info("teams_copy_is_the_card", request=stored.request.id)
        except ApprovalsError as exc:
            log.warning("teams_copy_not_closed", request=stored.request.id, error=str(exc))
        finally:
            self._closing.discard(spot.reference["activity"])

    async def _is_there(self, stored: Stored, original: Post) -> bool:
        """Whether the card can still be answered on: somebody who saw two of them may have deleted that one."""
        if original.shared or stored.request.status is not Status.PENDING:
            return True
        try:
            await self._show(stored, original)
        except ChatRefused as refusal:
            if refusal.code != GONE:
                raise
            return False
        return True

    async def _show(self, stored: Stored, post: Post) -> None:
        card = card_of(stored.request)
        await self._keep(card)
        await self._platform.update(post.reference, stored.request, card)

    async def _keep(self, rendering: Card | Row) -> None:
        await self._store.keep_rendering(rendering.digest(), rendering.model_dump_json().encode())
