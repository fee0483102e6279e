"""Whom a new message calls: a line of mentions, and the entities by which Teams notifies those people and nobody else.

A mention works only in a block that reads markup, so a name is ground down to what can be none, whoever chose it.
Teams finds what a mention stands for by its words, so no two people are mentioned by the same ones.
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format#mention-support
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from approvals.card import Group, Seat, Who
from handlers.teams.elements import Json, fixed

MOST = 20  #: people whom one message calls
_LONGEST = 60  #: characters of a name
_NOT_IN_A_NAME = re.compile(r"[^\w '.-]|_|\.(?=\S)")


@dataclass(frozen=True)
class Callee:
    """Somebody who is to be notified: their object id, and the person they are to the policy."""

    user: str
    person: str

    @property
    def known_as(self) -> str:
        """What policy calls them; empty where it names them nowhere, so that they are an account of theirs."""
        return "" if ":" in self.person else self.person


@dataclass(frozen=True)
class Mention:
    """Somebody who is notified, and the name they are mentioned by."""

    who: Callee
    name: str

    @property
    def words(self) -> str:
        """What stands in the message in their place."""
        return f"<at>{self.name}</at>"


@dataclass(frozen=True)
class Call:
    """Everybody whom a message notifies, and how many `more` it would have to."""

    mentions: tuple[Mention, ...] = ()
    more: int = 0

    def names(self, who: Who) -> bool:
        """Whether somebody is among those mentioned."""
        return any(mention.who.person == who.person for mention in self.mentions)

    def line(self, **style: str) -> list[Json]:
        """The line in which they are mentioned; none where nobody is."""
        if not self.mentions:
            return []
        more = f" and {self.more} more" if self.more else ""
        return [fixed(", ".join(mention.words for mention in self.mentions) + more, **style)]

    def entities(self) -> Json:
        """What a card tells Teams of its mentions; nothing where there are none."""
        found = [
            {"type": "mention", "text": one.words, "mentioned": {"id": one.who.user, "name": one.name}}
            for one in self.mentions
        ]
        return {"entities": found} if found else {}


NOBODY = Call()  #: what an edit calls: it notifies nobody


def called_by(seats: Iterable[Seat], tenant: str) -> list[Callee]:
    """The users of our tenant whom a new card calls."""
    open_ones = [seat for seat in seats if seat.notify == "mention" and seat.got < seat.need]
    return callees([who for seat in open_ones for who in (*seat.people, *members_of(seat.groups))], tenant)


def callees(people: Iterable[Who], tenant: str) -> list[Callee]:
    """The users of our tenant among these people, each once."""
    users = {user: who.person for who in people if (user := who.user_of("teams", tenant))}
    return [Callee(user, person) for user, person in users.items()]


def members_of(groups: Iterable[Group]) -> list[Who]:
    """The members of groups, who are named one by one: Teams lets a bot mention no group."""
    return [who for group in groups for who in group.people]


def call(asked: Sequence[tuple[Callee, str]], more: int = 0) -> Call:
    """A call to these, by these names (of anybody's choice)."""
    found: dict[str, Mention] = {}
    for who, given in asked:
        name = harmless(given)
        free = next(free for number in range(len(found) + 1) if (free := _numbered(name, number)) not in found)
        found[free] = Mention(who, free)
    return Call(tuple(found.values()), more)


def harmless(name: str) -> str:
    """A name of anybody's without what could be markup, a template or a link."""
    plain = _NOT_IN_A_NAME.sub("-", unicodedata.normalize("NFC", name)[:_LONGEST]).strip()
    return plain if plain.strip("-' .") else "somebody"


def _numbered(name: str, number: int) -> str:
    return f"{name} {number + 1}" if number else name
