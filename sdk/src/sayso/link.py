"""The line to the bot: append an entry, read answers, look at a decision. Redis is one, `sayso.testing` has another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import RedisError

from sayso.errors import InvalidRequest, Unavailable
from sayso.wire import CONFIG_KEY, NAMES_KEY

_BATCH = 500


class Entry(NamedTuple):
    """One entry of a stream: its id ("<ms>-<n>", by the server's clock), its type and its body."""

    id: str
    type: str
    body: bytes


class Link(Protocol):
    """What the SDK needs of Redis. Every method raises Unavailable when it cannot be done."""

    async def config(self) -> tuple[bytes | None, bytes | None]:
        """What stands under `sayso:config` and `sayso:names`."""

    async def append(self, stream: str, kind: str, body: bytes) -> str:
        """Append an entry and return its id. After a failure it may be there once, more than once or not at all."""

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        """What stands under each key."""

    async def last_id(self, stream: str) -> str:
        """The id of the newest entry, "0-0" when there is none."""

    async def read(self, stream: str, after: str) -> list[Entry]:
        """Wait for entries after the id `after`; an empty list when none came for a while."""

    async def aclose(self) -> None:
        """Give the connections back."""


class RedisLink:
    """A Link over redis-py: a few shared connections for commands, and one of its own for each blocking read."""

    def __init__(self, url: str, *, block: float, connections: int = 2) -> None:
        self._block = block
        try:
            self._commands = _commands(url, connections)
            self._reads = _reads(url, block)
        except ValueError as exc:  # redis-py's word for a scheme it does not know
            raise InvalidRequest(str(exc), field="url", remedy="pass redis://, rediss:// or unix://") from exc

    async def config(self) -> tuple[bytes | None, bytes | None]:
        """See Link."""
        (config,) = await self.documents([CONFIG_KEY])
        try:
            (names,) = await self.documents([NAMES_KEY])
        except Unavailable:  # rights that were given before there was such a key; the names are only a courtesy
            names = None
        return config, names

    async def append(self, stream: str, kind: str, body: bytes) -> str:
        """See Link."""
        with _unavailable("append"):
            entry: Any = await self._commands.xadd(stream, {"type": kind, "body": body})
            return str(entry.decode())

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        """See Link."""
        found: list[bytes | None] = []
        with _unavailable("read a decision"):
            for start in range(0, len(keys), _BATCH):
                pipeline = self._commands.pipeline(transaction=False)
                for key in keys[start : start + _BATCH]:
                    pipeline.get(key)
                found += await pipeline.execute()
        return found

    async def last_id(self, stream: str) -> str:
        """See Link."""
        with _unavailable("look at the out stream"):
            newest: Any = await self._commands.xrevrange(stream, "+", "-", count=1)
            return str(newest[0][0].decode()) if newest else "0-0"

    async def read(self, stream: str, after: str) -> list[Entry]:
        """See Link."""
        with _unavailable("read the out stream"):
            # With protocol 2 the answer is [] or [[stream, [(id, fields), …]]].
            found: Any = await self._reads.xread({stream: after}, count=1_000, block=max(1, int(self._block * 1000)))
            return [_entry(entry_id, fields) for _, entries in found for entry_id, fields in entries]

    async def aclose(self) -> None:
        """See Link."""
        await self._commands.aclose()
        await self._reads.aclose()


def _commands(url: str, connections: int) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=None,
        protocol=2,
        socket_timeout=5,
        socket_connect_timeout=5,
        retry=Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), 2),
    )
    return Redis.from_pool(pool)


def _reads(url: str, block: float) -> Redis:
    # The socket may stay silent for a whole block: redis-py's default of 5 s would cut long blocks off and send them
    # again, behind our back. A peer that vanished is still noticed.
    pool = ConnectionPool.from_url(
        url, protocol=2, socket_timeout=block + 5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    return Redis.from_pool(pool)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(entry_id.decode(), fields.get(b"type", b"").decode(errors="replace"), fields.get(b"body", b""))


@contextmanager
def _unavailable(doing: str) -> Iterator[Any]:
    try:
        yield
    # redis-py leaks AttributeError and TypeError while a failover is under way (redis-py issue 4287).
    except (RedisError, OSError, AttributeError, TypeError) as exc:
        raise Unavailable(f"Redis: cannot {doing}: {exc}") from exc
