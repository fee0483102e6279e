"""The memory of requests in Redis or Valkey. What a method promises stands in approvals/ports.py."""

from __future__ import annotations

import heapq
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from redis.exceptions import RedisError

from approvals.action import likeness, partition_of, partition_of_request
from approvals.errors import (
    EpochChanged,
    NotConfirmed,
    NotExported,
    NotFound,
    OutsideWindow,
    OverLimit,
    StoreUnavailable,
)
from approvals.indices import Query, indices, open_of
from approvals.limits import Limits
from approvals.ports import Change, DeadLetter, JournalEntry, Page, Post, Queue, Stored, Trouble
from approvals.request import Request
from storage.documents import json_text, post_text, read_post, read_request, request_text
from storage.places import Place, cursor_at, place_of, position
from storage.redis.checks import WIRE_VERSION, Server, about_replicas, claim_config, examine
from storage.redis.inbox import OUT_KEPT, RedisInbox
from storage.redis.keys import NAMES, Keys, home_of
from storage.redis.link import Command, Link, Word
from storage.redis.outbox import RedisOutbox
from storage.redis.shelf import RedisShelf
from storage.redis.windows import RedisWindows

DAY: Final = 86_400_000
OUT_ENTRIES: Final = 10_000  #: about how many an out stream keeps
_PAGE: Final = 500
_LETTER: Final = (b"owner", b"entry", b"reason", b"type")
_MOST_LOOKED_AT: Final = 500  #: places of a list for one page, however few of them are wanted
_TIDY_LEASE: Final = 60_000  #: ms for which whoever forgets requests has them for itself
_FOREVER: Final = 2**53  #: beyond every instant


class RedisStore:
    """A Store (and the maker of its Inbox) in one Redis or Valkey. `findings` tell what is risky about the server.

    `clock_offset` (ms) is added to the server's time; it is for tests alone.
    """

    def __init__(
        self,
        link: Link,
        url: str,
        *,
        partitions: int,
        server: Server,
        replicas: int,
        retention: int,
        confirm: int,
        renderings: int,
        answers: int,
    ) -> None:
        self.partitions = partitions
        self.findings = server.findings
        self.server = server.version
        self.replicas = replicas
        self.clock_offset = 0
        self._link = link
        self._url = url
        self._retention = retention
        self._renderings = renderings
        self._answers = answers
        self._confirm = confirm
        self._keys = [Keys(partition) for partition in range(partitions)]
        self._turn = 0
        self.shelf = RedisShelf(link, partitions, lambda: self.clock_offset)
        self.outbox = RedisOutbox(link, partitions, lambda: self.clock_offset)
        self.windows = RedisWindows(link, partitions, lambda: self.clock_offset, replicas=replicas, confirm=confirm)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        partitions: int = 1,
        replicas: int | None = None,
        clock_offset: int = 0,
        retention: int = 30 * DAY,
        renderings: int = 90 * DAY,
        answers: int = OUT_ENTRIES,
        confirm: int = 500,
        timeout: float = 2.0,
        connections: int = 32,
        read_only: bool = False,
    ) -> Self:
        """A store on a server that was examined and is fit.

        `replicas`: on how many a decision must be before it is published (None: as many as are connected now).
        `retention`: ms for which an ended request is kept; as long, the same call is the same request. `renderings`:
        ms for which what was on screen is kept after it was last shown. `answers`: about how many an out stream keeps.
        `confirm`:
        ms to wait for replicas, less than `timeout`. `timeout`: seconds for one attempt at a command. `read_only`:
        for the auditor, who may only read journal, policies and renderings. Raises ServerUnfit, StoreUnavailable.
        """
        if confirm >= timeout * 1000:
            raise ValueError("confirm: the wait for replicas must be shorter than the time-out of a command")
        link = Link.to(url, timeout=timeout, connections=connections)
        try:
            server = await examine(link)
            await claim_config(link, partitions, read_only=read_only)
            if not read_only:
                await link.teach()
        except BaseException:
            await link.aclose()
            raise
        wanted = server.replicas if replicas is None else replicas
        found = about_replicas(server, wanted, partitions, is_cluster=link.is_cluster)
        store = cls(
            link,
            url,
            partitions=partitions,
            server=replace(server, findings=(*server.findings, *found)),
            replicas=wanted,
            retention=retention,
            renderings=renderings,
            answers=answers,
            confirm=confirm,
        )
        store.clock_offset = clock_offset
        return store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; an inbox is closed by itself, before."""
        await self._link.aclose()

    def inbox(self, consumer: str | None = None) -> RedisInbox:
        """The intake streams of this memory, taken from under the name `consumer` (one for each process)."""
        return RedisInbox(
            self._link,
            self._url,
            partitions=self.partitions,
            consumer=consumer,
            kept=self._answers,
            clock_offset=lambda: self.clock_offset,
        )

    async def now(self) -> int:
        seconds, microseconds = await self._link.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000 + self.clock_offset

    async def get(self, request: str) -> Stored:
        stored = await self._load(self._home(request), request)
        if stored is None:
            raise NotFound(f"there is no request {request}")
        return stored

    async def find(self, code: str) -> Sequence[str]:
        found: list[tuple[float, str]] = []
        for keys in self._keys:
            found += await self._scored("ZRANGE", keys.code(code), "+inf", "-inf", "BYSCORE", "REV")
        found.sort(reverse=True)
        replies = await self._together([("EXISTS", self._home(id_).request(id_)) for _, id_ in found])
        return [id_ for (_, id_), kept in zip(found, replies, strict=True) if kept]

    async def create(
        self,
        request: str,
        make: Callable[[int, Sequence[Request]], Change],
        *,
        like: str = "",
        limits: Limits | None = None,
    ) -> tuple[Stored, bool]:
        keys = self._home(request)
        now, stored, alike = await self._ask(keys, request, like, limits)
        while stored is None:
            made = await self._commit(keys, make(now, await self._all(alike)), known=None, limits=limits)
            if made is not None:
                return made, True
            now, stored, alike = await self._ask(keys, request, like, limits)
        return stored, False

    async def update(
        self, request: str, change: Callable[[Stored], Change | None], *, known: Stored | None = None
    ) -> Stored:
        keys = self._home(request)
        stored = known or await self.get(request)
        while (wanted := change(stored)) is not None:
            committed = await self._commit(keys, wanted, known=stored)
            if committed is not None:
                return committed
            stored = await self.get(request)  # somebody else was first; every such round is somebody's progress
        if self.replicas:  # an earlier commit may have raised NotConfirmed: do not let it pass for safe
            await self._confirmed(keys, stored.request)
        return stored

    async def publish(self, request: Request, document: Mapping[str, Any], *, again: bool = False) -> None:
        keys = self._home(request.id)
        if self.replicas and not await self._confirmed(keys, request):
            return
        await self._link.script(
            "publish",
            [
                keys.request(request.id),
                keys.decision(request.agent, request.id),
                keys.out(request.agent, tool=False),
                keys.queue(Queue.ANNOUNCEMENTS),
            ],
            request.id,
            request.version,
            json_text(document),
            max(DAY, request.terms.use_within + request.terms.outcome_within),
            int(again),
            self._answers,
            OUT_KEPT,
        )

    async def list(self, query: Query, cursor: str = "", limit: int = 25) -> Page:
        found: list[Request] = []
        after, looked = _beginning(query, cursor), 0
        while looked < _MOST_LOOKED_AT:
            places, more = await self._after(query, after, limit)
            requests = await self._all([id_ for _, id_ in places])
            found += [request for request in requests if query.covers(request)]
            if len(found) > limit or (len(found) == limit and more):
                return Page(found[:limit], cursor_at(place_of(found[limit - 1])))
            if not more:
                return Page(found, None)
            after, looked = places[-1], looked + len(places)
        return Page(found, cursor_at(after))

    async def due(self, queue: Queue, *, limit: int, lease: int) -> Sequence[str]:
        self._turn += 1  # partitions take turns at being first, so that a busy one starves nobody
        due: list[str] = []
        for step in range(self.partitions):
            keys = self._keys[(self._turn + step) % self.partitions]
            args = (self.clock_offset, limit - len(due), lease)
            due += [id_.decode() for id_ in await self._link.script("due", [keys.queue(queue)], *args)]
            if len(due) >= limit:
                break
        return due

    async def settle(self, queue: Queue, request: str, version: int) -> bool:
        keys = self._home(request)
        args = (self.clock_offset, request, version, int(queue is Queue.TIMERS))
        return bool(await self._link.script("settle", [keys.queue(queue), keys.request(request)], *args))

    async def postpone(self, queue: Queue, request: str, delay: int) -> None:
        keys = self._home(request)
        await self._link.script("postpone", [keys.queue(queue)], self.clock_offset, request, delay)

    async def intend(self, request: str, destination: str, token: str, *, shared: bool = False) -> Post | None:
        keys = self._home(request)
        args = (self.clock_offset, destination, token, token if shared else "")
        reply, acks = await self._safely("intend", [keys.request(request), keys.posts(request)], *args)
        if reply[0] == b"missing":
            raise NotFound(f"there is no request {request}")
        known = read_post(destination, reply[1]) if reply[0] == b"known" else None
        if acks < self.replicas and (known is None or known.state == "intended"):
            raise NotConfirmed(f"that {request} is about to be posted is on {acks} of {self.replicas} replicas")
        return known

    async def record_post(self, request: str, post: Post, *, unless_posted: bool = False) -> Post | None:
        keys = self._home(request)
        both = [keys.request(request), keys.posts(request)]
        args = (post.destination, post_text(post), "1" if unless_posted else "")
        reply = await self._link.script("post", both, *args)
        if reply[0] == b"missing":
            raise NotFound(f"there is no request {request}")
        return read_post(post.destination, reply[1]) if reply[0] == b"known" else None

    async def keep_rendering(self, digest: str, rendering: bytes) -> None:
        key = self._at_home(digest).shown(digest)
        await self._link.call("SET", key, rendering, "PX", self._renderings)

    async def rendering(self, digest: str) -> bytes | None:
        kept = await self._link.call("GET", self._at_home(digest).shown(digest))
        return bytes(kept) if kept is not None else None

    async def may_post(self, destination: str, per_minute: int, burst: int) -> int:
        key = self._at_home(destination).rate(destination)
        return int(await self._link.script("rate", [key], self.clock_offset, 60_000_000 // per_minute, burst))

    async def hold_posts(self, destination: str, milliseconds: int) -> None:
        key = self._at_home(destination).rate(destination)
        await self._link.script("hold", [key], self.clock_offset, milliseconds)

    async def note(self, record: Mapping[str, Any], *, partition: int = 0) -> int:
        keys = self._keys[partition]
        args = (self.clock_offset, json_text(record), secrets.token_hex(8))
        return int(await self._link.script("note", [keys.meta, keys.journal], *args))

    async def assure(self, partition: int) -> None:
        if not self.replicas:
            return
        _, acks = await self._safely("assure", [self._keys[partition].meta])
        if acks < self.replicas:
            raise NotConfirmed(f"partition {partition} is on {acks} of {self.replicas} replicas")

    async def journal(self, partition: int, after: int = 0) -> AsyncIterator[JournalEntry]:
        while True:
            page = await self._link.call("XRANGE", self._keys[partition].journal, f"({after}-0", "+", "COUNT", _PAGE)
            for id_, fields in page:
                members = dict(zip(fields[::2], fields[1::2], strict=True))
                after = int(id_.split(b"-")[0])
                yield JournalEntry(after, int(members[b"at"]), bytes(members[b"record"]))
            if len(page) < _PAGE:
                return

    async def heard(self, agent: str, patience: int) -> None:
        keys = self._keys[partition_of(agent, self.partitions)]
        await self._link.script("heard", [keys.queue(Queue.SILENT)], self.clock_offset, agent, patience)

    async def gone(self, agent: str, lease: int) -> bool:
        keys = self._keys[partition_of(agent, self.partitions)]
        return bool(await self._link.script("gone", [keys.queue(Queue.SILENT)], self.clock_offset, agent, lease))

    async def adopt(self, digest: str, text: str, record: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        number: Word = ""
        for keys in self._keys:
            all_keys = [keys.meta, keys.policy(digest), keys.journal]
            args = (self.clock_offset, digest, text, json_text(record), number, instead_of or "")
            reply = int(await self._link.script("adopt", all_keys, *args))
            if reply < 0:
                raise EpochChanged((await self.epoch() or ("", ""))[0])
            number = number or reply

    async def tidy(self, *, limit: int) -> int:
        forgotten = 0
        for keys in self._keys:
            due = await self._link.script("due", [keys.ended], self.clock_offset, limit, _TIDY_LEASE)
            forgotten += sum([await self._forget(keys, id_.decode()) for id_ in due])
        return forgotten

    async def _forget(self, keys: Keys, request: str) -> bool:
        stored = await self._load(keys, request)
        own = [keys.request(request), keys.document(request), keys.posts(request)]
        if stored is None:
            own += [keys.decision("", request), keys.ended]
        else:
            gone = stored.request
            lists = [keys.index(name) for name in indices(gone)]
            queues = [keys.queue(queue) for queue in (Queue.TIMERS, Queue.CARDS, Queue.ANNOUNCEMENTS)]
            like = keys.like(likeness(gone.agent, gone.action))
            own += [keys.decision(gone.agent, request), keys.ended, keys.code(gone.code), like, *lists, *queues]
        version: Word = stored.request.version if stored else ""
        return bool(await self._link.script("forget", own, request, version))

    async def mark_exported(self, partition: int, number: int) -> int:
        mark = int(await self._link.script("exported", [self._keys[partition].meta], number))
        if mark < 0:
            raise NotFound(f"the journal of partition {partition} has no entry {number}")
        return mark

    async def trim_journal(self, partition: int, first: int, head: str) -> int:
        keys = self._keys[partition]
        now_first, exported = await self._link.script("trim", [keys.meta, keys.journal], first, head)
        if first > int(exported):
            raise NotExported(int(exported))
        return int(now_first)

    async def trimmed(self, partition: int) -> tuple[int, str] | None:
        first, head = await self._link.call("HMGET", self._keys[partition].meta, "trimmed", "trim_head")
        return (int(first), head.decode()) if first else None

    async def epoch(self) -> tuple[str, str] | None:
        digest = await self._link.call("HGET", self._keys[0].meta, "epoch")
        if digest is None:
            return None
        text = await self._link.call("GET", self._keys[0].policy(digest.decode()))
        if text is None:
            raise StoreUnavailable("the text of the policy in force is missing")
        return digest.decode(), text.decode()

    async def policy_text(self, digest: str) -> str | None:
        """A policy text that was once in force, by its digest."""
        text = await self._link.call("GET", self._keys[0].policy(digest))
        return None if text is None else str(text.decode())

    async def publish_names(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        """Let agents and tools see whether their names are registered. Information only: intake decides."""
        names = {"v": WIRE_VERSION, "agents": sorted(agents), "audiences": sorted(audiences)}
        await self._link.call("SET", NAMES, json_text(names))

    async def keys(self) -> Mapping[str, Mapping[str, Any]]:
        """The public halves (JWK) of the signing keys of this deployment, by key id."""
        flat = await self._link.call("HGETALL", self._keys[0].keys)
        return {kid.decode(): json.loads(jwk) for kid, jwk in zip(flat[::2], flat[1::2], strict=True)}

    async def register_first_key(self, kid: str, public: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
        """Register a key if no other is, with a journal entry; returns whether this key is registered now."""
        home = self._keys[0]
        args = (self.clock_offset, kid, json_text(public), json_text(record))
        return bool(await self._link.script("register_key", [home.keys, home.meta, home.journal], *args))

    async def keep_key(
        self, kid: str, document: Mapping[str, Any], record: Mapping[str, Any], *, known: Mapping[str, Any] | None
    ) -> bool:
        """Register a further key, or what is to be known of one in place of `known`; False where other is registered.

        With a journal entry. `document` is the public JWK, and what its predecessor and it say of each other.
        """
        home = self._keys[0]
        before = await self._link.call("HGET", home.keys, kid)
        if (None if before is None else json.loads(before)) not in (known, document):
            return False
        args = (self.clock_offset, kid, json_text(document), before or "", json_text(record))
        return bool(await self._link.script("keep_key", [home.keys, home.meta, home.journal], *args))

    async def troubles(self) -> Sequence[Trouble]:
        """What was last noticed of each owner of an intake stream, the latest first."""
        found = []
        for keys in self._keys:
            flat = await self._link.call("HGETALL", keys.troubles)
            found += [
                _trouble(owner.decode(), text.decode()) for owner, text in zip(flat[::2], flat[1::2], strict=True)
            ]
        return sorted(found, key=lambda trouble: trouble.at, reverse=True)

    async def dead_letters(self, *, most: int) -> Sequence[DeadLetter]:
        """The entries that were kept aside last, the latest first."""
        found = []
        for keys in self._keys:
            for id_, fields in await self._link.call("XREVRANGE", keys.dead, "+", "-", "COUNT", most):
                found.append(_letter(id_, dict(zip(fields[::2], fields[1::2], strict=True))))
        return sorted(found, key=lambda letter: letter.at, reverse=True)[:most]

    # ---- reading

    async def _load(self, keys: Keys, request: str) -> Stored | None:
        """A request, if there is one."""
        both = [keys.request(request), keys.document(request), keys.posts(request)]
        return _stored(request, *await self._link.script("load", both, self.clock_offset))

    async def _ask(
        self, keys: Keys, request: str, like: str, limits: Limits | None
    ) -> tuple[int, Stored | None, Sequence[str]]:
        """The store's time, a request if there is one, and the newest ids of those with this likeness.

        Takes a turn where there is none. Raises OverLimit.
        """
        rate = keys.rate(f"agent:{limits.agent}" if limits else "")
        all_keys = [keys.request(request), keys.document(request), keys.posts(request), keys.like(like), rate]
        pace: tuple[Word, Word] = (60_000_000 // limits.per_minute, limits.per_minute) if limits else ("", "")
        *found, alike, wait = await self._link.script("ask", all_keys, self.clock_offset, *pace)
        if wait:
            raise OverLimit(int(wait))
        return found[0], _stored(request, *found), [id_.decode() for id_ in alike]

    async def _all(self, ids: Sequence[str]) -> Sequence[Request]:
        """Those of the requests that are still kept."""
        if not ids:
            return ()
        fields = ("doc", "version", "decision_entry")  # doc: where earlier versions kept it
        homes = [(self._home(id_), id_) for id_ in ids]
        # In this order: a document may be newer than the version beside it, never older, so that no stale one is saved.
        facts = [("HMGET", keys.request(id_), *fields) for keys, id_ in homes]
        replies = await self._together([*facts, *(("GET", keys.document(id_)) for keys, id_ in homes)])
        found = zip(ids, replies[: len(ids)], replies[len(ids) :], strict=True)
        return [
            read_request(doc or old, id_, int(version), int(entry) or None)
            for id_, (old, version, entry), doc in found
            if doc or old
        ]

    async def _after(self, query: Query, after: Place, count: int) -> tuple[Sequence[Place], bool]:
        """The next places of the lists that a query names, merged, and whether there are more."""
        agent = query.only_agent
        homes = self._keys if agent is None else [self._keys[partition_of(agent, self.partitions)]]
        lists = [keys.index(name) for keys in homes for name in query.lists()]
        ranges = [_Range(key, after, query.asked_from or 0, count) for key in lists]
        while unread := [one for one in ranges if one.must_read]:
            replies = await self._together([one.command() for one in unread])
            for one, reply in zip(unread, replies, strict=True):
                one.take(reply)
        merged = list(dict.fromkeys(heapq.merge(*(one.places for one in ranges), reverse=True)))
        return merged[:count], len(merged) > count or any(one.has_more for one in ranges)

    async def _scored(self, *words: Word) -> Sequence[tuple[float, str]]:
        """A range of a sorted set as (score, request id)."""
        flat = await self._link.call(*words, "WITHSCORES")
        return [(float(score), id_.decode()) for id_, score in zip(flat[::2], flat[1::2], strict=True)]

    async def _together(self, commands: Sequence[Command]) -> Sequence[Any]:
        replies = await self._link.together(commands)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise StoreUnavailable(f"the memory did not answer: {type(reply).__name__}") from reply
        return replies

    # ---- writing

    async def _commit(
        self, keys: Keys, change: Change, *, known: Stored | None, limits: Limits | None = None
    ) -> Stored | None:
        """Commit a change to what is known; None when the request is no longer that."""
        before, after = indices(known.request) if known else frozenset(), indices(change.request)
        open_ones = open_of(change.request.agent)
        joins = sorted(after - before, key=lambda name: (name != open_ones, name))
        names = _touched(keys, change.request, (*joins, *sorted(before - after)))
        most = limits.open if limits is not None and open_ones in joins else None
        version = known.request.version if known else 0
        args = self._words(change, version=version, joins=len(joins), most_open=most)
        safe = True
        if self.replicas and (change.decides or change.announce):
            wait = {"replicas": self.replicas, "within": self._confirm}
            reply, acks = await self._link.confirmed_script("save", names, *args, **wait)
            safe = acks >= self.replicas
        else:
            reply = await self._link.script("save", names, *args)
        stored = await self._told(keys, change, known, reply)
        if stored is not None and not safe:
            raise NotConfirmed(f"request {change.request.id} is not yet on {self.replicas} replicas")
        return stored

    async def _told(self, keys: Keys, change: Change, known: Stored | None, reply: Sequence[Any]) -> Stored | None:
        """What the reply of a save means."""
        said, now, *rest = reply
        if said == b"saved":
            version, entry = rest
            request = change.request.model_copy(update={"version": version, "decision_entry": entry or None})
            return Stored(request, now, known.posts if known else {})
        if said == b"landed":
            return await self._load(keys, change.request.id)
        if said == b"full":
            raise OverLimit(None)
        if said == b"epoch":
            raise EpochChanged(rest[0].decode())
        if said in (b"early", b"late"):
            raise OutsideWindow(now, too_late=said == b"late")
        return None

    def _words(self, change: Change, *, version: int, joins: int, most_open: int | None) -> Sequence[Word]:
        request = change.request
        due = request.next_due()
        return (
            self.clock_offset,
            request.id,
            version,
            change.epoch,
            change.not_before,
            "" if change.not_after is None else change.not_after,
            secrets.token_hex(8),
            request_text(request),
            json_text(change.record),
            request.asked_at,
            joins,
            "" if due is None else due,
            int(change.show),
            int(change.announce),
            int(change.decides),
            self._retention if request.is_over else "",
            "" if most_open is None else most_open,
        )

    async def _safely(self, name: str, keys: Sequence[str], *args: Word) -> tuple[Any, int]:
        """The reply of a script that writes, and how many replicas have it; those that are wanted are waited for."""
        if not self.replicas:
            return await self._link.script(name, keys, *args), 0
        return await self._link.confirmed_script(name, keys, *args, replicas=self.replicas, within=self._confirm)

    async def _confirmed(self, keys: Keys, request: Request) -> bool:
        """Whether the request still has its version; raises NotConfirmed when the replicas do not have it."""
        reply, acks = await self._safely("confirm", [keys.request(request.id)], request.version)
        if reply and acks < self.replicas:
            raise NotConfirmed(f"request {request.id} is on {acks} of {self.replicas} replicas")
        return bool(reply)

    # ---- where things are

    def _home(self, request: str) -> Keys:
        """The keys of the partition that a request id names; nothing else can exist."""
        try:
            return self._keys[partition_of_request(request)]
        except (ValueError, IndexError):
            raise NotFound("there is no such request") from None

    def _at_home(self, name: str) -> Keys:
        return self._keys[home_of(name, self.partitions)]


def _stored(id_: str, now: int, facts: Sequence[Any], flat: Sequence[bytes]) -> Stored | None:
    """What load.lua and ask.lua say of a request."""
    text, version, entry = facts
    if text is None:
        return None
    names = [name.decode() for name in flat[::2]]
    posts = {name: read_post(name, post) for name, post in zip(names, flat[1::2], strict=True)}
    return Stored(read_request(text, id_, int(version), int(entry) or None), now, posts)


def _letter(id_: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    """A dead letter as it lies in the stream; its type is the sender's, and may be any bytes."""
    owner, entry, reason, kind = (fields[name].decode(errors="replace") for name in _LETTER)
    return DeadLetter(owner, entry, reason, kind, fields[b"body"], int(id_.split(b"-")[0]))


def _trouble(by: str, text: str) -> Trouble:
    """What notice.lua has kept."""
    kind, _, owner = by.partition(":")
    at, what, much = text.split(" ", 2)
    return Trouble(owner, kind == "tool", what, much, int(at))


class _Range:
    """The next places in one list: after `after`, not asked before `since`."""

    def __init__(self, key: str, after: Place, since: int, count: int) -> None:
        self.places: list[Place] = []
        self.must_read = True
        self.has_more = False
        self._key = key
        self._after = after
        self._since = since
        self._count = count

    def command(self) -> Command:
        """Reads as many places as are wanted, from the instant of the cursor on."""
        return (
            *("ZRANGE", self._key, self._after[0], self._since, "BYSCORE", "REV"),
            *("LIMIT", 0, self._count, "WITHSCORES"),
        )

    def take(self, reply: Sequence[bytes]) -> None:
        """Leave out what stood before the cursor; if nothing else was asked at that instant, more has to be read."""
        read = [(int(score), id_.decode()) for id_, score in zip(reply[::2], reply[1::2], strict=True)]
        self.places = [place for place in read if place < self._after]
        self.has_more = len(read) == self._count
        self.must_read = self.has_more and not self.places
        self._count *= 2


def _beginning(query: Query, cursor: str) -> Place:
    """The place after which a list is read: that of the cursor, or one beyond all that are wanted."""
    return position(cursor) if cursor else (query.asked_before or _FOREVER, "")


def _touched(keys: Keys, request: Request, names: Sequence[str]) -> list[str]:
    """The keys of save.lua, in its order; `names` are the lists to be changed."""
    return [
        keys.request(request.id),
        keys.posts(request.id),
        keys.meta,
        keys.journal,
        *(keys.queue(queue) for queue in (Queue.TIMERS, Queue.CARDS, Queue.ANNOUNCEMENTS)),
        keys.code(request.code),
        keys.like(likeness(request.agent, request.action)),
        keys.document(request.id),
        keys.ended,
        *(keys.index(name) for name in names),
    ]
