"""Several requests in one message: what Slack accepts, what people read, and that each row decides itself alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from approvals.card import Card
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.request import Request
from approvals.rows import ROW_WHOLE, row_of
from bot.courier import Courier
from handlers.slack.burst import draw_rows
from handlers.slack.platform import ROWS
from sandbox import Message
from sandbox.blocks import check_message
from storage.memory import MemoryStore
from tests.bot.test_courier import until_quiet
from tests.handlers.slack.cards import MARK, a_card, a_decided_card, hostile_cards
from tests.handlers.slack.test_blocks import strings
from tests.handlers.slack.world import DEPLOYS, World, a_world, words

TEAM = "T0SAYSO"
VALUE = "1.0-" + "a" * 24 + "." + "0" * 64 + "." + "A" * 43
MOST_TEXT = 13_000  #: Slack has refused longer messages as msg_blocks_too_long; the number is not documented


def blocks_of(*cards: Card) -> list[dict[str, Any]]:
    rows = [row_of(card) for card in cards]
    return draw_rows(rows, [VALUE] * len(rows), team=TEAM).blocks


def labels(block: dict[str, Any]) -> list[str]:
    return [element["text"]["text"] for element in block["elements"]]


@settings(max_examples=12)
@given(st.lists(hostile_cards, min_size=1, max_size=2))
def test_slack_accepts_every_shared_message(cards: list[Card]) -> None:
    rows = [row_of(card) for card in cards]
    drawing = draw_rows(rows, [VALUE] * len(rows), team=TEAM)

    assert check_message(drawing.blocks) == []
    for block in Block.parse_all(drawing.blocks):
        block.to_dict()  # raises where slack_sdk knows a limit that is broken
    assert len(drawing.text) <= 3_000
    for path, value in strings(drawing.blocks):
        if MARK in value:
            assert (path[0], path[-2:]) == ("rich_text", ("text", "text"))
    assert MARK not in drawing.text


@settings(max_examples=20)
@given(hostile_cards)
def test_a_row_may_be_approved_only_if_it_says_all_of_the_action(card: Card) -> None:
    row = row_of(card)
    shown = [*card.target, *(text for line in card.arguments for text in (line.name, *line.value))]

    if "approve" in row.buttons:
        assert "approve" in card.buttons
        assert row.arguments == card.arguments
        assert row.target == card.target
        assert not card.preconditions
        assert sum(map(len, shown)) <= ROW_WHOLE
    elif card.buttons:
        assert "review" in row.buttons


def test_twenty_full_rows_fit_into_one_message() -> None:
    full = a_card(arguments=tuple(Line(name=f"name{number}", value=("x" * 30,)) for number in range(8)), target="t")
    assert row_of(full).whole
    blocks = blocks_of(*[full] * ROWS)
    assert check_message(blocks) == []
    assert len(words(blocks)) <= MOST_TEXT


def test_a_row_says_what_would_happen_who_asks_and_what_is_needed() -> None:
    lead, row, buttons = blocks_of(a_card())
    assert "1 of 1 requests are waiting" in words([lead])
    for piece in ("7F3K-9Q", "Release a payment", "high risk", "cannot be undone", "payments.release",
                  "bank:acme-gmbh", "12400.00", "payments-bot", "finance 0 of 1"):  # fmt: skip
        assert piece in words([row])
    assert labels(buttons)[:2] == ["Approve", "Deny"]


def test_a_row_without_room_for_everything_is_reviewed() -> None:
    _, row, buttons = blocks_of(a_card(arguments=(Line(name="plan", value=("x" * (ROW_WHOLE + 1),)),)))
    assert "not all of it is shown here" in words([row])
    assert "Review" in labels(buttons)
    assert "Approve" not in labels(buttons)


@pytest.mark.parametrize("changes", [{"hidden": True}, {"supersedes": "7F3K-9Q"}, {"complete": False}])
def test_a_row_that_leaves_out_what_a_card_tells_is_reviewed(changes: dict[str, Any]) -> None:
    assert "approve" not in row_of(a_card(**changes)).buttons


def test_a_decided_row_says_how_and_has_no_buttons() -> None:
    _, row = blocks_of(a_decided_card(Status.DENIED, heading="Payment not released", note="denied by"))
    assert "Payment not released" in words([row])


def test_a_forgotten_row_keeps_its_place() -> None:
    row = row_of(a_card())
    blocks = draw_rows([None, row], ["", VALUE], team=TEAM).blocks
    assert "no longer kept" in words([blocks[1]])
    assert "7F3K-9Q" in words([blocks[2]])


# ------------------------------------------------------------ on Slack


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


def courier_of(world: World) -> Courier:
    return Courier(world.store, {"slack": world.door.platform})


async def burst(world: World, count: int = 3) -> tuple[Message, list[Request]]:
    """A shared message, and the requests in it in the order of their rows, after two cards of their own."""
    asked = []
    for number in range(-2, count):
        asked.append(await world.ask(show=False, kind="deploy.run", arguments={"release": f"2026.11.{number}"}))
        world.clock.advance(0.001)
        if number < 0:
            await shown(world)
    world.clock.advance(1)
    await shown(world)
    (message,) = [one for one in world.sandbox.messages(DEPLOYS) if "message" in about(one)]
    return message, sorted(asked[2:], key=lambda request: words(message.blocks).index(request.code))


async def shown(world: World) -> None:
    await until_quiet(courier_of(world))


def about(message: Message) -> dict[str, Any]:
    payload: dict[str, Any] = (message.metadata or {}).get("event_payload", {})
    return payload


def button_of(message: Message, place: int) -> str:
    """What the first button of a row carries."""
    actions = [block for block in message.blocks if block["type"] == "actions"]
    value: str = actions[place]["elements"][0]["value"]
    return value


async def test_a_click_on_a_row_decides_that_request_alone(world: World) -> None:
    message, requests = await burst(world)

    await world.sandbox.click("U0ALICE", DEPLOYS, message.ts, "sayso:approve", value=button_of(message, 1))

    assert [await world.status(request) for request in requests] == ["pending", "approved", "pending"]
    (vote,) = (await world.store.get(requests[1].id)).request.votes
    assert await world.store.rendering(vote.shown) is not None
    await shown(world)
    (now,) = [one for one in world.sandbox.messages(DEPLOYS) if one.ts == message.ts]
    assert "2 of 3 requests are waiting" in words(now.blocks)
    codes = [words(now.blocks).index(request.code) for request in requests]
    assert codes == sorted(codes)


async def test_a_shared_message_carries_its_name_alone_as_metadata(world: World) -> None:
    message, requests = await burst(world)
    assert list(about(message)) == ["message"]
    assert not any(request.id in str(message.metadata) for request in requests)


async def test_a_rows_button_works_on_its_own_message_alone(world: World) -> None:
    message, requests = await burst(world)
    card = next(one for one in world.sandbox.messages(DEPLOYS) if "request" in about(one))
    value = button_of(message, 0)

    def copied(body: dict[str, Any]) -> None:
        body["actions"][0]["value"] = value

    await world.sandbox.click("U0ALICE", DEPLOYS, card.ts, "sayso:approve", alter=copied)

    assert await world.status(requests[0]) == "pending"
    (told,) = await world.told("U0ALICE")
    assert "does not belong to a card I posted here" in told


async def test_a_row_denied_with_a_reason_says_so_in_its_place(world: World) -> None:
    message, requests = await burst(world)
    await world.sandbox.click("U0BOB", DEPLOYS, message.ts, "sayso:deny", value=_deny_of(message, 2))
    (view,) = world.sandbox.views("U0BOB")
    await world.sandbox.submit_view("U0BOB", view.id, {view.blocks[-1]["block_id"]: "not on a Friday"})
    assert await world.status(requests[2]) == "denied"
    await shown(world)
    (now,) = [one for one in world.sandbox.messages(DEPLOYS) if one.ts == message.ts]
    assert "not on a Friday" in words(now.blocks)


def _deny_of(message: Message, place: int) -> str:
    actions = [block for block in message.blocks if block["type"] == "actions"]
    value: str = next(one["value"] for one in actions[place]["elements"] if one["action_id"] == "sayso:deny")
    return value


async def test_a_row_that_does_not_show_everything_opens_a_review_of_its_request(world: World) -> None:
    for number in range(2):
        await world.ask(show=False, kind="deploy.run", target=f"first-{number}")
        await shown(world)
    long = {"plan": "x" * (ROW_WHOLE + 1)}
    requests = [await world.ask(show=False, kind="deploy.run", arguments=long, target=f"s-{n}") for n in range(2)]
    world.clock.advance(1)
    await shown(world)
    (message,) = [one for one in world.sandbox.messages(DEPLOYS) if "message" in about(one)]
    (request,) = [one for one in requests if one.id in button_of(message, 1)]

    await world.sandbox.click("U0ALICE", DEPLOYS, message.ts, "sayso:review", value=button_of(message, 1))
    await world.door._tasks.drain()
    (view,) = world.sandbox.views("U0ALICE")
    assert request.code in words(view.blocks)
    await world.sandbox.submit_view("U0ALICE", view.id, {})

    assert sorted([await world.status(one) for one in requests]) == ["approved", "pending"]
    assert await world.status(request) == "approved"


async def test_those_who_are_asked_are_mentioned_once_in_the_first_line(world: World) -> None:
    message, _ = await burst(world)
    assert str(message.blocks).count("'usergroup_id': 'S0SRE'") == 1
    assert "S0SRE" in str(message.blocks[0])


async def test_an_orphan_is_adopted_on_the_first_click_for_all_its_rows(world: World) -> None:
    """Without the scope to read the channel, nobody can find what a crash left behind; a click shows it."""
    for number in range(2):
        await world.ask(show=False, kind="deploy.run", target=f"first-{number}")
    await shown(world)
    requests = [await world.ask(show=False, kind="deploy.run", target=f"service-{number}") for number in range(3)]
    world.sandbox.faults.add(method="chat.postMessage", drop_after_processing=True)
    world.clock.advance(0.5)
    await shown(world)
    world.clock.advance(0.6)
    await shown(world)
    (orphan,) = [one for one in world.sandbox.messages(DEPLOYS) if "message" in about(one)]
    states = {(await posts_of(world.store, request)).state for request in requests}
    assert states == {"intended"}

    await world.sandbox.click("U0ALICE", DEPLOYS, orphan.ts, "sayso:approve", value=button_of(orphan, 0))
    for _ in range(4):
        world.clock.advance(2)
        await shown(world)

    posts = [await posts_of(world.store, request) for request in requests]
    assert {post.reference.get("ts") for post in posts} == {orphan.ts}
    assert len([one for one in world.sandbox.messages(DEPLOYS) if "message" in about(one)]) == 1
    assert sorted([await world.status(request) for request in requests]) == ["approved", "pending", "pending"]


async def posts_of(store: MemoryStore, request: Request) -> Any:
    return (await store.get(request.id)).posts[f"slack:{DEPLOYS}"]
