"""The whole of an action as a text file, for what is too long for a card: to read, to search, to compare.

It is drawn as the pages of a review are, one below the other, and nothing is approved by it (reviews.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from approvals.card import UNNAMED
from approvals.lines import Line, counted, lines_of
from approvals.request import Request
from approvals.review import MOST, Review, review_of
from handlers.slack.table import columns_of_a_diff, tables

_WHAT = (
    "This is the whole action, to read, search and compare. Nothing is approved by this file:",
    "an answer counts only from the card, or from its Review.",
)
_HIDDEN = "Characters that cannot be seen are written out, like \\u{202E}."
_MASKED = "Parts of this are secret and masked."
_MORE = "It goes on. This is too long for anybody to review, so nobody can approve it."


@dataclass(frozen=True)
class Whole:
    """A file: its name, the title under which people see it, what is said beside it (mrkdwn of ours), its text."""

    name: str
    title: str
    comment: str
    text: str


def whole_of(request: Request) -> Whole:
    """The file of a request; its title has the code and the digest as the review shows them."""
    review = review_of(request)
    name = review.title if review.kind not in review.title else UNNAMED
    title = f"{name} · code {review.code} · digest {review.digest[7:23]}"
    return Whole(
        name=f"sayso-{review.code}.txt",
        title=title,
        comment=f"The whole of it, to read and compare; it is answered from Review on the card (code {review.code})",
        text="\n".join([title, *_lines(request, review)]) + "\n",
    )


def _lines(request: Request, review: Review) -> Iterator[str]:
    yield review.digest
    yield from _WHAT
    yield from [_HIDDEN] if review.hidden else []
    yield from [_MASKED] if request.hides_secret else []
    yield ""
    yield from tables(
        [
            Line(name="kind", value=(review.kind,)),
            Line(name="target", value=(review.target,)),
            Line(name="asked by", value=(request.agent,)),
            Line(name="for", value=(review.principal.person,)),
        ]
    )
    yield from _members("the arguments", request.shown.arguments)
    yield from _members("only if this still holds when it is done", request.shown.preconditions)
    yield from [] if review.complete else ["", _MORE]


def _members(heading: str, members: Mapping[str, Any]) -> Iterator[str]:
    """One part of the action under a line of ours, which no member can be taken for: their names have no blanks."""
    if members:
        yield from ("", heading, "-" * len(heading))
        lines, _ = lines_of(members, MOST)
        for is_diff, some in groupby(lines, key=lambda line: line.diff):
            part = list(some)
            yield from _diffs(part) if is_diff else tables(part)


def _diffs(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        added, gone = counted(line)
        yield from ("", f"{line.name} is a diff, {added} added, {gone} taken away:", "")
        yield from columns_of_a_diff(line.value)
        yield from ("", f"the diff {line.name} ends here", "")
