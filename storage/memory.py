"""The memory of requests in this process: a full twin of the one in Redis, gone when the process ends."""

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from approvals.action import likeness, partition_of, partition_of_request
from approvals.errors import EpochChanged, NotExported, NotFound, OutsideWindow, OverLimit
from approvals.indices import Query
from approvals.limits import Limits
from approvals.ports import Answer, Change, Entry, JournalEntry, Page, Post, Queue, Stored, Trouble
from approvals.request import Request
from storage.documents import json_text, read_request, request_text
from storage.outbox import MemoryOutbox
from storage.places import cursor_at, place_of, position
from storage.shelf import MemoryShelf
from storage.windows import MemoryWindows

DAY: Final = 86_400_000
_NEVER: Final = 2**53
PUBLISH_WITHIN: Final = 2_000  #: ms that whoever commits has for publishing, before others do it


@dataclass
class _Kept:
    """A request as it is kept, with what belongs to it."""

    id: str
    text: bytes
    version: int
    entry: int | None
    due: int | None
    until: int | None = None  #: when it is forgotten
    published: int | None = None
    posts: dict[str, Post] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)  #: who intends to post where

    read: Request | None = None  #: what `text` says, read once

    def request(self) -> Request:
        if self.read is None:
            self.read = read_request(self.text, self.id, self.version, self.entry)
        return self.read


@dataclass
class _Pace:
    """A destination's rate, in microseconds, as in rate.lua."""

    tat: int = 0
    hold: int = 0


class MemoryStore:
    """A Store in this process. `now` gives its time in ms; `retention` (ms) is how long an ended request is kept."""

    def __init__(self, now: Callable[[], int], partitions: int = 1, *, retention: int = 30 * DAY) -> None:
        self.partitions = partitions
        self.findings: tuple[str, ...] = ("everything is in this process: it forgets all when it ends",)
        self._now = now
        self._retention = retention
        self._kept: dict[str, _Kept] = {}
        self._queues: dict[Queue, dict[str, int]] = {queue: {} for queue in Queue}
        self._journals: list[list[JournalEntry]] = [[] for _ in range(partitions)]
        self._last = [0] * partitions
        self._exported = [0] * partitions
        self._trimmed: dict[int, tuple[int, str]] = {}
        self._epoch = ""
        self._policies: dict[str, str] = {}
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._renderings: dict[str, bytes] = {}
        self._paces: dict[str, _Pace] = defaultdict(_Pace)
        self._streams = _Streams()
        self.shelf = MemoryShelf(now, self._note_in)
        self.outbox = MemoryOutbox(now)
        self.windows = MemoryWindows(now)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing is open."""

    def inbox(self, consumer: str | None = None) -> MemoryInbox:
        """The intake streams of this memory, taken from under the name `consumer`."""
        return MemoryInbox(self._now, self.partitions, self._streams, consumer)

    async def now(self) -> int:
        return self._now()

    async def get(self, request: str) -> Stored:
        stored = self._load(request)
        await asyncio.sleep(0)  # as over a network: others may be first between reading and committing
        if stored is None:
            raise NotFound(f"there is no request {request}")
        return stored

    async def find(self, code: str) -> Sequence[str]:
        found = [request for request in self._requests() if request.code == code]
        return [request.id for request in _newest_first(found)]

    async def create(
        self,
        request: str,
        make: Callable[[int, Sequence[Request]], Change],
        *,
        like: str = "",
        limits: Limits | None = None,
    ) -> tuple[Stored, bool]:
        self._partition(request)
        stored = self._load(request)
        while stored is None:
            if limits and (wait := await self.may_post(f"agent:{limits.agent}", limits.per_minute, limits.per_minute)):
                raise OverLimit(wait)
            alike = [other for other in self._requests() if likeness(other.agent, other.action) == like]
            made = make(self._now(), _newest_first(alike)[:5])
            await asyncio.sleep(0)
            committed = self._commit(made, None, limits)
            if committed is not None:
                return committed, True
            stored = self._load(request)
        return stored, False

    async def update(
        self, request: str, change: Callable[[Stored], Change | None], *, known: Stored | None = None
    ) -> Stored:
        stored = known or await self.get(request)
        while (wanted := change(stored)) is not None:
            await asyncio.sleep(0)
            committed = self._commit(wanted, stored)
            if committed is not None:
                return committed
            stored = await self.get(request)
        return stored

    async def publish(self, request: Request, document: Mapping[str, Any], *, again: bool = False) -> None:
        kept = self._find(request.id)
        if kept is None or kept.version != request.version:
            return
        if kept.published != request.version or again:
            body = json_text(document)
            partition = self._partition(request.id)
            self._streams.decisions[request.agent, request.id] = body
            self._streams.out[partition, request.agent, False].append(("decision", body))
            kept.published = request.version
        self._queues[Queue.ANNOUNCEMENTS].pop(request.id, None)

    async def list(self, query: Query, cursor: str = "", limit: int = 25) -> Page:
        after = position(cursor) if cursor else None
        covered = [request for request in self._requests() if query.covers(request)]
        found = [one for one in _newest_first(covered) if after is None or place_of(one) < after]
        more = len(found) > limit
        return Page(found[:limit], cursor_at(place_of(found[limit - 1])) if more else None)

    async def due(self, queue: Queue, *, limit: int, lease: int) -> Sequence[str]:
        now, work = self._now(), self._queues[queue]
        due = sorted((at, request) for request, at in work.items() if at <= now)[:limit]
        work.update({request: now + lease for _, request in due})
        return [request for _, request in due]

    async def settle(self, queue: Queue, request: str, version: int) -> bool:
        self._partition(request)
        now, work, kept = self._now(), self._queues[queue], self._find(request)
        if kept is not None and kept.version != version:
            work[request] = now
            return False
        work.pop(request, None)
        if queue is Queue.TIMERS and kept is not None and kept.due is not None and kept.due > now:
            work[request] = kept.due
        return True

    async def postpone(self, queue: Queue, request: str, delay: int) -> None:
        if request in self._queues[queue]:
            self._queues[queue][request] = self._now() + delay

    async def intend(self, request: str, destination: str, token: str, *, shared: bool = False) -> Post | None:
        kept = self._must_find(request)
        post = kept.posts.get(destination)
        if post is not None and post.state != "failed":
            mine = post.state == "intended" and kept.tokens[destination] == token
            return None if mine else post
        tries = post.tries if post is not None else 0
        kept.posts[destination] = Post(
            destination, "intended", self._now(), shared=token if shared else "", tries=tries
        )
        kept.tokens[destination] = token
        return None

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        posts = self._must_find(request).posts
        known = posts.get(post.destination)
        if unless_posted and known is not None and known.state == "posted":
            return known
        posts[post.destination] = post
        return None

    async def keep_rendering(self, digest: str, rendering: bytes) -> None:
        self._renderings[digest] = rendering

    async def rendering(self, digest: str) -> bytes | None:
        return self._renderings.get(digest)

    async def may_post(self, destination: str, per_minute: int, burst: int) -> int:
        now, pace, each = self._now() * 1000, self._paces[destination], 60_000_000 // per_minute
        tat = max(pace.tat, now)
        free = max(pace.hold, tat - (burst - 1) * each)
        if free > now:
            return -((now - free) // 1000)
        pace.tat = tat + each
        return 0

    async def hold_posts(self, destination: str, milliseconds: int) -> None:
        pace = self._paces[destination]
        pace.hold = max(pace.hold, (self._now() + milliseconds) * 1000)

    async def note(self, record: Mapping[str, Any], *, partition: int = 0) -> int:
        return self._noted(partition, json_text(record), self._now())

    async def assure(self, partition: int) -> None:
        return  # there is one memory, and nothing to wait for

    async def journal(self, partition: int, after: int = 0) -> AsyncIterator[JournalEntry]:
        for entry in [entry for entry in self._journals[partition] if entry.number > after]:
            yield entry

    async def tidy(self, *, limit: int) -> int:
        gone = [id_ for id_ in list(self._kept) if self._find(id_) is None]
        for decided in [key for key in self._streams.decisions if key[1] not in self._kept]:
            del self._streams.decisions[decided]
        return len(gone)

    async def mark_exported(self, partition: int, number: int) -> int:
        if number > self._last[partition]:
            raise NotFound(f"the journal of partition {partition} has no entry {number}")
        self._exported[partition] = max(self._exported[partition], number)
        return self._exported[partition]

    async def trim_journal(self, partition: int, first: int, head: str) -> int:
        if first > self._exported[partition]:
            raise NotExported(self._exported[partition])
        begins = self._trimmed.get(partition, (0, ""))[0]
        if first > begins:
            journal = self._journals[partition]
            self._journals[partition] = [entry for entry in journal if entry.number >= first]
            self._trimmed[partition] = (first, head)
        return max(first, begins)

    async def trimmed(self, partition: int) -> tuple[int, str] | None:
        return self._trimmed.get(partition)

    async def heard(self, agent: str, patience: int) -> None:
        self._queues[Queue.SILENT][agent] = self._now() + patience

    async def gone(self, agent: str, lease: int) -> bool:
        silent = self._queues[Queue.SILENT]
        if silent.get(agent, _NEVER) > self._now() + lease:
            return False
        del silent[agent]
        return True

    async def adopt(self, digest: str, text: str, record: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        if instead_of is not None and self._epoch not in (instead_of, digest):
            raise EpochChanged(self._epoch)
        self._policies[digest] = text
        if self._epoch != digest:
            self._epoch = digest
            await self.note(record)

    async def epoch(self) -> tuple[str, str] | None:
        return (self._epoch, self._policies[self._epoch]) if self._epoch else None

    async def policy_text(self, digest: str) -> str | None:
        """A policy text that was once in force, by its digest."""
        return self._policies.get(digest)

    async def keys(self) -> Mapping[str, Mapping[str, Any]]:
        """The public halves (JWK) of the signing keys of this deployment, by key id."""
        return dict(self._keys)

    async def register_first_key(self, kid: str, public: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
        """Register a key if no other is, with a journal entry; returns whether this key is registered now."""
        if not self._keys:
            self._keys[kid] = dict(public)
            await self.note(record)
        return kid in self._keys

    # ---- inside

    def _partition(self, request: str) -> int:
        try:
            partition = partition_of_request(request)
        except ValueError:
            partition = self.partitions
        if partition >= self.partitions:
            raise NotFound("there is no such request")
        return partition

    def _find(self, request: str) -> _Kept | None:
        kept = self._kept.get(request)
        if kept is not None and kept.until is not None and kept.until <= self._now():
            del self._kept[request]
            return None
        return kept

    def _must_find(self, request: str) -> _Kept:
        kept = self._find(request)
        if kept is None:
            raise NotFound(f"there is no request {request}")
        return kept

    def _load(self, request: str) -> Stored | None:
        kept = self._find(request)
        return None if kept is None else Stored(kept.request(), self._now(), dict(kept.posts))

    def _requests(self) -> Sequence[Request]:
        return [kept.request() for kept in map(self._find, list(self._kept)) if kept is not None]

    def _noted(self, partition: int, record: bytes, at: int) -> int:
        """The number of a new entry."""
        self._last[partition] += 1
        self._journals[partition].append(JournalEntry(self._last[partition], at, record))
        return self._last[partition]

    def _note_in(self, folder: str, record: Mapping[str, Any]) -> None:
        """Put an entry into the journal of a folder's home partition."""
        self._noted(zlib.crc32(folder.encode()) % self.partitions, json_text(record), self._now())

    def _is_full(self, request: Request, limits: Limits) -> bool:
        """Whether an agent has as many open as it may, so that this one must not come to them."""
        mine = Query(agent=limits.agent)
        return mine.covers(request) and sum(mine.covers(one) for one in self._requests()) >= limits.open

    def _commit(self, change: Change, known: Stored | None, limits: Limits | None = None) -> Stored | None:
        """Commit a change to what is known; None when the request is no longer that."""
        kept, now = self._find(change.request.id), self._now()
        version = known.request.version if known else 0
        if (kept.version if kept else 0) != version:
            return None
        if change.epoch != self._epoch:
            raise EpochChanged(self._epoch)
        if now < change.not_before:
            raise OutsideWindow(now, too_late=False)
        if change.not_after is not None and now >= change.not_after:
            raise OutsideWindow(now, too_late=True)
        if limits is not None and self._is_full(change.request, limits):
            raise OverLimit(None)
        return self._write(change, kept, known, now)

    def _write(self, change: Change, kept: _Kept | None, known: Stored | None, now: int) -> Stored:
        request = change.request
        number = self._noted(self._partition(request.id), json_text(change.record), now)
        if kept is None:
            kept = self._kept[request.id] = _Kept(request.id, b"", 0, None, None)
        kept.text, kept.read = request_text(request), None
        kept.version += 1
        kept.entry = number if change.decides else kept.entry
        kept.until = now + self._retention if request.is_over else None
        self._schedule(change, kept, now)
        written = kept.request()
        return replace(known, request=written, now=now) if known else Stored(written, now)

    def _schedule(self, change: Change, kept: _Kept, now: int) -> None:
        request = change.request.id
        kept.due = change.request.next_due()
        if kept.due is None:
            self._queues[Queue.TIMERS].pop(request, None)
        else:
            self._queues[Queue.TIMERS][request] = kept.due
        if change.show:
            self._queues[Queue.CARDS][request] = now
        if change.announce:
            self._queues[Queue.ANNOUNCEMENTS][request] = now + PUBLISH_WITHIN


@dataclass
class _Taken:
    """An entry that was handed out and not answered yet."""

    entry: Entry
    by: str
    at: int


@dataclass
class _Streams:
    """What lies on the wire. Streams are named by partition, owner and whether that is a tool."""

    intake: dict[tuple[int, str, bool], deque[Entry]] = field(default_factory=lambda: defaultdict(deque))
    out: dict[tuple[int, str, bool], list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    decisions: dict[tuple[str, str], bytes] = field(default_factory=dict)
    taken: dict[tuple[int, str, bool, str], _Taken] = field(default_factory=dict)
    dead: list[tuple[Entry, str]] = field(default_factory=list)
    last: int = 0  #: number of the last entry
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryInbox:
    """An Inbox in this process; made by MemoryStore.inbox. `append`, `answers` and `decision` are the other side."""

    def __init__(self, now: Callable[[], int], partitions: int, streams: _Streams, consumer: str | None) -> None:
        self.consumer = consumer or f"bot-{id(self)}"
        self._now = now
        self._partitions = partitions
        self._streams = streams
        self._watched: set[tuple[str, bool]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing is open."""

    async def inspect(self, *, limit: int) -> Sequence[Trouble]:
        return ()  # nobody can do anything to a stream in this process

    async def watch(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        self._watched = {(agent, False) for agent in agents} | {(audience, True) for audience in audiences}

    async def take(self, *, limit: int, block: int) -> Sequence[Entry]:
        taken = self._new(limit)
        if not taken:
            self._streams.arrived.clear()
            try:
                async with asyncio.timeout(block / 1000):
                    await self._streams.arrived.wait()
            except TimeoutError:
                return ()
            taken = self._new(limit)
        return taken

    async def reclaim(self, *, idle: int, limit: int) -> Sequence[Entry]:
        now = self._now()
        stale = [taken for taken in self._streams.taken.values() if now - taken.at >= idle and self._watches(taken)]
        for taken in stale[:limit]:
            taken.entry = replace(taken.entry, deliveries=taken.entry.deliveries + 1)
            taken.by, taken.at = self.consumer, now
        return [taken.entry for taken in stale[:limit]]

    async def answer(self, entry: Entry, *answers: Answer, dead_letter: str | None = None) -> None:
        stream = (entry.partition, entry.owner, entry.tool)
        if self._streams.taken.pop((*stream, entry.id), None) is None:
            return
        self._streams.out[stream] += [(answer.type, json_text(answer.body)) for answer in answers]
        if dead_letter:
            self._streams.dead.append((entry, dead_letter))

    def append(
        self, owner: str, type_: str | None, body: bytes | None, *, tool: bool = False, partition: int | None = None
    ) -> str:
        """Append an entry as an agent or a tool would; returns its id."""
        home = partition_of(owner, self._partitions) if partition is None else partition
        self._streams.last += 1
        id_ = f"{self._now()}-{self._streams.last}"
        self._streams.intake[home, owner, tool].append(Entry(home, owner, tool, id_, type_, body))
        self._streams.arrived.set()
        return id_

    def answers(self, owner: str, *, tool: bool = False, partition: int | None = None) -> list[tuple[str, bytes]]:
        """Everything on an out stream, as (type, body)."""
        home = partition_of(owner, self._partitions) if partition is None else partition
        return list(self._streams.out[home, owner, tool])

    def decision(self, agent: str, request: str) -> bytes | None:
        """The decision document that the agent may read."""
        return self._streams.decisions.get((agent, request))

    def dead_letters(self) -> list[tuple[Entry, str]]:
        """The refused entries that were kept aside, each with the reason."""
        return list(self._streams.dead)

    def _watches(self, taken: _Taken) -> bool:
        return (taken.entry.owner, taken.entry.tool) in self._watched

    def _new(self, limit: int) -> list[Entry]:
        streams = [
            queue
            for (_, owner, tool), queue in sorted(self._streams.intake.items())
            if queue and (owner, tool) in self._watched
        ]
        each = max(1, limit // len(streams)) if streams else 0
        found = [queue.popleft() for queue in streams[:limit] for _ in range(min(each, len(queue)))]
        for entry in found:
            key = (entry.partition, entry.owner, entry.tool, entry.id)
            self._streams.taken[key] = _Taken(entry, self.consumer, self._now())
        return found


def _newest_first(requests: Sequence[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: (request.asked_at, request.id), reverse=True)
