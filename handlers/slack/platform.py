"""Slack as a place where cards are shown: posts once, updates, and finds what a crash left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import structlog
from slack_sdk.models.metadata import Metadata
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from approvals.card import Card
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.ports import Errand, Pace
from approvals.request import Request
from approvals.rows import Row
from handlers.seal import Seal, Sealed
from handlers.slack.api import called
from handlers.slack.blocks import Drawing, draw
from handlers.slack.burst import draw_rows
from handlers.slack.errors import ApiLimited, ApiRefused, ApiSilent
from handlers.slack.file import whole_of
from handlers.slack.identity import Identity
from handlers.slack.notes import draw_letter, draw_note
from handlers.slack.outsiders import Outsiders

log = structlog.get_logger(__name__)

EVENT_TYPE = "sayso_request"
POSTS_PER_MINUTE, POST_BURST = 60, 2  #: Slack takes about one message a second in a channel, and short bursts
ALL_POSTS_PER_MINUTE, ALL_POSTS_BURST = 240, 30  #: in the whole workspace "several hundred messages per minute"
EDITS_PER_MINUTE, EDITS_BURST = 40, 10  #: together at most the 50 calls of Tier 3 in any one minute
ROWS = 20  #: two blocks each, of the 50 that a message may have
_PAGES = 10
_PAGE = 200
_UPLOAD = 5.0  #: seconds in which Slack must have taken a file; others wait for the destination meanwhile
_SKEW_MS = 60_000  #: `since` is by the store's clock, a message's time by Slack's

_INVITE = "invite the bot to the channel (/invite @sayso), or correct the destination in the policy"
_TOKEN = "give the service a valid bot token of this workspace and start it again"  # noqa: S105 - words, not a secret
_ADMIN = "ask a workspace admin to let the app post there, or choose another destination in the policy"
_REMEDIES: Mapping[str, str] = {
    "channel_not_found": _INVITE,
    "not_in_channel": _INVITE,
    "is_archived": "unarchive the channel, or choose another destination in the policy",
    "is_inactive": "unarchive the channel, or choose another destination in the policy",
    "restricted_action": _ADMIN,
    "restricted_action_read_only_channel": _ADMIN,
    "restricted_action_non_threadable_channel": _ADMIN,
    "user_not_found": "correct the person's account in the policy",
    "users_not_found": "correct the person's account in the policy",
    "user_disabled": "the account is deactivated; choose another destination in the policy",
    "cannot_dm_bot": "choose a person or a channel as destination in the policy",
    "invalid_auth": _TOKEN,
    "not_authed": _TOKEN,
    "account_inactive": _TOKEN,
    "token_revoked": _TOKEN,
    "token_expired": _TOKEN,
    "missing_scope": "install the app again from the current manifest",
    "message_not_found": "the card was deleted; the request can still be answered elsewhere",
    "cant_update_message": "the message is not the app's own; was the app replaced by another?",
    "edit_window_closed": "the workspace forbids editing old messages; allow it for apps",
}
#: Refusals that any other message at the same destination would meet as well.
_ABOUT_THE_PLACE = frozenset(_REMEDIES) - {"message_not_found", "cant_update_message", "edit_window_closed"}


class SlackPlatform:
    """ChatPlatform for one workspace. A destination is `slack:C…` or, for a direct message, `slack:U…`.

    `external` says of a destination whether people of other organisations may read it; `now` is monotonic seconds.
    """

    name = "slack"

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        seal: Seal,
        *,
        external: Callable[[str], bool] = lambda destination: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outsiders = Outsiders(self._info, allowed=external, now=now)
        self._client = client
        self._session = _session_of(client)
        self._identity = identity
        self._seal = seal
        self._direct: dict[str, str] = {}
        self._told_of_scope = False

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        """Show a card as a new message, at most once: nothing is tried again in here."""
        channel = await self._ours(destination)
        return await self._post(channel, self._drawn(card, channel), {"request": request.id})

    async def update(self, reference: Mapping[str, str], request: Request, card: Card) -> None:
        """Change a message so that it shows this card; metadata stays as it was posted."""
        await self._change(reference, self._drawn(card, reference["channel"]))

    def rows(self, destination: str) -> int:
        """How many requests fit into one message."""
        return ROWS

    async def post_shared(self, destination: str, message: str, rows: Sequence[Row]) -> Mapping[str, str]:
        """Show several requests in a new message, at most once; its metadata is its name, of which we know the rows."""
        channel = await self._ours(destination)
        return await self._post(channel, self._drawn_together(rows, channel), {"message": message})

    async def update_shared(self, reference: Mapping[str, str], rows: Sequence[Row | None]) -> None:
        """Change a shared message so that it shows these rows."""
        await self._change(reference, self._drawn_together(rows, reference["channel"]))

    async def announce(self, destination: str, note: Note) -> None:
        """Say something that stands under no card."""
        drawing = draw_note(note, team=self._identity.team)
        if note.reference:
            drawing = draw_letter(note, self._identity.permalink(note.reference["channel"], note.reference["ts"]))
        await self._post(await self._ours(destination), drawing, None)

    async def reply(self, reference: Mapping[str, str], note: Note) -> None:
        """Say something in a card's thread, mentioning those it is for."""
        drawing = draw_note(note, team=self._identity.team)
        await _slack(
            self._client.chat_postMessage(
                channel=reference["channel"],
                thread_ts=reference["ts"],
                text=drawing.text,
                blocks=drawing.blocks,
                unfurl_links=False,
                unfurl_media=False,
            )
        )

    @property
    def takes_files(self) -> bool:
        """Slack does."""
        return True

    async def attach(self, reference: Mapping[str, str], request: Request) -> None:
        """Put the whole of a request's action into its card's thread: until it is shared, nobody has seen anything."""
        whole = whole_of(request)
        async with _in_time():
            file = await self._upload(whole.name, whole.text.encode())
        await _slack(
            self._client.files_completeUploadExternal(
                files=[{"id": file, "title": whole.title}],
                channel_id=reference["channel"],
                thread_ts=reference["ts"],
                initial_comment=whole.comment,
            )
        )

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        """Our message of a request, or of a name, by its metadata; None if there is none or we may not look."""
        channel = await self._channel(destination)
        oldest, cursor = f"{(since - _SKEW_MS) / 1000:.6f}", ""
        for _ in range(_PAGES):
            page = await self._history(channel, oldest, cursor)
            if page is None:
                return None
            for message in page.get("messages") or []:
                if self._is_about(message, about):
                    return {"channel": channel, "ts": str(message["ts"])}
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return None
        log.warning("slack_history_too_long", channel=channel, pages=_PAGES)
        return None

    def paces(self, errand: Errand, destination: str) -> Sequence[Pace]:
        """Posts count in their channel and in the workspace, edits in the workspace alone."""
        if errand is Errand.EDIT:
            return (Pace("slack:edits", EDITS_PER_MINUTE, EDITS_BURST),)
        everywhere = Pace("slack:posts", ALL_POSTS_PER_MINUTE, ALL_POSTS_BURST)
        return (Pace(destination, POSTS_PER_MINUTE, POST_BURST), everywhere)

    async def _post(self, channel: str, drawing: Drawing, about: Mapping[str, str] | None) -> Mapping[str, str]:
        answer = await _slack(
            self._client.chat_postMessage(
                channel=channel,
                text=drawing.text,
                blocks=drawing.blocks,
                metadata=Metadata(event_type=EVENT_TYPE, event_payload=dict(about)) if about else None,
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        return {"channel": str(answer["channel"]), "ts": str(answer["ts"])}

    async def _change(self, reference: Mapping[str, str], drawing: Drawing) -> None:
        await _slack(
            self._client.chat_update(
                channel=reference["channel"], ts=reference["ts"], text=drawing.text, blocks=drawing.blocks
            )
        )

    async def _upload(self, name: str, data: bytes) -> str:
        """Bring a file to Slack, where nobody sees it yet; its id."""
        place = await _slack(self._client.files_getUploadURLExternal(filename=name, length=len(data)), changes=False)
        async with self._session.post(str(place["upload_url"]), data=data) as answer:
            if answer.status != 200:
                raise ChatUnavailable(f"Slack took no file ({answer.status})")
        return str(place["file_id"])

    def _drawn(self, card: Card, channel: str) -> Drawing:
        value = self._seal.value(Sealed(card.request, card.digest()), channel)
        return draw(card, team=self._identity.team, value=value)

    def _drawn_together(self, rows: Sequence[Row | None], channel: str) -> Drawing:
        values = [self._seal.value(Sealed(row.request, row.digest()), channel) if row else "" for row in rows]
        return draw_rows(rows, values, team=self._identity.team)

    async def _ours(self, destination: str) -> str:
        """The channel id of a destination that nobody of another organisation reads, as far as policy minds."""
        channel = await self._channel(destination)
        if channel == destination.removeprefix("slack:"):  # a person's direct channel is with nobody else
            await self._outsiders.must_not_read(destination, channel)
        return channel

    async def _info(self, channel: str) -> Mapping[str, Any]:
        found = (await _slack(self._client.conversations_info(channel=channel), changes=False)).get("channel")
        return found if isinstance(found, dict) else {}

    async def _channel(self, destination: str) -> str:
        """The channel id of a destination; a person's direct channel is opened, and never changes afterwards."""
        name = destination.removeprefix("slack:")
        if not name.startswith(("U", "W")):
            return name
        if name not in self._direct:
            answer = await _slack(self._client.conversations_open(users=[name]), changes=False)
            self._direct[name] = str(answer["channel"]["id"])
        return self._direct[name]

    async def _history(self, channel: str, oldest: str, cursor: str) -> AsyncSlackResponse | None:
        call = self._client.conversations_history(
            channel=channel, oldest=oldest, include_all_metadata=True, limit=_PAGE, cursor=cursor or None
        )
        try:
            return await _slack(call, changes=False)
        except ChatRefused as refusal:
            if refusal.code != "missing_scope":
                raise
            if not self._told_of_scope:
                log.warning("slack_cannot_look_for_posts", remedy=refusal.remedy)
                self._told_of_scope = True
            return None

    def _is_about(self, message: Any, about: str) -> bool:
        if not self._identity.wrote(message):
            return False
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        is_ours = metadata.get("event_type") == EVENT_TYPE
        return is_ours and about in (payload.get("request"), payload.get("message"))


def _session_of(client: AsyncWebClient) -> aiohttp.ClientSession:
    """The session that a client shares with whoever made it (api.py)."""
    if client.session is None:
        raise ValueError("the client of a platform needs the session that it was made with")
    return client.session


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Give up an upload that takes too long, or breaks: nobody has seen anything of it."""
    try:
        async with asyncio.timeout(_UPLOAD):
            yield
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise ChatUnavailable(f"Slack took no file ({type(exc).__name__})") from exc


async def _slack(call: Awaitable[AsyncSlackResponse], *, changes: bool = True) -> AsyncSlackResponse:
    """The answer to a call, with Slack's problems as the rules know them; `changes` when the call does something."""
    try:
        return await called(call)
    except ApiLimited as exc:
        raise ChatUnavailable(str(exc), retry_after=exc.retry_after) from exc
    except ApiSilent as exc:
        raise ChatUnavailable(str(exc), maybe_done=changes and exc.maybe_done) from exc
    except ApiRefused as exc:
        raise ChatRefused(exc.code, _remedy(exc), place=exc.code in _ABOUT_THE_PLACE) from exc


def _remedy(refusal: ApiRefused) -> str:
    known = _REMEDIES.get(refusal.code, "look the code up in the method's page at docs.slack.dev/reference/methods")
    return f"{known} (it lacks {refusal.needed})" if refusal.needed else known
