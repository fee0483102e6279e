"""The lines to one server: connections that all tasks share, so that none of them waits for another's reply.

Commands go out in the order in which they come, replies come back in the same; what comes within one turn of the event
loop goes out in one piece, and with `appendfsync always` the server writes to disk once for everything that came
together. redis-py makes each connection (address, TLS, user, password) and hands it over: a command of its own client
has a connection for itself, and costs ten times as much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self, TypeAlias

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as LineLost
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as NoReply

Word: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Word]

#: What redis-py lets out when a connection cannot be made; the last three leak during a failover (redis-py #4287).
_UNCONNECTED: Final = (OSError, AttributeError, TypeError, RuntimeError)
_LOST: Final = (LineLost, NoReply, OSError)
_HOLDING_UP: Final = frozenset({"WAIT", "XREADGROUP"})  #: these keep their line waiting, and all behind them
_MOST_SHARED: Final = 4  #: lines that all tasks share
_MOST_UNDER_WAY: Final = 2  #: pieces on one line; what comes meanwhile goes together into the next one
_FULL: Final = 16_384  #: unanswered bytes of a line beyond which another is better: a server reads so many at once
_BACKOFF: Final = ExponentialWithJitterBackoff(cap=0.2, base=0.01)  #: seconds before something is sent again
_NOTHING_YET: Final = object()
_packed: Callable[[tuple[Word, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment] # any tuple will do
_PING: Final = _packed(("PING",))


class Line(asyncio.Protocol):
    """One connection. `unanswered` is how many bytes of it the server has still to answer."""

    def __init__(self, writer: asyncio.StreamWriter, timeout: float) -> None:
        self.unanswered = 0
        self.lost: Exception | None = None
        self._transport = writer.transport
        self._writer = writer  #: kept, because it closes the connection when it goes
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse, replyError=DefaultParser.parse_error, notEnoughData=_NOTHING_YET
        )
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []
        self._sends_soon = False
        self._under_way = 0  #: pieces that were sent and not answered yet
        self._heard = 0.0  #: when the server last had nothing to answer, or answered
        self._watch: asyncio.TimerHandle | None = None
        self._gone = self._loop.create_future()

    @classmethod
    async def over(cls, connection: AbstractConnection, timeout: float) -> Self:
        """The line over a connection that redis-py makes now. Raises what redis-py raises."""
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py has no types here
            writer = connection._writer
            if writer is None:
                raise LineLost("the connection was lost as soon as it was made")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        line = cls(writer, timeout)
        writer.transport.set_protocol(line)
        connection._reader = connection._writer = None  # it is ours now
        return line

    @property
    def silence(self) -> float:
        """Seconds since the server was last heard."""
        return self._loop.time() - self._heard

    def send(self, packed: bytes, count: int) -> asyncio.Future[list[Any]]:
        """The replies to so many commands, as they came; what one is refused stands in its place."""
        asked = _Asked(len(packed), count, self._loop.create_future())
        if self.lost is not None:
            asked.answered.set_exception(self.lost)
            return asked.answered
        self._asked.append(asked)
        self._unsent.append(packed)
        self.unanswered += asked.size
        if not self._sends_soon:
            self._send_now() if not self._under_way else self._send_soon()
        return asked.answered

    def close(self, why: Exception) -> None:
        """Hang up; whoever waits for a reply raises `why`."""
        if self.lost is None:
            self.lost = why
            self._transport.abort()
            if self._watch is not None:
                self._watch.cancel()
            for asked in self._asked:
                if not asked.answered.done():
                    asked.answered.set_exception(why)
            self._asked.clear()
            self._unsent.clear()

    async def closed(self) -> None:
        """Return once the connection is gone."""
        await asyncio.shield(self._gone)

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete (asyncio.Protocol)."""
        self._heard = self._loop.time()
        try:
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not _NOTHING_YET:
                asked = self._asked[0]
                asked.replies.append(reply)
                if len(asked.replies) == asked.count:
                    self._asked.popleft()
                    self.unanswered -= asked.size
                    self._under_way -= asked.ends
                    if not asked.answered.done():
                        asked.answered.set_result(asked.replies)
        except (InvalidResponse, IndexError) as exc:
            self.close(LineLost(f"the server said what nobody asked: {type(exc).__name__}"))
        if not self._sends_soon:
            self._send_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or we, hung up (asyncio.Protocol)."""
        self.close(LineLost(f"the connection was lost: {exc or 'the server closed it'}"))
        self._gone.set_result(None)

    def _send_soon(self) -> None:
        """Send after everybody whose turn it is now: whom a reply wakes, asks for the next thing at once."""
        if self._under_way < _MOST_UNDER_WAY:
            self._sends_soon = True
            self._loop.call_soon(self._send_now)

    def _send_now(self) -> None:
        self._sends_soon = False
        if not self._unsent or self.lost is not None:
            return
        if self._under_way == 0:
            self._heard = self._loop.time()
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
        self._asked[-1].ends = True
        self._under_way += 1
        if self._watch is None:
            self._watch = self._loop.call_at(self._heard + self._timeout, self._look)

    def _look(self) -> None:
        """Give the line up when the server owes replies and has been silent for too long."""
        self._watch = None
        if not self._asked:
            return
        if self.silence >= self._timeout:
            self.close(NoReply("the server did not answer in time"))
        else:
            self._watch = self._loop.call_at(self._heard + self._timeout, self._look)


class _Asked:
    """Commands that went together, and who waits for the replies to them."""

    __slots__ = ("answered", "count", "ends", "replies", "size")

    def __init__(self, size: int, count: int, answered: asyncio.Future[list[Any]]) -> None:
        self.size = size
        self.count = count
        self.answered = answered
        self.ends = False  #: whether it is the last of what was sent in one piece
        self.replies: list[Any] = []


class Lines:
    """The lines to one server, opened when they are needed.

    `options` are for each connection (address.py); `timeout` (seconds) is for connecting, for a silent server, and for
    getting a line of one's own, of which there are at most `connections`. What was lost is sent again `retries` times,
    also where a reply is one of `again_on`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        timeout: float,
        connections: int,
        retries: int,
        again_on: tuple[type[Exception], ...] = (),
    ) -> None:
        settings = dict(options)
        self._kind: type[AbstractConnection] = settings.pop("connection_class", Connection)
        self._settings = settings
        self._asked_after: float = settings.pop("health_check_interval", 0)
        self._timeout = timeout
        self._retries = retries
        self._again_on = again_on
        self._shared: list[Line] = []
        self._opening: asyncio.Task[None] | None = None
        self._own: list[Line] = []  #: lines for one task at a time that nobody has just now
        self._taken: set[Line] = set()
        self._room = asyncio.Semaphore(connections)
        self._closed = False

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands that go over one connection, as they came; a refusal stands in its place.

        Raises what redis-py raises when a line is lost, or the server cannot take commands now.
        """
        packed, count = b"".join([_packed(tuple(words)) for words in commands]), len(commands)
        exchange = self._together if _HOLDING_UP.isdisjoint([words[0] for words in commands]) else self._alone
        failures = 0
        while True:
            try:
                replies = await exchange(packed, count)
                refusals = [reply for reply in replies if isinstance(reply, Exception)]
                if not refusals or failures == self._retries or not self._is_worth_another(refusals):
                    return replies
            except _LOST:
                if failures == self._retries or self._closed:
                    raise
            failures += 1
            await asyncio.sleep(_BACKOFF.compute(failures))

    async def aclose(self) -> None:
        """Hang up on the server, for good."""
        self._closed = True
        while self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening], timeout=0.1)  # asyncio.wait_for in redis-py may lose one (bpo-37658)
        lines = [*self._shared, *self._own, *self._taken]
        for line in lines:
            line.close(LineLost("we hung up"))
        for line in lines:
            await line.closed()

    def _is_worth_another(self, refusals: Sequence[Exception]) -> bool:
        """Whether another line may lead to a server that does not refuse it. Raises what tells that none can now."""
        for refusal in refusals:
            if isinstance(refusal, LineLost):  # such as LOADING
                raise refusal
            if isinstance(refusal, self._again_on):
                for line in self._shared:
                    line.close(LineLost("the server cannot do what it is asked"))
                return True
        return False

    async def _together(self, packed: bytes, count: int) -> list[Any]:
        for line in self._shared:
            if line.unanswered < _FULL and line.lost is None:
                break
        else:
            line = await self._another()
        if self._asked_after and line.silence > self._asked_after:
            await line.send(_PING, 1)
        return await line.send(packed, count)

    async def _another(self) -> Line:
        """The line with the least to do, or the first one; if there may be more, one more is opened meanwhile."""
        self._shared = [line for line in self._shared if line.lost is None]
        if len(self._shared) < _MOST_SHARED and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self._open_shared())
            self._opening.add_done_callback(_taken_note_of)
        if not self._shared and self._opening is not None:
            await asyncio.shield(self._opening)  # who loses patience must not take the line from the others
        if not self._shared:
            raise LineLost("the connection was lost as soon as it was made")
        return min(self._shared, key=lambda line: line.unanswered)

    async def _open_shared(self) -> None:
        try:
            line = await self._opened()
        except asyncio.CancelledError:
            if self._closed:  # whoever waits for the line must not take this for an end of its own
                raise LineLost("we hung up") from None
            raise
        self._shared.append(line)

    async def _alone(self, packed: bytes, count: int) -> list[Any]:
        """An exchange over a line that nobody else has meanwhile."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._room.acquire()
        except TimeoutError:
            raise LineLost("no connection became free") from None
        try:
            return await self._over_own(packed, count)
        finally:
            self._room.release()

    async def _over_own(self, packed: bytes, count: int) -> list[Any]:
        self._own = [line for line in self._own if line.lost is None]
        line = self._own.pop() if self._own else await self._opened()
        self._taken.add(line)
        try:
            replies = await line.send(packed, count)
        except BaseException:
            line.close(LineLost("nobody waits for its reply any more"))
            raise
        finally:
            self._taken.discard(line)
        self._own.append(line)
        return replies

    async def _opened(self) -> Line:
        if self._closed:
            raise LineLost("we hung up")
        connection = self._kind(
            **self._settings,
            protocol=2,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            line = await Line.over(connection, self._timeout)
        except _UNCONNECTED as exc:
            raise LineLost(f"no connection could be made: {type(exc).__name__}") from exc
        if self._closed:
            line.close(LineLost("we hung up"))
        return line


def _taken_note_of(task: asyncio.Task[Any]) -> None:
    """A line that nobody waited for may fail to open: the next command opens another, and tells."""
    with suppress(asyncio.CancelledError):
        task.exception()
