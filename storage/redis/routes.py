"""Which server to talk to: the one of the URL, the master that the sentinels name, or the master of a slot."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LineLost
from redis.exceptions import TimeoutError as NoReply

from storage.redis.address import Address, Place
from storage.redis.lines import Lines

Opener = Callable[[Mapping[str, Any], int], Lines]

#: What redis-py lets out when it loses a connection; the last three leak during a failover (redis-py #4287).
_LOST: Final = (LineLost, NoReply, OSError, AttributeError, TypeError, RuntimeError)
#: What a server answers while somebody else is, or is about to be, the master of what was asked for.
_ELSEWHERE: Final = (MovedError, AskError, TryAgainError, ClusterDownError, MasterDownError, ReadOnlyError)

ASK_WITHIN: Final = 1.0  #: seconds for asking who the master is
ASK_EVERY: Final = 1.0  #: seconds after which the sentinels are asked again, even when all seems well


def is_about_place(problem: object) -> bool:
    """Whether trying again, perhaps elsewhere, can help."""
    return isinstance(problem, (*_LOST, *_ELSEWHERE))


class Route(Protocol):
    """Where commands go. `patience` is for how many seconds a command is tried again when its server is lost."""

    patience: float

    def slot(self, key: str | bytes | None) -> int | None:
        """What keys must have in common to be sent together; None where that is no question."""
        ...

    async def client(self, slot: int | None) -> Lines:
        """The server for a slot, or any master."""
        ...

    async def clients(self) -> Sequence[Lines]:
        """Every master."""
        ...

    async def asked(self, problem: AskError) -> Lines:
        """The server to which a slot is just being moved."""
        ...

    async def learn(self, problem: BaseException, slot: int | None) -> None:
        """Find out anew where things are."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def route_to(address: Address, *, timeout: float, connections: int, retries: int, patience: float) -> Route:
    """The route to an address; nothing is sent yet."""

    def opener(retries: int, *again_on: type[Exception]) -> Opener:
        return lambda options, connections: Lines(
            options, timeout=timeout, connections=connections, retries=retries, again_on=again_on
        )

    if address.kind == "direct":
        # A name may lead to another server by now: a master that became a replica is looked up anew.
        return Direct(opener(retries, ReadOnlyError)(address.options, connections))
    if address.kind == "sentinel":
        return BySentinel(address, opener(0), connections=connections, patience=patience)
    return ByCluster(address, opener(0), connections=connections, patience=patience)


class Direct:
    """One server, for everything."""

    patience = 0.0  # its lines try again by themselves

    def __init__(self, client: Lines) -> None:
        self._client = client

    def slot(self, key: str | bytes | None) -> int | None:
        return None

    async def client(self, slot: int | None) -> Lines:
        return self._client

    async def clients(self) -> Sequence[Lines]:
        return (self._client,)

    async def asked(self, problem: AskError) -> Lines:
        raise problem

    async def learn(self, problem: BaseException, slot: int | None) -> None:
        """There is nobody else to go to."""

    async def aclose(self) -> None:
        await self._client.aclose()


class _Clients:
    """A client for each place, made when first needed, closed when the place is no longer in use."""

    def __init__(self, options: Mapping[str, Any], open_client: Opener, connections: int) -> None:
        self._options = options
        self._open = open_client
        self._connections = connections
        self._known: dict[Place, Lines] = {}

    def at(self, place: Place) -> Lines:
        if place not in self._known:
            host, port = place
            self._known[place] = self._open({**self._options, "host": host, "port": port}, self._connections)
        return self._known[place]

    async def keep_only(self, places: set[Place]) -> None:
        """Hang up on all others: a master that was replaced must not be told anything more."""
        for place in set(self._known) - places:
            await self._known.pop(place).aclose()


class _Finder:
    """Looks for the way at most once at a time; whoever comes meanwhile gets what is found."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self._look = look
        self._looking: asyncio.Task[Any] | None = None
        self.at = 0.0  #: when it was last looked

    def begin(self) -> asyncio.Task[Any]:
        """Look, without waiting."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._found())
            self._looking.add_done_callback(_taken_note_of)
        return self._looking

    async def __call__(self) -> None:
        await asyncio.shield(self.begin())  # who loses patience must not take the answer from the others

    async def aclose(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _found(self) -> None:
        try:
            await self._look()
        finally:
            self.at = time.monotonic()


def _taken_note_of(task: asyncio.Task[Any]) -> None:
    """A search that nobody waited for may fail: the next command will look again, and tell."""
    if not task.cancelled():
        task.exception()


class BySentinel:
    """The master that most of the sentinels name, and that says so itself."""

    def __init__(self, address: Address, open_client: Opener, *, connections: int, patience: float) -> None:
        self.patience = patience
        self._service = address.service
        self._clients = _Clients(address.options, open_client, connections)
        self._sentinels = [
            open_client({**address.asking, "host": host, "port": port}, 2) for host, port in address.places
        ]
        self._master: Place | None = None
        self._find = _Finder(self._look)

    def slot(self, key: str | bytes | None) -> int | None:
        return None

    async def client(self, slot: int | None) -> Lines:
        if self._master is None:
            await self._find()
        elif time.monotonic() - self._find.at > ASK_EVERY:
            self._find.begin()  # a master that was replaced by hand goes on taking writes for seconds (redis #6062)
        if self._master is None:
            raise LineLost("no sentinel names a master")
        return self._clients.at(self._master)

    async def clients(self) -> Sequence[Lines]:
        return (await self.client(None),)

    async def asked(self, problem: AskError) -> Lines:
        raise problem

    async def learn(self, problem: BaseException, slot: int | None) -> None:
        await self._find()

    async def aclose(self) -> None:
        await self._find.aclose()
        await self._clients.keep_only(set())
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _look(self) -> None:
        named = await asyncio.gather(*(self._named_by(sentinel) for sentinel in self._sentinels))
        votes = Counter(place for place in named if place is not None)
        for place, _ in votes.most_common():
            if await self._is_master(place):
                self._master = place
                await self._clients.keep_only({place})
                return
        if not votes:
            raise LineLost(f"none of {len(self._sentinels)} sentinels names a master of {self._service!r}")
        raise LineLost("the master that the sentinels name does not answer as one")

    async def _named_by(self, sentinel: Any) -> Place | None:
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        with suppress(*_LOST):
            async with asyncio.timeout(ASK_WITHIN):
                (found,) = await sentinel.send([words])
                return (found[0].decode(), int(found[1])) if isinstance(found, list) else None
        return None

    async def _is_master(self, place: Place) -> bool:
        try:
            async with asyncio.timeout(ASK_WITHIN):
                (told,) = await self._clients.at(place).send([("INFO", "replication")])
        except _LOST:
            return False
        return isinstance(told, ResponseError) or b"role:master" in told  # +info is refused: believe the sentinels


class ByCluster:
    """The master of each slot, as the cluster's nodes tell it, kept right by what they refuse."""

    def __init__(self, address: Address, open_client: Opener, *, connections: int, patience: float) -> None:
        self.patience = patience
        self._seeds = address.places
        self._clients = _Clients(address.options, open_client, connections)
        self._ranges: list[tuple[int, int, Place]] = []
        self._moved: dict[int, Place] = {}  #: what nodes told us since the ranges were read
        self._silent: Place | None = None  #: the node that did not answer, to be asked last
        self._find = _Finder(self._look)

    def slot(self, key: str | bytes | None) -> int | None:
        if key is None:
            return None
        return int(key_slot(key.encode() if isinstance(key, str) else key))

    async def client(self, slot: int | None) -> Lines:
        if not self._ranges:
            await self._find()
        return self._clients.at(self._place(slot))

    async def clients(self) -> Sequence[Lines]:
        if not self._ranges:
            await self._find()
        return [self._clients.at(place) for place in sorted({place for _, _, place in self._ranges})]

    async def asked(self, problem: AskError) -> Lines:
        return self._clients.at((problem.host or self._seeds[0][0], problem.port))

    async def learn(self, problem: BaseException, slot: int | None) -> None:
        if isinstance(problem, MovedError) and problem.host and slot is not None:
            self._moved[slot] = (problem.host, problem.port)
            return
        if not isinstance(problem, (AskError, TryAgainError)):
            self._silent = self._place(slot) if self._ranges and isinstance(problem, _LOST) else None
            await self._find()

    async def aclose(self) -> None:
        await self._find.aclose()
        await self._clients.keep_only(set())

    def _place(self, slot: int | None) -> Place:
        if slot is None:
            return self._ranges[0][2]
        if slot in self._moved:
            return self._moved[slot]
        for first, last, place in self._ranges:
            if first <= slot <= last:
                return place
        raise ClusterDownError("no node serves this slot")

    async def _look(self) -> None:
        """Ask every node that is known; the first sound answer counts, and what is wrong in it a node will refuse."""
        known = dict.fromkeys([place for _, _, place in self._ranges] + list(self._seeds))
        candidates = [place for place in known if place != self._silent] or list(known)
        asking = [asyncio.create_task(self._told_by(place)) for place in candidates]
        try:
            async with asyncio.timeout(ASK_WITHIN):
                for told in asyncio.as_completed(asking):
                    if ranges := await told:
                        self._ranges, self._moved = ranges, {}
                        break
                else:
                    raise LineLost("no node of the cluster tells who serves what")
        except TimeoutError:
            raise LineLost("no node of the cluster told in time who serves what") from None
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        await self._clients.keep_only({place for _, _, place in self._ranges} | set(self._seeds))

    async def _told_by(self, place: Place) -> list[tuple[int, int, Place]]:
        try:
            (told,) = await self._clients.at(place).send([("CLUSTER", "SLOTS")])
        except _LOST:
            return []
        if isinstance(told, Exception):
            return []
        return [(first, last, _node(master, place)) for first, last, master, *_ in told]


def _node(master: Sequence[Any], asked: Place) -> Place:
    """Where a master is; one that does not know its own name has the one we used."""
    host = (master[0] or b"").decode()
    return (host if host not in ("", "?") else asked[0], int(master[1]))
