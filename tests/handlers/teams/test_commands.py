"""Commands: written to the bot alone or by mention, answered to the one who asked, as cards with buttons."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from approvals.commands.answers import Answer, Button, Place, Row, ours, theirs
from handlers.teams.elements import CONTENT_TYPE
from handlers.teams.replies import command_of, draw_answer
from handlers.teams.written import LONGEST, MOST, written_in
from tests.fakes.connector import Fault, Message
from tests.fakes.entra import APP, TENANT, person_id
from tests.handlers.teams.test_cards import problems
from tests.handlers.teams.world import CHANNEL, Json, World, account, an_activity, people_in, read


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


@pytest.mark.parametrize("kind", ["messageUpdate", "messageReaction", "event", "conversationUpdate", "typing"])
async def test_only_a_message_is_a_command(world: World, kind: str) -> None:
    activity = an_activity("alice", "a:alice", service=world.connector.service, text="pending", type=kind)

    assert await world.send(activity) == (200, {})
    await world.door.idle()
    assert world.connector.cards("a:alice") == []


async def test_what_cannot_be_looked_up_is_said_so(world: World) -> None:
    request = await world.ask()
    world.store.down = True

    await write(world, "alice", f"show {request.id}", "a:alice")

    (answer,) = await said(world, "a:alice")
    assert "Try again in a moment" in read(answer.card)


async def read_as(written: Any, *mentioned: tuple[str, str]) -> str:
    """What is understood of a message; `mentioned` are the texts of its mentions with who was meant."""
    entities = [{"type": "mention", "text": said, "mentioned": {"id": who}} for said, who in mentioned]
    activity = an_activity(service="x", text=written, entities=entities)

    async def named(member: str) -> str:
        return {"29:bob": account("bob")}.get(member, "")

    return await written_in(activity, named)


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("<at>Sayso</at> pending", "pending"),
        ("<at>Renamed\nBot</at> pending", "pending"),
        ("<at>Sayso</at>&nbsp;show 7F3K-9Q\n", "show 7F3K-9Q"),
        ("show 7F3K-9Q <at>Sayso</at>", "show 7F3K-9Q"),
        ("freeze agent x <at id='0'>Sayso</at> a &amp; b", "freeze agent x a & b"),
        ("<at>Sayso</at>\r\nshow\n\t7F3K-9Q\u2003", "show 7F3K-9Q"),
        ("\u200bpending\u00a0\u202fmine\ufeff", "pending mine"),
        ("report 7F3K-9Q &lt;at&gt;x&lt;/at&gt; &quot;&#39;", "report 7F3K-9Q <at>x</at> \"'"),
        ("pending <at>", "pending <at>"),
        (None, ""),
        ({"a": 1}, ""),
        ("x" * 100_000, "x" * LONGEST),
    ],
)
async def test_the_mention_of_us_and_odd_spaces_are_no_part_of_a_command(written: Any, understood: str) -> None:
    assert await read_as(written) == understood


async def test_whoever_else_is_mentioned_is_named_as_the_policy_names_them() -> None:
    us, bob = ("<at>Sayso</at>", f"28:{APP}"), ("<at>Bob</at>", "29:bob")
    written = "<at>Sayso</at> delegate <at>Bob</at> until friday"

    assert await read_as(written, us, bob) == f"delegate {account('bob')} until friday"
    assert await read_as(written, us, ("<at>Bob</at>", "29:eve")) == "delegate @Bob until friday"
    assert await read_as("<at>Bob the &amp; Cat</at> x", ("<at>Bob the &amp; Cat</at>", "29:b")) == "@Bob-the-&-Cat x"
    # who was meant counts, not how they are called
    assert await read_as("<at>Sayso</at> <at>Sayso</at>", ("<at>Sayso</at>", "29:bob"), us) == account("bob")
    many = [(f"<at>{number}</at>", "29:bob") for number in range(9)]
    assert len((await read_as(" ".join(said for said, _ in many), *many)).split()) == MOST + 1


async def test_a_seat_is_handed_to_somebody_who_is_mentioned(world: World) -> None:
    await world.adopt(roles={"delegate": ["finance"]})
    world.connector.rosters[CHANNEL] = list(people_in("alice", "bob"))
    mention = {"type": "mention", "text": "<at>Bob</at>", "mentioned": {"id": "29:bob", "name": "Bob"}}
    words = "<at>Sayso</at> delegate <at>Bob</at> until 3d"
    await world.send(an_activity("alice", service=world.connector.service, text=words, entities=[mention]))

    (answer,) = await said(world, "a:alice")

    assert "Delegated" in read(answer.card)
    assert "alice → bob" in read(answer.card)


async def asked_in_the_channel(world: World, who: str, words: str) -> Json:
    """The answer, in their own chat, to what somebody asked in the channel."""
    before = len(world.connector.cards(f"a:{who}"))
    await write(world, who, f"<at>Sayso</at> {words}", CHANNEL)
    return (await said(world, f"a:{who}", before + 1))[-1].card


async def use(world: World, who: str, card: Json, title: str) -> str:
    """What the first button of this name comes to, in somebody's own chat."""
    action = next(action for action in actions(card) if action["title"] == title)
    return read((await world.send(execute(action, who, f"a:{who}", world)))[1]["value"])


async def test_a_list_goes_on_page_by_page_and_stays_about_the_channel_in_which_it_was_asked_for(world: World) -> None:
    world.connector.rosters[CHANNEL] = list(people_in("alice", "bob", "dana"))
    requests = []
    for _ in range(12):
        requests.append(await world.ask(show=False))
        world.clock.at += 1
    other = await world.ask(kind="deploy.run", target="prod", arguments={}, show=False)

    card = await asked_in_the_channel(world, "bob", "pending channel")
    first = read(card)
    older = await use(world, "bob", card, "Older")

    assert [one.code in first for one in requests] == [False] * 2 + [True] * 10
    assert [one.code in older for one in requests] == [True] * 2 + [False] * 10
    assert other.code not in first + older
    assert problems(card) == []


async def test_who_may_see_a_request_in_its_channel_only_sees_it_while_they_are_in_the_channel(world: World) -> None:
    world.connector.installed.add("a:mallory")
    await world.door.places.heard(an_activity("mallory", "a:mallory", service=world.connector.service))
    world.connector.rosters[CHANNEL] = list(people_in("alice", "mallory"))
    request = await world.ask()

    card = await asked_in_the_channel(world, "mallory", "pending channel")
    assert "Approval record" in await use(world, "mallory", card, "Show")
    assert "Teams does not say now that you are in it" in await use(world, "bob", card, "Show")
    for others in (people_in("alice"), people_in("alice", id="29:mallory"), people_in("mallory", tenantId=None)):
        world.connector.rosters[CHANNEL] = list(others)
        assert "Teams does not say now that you are in it" in await use(world, "mallory", card, "Show")
    world.connector.rosters[CHANNEL] = list(people_in("alice"))
    world.connector.fail("member", Fault(status=502))
    assert "Teams does not say now that you are in it" in await use(world, "alice", card, "Show")

    await write(world, "mallory", f"show {request.code}", "a:mallory")
    assert "There is no such request" in read((await said(world, "a:mallory", 2))[-1].card)


async def test_answers_wait_as_long_as_teams_asks_and_none_is_lost(world: World) -> None:
    began = world.clock.at
    for _ in range(9):
        await write(world, "alice", "pending", "a:alice")

    await said(world, "a:alice", 9)
    assert world.clock.at > began
    world.connector.fail("send", *[Fault(status=429, headers={"Retry-After": "9999"})] * 3)
    await write(world, "bob", "pending", "a:bob")
    await said(world, "a:bob")
    assert world.clock.at - began < 100


async def test_an_answer_that_may_stand_there_already_is_not_said_again(world: World) -> None:
    world.connector.fail("send", Fault(status=502, done=True))

    await write(world, "alice", "<at>Sayso</at> pending", CHANNEL)

    (note,) = await said(world, CHANNEL)
    assert "Try again in a moment" in read(note.card)
    assert len(world.connector.cards("a:alice")) == 1


async def test_a_fault_of_ours_is_answered_too(world: World) -> None:
    request = await world.ask()
    world.store.broken = True
    for words in (f"show {request.id}", "pending"):
        await write(world, "alice", words, "a:alice")

    for answer in await said(world, "a:alice", 2):
        assert "Try again in a moment" in read(answer.card)


async def test_a_message_that_teams_delivers_twice_does_no_harm(world: World) -> None:
    await world.adopt(roles={"freeze": ["finance"], "unfreeze": ["finance"]})
    command = {"type": "Action.Execute", "verb": "say", "data": {"command": "freeze all --sure because"}}
    activity = execute(command, "alice", "a:alice", world)

    answers = [read((await world.send(activity))[1]["value"]) for _ in range(2)]

    assert [answer.partition("\n")[0] for answer in answers] == ["Frozen", "Frozen"]
    records = [json.loads(entry.record) async for entry in world.store.journal(0)]
    assert [record["by"] for record in records if record["event"] == "freeze"] == ["alice"]


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
