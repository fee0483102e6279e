"""Work on a person's gesture in the time that Slack gives it: done for certain and told, or not acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import structlog

from approvals.errors import ApprovalsError
from handlers.slack import answers
from handlers.slack.answers import Private
from handlers.slack.errors import Unanswered
from handlers.slack.press import ear_of
from handlers.slack.watch import SlackWatch
from handlers.slack.whisper import Ear, Whisper

log = structlog.get_logger(__name__)

T = TypeVar("T")
Body = Mapping[str, Any]

BUDGET = 2.0  #: seconds from our taking a click up to its decision; Slack gives three to the acknowledgement


class Gestures:
    """What every listener of a gesture needs: its time, somebody to tell, somebody who counts."""

    def __init__(self, whisper: Whisper, *, budget: float = BUDGET, watch: SlackWatch | None = None) -> None:
        self._whisper = whisper
        self._budget = budget
        self.watch = watch or SlackWatch()

    async def answered(self, body: Body, work: Awaitable[Private | None]) -> None:
        """Do the work in time and tell the person; raises Unanswered where it could not be done for certain."""
        ear = ear_of(body)
        try:
            private = await self.in_time(work)
        except Exception as exc:
            self.undecided(exc, *action_ids(body))
            self.tell(ear, answers.UNCERTAIN)
            raise Unanswered("nothing certain is known about this click") from exc
        if private is not None:
            self.tell(ear, private)

    async def in_time(self, work: Awaitable[T]) -> T:
        """Do the work within the budget. Raises TimeoutError."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._budget):
                return await work
        finally:
            self.watch.decided(time.perf_counter() - began)

    def tell(self, ear: Ear, private: Private) -> None:
        """Tell somebody soon, privately."""
        self._whisper.later(ear, private)

    def undecided(self, error: Exception, *about: str) -> None:
        """Count and log what could not be decided: with a traceback only where it is a fault of ours."""
        self.watch.clicked("undecided")
        if isinstance(error, ApprovalsError | TimeoutError):
            log.warning("slack_click_undecided", about=about, error=f"{type(error).__name__}: {error}")
        else:
            log.error("slack_click_undecided", about=about, exc_info=error)


def action_ids(body: Body) -> list[str]:
    """The names of what was used."""
    actions = body.get("actions")
    found = actions if isinstance(actions, list) else []
    return [str(action.get("action_id"))[:100] for action in found if isinstance(action, dict)]
