"""A chat platform in this process: channels, messages and a script of what goes wrong."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from approvals.card import Card
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.ports import Errand, Pace
from approvals.request import Request
from approvals.rows import Row


@dataclass
class Message:
    """A message as it stands in a channel."""

    destination: str
    request: str
    at: int
    card: Card


@dataclass
class SharedMessage:
    """A message that requests share."""

    destination: str
    name: str
    at: int
    rows: Sequence[Row | None]


@dataclass
class Trouble:
    """What a call meets: an error, before or after the work was done."""

    error: Exception
    after: bool = False


class Chat:
    """A ChatPlatform named slack. `trouble[method]` is what the next calls of a method meet, in order."""

    name = "slack"

    def __init__(
        self, now: Callable[[], int], *, per_minute: int = 6_000, burst: int = 100, most_rows: int = 1
    ) -> None:
        self._now = now
        self._pace = (per_minute, burst)
        self._most_rows = most_rows
        self.messages: dict[str, Message] = {}
        self.shared: dict[str, SharedMessage] = {}
        self.trouble: defaultdict[str, list[Trouble]] = defaultdict(list)
        self.calls: list[str] = []
        self.closed: set[str] = set()  #: destinations where nobody may post
        self.blind = False  #: whether lost posts cannot be looked for
        self.notes: list[tuple[str, Note]] = []  #: what was said under which message
        self.announced: list[tuple[str, Note]] = []  #: what was said where
        self.takes_files = True
        self.files: list[tuple[str, str]] = []  #: under which message the whole of which request lies

    def meets(self, method: str, error: Exception, *, after: bool = False) -> None:
        """The next call of a method that meets nothing yet fails with this."""
        self.trouble[method].append(Trouble(error, after))

    def at(self, destination: str) -> list[Message]:
        """What stands in a channel."""
        return [message for message in self.messages.values() if message.destination == destination]

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        trouble = await self._begin("post")
        if destination in self.closed:
            raise ChatRefused("not_in_channel", "invite the bot", place=True)
        reference = self._next()
        self.messages[reference] = Message(destination, request.id, self._now(), card)
        _end(trouble)
        return {"ts": reference}

    async def update(self, reference: Mapping[str, str], request: Request, card: Card) -> None:
        trouble = await self._begin("update")
        if reference["ts"] not in self.messages:
            raise ChatRefused("message_not_found", "the card was deleted")
        self.messages[reference["ts"]].card = card
        _end(trouble)

    def rows(self, destination: str) -> int:
        return self._most_rows

    async def post_shared(self, destination: str, message: str, rows: Sequence[Row]) -> Mapping[str, str]:
        trouble = await self._begin("post_shared")
        if destination in self.closed:
            raise ChatRefused("not_in_channel", "invite the bot", place=True)
        reference = self._next()
        self.shared[reference] = SharedMessage(destination, message, self._now(), rows)
        _end(trouble)
        return {"ts": reference}

    async def update_shared(self, reference: Mapping[str, str], rows: Sequence[Row | None]) -> None:
        trouble = await self._begin("update_shared")
        if reference["ts"] not in self.shared:
            raise ChatRefused("message_not_found", "the message was deleted")
        self.shared[reference["ts"]].rows = rows
        _end(trouble)

    async def announce(self, destination: str, note: Note) -> None:
        trouble = await self._begin("announce")
        self.announced.append((destination, note))
        _end(trouble)

    async def reply(self, reference: Mapping[str, str], note: Note) -> None:
        trouble = await self._begin("reply")
        self.notes.append((reference["ts"], note))
        _end(trouble)

    async def attach(self, reference: Mapping[str, str], request: Request) -> None:
        trouble = await self._begin("attach")
        self.files.append((reference["ts"], request.id))
        _end(trouble)

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        await self._begin("find_posted")
        cards = {reference: (one.destination, one.request, one.at) for reference, one in self.messages.items()}
        rows = {reference: (one.destination, one.name, one.at) for reference, one in self.shared.items()}
        for reference, (where, what, at) in (cards | rows).items():
            if not self.blind and (where, what) == (destination, about):
                return {"ts": reference} if at >= since else None
        return None

    def paces(self, errand: Errand, destination: str) -> Sequence[Pace]:
        return (Pace(f"{self.name}:edits", 6_000, 100) if errand is Errand.EDIT else Pace(destination, *self._pace),)

    def _next(self) -> str:
        return str(len(self.messages) + len(self.shared) + 1)

    async def _begin(self, method: str) -> Trouble | None:
        self.calls.append(method)
        await asyncio.sleep(0)  # as over a network
        trouble = self.trouble[method].pop(0) if self.trouble[method] else None
        if trouble is not None and not trouble.after:
            raise trouble.error
        return trouble


def _end(trouble: Trouble | None) -> None:
    if trouble is not None:
        raise trouble.error


def silent(*, maybe_done: bool = True) -> ChatUnavailable:
    """No answer came."""
    return ChatUnavailable("no answer", maybe_done=maybe_done)


def limited(seconds: float) -> ChatUnavailable:
    """Too many posts: come back later."""
    return ChatUnavailable("slow down", retry_after=seconds)
