"""The intake streams in Redis: one for each agent and each tool, so that each can only harm its own."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

from redis.exceptions import ResponseError

from approvals.action import partition_of
from approvals.errors import StoreUnavailable
from approvals.ports import Answer, Entry, Trouble
from storage.documents import json_text
from storage.redis.keys import GROUP, Keys, intake_keys
from storage.redis.link import Command, Link, Word

_STREAM_GONE: Final = frozenset({"NOGROUP", "WRONGTYPE", "UNBLOCKED"})  #: somebody removed or replaced a stream
_GRACE: Final = 3.0  #: seconds beyond the wait after which a reader's server counts as lost
TOO_MANY: Final = 10_000  #: entries in one intake stream
KEPT_ASIDE: Final = 1_000  #: about how many dead letters are kept
OUT_KEPT: Final = 7 * 86_400_000  #: ms for which an out stream is kept after its last entry
_LETTER: Final = 4_096  #: bytes of a dead letter's body that are kept
LONGEST_BLOCK: Final = 10_000  #: ms; a longer wait on one command could not be told from a dead connection


#: Streams of one command. A read that waits on thousands costs the server a millisecond for each entry that comes.
_TOGETHER: Final = 250
_READS: Final = 40  #: at once, beyond one for each partition

_Thing = TypeVar("_Thing")


class RedisInbox:
    """An Inbox over the streams of docs/reference/redis-contract.md. One task takes; any may answer."""

    def __init__(
        self,
        link: Link,
        url: str,
        *,
        partitions: int,
        consumer: str | None,
        kept: int,
        clock_offset: Callable[[], int] = lambda: 0,
    ) -> None:
        self.consumer = consumer or f"bot-{secrets.token_hex(6)}"
        self._link = link
        # Its own connection: a blocked reader must not hold up anything else, and must outlast the usual time-out.
        self._reader = Link.to(url, timeout=LONGEST_BLOCK / 1000 + 5, connections=partitions + _READS, retries=0)
        self._partitions = partitions
        self._kept = kept
        self._clock_offset = clock_offset
        self._streams: dict[str, tuple[str, bool]] = {}
        self._ready: dict[str, tuple[str, bool]] = {}  #: those of the streams that can be read
        self._portions: list[Sequence[str]] = []  #: the same, as they are read together
        self._taken: deque[Entry] = deque()
        self._turn = 0  #: which streams are inspected next
        self._reads: dict[str, asyncio.Task[list[Entry]]] = {}  #: by the first of their streams

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the reader's connections. Entries taken and not answered are handed out again by `reclaim`."""
        for read in self._reads.values():
            read.cancel()
        await asyncio.gather(*self._reads.values(), return_exceptions=True)
        await self._reader.aclose()

    async def watch(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        self._streams = intake_keys(tuple(agents), tuple(audiences), self._partitions)
        await self._prepare()

    async def take(self, *, limit: int, block: int) -> Sequence[Entry]:
        if not self._taken:
            self._taken.extend(await self._read(limit, block))
        return [self._taken.popleft() for _ in range(min(limit, len(self._taken)))]

    async def reclaim(self, *, idle: int, limit: int) -> Sequence[Entry]:
        await self._prepare()  # also brings back streams that were unusable when last looked at
        owners = self._ready
        found: list[Entry] = []
        for stream in await self._with_pending(list(owners)):
            if len(found) >= limit:
                break
            claimed = await self._claim(stream, idle, limit - len(found))
            found += [self._entry(stream, *owners[stream], id_, fields, times) for id_, times, fields in claimed]
        return found

    async def inspect(self, *, limit: int) -> Sequence[Trouble]:
        streams = sorted(self._streams)
        turn = [streams[(self._turn + step) % len(streams)] for step in range(min(limit, len(streams)))]
        self._turn += len(turn)
        commands = [self._link.words("inspect", [stream], GROUP, TOO_MANY) for stream in turn]
        found = zip(turn, await self._in_portions(commands), strict=True)
        troubles = [self._trouble(stream, reply) for stream, reply in found if isinstance(reply, list) and reply[0]]
        return [trouble for keys, trouble in troubles if await self._is_new(keys, trouble)]

    def _trouble(self, stream: str, reply: Sequence[Any]) -> tuple[Keys, Trouble]:
        owner, tool = self._streams[stream]
        what, much = reply
        text = much.decode() if isinstance(much, bytes) else str(much)
        return Keys(self._partition(stream, owner, tool)), Trouble(owner, tool, what.decode(), text)

    async def _is_new(self, keys: Keys, trouble: Trouble) -> bool:
        """Whether nobody noticed it before; then it stands in the journal."""
        record = {"v": 1, "event": f"stream_{trouble.what}", "by": by_owner(trouble.owner, trouble.tool)}
        args = (self._clock_offset(), by_owner(trouble.owner, trouble.tool), f"{trouble.what} {trouble.much}")
        all_keys = [keys.meta, keys.journal, keys.troubles]
        return bool(await self._link.script("notice", all_keys, *args, json_text({**record, "much": trouble.much})))

    async def answer(self, entry: Entry, *answers: Answer, dead_letter: str | None = None) -> None:
        keys = Keys(entry.partition)
        words = [word for answer in answers for word in (answer.type, json_text(answer.body))]
        await self._link.script(
            "answer",
            [keys.intake(entry.owner, tool=entry.tool), keys.out(entry.owner, tool=entry.tool), keys.dead],
            GROUP,
            entry.id,
            self._kept,
            dead_letter or "",
            entry.owner,
            (entry.type or "")[:100],
            (entry.body or b"")[:_LETTER],
            KEPT_ASIDE,
            OUT_KEPT,
            *words,
        )

    async def _read(self, limit: int, block: int) -> list[Entry]:
        """What is new on the streams; COUNT is for each of them, so that a busy one leaves room for the others."""
        if not self._ready:
            await self._prepare()
        if not self._ready:
            await asyncio.sleep(block / 1000)
            return []
        each = max(1, limit // len(self._ready))
        if len(self._portions) == 1:
            return await self._read_some(self._portions[0], each, block)
        for streams in self._portions:
            if streams[0] not in self._reads:
                self._reads[streams[0]] = asyncio.create_task(self._read_some(streams, each, block))
        return await self._first_found()

    async def _first_found(self) -> list[Entry]:
        """What the first reads found that ended; the others go on, and the next call looks at them.

        In a Cluster one read cannot span two slots, and no read names too many streams. Where one fails, others go on.
        """
        problem: StoreUnavailable | None = None
        while self._reads:
            await asyncio.wait(self._reads.values(), return_when=asyncio.FIRST_COMPLETED)
            found, ended = [], [name for name, read in self._reads.items() if read.done()]
            reads = [self._reads.pop(name) for name in ended]
            for read in reads:
                try:
                    found.append(read.result())
                except StoreUnavailable as exc:
                    problem = exc
            if found:
                return [entry for entries in found for entry in entries]
        if problem is not None:
            raise problem
        return []

    async def _read_some(self, streams: Sequence[str], each: int, block: int) -> list[Entry]:
        """What is new on streams that one command may name together."""
        owners = self._ready
        wait = max(1, min(block, LONGEST_BLOCK))  # 0 would mean forever
        command: list[Word] = ["XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", each, "BLOCK", wait, "STREAMS"]
        try:
            command += [*streams, *(">" for _ in streams)]
            reply, now = await self._reader.timed(*command, within=wait / 1000 + _GRACE)
        except StoreUnavailable as exc:
            if _code(exc.__cause__) not in _STREAM_GONE:
                raise
            await self._prepare()
            return []
        return [
            self._entry(stream.decode(), *owners[stream.decode()], id_, fields, at=now + self._clock_offset())
            for stream, entries in reply or ()
            for id_, fields in entries
        ]

    async def _prepare(self) -> None:
        """Make the group on every stream; a stream that is none (any more) is left out until it is one again."""
        streams = self._streams
        commands = [("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM") for stream in streams]
        replies = await self._in_portions(commands)
        pairs = zip(streams.items(), replies, strict=True)
        self._ready = {stream: owner for (stream, owner), reply in pairs if _usable(reply)}
        groups = self._reader.groups(sorted(self._ready))
        self._portions = [part for group in groups for part in _portions(group, self._most_together(len(streams)))]

    async def _with_pending(self, streams: Sequence[str]) -> Sequence[str]:
        """The streams with entries taken and not answered yet; in random order, so that none is always last."""
        replies = await self._in_portions([("XPENDING", stream, GROUP) for stream in streams])
        pending = [
            stream for stream, reply in zip(streams, replies, strict=True) if isinstance(reply, list) and reply[0]
        ]
        return random.sample(pending, len(pending))

    async def _in_portions(self, commands: Sequence[Command]) -> list[Any]:
        """Replies to many commands that nobody is in a hurry for: others have their turn in between."""
        return [reply for part in _portions(commands, _TOGETHER) for reply in await self._link.together(part)]

    def _most_together(self, streams: int) -> int:
        """How many streams one read may name, so that the reads have connections enough."""
        return max(_TOGETHER, -(-streams // _READS))

    def _partition(self, stream: str, owner: str, tool: bool) -> int:
        return int(stream[len("{sayso:") : stream.index("}")]) if tool else partition_of(owner, self._partitions)

    async def _claim(self, stream: str, idle: int, limit: int) -> Sequence[Any]:
        try:
            return list(await self._link.script("reclaim", [stream], GROUP, self.consumer, idle, limit))
        except StoreUnavailable as exc:
            if _code(exc.__cause__) not in _STREAM_GONE:
                raise
            return ()  # the next call prepares it again

    def _entry(
        self,
        stream: str,
        owner: str,
        tool: bool,
        id_: bytes,
        fields: Sequence[bytes],
        deliveries: int = 1,
        at: int | None = None,
    ) -> Entry:
        type_, body = _shape(fields)
        return Entry(self._partition(stream, owner, tool), owner, tool, id_.decode(), type_, body, deliveries, at)


def by_owner(owner: str, tool: bool) -> str:
    """How the journal names the owner of a stream."""
    return f"tool:{owner}" if tool else f"agent:{owner}"


def _portions(things: Sequence[_Thing], size: int) -> list[Sequence[_Thing]]:
    """The things in order, so many at a time."""
    return [things[start : start + size] for start in range(0, len(things), size)]


def _usable(reply: Any) -> bool:
    return reply == b"OK" or _code(reply) == "BUSYGROUP"


def _code(error: object) -> str:
    """The code of an error reply: its first word (the protocol's own way to tell errors apart)."""
    return str(error).split(" ")[0] if isinstance(error, ResponseError) else ""


def _shape(fields: Sequence[bytes]) -> tuple[str | None, bytes | None]:
    """Type and body of an entry that has exactly these two fields; whatever else lies there has neither."""
    members = dict(zip(fields[::2], fields[1::2], strict=True))
    if len(fields) != 4 or members.keys() != {b"type", b"body"}:
        return None, None
    try:
        return members[b"type"].decode("utf-8"), members[b"body"]
    except UnicodeDecodeError:
        return None, members[b"body"]
