"""The ports, each with somebody who counts standing beside it: the same answers, the same errors."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import structlog

from approvals.errors import DirectoryUnavailable, NotConfirmed, SignerUnavailable, StoreUnavailable
from approvals.indices import Query
from approvals.journal import HEAD_TYP, Head
from approvals.lifecycle import Status
from approvals.limits import Limits
from approvals.ports import (
    Account,
    Answer,
    Change,
    Directory,
    Entry,
    Errand,
    Inbox,
    JournalEntry,
    Kept,
    Lease,
    Outbox,
    Page,
    Post,
    Queue,
    Shelf,
    Signer,
    Store,
    Stored,
    Trouble,
    Waiting,
    Windows,
)
from approvals.request import Request
from approvals.windows import Share
from bot.telemetry.labels import OTHER, Labels, word
from bot.telemetry.metrics import Metrics

log = structlog.get_logger("sayso.telemetry")

#: What the contract lets a stream carry (docs/reference/redis-contract.md); other types are anybody's words.
ENTRY_TYPES = frozenset({"request", "withdraw", "collect", "heartbeat", "spend", "report"})
_PLAUSIBLE_MS = 86_400_000
_FIRST_ANSWERS = frozenset({Status.APPROVED, Status.DENIED, Status.EXPIRED, Status.WITHDRAWN})


class StoreTime:
    """The store's time without asking for it: what it said last, and what passed since. Never decides anything."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()

    def seen(self, now: int) -> None:
        """The store has just said that it is `now` (ms)."""
        self._ahead = now / 1000 - self._monotonic()

    def now(self) -> int:
        """The store's time in ms, as far as is known here."""
        return round((self._monotonic() + self._ahead) * 1000)


class Observer(Protocol):
    """Somebody who is told of every change that this process has committed. Cannot object, and must not fail."""

    def asked(self, request: Request, began: int) -> None:
        """A new request was committed, by work that began at `began` (ms)."""
        ...

    def changed(self, before: Request, change: Change, began: int) -> None:
        """A request was changed."""
        ...


class Counting:
    """The observer that keeps the metrics of requests."""

    def __init__(self, metrics: Metrics, labels: Labels, time: StoreTime) -> None:
        self._metrics = metrics
        self._labels = labels
        self._time = time

    def asked(self, request: Request, began: int) -> None:
        """One more request, decided at once where a rule says so."""
        kind = self._labels.kind(request)
        self._metrics.asked.labels(self._labels.agent(request.agent)).inc()
        self._metrics.requests.labels(kind, Status.PENDING.value).inc()
        if request.decision is not None:
            self._moved(request, kind)

    def changed(self, before: Request, change: Change, began: int) -> None:
        """A vote, a decision, or what came after it."""
        after = change.request
        if change.not_before:
            self._metrics.timer_lag.observe(_seconds(self._time.now() - change.not_before))
        known = {(vote.person, vote.at) for vote in before.votes}
        for vote in after.votes:
            if (vote.person, vote.at) not in known:
                self._metrics.votes.labels(vote.answer).inc()
        if after.status is not before.status:
            self._moved(after, self._labels.kind(after))

    def _moved(self, request: Request, kind: str) -> None:
        self._metrics.requests.labels(kind, request.status.value).inc()
        if request.decision is not None and request.status in _FIRST_ANSWERS:
            self._metrics.to_decision.labels(kind).observe(_seconds(request.decision.at - request.asked_at))


class WatchedStore:
    """A Store: times every operation, and tells observers of what was committed."""

    def __init__(self, store: Store, metrics: Metrics, time: StoreTime, observers: Sequence[Observer]) -> None:
        self.partitions = store.partitions
        self.shelf = WatchedShelf(store.shelf, metrics)
        self.outbox = WatchedOutbox(store.outbox, metrics)
        self.windows = WatchedWindows(store.windows, metrics)
        self._store = store
        self._metrics = metrics
        self._time = time
        self._observers = observers

    async def now(self) -> int:
        with _timed(self._metrics, "now"):
            now = await self._store.now()
        self._time.seen(now)
        return now

    async def get(self, request: str) -> Stored:
        with _timed(self._metrics, "get"):
            stored = await self._store.get(request)
        self._time.seen(stored.now)
        return stored

    async def find(self, code: str) -> Sequence[str]:
        with _timed(self._metrics, "find"):
            return await self._store.find(code)

    async def create(
        self,
        request: str,
        make: Callable[[int, Sequence[Request]], Change],
        *,
        like: str = "",
        limits: Limits | None = None,
    ) -> tuple[Stored, bool]:
        began = self._time.now()
        with _timed(self._metrics, "create"):
            stored, new = await self._store.create(request, make, like=like, limits=limits)
        self._time.seen(stored.now)
        if new:
            self._tell(lambda observer: observer.asked(stored.request, began))
        return stored, new

    async def update(
        self, request: str, change: Callable[[Stored], Change | None], *, known: Stored | None = None
    ) -> Stored:
        tried: list[tuple[Request, Change | None]] = []

        def noted(now: Stored) -> Change | None:
            wanted = change(now)
            tried[:] = [(now.request, wanted)]  # the last one is what was committed
            return wanted

        began = self._time.now()
        try:
            with _timed(self._metrics, "update"):
                after = await self._store.update(request, noted, known=known)
        except NotConfirmed:
            self._committed(tried, began)  # it is, though not safe yet
            raise
        self._time.seen(after.now)
        self._committed(tried, began)
        return after

    async def publish(self, request: Request, document: Mapping[str, Any], *, again: bool = False) -> None:
        with _timed(self._metrics, "publish"):
            await self._store.publish(request, document, again=again)
        if request.decision is not None and request.status in _FIRST_ANSWERS and not again:
            self._metrics.announcement_lag.observe(_seconds(self._time.now() - request.decision.at))

    async def list(self, query: Query, cursor: str = "", limit: int = 25) -> Page:
        with _timed(self._metrics, "list"):
            return await self._store.list(query, cursor, limit)

    async def due(self, queue: Queue, *, limit: int, lease: int) -> Sequence[str]:
        with _timed(self._metrics, "due"):
            return await self._store.due(queue, limit=limit, lease=lease)

    async def settle(self, queue: Queue, request: str, version: int) -> bool:
        with _timed(self._metrics, "settle"):
            return await self._store.settle(queue, request, version)

    async def postpone(self, queue: Queue, request: str, delay: int) -> None:
        with _timed(self._metrics, "postpone"):
            await self._store.postpone(queue, request, delay)

    async def intend(self, request: str, destination: str, token: str, *, shared: bool = False) -> Post | None:
        with _timed(self._metrics, "intend"):
            return await self._store.intend(request, destination, token, shared=shared)

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        with _timed(self._metrics, "record_post"):
            return await self._store.record_post(request, post, unless_posted=unless_posted)

    async def keep_rendering(self, digest: str, rendering: bytes) -> None:
        with _timed(self._metrics, "keep_rendering"):
            await self._store.keep_rendering(digest, rendering)

    async def rendering(self, digest: str) -> bytes | None:
        with _timed(self._metrics, "rendering"):
            return await self._store.rendering(digest)

    async def may_post(self, destination: str, per_minute: int, burst: int) -> int:
        with _timed(self._metrics, "may_post"):
            return await self._store.may_post(destination, per_minute, burst)

    async def hold_posts(self, destination: str, milliseconds: int) -> None:
        with _timed(self._metrics, "hold_posts"):
            await self._store.hold_posts(destination, milliseconds)

    async def note(self, record: Mapping[str, Any], *, partition: int = 0) -> int:
        with _timed(self._metrics, "note"):
            return await self._store.note(record, partition=partition)

    async def assure(self, partition: int) -> None:
        with _timed(self._metrics, "assure"):
            await self._store.assure(partition)

    async def journal(self, partition: int, after: int = 0) -> AsyncIterator[JournalEntry]:
        with _errors(self._metrics, "journal"):
            async for entry in self._store.journal(partition, after):
                yield entry

    async def tidy(self, *, limit: int) -> int:
        with _timed(self._metrics, "tidy"):
            return await self._store.tidy(limit=limit)

    async def mark_exported(self, partition: int, number: int) -> int:
        with _timed(self._metrics, "mark_exported"):
            return await self._store.mark_exported(partition, number)

    async def trim_journal(self, partition: int, first: int, head: str) -> int:
        with _timed(self._metrics, "trim_journal"):
            return await self._store.trim_journal(partition, first, head)

    async def trimmed(self, partition: int) -> tuple[int, str] | None:
        with _timed(self._metrics, "trimmed"):
            return await self._store.trimmed(partition)

    async def heard(self, agent: str, patience: int) -> None:
        with _timed(self._metrics, "heard"):
            await self._store.heard(agent, patience)

    async def gone(self, agent: str, lease: int) -> bool:
        with _timed(self._metrics, "gone"):
            return await self._store.gone(agent, lease)

    async def adopt(self, digest: str, text: str, record: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        with _timed(self._metrics, "adopt"):
            await self._store.adopt(digest, text, record, instead_of=instead_of)

    async def epoch(self) -> tuple[str, str] | None:
        with _timed(self._metrics, "epoch"):
            return await self._store.epoch()

    def _committed(self, tried: Sequence[tuple[Request, Change | None]], began: int) -> None:
        before, change = tried[-1]
        if change is not None:
            self._tell(lambda observer: observer.changed(before, change, began))

    def _tell(self, what: Callable[[Observer], None]) -> None:
        """A fault in counting must not become one in deciding: it is logged, and the decision stands."""
        for observer in self._observers:
            try:
                what(observer)
            except Exception:
                log.exception("observer failed", observer=type(observer).__name__)


class WatchedShelf:
    """A Shelf: times every operation."""

    def __init__(self, shelf: Shelf, metrics: Metrics) -> None:
        self._shelf = shelf
        self._metrics = metrics

    async def kept(self, name: str) -> Kept | None:
        with _timed(self._metrics, "kept"):
            return await self._shelf.kept(name)

    async def keep(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        version: int | None = None,
        ttl: int | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Kept | None:
        with _timed(self._metrics, "keep"):
            return await self._shelf.keep(name, document, version=version, ttl=ttl, record=record)

    async def drop(self, name: str, *, version: int | None = None, record: Mapping[str, Any] | None = None) -> bool:
        with _timed(self._metrics, "drop"):
            return await self._shelf.drop(name, version=version, record=record)

    async def folder(self, folder: str) -> Sequence[Kept]:
        with _timed(self._metrics, "folder"):
            return await self._shelf.folder(folder)


class WatchedOutbox:
    """An Outbox: times every operation."""

    def __init__(self, outbox: Outbox, metrics: Metrics) -> None:
        self._outbox = outbox
        self._metrics = metrics

    async def add(self, destination: str, errand: Errand, *subjects: str, delay: int = 0) -> None:
        with _timed(self._metrics, "outbox_add"):
            await self._outbox.add(destination, errand, *subjects, delay=delay)

    async def take(self, *, limit: int, lease: int) -> Sequence[Lease]:
        with _timed(self._metrics, "outbox_take"):
            return await self._outbox.take(limit=limit, lease=lease)

    async def look(self, lease: Lease, *, limit: int, extend: int) -> Mapping[Errand, Sequence[Waiting]] | None:
        with _timed(self._metrics, "outbox_look"):
            return await self._outbox.look(lease, limit=limit, extend=extend)

    async def settle(self, lease: Lease, errand: Errand, *done: Waiting, again: int | None = None) -> None:
        with _timed(self._metrics, "outbox_settle"):
            await self._outbox.settle(lease, errand, *done, again=again)

    async def hand_back(self, lease: Lease, wait: int) -> None:
        with _timed(self._metrics, "outbox_hand_back"):
            await self._outbox.hand_back(lease, wait)


class WatchedWindows:
    """Windows: times every operation."""

    def __init__(self, windows: Windows, metrics: Metrics) -> None:
        self._windows = windows
        self._metrics = metrics

    async def reserve(self, holder: str, shares: Sequence[Share], *, hold: int, token: str) -> Mapping[str, int]:
        with _timed(self._metrics, "reserve"):
            return await self._windows.reserve(holder, shares, hold=hold, token=token)

    async def release(self, holder: str, shares: Sequence[Share], *, token: str) -> None:
        with _timed(self._metrics, "release"):
            await self._windows.release(holder, shares, token=token)

    async def recount(self, holder: str, shares: Sequence[Share], since: int | None) -> None:
        with _timed(self._metrics, "recount"):
            await self._windows.recount(holder, shares, since)


class WatchedInbox:
    """An Inbox: counts what came in, and what became of it."""

    def __init__(self, inbox: Inbox, metrics: Metrics, time: StoreTime) -> None:
        self._inbox = inbox
        self._metrics = metrics
        self._time = time

    async def take(self, *, limit: int, block: int) -> Sequence[Entry]:
        with _errors(self._metrics, "take"):  # not timed: it waits for work
            return await self._inbox.take(limit=limit, block=block)

    async def reclaim(self, *, idle: int, limit: int) -> Sequence[Entry]:
        with _timed(self._metrics, "reclaim"):
            return await self._inbox.reclaim(idle=idle, limit=limit)

    async def inspect(self, *, limit: int) -> Sequence[Trouble]:
        with _timed(self._metrics, "inspect"):
            return await self._inbox.inspect(limit=limit)

    async def answer(self, entry: Entry, *answers: Answer, dead_letter: str | None = None) -> None:
        with _timed(self._metrics, "answer"):
            await self._inbox.answer(entry, *answers, dead_letter=dead_letter)
        self._answered(entry, answers, dead_letter)

    async def watch(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        with _timed(self._metrics, "watch"):
            await self._inbox.watch(agents, audiences)

    def _answered(self, entry: Entry, answers: Sequence[Answer], dead_letter: str | None) -> None:
        type_ = entry.type if entry.type in ENTRY_TYPES else OTHER
        came_to = word(dead_letter) if dead_letter else _verdict(answers)
        self._metrics.entries.labels(type_, came_to).inc()
        if dead_letter:
            self._metrics.dead_letters.labels(came_to).inc()
        elif type_ == "spend" and came_to != "accepted":
            self._metrics.spends_refused.labels(came_to).inc()
        waited = self._time.now() - _arrived(entry.id)
        if 0 <= waited < _PLAUSIBLE_MS:
            self._metrics.intake.labels(type_).observe(waited / 1000)


class WatchedDirectory:
    """A Directory: counts failures, and knows for how long there have been nothing but failures."""

    def __init__(self, directory: Directory, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._metrics = metrics
        self._monotonic = monotonic
        self._failing_since: float | None = None
        self._last = monotonic()

    async def standing(self, account: Account) -> str | None:
        with self._looking():
            return await self._directory.standing(account)

    async def is_member(self, account: Account, source: str) -> bool:
        with self._looking():
            return await self._directory.is_member(account, source)

    def failing_for(self) -> float | None:
        """Seconds since the first of the failures that no success followed; None when the last look-up succeeded."""
        return None if self._failing_since is None else self._monotonic() - self._failing_since

    def idle_for(self) -> float:
        """Seconds since anybody was looked up."""
        return self._monotonic() - self._last

    async def try_out(self, account: Account) -> None:
        """Look somebody up, only to see whether that works."""
        with suppress(DirectoryUnavailable):
            await self.standing(account)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        self._last = self._monotonic()
        try:
            yield
        except DirectoryUnavailable:
            self._metrics.directory_errors.inc()
            if self._failing_since is None:
                self._failing_since = self._monotonic()
            raise
        self._failing_since = None


class WatchedSigner:
    """A Signer: counts failures, and notes how far the journal is sealed."""

    def __init__(self, signer: Signer, metrics: Metrics) -> None:
        self._signer = signer
        self._metrics = metrics

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        try:
            token = await self._signer.sign(typ, claims)
        except SignerUnavailable:
            self._metrics.signer_errors.inc()
            raise
        if typ == HEAD_TYP:
            head = Head.from_claims(claims)
            self._metrics.journal_sealed.labels(head.origin.rsplit("-", 1)[-1]).set(head.number)
        return token

    def verify(self, typ: str, token: str) -> Mapping[str, Any] | None:
        return self._signer.verify(typ, token)


@contextmanager
def _timed(metrics: Metrics, operation: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        with _errors(metrics, operation):
            yield
    finally:
        metrics.redis.labels(operation).observe(time.perf_counter() - began)


@contextmanager
def _errors(metrics: Metrics, operation: str) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:
        metrics.redis_errors.labels(operation).inc()
        raise
    except NotConfirmed:
        metrics.not_confirmed.inc()
        raise


def _verdict(answers: Sequence[Answer]) -> str:
    """What an attempt was told: accepted, or why not."""
    refused = (answer.body for answer in answers if False in (answer.body.get("granted"), answer.body.get("recorded")))
    return next((word(str(body.get("reason"))) for body in refused), "accepted")


def _arrived(entry: str) -> int:
    """When a stream entry came in, by its id (ms-sequence); an agent can choose its ids, hence _PLAUSIBLE_MS."""
    return int(entry.partition("-")[0])


def _seconds(milliseconds: int) -> float:
    return max(0, milliseconds) / 1000
