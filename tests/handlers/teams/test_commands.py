"""Commands: written to the bot alone or by mention, answered to the one who asked, as cards with buttons."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from approvals.commands.answers import Answer, Button, Place, Row, ours, theirs
from handlers.teams.desk import typed_in
from handlers.teams.elements import CONTENT_TYPE
from handlers.teams.replies import command_of, draw_answer
from tests.fakes.connector import Message
from tests.fakes.entra import TENANT, person_id
from tests.handlers.teams.test_cards import problems
from tests.handlers.teams.world import CHANNEL, Json, World, an_activity, read


@pytest.fixture(autouse=True)
async def chats(world: World) -> None:
    """Alice and Bob have a chat with the bot."""
    for name in ("alice", "bob"):
        world.connector.installed.add(f"a:{name}")
        await world.door.places.heard(an_activity(name, f"a:{name}", service=world.connector.service))


async def said(world: World, place: str, count: int = 1) -> list[Message]:
    """What stands in a conversation, once there are so many messages."""
    async with asyncio.timeout(5):
        while len(found := world.connector.cards(place)) < count:
            await world.connector.changed.wait()
            world.connector.changed.clear()
    return found


async def write(world: World, who: str, words: str, place: str) -> None:
    activity = an_activity(who, place, service=world.connector.service, text=words)
    assert await world.send(activity) == (200, {})


def execute(action: Json, who: str, place: str, world: World, **entered: str) -> Json:
    """The invoke of a button of an answer."""
    inner = action["card"]["actions"][0] if action["type"] == "Action.ShowCard" else action
    value = {"action": {"verb": inner["verb"], "data": inner["data"] | entered}, "trigger": "manual"}
    activity = an_activity(who, place, service=world.connector.service)
    return activity | {"type": "invoke", "name": "adaptiveCard/action", "replyToId": "1", "value": value}


def actions(card: Json) -> list[Json]:
    """Every button of an answer."""
    sets = [item["actions"] for block in card["body"] for item in block.get("items", []) if item["type"] == "ActionSet"]
    return [action for one in [*sets, card.get("actions", [])] for action in one]


async def test_in_the_own_chat_everything_that_waits_is_listed(world: World) -> None:
    request = await world.ask()

    await write(world, "alice", "pending", "a:alice")

    (answer,) = await said(world, "a:alice")
    assert "Waiting for an answer, newest first" in read(answer.card)
    assert request.code in read(answer.card)
    assert problems(answer.card) == []


async def test_who_asks_in_a_channel_is_answered_alone_and_told_so(world: World) -> None:
    request = await world.ask()
    before = len(world.connector.cards(CHANNEL))

    await write(world, "alice", "<at>Sayso</at>&nbsp;pending mine", CHANNEL)

    (answer,) = await said(world, "a:alice")
    assert request.code in read(answer.card)
    note = (await said(world, CHANNEL, before + 1))[-1]
    assert "I answered you in our own chat" in read(note.card)
    assert request.code not in read(note.card)


async def test_who_has_no_chat_with_us_is_told_how_to_get_one(world: World) -> None:
    await write(world, "carol", "<at>Sayso</at> pending", CHANNEL)

    (note,) = await said(world, CHANNEL)
    assert "we have no chat yet" in read(note.card)


async def test_buttons_give_their_command_and_the_answer_takes_the_cards_place(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={"version": "4.2.0"})
    await write(world, "alice", "pending", "a:alice")
    (listed,) = await said(world, "a:alice")
    show = next(action for action in actions(listed.card) if action["title"] == "Show")

    status, answer = await world.send(execute(show, "alice", "a:alice", world))

    assert (status, answer["type"]) == (200, CONTENT_TYPE)
    assert "Approval record" in read(answer["value"])
    assert request.digest in read(answer["value"])
    assert problems(answer["value"]) == []


async def test_a_button_is_no_authority(world: World) -> None:
    await world.ask(kind="deploy.run", target="prod", arguments={})
    command = {"type": "Action.Execute", "verb": "say", "data": {"command": "freeze all --sure because"}}

    _, answer = await world.send(execute(command, "mallory", "a:mallory", world))

    assert "Nothing was done" in read(answer["value"])


async def test_what_is_no_command_is_told_what_there_is(world: World) -> None:
    await write(world, "bob", "pednign", "a:bob")

    (answer,) = await said(world, "a:bob")
    assert "Did you mean pending?" in read(answer.card)


async def test_somebody_without_an_identity_is_not_answered(world: World) -> None:
    activity = an_activity("alice", "a:alice", service=world.connector.service, **{"from": {"id": "29:alice"}})

    assert (await world.send(activity))[0] == 200
    await write(world, "bob", "help", "a:bob")
    await said(world, "a:bob")
    assert world.connector.cards("a:alice") == []


async def test_what_cannot_be_looked_up_is_said_so(world: World) -> None:
    request = await world.ask()
    world.store.down = True

    await write(world, "alice", f"show {request.id}", "a:alice")

    (answer,) = await said(world, "a:alice")
    assert "Try again in a moment" in read(answer.card)


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("<at>Sayso</at> pending", "pending"),
        ("<at>Sayso</at>&nbsp;show 7F3K-9Q\n", "show 7F3K-9Q"),
        ("freeze agent x <at id='0'>Sayso</at> a &amp; b", "freeze agent x   a & b"),
        (None, ""),
        ({"a": 1}, ""),
    ],
)
def test_the_mention_of_us_is_no_part_of_a_command(written: Any, understood: str) -> None:
    assert typed_in({"text": written}) == understood


def test_words_that_are_asked_for_follow_the_command() -> None:
    button = Button(label="Revoke", command="revoke x --sure", asks="Why?", danger=True)
    drawn = draw_answer(Answer(title="Sure?", buttons=(button,)), tenant=TENANT).card
    form = drawn["actions"][0]["card"]

    assert problems(drawn) == []
    entered = form["actions"][0]["data"] | {form["body"][0]["id"]: " because "}
    assert command_of(entered) == "revoke x --sure because"
    assert command_of({"command": 1}) == ""


def test_a_card_is_linked_only_where_it_stands_in_teams() -> None:
    here = Place(destination=f"teams:{CHANNEL}", reference={"conversation": CHANNEL, "activity": "17"})
    there = Place(destination="slack:C0", reference={"channel": "C0", "ts": "1"})
    row = Row(lines=((ours("a "), theirs("*b*{{x}}"), here, there),))
    drawn = draw_answer(Answer(title="T", rows=(row,)), tenant=TENANT).card

    (line,) = drawn["body"][1]["items"]
    urls = [run["selectAction"]["url"] for run in line["inlines"] if "selectAction" in run]
    assert urls == [f"https://teams.microsoft.com/l/message/19%3Apayments%40thread.tacv2/17?tenantId={TENANT}"]
    assert read(drawn) == "T\na *b*{{x}} · open the card"
    assert person_id("alice") not in str(drawn)
