"""An answer to a command, drawn: as a message for one person, as a modal, or as a part of the home tab."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from approvals.commands.answers import Answer, At, Button, Line, Person, Piece, Place, Row, Typed, Words
from handlers.slack.blocks import person
from handlers.slack.elements import Json, channel, link, mention, section, text, when
from handlers.slack.forms import actions, button, modal, plain_text, text_input
from handlers.slack.identity import Identity

NAME = "/sayso"
SAY = "sayso:say"  #: action ids of buttons that give a command at once, with a number behind
ASK = "sayso:ask"  #: of those that ask for words first
ASK_FORM = "sayso:ask-form"
REFRESH = "sayso:home"
WORDS = "sayso:words"  #: block and action id of the input
SCREEN = "sayso:screen"
LONGEST = 500  #: characters of what is asked for
_OURS = "slack:"  #: before the id of a place
_LABEL = 24  #: characters that Slack takes on a modal's buttons and in its title


@dataclass(frozen=True)
class Drawn:
    """An answer as a message: blocks, and a sentence of our words alone for screen readers."""

    spoken: str
    elements: Sequence[Json]

    def blocks(self) -> list[Json]:
        """The message's blocks."""
        return list(self.elements)


@dataclass(frozen=True)
class Said:
    """What a button or a form carries: a command, where it is given, and what to ask for before."""

    command: str
    ask: str = ""
    label: str = ""
    channel: str = ""

    def carried(self) -> str:
        """As it stands in a button's value or a form's metadata: ids and the person's own words, nothing secret."""
        return json.dumps({name: value for name, value in vars(self).items() if value}, ensure_ascii=False)


class Replies:
    """Draws answers for one workspace."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def message(self, answer: Answer) -> Drawn:
        """A message for the eyes of one person."""
        return Drawn(answer.title, [section([text(answer.title, "bold")]), *self._body(answer, count())])

    def screen(self, answer: Answer, channel: str = "") -> Json:
        """A modal."""
        blocks = [section([text(answer.title, "bold")]), *self._body(answer, count())]
        return modal(SCREEN, "Sayso", blocks, carries=Said("", channel=channel).carried())

    def home(self, parts: Sequence[Answer], now: int) -> Json:
        """The home tab: every part under a heading of its own."""
        numbers = count()
        blocks: list[Json] = [section([text("As of "), when(now)]), actions([button("Refresh", REFRESH)])]
        for part in parts:
            blocks += [{"type": "header", "text": plain_text(part.title)}, *self._body(part, numbers)]
        return {"type": "home", "blocks": blocks}

    def _body(self, answer: Answer, numbers: Iterator[int]) -> Iterator[Json]:
        for one in answer.rows:
            yield self._row(one)
            yield from _buttons(one.buttons, numbers)
        yield from _buttons(answer.buttons, numbers)

    def _row(self, row: Row) -> Json:
        elements: list[Json] = []
        for line in row.lines:
            elements += [text("\n")] if elements else []
            elements += self._line(line)
        return section(elements)

    def _line(self, line: Line) -> list[Json]:
        places = [piece for piece in line if isinstance(piece, Place) and piece.destination.startswith(_OURS)]
        return [element for piece in line for element in self._piece(piece, several=len(places) > 1)]

    def _piece(self, piece: Piece, *, several: bool) -> list[Json]:
        match piece:
            case Words(text=words, bold=bold, code=code):
                return [text(words, "code" if code else "bold" if bold else None)]
            case At(at=at):
                return [when(at)]
            case Person(who=who):
                return [person(who, self._identity.team)]
            case Typed(command=command):
                return [text(f"{NAME} {command}", "code")]
            case Place(destination=destination, reference=reference):
                return self._card(destination, reference, several=several)

    def _card(self, destination: str, reference: Any, *, several: bool) -> list[Json]:
        """A link to a card in Slack, with its place where there are several; of others nothing can be told here."""
        if not destination.startswith(_OURS):
            return []
        found = [text(" · "), link(self._identity.permalink(reference["channel"], reference["ts"]), "open the card")]
        return [*found, text(" in "), _place(destination.removeprefix(_OURS))] if several else found


def _place(place: str) -> Json:
    """A channel, or a person for their direct messages: Slack writes its name for whoever may know it."""
    return mention(place) if place.startswith(("U", "W")) else channel(place)


def form(said: Said) -> Json:
    """The modal that asks for the words of a command."""
    field = text_input(WORDS, said.ask, longest=LONGEST, multiline=False, focus=True)
    carries = Said(said.command, channel=said.channel).carried()
    view = modal(ASK_FORM, "Sayso", [field], close="Cancel", carries=carries)
    return view | {"submit": plain_text(said.label[:_LABEL])}


def said_in(value: object) -> Said | None:
    """What a value carries, if it is one of ours."""
    try:
        members = json.loads(value) if isinstance(value, str) else None
        return Said(**members) if isinstance(members, dict) and all(map(_is_text, members.values())) else None
    except (ValueError, TypeError):
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _buttons(buttons: Sequence[Button], numbers: Iterator[int]) -> Iterator[Json]:
    if buttons:
        yield actions([_button(one, next(numbers)) for one in buttons])


def _button(one: Button, number: int) -> Json:
    said = Said(one.command, ask=one.asks, label=one.label if one.asks else "")
    action, style = f"{ASK if one.asks else SAY}:{number}", "danger" if one.danger else None
    return button(one.label, action, value=said.carried(), style=style)
