"""What is still to be done for a request at a destination, and how a backlog is shared out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.card import card_of
from approvals.errands import ALONE, NOT_NOW, errands, retry_after, route, shared_out, subject_of
from approvals.lifecycle import Status
from approvals.ports import Errand, Post, Stored
from approvals.request import Request
from approvals.rows import row_of
from tests.approvals.make import a_request, some_terms
from tests.approvals.test_request import in_status

HERE, THERE, SPARE = "slack:C0OPS", "slack:C0ELSE", "slack:C0SPARE"


def a_post(state: Any = "posted", **members: Any) -> Post:
    return Post(HERE, state, 1, **members)


def needs(request: Request, *posts: Post, at: str = HERE) -> tuple[Errand, ...]:
    return errands(Stored(request, 1, {post.destination: post for post in posts}), at, lambda _: ())


def test_what_nobody_has_seen_is_posted_and_a_lost_post_is_looked_for() -> None:
    request = a_request()
    assert needs(request) == (Errand.POST,)
    assert needs(request, a_post("intended")) == (Errand.POST,)
    assert needs(request, a_post("failed", problem="is_archived")) == (Errand.POST,)


def test_what_shows_how_it_stands_needs_nothing_alone_or_as_a_row() -> None:
    request = a_request()
    card = card_of(request)
    assert needs(request, a_post(shown=card.digest())) == ()
    assert needs(request, a_post(shown=row_of(card).digest(), shared="m")) == ()
    assert needs(request, a_post(shown=card.digest(), shared="m")) == (Errand.EDIT,)


def test_what_was_decided_unseen_is_not_shown_and_elsewhere_nothing_is_to_be_done() -> None:
    assert needs(in_status(Status.DENIED)) == ()
    assert needs(a_request(), at=THERE) == ()


def test_what_a_rule_let_through_is_shown_once_where_the_rule_wants_it() -> None:
    quiet, told = (some_terms(verdict="allow", announced=announced, fallback=(SPARE,)) for announced in (False, True))
    assert needs(a_request(terms=quiet).decided_by_rule(1, jti="j")) == ()
    news = a_request(terms=told).decided_by_rule(1, jti="j")
    assert needs(news) == needs(news, a_post("intended")) == needs(news, a_post("failed", problem=NOT_NOW))
    assert needs(news) == (Errand.POST,)
    assert needs(news, a_post(shown=card_of(news).digest())) == ()
    refused = a_post("failed", problem="is_archived")
    assert needs(news, refused) == ()
    assert needs(news, refused, at=SPARE) == (Errand.POST,)
    assert needs(a_request(terms=told).denied_by("asked-again", "not again", 1)) == ()


def test_rows_of_a_message_are_edited_together_and_noted_one_by_one() -> None:
    row = a_post(shared="m")
    assert subject_of("0-a", row, Errand.EDIT) == subject_of("0-b", row, Errand.EDIT) == "message:m"
    assert subject_of("0-a", row, Errand.SAY) == "0-a"
    assert subject_of("0-a", a_post("failed", shared="m"), Errand.POST) == "0-a"
    assert subject_of("0-a", None, Errand.POST) == "0-a"


@pytest.mark.parametrize(("problem", "goes_on"), [("is_archived", True), (NOT_NOW, False), (ALONE, False)])
def test_only_a_refusal_leads_to_the_next_place(problem: str, goes_on: bool) -> None:
    request = a_request(terms=some_terms(fallback=(SPARE,)))
    stored = Stored(request, 1, {HERE: a_post("failed", problem=problem)})
    assert route(stored) == ((HERE, SPARE) if goes_on else (HERE,))


@given(st.integers(0, 2_000), st.integers(1, 30), st.integers(1, 50))
def test_a_backlog_is_shared_out_whole_or_as_far_as_it_goes(waiting: int, turns: int, most: int) -> None:
    sizes = shared_out(waiting, turns, most)
    assert sum(sizes) == min(waiting, turns * most)
    assert len(sizes) <= turns
    assert all(1 <= size <= most for size in sizes)
    if waiting <= turns:
        assert sizes == (1,) * waiting


def test_a_refused_place_is_tried_again_after_longer_and_longer_times_up_to_ten_minutes() -> None:
    assert [retry_after(tries) // 1000 for tries in (0, 1, 2, 3, 4, 99)] == [60, 120, 240, 480, 600, 600]
