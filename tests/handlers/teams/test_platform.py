"""Teams as a chat platform: posts once, updates, replies; and every way in which the connector fails."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.card import card_of
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.ports import Errand, Post
from approvals.request import Request
from approvals.rows import row_of
from tests.fakes.connector import LIMITS, Fault, Message
from tests.fakes.entra import TENANT, person_id
from tests.handlers.teams.world import CHANNEL, CHAT, World, an_activity, press, read, titles

HERE = f"teams:{CHANNEL}"


async def post(world: World, request: Request, where: str = HERE) -> dict[str, str]:
    return dict(await world.door.platform.post(where, request, card_of(request)))


async def test_a_card_is_posted_and_changed(world: World) -> None:
    request = await world.ask(show=False)

    reference = await post(world, request)
    message = world.connector.messages[reference["activity"]]
    assert "Release a payment" in read(message.card)
    assert titles(message.card) == ["Approve", "Deny", "Ask for changes", "More"]

    expired = request.expired(world.clock.ms())
    await world.door.platform.update(reference, expired, card_of(expired))
    assert titles(message.card) == []
    assert len(world.connector.messages) == 1


async def test_a_person_gets_a_chat_that_is_opened_once(world: World) -> None:
    request, place = await world.ask(show=False), f"teams:{person_id('alice')}"
    world.connector.personal[person_id("alice")] = "a:alice"
    world.connector.installed.add("a:alice")

    first, second = await post(world, request, place), await post(world, request, place)

    assert first["conversation"] == second["conversation"] == "a:alice"
    assert world.connector.asked.count("create") == 1


async def test_where_we_are_not_installed_the_remedy_is_told(world: World) -> None:
    request = await world.ask(show=False)

    for where in ("teams:19:elsewhere@thread.v2", f"teams:{person_id('nobody')}"):
        with pytest.raises(ChatRefused) as caught:
            await post(world, request, where)
        assert caught.value.code == "BotNotInConversationRoster"
        assert "install the app" in caught.value.remedy


async def test_bots_cannot_post_to_private_channels(world: World) -> None:
    activity = an_activity(service=world.connector.service)
    activity["channelData"]["channel"]["type"] = "private"
    await world.door.places.heard(activity)

    with pytest.raises(ChatRefused) as caught:
        await post(world, await world.ask(show=False))
    assert caught.value.code == "private_channel"
    assert world.connector.asked == []


@pytest.mark.parametrize(
    ("fault", "maybe_done"),
    [
        (Fault(status=429, code="TooManyRequests", headers={"Retry-After": "7"}), False),
        (Fault(status=412, code="PreconditionFailed"), False),
        (Fault(status=502), True),
        (Fault(status=504, done=True), True),
    ],
)
async def test_a_post_is_never_tried_again_in_here(world: World, fault: Fault, maybe_done: bool) -> None:
    request = await world.ask(show=False)
    world.connector.fail("send", fault)

    with pytest.raises(ChatUnavailable) as caught:
        await post(world, request)

    assert caught.value.maybe_done is maybe_done
    assert world.connector.asked.count("send") == 1
    if "Retry-After" in fault.headers:
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("code", ["MessageWritesBlocked", "MessageSizeTooBig", "SomethingNew"])
async def test_what_teams_refuses_is_told_with_its_code(world: World, code: str) -> None:
    request = await world.ask(show=False)
    world.connector.fail("send", Fault(status=403, code=code))

    with pytest.raises(ChatRefused) as caught:
        await post(world, request)
    assert caught.value.code == code
    assert caught.value.remedy


async def test_a_message_that_teams_does_not_find_at_once_is_looked_for_again(world: World) -> None:
    request = await world.ask()
    reference = {"conversation": CHANNEL, "activity": (await world.card(request)).id}
    lost = Fault(status=404, code="ActivityNotFoundInConversation")
    world.connector.fail("update", lost)

    await world.door.platform.update(reference, request, card_of(request))

    assert world.connector.asked.count("update") == 2


async def test_where_the_card_was_deleted_the_outcome_is_told_anew(world: World) -> None:
    request = await world.ask()
    gone = {"conversation": CHANNEL, "activity": "1"}

    with pytest.raises(ChatRefused):
        await world.door.platform.update(gone, request, card_of(request))
    assert len(world.connector.cards(CHANNEL)) == 1
    expired = request.expired(world.clock.ms())
    await world.door.platform.update(gone, expired, card_of(expired))

    assert [titles(message.card) for message in world.connector.cards(CHANNEL)][1:] == [[]]


async def test_a_token_that_is_not_taken_is_replaced_once(world: World) -> None:
    request = await world.ask(show=False)
    world.connector.fail("send", Fault(status=401, code="Unauthorized"))

    await post(world, request)
    assert [one for one in world.office.given if "botframework" in one] == ["https://api.botframework.com/.default"] * 2
    world.connector.fail("send", *[Fault(status=401, code="Unauthorized")] * 2)
    with pytest.raises(ChatRefused):
        await post(world, request)


async def test_a_note_stands_in_the_thread_and_mentions_those_it_is_for(world: World) -> None:
    request = await world.ask()
    message = await world.card(request)
    alice = {"person": "alice", "accounts": (f"teams:{TENANT}:{person_id('alice')}",)}
    note = Note.model_validate(
        {"key": "r", "what": "reminder", "code": "7F3K-9Q", "asked": (alice, {"person": "bob", "accounts": ()})}
    )

    await world.door.platform.reply({"conversation": CHANNEL, "activity": message.id}, note)

    said = list(world.connector.messages.values())[-1]
    assert said.conversation == f"{CHANNEL};messageid={message.id}"
    assert said.card["msteams"]["entities"] == [
        {"type": "mention", "text": "<at>Alice</at>", "mentioned": {"id": person_id("alice"), "name": "Alice"}}
    ]
    assert read(said.card) == "<at>Alice</at>\nbob this still waits for you · code 7F3K-9Q"


async def test_a_group_chat_has_no_threads(world: World) -> None:
    request = await world.ask(kind="deploy.run", target="prod", arguments={})
    note = Note.model_validate({"key": "lapsed", "what": "lapsed", "code": "7F3K-9Q"})

    await world.door.platform.reply({"conversation": CHAT, "activity": (await world.card(request)).id}, note)

    assert list(world.connector.messages.values())[-1].conversation == CHAT


async def test_a_click_in_a_row_decides_that_row_and_leaves_the_others_in_sight(world: World) -> None:
    requests = [await world.ask(kind="deploy.run", target="prod", arguments={}, show=False) for _ in range(2)]
    where, rows = f"teams:{CHAT}", [row_of(card_of(request)) for request in requests]
    reference = await world.door.platform.post_shared(where, "burst-1", rows)
    for request, row in zip(requests, rows, strict=True):
        await world.store.record_post(request.id, Post(where, "posted", 0, reference, row.digest(), shared="burst-1"))
    message = world.connector.messages[reference["activity"]]
    second = press("alice", message, "Deny", service=world.connector.service, reason="no", within=sets_of(message)[1])

    _, answer = await world.send(second)

    assert answer["type"] == "application/vnd.microsoft.activity.message"
    assert [await world.status(request) for request in requests] == ["pending", "denied"]


async def test_operators_are_told_what_stands_under_no_card(world: World) -> None:
    note = Note.model_validate(
        {"key": "u", "what": "undeliverable", "code": "7F3K-9Q", "place": "slack:C0", "problem": "x"}
    )

    await world.door.platform.announce(HERE, note)

    assert "a destination takes no cards: slack:C0 says x" in read(world.connector.cards(CHANNEL)[0].card)


async def test_nothing_is_searched_for(world: World) -> None:
    assert await world.door.platform.find_posted(HERE, "0-x", 0) is None


async def test_the_paces_stay_below_every_limit_of_a_thread(world: World) -> None:
    paces = world.door.platform.paces(Errand.POST, HERE)

    for most, seconds in LIMITS:
        assert min(pace.burst + pace.per_minute * seconds / 60 for pace in paces) <= most
    assert all(pace.name.startswith(HERE) for pace in paces)
    assert HERE not in world.door.platform.paces(Errand.EDIT, HERE)[0].name


def sets_of(message: Message) -> list[dict[str, Any]]:
    """The buttons of each row of a shared message."""
    return [item for block in message.card["body"] for item in block.get("items", []) if item["type"] == "ActionSet"]


async def test_several_requests_share_a_message_and_each_is_decided_on_its_own(world: World) -> None:
    requests = [await world.ask(show=False) for _ in range(3)]
    rows = [row_of(card_of(request)) for request in requests]

    reference = await world.door.platform.post_shared(HERE, "burst-1", rows)

    message = world.connector.messages[reference["activity"]]
    assert "3 of 3 requests are waiting" in read(message.card)
    sets = sets_of(message)
    assert [titles(one) for one in sets] == [["Approve", "Deny", "Ask for changes"]] * 3
    sealed = {one["actions"][0]["data"]["sayso"] for one in sets}
    assert len(sealed) == 3

    expired = row_of(card_of(requests[0].expired(world.clock.ms())))
    await world.door.platform.update_shared(reference, [expired, None, rows[2]])
    assert "1 of 3 requests are waiting" in read(message.card)
    assert "a request that is no longer kept" in read(message.card)


async def test_the_fake_enforces_the_limits_of_a_thread(world: World) -> None:
    request = await world.ask(show=False)
    for _ in range(7):
        await post(world, request)
    with pytest.raises(ChatUnavailable) as caught:
        await post(world, request)
    assert caught.value.retry_after == 3.0
