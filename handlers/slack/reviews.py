"""Listeners of reviews: the modal is opened at once, and filled, page by page, when what it shows is known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.ports import Account
from approvals.reviewing import Opened
from approvals.service import Approvals
from approvals.verdicts import Counted, Late, Refused
from handlers.seal import Seal
from handlers.slack import answers
from handlers.slack.answers import Private
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem
from handlers.slack.forms import entered
from handlers.slack.gestures import Body, Gestures
from handlers.slack.identity import Identity
from handlers.slack.press import Press, account_of, ear_of, pressed
from handlers.slack.reason import notice
from handlers.slack.review import CODE, LOADING, WHY, page_of
from handlers.tasks import Tasks
from handlers.verdicts import MENDABLE, came_to

log = structlog.get_logger(__name__)

_PATIENCE = 5.0  #: seconds in which a page must be there; the person sees that it is being fetched

Look = Callable[[], Awaitable[Opened | Refused | Late]]


class Reviews:
    """Opening a review, turning its pages, and approving from it."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        client: AsyncWebClient,
        identity: Identity,
        seal: Seal,
        gestures: Gestures,
        tasks: Tasks,
    ) -> None:
        self._approvals = approvals
        self._client = client
        self._identity = identity
        self._seal = seal
        self._gestures = gestures
        self._tasks = tasks

    async def review(self, ack: AsyncAck, body: Body) -> None:
        """Open the whole of an action for somebody."""
        press = pressed(body, self._identity, self._seal)
        if press is None:
            self._gestures.watch.clicked("not_ours")
            self._gestures.tell(ear_of(body), answers.NOT_OURS)
        elif problem := await self.open(press, body):
            self._gestures.tell(ear_of(body), problem)
        await ack()

    async def open(self, press: Press, body: Body) -> Private | None:
        """Open the modal while the trigger lives, and fill it soon; what to tell the person where that failed."""
        try:
            answer = await called(self._client.views_open(trigger_id=str(body.get("trigger_id")), view=LOADING))
        except ApiProblem as exc:
            self._gestures.watch.clicked("no_form")
            log.warning("slack_form_not_opened", request=press.request, error=str(exc))
            return answers.NO_FORM
        view = str(answer["view"]["id"])
        begin = self._approvals.reviews.open
        self._fill_soon(view, press.account, lambda: begin(press.request, press.click("approve")))
        return None

    async def turn(self, ack: AsyncAck, body: Body) -> None:
        """Show another page."""
        view, account, page = _mapping(body.get("view")), account_of(body), _page_in(body)
        if account is not None and page is not None:
            look = str(view.get("private_metadata"))
            reviews = self._approvals.reviews
            self._fill_soon(str(view.get("id")), account, lambda: reviews.page(look, account, page))
        await ack()

    async def approve(self, ack: AsyncAck, body: Body) -> None:
        """Count an approval from a review; the modal then says what it came to."""
        await ack(response_action="update", view=await self._approved(body))

    async def _approved(self, body: Body) -> dict[str, Any]:
        account, look = account_of(body), str(_mapping(body.get("view")).get("private_metadata"))
        if account is None:
            return notice(answers.NOT_OURS)
        vote = self._approvals.vote_from(look, account, reason=entered(body, WHY), confirm=entered(body, CODE))
        try:
            verdict = await self._gestures.in_time(vote)
            if isinstance(verdict, Refused) and verdict.reason in MENDABLE:
                self._gestures.watch.clicked(verdict.reason)
                return await self._once_more(look, account, verdict)
        except Exception as exc:
            self._gestures.undecided(exc, "review")
            return notice(answers.UNCERTAIN)
        self._gestures.watch.clicked(came_to(verdict))
        title = "Your answer" if isinstance(verdict, Counted) else "Nothing was counted"
        return notice(answers.about(verdict, "approve", self._identity.team), title)

    async def _once_more(self, look: str, account: Account, refusal: Refused) -> dict[str, Any]:
        """The review as it stood, with what kept its approval from counting."""
        found = await self._approvals.reviews.last_page(look, account)
        if not isinstance(found, Opened):
            return notice(answers.about(found, "approve", self._identity.team))
        return page_of(found, self._identity.team, refusal.sentence)

    def _fill_soon(self, view: str, account: Account, find: Look) -> None:
        self._tasks.start(self._fill(view, account, find), "slack review page")

    async def _fill(self, view: str, account: Account, find: Look) -> None:
        """Put a page on somebody's screen, and note that it is there only once Slack has taken it."""
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await find()
                await self._show(view, self._drawn(found))
                if isinstance(found, Opened):
                    await self._approvals.reviews.turned(found.look.id, account, found.page)
        except Exception as exc:
            self._gestures.undecided(exc, "review")
            await self._show(view, notice(answers.NO_PAGE))

    def _drawn(self, found: Opened | Refused | Late) -> dict[str, Any]:
        if isinstance(found, Opened):
            return page_of(found, self._identity.team)
        self._gestures.watch.clicked(came_to(found))
        return notice(answers.about(found, "approve", self._identity.team))

    async def _show(self, view: str, definition: dict[str, Any]) -> None:
        await called(self._client.views_update(view_id=view, view=definition))


def _page_in(body: Body) -> int | None:
    actions = body.get("actions")
    value = _mapping(actions[0]).get("value") if isinstance(actions, list) and actions else None
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4 else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
