"""What people write to the bot, in their chat with it or by mentioning it, and the buttons of its answers.

Everybody in a channel can read what stands there, and an answer may hold what only its caller may see: so whoever asks
in a channel or a group chat is answered in their own chat with the bot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog

from approvals.commands.answers import Answer, told
from approvals.commands.commands import Commands
from approvals.errors import ApprovalsError, ChatRefused, ChatUnavailable
from approvals.ports import Account
from approvals.sight import Caller
from handlers.tasks import Tasks
from handlers.teams.cards import Drawing
from handlers.teams.identity import Identity
from handlers.teams.platform import TeamsPlatform
from handlers.teams.press import account_of, data_of
from handlers.teams.replies import AT, command_of, draw_answer
from handlers.teams.shapes import mapping, place_of, text
from handlers.teams.written import written_in

log = structlog.get_logger(__name__)

WAITS = 3  #: how often an answer waits because Teams asks for it
LONGEST_WAIT = 20.0  #: seconds
SORRY = told("That did not work", "I could not look that up just now. Try again in a moment.")
NOT_THERE = told(
    "That did not work",
    "You asked this in a channel or chat, and Teams does not say now that you are in it. Ask there again.",
)
ELSEWHERE = told("Answered", "What I say is for your eyes alone: I answered you in our own chat.")
NO_CHAT = told(
    "Write to me alone",
    "What I say is for your eyes alone, and we have no chat yet: open the app under Apps, add it, and ask there.",
)


Pause = Callable[[float], Awaitable[None]]  #: waits so many seconds


class Desk:
    """Answers commands, in the background: Teams waits for no answer to a message."""

    def __init__(
        self, commands: Commands, platform: TeamsPlatform, identity: Identity, tasks: Tasks, *, pause: Pause
    ) -> None:
        self._pause = pause
        self._commands = commands
        self._platform = platform
        self._identity = identity
        self._tasks = tasks

    def heard(self, activity: Mapping[str, Any]) -> None:
        """Answer soon what somebody wrote."""
        if (caller := caller_of(activity)) is not None:
            self._tasks.start(self._reply(activity, caller), "teams command")

    async def pressed(self, activity: Mapping[str, Any], caller: Caller) -> Drawing:
        """The answer to the command of a button.

        What was asked in a channel is answered elsewhere, and its buttons go on from there: for those in the channel.
        """
        data, sender = data_of(activity), mapping(activity.get("from"))
        at = text(data.get(AT))
        if at:
            here = await self._platform.account_of(text(activity.get("serviceUrl")), at, text(sender.get("id")))
            if here != caller.account.id:
                return self._drawn(NOT_THERE)
            caller = Caller(caller.account, (f"teams:{at}",))
        return await self.answer(command_of(data), caller, at)

    async def answer(self, command: str, caller: Caller, at: str = "") -> Drawing:
        """The answer to a command, drawn; `at` is where it was given, if the answer stands elsewhere."""
        try:
            found = await self._commands.answer(command, caller)
        except ApprovalsError as exc:
            log.warning("teams_command_failed", error=type(exc).__name__)
            found = SORRY
        return self._drawn(found, at)

    def tell(self, account: Account, title: str, words: str) -> None:
        """Tell somebody something soon, in their own chat: an answer to a click goes when its message changes."""
        drawing = self._drawn(told(title, words))
        self._tasks.start(self._aside(Caller(account, ()), drawing), "teams aside")

    async def _reply(self, activity: Mapping[str, Any], caller: Caller) -> None:
        drawing = await self._answered(activity, caller)
        await self._say(activity, drawing if is_personal(activity) else await self._aside(caller, drawing))

    async def _answered(self, activity: Mapping[str, Any], caller: Caller) -> Drawing:
        """The answer to what somebody wrote, also where it is a fault of ours that there is none."""
        service, place = text(activity.get("serviceUrl")), place_of(activity)
        try:
            written = await written_in(activity, partial(self._platform.account_of, service, place))
            return await self.answer(written, caller, "" if is_personal(activity) else place)
        except Exception:
            log.exception("teams_command_failed")
            return self._drawn(SORRY)

    async def _aside(self, caller: Caller, drawing: Drawing) -> Drawing:
        """Give somebody an answer in their own chat; what everybody may read about that."""
        try:
            await self._patiently(partial(self._platform.say_to, caller.account.user, drawing))
        except ChatRefused as exc:
            log.info("teams_no_chat", error=str(exc))
            return self._drawn(NO_CHAT)
        except ApprovalsError as exc:
            log.warning("teams_answer_lost", error=str(exc))
            return self._drawn(SORRY)
        return self._drawn(ELSEWHERE)

    async def _say(self, activity: Mapping[str, Any], drawing: Drawing) -> None:
        """Answer where something was written, at the address from which it came."""
        place = text(mapping(activity.get("conversation")).get("id"))
        try:
            await self._patiently(partial(self._platform.say, text(activity.get("serviceUrl")), place, drawing))
        except ApprovalsError as exc:
            log.warning("teams_answer_lost", error=str(exc))

    async def _patiently(self, say: Callable[[], Awaitable[None]]) -> None:
        """Say something, also where Teams asks to wait first: then nothing was said yet. Nobody is in a hurry here."""
        for _ in range(WAITS):
            try:
                return await say()
            except ChatUnavailable as exc:
                if exc.maybe_done or not exc.retry_after:
                    raise
                await self._pause(min(exc.retry_after, LONGEST_WAIT))
        await say()

    def _drawn(self, answer: Answer, at: str = "") -> Drawing:
        return draw_answer(answer, tenant=self._identity.tenant, at=at)


def caller_of(activity: Mapping[str, Any]) -> Caller | None:
    """Who gave a command, and where; None where Teams does not say who it was."""
    account = account_of(activity)
    if account is None:
        return None
    here = [f"teams:{place_of(activity)}"]
    return Caller(account, (*here, f"teams:{account.user}") if is_personal(activity) else tuple(here))


def is_personal(activity: Mapping[str, Any]) -> bool:
    """Whether it happened in somebody's own chat with us."""
    return mapping(activity.get("conversation")).get("conversationType") == "personal"
