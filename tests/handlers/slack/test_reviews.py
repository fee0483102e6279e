"""Reviews in Slack: opened at once, read page by page, approved from once everything was on the screen."""

from __future__ import annotations

import re
from typing import Any

import pytest

from approvals.commits import change_of
from approvals.ports import Change, Stored
from approvals.request import Request
from approvals.review import review_of
from handlers.slack.blocks import APPROVE, DENY, REVIEW
from handlers.slack.reason import PRESET, REASON
from handlers.slack.review import CODE, PAGE, WHY
from sandbox.views import View
from tests.handlers.slack.world import DEPLOYS, World, words

PLAN = {"plan": "\n".join(f"line {number}" for number in range(250)), "to": "prod"}


async def asked(world: World, arguments: dict[str, Any] | None = None, **changes: Any) -> Request:
    """A deployment that is too long for its card, or that takes more than a click."""
    request = await world.ask(kind="deploy.run", arguments=arguments or PLAN, show=False)
    policy = world.approvals._policies.current()

    def demand(now: Stored) -> Change:
        terms = now.request.terms.model_copy(update={k: v for k, v in changes.items() if k != "denials"})
        words = now.request.presentation.model_copy(update={"denials": changes.get("denials", ())})
        after = now.request.model_copy(update={"terms": terms, "presentation": words})
        return change_of(now.request, after, policy, {"by": "test"})

    request = (await world.store.update(request.id, demand)).request
    await world.show(request)
    return request


async def on_screen(world: World, *wanted: str, user: str = "U0ALICE") -> View:
    """The modal in front of somebody when everything that was begun is done; it says all this."""
    await world.door._tasks.drain()
    view = world.sandbox.views(user)[-1]
    assert all(word in words(view.blocks) for word in wanted), words(view.blocks)
    return view


async def opened(world: World, request: Request, *pages: int) -> View:
    """A review with page 1 and then these on alice's screen."""
    assert (await world.click("U0ALICE", request, REVIEW)).ok
    view = await on_screen(world, "code ")
    for page in pages:
        view = await turned(world, page)
    return view


async def turned(world: World, page: int) -> View:
    """The modal after alice turned to a page."""
    view = world.sandbox.views("U0ALICE")[-1]
    assert (await world.sandbox.click_in_view("U0ALICE", view.id, f"{PAGE}:{page - 1}")).ok
    return await on_screen(world)


def reads(view: View) -> str:
    return words(view.blocks)


async def test_a_plan_that_is_too_long_is_read_and_approved_page_by_page(world: World) -> None:
    request = await asked(world)
    view = await opened(world, request)
    assert "submit" not in view.definition
    assert "Approve appears here once you have opened every page." in reads(view)
    assert ":red_circle: Deploy to production · can be undone" in reads(view)

    assert "submit" not in (await turned(world, 2)).definition
    view = await turned(world, 3)
    assert "page 3 of 3" in reads(view)
    assert view.definition["submit"]["text"] == "Approve"

    assert (await world.sandbox.submit_view("U0ALICE", view.id, {})).ok
    assert reads(world.sandbox.views("U0ALICE")[-1]) == "Approved. The agent has been told."
    (vote,) = (await world.store.get(request.id)).request.votes
    assert vote.shown == review_of(request).shown()


async def test_the_modal_carries_the_id_of_the_look_alone(http_world: World) -> None:
    request = await asked(http_world)
    view = await opened(http_world, request)
    assert re.fullmatch(re.escape(request.id) + r"\.[A-Za-z0-9_-]{22}", view.definition["private_metadata"])


async def test_every_line_of_the_plan_is_on_some_page(http_world: World) -> None:
    request = await asked(http_world)
    text = reads(await opened(http_world, request))
    text += reads(await turned(http_world, 2)) + reads(await turned(http_world, 3))
    assert "page 1 of 3" in reads(await opened(http_world, request, 2, 1))
    assert all(re.search(rf"\bline {number}\b", text) for number in range(250))


async def test_the_look_of_one_person_is_of_no_use_in_the_hands_of_another(http_world: World) -> None:
    request = await asked(http_world, {"a": "1"}, min_look=1)
    view = await opened(http_world, request)
    http_world.clock.advance(1)

    def as_bob(body: dict[str, Any]) -> None:
        body["user"] |= {"id": "U0BOB", "name": "bob", "username": "bob"}

    await http_world.sandbox.submit_view("U0ALICE", view.id, {}, alter=as_bob)
    assert reads(http_world.sandbox.views("U0ALICE")[-1]).startswith("This review was opened by somebody else")
    assert not (await http_world.store.get(request.id)).request.votes


@pytest.mark.parametrize("look", ["", "x", "0-" + "a" * 24 + "." + "A" * 22, 7])
async def test_a_made_up_look_approves_nothing(http_world: World, look: Any) -> None:
    request = await asked(http_world, {"a": "1"}, min_look=1)
    view = await opened(http_world, request)

    def other(body: dict[str, Any]) -> None:
        body["view"]["private_metadata"] = look

    await http_world.sandbox.submit_view("U0ALICE", view.id, {}, alter=other)
    assert not (await http_world.store.get(request.id)).request.votes


async def test_who_answers_too_soon_or_with_a_wrong_code_keeps_the_review_and_is_told(world: World) -> None:
    request = await asked(world, {"a": "1"}, min_look=10_000, confirm_code=True, reasons=("approve",))
    view = await opened(world, request)
    code = review_of(request).confirm_code()
    assert code in reads(view)
    element = next(block["element"] for block in view.blocks if block.get("block_id") == CODE)
    assert "initial_value" not in element

    await world.sandbox.submit_view("U0ALICE", view.id, {CODE: code, WHY: "checked"})
    assert "can be approved in 10 seconds" in reads(world.sandbox.views("U0ALICE")[-1])
    world.clock.advance(10)
    await world.sandbox.submit_view("U0ALICE", view.id, {CODE: "0000-00", WHY: "checked"})
    assert "That is not the code" in reads(world.sandbox.views("U0ALICE")[-1])
    assert await world.status(request) == "pending"
    await world.sandbox.submit_view("U0ALICE", view.id, {CODE: code.lower(), WHY: "checked"})
    assert await world.status(request) == "approved"
    (vote,) = (await world.store.get(request.id)).request.votes
    assert vote.reason == "checked"


async def test_who_may_not_answer_may_read_and_is_told_why(http_world: World) -> None:
    request = await asked(http_world, {"a": "1"}, min_look=1)
    http_world.sandbox.workspace.join(DEPLOYS, "U0DANA")
    await http_world.click("U0DANA", request, REVIEW)
    view = await on_screen(http_world, "You can read this and not approve it.", user="U0DANA")
    assert "submit" not in view.definition
    assert "a  1" in reads(view)


async def test_an_old_approve_button_opens_the_review_where_one_is_needed_now(http_world: World) -> None:
    request = await asked(http_world, {"a": "1"}, min_look=1)
    channel, ts = await http_world.card(request)
    (message,) = http_world.sandbox.messages(channel)
    for element in message.blocks[-1]["elements"]:
        if element["action_id"] == REVIEW:
            element["action_id"] = APPROVE
    await http_world.sandbox.click("U0ALICE", channel, ts, APPROVE)
    await on_screen(http_world, "all of it")


async def test_a_review_that_cannot_be_fetched_says_so_and_can_be_opened_again(http_world: World) -> None:
    request = await asked(http_world)
    channel, ts = await http_world.card(request)
    http_world.store.down = True
    assert (await http_world.sandbox.click("U0ALICE", channel, ts, REVIEW)).ok
    await on_screen(http_world, "I could not fetch this just now")
    http_world.store.down = False
    await opened(http_world, request)


async def test_a_review_of_what_was_decided_meanwhile_tells_who_was_first(http_world: World) -> None:
    request = await asked(http_world)
    await opened(http_world, request)
    await http_world.click("U0BOB", request, DENY)
    (view,) = http_world.sandbox.views("U0BOB")
    await http_world.sandbox.submit_view("U0BOB", view.id, {REASON: "no"})
    assert "@U0BOB denied this <date>, so your click changes nothing." in reads(await turned(http_world, 2))


# -- forms ----------------------------------------------------------------------------------------------------------


async def test_an_approval_that_needs_a_reason_asks_for_it(world: World) -> None:
    request = await asked(world, {"a": "1"}, reasons=("approve",))
    await world.click("U0ALICE", request, APPROVE)
    (view,) = world.sandbox.views("U0ALICE")
    assert view.definition["title"]["text"] == "Approve this request"
    assert (await world.sandbox.submit_view("U0ALICE", view.id, {REASON: "seen with the vendor"})).ok
    (vote,) = (await world.store.get(request.id)).request.votes
    assert (vote.answer, vote.reason) == ("approve", "seen with the vendor")


async def test_a_denial_offers_the_reasons_of_the_policy_beside_ones_own(world: World) -> None:
    request = await asked(world, {"a": "1"}, reasons=("deny",), denials=("Not now", "Wrong account"))
    await world.click("U0ALICE", request, DENY)
    (view,) = world.sandbox.views("U0ALICE")
    delivery = await world.sandbox.submit_view("U0ALICE", view.id, {})
    assert delivery.body["errors"] == {REASON: "Choose a reason or write one."}
    (view,) = world.sandbox.views("U0ALICE")
    await world.sandbox.submit_view("U0ALICE", view.id, {PRESET: "Wrong account", REASON: "it moved"})
    decision = (await world.store.get(request.id)).request.decision
    assert decision is not None
    assert decision.reason == "Wrong account: it moved"
