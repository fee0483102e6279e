"""The whole of an action on pages, and a person's look at it: what an approval rests on where a card does not suffice.

A look is kept on the server. It belongs to one person, one request and one rendering, and is good for one vote: every
page must have been opened, for long enough where the terms say so, and the code typed where they want one.
"""

from __future__ import annotations

import hmac

from pydantic import Field

from approvals.action import Frozen, digest_of, short_code
from approvals.card import Who
from approvals.hosts import Host, odd_hosts
from approvals.lines import Line, lines_of, paged, texts_in
from approvals.request import Request
from approvals.terms import Effect, Piece, Risk, Terms
from approvals.text import has_hidden, one_line
from approvals.verdicts import Refused

PAGE = 8_000  #: characters
ROWS = 100
MOST = 320_000  #: characters that anybody can be asked to read; more than that is never approved
HOSTS = 20
LASTS_MS = 3_600_000  #: how long a look may be used


FIRST = Refused("review_first", "This can be approved only from its review. Open Review on the card.")
OVER = Refused("review_over", "This review was used already, or is out of date. Open Review on the card again.")


class Leaf(Frozen):
    """One page: a part of the arguments, then a part of the preconditions."""

    arguments: tuple[Line, ...] = ()
    preconditions: tuple[Line, ...] = ()


class Review(Frozen):
    """Everything of an action, in the order in which it is shown. The same for everybody, and whoever has voted."""

    request: str
    digest: str  #: of the action
    code: str
    title: str
    summary: tuple[Piece, ...]
    kind: str
    target: str
    effect: Effect
    risk: Risk
    reversible: bool
    agent: str
    principal: Who
    hidden: bool
    hosts: tuple[Host, ...]
    pages: tuple[Leaf, ...] = Field(min_length=1)
    complete: bool  #: whether the pages are the whole action; without it nobody can approve

    def shown(self) -> str:
        """The digest of everything that is on the pages."""
        return digest_of(self.model_dump(mode="json"))

    def confirm_code(self) -> str:
        """What is typed to confirm: the short code of what is on the pages."""
        return short_code(self.shown())


class Look(Frozen):
    """One person's look at a review, as the server keeps it. Instants are ms of the store's clock."""

    id: str
    account: str
    shown: str
    pages: int
    at: int
    opened: tuple[int, ...] = ()
    places: tuple[str, ...]  #: where the card stands that it was opened from, and which message that is
    reference: dict[str, str]
    only_reads: str = ""  #: why this person could not approve when they opened it; authority is checked at the vote

    def with_opened(self, page: int) -> Look:
        """The look after one more page was on screen."""
        return self.model_copy(update={"opened": tuple(sorted({*self.opened, page}))})

    def unopened(self) -> tuple[int, ...]:
        """The pages that were never on screen."""
        return tuple(page for page in range(self.pages) if page not in self.opened)


def review_of(request: Request) -> Review:
    """The pages of a request's action."""
    action, words = request.shown, request.presentation
    arguments, all_arguments = lines_of(action.arguments, MOST)
    preconditions, all_preconditions = lines_of(action.preconditions, MOST)
    texts = list(texts_in([action.target, action.arguments, action.preconditions]))
    size = sum(line.size for line in (*arguments, *preconditions))
    return Review(
        request=request.id,
        digest=request.digest,
        code=request.code,
        title=words.title,
        summary=tuple(piece if piece.ours else Piece(text=one_line(piece.text)) for piece in words.summary),
        kind=action.kind,
        target=one_line(action.target),
        effect=words.effect,
        risk=words.risk,
        reversible=words.reversible,
        agent=request.agent,
        principal=Who(person=one_line(request.principal), accounts=request.principal_accounts),
        hidden=any(map(has_hidden, texts)),
        hosts=odd_hosts(texts)[:HOSTS],
        pages=_pages(arguments, preconditions),
        complete=all_arguments and all_preconditions and size <= MOST,
    )


def _pages(arguments: tuple[Line, ...], preconditions: tuple[Line, ...]) -> tuple[Leaf, ...]:
    first = [Leaf(arguments=page) for page in paged(arguments, characters=PAGE, rows=ROWS)]
    if not preconditions:
        return tuple(first)
    after = [Leaf(preconditions=page) for page in paged(preconditions, characters=PAGE, rows=ROWS)]
    return (*first, *after)


def is_needed(terms: Terms, *, whole: bool) -> bool:
    """Whether an approval needs a look; `whole` says that the card shows the whole action."""
    return not whole or terms.min_look > 0 or terms.confirm_code


def why_not(look: Look, review: Review, terms: Terms, *, account: str, code: str, now: int) -> Refused | None:
    """Why a look does not carry an approval, if it does not."""
    if look.account != account:
        return Refused("not_your_review", "This review was opened by somebody else. Open Review on the card yourself.")
    if not review.complete:
        return Refused("too_long_to_review", "This is too long for anybody to review, so nobody can approve it.")
    if look.shown != review.shown():
        return OVER
    if missing := look.unopened():
        return Refused("pages_unopened", f"You have not opened every page yet: page {missing[0] + 1} is left.")
    waited = now - look.at
    if waited < terms.min_look:
        seconds = -(-(terms.min_look - waited) // 1000)
        return Refused("looked_too_briefly", f"Take your time: this can be approved in {seconds} seconds.")
    if terms.confirm_code and not _same_code(code, review.confirm_code()):
        return Refused("wrong_code", "That is not the code that the review shows, so nothing was counted.")
    return None


def _same_code(typed: str, code: str) -> bool:
    """Whether people typed the code, with or without its dash, in either case; compared in constant time."""
    plain = "".join(letter for letter in typed.upper() if letter.isalnum())
    return hmac.compare_digest(plain.encode(), code.replace("-", "").encode())
