"""A server for one row, and what it says of itself."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import redis.asyncio as redis

from benchmarks.house import keys_in
from storage.embedded import EmbeddedServer


@dataclass(frozen=True)
class Place:
    """A fresh server with `appendfsync always`, and a folder with the bot's key."""

    url: str
    folder: Path

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return int(self.url.rpartition(":")[2].partition("/")[0])

    @property
    def password(self) -> str:
        """What it demands."""
        return self.url.removeprefix("redis://:").partition("@")[0]


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    """A server of this row's own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sayso-bench-") as name:
        folder = Path(name)
        keys_in(folder)
        async with EmbeddedServer(folder / "redis") as server:
            yield Place(server.url, folder)


class Gauge:
    """INFO of a server, over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url, protocol=2, decode_responses=True, encoding_errors="replace")

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def memory(self) -> int:
        """Bytes of data: all that is allocated but the connections' and the append-only file's buffers."""
        facts = await self._client.info("memory")
        return int(facts["used_memory"]) - int(facts["mem_clients_normal"]) - int(facts["mem_aof_buffer"])

    async def begin(self) -> None:
        """Have the server note how long it works on each command from now on (SLOWLOG with a threshold of 0)."""
        await self._client.config_set("slowlog-max-len", 100_000)
        await self._client.config_set("slowlog-log-slower-than", 0)
        await self._client.slowlog_reset()

    async def microseconds(self, operations: int) -> float:
        """What it has worked since `begin` for one of so many operations: of each command the median, so many times.

        The mean would hold what other processes took from the server meanwhile. A script counts for its commands.
        """
        await self._client.config_set("slowlog-log-slower-than", -1)
        noted = await self._client.execute_command("SLOWLOG", "GET", "-1")
        took: dict[tuple[str, str], list[int]] = {}
        for _, _, duration, words, *_ in noted:
            name = words[0].upper()
            if name not in ("CONFIG", "SLOWLOG"):
                took.setdefault((name, words[1] if name == "EVALSHA" else ""), []).append(int(duration))
        return sum(median(times) * len(times) for times in took.values()) / operations

    async def size(self, key: str) -> int:
        """Bytes of one key (MEMORY USAGE)."""
        return int(await self._client.memory_usage(key, samples=0) or 0)

    async def keys(self, pattern: str) -> list[str]:
        """The names that match."""
        return [key async for key in self._client.scan_iter(pattern, count=10_000)]
