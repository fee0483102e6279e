"""A review as a modal: one page of the action after the other, and Approve once each was on the screen.

The modal carries the id of the look and nothing else; what it shows of an action is literal text, as on a card.
"""

from __future__ import annotations

from collections.abc import Iterator

from approvals.lifecycle import Status
from approvals.review import Look, Review
from approvals.reviewing import Opened
from handlers.reasons import LONGEST, STANDS_IN_THE_RECORD, WHY_RIGHT
from handlers.slack.blocks import hidden_characters, mark, odd_host, person, risk_words, sentence
from handlers.slack.elements import Json, emoji, quiet, section, text
from handlers.slack.forms import actions, button, modal, plain_text, text_input
from handlers.slack.members import members

REVIEW_FORM = "sayso:review-form"
PAGE = "sayso:page"
CODE = "sayso:code"  #: block and action id of the input
WHY = "sayso:why"

#: Shown at once, because Slack lets a form be opened only within three seconds of the click.
LOADING = modal("sayso:loading", "Review", [section([emoji("hourglass_flowing_sand"), text(" Fetching all of it …")])])


def page_of(opened: Opened, team: str, warning: str = "") -> Json:
    """The modal with one page; `warning` is a sentence of ours about what has just been tried."""
    look, page = opened.look, opened.page
    may = opened.review.complete and not look.only_reads and not set(look.unopened()) - {page}
    blocks = [section([emoji("warning"), text(f" {warning}", "bold")])] if warning else []
    blocks += _head(opened.review, team) if page == 0 else []
    blocks += [quiet(_where(opened.review, look, page)), *_leaf(opened), *_turning(look, page)]
    blocks += _answering(opened) if may else [section(_why_not_yet(opened))]
    view = modal(REVIEW_FORM, "Review", blocks, close="Close", carries=look.id)
    return view | {"submit": plain_text("Approve")} if may else view


def _head(review: Review, team: str) -> Iterator[Json]:
    words = sentence(review.summary) or [text(review.title, "bold")]
    undone = "can be undone" if review.reversible else "cannot be undone"
    yield section([emoji(mark(Status.PENDING, review.risk)), text(" "), *words, text(f" · {undone}")])
    about = [text(review.kind, "code"), text("  →  "), text(review.target, "code")]
    yield section([*about, text(f" · {review.effect} · {risk_words(review.risk)}")])
    if review.hidden:
        yield hidden_characters()
    for host in review.hosts:
        yield section(odd_host(host))
    yield quiet([text(review.agent, "code"), text(" asks for "), person(review.principal, team)])


def _where(review: Review, look: Look, page: int) -> list[Json]:
    where = [text(f"page {page + 1} of {look.pages}", "bold")] if look.pages > 1 else [text("all of it", "bold")]
    return [*where, text(" · code "), text(review.code, "bold"), text(f" · digest {review.digest[7:23]}")]


def _leaf(opened: Opened) -> Iterator[Json]:
    leaf = opened.review.pages[opened.page]
    if leaf.preconditions:
        yield quiet([text("only if this still holds when it is done")])
    elif not leaf.arguments:
        yield quiet([text("no arguments")])
    yield from members(leaf.arguments)
    yield from members(leaf.preconditions)


def _turning(look: Look, page: int) -> list[Json]:
    """Buttons to the pages beside this one."""
    ways = [("Back", page - 1, None)] if page else []
    ways += [("Next page", page + 1, "primary")] if page + 1 < look.pages else []  # type: ignore[list-item]
    buttons = [_turn(label, to, style) for label, to, style in ways]
    return [actions(buttons)] if buttons else []


def _turn(label: str, to: int, style: str | None) -> Json:
    return button(label, f"{PAGE}:{to}", value=str(to), style=style)


def _answering(opened: Opened) -> Iterator[Json]:
    """What an approval takes besides Approve."""
    terms = opened.terms
    if terms.min_look:
        yield quiet([text(f"It can be approved once it was in front of you for {-(-terms.min_look // 1000)} seconds")])
    if "approve" in terms.reasons:
        yield text_input(WHY, WHY_RIGHT, STANDS_IN_THE_RECORD, longest=LONGEST)
    if terms.confirm_code:
        yield section(
            [text("To confirm, type the code of what you have read: "), text(opened.review.confirm_code(), "code")]
        )
        yield text_input(CODE, "Code", "It comes from everything on these pages.", longest=20, multiline=False)


def _why_not_yet(opened: Opened) -> list[Json]:
    if opened.look.only_reads:
        return [emoji("lock"), text(f" You can read this and not approve it. {opened.look.only_reads}")]
    if not opened.review.complete:
        return [emoji("no_entry"), text(" This is too long for anybody to review, so nobody can approve it.")]
    return [emoji("eyes"), text(" Approve appears here once you have opened every page.")]
