"""The same client for code without asyncio: derived from the async one, method by method, as it is used.

    with sayso.blocking.Sayso.connect("redis://…", agent="payments-bot", trust="jwks.json") as client:
        approval = client.ask("payments.release", target="bank:acme", arguments={…})
        with approval.spend() as action:
            release(**action.arguments)

An event loop runs in a thread of its own. Coroutines are waited for, `async with` becomes `with`, everything else is
as it was.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sayso import client as _client
from sayso import tool as _tool
from sayso.errors import SaysoError
from sayso.gating import Gate

T = TypeVar("T")

_OURS = (_client.Pending, _client.Approval, AbstractAsyncContextManager)  #: wrapped; everything else is a value
_current: ContextVar[Blocking[Any] | None] = ContextVar("sayso_blocking_client", default=None)


class Loop:
    """An event loop in a thread, for as long as it is open."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sayso", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it; an interrupt here (Ctrl-C) cancels it there."""
        if self._loop.is_closed():
            work.close()
            raise SaysoError("this client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call a function there, in case it needs a running loop."""

        async def called() -> T:
            return function()

        return self.run(called())

    def close(self) -> None:
        """Let what still runs come to its end, and stop."""
        if self._loop.is_closed():
            return
        self.run(_finished())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Blocking(Generic[T]):
    """The blocking face of one of our objects."""

    def __init__(self, target: T, loop: Loop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        """The attribute; a method waits for what it starts."""
        value = getattr(self._target, name)
        if not callable(value) or not inspect.ismethod(value):
            return _face(value, self._loop)

        def method(*args: Any, **kwargs: Any) -> Any:
            result = self._loop.call(lambda: value(*args, **kwargs))
            return _face(self._loop.run(result) if inspect.iscoroutine(result) else result, self._loop)

        return method

    def __repr__(self) -> str:
        """Show what stands behind it."""
        return f"<blocking {self._target!r}>"

    def __enter__(self) -> Any:
        """Enter what stands behind it."""
        return _face(self._loop.run(_entered(self._target)), self._loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Leave it."""
        return self._loop.run(_left(self._target, kind, error, trace))


class Connection(Blocking[AbstractAsyncContextManager[Any]]):
    """A client with a loop of its own: `with … as client`; also what a gated function without `async` asks with."""

    def __init__(self, target: AbstractAsyncContextManager[Any]) -> None:
        super().__init__(target, Loop())
        self._token: Token[Blocking[Any] | None] | None = None

    def __enter__(self) -> Self:
        """Connect."""
        try:
            super().__enter__()
        except BaseException:
            self._loop.close()
            raise
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, and end the loop."""
        if self._token is not None:
            _current.reset(self._token)
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._loop.close()

    def gate(self, kind: str, **how: Any) -> Gate:
        """`sayso.gate` for this client, whatever the current one is."""
        return Gate(kind, client=self, **how)


class Sayso:
    """See sayso.Sayso; `connect` takes the same arguments."""

    @staticmethod
    def connect(*args: Any, **kwargs: Any) -> Connection:
        """Prepare a client; `with` connects it."""
        return Connection(_client.Sayso.connect(*args, **kwargs))


class Tool:
    """See sayso.Tool; `connect` takes the same."""

    @staticmethod
    def connect(*args: Any, **kwargs: Any) -> Connection:
        """Prepare a tool; `with` connects it."""
        return Connection(_tool.Tool.connect(*args, **kwargs))


def face(target: AbstractAsyncContextManager[Any]) -> Connection:
    """The blocking face of any async client: `with face(sayso.testing.approving()) as client`."""
    return Connection(target)


def current() -> Blocking[Any] | None:
    """The blocking client that `@sayso.gate` would use here."""
    return _current.get()


def _face(value: Any, loop: Loop) -> Any:
    return Blocking(value, loop) if isinstance(value, _OURS) else value


async def _entered(target: Any) -> Any:
    return await target.__aenter__()


async def _left(target: Any, *error: Any) -> bool | None:
    swallowed: bool | None = await target.__aexit__(*error)
    return swallowed


async def _finished() -> None:
    """Wait for tasks that were left behind, such as a report of something cancelled."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=5)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
