"""Where the bot is installed: learned from what Teams sends, kept, and dropped when it is removed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from approvals.errors import ChatRefused
from handlers.teams.addresses import BOTS
from handlers.teams.channels import Channels
from handlers.teams.connector import Connector, Rest
from handlers.teams.places import Places
from storage.memory import MemoryStore
from tests.fakes.entra import APP, TENANT, person_id
from tests.handlers.teams.world import CHANNEL, CHAT, START, TEAM, World, an_activity, read

SERVICE = "https://smba.trafficmanager.net/emea/"
BOT = {"id": f"28:{APP}"}


def places() -> Places:
    return Places(MemoryStore(lambda: int(START * 1000)).shelf)


def event(place: str = CHANNEL, **changes: Any) -> dict[str, Any]:
    return an_activity(place=place, service=SERVICE) | {"type": "conversationUpdate"} | changes


async def test_a_channel_a_chat_and_a_person_are_learned() -> None:
    known = places()
    await known.heard(event(type="installationUpdate", action="add"))
    await known.heard(event(CHAT, membersAdded=[BOT]))
    await known.heard(an_activity("alice", "a:alice", service=SERVICE))

    channel, chat = await known.channel(CHANNEL), await known.channel(CHAT)
    person = await known.person(person_id("alice"))
    assert (channel and (channel.kind, channel.team, channel.service)) == ("channel", TEAM, SERVICE)
    assert (chat and chat.kind) == "groupChat"
    assert (person and (person.id, person.user)) == ("a:alice", "29:alice")
    assert await known.service(TENANT) == SERVICE


async def test_a_thread_teaches_its_channel() -> None:
    known = places()
    thread = event()
    thread["conversation"]["id"] = f"{CHANNEL};messageid=1700"
    await known.heard(thread)

    assert await known.channel(CHANNEL) is not None
    assert await known.channel(f"{CHANNEL};messageid=1700") is None


async def test_removed_from_a_team_we_forget_all_its_channels() -> None:
    known = places()
    await known.heard(event())
    await known.heard(event(TEAM))
    await known.heard(event(CHAT, membersAdded=[BOT]))

    await known.heard(event(TEAM, type="installationUpdate", action="remove"))

    assert await known.channel(CHANNEL) is None
    assert await known.channel(TEAM) is None
    assert await known.channel(CHAT) is not None


async def test_removed_from_a_chat_or_by_a_person_we_forget_it() -> None:
    known = places()
    await known.heard(event(CHAT, membersAdded=[BOT]))
    await known.heard(event(CHAT, membersRemoved=[{"id": "29:bob"}]))
    assert await known.channel(CHAT) is not None
    await known.heard(event(CHAT, membersRemoved=[BOT]))
    assert await known.channel(CHAT) is None

    await known.heard(an_activity("alice", "a:alice", service=SERVICE))
    await known.heard(event("a:alice", type="installationUpdate", action="remove-upgrade"))
    assert await known.person(person_id("alice")) is None


async def test_deleted_channels_are_forgotten() -> None:
    known = places()
    await known.heard(event())
    await known.heard(event(TEAM))
    gone = event(TEAM)
    gone["channelData"] |= {"eventType": "channelDeleted", "channel": {"id": CHANNEL}}

    await known.heard(gone)
    assert await known.channel(CHANNEL) is None
    assert await known.channel(TEAM) is not None
    await known.heard(event(TEAM, channelData={"eventType": "teamDeleted", "team": {"id": TEAM}}))
    assert await known.channel(TEAM) is None


async def test_what_a_team_lists_is_kept_with_its_kinds(world: World) -> None:
    private, shared = "19:board@thread.tacv2", "19:partners@thread.tacv2"
    world.connector.kinds = {private: "private", shared: "shared"}
    await world.send(an_activity(service=world.connector.service, type="conversationUpdate", membersAdded=[BOT]))
    await world.door.idle()

    known = world.door.places
    kinds = {place: (found := await known.channel(place)) and found.channel for place in (CHANNEL, private, shared)}
    assert kinds == {CHANNEL: "standard", private: "private", shared: "shared"}
    assert world.connector.asked.count("channels") == 1


async def test_where_the_app_was_removed_requests_go_on_and_new_ones_say_what_to_do(world: World) -> None:
    request = await world.ask()
    gone = an_activity(place=TEAM, service=world.connector.service, type="installationUpdate", action="remove")
    world.connector.installed -= {CHANNEL, TEAM}
    assert (await world.send(gone))[0] == 200
    await world.door.idle()

    assert await world.door.places.channel(CHANNEL) is None
    with pytest.raises(ChatRefused) as caught:
        await world.ask()
    assert (caught.value.code, caught.value.place) == ("BotNotInConversationRoster", True)
    assert "install the app" in caught.value.remedy
    assert await world.status(request) == "pending"

    world.connector.installed |= {CHANNEL, TEAM}  # somebody adds it again, and the old card counts again
    await world.send(an_activity(service=world.connector.service, type="installationUpdate", action="add"))
    assert "Your approval counts: 1 of 2." in read((await world.click("alice", request, "Approve"))["value"])


async def test_an_activity_that_names_no_place_teaches_nothing() -> None:
    known = places()
    for changes in (
        {"conversation": {"id": CHANNEL, "tenantId": TENANT}},
        {"conversation": {"id": CHANNEL, "conversationType": "meeting", "tenantId": TENANT}},
        {"conversation": {"conversationType": "channel", "tenantId": TENANT}},
        {"serviceUrl": ""},
    ):
        await known.heard(event(**changes))

    assert await known.channel(CHANNEL) is None
    assert await known.service(TENANT) == ""


async def test_somebody_who_removes_us_elsewhere_keeps_their_own_chat_with_us() -> None:
    known = places()
    await known.heard(an_activity("alice", "a:alice", service=SERVICE))
    await known.heard(event(CHAT, membersAdded=[BOT]))

    await known.heard(event(CHAT, type="installationUpdate", action="remove"))  # alice did it

    assert await known.channel(CHAT) is None
    assert await known.person(person_id("alice")) is not None


async def test_somebody_without_an_id_who_left_is_not_us() -> None:
    known = places()
    await known.heard(event(CHAT, membersAdded=[BOT]))

    for recipient in ({}, None, {"id": ""}, {"id": ["28:x"]}):
        await known.heard(event(CHAT, membersRemoved=[{}, {"id": ""}, None], recipient=recipient))

    assert await known.channel(CHAT) is not None


async def test_a_team_that_was_heard_as_a_channel_only_is_forgotten_with_its_team() -> None:
    known = places()
    await known.heard(event(TEAM, channelData={"tenant": {"id": TENANT}}))

    await known.heard(event(CHANNEL, type="installationUpdate", action="remove"))

    assert await known.channel(TEAM) is None


async def test_what_tells_nothing_new_is_not_written_again() -> None:
    store = MemoryStore(lambda: int(START * 1000))
    known = Places(store.shelf)
    for _ in range(3):
        await known.heard(event())

    kept = await store.shelf.kept(f"teams-places/{CHANNEL}")
    assert kept is not None
    assert kept.version == 1


async def test_a_new_channel_is_learned_and_news_cannot_make_us_ask_for_each(world: World) -> None:
    news = an_activity(service=world.connector.service, type="conversationUpdate")
    for _ in range(3):
        await world.send(news)
        await world.door.idle()
    assert world.connector.asked.count("channels") == 1

    made = "19:board@thread.tacv2"
    world.connector.kinds = {made: "private"}
    world.clock.at += 61
    news["channelData"] |= {"eventType": "channelCreated", "channel": {"id": made, "name": "Board"}}
    await world.send(news)
    await world.door.idle()

    found = await world.door.places.channel(made)
    assert found is not None
    assert found.private


async def test_a_kind_is_not_forgotten_by_an_activity_that_does_not_tell_it() -> None:
    known = places()
    private = event()
    private["channelData"]["channel"] |= {"type": "private"}
    await known.heard(private)
    await known.heard(event())

    found = await known.channel(CHANNEL)
    assert found is not None
    assert found.channel == "private"


async def test_a_place_that_an_older_version_kept_is_understood() -> None:
    store = MemoryStore(lambda: int(START * 1000))
    old = {"id": CHANNEL, "service": SERVICE, "kind": "channel", "team": TEAM, "private": True, "user": ""}
    await store.shelf.keep(f"teams-places/{CHANNEL}", old)

    found = await Places(store.shelf).channel(CHANNEL)
    assert found is not None
    assert (found.private, found.team) == (True, TEAM)


async def test_who_posts_while_the_channels_are_being_listed_waits_for_the_answer(world: World) -> None:
    here = await world.door.places.channel(CHANNEL)
    assert here is not None
    channels = Channels(Connector(Rest(world.session, world.door.tokens, BOTS)), world.door.places, now=world.clock)

    kinds = await asyncio.gather(*(channels.kind_of(here) for _ in range(3)))

    assert [place.channel for place in kinds] == ["standard"] * 3
    assert world.connector.asked == ["channels"]
