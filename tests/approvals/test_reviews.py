"""Approving from a review: what this person was shown, whole, for long enough, once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.card import card_of
from approvals.click import Click
from approvals.commits import change_of
from approvals.lines import NAME_OF_THE_NEXT, lines_of
from approvals.ports import Change, Stored
from approvals.request import Request
from approvals.review import LASTS_MS, MOST, PAGE, ROWS, Look, review_of
from approvals.reviewing import Opened
from approvals.verdicts import Counted, Late, Refused, Verdict
from tests.approvals.house import CHANNEL, House, a_house
from tests.approvals.make import a_request, a_vote, account, an_action
from tests.approvals.test_strict_json import I_JSON

LONG = {"plan": "\n".join(f"line {number}" for number in range(1_000)), "to": "prod"}


def a_click(request: Request, who: str, **changes: Any) -> Click:
    members: dict[str, Any] = {
        "account": account(who),
        "answer": "approve",
        "shown": card_of(request).digest(),
        "places": (CHANNEL,),
        "reference": House.message(),
    }
    return Click(**members | changes)


async def asked(house: House, arguments: dict[str, Any] | None = None, **care: Any) -> Request:
    """A request that takes a review, because it is long or because its terms say so."""
    request = await house.asked(action=an_action(arguments=LONG if arguments is None else arguments))
    policy = house.policies.current()

    def demand(now: Stored) -> Change:
        terms = now.request.terms.model_copy(update=care)
        return change_of(now.request, now.request.model_copy(update={"terms": terms}), policy, {"by": "test"})

    return (await house.store.update(request.id, demand)).request


async def opened(house: House, request: Request, who: str = "alice") -> Look:
    """A review that somebody has opened, and no page of it yet."""
    found = await house.approvals.reviews.open(request.id, a_click(request, who))
    assert isinstance(found, Opened)
    return found.look


async def read(house: House, request: Request, who: str = "alice") -> Look:
    """A review of which somebody has had every page on the screen."""
    look = await opened(house, request, who)
    for page in range(look.pages):
        assert isinstance(await house.approvals.reviews.page(look.id, account(who), page), Opened)
        assert isinstance(await house.approvals.reviews.turned(look.id, account(who), page), Look)
    return look


async def approve(house: House, look: Look, who: str = "alice", **said: str) -> Verdict:
    return await house.approvals.vote_from(look.id, account(who), **said)


def reason(verdict: object) -> str:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


# -- the pages ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.dictionaries(st.text(max_size=30), st.one_of(I_JSON, st.text(max_size=20_000)), max_size=4))
def test_the_pages_hold_every_character_of_the_action_in_order(arguments: dict[str, Any]) -> None:
    review = review_of(a_request(action=an_action(arguments=arguments)))
    lines = [line for page in review.pages for line in page.arguments if not line.name.startswith(NAME_OF_THE_NEXT)]
    shown = "".join(text for line in lines for text in line.value)
    wanted = "".join(text for line in lines_of(arguments, MOST)[0] for text in line.value)
    assert review.complete
    assert shown == wanted
    for page in review.pages:
        assert sum(line.size for line in page.arguments) <= PAGE or len(page.arguments) == 1
        assert sum(len(line.value) for line in page.arguments) <= ROWS


def test_a_value_that_goes_on_says_so_beside_its_name() -> None:
    pages = review_of(a_request(action=an_action(arguments=LONG))).pages
    assert [page.arguments[0].name for page in pages[:2]] == ["plan", "plan (goes on)"]
    (_, second, *_) = review_of(a_request(action=an_action(arguments={"a": "x" * 2 * PAGE}))).pages
    assert second.arguments[0].name == "a (the same line goes on)"


def test_a_path_that_is_too_long_to_stand_beside_its_value_is_shown_in_full_before_it() -> None:
    review = review_of(a_request(action=an_action(arguments={"k" * 20_000: "v"})))
    lines = [line for page in review.pages for line in page.arguments]
    assert "".join(text for line in lines[:-1] for text in line.value) == f'"{"k" * 20_000}"'
    assert (lines[0].name, lines[-1].name, lines[-1].value) == ("a long name", "its value", ("v",))


def test_paths_that_repeat_a_long_name_do_not_fill_the_memory_and_nobody_approves_what_nobody_can_read() -> None:
    review = review_of(a_request(action=an_action(arguments={"k" * 30_000: list(range(10_000))})))
    assert not review.complete
    assert sum(line.size for page in review.pages for line in page.arguments) < MOST + 100_000


def test_preconditions_have_pages_of_their_own_after_the_arguments() -> None:
    pages = review_of(a_request(action=an_action(preconditions={"etag": "v7"}))).pages
    assert [bool(page.preconditions) for page in pages] == [False, True]


def test_who_has_voted_meanwhile_does_not_change_what_was_shown() -> None:
    request = a_request(action=an_action(arguments=LONG))
    voted = request.model_copy(update={"votes": (a_vote("bob"),)})
    assert review_of(request).shown() == review_of(voted).shown()


# -- approving ------------------------------------------------------------------------------------------------------


async def test_what_is_too_long_for_a_card_is_approved_from_its_review() -> None:
    house = await a_house()
    request = await asked(house)
    assert reason(await house.click(request, "alice")) == "review_first"

    look = await read(house, request)
    assert isinstance(await approve(house, look), Counted)

    (vote,) = (await house.now_is(request)).votes
    assert vote.shown == look.shown == review_of(request).shown()
    kept = await house.store.rendering(look.shown)
    assert kept is not None
    assert review_of(request).model_dump_json().encode() == kept
    assert [record["account"] for record in await house.noted("review_opened")] == [account("alice").id]


async def test_an_approval_waits_until_every_page_was_opened() -> None:
    house = await a_house()
    look = await opened(house, await asked(house))
    for page in range(look.pages - 1):
        await house.approvals.reviews.turned(look.id, account("alice"), page)
    verdict = await approve(house, look)
    assert reason(verdict) == "pages_unopened"
    assert f"page {look.pages} is left" in verdict.sentence  # type: ignore[union-attr]


async def test_a_look_is_of_no_use_to_anybody_else() -> None:
    house = await a_house()
    request = await asked(house)
    look = await read(house, request)
    assert reason(await approve(house, look, "bob")) == "not_your_review"
    stolen = a_click(request, "bob", view=look.id)
    assert reason(await house.approvals.vote(request.id, stolen)) == "not_your_review"
    assert reason(await house.approvals.reviews.page(look.id, account("bob"), 0)) == "review_over"
    assert reason(await house.approvals.reviews.turned(look.id, account("bob"), 0)) == "review_over"


async def test_a_look_at_another_request_carries_nothing() -> None:
    house = await a_house()
    look = await read(house, await asked(house))
    other = await house.asked("run-119/release", action=an_action(arguments=LONG | {"to": "staging"}))
    assert reason(await house.approvals.vote(other.id, a_click(other, "alice", view=look.id))) == "review_over"


@pytest.mark.parametrize("view", ["", "x", "0-aaaaaaaaaaaaaaaaaaaaaaaa.AAAAAAAAAAAAAAAAAAAAAA", "a/b", "../0-x"])
async def test_a_made_up_look_is_none(view: str) -> None:
    house = await a_house()
    request = await asked(house)
    assert reason(await house.approvals.vote_from(view, account("alice"))) == "review_over"
    wanted = "review_over" if view else "review_first"
    assert reason(await house.approvals.vote(request.id, a_click(request, "alice", view=view))) == wanted


async def test_a_look_is_good_for_one_vote_and_a_form_sent_twice_counts_once() -> None:
    house = await a_house(defaults={"factors": [{"from": ["ops"], "approvals": 2}], "destinations": [CHANNEL]})
    request = await asked(house)
    look = await read(house, request)
    assert isinstance(await approve(house, look), Counted)
    assert isinstance(await approve(house, look), Counted)
    assert len((await house.now_is(request)).votes) == 1

    await house.retract(request, "alice")
    assert reason(await approve(house, look)) == "review_over"
    assert (await house.now_is(request)).votes == ()


async def test_a_look_ends_after_an_hour() -> None:
    house = await a_house()
    request = await asked(house)
    await house.store.update(request.id, lambda now: _later(house, now))
    look = await read(house, request)
    house.wait(LASTS_MS)
    assert reason(await approve(house, look)) == "review_over"


def _later(house: House, now: Stored) -> Change:
    after = now.request.model_copy(update={"expires_at": now.now + 10 * LASTS_MS})
    return change_of(now.request, after, house.policies.current(), {"by": "test"})


async def test_after_the_decision_a_review_says_who_was_first() -> None:
    house = await a_house()
    request = await asked(house)
    look, other = await read(house, request), await read(house, request, "bob")
    await approve(house, look)
    assert isinstance(await approve(house, other, "bob"), Late)
    assert isinstance(await house.approvals.reviews.page(other.id, account("bob"), 0), Late)
    assert isinstance(await house.approvals.reviews.open(request.id, a_click(request, "bob")), Late)


async def test_who_may_not_answer_may_read_and_not_approve() -> None:
    house = await a_house()
    request = await asked(house)
    look = await read(house, request, "carol")
    assert look.only_reads.startswith("You are not among those asked here")
    assert reason(await approve(house, look, "carol")) == "not_an_approver"


async def test_strangers_do_not_even_read() -> None:
    house = await a_house()
    request = await asked(house)
    house.directory.not_full[account("mallory").id] = "a guest"
    found = await house.approvals.reviews.open(request.id, a_click(request, "mallory"))
    assert reason(found) == "not_a_member"
    elsewhere = a_click(request, "alice", reference={"channel": "C0X", "ts": "1"}, places=("slack:C0X",))
    assert reason(await house.approvals.reviews.open(request.id, elsewhere)) == "not_this_card"


async def test_what_nobody_can_read_nobody_approves() -> None:
    house = await a_house()
    request = await asked(house, {"k" * 30_000: list(range(1_000))})
    look = await read(house, request)
    assert reason(await approve(house, look)) == "too_long_to_review"


# -- what terms may demand besides ----------------------------------------------------------------------------------

SHORT = {"amount": "1.00"}


async def test_a_look_must_last_as_long_as_the_terms_say() -> None:
    house = await a_house()
    request = await asked(house, SHORT, min_look=10_000)
    assert card_of(request).buttons[0] == "review"
    assert reason(await house.click(request, "alice")) == "review_first"
    look = await read(house, request)
    house.wait(9_001)
    verdict = await approve(house, look)
    assert (reason(verdict), "in 1 seconds" in verdict.sentence) == ("looked_too_briefly", True)  # type: ignore[union-attr]
    house.wait(999)
    assert isinstance(await approve(house, look), Counted)
    refused = [record["reason"] for record in await house.noted("click_refused")]
    assert refused == ["looked_too_briefly"]


async def test_the_code_of_what_was_shown_must_be_typed() -> None:
    house = await a_house()
    request = await asked(house, SHORT, confirm_code=True)
    look = await read(house, request)
    code = review_of(request).confirm_code()
    for wrong in ("", request.code, code[:-1], code + "0", "é"):
        assert reason(await approve(house, look, confirm=wrong)) == "wrong_code"
    assert len(await house.noted("click_refused")) == 5
    assert isinstance(await approve(house, look, confirm=f" {code.lower().replace('-', ' ')}"), Counted)


@pytest.mark.parametrize("answer", ["approve", "deny"])
async def test_an_answer_that_needs_a_reason_does_not_count_without_one(answer: Any) -> None:
    house = await a_house()
    request = await asked(house, SHORT, reasons=(answer,))
    assert reason(await house.click(request, "alice", answer, reason="  ")) == "reason_needed"
    assert isinstance(await house.click(request, "alice", answer, reason="checked with the vendor"), Counted)
    (vote,) = (await house.now_is(request)).votes
    assert vote.reason == "checked with the vendor"


async def test_a_no_needs_no_look() -> None:
    house = await a_house()
    request = await asked(house, min_look=10_000, confirm_code=True)
    assert isinstance(await house.click(request, "alice", "deny"), Counted)
