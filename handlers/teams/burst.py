"""Several requests in one message: a row each, with buttons of its own; nothing decides more than one.

Untrusted text stands only in literal runs, as on a card (cards.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from approvals.lifecycle import Status
from approvals.rows import Row
from handlers.teams.cards import DATA, ROW, Drawing, buttons_of, heading, refresh_of, seats, voice
from handlers.teams.elements import Json, card, fixed, line, lines, literal, local_time, ours, quiet, row
from handlers.teams.mentions import NOBODY, Call

_LEAD = "they came faster than Teams lets me post, and each is decided on its own"


def draw_rows(rows: Sequence[Row | None], values: Sequence[str], call: Call = NOBODY) -> Drawing:
    """The rows in their order, a forgotten one as a line that says so; `values` are what each row's buttons carry.

    `call` is whom a new message mentions: for all of its rows at once, since it notifies once.
    """
    waiting = [one.code for one in rows if one is not None and one.status is Status.PENDING]
    spoken = (
        f"{len(waiting)} approvals needed: {', '.join(waiting)}" if waiting else f"{len(rows)} requests, all answered"
    )
    body = [_lead(len(rows), len(waiting)), *call.line(spacing="Small")]
    for one, value in zip(rows, values, strict=True):
        body.append(_forgotten() if one is None else _row(one, value))
    open_ones = [(one, value) for one, value in zip(rows, values, strict=True) if one is not None and one.buttons]
    refresh = refresh_of([one for one, _ in open_ones], open_ones[0][1]) if open_ones else None
    return Drawing(card(body, spoken=spoken, teams={"width": "Full", **call.entities()}, refresh=refresh), spoken)


def _lead(count: int, waiting: int) -> Json:
    if waiting:
        return line([ours(f"{waiting} of {count} requests are waiting", weight="Bolder"), ours(f" · {_LEAD}")])
    return line([ours(f"{count} requests came at once", weight="Bolder"), ours("; none of them waits any more")])


def _forgotten() -> Json:
    return quiet([ours("a request that is no longer kept")])


def _row(one: Row, value: str) -> Json:
    """What would happen, to what, with which arguments; then who asks, who is needed, and until when."""
    items = [
        line([ours(f"{one.code}  ", weight="Bolder"), *heading(one)]),
        line([*literal(one.kind), ours("  →  "), *literal(one.target), *_missing(one)], spacing="Small"),
        *(row(argument.name, argument.value) for argument in one.arguments),
        *(lines(one.reason.split("\n")) if one.reason else []),
        quiet(_asks(one)),
    ]
    if one.expires_at is not None:
        items.append(fixed(f"Expires {local_time(one.expires_at)}", size="Small", isSubtle=True, spacing="None"))
    if buttons := buttons_of(one.buttons, one, {DATA: value, ROW: True}):
        items.append({"type": "ActionSet", "actions": buttons})
    return {"type": "Container", "separator": True, "spacing": "Medium", "items": items}


def _missing(one: Row) -> list[Json]:
    return [] if one.whole else [ours("  👀 not all of it is shown here", italic=True)]


def _asks(one: Row) -> Iterator[Json]:
    yield from literal(one.agent)
    yield ours(" asks for ")
    yield from literal(one.principal.person)
    for said in one.said:
        yield ours(" · ")
        yield from voice(said)
    if one.needs:
        yield ours(" · needs ")
        yield from seats(one.needs)
