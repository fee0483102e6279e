"""The buttons of a card, and the forms that ask for a reason: decide first, acknowledge last.

slack_bolt forgets an acknowledgement when a listener raises right after it, so `ack()` is always the last statement.
Where nothing could be decided in time there is no acknowledgement: Slack then shows the person that it failed.
"""

from __future__ import annotations

from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.service import Approvals, Counted, Refused
from approvals.service import Open as MayAnswer
from handlers.seal import Seal
from handlers.slack import answers
from handlers.slack.answers import Private
from handlers.slack.api import called
from handlers.slack.blocks import PAUSE
from handlers.slack.command import Desk
from handlers.slack.errors import ApiProblem
from handlers.slack.gestures import Body, Gestures, action_ids
from handlers.slack.identity import Identity
from handlers.slack.press import Press, carried, ear_of, pressed, way
from handlers.slack.reason import REASON, Answer, Form, form, notice, reason_of
from handlers.slack.reviews import Reviews
from handlers.slack.whisper import Ear
from handlers.verdicts import came_to

log = structlog.get_logger(__name__)


class Clicks:
    """The listeners of the buttons that answer, and of their forms."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        client: AsyncWebClient,
        identity: Identity,
        seal: Seal,
        gestures: Gestures,
        reviews: Reviews,
        desk: Desk,
    ) -> None:
        self._approvals = approvals
        self._client = client
        self._identity = identity
        self._seal = seal
        self._gestures = gestures
        self._reviews = reviews
        self._desk = desk

    async def approve(self, ack: AsyncAck, body: Body) -> None:
        """Count an approval, or ask for what it still takes: a reason, a review."""
        await self._gestures.answered(body, self._approved(body))
        await ack()

    async def deny(self, ack: AsyncAck, body: Body) -> None:
        """Ask a person who may answer for their reason; a denial is counted when the form comes back."""
        await self._gestures.answered(body, self._asked_why(body, "deny"))
        await ack()

    async def changes(self, ack: AsyncAck, body: Body) -> None:
        """Ask a person who may answer what should be different; the denial is counted when the form comes back."""
        await self._gestures.answered(body, self._asked_why(body, "changes"))
        await ack()

    async def details(self, ack: AsyncAck, body: Body) -> None:
        """Show the whole record of a request, privately."""
        press = self._pressed(body)
        if press is None:
            self._gestures.tell(ear_of(body), answers.NOT_OURS)
        else:
            await self._desk.show(press.request, press.account, body)
        await ack()

    async def more(self, ack: AsyncAck, body: Body) -> None:
        """What the menu beside the buttons offers: deny and pause the agent, or report the request."""
        work = self._asked_why(body, "pause") if way(body) == PAUSE else self._reported(body)
        await self._gestures.answered(body, work)
        await ack()

    async def pause(self, ack: AsyncAck, body: Body) -> None:
        """Deny, and stop the agent; the form says what came of both."""
        await ack(response_action="update", view=await self._paused(body))

    async def _paused(self, body: Body) -> dict[str, Any]:
        press = carried(body, self._seal)
        if press is None:
            self._gestures.watch.clicked("not_ours")
            return notice(answers.NOT_OURS)
        try:
            work = self._approvals.deny_and_pause(press.request, press.click("deny", reason_of(body)))
            came = await self._gestures.in_time(work)
        except Exception as exc:
            self._gestures.undecided(exc, "pause", press.request)
            return notice(answers.UNCERTAIN)
        self._gestures.watch.clicked(came_to(came.verdict))
        return notice(answers.paused(came, self._identity.team), "Deny and pause")

    async def _reported(self, body: Body) -> Private:
        press = self._pressed(body)
        if press is None:
            return answers.NOT_OURS
        return answers.reported(await self._approvals.operators.report_suspicious(press.request, press.account))

    async def unknown(self, ack: AsyncAck, body: Body) -> None:
        """A button, menu or form that is not ours, or not any more."""
        log.warning("slack_unknown_action", actions=action_ids(body), type=body.get("type"))
        self._gestures.watch.clicked("unknown_button")
        self._gestures.tell(ear_of(body), answers.OUTDATED)
        await ack()

    async def approve_with_reason(self, ack: AsyncAck, body: Body) -> None:
        """Count an approval that says why."""
        await ack(**await self._submitted(body, "approve"))

    async def deny_with_reason(self, ack: AsyncAck, body: Body) -> None:
        """Count a denial; the form stays open, with a sentence, where that failed or came too late."""
        await ack(**await self._submitted(body, "deny"))

    async def deny_with_changes(self, ack: AsyncAck, body: Body) -> None:
        """Count a denial that says what to change."""
        await ack(**await self._submitted(body, "changes"))

    async def _submitted(self, body: Body, answer: Answer) -> dict[str, Any]:
        """What becomes of the form: closed (nothing), a notice in its place, or an error under the input."""
        press = carried(body, self._seal)
        if press is None:
            self._gestures.watch.clicked("not_ours")
            log.warning("slack_form_not_ours")
            return {"response_action": "update", "view": notice(answers.NOT_OURS)}
        try:
            vote = self._approvals.vote(press.request, press.click(answer, reason_of(body)))
            verdict = await self._gestures.in_time(vote)
        except Exception as exc:
            self._gestures.undecided(exc, answer, press.request)
            return _error(answers.UNCERTAIN.spoken)
        self._gestures.watch.clicked(came_to(verdict))
        private = answers.about(verdict, answer, self._identity.team)
        if isinstance(verdict, Refused) and verdict.reason == "reason_needed":
            return _error("Choose a reason or write one.")
        if not isinstance(verdict, Counted):
            return {"response_action": "update", "view": notice(private)}
        self._gestures.tell(Ear(press.account.user, press.channel), private)
        return {}

    async def _approved(self, body: Body) -> Private | None:
        press = self._pressed(body)
        if press is None:
            return answers.NOT_OURS
        verdict = await self._approvals.vote(press.request, press.click("approve"))
        self._gestures.watch.clicked(came_to(verdict))
        if isinstance(verdict, Refused) and verdict.reason == "review_first":
            return await self._reviews.open(press, body)
        if isinstance(verdict, Refused) and verdict.reason == "reason_needed":
            return await self._opened(press, body, form(press, "approve", needed=True))
        return answers.about(verdict, "approve", self._identity.team)

    async def _asked_why(self, body: Body, asked: Form) -> Private | None:
        press = self._pressed(body)
        if press is None:
            return answers.NOT_OURS
        answer: Answer = "deny" if asked == "pause" else asked
        found = await self._approvals.may_answer(press.request, press.click(answer))
        if not isinstance(found, MayAnswer):
            self._gestures.watch.clicked(came_to(found))
            return answers.about(found, answer, self._identity.team)
        presets = found.request.presentation.denials if asked == "deny" else ()
        asks = form(press, asked, presets=presets, needed=answer in found.terms.reasons)
        return await self._opened(press, body, asks)

    async def _opened(self, press: Press, body: Body, asks: dict[str, Any]) -> Private | None:
        """Open a form; what to tell the person where Slack does not let us."""
        try:
            await called(self._client.views_open(trigger_id=str(body.get("trigger_id")), view=asks))
        except ApiProblem as exc:
            self._gestures.watch.clicked("no_form")
            log.warning("slack_form_not_opened", request=press.request, error=str(exc))
            return answers.NO_FORM
        return None

    def _pressed(self, body: Body) -> Press | None:
        press = pressed(body, self._identity, self._seal)
        if press is None:
            self._gestures.watch.clicked("not_ours")
            log.warning("slack_press_not_ours", actions=action_ids(body))
        return press


def _error(sentence: str) -> dict[str, Any]:
    return {"response_action": "errors", "errors": {REASON: sentence}}
