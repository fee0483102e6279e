"""Several requests in one Slack message: a row each, with buttons of its own; nothing decides more than one.

A row is one rich text and its buttons. Untrusted text stands only as literal text, as on a card (blocks.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from approvals.card import Said, Seat
from approvals.lifecycle import Status
from approvals.rows import Row
from handlers.slack.blocks import Drawing, button, mark, people_of, person, risk_words, sentence
from handlers.slack.elements import TIME, Json, emoji, listed, quiet, section, text, when
from handlers.slack.forms import actions
from handlers.slack.table import tables

_LEAD = "they came faster than Slack lets me post, and each is decided on its own"
_DOT = text(" · ")
_MOST_MENTIONS = 10


def draw_rows(rows: Sequence[Row | None], values: Sequence[str], *, team: str) -> Drawing:
    """The rows in their order, a forgotten one as a line that says so; `values` are what each row's buttons carry."""
    waiting = sum(row is not None and row.status is Status.PENDING for row in rows)
    blocks = [_lead(rows, waiting, team)]
    for row, value in zip(rows, values, strict=True):
        blocks += _forgotten() if row is None else _row(row, value, team)
    return Drawing(blocks, _spoken(rows, waiting))


def _lead(rows: Sequence[Row | None], waiting: int, team: str) -> Json:
    if not waiting:
        return section([text(f"{len(rows)} requests came at once", "bold"), text("; none of them waits any more")])
    asked = _asked(rows, team)
    line = [text(f"{waiting} of {len(rows)} requests are waiting", "bold"), text(f" · {_LEAD}")]
    return section([*line, text(" · "), *listed(asked)] if asked else line)


def _asked(rows: Sequence[Row | None], team: str) -> list[Json]:
    """Those who are asked in any of the rows and are to be mentioned, each once; a mention notifies once a message."""
    seats = [seat for row in rows if row is not None for seat in row.needs if seat.got < seat.need]
    found = [mentioned for seat in seats for mentioned in people_of(seat, team)]
    return [element for place, element in enumerate(found) if element not in found[:place]][:_MOST_MENTIONS]


def _forgotten() -> Iterator[Json]:
    yield quiet([text("a request that is no longer kept")])


def _row(row: Row, value: str, team: str) -> Iterator[Json]:
    yield {"type": "rich_text", "elements": list(_parts(row, team))}
    if row.buttons:
        yield actions([button(name, row, value) for name in row.buttons])


def _parts(row: Row, team: str) -> Iterator[Json]:
    """What would happen, to what, with which arguments; then who asks, who is needed, and until when."""
    yield _line(_heading(row, team))
    yield _line([text(row.kind, "code"), text("  →  "), text(row.target, "code"), *_missing(row)])
    for table in tables(row.arguments):
        yield {"type": "rich_text_preformatted", "elements": [text(table)]}
    if row.reason:
        yield {"type": "rich_text_quote", "elements": [text(row.reason)]}
    yield _line(_asks(row, team))


def _heading(row: Row, team: str) -> list[Json]:
    notes = [risk_words(row.risk), row.note] if row.status is Status.PENDING else [row.note]
    words = sentence(row.summary) if row.status is Status.PENDING else []
    line = [text(row.code, "bold"), text("  "), emoji(mark(row.status, row.risk, emergency=row.emergency)), text(" ")]
    line += words or [text(row.heading, "bold")]
    line += [text(f" · {note}") for note in notes if note]
    return [*line, text(" "), *listed([person(who, team) for who in row.by])] if row.by else line


def _missing(row: Row) -> list[Json]:
    return [] if row.whole else [text("  "), emoji("eyes"), text(" not all of it is shown here", "italic")]


def _asks(row: Row, team: str) -> list[Json]:
    line = [text(row.agent, "code"), text(" asks for "), person(row.principal, team)]
    if row.said:
        line += [_DOT, *listed([_voice(said, team) for said in row.said])]
    if row.needs:
        line += [text(" · needs ")]
        for place, seat in enumerate(row.needs):
            line += [text(" and ")] if place else []
            line += _seat(seat)
    return [*line, text(" · expires "), when(row.expires_at, TIME)] if row.expires_at is not None else line


def _voice(said: Said, team: str) -> Json:
    """Who has answered: a yes names the person, anything else needs no more room here than the word."""
    return person(said.who, team) if said.answer == "approve" else text(f"{said.who.person}: no")


def _seat(seat: Seat) -> Sequence[Json]:
    progress = text(f"{seat.name} {seat.got} of {seat.need}", "bold")
    return [progress, text(f" ({seat.hitch})")] if seat.hitch else [progress]


def _line(elements: Sequence[Json]) -> Json:
    return {"type": "rich_text_section", "elements": [*elements, text("\n")]}


def _spoken(rows: Sequence[Row | None], waiting: int) -> str:
    """For notifications: our own words and codes alone."""
    codes = ", ".join(row.code for row in rows if row is not None and row.status is Status.PENDING)
    return f"{waiting} approvals needed: {codes}" if waiting else f"{len(rows)} requests, none of them waiting"
