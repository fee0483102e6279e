"""A card that a crash left twice: whoever looks at the copy or presses its buttons closes it, and one card remains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from approvals.card import Card, Who, card_of
from approvals.ports import Post, Stored
from approvals.request import Request
from approvals.rows import row_of
from bot.posting import CourierWatch, Posting
from handlers.teams.cards import refresh_of
from handlers.teams.platform import TeamsPlatform
from tests.fakes.connector import Fault, Message
from tests.fakes.entra import person_id
from tests.handlers.slack.cards import a_card
from tests.handlers.teams.test_clicks import banner, shown
from tests.handlers.teams.test_platform import sets_of
from tests.handlers.teams.world import CHAT, Json, World, look, press, read, titles

HERE = f"teams:{CHAT}"
BUTTONS = ["Approve", "Deny", "Ask for changes", "More"]


async def left_by_a_crash(world: World) -> tuple[Request, Message]:
    """A card that was posted and not recorded, because its courier died in between."""
    request = await world.ask(kind="deploy.run", target="prod/web", arguments={"version": "4.2.0"}, show=False)
    await world.store.intend(request.id, HERE, "a courier that died")
    reference = await world.door.platform.post(HERE, request, card_of(request))
    return request, world.connector.messages[reference["activity"]]


async def posted_again(world: World, request: Request) -> Message:
    """The card that the next courier posts, because it cannot find the first."""
    posting = Posting(world.store, CourierWatch())
    await posting.post(world.door.platform, HERE, await world.store.get(request.id))
    return await recorded(world, request)


async def recorded(world: World, request: Request) -> Message:
    """The message that is known to be the card."""
    return world.connector.messages[(await post_of(world, request)).reference["activity"]]


async def post_of(world: World, request: Request) -> Post:
    return (await world.store.get(request.id)).posts[HERE]


async def looked_at(world: World, who: str, on: Message) -> Json:
    status, answer = await world.send(look(who, on, service=world.connector.service))
    assert status == 200
    return answer


async def clicked(world: World, who: str, on: Message, title: str = "Approve") -> Json:
    status, answer = await world.send(press(who, on, title, service=world.connector.service, reason="no"))
    assert status == 200
    return answer


async def until(world: World, condition: Callable[[], bool]) -> None:
    """Wait until what the connector holds is so."""
    async with asyncio.timeout(10):
        while not condition():
            world.connector.changed.clear()
            await world.connector.changed.wait()


def with_buttons(world: World) -> list[Message]:
    return [message for message in world.connector.cards(CHAT) if titles(message.card)]


async def test_whoever_looks_at_a_copy_closes_it_for_everybody(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)
    assert with_buttons(world) == [copy, card]

    seen = await looked_at(world, "carol", copy)
    await until(world, lambda: with_buttons(world) == [card])

    assert titles(seen["value"]) == titles(copy.card) == []
    assert "refresh" not in copy.card
    assert "this copy is closed. The other one counts: open it" in shown(seen)
    assert read(copy.card) == shown(seen)
    assert f"/{card.id}?" in str(copy.card)
    assert "Approved." in shown(await clicked(world, "alice", card))
    assert len((await world.decided(request)).votes) == 1


async def test_a_click_on_a_copy_counts_nothing_and_leads_to_the_card(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)

    for title in ("Approve", "Deny", "Ask for changes"):
        copy.versions = copy.versions[:1]  # it is on a screen that the update has not reached
        answer = await clicked(world, "alice", copy, title)
        assert "this copy is closed" in shown(answer)
        assert titles(answer["value"]) == []
        await until(world, lambda: with_buttons(world) == [card])

    assert await world.status(request) == "pending"
    assert world.watch.clicks == ["copy"] * 3
    await clicked(world, "bob", card, "Deny")
    assert await world.status(request) == "denied"


async def test_the_first_look_before_anybody_posts_again_makes_it_the_card(world: World) -> None:
    request, only = await left_by_a_crash(world)

    seen = await looked_at(world, "carol", only)
    assert await posted_again(world, request) is only

    assert titles(seen["value"]) == BUTTONS
    assert with_buttons(world) == [only]
    assert (await post_of(world, request)).shown == card_of(request).digest()
    assert "Approved." in shown(await clicked(world, "alice", only))


class Interrupted(TeamsPlatform):
    """A way to Teams on which somebody looks at another card while one is being posted."""

    def __init__(self, through: TeamsPlatform, world: World, on: Message) -> None:
        self._through, self._world, self._on = through, world, on

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        return await self._through.find_posted(destination, about, since)

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        reference = await self._through.post(destination, request, card)
        await looked_at(self._world, "carol", self._on)
        return reference


async def test_of_two_that_are_recorded_at_once_the_first_stays_and_the_other_is_the_copy(world: World) -> None:
    request, first = await left_by_a_crash(world)
    posting = Posting(world.store, CourierWatch())
    way = Interrupted(world.door.platform, world, first)
    await posting.post(way, HERE, await world.store.get(request.id))

    assert await recorded(world, request) is first
    second = with_buttons(world)[1]
    await looked_at(world, "alice", second)
    await until(world, lambda: with_buttons(world) == [first])


async def test_where_the_card_was_deleted_the_copy_takes_its_place(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)
    del world.connector.messages[card.id]

    assert "this copy is closed" in shown(await clicked(world, "alice", copy))
    await until(world, lambda: len(copy.versions) > 1)

    assert await recorded(world, request) is copy
    assert titles(copy.card) == BUTTONS
    assert "Approved." in shown(await clicked(world, "alice", copy))


async def test_nobody_can_turn_another_message_into_a_copy(world: World) -> None:
    request, _ = await left_by_a_crash(world)
    card = await posted_again(world, request)
    other = await world.ask(kind="deploy.run", target="prod/api", arguments={})
    victim = await world.card(other)
    before = len(victim.versions)
    good = press("mallory", card, "Approve", service=world.connector.service)
    value = good["value"]["action"]["data"]["sayso"]

    for forged in (value, f"made-up{value}", value.partition("~")[2], f"x~{value.partition('~')[2]}"):
        data = {"sayso": forged}
        action = {"type": "Action.Execute", "verb": "refresh", "data": data}
        claims = good | {"replyToId": victim.id, "value": {"action": action, "trigger": "automatic"}}
        assert "does not belong to a card" in banner((await world.send(claims))[1])

    await world.door.idle()
    assert len(victim.versions) == before
    assert await recorded(world, request) is card
    assert await recorded(world, other) is victim


async def test_a_look_shows_how_it_stands_and_votes_nothing(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={})
    card = await world.card(request)
    before = [entry.record async for entry in world.store.journal(0)]

    for who in ("alice", "bob", "carol", "mallory"):
        seen = await looked_at(world, who, card)
        assert titles(seen["value"]) == BUTTONS
        assert seen["value"] == card.card
    for verb in ("approve", "deny", "say", "review", "turn"):
        activity = look("alice", card, service=world.connector.service)
        activity["value"]["action"] = activity["value"]["action"] | {"verb": verb}
        assert "Nothing was counted" in banner((await world.send(activity))[1])

    assert [entry.record async for entry in world.store.journal(0)] == before
    assert (await world.decided(request)).votes == ()
    assert set(world.watch.clicks) == {"unknown_button"}


async def test_a_look_is_answered_also_when_nothing_can_be_looked_up(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={})
    card = await world.card(request)
    world.store.down = True

    assert "could not look this up" in banner(await looked_at(world, "alice", card))
    assert world.watch.clicks == []


async def test_a_copy_in_a_channel_never_takes_the_place_of_a_card_in_somebodys_own_chat(world: World) -> None:
    """Only a message in their own chat with us can be the card that was meant for them there."""
    request, copy = await left_by_a_crash(world)
    card, own = await posted_again(world, request), f"teams:{person_id('alice')}"
    await world.store.intend(request.id, own, "a courier that is on its way")

    assert "this copy is closed" in shown(await clicked(world, "alice", copy))

    assert (await world.store.get(request.id)).posts[own].state == "intended"
    assert await recorded(world, request) is card
    assert await world.status(request) == "pending"


async def test_after_the_decision_a_copy_still_closes_and_a_click_is_told_who_decided(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)
    await clicked(world, "alice", card)

    late = await clicked(world, "bob", copy)
    await until(world, lambda: titles(copy.card) == [])

    assert "alice approved this" in shown(late)
    assert "this copy is closed" in read(copy.card)


async def test_what_teams_does_not_take_is_closed_at_the_next_look(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)
    world.connector.fail("update", Fault(status=429, code="TooManyRequests"))

    await looked_at(world, "carol", copy)
    await world.door.idle()
    assert with_buttons(world) == [copy, card]
    await looked_at(world, "carol", copy)
    await until(world, lambda: with_buttons(world) == [card])


async def test_a_shared_message_that_was_left_is_closed_with_all_its_rows(world: World) -> None:
    requests = [await world.ask(kind="deploy.run", target="prod", arguments={}, show=False) for _ in range(2)]
    rows = [row_of(card_of(request)) for request in requests]
    posting = Posting(world.store, CourierWatch())
    lost = await world.door.platform.post_shared(HERE, "a crash", rows)
    await posting.share(world.door.platform, HERE, [await world.store.get(request.id) for request in requests])
    copy, message = world.connector.messages[lost["activity"]], await recorded(world, requests[0])

    world.store.forget_renderings()
    as_it_is = await looked_at(world, "carol", message)
    assert len(sets_of(message)) == 2
    assert as_it_is["value"] == message.card
    assert [await world.store.rendering(row.digest()) is not None for row in rows] == [True, True]
    second = press("alice", copy, "Approve", service=world.connector.service, within=sets_of(copy)[1])
    assert "this copy is closed" in shown((await world.send(second))[1])
    await until(world, lambda: not sets_of(copy))
    await world.door.idle()

    assert len(sets_of(message)) == 2
    assert [await world.status(request) for request in requests] == ["pending", "pending"]


async def test_many_who_look_at_once_close_a_copy_once(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)

    seen = await asyncio.gather(*(looked_at(world, who, copy) for who in ("alice", "bob", "carol", "mallory")))
    await world.door.idle()

    assert all("this copy is closed" in shown(one) for one in seen)
    assert (len(copy.versions), len(card.versions)) == (2, 2)


@pytest.mark.parametrize("code", ["MessageWritesBlocked", "BotNotInConversationRoster", "ConversationNotFound"])
async def test_a_card_that_cannot_be_changed_now_is_still_the_card(world: World, code: str) -> None:
    request, copy = await left_by_a_crash(world)
    card = await posted_again(world, request)
    world.connector.fail("update", Fault(status=403, code=code))

    await looked_at(world, "carol", copy)
    await world.door.idle()

    assert await recorded(world, request) is card
    assert "Approved." in shown(await clicked(world, "alice", card))


async def test_what_a_card_shows_is_kept_before_it_is_brought_up_to_date(world: World) -> None:
    request, copy = await left_by_a_crash(world)
    await posted_again(world, request)
    digest = card_of(request).digest()
    world.store.forget_renderings()
    assert await world.store.rendering(digest) is None
    world.connector.fail("update", Fault(status=429))

    await looked_at(world, "carol", copy)
    await world.door.idle()

    assert await world.store.rendering(digest) is not None


async def test_when_one_row_was_adopted_all_of_them_stand_in_that_message(world: World) -> None:
    requests = [await world.ask(kind="deploy.run", target="prod", arguments={}, show=False) for _ in range(2)]
    rows = [row_of(card_of(request)) for request in requests]
    for request in requests:
        await world.store.intend(request.id, HERE, "burst-1", shared=True)
    await world.store.shelf.keep(f"{HERE}/burst-1", {"rows": [request.id for request in requests]})
    lost = await world.door.platform.post_shared(HERE, "burst-1", rows)
    first = world.connector.messages[lost["activity"]]
    posting = Posting(world.store, CourierWatch())
    shared = await posting.shared(HERE, "burst-1")
    assert shared is not None
    stored: list[Stored | None] = [await world.store.get(request.id) for request in requests]

    click = press("alice", first, "Approve", service=world.connector.service, within=sets_of(first)[1])
    assert "Approved." in banner((await world.send(click))[1])
    await posting.recover(world.door.platform, shared, stored)

    assert [(await post_of(world, request)).reference for request in requests] == [lost, lost]


def asked_for(card: Json) -> list[str]:
    return list(card["refresh"].get("userIds", []))


async def test_a_card_is_refreshed_for_those_who_are_asked_while_it_waits(world: World) -> None:
    payment, deployment = await world.ask(), await world.ask(kind="deploy.run", target="prod", arguments={})

    named = asked_for((await world.card(payment)).card)
    assert named == [f"8:orgid:{person_id(name)}" for name in ("alice", "bob", "carol")]
    assert (
        "userIds" not in (await world.card(deployment)).card["refresh"]
    )  # a group of Entra: nobody knows who is in it
    await clicked(world, "alice", await world.card(deployment))
    assert "refresh" not in (await clicked(world, "bob", await world.card(deployment)))["value"]


def test_teams_refreshes_for_sixty_people_at_most() -> None:
    card = a_card()
    people = tuple(Who(person=str(number), accounts=(f"teams:t:{number}",)) for number in range(80))
    many = card.model_copy(update={"needs": (card.needs[0].model_copy(update={"people": people}),)})
    found = refresh_of([many], "value")
    assert found is not None
    assert len(found["userIds"]) == 60
