"""A line to a server that can lose a reply after the server has done what it was told, and that counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LossyLine:
    """A TCP proxy on loopback. `lose_replies` of the next replies are swallowed, with their connections."""

    def __init__(self, upstream: int) -> None:
        self.lose_replies = 0
        self.commands: list[str] = []
        self.round_trips = 0
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where a client finds the line."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def forget(self) -> None:
        """Start counting anew."""
        self.commands, self.round_trips = [], 0

    async def open(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        """Hang up on everybody."""
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await asyncio.sleep(0)  # their sockets are closed in the loop's next turn

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._carry(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        line.add_done_callback(lambda _: writer.close())  # also where it is ended before it began

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        there = asyncio.create_task(self._there(reader, up_writer))
        back = asyncio.create_task(self._back(up_reader, writer))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            up_writer.close()
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _there(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            self.round_trips += 1
            self.commands += _names(data)
            upstream.write(data)

    async def _back(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await upstream.read(1 << 20):
            if self.lose_replies:
                self.lose_replies -= 1
                return
            writer.write(data)


def _names(data: bytes) -> list[str]:
    """The names of the commands in a piece of the client's stream that begins and ends between two commands."""
    names: list[str] = []
    while data:
        head, _, data = data.partition(b"\r\n")
        words: list[bytes] = []
        for _ in range(int(head[1:])):
            length, _, data = data.partition(b"\r\n")
            words.append(data[: int(length[1:])])
            data = data[int(length[1:]) + 2 :]
        names.append(words[0].decode())
    return names


@asynccontextmanager
async def lossy(upstream: int) -> AsyncIterator[LossyLine]:
    """A line to the server on a loopback port."""
    line = LossyLine(upstream)
    await line.open()
    try:
        yield line
    finally:
        await line.close()
