"""An answer to a command as an Adaptive Card; its buttons are commands, given as if their person had typed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from approvals.commands.answers import Answer, At, Button, Line, Person, Piece, Place, Row, Typed, Words
from handlers.teams.cards import Drawing
from handlers.teams.elements import Json, card, line, link, literal, ours, plainly, utc
from handlers.teams.shapes import text

SAY = "say"
COMMAND = "command"  #: where a button carries its command
AT = "at"  #: where it carries the channel or chat in which the first command was given, if that is elsewhere
WORDS = "words"  #: the beginning of the name of an input whose text is put after it
_LONGEST = 500


def draw_answer(answer: Answer, *, tenant: str, at: str = "") -> Drawing:
    """The answer as a card for somebody of our tenant; `at` is where they asked, if it is shown elsewhere."""
    also = {AT: at} if at else {}
    body = [line([ours(answer.title, weight="Bolder", size="Medium")])]
    for number, row in enumerate(answer.rows):
        body += _row(row, number, tenant, also)
    actions = [_button(button, f"end-{place}", also) for place, button in enumerate(answer.buttons)]
    return Drawing(card(body, actions, spoken=plainly(answer.title), teams={"width": "Full"}), plainly(answer.title))


def command_of(data: Mapping[str, Any]) -> str:
    """The command of a button that was pressed, with what was entered beside it; empty if it carries none."""
    command = text(data.get(COMMAND))
    words = [text(value) for name, value in data.items() if name.startswith(WORDS)]
    if not command:
        return ""
    return f"{command} {' '.join(words).strip()[:_LONGEST]}".strip()


def _row(row: Row, number: int, tenant: str, also: Json) -> Iterator[Json]:
    drawn = [line(_pieces(one, tenant), spacing="None" if index else "Small") for index, one in enumerate(row.lines)]
    if row.buttons:
        buttons = [_button(button, f"{number}-{place}", also) for place, button in enumerate(row.buttons)]
        drawn.append({"type": "ActionSet", "spacing": "Small", "actions": buttons})
    if drawn:
        yield {"type": "Container", "separator": number > 0, "items": drawn}


def _pieces(pieces: Line, tenant: str) -> Sequence[Json]:
    return [run for piece in pieces for run in _runs(piece, tenant)] or [ours("–")]


def _runs(piece: Piece, tenant: str) -> Sequence[Json]:
    match piece:
        case Words(text=words, bold=bold, code=code):
            return literal(words) if code else [ours(words, **({"weight": "Bolder"} if bold else {}))]
        case At(at=at):
            return [ours(utc(at))]
        case Person(who=who):
            return literal(who.person)
        case Typed(command=command):
            return literal(command)
        case Place(destination=destination, reference=reference):
            return _link(destination, reference, tenant)


def _link(destination: str, reference: Mapping[str, str], tenant: str) -> Sequence[Json]:
    """A link to a card in Teams; of others nothing can be told here."""
    if not destination.startswith("teams:") or not reference.get("activity"):
        return []
    return [ours(" · "), link("open the card", reference["conversation"], reference["activity"], tenant)]


def _button(button: Button, name: str, also: Json) -> Json:
    style = "destructive" if button.danger else "default"
    data = {COMMAND: button.command, **also}
    action: Json = {"type": "Action.Execute", "title": button.label, "verb": SAY, "data": data}
    if not button.asks:
        return action | {"style": style}
    field = {
        "type": "Input.Text",
        "id": f"{WORDS}-{name}",
        "label": button.asks,
        "isRequired": True,
        "errorMessage": "Say it in a few words.",
        "maxLength": _LONGEST,
    }
    inner = card([field], [action | {"style": style}], spoken=button.label)
    return {"type": "Action.ShowCard", "title": button.label, "style": style, "card": inner}
