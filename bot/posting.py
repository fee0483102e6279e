"""One act at one destination: a card, a shared message, an edit, a note. Each is intended, done and recorded.

After a crash before the last of these the platform is asked before anything is posted again, and a message that nobody
could find is adopted on its first click (approvals/service.py). An intention is on the replicas before anything is
done, so that the same holds after a failover.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from approvals.card import Card, card_of
from approvals.errands import FILE, NOT_NOW, NOTE, place_of, retry_after
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.ports import ChatPlatform, Post, Store, Stored
from approvals.request import Request
from approvals.rows import Row, row_of
from approvals.standing import kept_of, shelf_name

log = structlog.get_logger("sayso.courier")

LOOK_BACK_MS: Final = 10_000  #: how far before the intention a lost post is looked for: clocks differ
FILE_TRIES: Final = 5  #: how often a file is tried that surely did not get there
SHARED_KEPT_MS: Final = 90 * 86_400_000  #: for how long it is known which requests share a message


class CourierWatch:
    """Hears what the courier does and counts nothing; whoever counts overrides it. Must not fail."""

    def shown(self, request: Request, destination: str, *, first: bool) -> None:
        """A destination shows the current card; `first` when it showed none before."""

    def failed(self, destination: str, code: str) -> None:
        """A try at a destination did not work: the platform's code, or `unavailable`."""


@dataclass(frozen=True)
class Shared:
    """A message that requests share. Rows never move: which they are is fixed before it is posted."""

    name: str
    destination: str
    rows: tuple[str, ...]

    def has(self, stored: Stored) -> bool:
        """Whether a request is one of its rows now."""
        post = stored.posts.get(self.destination)
        return post is not None and post.shared == self.name

    def members(self, requests: Sequence[Stored | None]) -> list[Stored]:
        """Those of the requests that are its rows now."""
        return [stored for stored in requests if stored is not None and self.has(stored)]

    def is_lost(self, stored: Stored) -> bool:
        """Whether it was to show a request, and nobody knows if it does."""
        return self.has(stored) and stored.posts[self.destination].state == "intended"

    def reference(self, requests: Sequence[Stored | None]) -> Mapping[str, str] | None:
        """Where it stands, as one of its rows knows it."""
        posts = [stored.posts[self.destination] for stored in self.members(requests)]
        return next((post.reference for post in posts if post.state == "posted"), None)


class Posting:
    """What can be done at a destination of a platform. Raises ChatRefused and ChatUnavailable.

    Raises NotConfirmed where the intention could still be lost: then nothing was done.
    """

    def __init__(self, store: Store, watch: CourierWatch) -> None:
        self._store = store
        self._watch = watch

    async def post(self, platform: ChatPlatform, destination: str, stored: Stored) -> bool:
        """Show a request as a card of its own; False: it was posted before, and may not be current."""
        known = await self._store.intend(stored.request.id, destination, secrets.token_urlsafe(16))
        if known is None:
            await self._post_card(platform, destination, stored.request)
            return True
        if known.state == "posted" or known.shared:
            return False
        if reference := await self._found(platform, destination, stored.request.id, known.at):
            await self.record(stored.request.id, known, reference, "")
            return False
        await self._post_card(platform, destination, stored.request)
        return True

    async def share(self, platform: ChatPlatform, destination: str, requests: Sequence[Stored]) -> None:
        """Show several requests in one new message."""
        shared = Shared(secrets.token_urlsafe(12), destination, tuple(stored.request.id for stored in requests))
        await self._remember(shared)
        known = await self._intend(shared, shared.rows)
        await self._remember(shared)  # a failover between the two may have taken it
        if any(known):  # somebody else is at one of them: its row is not ours to show
            left = [stored for stored, post in zip(requests, known, strict=True) if post is None]
            await self.forget(destination, left, NOT_NOW)
            return
        await self._post_shared(platform, shared, requests)

    async def recover(self, platform: ChatPlatform, shared: Shared, requests: Sequence[Stored | None]) -> None:
        """Bring to its end what was intended and not recorded: found (its rows may be old), or posted again."""
        lost = [stored for stored in requests if stored is not None and shared.is_lost(stored)]
        reference = shared.reference(requests)
        if reference is None:
            since = min(stored.posts[shared.destination].at for stored in lost)
            reference = await self._found(platform, shared.destination, shared.name, since)
        if reference is None:
            await self._intend(shared, [stored.request.id for stored in lost])
            await self._post_shared(platform, shared, lost)
            return
        for stored in lost:
            await self.record(stored.request.id, stored.posts[shared.destination], reference, "")

    async def edit(self, platform: ChatPlatform, stored: Stored, post: Post) -> None:
        """Make a card of its own current."""
        card = card_of(stored.request)
        await self._keep(card)
        await platform.update(post.reference, stored.request, card)
        await self.record(stored.request.id, post, post.reference, card.digest())
        self._watch.shown(stored.request, post.destination, first=False)

    async def edit_shared(self, platform: ChatPlatform, shared: Shared, requests: Sequence[Stored | None]) -> None:
        """Make a shared message current, every row of it in one edit."""
        members = [one for one in requests if one is None or shared.has(one)]
        reference = shared.reference(members)
        if reference is None:
            return
        rows = [None if one is None else row_of(card_of(one.request)) for one in members]
        old = [
            (one, row)
            for one, row in zip(members, rows, strict=True)
            if one is not None and row is not None and one.posts[shared.destination].shown != row.digest()
        ]
        await asyncio.gather(*(self._keep(row) for _, row in old))
        await platform.update_shared(reference, rows)
        for one, row in old:
            await self.record(one.request.id, one.posts[shared.destination], reference, row.digest())
            self._watch.shown(one.request, shared.destination, first=False)

    async def say(self, platform: ChatPlatform, stored: Stored, destination: str, note: Note) -> None:
        """Give a note under a card, at most once: after a crash it is missed rather than repeated."""
        reference = stored.posts[destination].reference
        await self._once(stored.request, place_of(destination, note), lambda: platform.reply(reference, note))

    async def tell(self, platform: ChatPlatform, stored: Stored, destination: str, note: Note) -> None:
        """Tell operators or a person something of a request, at most once."""
        await self._once(stored.request, place_of(destination, note), lambda: platform.announce(destination, note))

    async def attach(self, platform: ChatPlatform, stored: Stored, destination: str) -> int | None:
        """Put the whole action under its card as a file, at most once; the ms after which to try once more, if ever.

        Nothing waits for a file: after a crash, or without an answer, it is missed rather than put there twice.
        """
        place, request = f"{destination}{NOTE}{FILE}", stored.request
        if await self._store.intend(request.id, place, secrets.token_urlsafe(16)) is not None:
            return None
        tries = stored.posts[place].tries + 1 if place in stored.posts else 1
        try:
            await platform.attach(stored.posts[destination].reference, request)
        except ChatRefused as exc:
            log.warning("file refused", place=place, code=exc.code, remedy=exc.remedy)
            self._watch.failed(destination, exc.code)
        except ChatUnavailable as exc:
            log.warning("file not put there", place=place, error=str(exc), maybe_done=exc.maybe_done)
            self._watch.failed(destination, "unavailable")
            if not exc.maybe_done and tries < FILE_TRIES:
                failed = Post(place, "failed", await self._store.now(), problem=NOT_NOW, tries=tries)
                await self._store.record_post(request.id, failed)
                return max(retry_after(tries), int(exc.retry_after * 1000))
        await self.record(request.id, Post(place, "intended", 0), {}, "")
        return None

    async def shared(self, destination: str, name: str) -> Shared | None:
        """The message of a name, as long as it is known."""
        kept = await self._store.shelf.kept(shelf_name(destination, name))
        return None if kept is None else Shared(name, destination, tuple(kept.document["rows"]))

    async def rows(self, shared: Shared) -> Sequence[Stored | None]:
        """The requests of a shared message; None for those that are forgotten."""
        return await asyncio.gather(*(kept_of(self._store, request) for request in shared.rows))

    async def forget(self, destination: str, requests: Sequence[Stored], problem: str) -> None:
        """Take back what was intended and surely not done, so that the next try need not search."""
        now = await self._store.now()
        for stored in requests:
            before = stored.posts.get(destination)
            tries = before.tries if before is not None else 0
            post = Post(destination, "failed", now, problem=problem, tries=tries)
            await self._store.record_post(stored.request.id, post)

    async def record(self, request: str, post: Post, reference: Mapping[str, str], shown: str) -> None:
        """Write down what stands at a destination; nothing shown means that it must still be made current."""
        await self._store.record_post(request, await self._posted(post, reference, shown))

    # ---- inside

    async def _remember(self, shared: Shared) -> None:
        """Keep which requests share a message, unless that is kept."""
        document = {"rows": list(shared.rows)}
        name = shelf_name(shared.destination, shared.name)
        await self._store.shelf.keep(name, document, version=0, ttl=SHARED_KEPT_MS)

    async def _intend(self, shared: Shared, requests: Sequence[str]) -> Sequence[Post | None]:
        """Say of each request that this message is about to show it; what was there before, None where nothing was."""
        intend = self._store.intend
        return await asyncio.gather(*(intend(one, shared.destination, shared.name, shared=True) for one in requests))

    async def _post_card(self, platform: ChatPlatform, destination: str, request: Request) -> None:
        card = card_of(request)
        await self._keep(card)
        reference = await platform.post(destination, request, card)
        log.info("card posted", destination=destination, code=request.code)
        await self._record_first(request.id, Post(destination, "intended", 0), reference, card.digest())
        self._watch.shown(request, destination, first=True)

    async def _post_shared(self, platform: ChatPlatform, shared: Shared, requests: Sequence[Stored]) -> None:
        rows = [row_of(card_of(stored.request)) for stored in requests]
        await asyncio.gather(*(self._keep(row) for row in rows))
        reference = await platform.post_shared(shared.destination, shared.name, rows)
        log.info("shared message posted", destination=shared.destination, requests=len(rows))
        post = Post(shared.destination, "intended", 0, shared=shared.name)
        others = await asyncio.gather(*(self._record_first(row.request, post, reference, row.digest()) for row in rows))
        if (first := next(filter(None, others), None)) is not None:  # one row was adopted there, so all stand there
            await asyncio.gather(*(self.record(row.request, post, first, "") for row in rows))
        for stored in requests:
            self._watch.shown(stored.request, shared.destination, first=True)

    async def _record_first(
        self, request: str, post: Post, reference: Mapping[str, str], shown: str
    ) -> Mapping[str, str] | None:
        """Write down a new message, unless another was adopted meanwhile: then that is the card, and is returned."""
        known = await self._store.record_post(request, await self._posted(post, reference, shown), unless_posted=True)
        if known is None or dict(known.reference) == dict(reference):
            return None
        log.warning("another message is the card", destination=post.destination, request=request)
        return known.reference

    async def _posted(self, post: Post, reference: Mapping[str, str], shown: str) -> Post:
        now = await self._store.now()
        return replace(post, state="posted", at=now, reference=reference, shown=shown, problem="", tries=0)

    async def _found(
        self, platform: ChatPlatform, destination: str, about: str, since: int
    ) -> Mapping[str, str] | None:
        """What somebody posted and could not record, if the platform can find it; until it says, nobody posts again."""
        try:
            found = await platform.find_posted(destination, about, since - LOOK_BACK_MS)
        except ChatUnavailable as exc:
            raise ChatUnavailable(str(exc), retry_after=exc.retry_after, maybe_done=True) from exc
        log.info("looked for a lost message", destination=destination, found=found is not None)
        return found

    async def _once(self, request: Request, place: str, give: Callable[[], Awaitable[None]]) -> None:
        """Give a note; where that surely did not happen, it may be tried again. A refused one is not."""
        if await self._store.intend(request.id, place, secrets.token_urlsafe(16)) is not None:
            return
        try:
            await give()
        except ChatRefused as exc:
            log.warning("note refused", place=place, code=exc.code)
        except ChatUnavailable as exc:
            if not exc.maybe_done:
                await self._store.record_post(
                    request.id, Post(place, "failed", await self._store.now(), problem=NOT_NOW)
                )
            raise
        await self.record(request.id, Post(place, "intended", 0), {}, "")

    async def _keep(self, rendering: Card | Row) -> None:
        """Keep what is about to be shown, before anybody can see it."""
        await self._store.keep_rendering(rendering.digest(), rendering.model_dump_json().encode())
