"""The buttons of a card: decide first, answer then, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from approvals.errors import ApprovalsError
from approvals.service import Approvals, Refused, Verdict
from handlers import verdicts
from handlers.seal import Sealed
from handlers.teams import answers
from handlers.teams.answers import banner, replaced
from handlers.teams.cards import APPROVE, CHANGES, DENY, PAUSE, REFRESH, REPORT
from handlers.teams.desk import Desk, caller_of
from handlers.teams.elements import Json
from handlers.teams.marks import Marks
from handlers.teams.press import Press, account_of, answer_of, pressed, verb_of
from handlers.teams.replies import SAY
from handlers.teams.review import BACK, FROM_REVIEW, TURN
from handlers.teams.reviews import REVIEW, Reviews
from handlers.teams.views import Views
from handlers.teams.watch import TeamsWatch

log = structlog.get_logger(__name__)

#: What an approval may lack that its button had no place for: a card of before a policy changed, a row.
_TAKES_A_REVIEW = frozenset({"review_first", "reason_needed"})
#: What a button can say.
VERBS = frozenset({REFRESH, SAY, REVIEW, TURN, FROM_REVIEW, BACK, APPROVE, DENY, CHANGES, PAUSE, REPORT})


class Clicks:
    """Answers adaptiveCard/action invokes. `desk` answers the buttons that are commands, `views` draws cards."""

    def __init__(
        self,
        approvals: Approvals,
        marks: Marks,
        desk: Desk,
        views: Views,
        *,
        watch: TeamsWatch | None = None,
    ) -> None:
        self._approvals = approvals
        self._marks = marks
        self._desk = desk
        self._views = views
        self._reviews = Reviews(approvals)
        self._watch = watch or TeamsWatch()

    async def answered(self, activity: Mapping[str, Any], until: float) -> Json:
        """What Teams is answered, at the latest at `until` (of the loop's clock); never raises."""
        began, verb = time.perf_counter(), verb_of(activity)
        try:
            async with asyncio.timeout_at(until):
                return await self._answer(activity, verb)
        except Exception as exc:
            _log_undecided(exc, verb[:40])
            if verb == REFRESH:
                return banner(answers.NOT_LOOKED_UP)
            self._watch.clicked("undecided")
            return banner(verdicts.UNCERTAIN)
        finally:
            if verb != REFRESH:
                self._watch.decided(time.perf_counter() - began)

    async def _answer(self, activity: Mapping[str, Any], verb: str) -> Json:
        account, caller = account_of(activity), caller_of(activity)
        if verb not in VERBS:
            return self._refused("unknown_button", verdicts.OUTDATED)
        if account is None or caller is None:
            return self._refused("nobody", answers.NOBODY)
        if verb == SAY:
            return replaced((await self._desk.pressed(activity, caller)).card)
        press = pressed(activity, account, self._marks)
        if press is None:
            return self._refused("not_ours", verdicts.NOT_OURS)
        if verb in (BACK, REFRESH):
            return await self._views.refreshed(press)
        if (pointer := await self._views.pointer(press)) is not None:
            self._watch.clicked("copy")
            return pointer
        if verb in (TURN, FROM_REVIEW):
            step = self._reviews.turn if verb == TURN else self._reviews.approve
            return await step(activity, account, partial(self._value, press), partial(self._told, press, "approve"))
        return await self._on_card(press, verb)

    async def _on_card(self, press: Press, verb: str) -> Json:
        """What an answer comes to, or the wish to read the whole."""
        if verb == PAUSE:
            return await self._paused(press)
        if verb == REPORT:
            return await self._reported(press)
        answer = answer_of(verb)
        if answer is None:
            return await self._reviewed(press)
        if answer != "approve" and not press.reason:
            return self._refused("no_reason", answers.NO_REASON)
        verdict = await self._approvals.vote(press.request, press.click(answer))
        if answer == "approve" and isinstance(verdict, Refused) and verdict.reason in _TAKES_A_REVIEW:
            self._watch.clicked(verdict.reason)
            return await self._reviewed(press)
        return await self._told(press, answer, verdict)

    async def _paused(self, press: Press) -> Json:
        """Deny, and stop the agent; both are told, whichever of them counted, and where it stays: no card says it."""
        if not press.reason:
            return self._refused("no_reason", answers.NO_REASON)
        came = await self._approvals.deny_and_pause(press.request, press.click("deny"))
        self._watch.clicked(verdicts.came_to(came.verdict))
        words = answers.paused(came)
        if not isinstance(came.verdict, Refused):
            self._desk.tell(press.account, "Deny and pause", words)
        return banner(words)

    async def _reported(self, press: Press) -> Json:
        if not press.reason:
            return self._refused("no_reason", answers.NO_REASON)
        operators = self._approvals.operators
        return banner(answers.reported(await operators.report_suspicious(press.request, press.account, press.reason)))

    async def _reviewed(self, press: Press) -> Json:
        """The first page of the whole action, on which what an approval takes can be given."""
        value, tell = partial(self._value, press), partial(self._told, press, "approve")
        return await self._reviews.open(press, value, tell)

    async def _told(self, press: Press, answer: str, verdict: Verdict) -> Json:
        """The new card where there is one to show alone, else words for a moment; the courier shows the rest."""
        words = answers.about(verdict, answer)
        self._watch.clicked(verdicts.came_to(verdict))
        if isinstance(verdict, Refused) or press.beside_others:
            return banner(words)
        return replaced(await self._views.card(verdict.request, press, words))

    def _value(self, press: Press, sealed: Sealed) -> str:
        """What the buttons of an answer carry: it takes the place of the message that was pressed."""
        return self._marks.value(sealed, press.place, press.mark)

    def _refused(self, came_to: str, words: str) -> Json:
        self._watch.clicked(came_to)
        log.warning("teams_click_refused", reason=came_to)
        return banner(words)


def _log_undecided(error: Exception, verb: str) -> None:
    """With a traceback only where it is a fault of ours: what is down is told by its name."""
    if isinstance(error, ApprovalsError | TimeoutError):
        log.warning("teams_click_undecided", verb=verb, error=f"{type(error).__name__}: {error}")
    else:
        log.error("teams_click_undecided", verb=verb, exc_info=error)
