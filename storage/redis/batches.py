"""What several tasks want of one server at the same moment, sent as one pipeline.

A command by itself costs the driver four times what it costs in a pipeline, and with `appendfsync always` the server
writes to disk once for everything that came together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from redis.exceptions import ResponseError

Word: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Word]
_Wanted: TypeAlias = tuple[Sequence[Command], asyncio.Future[list[Any]]]

_MOST_PIPELINES: Final = 4  #: at once; what comes meanwhile goes together into the next one
_MOST_COMMANDS: Final = 256  #: in one pipeline, so that nobody waits long for the replies of others
_HOLDING_UP: Final = frozenset({"WAIT", "XREADGROUP"})  #: these keep their connection waiting, and all behind them


class Batches:
    """The commands to one server, always with the same client; it is not held here, so that it can go."""

    def __init__(self) -> None:
        self._waiting: list[_Wanted] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._alone = False
        self._called = False

    async def send(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        """The replies of commands that go over one connection; raises what the driver raises when it is lost.

        Replies are as they came; what a command is refused stands in its place.
        """
        if any(words[0] in _HOLDING_UP for words in commands):
            return await send(client, commands)
        if not self._alone and not self._sending and not self._waiting:
            return await self._send_alone(client, commands)
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((_encoded(commands), replies))
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._send_what_waits, client)
        return await replies

    async def _send_alone(self, client: Any, commands: Sequence[Command]) -> list[Any]:
        self._alone = True
        try:
            return await send(client, commands)
        finally:
            self._alone = False

    def _send_what_waits(self, client: Any) -> None:
        """Begin with as many pipelines as may be under way."""
        self._called = False
        while self._waiting and len(self._sending) < _MOST_PIPELINES:
            sending = asyncio.create_task(self._pipeline(client, self._taken()))
            self._sending.add(sending)
            sending.add_done_callback(partial(self._sent, client))

    def _sent(self, client: Any, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._send_what_waits(client)

    def _taken(self) -> list[_Wanted]:
        """The first of those that wait, and as many more as a pipeline may have."""
        size = 0
        for number, (commands, _) in enumerate(self._waiting):
            size += len(commands)
            if number and size > _MOST_COMMANDS:
                break
        else:
            number = len(self._waiting)
        taken, self._waiting = self._waiting[:number], self._waiting[number:]
        return taken

    async def _pipeline(self, client: Any, batch: Sequence[_Wanted]) -> None:
        """Send, and give everybody their replies, or what went wrong; whoever has gone away needs none."""
        try:
            replies = iter(await send(client, [words for commands, _ in batch for words in commands]))
        except Exception as exc:  # every one of those who wait raises it
            for _, future in batch:
                if not future.done():
                    future.set_exception(exc)
            return
        for commands, future in batch:
            mine = list(islice(replies, len(commands)))
            if not future.done():
                future.set_result(mine)


def _encoded(commands: Sequence[Command]) -> Sequence[Command]:
    """The commands as bytes, so that a text that has none fails its own sender and not everybody in the pipeline."""
    return [(words[0], *(word.encode() if isinstance(word, str) else word for word in words[1:])) for words in commands]


async def send(client: Any, commands: Sequence[Command]) -> list[Any]:
    """The replies of commands on one connection; what one is refused stands in its place."""
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0])]
        except ResponseError as exc:
            return [exc]
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return list(await pipeline.execute(raise_on_error=False))
