"""The line to one Redis or Valkey server: commands and scripts in, raw replies out, failures in the rules' words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from approvals.errors import StoreUnavailable

Word: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Word]

#: What redis-py lets out when it loses a connection; the last three leak during a failover (redis-py #4287).
_FAILURES = (RedisError, OSError, AttributeError, TypeError, RuntimeError)


@contextmanager
def reaching() -> Iterator[None]:
    """Turn whatever the driver raises into StoreUnavailable. Wrap the driver's call alone, never a caller's code."""
    try:
        yield
    except _FAILURES as exc:
        raise StoreUnavailable(f"the memory did not answer: {type(exc).__name__}") from exc


@cache
def scripts() -> Mapping[str, tuple[str, str]]:
    """Every script of lua/ by its name: its SHA-1 and its source."""
    sources = {path.stem: path.read_text("utf-8") for path in (Path(__file__).parent / "lua").glob("*.lua")}
    return {
        name: (hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), source)
        for name, source in sources.items()
    }


class Link:
    """A pool of connections. Replies are as they came: bytes, integers, lists, None.

    A command is sent again when its answer is lost, so everything that is sent must bear being sent twice.
    """

    def __init__(self, client: Redis) -> None:
        client.response_callbacks.clear()
        self._client: Any = client  # redis-py leaves execute_command untyped

    @classmethod
    def to(cls, url: str, *, timeout: float = 2.0, connections: int = 32, retries: int = 2) -> Self:
        """A line to `url` (redis://, rediss:// or unix://); nothing is sent yet.

        `timeout` (seconds) is for one attempt at one command, and for waiting for a free connection. Raises
        StoreUnavailable for what is no such URL.
        """
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                protocol=2,
                max_connections=connections,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.01), retries),
                retry_on_error=[ReadOnlyError],  # the master became a replica: look for the new one
            )
        except ValueError:  # its text may quote a part of the URL, and that may be the password
            raise StoreUnavailable("this is no URL of a Redis: redis://, rediss:// or unix:// is wanted") from None
        return cls(Redis.from_pool(pool))

    async def call(self, *words: Word) -> Any:
        """One command."""
        with reaching():
            return await self._client.execute_command(*words)

    async def together(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands in one round trip on one connection; what one is refused stands in its place."""
        if not commands:
            return []
        with reaching():
            pipeline = self._client.pipeline(transaction=False)
            for words in commands:
                pipeline.execute_command(*words)
            return list(await pipeline.execute(raise_on_error=False))

    async def script(self, name: str, keys: Sequence[str], *args: Word) -> Any:
        """Run a script; a server that restarted and forgot it is taught again."""
        words = self.words(name, keys, *args)
        with reaching():
            try:
                return await self._client.execute_command(*words)
            except NoScriptError:
                await self.teach(name)
                return await self._client.execute_command(*words)

    async def confirmed_script(
        self, name: str, keys: Sequence[str], *args: Word, replicas: int, within: int
    ) -> tuple[Any, int]:
        """Run a script and wait up to `within` ms for `replicas`; returns its reply and how many have it.

        WAIT counts the writes of its own connection, hence one pipeline; the script must write even when it only
        finds that it came through before.
        """
        commands = (self.words(name, keys, *args), ("WAIT", replicas, within))
        reply, acks = await self.together(commands)
        if isinstance(reply, NoScriptError):
            await self.teach(name)
            reply, acks = await self.together(commands)
        with reaching():
            return _unless_error(reply), int(_unless_error(acks))

    async def teach(self, *names: str) -> None:
        """Load scripts: those named, or all."""
        for reply in await self.together([("SCRIPT", "LOAD", scripts()[name][1]) for name in names or scripts()]):
            with reaching():
                _unless_error(reply)

    @staticmethod
    def words(name: str, keys: Sequence[str], *args: Word) -> Command:
        """The command that runs a script."""
        return ("EVALSHA", scripts()[name][0], len(keys), *keys, *args)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose(close_connection_pool=True)


def _unless_error(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
