"""The line to the bot: append an entry, read answers, look at a decision. Redis is one, `sayso.testing` has another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, Protocol

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)

from sayso.errors import Unavailable
from sayso.redis_url import Shape, Target, read_url
from sayso.wire import CONFIG_KEY, NAMES_KEY

_BATCH = 500

#: What redis-py lets out when a command cannot be done. The last four leak while a failover is under way: a writer
#: that is gone (redis-py issue 4287), a cluster without masters, an event loop's transport that is closing.
_FAILURES = (RedisError, RedisClusterException, OSError, AttributeError, TypeError, LookupError, RuntimeError)


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
        self._free = asyncio.Semaphore(connections)
        self._lines = _LINES[(target := read_url(url)).shape](target, block)

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
        async with self._commands("append") as commands:
            entry = await commands.xadd(stream, {"type": kind, "body": body})
            return str(entry.decode())

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        """See Link."""
        found: list[bytes | None] = []
        async with self._commands("read a decision") as commands:
            for start in range(0, len(keys), _BATCH):
                pipeline = commands.pipeline(transaction=False)
                for key in keys[start : start + _BATCH]:
                    pipeline.get(key)
                found += await pipeline.execute()
        return found

    async def last_id(self, stream: str) -> str:
        """See Link."""
        async with self._commands("look at the out stream") as commands:
            newest = await commands.xrevrange(stream, "+", "-", count=1)
            return str(newest[0][0].decode()) if newest else "0-0"

    async def read(self, stream: str, after: str) -> list[Entry]:
        """See Link."""
        words = ("XREAD", "COUNT", 1_000, "BLOCK", max(1, int(self._block * 1000)), "STREAMS", stream, after)
        with _unavailable("read the out stream"):
            # With protocol 2 the answer is [] or [[stream, [(id, fields), …]]].
            found = await self._lines.blocking(words)
            return [_entry(entry_id, fields) for _, entries in found for entry_id, fields in entries]

    async def aclose(self) -> None:
        """See Link."""
        await self._lines.aclose()

    @asynccontextmanager
    async def _commands(self, doing: str) -> AsyncIterator[Any]:
        """The client for commands, when one of the few connections is free."""
        async with self._free:
            with _unavailable(doing):
                yield await self._lines.commands()


class _Server:
    """Lines to one server."""

    def __init__(self, target: Target, block: float) -> None:
        options = dict(target.options)
        self._commands: Any = Redis.from_pool(ConnectionPool(**(_for_commands() | options)))
        self._reads: Any = Redis.from_pool(ConnectionPool(**(options | _for_reads(block))))

    async def commands(self) -> Any:
        """The client for all but blocking commands."""
        return self._commands

    async def blocking(self, words: Sequence[Any]) -> Any:
        """One blocking command."""
        return await self._reads.execute_command(*words)

    async def aclose(self) -> None:
        """Hang up; what is lost already is no matter."""
        await asyncio.gather(self._commands.aclose(), self._reads.aclose(), return_exceptions=True)


_Sentinels: Any = Sentinel  # redis-py leaves its constructor untyped


class _Sentinel(_Server):
    """Lines to the master that the Sentinels name; after a failover, each new connection goes to the new one."""

    def __init__(self, target: Target, block: float) -> None:
        options = dict(target.options)
        soon = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        self._sentinel: Any = _Sentinels(target.nodes, sentinel_kwargs=dict(target.sentinel or {}) | soon)
        self._commands = self._sentinel.master_for(target.service, **(_for_commands() | options))
        self._reads = self._sentinel.master_for(target.service, **(options | _for_reads(block)))

    async def aclose(self) -> None:
        """Hang up; what is lost already is no matter."""
        await super().aclose()
        await asyncio.gather(self._sentinel.aclose(), return_exceptions=True)


class _Cluster:
    """Lines to a Cluster; all keys of one party are on one node, wherever that is just now."""

    def __init__(self, target: Target, block: float) -> None:
        options = dict(target.options)
        self._commands = _cluster(target, _for_commands() | options)
        self._reads = _cluster(target, options | _for_reads(block))

    async def commands(self) -> Any:
        """The client for all but blocking commands."""
        return await self._commands.initialize()

    async def blocking(self, words: Sequence[Any]) -> Any:
        """One blocking command."""
        await self._reads.initialize()
        return await self._reads.execute_command(*words)

    async def aclose(self) -> None:
        """Hang up; what is lost already is no matter."""
        for client in (self._commands, self._reads):
            # By itself, a client that waits to find out the cluster's new shape takes itself for closed.
            nodes = client.nodes_manager
            await asyncio.gather(client.aclose(), nodes.aclose(), nodes.aclose("startup_nodes"), return_exceptions=True)


_LINES: dict[Shape, type[_Server] | type[_Cluster]] = {"server": _Server, "sentinel": _Sentinel, "cluster": _Cluster}


def _cluster(target: Target, options: dict[str, Any]) -> Any:
    nodes = [ClusterNode(host, port) for host, port in target.nodes]
    client: Any = RedisCluster(startup_nodes=nodes, **options)
    client.commands_parser = _OurKeys()
    return client


class _OurKeys:
    """Where the key stands in the commands we send: redis-py would ask the server, which agents need not be allowed."""

    async def initialize(self, node: object) -> None:
        """There is nothing to ask."""

    async def get_keys(self, command: str, *words: Any) -> list[Any]:
        """The key of one command."""
        return [words[-2] if command == "XREAD" else words[0]]


def _for_commands() -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "retry": Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), 2),
        "retry_on_error": [ReadOnlyError],  # the master became a replica: look for the new one
    }


def _for_reads(block: float) -> dict[str, Any]:
    # The socket may stay silent for a whole block: redis-py's default of 5 s would cut long blocks off and send them
    # again, behind our back. A peer that vanished is still noticed.
    return {"protocol": 2, "socket_timeout": block + 5, "socket_connect_timeout": 5, "retry": Retry(NoBackoff(), 0)}


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(entry_id.decode(), fields.get(b"type", b"").decode(errors="replace"), fields.get(b"body", b""))


@contextmanager
def _unavailable(doing: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as exc:
        lasting = isinstance(exc, AuthenticationError | NoPermissionError)
        raise Unavailable(f"Redis: cannot {doing}: {exc}", lasting=lasting) from exc
