"""One destination, served under a lease: new requests first, then edits, then notes, then files.

When more requests wait than the rate allows messages, they share one. What a platform refuses is flagged, goes where
policy says instead, is told to operators, and is tried again while somebody could still answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from approvals.errands import (
    ALONE,
    MESSAGE,
    NOT_NOW,
    Accounts,
    addressed,
    destinations,
    errands,
    letters,
    retry_after,
    shared_out,
    subject_of,
    unsaid,
    untold,
)
from approvals.errors import ChatRefused, ChatUnavailable, NotConfirmed, NotFound
from approvals.notes import Note
from approvals.ports import ChatPlatform, Errand, Lease, Post, Store, Stored, Waiting
from bot.nowhere import NOT_CONNECTED, Nowhere
from bot.posting import CourierWatch, Posting, Shared

log = structlog.get_logger("sayso.courier")

AT_ONCE: Final = 60  #: errands of one kind that are looked at together
FEW: Final = 20  #: messages that are posted before the lease is extended
TRY_UNSAFE_AGAIN_MS: Final = 500
TRY_LATER_MS: Final = 60_000
TELL_AGAIN_MS: Final = 3_600_000  #: for so long operators need not hear again of a destination that refuses
TROUBLE: Final = "trouble"  #: the folder of what operators are to be told of destinations


class Desk:
    """What serving any destination needs, and what is common to relaying and serving."""

    def __init__(
        self,
        store: Store,
        watch: CourierWatch,
        *,
        accounts: Accounts,
        warm: Callable[[tuple[str, ...]], Awaitable[None]] | None,
        operators: str | None,
        files: Callable[[str], bool],
    ) -> None:
        self.store = store
        self.outbox = store.outbox
        self.watch = watch
        self.posting = Posting(store, watch)
        self.operators = operators
        self._accounts = accounts
        self._warm = warm
        self._files = files

    async def add_all(self, stored: Stored, *, but: str = "") -> None:
        """Let wait what a request needs, at every destination `but` one."""
        operators = (self.operators,) if self.operators else ()
        people = addressed(stored, self._accounts)
        for destination in dict.fromkeys((*destinations(stored), *operators, *people)):
            if destination != but:
                await self.add(stored, destination)

    async def add_letters(self, stored: Stored) -> None:
        """Let wait what people are to be told directly, now that a card stands to which it can point."""
        for destination in addressed(stored, self._accounts):
            await self.add(stored, destination)

    async def add(self, stored: Stored, destination: str) -> None:
        """Let wait what a request needs at a destination."""
        for errand in self.errands(stored, destination):
            subject = subject_of(stored.request.id, stored.posts.get(destination), errand)
            await self.outbox.add(destination, errand, subject)

    def errands(self, stored: Stored, destination: str) -> tuple[Errand, ...]:
        """What is to be done for a request at a destination."""
        files = self._files(destination)
        return errands(stored, destination, self._accounts, self.operators, files=files)

    def notes(self, stored: Stored, destination: str) -> tuple[Note, ...]:
        """What is to be said under a card."""
        return unsaid(stored, destination, self._accounts)

    def letters(self, stored: Stored, destination: str) -> tuple[Note, ...]:
        """What a person is to be told directly."""
        return letters(stored, destination, self._accounts)

    async def load(self, request: str) -> Stored | None:
        """A request, if it is still kept."""
        try:
            return await self.store.get(request)
        except NotFound:
            return None

    async def is_safe(self, stored: Stored) -> bool:
        """Whether a decision is on as many replicas as make it safe: nobody is shown one that could still be lost."""
        if stored.request.decision is None:
            return True
        try:
            await self.store.update(stored.request.id, lambda _: None, known=stored)
        except NotConfirmed:
            return False
        return True

    async def warm(self, requests: Sequence[Stored]) -> None:
        """Look up who may answer, before anybody clicks."""
        if self._warm is not None:
            factors = (factor for stored in requests for factor in stored.request.terms.factors)
            await self._warm(tuple(dict.fromkeys(source for factor in factors for source in factor.sources)))


@dataclass(frozen=True)
class _Came:
    """What came of a step: whether anything was done, and the ms after which to try what was not (0: nothing)."""

    done: bool = False
    wait: int = 0


@dataclass(frozen=True)
class _New:
    """A request that nobody at the destination has seen, and its place in the line."""

    waiting: Waiting
    stored: Stored


class Delivery:
    """Serves one destination for as long as something can be done there."""

    def __init__(self, desk: Desk, platforms: Mapping[str, ChatPlatform], lease: Lease, *, lease_ms: int) -> None:
        self._desk = desk
        self._store = desk.store
        self._posting = desk.posting
        self._lease = lease
        self._lease_ms = lease_ms
        self._place = lease.destination
        name = lease.destination.partition(":")[0]
        self._platform = platforms.get(name) or Nowhere(name)

    async def run(self) -> None:
        """Do what waits, until there is nothing, or the platform wants a pause."""
        wait = 0
        while due := await self._desk.outbox.look(self._lease, limit=AT_ONCE, extend=self._lease_ms):
            try:
                came = [
                    await self._posts(due[Errand.POST]),
                    await self._edits(due[Errand.EDIT]),
                    await self._says(due[Errand.SAY], behind=bool(due[Errand.POST])),
                    await self._files(due[Errand.FILE], behind=bool(due[Errand.POST] or due[Errand.SAY])),
                ]
            except NotConfirmed as exc:  # whoever serves after a failover would not know what was posted
                log.warning("not yet safe to post", destination=self._place, why=str(exc))
                wait = TRY_UNSAFE_AGAIN_MS
                break
            if not any(one.done for one in came):
                wait = min((one.wait for one in came if one.wait), default=0)
                break
        await self._desk.outbox.hand_back(self._lease, wait)

    # ---- new requests

    async def _posts(self, waiting: Sequence[Waiting]) -> _Came:
        if not waiting:
            return _Came()
        if wait := await self._turn(Errand.POST):
            return _Came(wait=wait)
        lost = next((one for one in waiting if one.subject.startswith(MESSAGE)), None)
        if lost is not None:
            return await self._recover(lost)
        new = await self._new(waiting)
        if not new:
            return _Came(done=True)
        turns, wait = 1, 0
        while turns < min(len(new), FEW) and not (wait := await self._turn(Errand.POST)):
            turns += 1
        await self._desk.warm([one.stored for one in new])
        first = 0
        for size in self._sizes(new, turns, is_short=bool(wait)):
            if came := await self._post(new[first : first + size], new[first:]):
                return came
            first += size
        return _Came(done=True)

    def _sizes(self, new: Sequence[_New], turns: int, *, is_short: bool) -> Sequence[int]:
        """How many requests each of the messages takes that may be posted now."""
        most = self._platform.rows(self._place)
        if not is_short or most < 2:
            return [1] * turns
        together = next((place for place, one in enumerate(new) if self._is_alone(one)), len(new))
        return shared_out(together, turns, most) or (1,)

    def _is_alone(self, one: _New) -> bool:
        post = one.stored.posts.get(self._place)
        return post is not None and (post.problem == ALONE or post.state == "intended")

    async def _new(self, waiting: Sequence[Waiting]) -> list[_New]:
        """The requests that are to be posted; whatever else waits in their line goes to its own."""
        loaded = await asyncio.gather(*(self._desk.load(one.subject) for one in waiting))
        new: list[_New] = []
        for one, stored in zip(waiting, loaded, strict=True):
            if stored is not None and Errand.POST in self._desk.errands(stored, self._place):
                post = stored.posts.get(self._place)
                if subject_of(stored.request.id, post, Errand.POST) == one.subject:
                    new.append(_New(one, stored))
                    continue
            await self._done(Errand.POST, one, stored)
        return new

    async def _post(self, some: Sequence[_New], left: Sequence[_New]) -> _Came | None:
        """Post these in one message; None: go on with the others, which need not try where the place takes none."""
        requests = [one.stored for one in some]
        try:
            if len(some) == 1:
                await self._posting.post(self._platform, self._place, requests[0])
            else:
                await self._posting.share(self._platform, self._place, requests)
        except ChatRefused as exc:
            self._heard(exc)
            if len(some) > 1 and not exc.place:
                await self._posting.forget(self._place, requests, ALONE)
                return None
            for one in left if exc.place else some:
                await self._refused(Errand.POST, one.waiting, [one.stored], exc)
            return _Came(done=True)
        except ChatUnavailable as exc:
            return await self._not_now(Errand.POST, [one.waiting for one in some], exc, undone=requests)
        for one in some:
            await self._done(Errand.POST, one.waiting, await self._desk.load(one.waiting.subject))
        return None

    async def _recover(self, one: Waiting) -> _Came:
        """Bring a shared message to its end that was intended and never recorded."""
        shared = await self._posting.shared(self._place, one.subject.removeprefix(MESSAGE))
        rows = [] if shared is None else await self._posting.rows(shared)
        lost = [stored for stored in rows if stored is not None and shared is not None and shared.is_lost(stored)]
        if shared is not None and lost:
            try:
                await self._posting.recover(self._platform, shared, rows)
            except ChatRefused as exc:
                self._heard(exc)
                await self._refused(Errand.POST, one, lost, exc)
                return _Came(done=True)
            except ChatUnavailable as exc:
                return await self._not_now(Errand.POST, [one], exc)
        await self._done(Errand.POST, one, *(await self._again(rows)))
        return _Came(done=True)

    # ---- edits

    async def _edits(self, waiting: Sequence[Waiting]) -> _Came:
        """Make one message current."""
        if not waiting:
            return _Came()
        one = waiting[0]
        if not one.subject.startswith(MESSAGE):
            return await self._edit(one, [await self._desk.load(one.subject)], None)
        shared = await self._posting.shared(self._place, one.subject.removeprefix(MESSAGE))
        return await self._edit(one, [] if shared is None else await self._posting.rows(shared), shared)

    async def _edit(self, one: Waiting, requests: Sequence[Stored | None], shared: Shared | None) -> _Came:
        old = [stored for stored in requests if stored is not None and self._is_old(stored, shared)]
        if not old:
            await self._done(Errand.EDIT, one, *requests)
            return _Came(done=True)
        if not all([await self._desk.is_safe(stored) for stored in old]):
            await self._desk.outbox.settle(self._lease, Errand.EDIT, one, again=TRY_UNSAFE_AGAIN_MS)
            return _Came(done=True)
        if wait := await self._turn(Errand.EDIT):
            return _Came(wait=wait)
        try:
            if shared is None:
                await self._posting.edit(self._platform, old[0], old[0].posts[self._place])
            else:
                await self._posting.edit_shared(self._platform, shared, requests)
        except ChatRefused as exc:
            self._heard(exc)
            await self._refused(Errand.EDIT, one, old if shared is None else shared.members(requests), exc)
            return _Came(done=True)
        except ChatUnavailable as exc:
            return await self._not_now(Errand.EDIT, [one], exc)
        await self._done(Errand.EDIT, one, *(await self._again(old)))
        return _Came(done=True)

    def _is_old(self, stored: Stored, shared: Shared | None) -> bool:
        """Whether a card, or a row of this message, does not show how its request stands."""
        post = stored.posts.get(self._place)
        mine = post is not None and post.shared == ("" if shared is None else shared.name)
        return mine and Errand.EDIT in self._desk.errands(stored, self._place)

    # ---- notes

    async def _says(self, waiting: Sequence[Waiting], *, behind: bool) -> _Came:
        """Give the notes of one request; they share the rate of the posts and come after them."""
        if not waiting or behind:
            return _Came()
        one = waiting[0]
        if one.subject.startswith(f"{TROUBLE}/"):
            return await self._tell_trouble(one)
        stored = await self._desk.load(one.subject)
        try:
            for give in self._to_give(stored):
                if wait := await self._turn(Errand.SAY):
                    return _Came(wait=wait)
                await give()
        except ChatUnavailable as exc:
            return await self._not_now(Errand.SAY, [one], exc)
        await self._done(Errand.SAY, one, await self._desk.load(one.subject))
        return _Came(done=True)

    def _to_give(self, stored: Stored | None) -> list[Callable[[], Awaitable[None]]]:
        """The notes under a card here, and what operators or a person are told here, each as the act of giving it."""
        if stored is None:
            return []
        platform, place, posting = self._platform, self._place, self._posting
        acts: list[Callable[[], Awaitable[None]]] = []
        if _is_posted(stored, place):
            acts += [partial(posting.say, platform, stored, place, note) for note in self._desk.notes(stored, place)]
        told = self._desk.letters(stored, place)
        if place == self._desk.operators:
            told += untold(stored, place)
        return [*acts, *(partial(posting.tell, platform, stored, place, note) for note in told)]

    async def _tell_trouble(self, one: Waiting) -> _Came:
        """Tell operators of a destination that takes no cards; after a crash rather not than twice."""
        if wait := await self._turn(Errand.SAY):
            return _Came(wait=wait)
        kept = await self._store.shelf.kept(one.subject)
        await self._desk.outbox.settle(self._lease, Errand.SAY, one)
        if kept is not None:
            try:
                await self._platform.announce(self._place, Note.model_validate(kept.document, strict=False))
            except ChatRefused as exc:
                log.error("operators cannot be told", destination=self._place, code=exc.code, remedy=exc.remedy)
            except ChatUnavailable as exc:
                if not exc.maybe_done:
                    await self._desk.outbox.add(self._place, Errand.SAY, one.subject)
                return await self._not_now(Errand.SAY, [], exc)
        return _Came(done=True)

    # ---- files

    async def _files(self, waiting: Sequence[Waiting], *, behind: bool) -> _Came:
        """Put the file of one request under its card; it counts as a post, and comes after all that somebody needs.

        What keeps a file back keeps back nothing else: the place is not held, and the file is tried later.
        """
        if not waiting or behind:
            return _Came()
        one, again = waiting[0], None
        stored = await self._desk.load(one.subject)
        if stored is not None and Errand.FILE in self._desk.errands(stored, self._place):
            if wait := await self._turn(Errand.FILE):
                return _Came(wait=wait)
            again = await self._posting.attach(self._platform, stored, self._place)
        await self._desk.outbox.settle(self._lease, Errand.FILE, one, again=again)
        return _Came(done=True)

    # ---- what comes of it

    async def _turn(self, errand: Errand) -> int:
        """Take a turn of every rate that an errand needs; 0, or the ms to wait."""
        for pace in self._platform.paces(errand, self._place):
            if wait := await self._store.may_post(pace.name, pace.per_minute, pace.burst):
                return wait
        return 0

    async def _done(self, errand: Errand, one: Waiting, *requests: Stored | None) -> None:
        """Take an errand out of its line; what its requests need now waits instead."""
        for stored in requests:
            if stored is not None:
                await self._desk.add(stored, self._place)
                if errand is Errand.POST:
                    await self._desk.add_letters(stored)
        await self._desk.outbox.settle(self._lease, errand, one)

    async def _again(self, requests: Sequence[Stored | None]) -> Sequence[Stored | None]:
        """The same requests as they are now."""
        return await asyncio.gather(*(self._desk.load(one.request.id) for one in requests if one is not None))

    def _heard(self, exc: ChatRefused | ChatUnavailable) -> None:
        code = exc.code if isinstance(exc, ChatRefused) else "unavailable"
        self._desk.watch.failed(self._place, code)

    async def _not_now(
        self, errand: Errand, waiting: Sequence[Waiting], exc: ChatUnavailable, *, undone: Sequence[Stored] = ()
    ) -> _Came:
        """Try again later. What surely was not done needs no search; nobody else tries meanwhile."""
        self._heard(exc)
        log.warning("chat unavailable", destination=self._place, error=str(exc), maybe_done=exc.maybe_done)
        wait = int(exc.retry_after * 1000) + 1
        if not exc.maybe_done:
            await self._posting.forget(self._place, undone, NOT_NOW)
            for pace in self._platform.paces(errand, self._place)[:1]:
                await self._store.hold_posts(pace.name, wait)
        if waiting:
            await self._desk.outbox.settle(self._lease, errand, *waiting, again=wait if exc.maybe_done else 0)
        return _Came(done=exc.maybe_done, wait=wait)

    async def _refused(self, errand: Errand, one: Waiting, requests: Sequence[Stored], exc: ChatRefused) -> None:
        """The platform says no: flag it, and try again later while somebody could still answer."""
        again = TRY_LATER_MS if exc.code == NOT_CONNECTED else None
        for stored in requests:
            await self._flag(stored, exc)
            if not stored.request.is_due_at(self._place):
                continue
            post = stored.posts.get(self._place)
            delay = retry_after(post.tries if post is not None else 0)
            if one.subject == stored.request.id and errand is Errand.POST:
                again = delay
            else:
                await self._desk.outbox.add(self._place, Errand.POST, stored.request.id, delay=delay)
                again = None
        await self._desk.outbox.settle(self._lease, errand, one, again=again)
        for now in await self._again(requests):
            if now is not None:
                await self._desk.add_all(now, but=self._place)

    async def _flag(self, stored: Stored, exc: ChatRefused) -> None:
        """Note at a request that it could not be shown here; the journal and the operators hear of it once."""
        request, post = stored.request, stored.posts.get(self._place)
        if post is None or post.problem != exc.code:
            log.error("card cannot be shown", destination=self._place, code=exc.code, remedy=exc.remedy)
            record = {"v": 1, "event": "undeliverable", "request": request.id, "destination": self._place}
            await self._store.note({**record, "reason": exc.code}, partition=int(request.id.split("-")[0]))
            await self._let_operators_know(stored, exc)
        if request.is_due_at(self._place) or (request.is_news and (post is None or post.state == "intended")):
            tries = post.tries if post is not None else 0
            failed = Post(self._place, "failed", await self._store.now(), problem=exc.code, tries=tries + 1)
            await self._store.record_post(request.id, failed)
        elif post is not None:  # the card stays as it is; the next change tries again
            await self._store.record_post(request.id, replace(post, problem=exc.code))

    async def _let_operators_know(self, stored: Stored, exc: ChatRefused) -> None:
        """Have operators told of this destination, unless they heard of it a short while ago."""
        operators = self._desk.operators
        if operators is None or operators == self._place:
            return
        note = Note(
            key="undeliverable",
            what="undeliverable",
            code=stored.request.code,
            place=self._place,
            problem=exc.code,
            remedy=exc.remedy,
        )
        name = f"{TROUBLE}/{self._place}"
        if await self._store.shelf.keep(name, note.model_dump(mode="json"), version=0, ttl=TELL_AGAIN_MS):
            await self._desk.outbox.add(operators, Errand.SAY, name)


def _is_posted(stored: Stored, place: str) -> bool:
    post = stored.posts.get(place)
    return post is not None and post.state == "posted"
