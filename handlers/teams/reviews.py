"""Opening a review, turning its pages, approving from it, and going back to the card."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from approvals.ports import Account
from approvals.reviewing import Opened
from approvals.service import Approvals
from approvals.verdicts import Late, Refused, Verdict
from handlers.reasons import LONGEST
from handlers.seal import Sealed
from handlers.teams.answers import banner, replaced
from handlers.teams.elements import Json
from handlers.teams.press import Press, data_of
from handlers.teams.review import BACK, CODE, FROM_REVIEW, LOOK, ON_PAGE, TO_PAGE, TURN, WHY, draw_page
from handlers.teams.shapes import text
from handlers.verdicts import MENDABLE

REVIEW = "review"
VERBS = frozenset({TURN, FROM_REVIEW, BACK})

Value = Callable[[Sealed], str]
Tell = Callable[[Verdict], Awaitable[Json]]


class Reviews:
    """Answers the buttons of reviews."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def open(self, press: Press, value: Value, tell: Tell) -> Json:
        """Put the first page in front of somebody; `value` seals a button, `tell` shows a verdict."""
        return await self._shown(await self._approvals.reviews.open(press.request, press.click("approve")), value, tell)

    async def turn(self, activity: Mapping[str, Any], account: Account, value: Value, tell: Tell) -> Json:
        """Show another page; the one with the button was on the screen."""
        data, reviews = data_of(activity), self._approvals.reviews
        look, page, to = text(data.get(LOOK)), _number(data.get(ON_PAGE)), _number(data.get(TO_PAGE))
        seen = await reviews.turned(look, account, page)
        found = seen if isinstance(seen, Refused) else await reviews.page(look, account, to)
        return await self._shown(found, value, tell)

    async def approve(self, activity: Mapping[str, Any], account: Account, value: Value, tell: Tell) -> Json:
        """Count an approval from a review; what can be mended is told above the page."""
        data, reviews = data_of(activity), self._approvals.reviews
        look = text(data.get(LOOK))
        await reviews.turned(look, account, _number(data.get(ON_PAGE)))
        reason, code = text(data.get(WHY)).strip()[:LONGEST], text(data.get(CODE))
        verdict = await self._approvals.vote_from(look, account, reason=reason, confirm=code)
        if not isinstance(verdict, Refused) or verdict.reason not in MENDABLE:
            return await tell(verdict)
        return await self._shown(await reviews.last_page(look, account), value, tell, verdict.sentence)

    async def _shown(self, found: Opened | Refused | Late, value: Value, tell: Tell, warning: str = "") -> Json:
        if isinstance(found, Opened):
            sealed = Sealed(found.review.request, found.look.shown)
            return replaced(draw_page(found, value(sealed), warning))
        return banner(found.sentence) if isinstance(found, Refused) else await tell(found)


def _number(value: Any) -> int:
    """A page's number; one that nobody has for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
