"""Loops that do not die: each repeats a step, waits when there is nothing, and backs off when something is down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from approvals.errors import ApprovalsError

log = structlog.get_logger("sayso.loop")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


class Loop:
    """Runs `step` over and over until stopped; `step` returns whether it found work.

    After an idle step it waits `idle` seconds, or until `nudge` is called; after an error it waits longer and longer,
    with jitter, up to 5 s. Stopping lets the running step finish. `failed` is told the loop's name at every error.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[bool]],
        *,
        idle: float = 0.0,
        failed: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._told = failed
        self._monotonic = monotonic
        self._step = step
        self._idle = idle
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self.failing = False  #: whether the last step ended in an error
        self._since = 0.0

    def failing_for(self) -> float:
        """Seconds since the first of the steps that failed without one that succeeded; 0 while it works."""
        return self._monotonic() - self._since if self.failing else 0.0

    def nudge(self) -> None:
        """There may be work now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the step that is running."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Repeat until stopped."""
        while not self._stop.is_set():
            self._wake.clear()
            found = await self._once()
            if self.failing:
                await self._rest(self._pause * random.uniform(0.5, 1.0))
            elif not found:
                await self._rest(self._idle)

    async def _once(self) -> bool:
        try:
            found = await self._step()
        except ApprovalsError as exc:
            self._failed(exc)
            return False
        except Exception as exc:  # a fault of ours must not stop the others' work; it is logged with its traceback
            log.exception("step failed", loop=self.name)
            self._failed(exc, said=True)
            return False
        if self.failing:
            log.info("works again", loop=self.name)
        self.failing, self._pause = False, _FIRST_PAUSE
        return found

    def _failed(self, exc: Exception, *, said: bool = False) -> None:
        if not self.failing and not said:
            log.warning("waiting for what is down", loop=self.name, error=f"{type(exc).__name__}: {exc}")
        if not self.failing:
            self._since = self._monotonic()
        self.failing = True
        self._told(self.name)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _rest(self, seconds: float) -> None:
        if self._stop.is_set():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)


async def each(works: Iterable[Awaitable[None]]) -> None:
    """Do all of these side by side; only when every one has ended, raise the first error there was."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
