"""Clicks: decided in the memory before Teams is answered, and every one of them answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from approvals.card import card_of
from approvals.ports import Post
from handlers.reasons import LONGEST
from handlers.teams import answers
from handlers.teams.cards import preset_field
from tests.fakes.entra import OTHER_TENANT, TENANT, person_id
from tests.handlers.teams.world import CHANNEL, CHAT, Json, World, a_world, an_activity, press, read, titles

BANNER = "application/vnd.microsoft.activity.message"
CARD = "application/vnd.microsoft.card.adaptive"


async def a_deployment(world: World, **members: Any) -> Any:
    return await world.ask(kind="deploy.run", target="prod/web", arguments={"version": "4.2.0"}, **members)


def banner(answer: Json) -> str:
    assert (answer["statusCode"], answer["type"]) == (200, BANNER)
    return str(answer["value"])


def shown(answer: Json) -> str:
    assert (answer["statusCode"], answer["type"]) == (200, CARD)
    return read(answer["value"])


async def test_an_approval_is_counted_and_the_clicker_sees_the_new_card(world: World) -> None:
    request = await a_deployment(world)

    answer = await world.click("alice", request, "Approve")

    assert await world.status(request) == "approved"
    assert "Approved. The agent has been told." in shown(answer)
    assert titles(answer["value"]) == []
    assert world.watch.clicks == ["counted"]
    assert len(world.nudges) == 2  # the courier brings it to everybody else


async def test_the_vote_remembers_who_clicked_and_what_they_saw(world: World) -> None:
    request = await a_deployment(world)
    await world.click("alice", request, "Approve")

    vote = (await world.decided(request)).decision.by[0]  # type: ignore[union-attr]

    assert (vote.person, vote.account) == ("alice", f"teams:{TENANT}:{person_id('alice')}")
    assert vote.shown == card_of(request).digest()


async def test_two_of_two_need_two_people(world: World) -> None:
    request = await world.ask()

    first = await world.click("alice", request, "Approve")
    again = await world.click("alice", request, "Approve")

    assert "Your approval counts: 1 of 2." in shown(first)
    assert "Your approval counts: 1 of 2." in shown(again)
    assert await world.status(request) == "pending"
    assert "Approved." in shown(await world.click("bob", request, "Approve"))
    assert await world.status(request) == "approved"


async def test_what_an_answer_shows_is_kept_before_anybody_can_click_on_it(world: World) -> None:
    request = await world.ask()
    await world.click("alice", request, "Approve")

    now = card_of(await world.decided(request))
    assert await world.store.rendering(now.digest()) == now.model_dump_json().encode()


async def test_a_denial_needs_a_reason_here_not_only_in_the_client(world: World) -> None:
    request = await a_deployment(world)

    assert "say why" in banner(await world.click("alice", request, "Deny", reason="  "))
    assert await world.status(request) == "pending"
    told = shown(await world.click("alice", request, "Deny", reason="wrong version"))

    assert "Denied. The agent has been told." in told
    assert "wrong version" in told
    decision = (await world.decided(request)).decision
    assert decision is not None
    assert decision.reason == "wrong version"


async def test_asking_for_changes_denies_and_says_what_to_change(world: World) -> None:
    request = await a_deployment(world)

    assert "say why" in banner(await world.click("bob", request, "Ask for changes", reason=" \n"))
    assert await world.status(request) == "pending"
    told = shown(await world.click("bob", request, "Ask for changes", reason="use 4.2.1"))

    assert "Please change:" in told
    decision = (await world.decided(request)).decision
    assert decision is not None
    assert decision.changes == "use 4.2.1"


@pytest.mark.parametrize(
    ("written", "kept"), [("\ud83d no", "\N{REPLACEMENT CHARACTER} no"), ("\x00\u202e", "\x00\u202e")]
)
async def test_a_denial_counts_whatever_characters_stand_in_its_reason(world: World, written: str, kept: str) -> None:
    request = await a_deployment(world)

    assert "Denied." in shown(await world.click("alice", request, "Deny", reason=written))

    decision = (await world.decided(request)).decision
    assert decision is not None
    assert decision.reason == kept


async def test_of_a_reason_no_more_is_kept_than_the_form_takes(world: World) -> None:
    request = await a_deployment(world)
    activity = press("alice", await world.card(request), "Deny", service=world.connector.service, reason="x" * 5_000)
    activity["value"]["action"]["data"][preset_field("deny", request.id)] = "y" * 5_000
    await world.send(activity)

    decision = (await world.decided(request)).decision
    assert decision is not None
    assert decision.reason == f"{'y' * 150}: {'x' * LONGEST}"


async def test_somebody_who_is_not_asked_is_told_so_and_the_card_stays(world: World) -> None:
    request = await a_deployment(world)

    assert "not among those asked here: sre" in banner(await world.click("carol", request, "Approve"))
    assert "asked by you" in banner(await world.click("dana", request, "Approve"))
    assert await world.status(request) == "pending"


async def test_outsiders_and_people_without_an_identity_are_refused(world: World) -> None:
    request = await world.ask()
    alice = {"id": "29:alice", "name": "Alice"}
    known = alice | {"aadObjectId": person_id("alice")}

    for sender in (
        alice,
        alice | {"aadObjectId": "alice"},
        alice | {"aadObjectId": None},
        alice | {"aadObjectId": [person_id("alice")]},
        {"id": person_id("alice"), "objectId": person_id("alice")},
        known | {"tenantId": None},
        known | {"tenantId": "ours"},
        {},
    ):
        answer = await world.click("alice", request, "Approve", **{"from": sender})
        assert "did not tell me who you are" in banner(answer)
    foreign = await world.click("alice", request, "Approve", **{"from": known | {"tenantId": OTHER_TENANT}})

    assert "not in" in banner(foreign) or "not among" in banner(foreign) or "another tenant" in banner(foreign)
    assert await world.status(request) == "pending"


async def test_a_late_click_is_told_who_decided_and_when(world: World) -> None:
    request = await a_deployment(world)
    await world.click("alice", request, "Deny", reason="no")

    told = shown(await world.click("bob", request, "Approve"))

    assert "alice denied this 2026-05-28 20:26 UTC, so your click changes nothing." in told
    assert await world.status(request) == "denied"


async def test_a_click_on_no_message_is_not_ours(world: World) -> None:
    request = await a_deployment(world)

    await world.click("alice", request, "Approve", replyToId="")

    assert world.watch.clicks == ["not_ours"]
    assert await world.status(request) == "pending"


async def test_a_replayed_click_changes_nothing(world: World) -> None:
    request = await a_deployment(world)
    activity = press("alice", await world.card(request), "Approve", service=world.connector.service)

    answers = [await world.send(activity) for _ in range(3)]

    assert [status for status, _ in answers] == [200, 200, 200]
    assert len((await world.decided(request)).votes) == 1


async def test_a_refresh_by_a_client_never_votes(world: World) -> None:
    request = await a_deployment(world)
    activity = press("alice", await world.card(request), "Approve", service=world.connector.service)
    for trigger in ("automatic", "scheduled", None, ["manual"]):
        activity["value"]["trigger"] = trigger
        assert "Nothing was counted" in banner((await world.send(activity))[1])

    assert await world.status(request) == "pending"


@pytest.mark.parametrize("kind", ["message", "event", "messageUpdate", "invokeResponse", None])
async def test_only_an_invoke_is_a_click(world: World, kind: str | None) -> None:
    request = await a_deployment(world)
    activity = press("alice", await world.card(request), "Approve", service=world.connector.service, type=kind)

    assert await world.send(activity) == (200, {})
    await world.door.idle()
    assert await world.status(request) == "pending"
    for name in ("adaptiveCard/other", "composeExtension/submitAction", "task/submit", None):
        assert await world.send(activity | {"type": "invoke", "name": name}) == (200, {})
    assert (await world.decided(request)).votes == ()


async def test_a_button_counts_only_on_the_message_and_in_the_place_it_was_made_for(world: World) -> None:
    request, other = await a_deployment(world), await a_deployment(world)
    card = await world.card(request)
    good = press("alice", card, "Approve", service=world.connector.service)
    elsewhere = an_activity(place=CHANNEL, service=world.connector.service)
    forged = good["value"]["action"]["data"]["sayso"].replace(request.id, other.id)

    for changes in (
        {"conversation": elsewhere["conversation"], "channelData": elsewhere["channelData"]},
        {"replyToId": None},
        {"replyToId": "1"},
        {"value": {"action": {"verb": "approve", "data": {"sayso": forged}}}},
        {"value": {"action": {"verb": "approve", "data": {"sayso": "made up"}}}},
        {"value": {"action": {"verb": "approve", "data": "text"}}},
    ):
        assert "does not belong to a card I posted here" in banner((await world.send(good | changes))[1])
    assert await world.status(request) == "pending"


async def test_a_card_that_a_crash_left_unrecorded_is_adopted_on_its_first_click(world: World) -> None:
    request = await a_deployment(world, show=False)
    await world.store.intend(request.id, f"teams:{CHAT}", "a courier that died")
    reference = await world.door.platform.post(f"teams:{CHAT}", request, card_of(request))
    message = world.connector.messages[reference["activity"]]

    _, answer = await world.send(press("alice", message, "Approve", service=world.connector.service))

    assert "Approved." in shown(answer)
    assert (await world.store.get(request.id)).posts[f"teams:{CHAT}"].reference == reference


async def test_a_person_answers_in_their_own_chat(world: World) -> None:
    place = f"teams:{person_id('alice')}"
    service = world.connector.service
    world.connector.installed.add("a:alice")
    await world.door.places.heard(an_activity("alice", "a:alice", service=service))
    request = await a_deployment(world, show=False)
    await world.store.intend(request.id, place, "courier")
    reference = await world.door.platform.post(place, request, card_of(request))
    await world.store.record_post(request.id, Post(place, "intended", world.clock.ms(), reference))

    message = world.connector.messages[reference["activity"]]
    assert "Approved." in shown((await world.send(press("alice", message, "Approve", service=service)))[1])


async def test_nothing_is_counted_while_the_memory_is_down(world: World) -> None:
    request = await a_deployment(world)
    message = await world.card(request)
    world.store.down = True

    _, answer = await world.send(press("alice", message, "Approve", service=world.connector.service))

    assert "do not take it as counted" in banner(answer)
    world.store.down = False
    assert await world.status(request) == "pending"


async def test_a_click_is_answered_in_time_also_when_the_memory_hangs() -> None:
    async with a_world(budget=0.05) as world:
        request = await a_deployment(world)
        message = await world.card(request)
        world.store.hanging = asyncio.Event()

        _, answer = await world.send(press("alice", message, "Approve", service=world.connector.service))

        assert "do not take it as counted" in banner(answer)
        assert world.watch.clicks == ["undecided"]


async def test_an_answer_that_is_lost_after_the_vote_was_counted_counts_it_once() -> None:
    async with a_world(budget=0.3) as world:
        request = await world.ask()
        message = await world.card(request)
        activity = press("alice", message, "Approve", service=world.connector.service)
        world.store.lost = asyncio.Event()

        assert "do not take it as counted" in banner((await world.send(activity))[1])
        world.store.lost = None
        assert "Your approval counts: 1 of 2." in shown((await world.send(activity))[1])

        assert [vote.person for vote in (await world.decided(request)).votes] == ["alice"]
        assert await world.status(request) == "pending"


async def test_while_entra_does_not_answer_nothing_is_counted_and_the_person_is_told_in_time(world: World) -> None:
    request = await a_deployment(world)
    await world.send(an_activity(service=world.connector.service))  # Microsoft's keys are known now
    world.entra.holding = held = asyncio.Event()
    began = time.perf_counter()

    told, took = banner(await world.click("alice", request, "Approve")), time.perf_counter() - began
    held.set()

    assert "I could not check who you are just now, so nothing was counted. Click again." in told
    assert took < 4
    assert await world.status(request) == "pending"
    assert (await world.decided(request)).votes == ()


async def test_a_button_nobody_knows_is_answered(world: World) -> None:
    request = await a_deployment(world)
    good = press("alice", await world.card(request), "Approve", service=world.connector.service)
    good["value"]["action"]["verb"] = "explode"

    assert "I do not know this button" in banner((await world.send(good))[1])


async def test_markup_in_a_sentence_is_not_shown_as_markup(world: World) -> None:
    request = await a_deployment(world)
    good = press("mallory", await world.card(request), "Approve", service=world.connector.service)

    _, answer = await world.send(good)

    assert not set(banner(answer)) & set("*_[]<>`#~|")
    hostile = "*b* _i_ [x](https://evil.example) <at>Bob</at> `c` # h ~~s~~ | ![i](x)"
    assert not set(banner(answers.banner(hostile))) & set("*_[]<>`#~|!/")


FREEZERS = {"roles": {"freeze": ["sre"], "unfreeze": ["finance"]}}


async def test_who_may_freeze_denies_and_pauses_the_agent_with_one_reason() -> None:
    async with a_world(sections=FREEZERS) as world:
        request, other = await a_deployment(world), await a_deployment(world)

        assert "say why" in banner(await world.click("alice", request, "Deny and pause this agent", reason=" "))
        assert await world.status(request) == "pending"
        told = banner(await world.click("alice", request, "Deny and pause this agent", reason="it deploys at night"))

        assert "Denied. The agent has been told. The agent is paused" in told
        assert [await world.status(one) for one in (request, other)] == ["denied", "denied"]
        decision = (await world.decided(request)).decision
        assert decision is not None
        assert decision.reason == "it deploys at night"


async def test_who_may_not_freeze_denies_all_the_same_and_who_may_not_answer_does_neither(world: World) -> None:
    request = await a_deployment(world)
    for name in ("bob", "carol"):
        world.connector.personal[person_id(name)] = f"a:{name}"
        world.connector.installed.add(f"a:{name}")

    refused = banner(await world.click("carol", request, "Deny and pause this agent", reason="no"))
    assert "not among those asked here" in refused
    assert "The agent is not paused. The policy lets nobody freeze." in refused
    assert await world.status(request) == "pending"
    told = banner(await world.click("bob", request, "Deny and pause this agent", reason="no"))

    assert "Denied. The agent has been told. The agent is not paused." in told
    assert world.watch.clicks == ["not_an_approver", "counted"]
    await world.door.idle()
    (aside,) = world.connector.cards("a:bob")  # an answer to a click goes when the card for everybody comes
    assert read(aside.card) == f"Deny and pause\n{told}"
    assert world.connector.cards("a:carol") == []


async def test_a_member_reports_a_request_and_it_still_waits(world: World) -> None:
    request = await a_deployment(world)
    assert "say why" in banner(await world.click("carol", request, "Report as suspicious", reason=" "))
    stranger = {"id": "29:eve", "aadObjectId": person_id("eve"), "tenantId": OTHER_TENANT}

    outside = await world.click("eve", request, "Report as suspicious", reason="odd", **{"from": stranger})
    assert "Reported" not in banner(outside)
    assert not (await world.decided(request)).was_marked("reported")
    assert banner(await world.click("carol", request, "Report as suspicious", reason="odd")).startswith("Reported")

    now = await world.decided(request)
    assert now.was_marked("reported", "carol")
    assert [one.reason for one in now.interventions] == ["odd"]
    assert await world.status(request) == "pending"
