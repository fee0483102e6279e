"""Brings every destination of a request to show its current card: at least once, crash-safe, at the platform's rate.

intend → post → record. After a crash between the last two the platform is asked before anything is posted again, and
a message nobody could find is adopted on its first click (approvals/service.py).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from approvals.card import Card, card_of
from approvals.errors import ChatRefused, ChatUnavailable, NotConfirmed, NotFound
from approvals.lifecycle import Status
from approvals.notes import Note, notes_of
from approvals.ports import ChatPlatform, Post, Queue, Store, Stored
from approvals.request import Request
from bot.loops import each

log = structlog.get_logger("sayso.courier")

LEASE_MS = 30_000  #: longer than any one post may take, so that no second courier posts meanwhile
BATCH = 50
TRY_UNSAFE_AGAIN_MS = 500
TRY_REFUSED_AGAIN_MS = 60_000  #: somebody may invite the bot meanwhile
_NOTE = "#"  #: between a destination and the key of a note under its card
LOOK_BACK_MS = 10_000  #: how far before the intention a lost post is looked for: clocks differ
NOT_CONNECTED = "not_connected"  #: our own code for a destination whose platform this process does not serve
EDITS_PER_MINUTE, EDITS_AT_ONCE = 50, 20  #: Slack's Tier 3, for all channels together (facts: chat.update)


class CourierWatch:
    """Hears what the courier does and counts nothing; whoever counts overrides it. Must not fail."""

    def shown(self, request: Request, destination: str, *, first: bool) -> None:
        """A destination shows the current card; `first` when it showed none before."""

    def failed(self, destination: str, code: str) -> None:
        """A try at a destination did not work: the platform's code, or `unavailable`."""


class Courier:
    """The step of the courier's loop. `platforms` by their name, the first part of a destination."""

    def __init__(
        self,
        store: Store,
        platforms: Mapping[str, ChatPlatform],
        *,
        warm: Callable[[tuple[str, ...]], Awaitable[None]] | None = None,
        accounts: Callable[[str], tuple[str, ...]] = lambda _: (),
        watch: CourierWatch | None = None,
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._warm = warm
        self._accounts = accounts
        self._watch = watch or CourierWatch()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def step(self) -> bool:
        """Bring the cards of some due requests up to date."""
        due = await self._store.due(Queue.CARDS, limit=BATCH, lease=LEASE_MS)
        await each(self._bring(request) for request in due)
        return bool(due)

    async def _bring(self, request: str) -> None:
        try:
            stored = await self._store.get(request)
        except NotFound:
            await self._store.settle(Queue.CARDS, request, 0)
            return
        if stored.request.decision is not None and not await self._is_safe(stored):
            await self._store.postpone(Queue.CARDS, request, TRY_UNSAFE_AGAIN_MS)
            return
        card = card_of(stored.request)
        with structlog.contextvars.bound_contextvars(request=request, trace=stored.request.trace):
            waits = [await self._destination(stored, destination, card) for destination in _destinations(stored)]
        if left := [wait for wait in waits if wait]:
            await self._store.postpone(Queue.CARDS, request, min(left))
        else:
            await self._store.settle(Queue.CARDS, request, stored.request.version)

    async def _is_safe(self, stored: Stored) -> bool:
        """Whether a decision is on as many replicas as make it safe: nobody is shown one that could still be lost."""
        try:
            await self._store.update(stored.request.id, lambda _: None, known=stored)
        except NotConfirmed:
            return False
        return True

    async def _destination(self, stored: Stored, destination: str, card: Card) -> int:
        """Make one destination current; returns 0, or the ms after which to try again."""
        post = stored.posts.get(destination)
        if self._is_current(stored, post, card):
            return 0
        asked = stored.request.status is Status.PENDING or destination in stored.request.announced
        if not asked and (post is None or post.state == "failed"):
            return 0  # nobody ever saw it, and nothing is left to decide
        async with self._turns[destination]:
            try:
                if post is None or post.state != "posted" or post.shown != card.digest():
                    shown = await self._show(self._platform(destination), stored, destination, post, card)
                    return shown or int(bool(self._unsaid(stored, destination)))
                return await self._say(self._platform(destination), stored, post)
            except ChatRefused as exc:
                self._watch.failed(destination, exc.code)
                return await self._refused(stored, destination, post, exc)
            except ChatUnavailable as exc:
                self._watch.failed(destination, "unavailable")
                log.warning("chat unavailable", destination=destination, error=str(exc), maybe_done=exc.maybe_done)
                return int(exc.retry_after * 1000) + 1

    def _platform(self, destination: str) -> ChatPlatform:
        name = destination.split(":")[0]
        if name not in self._platforms:
            raise ChatRefused(NOT_CONNECTED, f"connect the service to {name}: give it its tokens")
        return self._platforms[name]

    async def _show(
        self, platform: ChatPlatform, stored: Stored, destination: str, post: Post | None, card: Card
    ) -> int:
        await self._store.keep_rendering(card.digest(), card.model_dump_json().encode())
        if post is not None and post.state == "posted":
            return await self._edit(platform, stored.request, post, card)
        if self._warm is not None and post is None:
            await self._warm(tuple(source for factor in stored.request.terms.factors for source in factor.sources))
        return await self._post(platform, stored, destination, card)

    def _is_current(self, stored: Stored, post: Post | None, card: Card) -> bool:
        """Whether a destination shows this card, and every note that should stand under it."""
        if post is None or post.state != "posted" or post.shown != card.digest():
            return False
        return not self._unsaid(stored, post.destination)

    def _unsaid(self, stored: Stored, destination: str) -> list[Note]:
        """The notes that are to stand under a card and do not yet."""
        places = {
            note: stored.posts.get(_place(destination, note)) for note in notes_of(stored.request, self._accounts)
        }
        return [note for note, post in places.items() if post is None or post.state == "failed"]

    async def _say(self, platform: ChatPlatform, stored: Stored, post: Post) -> int:
        """Give the notes that are due, each at most once: after a crash a reminder is missed rather than repeated."""
        for note in self._unsaid(stored, post.destination):
            if wait := await self._store.may_post(post.destination, *platform.pace(post.destination)):
                return wait
            place = _place(post.destination, note)
            if await self._store.intend(stored.request.id, place, secrets.token_urlsafe(16)) is None:
                await self._say_once(platform, stored.request, post, place, note)
        return 0

    async def _say_once(self, platform: ChatPlatform, request: Request, post: Post, place: str, note: Note) -> None:
        """Reply; where that surely did not happen, it may be tried again. A refused note says nothing of its card."""
        try:
            await platform.reply(post.reference, note)
        except ChatRefused as exc:
            log.warning("note refused", destination=post.destination, note=note.key, code=exc.code)
        except ChatUnavailable as exc:
            if not exc.maybe_done:
                await self._store.record_post(request.id, await self._failed(place, "not now"))
                await self._store.hold_posts(post.destination, int(exc.retry_after * 1000))
            raise
        await self._record(request, place, post.reference, None)

    async def _edit(self, platform: ChatPlatform, request: Request, post: Post, card: Card) -> int:
        if wait := await self._store.may_post(f"{platform.name}:edits", EDITS_PER_MINUTE, EDITS_AT_ONCE):
            return wait
        await platform.update(post.reference, request, card)
        await self._record(request, post.destination, post.reference, card)
        self._watch.shown(request, post.destination, first=False)
        return 0

    async def _post(self, platform: ChatPlatform, stored: Stored, destination: str, card: Card) -> int:
        request = stored.request
        if wait := await self._store.may_post(destination, *platform.pace(destination)):
            return wait
        known = await self._store.intend(request.id, destination, secrets.token_urlsafe(16))
        if known is not None and known.state == "posted":
            return 1  # posted meanwhile: look again
        reference = None if known is None else await self._lost(platform, request, known)
        if reference is None:
            reference = await self._post_once(platform, request, destination, card)
            log.info("card posted", destination=destination, code=request.code)
            await self._record(request, destination, reference, card)
            self._watch.shown(request, destination, first=True)
            return 0
        await self._record(request, destination, reference, None)
        return 1  # found after a crash: bring it up to date

    async def _post_once(
        self, platform: ChatPlatform, request: Request, destination: str, card: Card
    ) -> Mapping[str, str]:
        """Post; where the platform surely did not, take the intention back, so that the next try need not search."""
        try:
            return await platform.post(destination, request, card)
        except ChatUnavailable as exc:
            if not exc.maybe_done:
                await self._store.record_post(request.id, await self._failed(destination, "not now"))
                await self._store.hold_posts(destination, int(exc.retry_after * 1000))
            raise

    async def _lost(self, platform: ChatPlatform, request: Request, known: Post) -> Mapping[str, str] | None:
        """What somebody posted and could not record, if the platform can find it."""
        found = await platform.find_posted(known.destination, request.id, known.at - LOOK_BACK_MS)
        log.info("looked for a lost card", destination=known.destination, found=found is not None)
        return found

    async def _refused(self, stored: Stored, destination: str, post: Post | None, exc: ChatRefused) -> int:
        """The platform says no: flag it, tell the operators, try again later while somebody could still answer."""
        request = stored.request
        if post is None or post.problem != exc.code:
            log.error("card cannot be shown", destination=destination, code=exc.code, remedy=exc.remedy)
            record = {"v": 1, "event": "undeliverable", "request": request.id, "destination": destination}
            await self._store.note({**record, "reason": exc.code}, partition=int(request.id.split("-")[0]))
        if request.status is Status.PENDING:
            await self._store.record_post(request.id, await self._failed(destination, exc.code))
            return TRY_REFUSED_AGAIN_MS
        if post is not None:  # the card stays as it is; the next change tries again
            await self._store.record_post(request.id, replace(post, problem=exc.code))
        return TRY_REFUSED_AGAIN_MS if exc.code == NOT_CONNECTED else 0

    async def _failed(self, destination: str, problem: str) -> Post:
        return Post(destination, "failed", await self._store.now(), problem=problem)

    async def _record(
        self, request: Request, destination: str, reference: Mapping[str, str], card: Card | None
    ) -> None:
        """Write down what stands at a destination; without a card, that it must still be brought up to date."""
        shown = card.digest() if card is not None else ""
        now = await self._store.now()
        await self._store.record_post(request.id, Post(destination, "posted", now, reference, shown))


def _place(destination: str, note: Note) -> str:
    """Under which name it is kept that a note was given."""
    return f"{destination}{_NOTE}{note.key}"


def _destinations(stored: Stored) -> tuple[str, ...]:
    """Where the card belongs, and where it already is."""
    cards = (place for place in stored.posts if _NOTE not in place)
    return tuple(dict.fromkeys((*stored.request.asked.destinations, *cards)))
