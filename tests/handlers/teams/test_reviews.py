"""Reviews: the whole action page by page, for its reader alone, and an approval only from all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.request import Request
from approvals.review import Look, review_of
from approvals.reviewing import Opened
from handlers.reasons import LONGEST
from handlers.teams.review import LARGEST, draw_page
from tests.approvals.make import a_request, some_terms
from tests.handlers.teams.test_cards import problems
from tests.handlers.teams.test_clicks import banner, shown
from tests.handlers.teams.world import CHAT, Json, World, an_activity, policy_file, press, read, titles

LONG = {"script": "\n".join(f"step {number}: " + "x" * 60 for number in range(200))}


async def a_long_one(world: World) -> Request:
    return await world.ask(kind="deploy.run", target="prod", arguments=LONG)


async def use(world: World, who: str, on: Json, title: str, **entered: str) -> Json:
    """Press a button of a card that stands in the place of the clicked one."""
    action = next(action for action in on["actions"] if action["title"] == title)
    value = {"action": {"verb": action["verb"], "data": action["data"] | entered}, "trigger": "manual"}
    activity = an_activity(who, CHAT, service=world.connector.service)
    members: Json = {"type": "invoke", "name": "adaptiveCard/action", "value": value, "replyToId": "1"}
    if "sayso" in action["data"]:
        members["replyToId"] = list(world.connector.messages)[-1]
    return (await world.send(activity | members))[1]


async def test_what_is_too_long_is_read_page_by_page_and_then_approved(world: World) -> None:
    request = await a_long_one(world)
    assert titles((await world.card(request)).card) == ["Review", "Deny", "Ask for changes", "More"]

    page = (await world.click("alice", request, "Review"))["value"]
    seen = read(page)
    assert "page 1 of" in seen
    assert "Approve appears here once you have opened every page." in seen
    while "Next page" in titles(page):
        assert "Approve" not in titles(page)
        page = (await use(world, "alice", page, "Next page"))["value"]
        assert problems(page) == []
        seen += read(page)

    assert all(f"step {number}: " in seen for number in range(200))
    assert await world.status(request) == "pending"
    assert "Approved. The agent has been told." in shown(await use(world, "alice", page, "Approve"))
    assert await world.status(request) == "approved"


async def test_an_approval_without_the_review_opens_it_and_counts_nothing(world: World) -> None:
    request = await a_long_one(world)
    activity = press("alice", await world.card(request), "Review", service=world.connector.service)
    activity["value"]["action"]["verb"] = "approve"

    assert "page 1 of" in read((await world.send(activity))[1]["value"])
    assert await world.status(request) == "pending"


@pytest.mark.parametrize("care", [{"min_look": "1s"}, {"confirm_code": True}, {"reason": ["approve"]}])
async def test_a_card_of_before_the_policy_changed_leads_to_what_an_approval_takes_now(
    world: World, care: dict[str, Any]
) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={"version": "4.2.0"})
    large, prod = policy_file()["rules"]
    await world.adopt(rules=[large, prod | care])

    page = (await world.click("alice", request, "Approve"))["value"]

    assert titles(page) == ["Approve", "Back to the card"]
    assert ("in front of you for 1 seconds" in read(page)) is ("min_look" in care)
    assert await world.status(request) == "pending"
    if "reason" in care:
        assert "Approved." in shown(await use(world, "alice", page, "Approve", why="tested"))


async def test_a_page_that_was_not_opened_is_named(world: World) -> None:
    request = await a_long_one(world)
    page = (await world.click("alice", request, "Review"))["value"]
    turn = next(action for action in page["actions"] if action["title"] == "Next page")
    forged = page | {"actions": [turn | {"title": "Approve", "verb": "approve-from-review"}]}

    told = await use(world, "alice", forged, "Approve")

    assert "You have not opened every page yet" in shown(told)
    assert await world.status(request) == "pending"


async def test_a_review_is_of_no_use_to_anybody_else(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={})
    message = await world.card(request)
    activity = press("alice", message, "Approve", service=world.connector.service)
    activity["value"]["action"]["verb"] = "review"
    page = (await world.send(activity))[1]["value"]
    assert titles(page) == ["Approve", "Back to the card"]

    assert "opened by somebody else" in banner(await use(world, "bob", page, "Approve"))
    assert await world.status(request) == "pending"


async def test_who_may_not_answer_may_read_and_go_back_to_the_card(world: World) -> None:
    request = await a_long_one(world)

    page = (await world.click("carol", request, "Review"))["value"]
    assert "You can read this and not approve it." in read(page)
    assert titles(page) == ["Next page", "Back to the card"]

    card = (await use(world, "carol", page, "Back to the card"))["value"]
    assert titles(card) == ["Review", "Deny", "Ask for changes", "More"]


async def test_the_code_must_be_typed_where_policy_wants_one(world: World) -> None:
    rules: list[dict[str, Any]] = [
        {"id": "careful", "match": {"kind": ["deploy.*"]}, "factors": [{"from": ["sre"]}], "confirm_code": True}
    ]
    rules[0] |= {"exempts": ["defaults"], "reason": ["approve"]}
    rules[0] |= {"destinations": policy_file()["rules"][1]["destinations"]}
    await world.adopt(rules=rules)
    request = await world.ask(kind="deploy.run", target="prod", arguments={"version": "4.2.0"})
    page = (await world.click("alice", request, "Review"))["value"]
    code = read(page).split("type the code of what you have read: ")[1].split("\n")[0]

    wrong = await use(world, "alice", page, "Approve", code="000000", why="because")
    assert "not the code" in shown(wrong)
    assert "needs a reason" in shown(await use(world, "alice", wrong["value"], "Approve", code=code))
    told = await use(world, "alice", page, "Approve", code=code.lower(), why="tested " * 500)

    assert "Approved." in shown(told)
    reason = (await world.decided(request)).decision.by[0].reason  # type: ignore[union-attr]
    assert reason == ("tested " * 500)[:LONGEST]


async def test_a_page_is_never_larger_than_teams_takes(world: World) -> None:
    many = {f"argument-{number}": "x" * 40 for number in range(300)}
    request = await world.ask(kind="deploy.run", target="prod", arguments=many)

    page = (await world.click("alice", request, "Review"))["value"]
    assert len(json.dumps(page, ensure_ascii=False)) <= LARGEST
    assert "argument-0" in read(page)
    assert "Next page" in titles(page)


async def test_a_page_that_cannot_be_drawn_leads_nowhere(world: World) -> None:
    """Of `{{{{` each character is a run of its own, so that few of them make a card too large."""
    hidden = {"first": "{" * 1_500 + "x" * 6_000, "second": "y" * 7_000}
    request = await world.ask(kind="deploy.run", target="prod", arguments=hidden)

    page = (await world.click("alice", request, "Review"))["value"]

    assert "too large for Teams" in read(page)
    assert titles(page) == ["Back to the card"]


async def test_who_may_not_answer_finds_no_approve_on_a_short_review_either(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={})
    activity = press("carol", await world.card(request), "Approve", service=world.connector.service)
    activity["value"]["action"]["verb"] = "review"
    page = (await world.send(activity))[1]["value"]

    assert "You can read this and not approve it." in read(page)
    assert titles(page) == ["Back to the card"]


def test_what_is_too_long_for_anybody_has_no_approve_even_where_all_was_read() -> None:
    whole = review_of(a_request()).model_copy(update={"complete": False})
    look = Look(id="1", account="a", shown=whole.shown(), pages=1, at=0, places=(), reference={}, opened=(0,))

    page = draw_page(Opened(look, whole, some_terms()), "value")

    assert titles(page) == ["Back to the card"]
    assert "nobody can approve it" in read(page)


@pytest.mark.parametrize("number", [None, True, "1", [1], {}, 1.0, -1, 10**9])
async def test_what_is_no_number_of_a_page_opens_none(world: World, number: Any) -> None:
    request = await a_long_one(world)
    page = (await world.click("alice", request, "Review"))["value"]
    turn = next(action for action in page["actions"] if action["title"] == "Next page")
    for odd in ({"on": number}, {"to": number}, {"on": number, "to": number}):
        answer = await use(world, "alice", {"actions": [turn | {"data": turn["data"] | odd}]}, "Next page")
        shown_page = answer["value"]
        assert "did not get through" not in str(shown_page)
        assert "page 2 of" not in str(shown_page)


@pytest.mark.parametrize("look", [None, 1, "0-x.y", "0-" + "a" * 24 + "." + "A" * 22])
async def test_a_look_that_is_not_there_counts_nothing(world: World, look: Any) -> None:
    activity = press("alice", await world.card(await world.ask()), "Approve", service=world.connector.service)
    sealed = activity["value"]["action"]["data"]["sayso"]
    for verb in ("turn", "approve-from-review"):
        data = {"sayso": sealed, "look": look, "on": 0, "to": "1"}
        _, answer = await world.send(activity | {"value": {"action": {"verb": verb, "data": data}}})

        assert "out of date" in banner(answer)
