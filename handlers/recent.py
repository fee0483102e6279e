"""What was looked up a moment ago: so that a click need not wait, and many clicks ask once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import structlog

from approvals.errors import DirectoryUnavailable
from handlers.tasks import Tasks

log = structlog.get_logger(__name__)

T = TypeVar("T")

FRESH = 60.0  #: seconds for which an answer is believed
PATIENCE = 1.2  #: seconds a click waits for a look-up; Slack gives the whole click three, Teams about ten


class Recent(Generic[T]):
    """Answers of the last minute; of many who ask for the same thing at once, one asks the `directory` of this name.

    `now` is a monotonic clock in seconds. `problems` are the exceptions by which a look-up fails.
    """

    def __init__(
        self,
        directory: str,
        now: Callable[[], float],
        tasks: Tasks,
        *,
        problems: tuple[type[Exception], ...],
        patience: float = PATIENCE,
    ) -> None:
        self._directory = directory
        self._problems = problems
        self._now = now
        self._tasks = tasks
        self._patience = patience
        self._known: dict[str, tuple[float, T]] = {}
        self._asked: dict[str, asyncio.Future[T]] = {}

    async def get(self, key: str, look_up: Callable[[], Awaitable[T]]) -> T:
        """What is known, or what the look-up finds in time; raises DirectoryUnavailable."""
        known = self._known.get(key)
        if known is not None and self._now() - known[0] < FRESH:
            return known[1]
        if key not in self._asked:
            self._ask(key, look_up)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._asked[key])
        except TimeoutError as exc:
            raise DirectoryUnavailable(f"{self._directory} took too long to say who this is") from exc

    def _ask(self, key: str, look_up: Callable[[], Awaitable[T]]) -> None:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._asked[key] = answer
        self._tasks.start(self._find(key, look_up, answer), f"{self._directory} directory: {key}")

    async def _find(self, key: str, look_up: Callable[[], Awaitable[T]], answer: asyncio.Future[T]) -> None:
        began = self._now()  # an answer is as old as its question
        try:
            found = await look_up()
            self._known[key] = (began, found)
            answer.set_result(found)
        except self._problems as exc:
            log.warning("directory_failed", directory=self._directory, key=key, error=str(exc))
            answer.set_exception(DirectoryUnavailable(str(exc)))
        finally:
            self._asked.pop(key, None)
            if not answer.done():
                answer.set_exception(DirectoryUnavailable("the look-up was given up"))


def _seen(answer: asyncio.Future[Any]) -> None:
    """Mark a failure as looked at, for the case that everybody who waited has given up."""
    if not answer.cancelled():
        answer.exception()
