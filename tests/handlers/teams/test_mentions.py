"""Who is called in Teams: a new message mentions exactly those asked, by name, and an edit mentions nobody."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from approvals.card import Group, Seat, Who, card_of
from approvals.care import Hours
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.ports import Account, Post
from approvals.reaching import Reaching
from approvals.request import Request
from approvals.rows import row_of
from bot.courier import Courier
from handlers.teams.cards import draw
from handlers.teams.mentions import MOST, Callee, call, called_by, harmless
from tests.bot.test_courier import until_quiet
from tests.fakes.connector import Fault, Message
from tests.fakes.entra import TENANT, person_id
from tests.handlers.slack.cards import a_card
from tests.handlers.teams.test_cards import VALUE, problems
from tests.handlers.teams.world import (
    CHANNEL,
    CHAT,
    SRE,
    TEAM,
    Json,
    World,
    account,
    look,
    people_in,
    read,
)

CALL = "<at>Alice</at>, <at>Bob</at>, <at>Carol</at>"
PAYMENT = f"teams:{CHANNEL}"


def entities(card: Json) -> list[Json]:
    """What a card tells Teams of its mentions."""
    found: list[Json] = card.get("msteams", {}).get("entities", [])
    return found


def mentioned(card: Json) -> dict[str, str]:
    """Everybody whom a card notifies, by object id, with the name that stands there."""
    return {one["mentioned"]["id"]: one["mentioned"]["name"] for one in entities(card)}


def ids(*names: str) -> list[str]:
    return [person_id(name) for name in names]


async def shown(world: World, **members: Any) -> tuple[Request, Message]:
    """A request whose cards and letters are where they belong, by way of its courier; and the first card."""
    request = await world.ask(show=False, **members)
    await delivered(world)
    return request, await world.card(request)


async def delivered(world: World) -> None:
    policies: Any = world.approvals._policies
    book = world.approvals.pings.book
    reach = Reaching(store=world.store, policies=policies, rosters=world.door.directory, book=book)
    await until_quiet(Courier(world.store, {"teams": world.door.platform}, reach=reach))


def asking(source: Json, notify: str = "mention", **sections: Any) -> Json:
    """Sections of a policy by which deployments wait for the people of a source."""
    asks = {"factors": [{"name": "duty", "from": ["duty"], "notify": notify}], "destinations": [f"teams:{CHAT}"]}
    rule = {"id": "prod", "match": {"kind": ["deploy.*"]}, "exempts": ["defaults"]}
    groups = {"duty": source, "finance": {"people": ["alice"]}}
    return {"groups": groups, "rules": [rule | asks]} | sections


async def deployed(world: World) -> tuple[Request, Message]:
    return await shown(world, kind="deploy.run", target="prod", arguments={})


async def test_a_new_card_mentions_exactly_those_asked_by_what_they_are_called_there(world: World) -> None:
    _, message = await shown(world)

    assert mentioned(message.card) == {person_id(name): name.title() for name in ("alice", "bob", "carol")}
    assert "needs finance 0 of 2, two different people\n" + CALL in read(message.card)
    assert problems(message.card) == []


async def test_an_edit_mentions_nobody_and_still_says_who_is_asked(world: World) -> None:
    request, message = await shown(world)
    answer = await world.click("bob", request, "Approve")
    await delivered(world)

    for card in (answer["value"], message.card):
        assert entities(card) == []
        assert "waiting for finance 1 of 2 (alice or carol)" in read(card)
    assert len(message.versions) == 2


async def test_a_look_mentions_nobody(world: World) -> None:
    _, message = await shown(world)
    _, answer = await world.send(look("alice", message, service=world.connector.service))

    assert "<at>" not in read(answer["value"])
    assert "needs finance 0 of 2 (alice or bob or carol)" in read(answer["value"])


@pytest.mark.parametrize(("notify", "called", "letters"), [("mention", 2, 0), ("dm", 0, 2), ("none", 0, 0)])
async def test_a_group_is_called_member_by_member_as_policy_says(
    world: World, notify: str, called: int, letters: int
) -> None:
    await world.adopt(**asking({"entra_group": SRE}, notify))
    for name in ("alice", "bob"):
        world.connector.personal[person_id(name)] = f"a:{name}"
        world.connector.installed.add(f"a:{name}")

    _, message = await deployed(world)

    assert {*mentioned(message.card)} == {*ids("alice", "bob")[:called]}
    assert sum(len(world.connector.cards(f"a:{name}")) for name in ("alice", "bob")) == letters


async def test_a_roster_is_called_member_by_member_without_guests(world: World) -> None:
    world.connector.rosters[TEAM] = [*people_in("bob", "mallory"), *people_in("gina", userRole="guest")]
    await world.adopt(**asking({"teams_team": TEAM}))
    _, message = await deployed(world)

    assert {*mentioned(message.card)} == {*ids("bob", "mallory")}
    assert "needs duty 0 of 1\n" in read(message.card)  # whom policy does not name is nobody's by an account


async def test_where_nobody_can_say_who_is_in_a_group_the_card_says_so(world: World) -> None:
    await world.adopt(**asking({"entra_group": SRE}))
    world.entra.failing = lambda path: web.Response(status=403) if "transitiveMembers" in path else None
    _, message = await deployed(world)

    assert entities(message.card) == []
    assert "needs duty 0 of 1 (who is in the group could not be looked up)" in read(message.card)


async def test_of_a_large_group_the_first_are_mentioned_and_the_card_says_how_many_are_not(world: World) -> None:
    for number in range(MOST + 5):
        world.entra.add(f"p{number:02}", "big")
    await world.adopt(**asking({"entra_group": SRE}))
    world.entra.groups[SRE] = world.entra.groups["big"]
    _, message = await deployed(world)

    assert len(mentioned(message.card)) == MOST
    assert "needs duty 0 of 1 (5 more are not mentioned)" in read(message.card)


async def test_a_reminder_mentions_the_members_of_a_group_too(world: World) -> None:
    rules = asking({"entra_group": SRE})["rules"]
    await world.adopt(**asking({"entra_group": SRE}, rules=[rules[0] | {"reminders": {"first": "10m"}}]))
    request, message = await deployed(world)
    world.clock.at += 601
    await world.approvals.after_time(request.id)
    await delivered(world)

    note = [*world.connector.messages.values()][-1]
    assert note is not message
    assert {*mentioned(note.card)} == {*ids("alice", "bob")}
    assert "this still waits for you" in read(note.card)


async def test_who_is_no_member_any_more_is_named_and_not_mentioned(world: World) -> None:
    world.entra.users[person_id("bob")]["accountEnabled"] = False
    del world.entra.users[person_id("carol")]
    _, message = await shown(world)

    assert mentioned(message.card) == {person_id("alice"): "Alice"}
    assert "needs finance 0 of 2 (bob or carol), two different people" in read(message.card)


async def test_who_cannot_be_looked_up_is_mentioned_by_what_policy_calls_them(world: World) -> None:
    world.entra.failing = lambda path: web.Response(status=503) if "/users/" in path else None
    _, message = await shown(world)

    assert mentioned(message.card) == {person_id(name): name for name in ("alice", "bob", "carol")}


async def test_whom_nobody_names_is_not_mentioned_by_an_id(world: World) -> None:
    world.entra.add("zoe", SRE, displayName="")
    del world.entra.users[person_id("alice")]["displayName"]
    await world.adopt(**asking({"entra_group": SRE}))
    _, message = await deployed(world)

    assert mentioned(message.card) == {
        person_id("alice"): "alice",
        person_id("bob"): "Bob",
        person_id("zoe"): "somebody",
    }


async def test_where_teams_takes_no_such_mention_the_card_is_posted_without(world: World) -> None:
    world.connector.strangers = {person_id("bob")}
    request, message = await shown(world)

    assert entities(message.card) == []
    assert "needs finance 0 of 2 (alice or bob or carol)" in read(message.card)
    assert (len(world.connector.messages), world.connector.asked.count("send")) == (1, 2)
    assert (await world.click("alice", request, "Approve"))["statusCode"] == 200


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault(status=403, code="MessageWritesBlocked"), ChatRefused),
        (Fault(status=429), ChatUnavailable),
        (Fault(status=502, done=True), ChatUnavailable),
    ],
)
async def test_any_other_answer_is_no_reason_to_post_again(
    world: World, fault: Fault, problem: type[Exception]
) -> None:
    request = await world.ask(show=False)
    world.connector.fail("send", fault)
    with pytest.raises(problem):
        await world.door.platform.post(PAYMENT, request, card_of(request))

    assert world.connector.asked.count("send") == 1


async def test_a_message_that_is_wrong_without_mentions_too_is_refused(world: World) -> None:
    request = await world.ask(show=False)
    world.connector.fail("send", *[Fault(status=400, code="BadSyntax")] * 2)
    with pytest.raises(ChatRefused):
        await world.door.platform.post(PAYMENT, request, card_of(request))

    assert world.connector.asked.count("send") == 2


async def test_a_shared_message_mentions_everybody_once(world: World) -> None:
    requests = [await world.ask(show=False) for _ in range(3)]
    rows = [row_of(card_of(request)) for request in requests]
    reference = await world.door.platform.post_shared(PAYMENT, "burst", rows)
    message = world.connector.messages[reference["activity"]]

    assert [*mentioned(message.card)] == ids("alice", "bob", "carol")
    assert read(message.card).count(CALL) == 1
    for request, row in zip(requests, rows, strict=True):
        await world.store.record_post(request.id, Post(PAYMENT, "posted", 0, reference, row.digest(), shared="burst"))
    await world.door.platform.update_shared(reference, rows)
    assert entities(message.card) == []


async def test_who_is_left_in_peace_is_not_mentioned(world: World) -> None:
    await world.adopt(attention={"budget": {"per_day": 100}})
    alice = Account(via="teams", tenant=TENANT, user=person_id("alice"))
    night = Hours(begin=0, end=1440, zone="UTC")
    assert await world.approvals.pings.keep_quiet(alice, night) == night
    _, message = await shown(world)

    assert [*mentioned(message.card)] == ids("bob", "carol")


async def test_what_operators_are_told_mentions_nobody_who_is_not_asked(world: World) -> None:
    note = Note(key="u", what="undeliverable", code="7F3K-9Q", place="teams:x", problem="y")
    await world.door.platform.announce(PAYMENT, note)

    assert entities([*world.connector.messages.values()][-1].card) == []


async def test_a_roster_in_graphs_place_says_what_people_are_called(world: World) -> None:
    await world.adopt(teams_roster=TEAM)
    world.connector.rosters[TEAM] = [*people_in("alice", name="Alice Rossi"), *people_in("gina", userRole="guest")]
    world.entra.failing = lambda path: web.Response(status=403) if "/users/" in path else None

    assert [await world.door.directory.name(user) for user in ids("alice", "gina", "bob")] == [
        "Alice Rossi",
        None,
        None,
    ]


def test_an_account_elsewhere_calls_nobody_here() -> None:
    people = (
        Who(person="alice", accounts=(account("alice"),)),
        Who(person="otto", accounts=(f"teams:11111111-2222-4333-8444-555555555555:{person_id('otto')}",)),
        Who(person="sam", accounts=("slack:T0SAYSO:U0SAM",)),
    )
    group = Group(source="slack:usergroup:S0SRE", people=(Who(person="bob", accounts=(account("bob"),)), people[0]))
    seats = [
        Seat(name="a", got=0, need=1, people=people, groups=(group,)),
        Seat(name="met", got=1, need=1, people=(Who(person="dana", accounts=(account("dana"),)),)),
    ]

    assert called_by(seats, TENANT) == [Callee(person_id("alice"), "alice"), Callee(person_id("bob"), "bob")]


def test_where_nobody_of_a_group_has_an_account_here_the_card_says_so() -> None:
    group = Group(source="slack:usergroup:S0SRE", people=(Who(person="sam", accounts=("slack:T0SAYSO:U0SAM",)),))
    card = a_card(needs=(Seat(name="sre", got=0, need=1, groups=(group,)),))

    line = "needs sre 0 of 1 (nobody of the group has an account in Teams that I know of)"
    assert line in read(draw(card, value=VALUE).card)


def test_more_than_one_message_calls_are_counted() -> None:
    asked = [(Callee(f"u{number}", f"p{number}"), f"P{number}") for number in range(3)]

    assert call(asked, more=4).line() == [
        {"type": "TextBlock", "text": "<at>P0</at>, <at>P1</at>, <at>P2</at> and 4 more", "wrap": True}
    ]
    assert call([]).line() == []


def test_no_two_people_are_mentioned_by_the_same_words() -> None:
    names = ["John Smith", "John Smith 2", "John Smith", "John*Smith", "John-Smith", "", "**"]
    found = call([(Callee(f"u{number}", name), name) for number, name in enumerate(names)])

    assert [one.name for one in found.mentions] == [
        "John Smith",
        "John Smith 2",
        "John Smith 3",
        "John-Smith",
        "John-Smith 2",
        "somebody",
        "somebody 2",
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Åsa O'Brien-Lund", "Åsa O'Brien-Lund"),
        ("Jose\u0301 Núñez Jr.", "José Núñez Jr."),
        ("山田 太郎", "山田 太郎"),
        ("*Approved by CFO*", "-Approved by CFO-"),
        ("[pay](https://evil.example)", "-pay--https---evil-example-"),
        ("www.evil.example", "www-evil-example"),
        ("</at><at>Bob</at>", "--at--at-Bob--at-"),
        ("{{DATE(x)}}", "--DATE-x---"),
        ("Bob\u202eEVE\u200b\n# x", "Bob-EVE--- x"),
        ("a_b_c `x`", "a-b-c -x-"),
        ("&lt;at&gt;", "-lt-at-gt-"),
        ("x" * 500, "x" * 60),
        ("   ", "somebody"),
    ],
)
def test_a_name_of_anybodys_choice_is_ground_down(given: str, shown: str) -> None:
    assert harmless(given) == shown


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6))
def test_nothing_of_a_name_can_be_markup_and_every_mention_is_told_apart(names: list[str]) -> None:
    found = call([(Callee(f"u{number}", f"p{number}"), name) for number, name in enumerate(names)])
    (line,) = found.line()

    parts = re.fullmatch(r"<at>([^<>]+)</at>(?:, <at>([^<>]+)</at>)*", line["text"])
    assert parts is not None
    for one in found.mentions:
        assert line["text"].count(one.words) == 1
        assert not set(one.name) & set("*_`~#|<>[](){}&:/\\\n\u202e")
    assert [entity["mentioned"]["id"] for entity in found.entities()["entities"]] == [
        f"u{number}" for number in range(len(names))
    ]
