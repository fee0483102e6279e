"""Who wants to know that something changed: waiting tests, and pages that are open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Change:
    """One thing that changed.

    `kind` is message, ephemeral, views, home, people, channels, sockets, call or delivery.
    """

    kind: str
    channel: str = ""
    user: str = ""


class Changes:
    """Tells every listener of every change, in order, without polling."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Change]] = set()

    def announce(self, kind: str, *, channel: str = "", user: str = "") -> None:
        """Tell every listener; costs nothing when nobody listens."""
        for queue in self._listeners:
            queue.put_nowait(Change(kind, channel, user))

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Change]]:
        """A queue that receives every change until the block is left."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    async def wait_for(self, predicate: Callable[[], T | None], timeout: float = 5.0) -> T:
        """Wait until `predicate()` is true and return what it returned; TimeoutError after `timeout` seconds."""
        with self.listen() as queue:
            async with asyncio.timeout(timeout):
                while not (found := predicate()):
                    await queue.get()
                return found
