"""What somebody is told who gave a command: a title, rows, and buttons that are commands themselves.

A platform draws this; it decides nothing. `title` and labels are ours; every other text is drawn literally, since it
may be an agent's or a person's. A button is no authority: it runs its command as if its person had typed it.
"""

from __future__ import annotations

from collections.abc import Mapping

from approvals.action import Frozen
from approvals.card import Who
from approvals.text import clipped, one_line

LONGEST = 200  #: characters of one text in a row


class Words(Frozen):
    """Text, drawn as it stands; `code` is for what others wrote, so that it is told from our own words."""

    text: str
    bold: bool = False
    code: bool = False


class At(Frozen):
    """An instant (ms), in the reader's own time zone."""

    at: int


class Person(Frozen):
    """A person, by their account on the platform that draws it, if they have one there."""

    who: Who


class Place(Frozen):
    """Where a card stands; drawn as a link by the platform that posted it, by others not at all."""

    destination: str
    reference: Mapping[str, str]


class Typed(Frozen):
    """How a command is written; each platform puts before it what its people type."""

    command: str


Piece = Words | At | Person | Place | Typed
Line = tuple[Piece, ...]


class Button(Frozen):
    """A command to be given by a click; `asks` is what has to be said first, in words that are put after it."""

    label: str
    command: str
    asks: str = ""
    danger: bool = False


class Row(Frozen):
    """Some lines and the buttons that belong to them."""

    lines: tuple[Line, ...]
    buttons: tuple[Button, ...] = ()


class Answer(Frozen):
    """The whole answer; `buttons` stand at its end."""

    title: str
    rows: tuple[Row, ...] = ()
    buttons: tuple[Button, ...] = ()


def ours(text: str) -> Words:
    """Words of ours."""
    return Words(text=text)


def bold(text: str) -> Words:
    """Words of ours that matter."""
    return Words(text=text, bold=True)


def theirs(text: str) -> Words:
    """Somebody else's words, safe to look at and not too long."""
    return Words(text=clipped(one_line(text), LONGEST), code=True)


def told(title: str, *pieces: Piece | str, buttons: tuple[Button, ...] = ()) -> Answer:
    """An answer of one line; texts among the pieces are ours."""
    return Answer(title=title, rows=(row(*pieces),) if pieces else (), buttons=buttons)


def row(*pieces: Piece | str, buttons: tuple[Button, ...] = ()) -> Row:
    """A row of one line."""
    return Row(lines=(line(*pieces),), buttons=buttons)


def line(*pieces: Piece | str) -> Line:
    """A line; texts among the pieces are ours."""
    return tuple(ours(piece) if isinstance(piece, str) else piece for piece in pieces if piece != "")
