"""The buttons of a card: decide first, answer then, whatever happens. Teams waits ten seconds for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from approvals.card import card_of
from approvals.errors import ApprovalsError
from approvals.request import Request
from approvals.service import Approvals, Counted, Late, Refused, Verdict
from handlers.seal import Seal, Sealed
from handlers.teams import answers
from handlers.teams.answers import banner, replaced
from handlers.teams.cards import draw
from handlers.teams.elements import Json
from handlers.teams.press import Press, account_of, is_answer, pressed, verb_of
from handlers.teams.watch import TeamsWatch

log = structlog.get_logger(__name__)

BUDGET = 4.0  #: seconds from our taking a click up to its answer


Keep = Callable[[str, bytes], Awaitable[None]]


class Clicks:
    """Answers adaptiveCard/action invokes. `keep` keeps what an answer shows, before anybody sees it."""

    def __init__(
        self,
        approvals: Approvals,
        seal: Seal,
        keep: Keep,
        *,
        budget: float = BUDGET,
        watch: TeamsWatch | None = None,
    ) -> None:
        self._approvals = approvals
        self._seal = seal
        self._keep = keep
        self._budget = budget
        self._watch = watch or TeamsWatch()

    async def answered(self, activity: Mapping[str, Any]) -> Json:
        """What Teams is answered; never raises."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._budget):
                return await self._answer(activity)
        except Exception as exc:
            self._watch.clicked("undecided")
            _log_undecided(exc, verb_of(activity)[:40])
            return banner(answers.UNCERTAIN)
        finally:
            self._watch.decided(time.perf_counter() - began)

    async def _answer(self, activity: Mapping[str, Any]) -> Json:
        if not is_answer(verb_of(activity)):
            return self._refused("unknown_button", answers.OUTDATED)
        account = account_of(activity)
        if account is None:
            return self._refused("nobody", answers.NOBODY)
        press = pressed(activity, account, self._seal)
        if press is None:
            return self._refused("not_ours", answers.NOT_OURS)
        if press.answer != "approve" and not press.reason:
            return self._refused("no_reason", answers.NO_REASON)
        return await self._told(press, await self._approvals.vote(press.request, press.click()))

    async def _told(self, press: Press, verdict: Verdict) -> Json:
        """The new card where there is one to show alone, else words for a moment; the courier shows the rest."""
        self._watch.clicked(_came_to(verdict))
        words = answers.about(verdict, press.answer)
        if isinstance(verdict, Refused) or press.beside_others:
            return banner(words)
        return replaced(await self._drawn(verdict.request, press.place, words))

    async def _drawn(self, request: Request, place: str, words: str) -> Json:
        card = card_of(request)
        await self._keep(card.digest(), card.model_dump_json().encode())
        return draw(card, value=self._seal.value(Sealed(card.request, card.digest()), place), notice=words).card

    def _refused(self, came_to: str, words: str) -> Json:
        self._watch.clicked(came_to)
        log.warning("teams_click_refused", reason=came_to)
        return banner(words)


def _came_to(verdict: Verdict) -> str:
    """A verdict as it is counted."""
    match verdict:
        case Counted():
            return "counted"
        case Late():
            return "late"
        case Refused(reason):
            return reason


def _log_undecided(error: Exception, verb: str) -> None:
    """With a traceback only where it is a fault of ours: what is down is told by its name."""
    if isinstance(error, ApprovalsError | TimeoutError):
        log.warning("teams_click_undecided", verb=verb, error=f"{type(error).__name__}: {error}")
    else:
        log.error("teams_click_undecided", verb=verb, exc_info=error)
