"""Teams as a place where cards are shown: posts once, updates, and says something under a card."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import structlog

from approvals.card import Card, card_of
from approvals.errors import ChatRefused, ChatUnavailable, DirectoryUnavailable
from approvals.notes import Note
from approvals.ports import Errand, Pace
from approvals.request import Request
from approvals.rows import Row
from approvals.standing import MARK
from handlers.seal import Sealed
from handlers.teams.burst import draw_rows
from handlers.teams.cards import Drawing, draw, draw_pointer
from handlers.teams.channels import Channels
from handlers.teams.connector import Connector
from handlers.teams.elements import CHANNELS, link, message
from handlers.teams.errors import ApiLimited, ApiProblem, ApiRefused, ApiSilent
from handlers.teams.identity import Identity
from handlers.teams.marks import Marks, new_mark
from handlers.teams.mentions import MOST, NOBODY, Call, Callee, call, called_by, callees, members_of
from handlers.teams.notes import draw_note
from handlers.teams.outsiders import Outsiders
from handlers.teams.places import Place, Places
from handlers.teams.press import reference_to
from handlers.teams.shapes import guid, object_id

log = structlog.get_logger(__name__)

T = TypeVar("T")
Drawn = Callable[[Call], Drawing]  #: a message, drawn with whom it mentions

#: Per bot and thread Teams takes 7 in 1 s, 8 in 2 s, 60 in 30 s and 1800 in an hour; both together stay below all four.
#: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
AT_ONCE = Pace("", per_minute=90, burst=5)
IN_AN_HOUR = Pace(":hour", per_minute=15, burst=900)
EDITS = Pace("teams:edits", per_minute=1_200, burst=40)  #: of the 50 calls a second that a tenant takes of an app
ROWS = 4  #: requests in one message, so that it stays well below what Teams takes
LOOK_AGAIN = (0.3, 1.2)  #: seconds after which a message that Teams cannot find is looked for again (#6139)

GONE = "ActivityNotFoundInConversation"
_INSTALL = "install the app in that team or chat, or for that person, or correct the destination in the policy"
_CREDENTIALS = "check SAYSO_TEAMS_APP_ID, SAYSO_TEAMS_TENANT_ID and the secret or certificate; then start again"
_REMEDIES: Mapping[str, str] = {
    "not_installed": _INSTALL,
    "private_channel": "bots cannot post to private channels; choose a standard channel, or a chat",
    "roster_too_long": "so many people read there that it cannot be told who; choose another place, or list it under "
    "external_channels",
    "BotNotInConversationRoster": _INSTALL,
    "ConversationNotFound": _INSTALL,
    "ConversationBlockedByUser": "the person blocked the app; choose another destination in the policy",
    "MessageWritesBlocked": "the app was blocked or removed there; install it again, or choose another destination",
    "MessageSizeTooBig": "the card is too large for Teams; answer the request elsewhere, and tell us",
    GONE: "the card was deleted; the request can still be answered elsewhere",
    "invalid_client": _CREDENTIALS,
    "unauthorized_client": _CREDENTIALS,
}
#: Refusals that are about one message, and no other.
_ABOUT_A_MESSAGE = frozenset({GONE, "MessageSizeTooBig"})


class TeamsPlatform:
    """ChatPlatform for one tenant. A destination is `teams:19:…` (a channel or chat) or `teams:<object id>`.

    `names` says what a user of the tenant is called, None where they are no member in good standing.
    """

    name = "teams"

    def __init__(
        self,
        connector: Connector,
        places: Places,
        identity: Identity,
        marks: Marks,
        *,
        names: Callable[[str], Awaitable[str | None]],
        look_again: tuple[float, ...] = LOOK_AGAIN,
        external: Callable[[str], bool] = lambda destination: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels = Channels(connector, places, now=now)
        self._outsiders = Outsiders(self._roster, tenant=identity.tenant, allowed=external, now=now)
        self._connector = connector
        self._places = places
        self._identity = identity
        self._marks = marks
        self._names = names
        self._look_again = look_again

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        """Show a card as a new message, at most once: nothing is tried again in here."""
        place, mark = await self._place(destination), new_mark()
        return await self._post(
            place,
            lambda call: self.drawn(request, card, place.id, mark, call=call),
            called_by(card.needs, self._identity.tenant),
            mark,
        )

    async def update(self, reference: Mapping[str, str], request: Request, card: Card) -> None:
        """Change a message so that it shows this card; where it is gone, a new one says how it ended."""
        place, mark = reference["conversation"], reference.get(MARK, "")
        await self._change(reference, self.drawn(request, card, place, mark), waits=bool(card.buttons))

    async def reply(self, reference: Mapping[str, str], note: Note) -> None:
        """Say something in a card's thread, or in the chat where there are no threads, mentioning those it is for."""
        place = reference["conversation"]
        thread = f"{place};messageid={reference['activity']}" if await self._has_threads(place) else place
        await self._say(await self._service(place), thread, partial(draw_note, note), self._for_whom(note))

    async def announce(self, destination: str, note: Note) -> None:
        """Say something that stands under no card."""
        await self._post(await self._place(destination), partial(draw_note, note), self._for_whom(note))

    async def say(self, service: str, conversation: str, drawing: Drawing) -> None:
        """Say something in a conversation, or a thread of it, that somebody just wrote in from this service address."""
        await _teams(self._sent(service, conversation, drawing))

    async def say_to(self, person: str, drawing: Drawing) -> None:
        """Say something to one person (by object id), in their own chat with us."""
        await self._post(await self._place(f"teams:{person}"), lambda call: drawing)

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        """Nothing: Teams lets a bot search no conversation. A copy is closed when somebody sees it (views.py)."""
        return None

    def pointer(self, request: Request, original: Mapping[str, str]) -> Drawing:
        """What a copy of a request's card shows: the way to the card."""
        to = link("open it", original["conversation"], original["activity"], self._identity.tenant)
        return draw_pointer(card_of(request), to)

    async def close(self, copy: Mapping[str, str], request: Request, original: Mapping[str, str]) -> None:
        """Take the buttons from a copy of a card, for everybody. Idempotent."""
        await self._change(copy, self.pointer(request, original), waits=True)

    @property
    def takes_files(self) -> bool:
        """No: in a channel a bot cannot put one, only a link to where an organisation keeps its files."""
        return False

    async def attach(self, reference: Mapping[str, str], request: Request) -> None:
        """Refused; the review shows the whole."""
        raise ChatRefused("no_files", "read the whole in the review")

    def rows(self, destination: str) -> int:
        """How many requests fit into one message."""
        return ROWS

    async def post_shared(self, destination: str, message: str, rows: Sequence[Row]) -> Mapping[str, str]:
        """Show several requests in a new message, at most once."""
        place, mark = await self._place(destination), new_mark()
        return await self._post(
            place,
            lambda call: self.drawn_together(rows, place.id, mark, call),
            called_by([seat for row in rows for seat in row.needs], self._identity.tenant),
            mark,
        )

    async def update_shared(self, reference: Mapping[str, str], rows: Sequence[Row | None]) -> None:
        """Change a shared message so that it shows these rows."""
        waits = any(row is not None and row.buttons for row in rows)
        place, mark = reference["conversation"], reference.get(MARK, "")
        await self._change(reference, self.drawn_together(rows, place, mark), waits=waits)

    def paces(self, errand: Errand, destination: str) -> Sequence[Pace]:
        """Messages count in their thread, edits in the tenant."""
        if errand is Errand.EDIT:
            return (EDITS,)
        return tuple(replace(pace, name=f"{destination}{pace.name}") for pace in (AT_ONCE, IN_AN_HOUR))

    async def _post(
        self, place: Place, drawn: Drawn, called: Sequence[Callee] = (), mark: str = ""
    ) -> Mapping[str, str]:
        return reference_to(place.id, await self._say(place.service, place.id, drawn, called), mark)

    async def _say(self, service: str, conversation: str, drawn: Drawn, called: Sequence[Callee] = ()) -> str:
        """Send a message, which notifies these people; the id it got."""
        call = await self._mentions(called)
        return await _teams(self._tried(service, conversation, drawn, call))

    async def _tried(self, service: str, conversation: str, drawn: Drawn, call: Call) -> str:
        """Where Teams finds it wrong, so that nothing was sent, it is sent without mentions: it has to be seen."""
        try:
            return await self._sent(service, conversation, drawn(call))
        except ApiRefused as refusal:
            if refusal.status != HTTPStatus.BAD_REQUEST or not call.mentions:
                raise
            log.warning("teams_takes_no_mentions", conversation=conversation, code=refusal.code)
            return await self._sent(service, conversation, drawn(NOBODY))

    async def _sent(self, service: str, conversation: str, drawing: Drawing) -> str:
        return await self._connector.send(service, conversation, message(drawing.card, drawing.spoken))

    async def _mentions(self, called: Sequence[Callee]) -> Call:
        """How the first of these are mentioned. Teams mixes mentions up where it knows somebody no more: they are none.

        https://learn.microsoft.com/answers/questions/5587981
        """
        asked = called[:MOST]
        names = await asyncio.gather(*map(self._name, asked))
        found = [(who, name) for who, name in zip(asked, names, strict=True) if name is not None]
        return call(found, more=len(called) - len(asked))

    def _for_whom(self, note: Note) -> list[Callee]:
        return callees([*note.asked, *members_of(note.groups)], self._identity.tenant)

    async def _name(self, who: Callee) -> str | None:
        """What somebody is called here, or by policy where nobody can say; None where they are no member any more."""
        try:
            name = await self._names(who.user)
        except DirectoryUnavailable:
            name = ""
        return who.known_as if name == "" else name

    async def _change(self, reference: Mapping[str, str], drawing: Drawing, *, waits: bool) -> None:
        """Change a message; where it is gone and nobody has to answer it, say what it says in a new one."""
        place = reference["conversation"]
        service = await self._service(place)
        try:
            await _teams(self._patiently(service, place, reference["activity"], drawing))
        except ChatRefused as refusal:
            if refusal.code != GONE or waits:
                raise
            log.warning("teams_message_is_gone", conversation=place)
            await _teams(self._sent(service, place, drawing))

    async def _patiently(self, service: str, place: str, activity: str, drawing: Drawing) -> None:
        """A PUT may be repeated; Teams now and then does not find a message that is there."""
        body = message(drawing.card, drawing.spoken)
        for pause in (*self._look_again, None):
            try:
                return await self._connector.update(service, place, activity, body)
            except ApiRefused as exc:
                if exc.code != GONE or pause is None:
                    raise
                await asyncio.sleep(pause)

    def drawn(
        self, request: Request, card: Card, place: str, mark: str, notice: str = "", call: Call = NOBODY
    ) -> Drawing:
        """A card in a place, with words for one person above it; `mark` is that of its message."""
        value = self._marks.value(Sealed(card.request, card.digest()), place, mark)
        return draw(card, value=value, notice=notice, denials=request.presentation.denials, call=call)

    def drawn_together(self, rows: Sequence[Row | None], place: str, mark: str, call: Call = NOBODY) -> Drawing:
        """A shared message in a place."""
        values = [self._marks.value(Sealed(row.request, row.digest()), place, mark) if row else "" for row in rows]
        return draw_rows(rows, values, call)

    async def _place(self, destination: str) -> Place:
        """Where a destination is; a chat with a person is opened where there is none yet."""
        name = destination.removeprefix("teams:")
        if person := guid(name):
            return await self._places.person(person) or await self._opened(person)
        known = await self._places.channel(name) or Place(id=name, service=await self._service(name), kind="")
        place = await self._channels.kind_of(known)
        if place.private:
            raise _refused("private_channel")
        await self._outsiders.must_not_read(destination, place)
        return place

    async def account_of(self, service: str, place: str, member: str) -> str:
        """The account of somebody in a place (by `29:…`), as the policy writes it; empty where Teams does not say."""
        try:
            found = await self._connector.member(service, place, member)
        except ApiProblem as exc:
            log.warning("teams_member_not_found", error=str(exc))
            return ""
        tenant, user = guid(found.get("tenantId")), object_id(found)
        return f"{self.name}:{tenant}:{user}" if tenant and user else ""

    async def learn(self, activity: Mapping[str, Any]) -> None:
        """Learn from an activity which kinds of channels its team has."""
        await self._channels.learn(activity)

    async def _roster(self, place: Place) -> Sequence[Mapping[str, Any]]:
        return await _teams(self._connector.members(place.service, place.id), changes=False)

    async def _opened(self, person: str) -> Place:
        service = await self._service("")
        opening = self._connector.open_personal(service, self._identity.tenant, person, self._identity.app)
        place = Place(id=await _teams(opening, changes=False), service=service, kind="personal")
        await self._places.remember(person, place)
        return place

    async def _service(self, place: str) -> str:
        """The address of a place's part of the connector; a place we never heard from is asked at our tenant's."""
        known = await self._places.channel(place) if place else None
        found = known.service if known else await self._places.service(self._identity.tenant)
        if not found:
            raise _refused("not_installed")
        return found

    async def _has_threads(self, place: str) -> bool:
        known = await self._places.channel(place)
        return known.kind == "channel" if known else place.endswith(CHANNELS)


async def _teams(call: Awaitable[T], *, changes: bool = True) -> T:
    """The answer to a call, with Microsoft's problems as the rules know them; `changes` when it shows something."""
    try:
        return await call
    except ApiLimited as exc:
        raise ChatUnavailable(str(exc), retry_after=exc.retry_after) from exc
    except ApiSilent as exc:
        raise ChatUnavailable(str(exc), maybe_done=changes and exc.maybe_done) from exc
    except ApiRefused as exc:
        raise _refused(exc.code) from exc


def _refused(code: str) -> ChatRefused:
    remedy = _REMEDIES.get(code, "look the code up at learn.microsoft.com/microsoftteams/platform")
    return ChatRefused(code, remedy, place=code in _REMEDIES and code not in _ABOUT_A_MESSAGE)
