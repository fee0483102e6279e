"""What people write to the bot, in their chat with it or by mentioning it, and the buttons of its answers.

Everybody in a channel can read what stands there, and an answer may hold what only its caller may see: so whoever asks
in a channel or a group chat is answered in their own chat with the bot.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import structlog

from approvals.commands.answers import Answer, told
from approvals.commands.commands import Commands
from approvals.errors import ApprovalsError
from approvals.sight import Caller
from handlers.tasks import Tasks
from handlers.teams.cards import Drawing
from handlers.teams.identity import Identity
from handlers.teams.platform import TeamsPlatform
from handlers.teams.press import account_of
from handlers.teams.replies import draw_answer
from handlers.teams.shapes import mapping, place_of, text

log = structlog.get_logger(__name__)

SORRY = told("That did not work", "I could not look that up just now. Try again in a moment.")
ELSEWHERE = told("Answered", "What I say is for your eyes alone: I answered you in our own chat.")
NO_CHAT = told(
    "Write to me alone",
    "What I say is for your eyes alone, and we have no chat yet: open the app under Apps, add it, and ask there.",
)
_MENTION = re.compile(r"<at[^>]*>.*?</at>", re.DOTALL)
_LONGEST = 2_000


class Desk:
    """Answers commands, in the background: Teams waits for no answer to a message."""

    def __init__(self, commands: Commands, platform: TeamsPlatform, identity: Identity, tasks: Tasks) -> None:
        self._commands = commands
        self._platform = platform
        self._identity = identity
        self._tasks = tasks

    def heard(self, activity: Mapping[str, Any]) -> None:
        """Answer soon what somebody wrote."""
        if (caller := caller_of(activity)) is not None:
            self._tasks.start(self._reply(activity, caller), "teams command")

    async def answer(self, command: str, caller: Caller) -> Drawing:
        """The answer to a command, drawn."""
        try:
            found = await self._commands.answer(command, caller)
        except ApprovalsError as exc:
            log.warning("teams_command_failed", error=type(exc).__name__)
            found = SORRY
        return self._drawn(found)

    async def _reply(self, activity: Mapping[str, Any], caller: Caller) -> None:
        drawing = await self.answer(typed_in(activity), caller)
        place = text(mapping(activity.get("conversation")).get("id"))
        if is_personal(activity):
            await self._say(place, drawing)
            return
        try:
            await self._platform.say_to(caller.account.user, drawing)
        except ApprovalsError as exc:
            log.info("teams_no_chat", error=str(exc))
            await self._say(place, self._drawn(NO_CHAT))
        else:
            await self._say(place, self._drawn(ELSEWHERE))

    async def _say(self, place: str, drawing: Drawing) -> None:
        try:
            await self._platform.say(place, drawing)
        except ApprovalsError as exc:
            log.warning("teams_answer_lost", error=str(exc))

    def _drawn(self, answer: Answer) -> Drawing:
        return draw_answer(answer, tenant=self._identity.tenant)


def caller_of(activity: Mapping[str, Any]) -> Caller | None:
    """Who gave a command, and where; None where Teams does not say who it was."""
    account = account_of(activity)
    if account is None:
        return None
    here = [f"teams:{place_of(activity)}"]
    return Caller(account, (*here, f"teams:{account.user}") if is_personal(activity) else tuple(here))


def typed_in(activity: Mapping[str, Any]) -> str:
    """What somebody wrote, without the mention of us."""
    return html.unescape(_MENTION.sub(" ", text(activity.get("text"))[:_LONGEST])).replace("\u00a0", " ").strip()


def is_personal(activity: Mapping[str, Any]) -> bool:
    """Whether it happened in somebody's own chat with us."""
    return mapping(activity.get("conversation")).get("conversationType") == "personal"
