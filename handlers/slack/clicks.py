"""The buttons of a card, and the form that asks for a reason: decide first, acknowledge last.

slack_bolt forgets an acknowledgement when a listener raises right after it, so `ack()` is always the last statement.
Where nothing could be decided in time there is no acknowledgement: Slack then shows the person that it failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Literal, TypeVar

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.errors import ApprovalsError
from approvals.people import Voter
from approvals.service import Approvals, Counted, Late, Refused, Verdict
from handlers.seal import Seal
from handlers.slack import answers
from handlers.slack.answers import Private
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem, Unanswered
from handlers.slack.identity import Identity
from handlers.slack.press import Press, carried, ear_of, pressed
from handlers.slack.reason import REASON, form, notice, reason_of
from handlers.slack.watch import SlackWatch
from handlers.slack.whisper import Ear, Whisper

log = structlog.get_logger(__name__)

T = TypeVar("T")
Body = Mapping[str, Any]

BUDGET = 2.0  #: seconds from our taking a click up to its decision; Slack gives three to the acknowledgement


class Clicks:
    """The listeners of the approve and deny buttons and of the deny form."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        client: AsyncWebClient,
        identity: Identity,
        seal: Seal,
        whisper: Whisper,
        budget: float = BUDGET,
        watch: SlackWatch | None = None,
    ) -> None:
        self._watch = watch or SlackWatch()
        self._approvals = approvals
        self._client = client
        self._identity = identity
        self._seal = seal
        self._whisper = whisper
        self._budget = budget

    async def approve(self, ack: AsyncAck, body: Body) -> None:
        """Count an approval."""
        await self._answered(body, self._approved(body))
        await ack()

    async def deny(self, ack: AsyncAck, body: Body) -> None:
        """Ask a person who may answer for their reason; a denial is counted when the form comes back."""
        await self._answered(body, self._asked_why(body, "deny"))
        await ack()

    async def changes(self, ack: AsyncAck, body: Body) -> None:
        """Ask a person who may answer what should be different; the denial is counted when the form comes back."""
        await self._answered(body, self._asked_why(body, "changes"))
        await ack()

    async def unknown(self, ack: AsyncAck, body: Body) -> None:
        """A button, menu or form that is not ours, or not any more."""
        log.warning("slack_unknown_action", actions=_action_ids(body), type=body.get("type"))
        self._watch.clicked("unknown_button")
        self._whisper.later(ear_of(body), answers.OUTDATED)
        await ack()

    async def deny_with_reason(self, ack: AsyncAck, body: Body) -> None:
        """Count a denial; the form stays open, with a sentence, where that failed or came too late."""
        await ack(**await self._denied(body, "deny"))

    async def deny_with_changes(self, ack: AsyncAck, body: Body) -> None:
        """Count a denial that says what to change."""
        await ack(**await self._denied(body, "changes"))

    async def _denied(self, body: Body, answer: Literal["deny", "changes"]) -> dict[str, Any]:
        """What becomes of the form: closed (nothing), a notice in its place, or an error under the input."""
        press = carried(body, self._seal)
        if press is None:
            self._watch.clicked("not_ours")
            log.warning("slack_form_not_ours")
            return {"response_action": "update", "view": notice(answers.NOT_OURS)}
        try:
            verdict = await self._in_time(self._approvals.vote(press.request, press.click(answer, reason_of(body))))
        except Exception as exc:
            self._watch.clicked("undecided")
            _log_undecided(exc, answer, press.request)
            return {"response_action": "errors", "errors": {REASON: answers.UNCERTAIN.spoken}}
        self._watch.clicked(_came_to(verdict))
        private = answers.about(verdict, answer, self._identity.team)
        if not isinstance(verdict, Counted):
            return {"response_action": "update", "view": notice(private)}
        self._whisper.later(Ear(press.account.user, press.channel), private)
        return {}

    async def _approved(self, body: Body) -> Private:
        press = self._pressed(body)
        if press is None:
            return answers.NOT_OURS
        verdict = await self._approvals.vote(press.request, press.click("approve"))
        self._watch.clicked(_came_to(verdict))
        return answers.about(verdict, "approve", self._identity.team)

    async def _asked_why(self, body: Body, answer: Literal["deny", "changes"]) -> Private | None:
        press = self._pressed(body)
        if press is None:
            return answers.NOT_OURS
        found = await self._approvals.may_answer(press.request, press.click(answer))
        if not isinstance(found, Voter):
            self._watch.clicked(_came_to(found))
            return answers.about(found, answer, self._identity.team)
        try:
            await called(self._client.views_open(trigger_id=str(body.get("trigger_id")), view=form(press, answer)))
        except ApiProblem as exc:
            self._watch.clicked("no_form")
            log.warning("slack_form_not_opened", request=press.request, error=str(exc))
            return answers.NO_FORM
        return None

    def _pressed(self, body: Body) -> Press | None:
        press = pressed(body, self._identity, self._seal)
        if press is None:
            self._watch.clicked("not_ours")
            log.warning("slack_press_not_ours", actions=_action_ids(body))
        return press

    async def _answered(self, body: Body, work: Awaitable[Private | None]) -> None:
        """Do the work in time and tell the person; raises Unanswered where it could not be done for certain."""
        ear = ear_of(body)
        try:
            private = await self._in_time(work)
        except Exception as exc:
            self._watch.clicked("undecided")
            _log_undecided(exc, *_action_ids(body))
            self._whisper.later(ear, answers.UNCERTAIN)
            raise Unanswered("nothing certain is known about this click") from exc
        if private is not None:
            self._whisper.later(ear, private)

    async def _in_time(self, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._budget):
                return await work
        finally:
            self._watch.decided(time.perf_counter() - began)


def _came_to(verdict: Verdict) -> str:
    """A verdict as it is counted."""
    match verdict:
        case Counted():
            return "counted"
        case Late():
            return "late"
        case Refused(reason):
            return reason


def _log_undecided(error: Exception, *about: str) -> None:
    """With a traceback only where it is a fault of ours: what is down is told by its name."""
    if isinstance(error, ApprovalsError | TimeoutError):
        log.warning("slack_click_undecided", about=about, error=f"{type(error).__name__}: {error}")
    else:
        log.error("slack_click_undecided", about=about, exc_info=error)


def _action_ids(body: Body) -> list[str]:
    actions = body.get("actions")
    found = actions if isinstance(actions, list) else []
    return [str(action.get("action_id"))[:100] for action in found if isinstance(action, dict)]
