"""The buttons of a card: decide first, answer then, whatever happens. Teams waits ten seconds for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from approvals.card import card_of
from approvals.errors import ApprovalsError
from approvals.ports import Store
from approvals.request import Request
from approvals.service import Approvals, Refused, Verdict
from handlers import verdicts
from handlers.seal import Seal, Sealed
from handlers.teams import answers
from handlers.teams.answers import banner, replaced
from handlers.teams.cards import APPROVE, CHANGES, DENY, draw
from handlers.teams.desk import Desk, caller_of
from handlers.teams.elements import Json
from handlers.teams.press import Press, account_of, answer_of, data_of, pressed, verb_of
from handlers.teams.replies import SAY, command_of
from handlers.teams.review import BACK, FROM_REVIEW, TURN
from handlers.teams.reviews import REVIEW, Reviews
from handlers.teams.shapes import place_of
from handlers.teams.watch import TeamsWatch

log = structlog.get_logger(__name__)

BUDGET = 4.0  #: seconds from our taking a click up to its answer

#: What an approval may lack that its button had no place for: a card of before a policy changed, a row.
_TAKES_A_REVIEW = frozenset({"review_first", "reason_needed"})
_VERBS = frozenset({SAY, REVIEW, TURN, FROM_REVIEW, BACK, APPROVE, DENY, CHANGES})


class Clicks:
    """Answers adaptiveCard/action invokes. `store` keeps what an answer shows, before anybody sees it.

    `desk` answers the buttons that are commands.
    """

    def __init__(
        self,
        approvals: Approvals,
        seal: Seal,
        store: Store,
        desk: Desk,
        *,
        budget: float = BUDGET,
        watch: TeamsWatch | None = None,
    ) -> None:
        self._approvals = approvals
        self._seal = seal
        self._store = store
        self._desk = desk
        self._reviews = Reviews(approvals)
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
            return banner(verdicts.UNCERTAIN)
        finally:
            self._watch.decided(time.perf_counter() - began)

    async def _answer(self, activity: Mapping[str, Any]) -> Json:
        verb, account, caller = verb_of(activity), account_of(activity), caller_of(activity)
        if verb not in _VERBS:
            return self._refused("unknown_button", verdicts.OUTDATED)
        if account is None or caller is None:
            return self._refused("nobody", answers.NOBODY)
        if verb == SAY:
            return replaced((await self._desk.answer(command_of(data_of(activity)), caller)).card)
        if verb in (TURN, FROM_REVIEW):
            place = place_of(activity)
            step = self._reviews.turn if verb == TURN else self._reviews.approve
            return await step(activity, account, partial(self._value, place), partial(self._told, place, "approve"))
        press = pressed(activity, account, self._seal)
        return self._refused("not_ours", verdicts.NOT_OURS) if press is None else await self._on_card(press, verb)

    async def _on_card(self, press: Press, verb: str) -> Json:
        """What a button comes to that carries our seal."""
        if verb == BACK:
            request = (await self._store.get(press.request)).request
            return replaced(await self._drawn(request, press.place, ""))
        answer = answer_of(verb)
        if answer is None:
            return await self._reviewed(press)
        if answer != "approve" and not press.reason:
            return self._refused("no_reason", answers.NO_REASON)
        verdict = await self._approvals.vote(press.request, press.click(answer))
        if answer == "approve" and isinstance(verdict, Refused) and verdict.reason in _TAKES_A_REVIEW:
            self._watch.clicked(verdict.reason)
            return await self._reviewed(press)
        return await self._told(press.place, answer, verdict, beside_others=press.beside_others)

    async def _reviewed(self, press: Press) -> Json:
        """The first page of the whole action, on which what an approval takes can be given."""
        value, tell = partial(self._value, press.place), partial(self._told, press.place, "approve")
        return await self._reviews.open(press, value, tell)

    async def _told(self, place: str, answer: str, verdict: Verdict, *, beside_others: bool = False) -> Json:
        """The new card where there is one to show alone, else words for a moment; the courier shows the rest."""
        self._watch.clicked(verdicts.came_to(verdict))
        words = answers.about(verdict, answer)
        if isinstance(verdict, Refused) or beside_others:
            return banner(words)
        return replaced(await self._drawn(verdict.request, place, words))

    async def _drawn(self, request: Request, place: str, words: str) -> Json:
        card = card_of(request)
        await self._store.keep_rendering(card.digest(), card.model_dump_json().encode())
        value, denials = self._value(place, Sealed(card.request, card.digest())), request.presentation.denials
        return draw(card, value=value, notice=words, denials=denials).card

    def _value(self, place: str, sealed: Sealed) -> str:
        return self._seal.value(sealed, place)

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
