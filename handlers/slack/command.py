"""/sayso, the buttons of its answers, the forms they open, and the shortcut on a message.

A command runs in the background: Slack's patience ends after three seconds, but what was begun is finished and its
answer follows. Whether anything may be seen or done is decided behind `Commands`, for every way in alike.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from approvals.commands.answers import Answer, told
from approvals.commands.commands import Commands
from approvals.errors import ApprovalsError
from approvals.ports import Account
from approvals.sight import Caller
from handlers.slack import answers
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem, Unanswered
from handlers.slack.forms import entered
from handlers.slack.identity import Identity
from handlers.slack.press import account_of, ear_of
from handlers.slack.replies import LONGEST, WORDS, Replies, Said, form, said_in
from handlers.slack.watch import SlackWatch
from handlers.slack.whisper import Ear, Whisper
from handlers.tasks import Tasks

log = structlog.get_logger(__name__)

Body = Mapping[str, Any]

RECORD = "sayso:record"  #: callback id of the shortcut on a message
SORRY = told("That did not work", "I could not look that up just now. Try again in a moment.")
WORKING = told("Working on it", "This takes a moment; the answer follows here.")
NOT_OURS = told("Not mine", "This message is no card that I posted, so I have no record of it.")
_CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}\b")


class Desk:
    """The listeners of everything that is a command."""

    def __init__(
        self,
        *,
        commands: Commands,
        client: AsyncWebClient,
        identity: Identity,
        whisper: Whisper,
        tasks: Tasks,
        budget: float,
        watch: SlackWatch,
    ) -> None:
        self._commands = commands
        self._client = client
        self._identity = identity
        self._whisper = whisper
        self._tasks = tasks
        self._budget = budget
        self._watch = watch
        self._replies = Replies(identity)

    async def typed(self, ack: AsyncAck, body: Body) -> None:
        """Answer a slash command: in the acknowledgement, or a little later."""
        account = Account("slack", str(body.get("team_id")), str(body.get("user_id")))
        channel = str(body.get("channel_id") or "")
        work = self._answering(heard(str(body.get("text") or ""), account.tenant), account, channel)
        if not await self._done(work):
            self._follow(work, Ear(account.user, channel, str(body.get("response_url") or "")))
        drawn = self._replies.message(work.result() if work.done() else WORKING)
        await ack(text=drawn.spoken, blocks=drawn.blocks(), response_type="ephemeral")

    async def pressed(self, ack: AsyncAck, body: Body) -> None:
        """Give the command of a button: answered where the button stands."""
        said, account = _pressed(body), account_of(body)
        if said is None or account is None:
            return await self._unknown(ack, body)
        if _view(body):
            await self._on_screen(said, account, body)
        else:
            work = self._answering(said.command, account, ear_of(body).channel)
            await self._done(work)
            self._follow(work, ear_of(body))
        await ack()

    async def asked(self, ack: AsyncAck, body: Body) -> None:
        """Open the form that asks for the words of a command."""
        said = _pressed(body)
        if said is None:
            return await self._unknown(ack, body)
        view, trigger = form(Said(said.command, said.ask, said.label, _channel(body))), str(body.get("trigger_id"))
        in_modal = _view(body).get("type") == "modal"
        opening = self._client.views_push if in_modal else self._client.views_open
        await self._opened(opening(trigger_id=trigger, view=view))
        await ack()

    async def submitted(self, ack: AsyncAck, body: Body) -> None:
        """Give the command whose words were asked for; the answer takes the form's place."""
        said, account, view = said_in(_view(body).get("private_metadata")), account_of(body), _view(body)
        if said is None or account is None:
            return await self._unknown(ack, body)
        work = self._answering(f"{said.command} {entered(body, WORDS)[:LONGEST]}", account, said.channel)
        if not await self._done(work):
            self._fill(work, str(view.get("id")), said.channel)
        answer = work.result() if work.done() else WORKING
        await ack(response_action="update", view=self._replies.screen(answer, said.channel))

    async def record(self, ack: AsyncAck, body: Body) -> None:
        """Show the record of the request whose card a message is, or a reply under it."""
        account = account_of(body)
        if account is None:
            return await self._unknown(ack, body)
        channel = str(_mapping(body.get("channel")).get("id") or "")
        opened = await self._loading(body, channel)
        message = _mapping(body.get("message"))
        work = self._working(self._record(message, channel, account), "record")
        self._fill(work, opened, channel)
        await ack()

    async def show(self, request: str, account: Account, body: Body) -> None:
        """Show the record of a request whose button was pressed."""
        channel = ear_of(body).channel
        opened = await self._loading(body, channel)
        self._fill(self._answering(f"show {request}", account, channel), opened, channel)

    async def _record(self, message: Mapping[str, Any], channel: str, account: Account) -> Answer:
        """The code in a message is a hint; that its card was posted there is what counts."""
        if not self._identity.wrote(message):
            return NOT_OURS
        codes = list(dict.fromkeys(_CODE.findall(json.dumps([message.get("text"), message.get("blocks")]))))
        ts = str(message.get("thread_ts") or message.get("ts") or "")
        caller = self._caller(account, channel)
        return await self._commands.posted(codes, {"channel": channel, "ts": ts}, caller) or NOT_OURS

    async def _on_screen(self, said: Said, account: Account, body: Body) -> None:
        """Answer a button of a modal in the modal, one of the home tab in a new modal."""
        view, channel = _view(body), _channel(body)
        in_modal = view.get("type") == "modal"
        shown = str(view.get("id")) if in_modal else await self._loading(body, channel)
        work = self._answering(said.command, account, channel)
        await self._done(work)
        self._fill(work, shown, channel)

    async def _loading(self, body: Body, channel: str) -> str:
        """Open a modal at once, since the trigger lives three seconds; it is filled when the answer is there."""
        view = self._replies.screen(WORKING, channel)
        opened = await self._opened(self._client.views_open(trigger_id=str(body.get("trigger_id")), view=view))
        return str(_mapping(opened.get("view")).get("id"))

    async def _opened(self, call: Coroutine[Any, Any, Any]) -> Any:
        """The answer of Slack; Unanswered where it did not open, so that the person sees it."""
        try:
            return await called(call, timeout=self._budget)
        except ApiProblem as exc:
            log.warning("slack_screen_not_opened", error=str(exc))
            raise Unanswered("the modal could not be opened") from exc

    def _answering(self, text: str, account: Account, channel: str) -> asyncio.Task[Answer]:
        return self._working(self._commands.answer(text, self._caller(account, channel)), "command")

    def _working(self, work: Coroutine[Any, Any, Answer], name: str) -> asyncio.Task[Answer]:
        return self._tasks.start(_answered(work), f"slack {name}")

    async def _done(self, work: asyncio.Task[Answer]) -> bool:
        """Whether it is done in time for the acknowledgement; it goes on either way."""
        done, _ = await asyncio.wait({work}, timeout=self._budget)
        return bool(done)

    def _follow(self, work: asyncio.Task[Answer], ear: Ear) -> None:
        async def tell() -> None:
            self._whisper.later(ear, self._replies.message(await asyncio.shield(work)))

        self._tasks.start(tell(), "slack answer")

    def _fill(self, work: asyncio.Task[Answer], view: str, channel: str) -> None:
        async def fill() -> None:
            shown = self._replies.screen(await asyncio.shield(work), channel)
            try:
                await called(self._client.views_update(view_id=view, view=shown))
            except ApiProblem as exc:  # most likely closed meanwhile
                log.info("slack_screen_not_filled", error=str(exc))

        self._tasks.start(fill(), "slack screen")

    def _caller(self, account: Account, channel: str) -> Caller:
        return Caller(account, places_of(account, channel))

    async def _unknown(self, ack: AsyncAck, body: Body) -> None:
        log.warning("slack_unknown_command", type=body.get("type"))
        self._watch.clicked("unknown_button")
        self._whisper.later(ear_of(body), answers.OUTDATED)
        await ack()


def places_of(account: Account, channel: str) -> tuple[str, ...]:
    """The destinations at which somebody is who gives a command: the channel, or their own direct messages."""
    if channel.startswith("D"):
        return (f"slack:{account.user}",)
    return (f"slack:{channel}",) if channel else ()


def heard(text: str, team: str) -> str:
    """What was typed, with Slack's escapes undone: people, groups and channels as the policy names them.

    https://docs.slack.dev/interactivity/implementing-slash-commands#escaping
    """
    text = re.sub(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>", rf"slack:{team}:\1", text)
    text = re.sub(r"<#([CDG][A-Z0-9]+)(?:\|[^>]*)?>", r"slack:\1", text)
    text = re.sub(r"<!subteam\^(S[A-Z0-9]+)(?:\|[^>]*)?>", r"slack:usergroup:\1", text)
    text = re.sub(r"<((?:https?|mailto):[^|>]*)(?:\|[^>]*)?>", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


async def _answered(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer, or that there is none; what is down is told by its name, a fault of ours with its traceback."""
    try:
        return await work
    except ApprovalsError as exc:
        log.warning("slack_command_failed", error=type(exc).__name__)
    except Exception as exc:
        log.error("slack_command_failed", exc_info=exc)
    return SORRY


def _pressed(body: Body) -> Said | None:
    actions = body.get("actions")
    action = _mapping(actions[0]) if isinstance(actions, list) and actions else {}
    return said_in(action.get("value"))


def _view(body: Body) -> Mapping[str, Any]:
    return _mapping(body.get("view"))


def _channel(body: Body) -> str:
    """Where a command is given: the channel of the message, or the one from which the modal was opened."""
    carried = said_in(_view(body).get("private_metadata"))
    return carried.channel if carried is not None else ear_of(body).channel


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
