"""A review as cards: one page of the action after the other, and Approve once each was on the screen.

The cards take the place of the clicked one for its reader alone. Their buttons carry the id of the look and the page
they stand on, which says that it was on the screen; an approval rests on what the server knows of the look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from approvals.lines import Line
from approvals.review import Look, Review
from approvals.reviewing import Opened
from handlers.reasons import LONGEST, STANDS_IN_THE_RECORD, WHY_RIGHT
from handlers.teams.cards import DATA, about, risk_mark, sentence, warnings
from handlers.teams.elements import Json, card, line, lines, literal, ours, quiet

TURN = "turn"
FROM_REVIEW = "approve-from-review"
BACK = "card"
LOOK = "look"
ON_PAGE = "on"
TO_PAGE = "to"
CODE = "code"
WHY = "why"
LARGEST = 44_000  #: characters of a page that Teams surely takes: it counts two bytes for each, up to about 100 KB


def draw_page(opened: Opened, value: str, warning: str = "") -> Json:
    """The page of a review that is to be shown; `warning` is told about what has just been tried.

    `value` is what its buttons carry beside that, sealed.
    """
    drawn = _page(opened, value, warning)
    return drawn if len(json.dumps(drawn, ensure_ascii=False)) <= LARGEST else _too_large(opened, value)


def _page(opened: Opened, value: str, warning: str) -> Json:
    look, page = opened.look, opened.page
    allowed = opened.review.complete and not look.only_reads and not set(look.unopened()) - {page}
    head = _warned(warning) if warning else []
    answering = list(_answering(opened)) if allowed else [line(_why_not_yet(opened))]
    actions = [*_turning(look, page, value), *([_approve(look, page, value)] if allowed else []), _back(value)]
    return _drawn(opened, [*head, *_body(opened), *answering], actions)


def _too_large(opened: Opened, value: str) -> Json:
    """Nothing of the page, and no way on from it: a way on says that the page was on the screen."""
    warning = "This page is too large for Teams, so this cannot be approved here."
    return _drawn(opened, _warned(warning), [_back(value)])


def _drawn(opened: Opened, body: list[Json], actions: list[Json]) -> Json:
    return card(body, actions, spoken=f"Review of request {opened.review.code}", teams={"width": "Full"})


def _warned(warning: str) -> list[Json]:
    return [line([ours(f"⚠️ {warning}", weight="Bolder")])]


def _body(opened: Opened) -> list[Json]:
    leaf = opened.review.pages[opened.page]
    head = list(_head(opened.review)) if opened.page == 0 else []
    body = [*head, quiet(_where(opened.review, opened.look, opened.page))]
    if not leaf.arguments and not leaf.preconditions:
        body.append(quiet([ours("no arguments")]))
    if leaf.preconditions:
        body.append(quiet([ours("only if this still holds when it is done")]))
    return [*body, *(block for one in (*leaf.arguments, *leaf.preconditions) for block in _member(one))]


def _member(one: Line) -> list[Json]:
    """A name in bold, and every line of its value under it: what is not bold is no name."""
    return [line(literal(one.name, weight="Bolder")), *lines(one.value)]


def _head(review: Review) -> Iterator[Json]:
    words = sentence(review.summary) or [ours(review.title, weight="Bolder")]
    undone = "can be undone" if review.reversible else "cannot be undone"
    yield line([ours(f"{risk_mark(review.risk)} "), *words, ours(f" · {undone}")])
    yield line(about(review))
    yield from warnings(hidden=review.hidden, hosts=review.hosts)
    yield quiet([*literal(review.agent), ours(" asks for "), *literal(review.principal.person)])


def _where(review: Review, look: Look, page: int) -> list[Json]:
    where = f"page {page + 1} of {look.pages}" if look.pages > 1 else "all of it"
    return [ours(where, weight="Bolder"), ours(f" · code {review.code} · digest {review.digest[7:23]}")]


def _turning(look: Look, page: int, value: str) -> list[Json]:
    """Buttons to the pages beside this one."""
    ways = [("Previous page", page - 1)] if page else []
    ways += [("Next page", page + 1)] if page + 1 < look.pages else []
    return [_execute(label, TURN, {DATA: value, LOOK: look.id, ON_PAGE: page, TO_PAGE: to}) for label, to in ways]


def _approve(look: Look, page: int, value: str) -> Json:
    return _execute("Approve", FROM_REVIEW, {DATA: value, LOOK: look.id, ON_PAGE: page}) | {"style": "positive"}


def _back(value: str) -> Json:
    return _execute("Back to the card", BACK, {DATA: value})


def _execute(title: str, verb: str, data: dict[str, Any]) -> Json:
    return {"type": "Action.Execute", "title": title, "verb": verb, "data": data}


def _answering(opened: Opened) -> Iterator[Json]:
    """What an approval takes besides Approve."""
    terms = opened.terms
    if terms.min_look:
        seconds = -(-terms.min_look // 1000)
        yield quiet([ours(f"It can be approved once it was in front of you for {seconds} seconds")])
    if "approve" in terms.reasons:
        yield _field(WHY, f"{WHY_RIGHT} {STANDS_IN_THE_RECORD}", LONGEST)
    if terms.confirm_code:
        code = opened.review.confirm_code()
        yield line([ours("To confirm, type the code of what you have read: "), ours(code, weight="Bolder")])
        yield _field(CODE, "Code", 20)


def _field(name: str, label: str, longest: int) -> Json:
    needed = {"isRequired": True, "errorMessage": "It is needed."}
    return {"type": "Input.Text", "id": name, "label": label, "maxLength": longest, **needed}


def _why_not_yet(opened: Opened) -> list[Json]:
    if opened.look.only_reads:
        return [ours(f"🔒 You can read this and not approve it. {opened.look.only_reads}")]
    if not opened.review.complete:
        return [ours("⛔ This is too long for anybody to review, so nobody can approve it.")]
    return [ours("👀 Approve appears here once you have opened every page.")]
