"""Posting cards: at most once, with every problem of Slack's told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from approvals.card import card_of
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from bot.courier import Courier
from handlers.seal import Seal
from handlers.slack.api import new_client
from handlers.slack.outsiders import Outsiders
from handlers.slack.platform import SlackPlatform
from sandbox.limits import Limiter, LimitSettings
from tests.bot.test_courier import until_quiet
from tests.handlers.slack.world import DEPLOYS, KEY, PAYMENTS, World, a_world, words

HERE = f"slack:{PAYMENTS}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


async def test_a_card_carries_only_its_request_as_metadata(world: World) -> None:
    request = await world.ask()

    (message,) = world.sandbox.messages(PAYMENTS)

    assert message.metadata == {"event_type": "sayso_request", "event_payload": {"request": request.id}}
    (call,) = world.sandbox.log.calls_of("chat.postMessage")
    assert {str(call.args[name]).lower() for name in ("unfurl_links", "unfurl_media")} <= {"false", "0"}


async def test_an_update_keeps_the_metadata_and_changes_the_rest(world: World) -> None:
    request = await world.ask()
    await world.approvals.withdraw("payments-bot", request.id)

    await world.refresh(request)

    (message,) = world.sandbox.messages(PAYMENTS)
    assert message.metadata is not None
    assert "the agent no longer asks" in words(message.blocks)
    assert "[Approve]" not in words(message.blocks)


async def test_an_update_can_be_made_again(world: World) -> None:
    request = await world.ask()

    await world.refresh(request)
    await world.refresh(request)

    assert len(world.sandbox.messages(PAYMENTS)) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"error": "internal_error"}])
async def test_a_server_error_is_never_tried_again(world: World, fault: dict[str, object]) -> None:
    request = await world.ask(show=False)
    world.sandbox.faults.add(method="chat.postMessage", **fault)

    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.post(HERE, request, card_of(request))

    assert caught.value.maybe_done
    assert len(world.sandbox.log.calls_of("chat.postMessage")) == 1


async def test_a_connection_that_breaks_after_posting_does_not_post_twice(world: World) -> None:
    request = await world.ask(show=False)
    world.sandbox.faults.add(method="chat.postMessage", drop_after_processing=True)

    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.post(HERE, request, card_of(request))

    assert caught.value.maybe_done
    (message,) = world.sandbox.messages(PAYMENTS)
    found = await world.door.platform.find_posted(HERE, request.id, world.clock.ms())
    assert found == {"channel": PAYMENTS, "ts": message.ts}


async def test_a_rate_limit_names_slacks_own_time(world: World) -> None:
    request = await world.ask(show=False)
    world.sandbox.faults.add(method="chat.postMessage", ratelimited=17)

    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.post(HERE, request, card_of(request))

    assert (caught.value.retry_after, caught.value.maybe_done) == (17, False)
    assert len(world.sandbox.log.calls_of("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("channel_not_found", "/invite"),
        ("not_in_channel", "/invite"),
        ("is_archived", "unarchive"),
        ("restricted_action", "admin"),
        ("invalid_auth", "bot token"),
        ("never_heard_of", "docs.slack.dev"),
    ],
)
async def test_a_refusal_says_what_to_do(world: World, code: str, remedy: str) -> None:
    request = await world.ask(show=False)
    world.sandbox.faults.add(method="chat.postMessage", error=code)

    with pytest.raises(ChatRefused) as caught:
        await world.door.platform.post(HERE, request, card_of(request))

    assert caught.value.code == code
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"])
async def test_a_message_that_cannot_be_changed_is_a_refusal(world: World, code: str) -> None:
    request = await world.ask()
    world.sandbox.faults.add(method="chat.update", error=code)

    with pytest.raises(ChatRefused, match=code):
        await world.refresh(request)


async def test_a_person_is_a_destination(world: World) -> None:
    request = await world.ask(show=False)

    await world.show(request, "slack:U0BOB")
    await world.show(request, "slack:U0BOB")

    assert await world.card(request) == ("D0BOB", world.sandbox.messages("D0BOB")[-1].ts)
    assert len(world.sandbox.log.calls_of("conversations.open")) == 1


async def test_a_direct_message_that_cannot_be_opened_was_surely_not_posted(world: World) -> None:
    request = await world.ask(show=False)
    world.sandbox.faults.add(method="conversations.open", status=502)

    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.post("slack:U0BOB", request, card_of(request))

    assert not caught.value.maybe_done


async def test_our_message_is_found_among_many(world: World) -> None:
    request = await world.ask()
    channel, ts = await world.card(request)
    for number in range(230):
        await world.sandbox.say("U0ALICE", PAYMENTS, f"chatter {number}")

    found = await world.door.platform.find_posted(HERE, request.id, world.clock.ms())

    assert found == {"channel": channel, "ts": ts}
    assert len(world.sandbox.log.calls_of("conversations.history")) == 2


async def test_what_was_never_posted_is_not_found(world: World) -> None:
    await world.ask()

    assert await world.door.platform.find_posted(HERE, "0-" + "z" * 24, world.clock.ms()) is None


async def test_without_the_scope_nothing_is_found_and_nothing_breaks(world: World) -> None:
    request = await world.ask()
    world.sandbox.workspace.app.scopes.discard("channels:history")

    assert await world.door.platform.find_posted(HERE, request.id, world.clock.ms()) is None


async def test_while_slack_lets_nobody_look_again_it_is_not_said_that_there_is_nothing(world: World) -> None:
    request = await world.ask()
    world.sandbox.slack.limiter = Limiter(LimitSettings(history_per_minute=1), world.clock)
    assert await world.door.platform.find_posted(HERE, request.id, world.clock.ms()) is not None

    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.find_posted(HERE, request.id, world.clock.ms())

    assert caught.value.retry_after >= 1


async def test_when_slack_cannot_be_reached_nothing_was_posted(world: World) -> None:
    request = await world.ask(show=False)
    await world.sandbox.stop()
    async with aiohttp.ClientSession() as session:  # without a connection that was open before
        client = new_client("xoxb-any", session, base_url=world.sandbox.api_url)
        seal = Seal(KEY, team=world.door.identity.team, app=world.door.identity.app)
        platform = SlackPlatform(client, world.door.identity, seal)

        with pytest.raises(ChatUnavailable) as caught:
            await platform.post(HERE, request, card_of(request))

    assert not caught.value.maybe_done


async def test_a_letter_goes_to_the_person_and_leads_to_the_card(world: World) -> None:
    where = {"channel": PAYMENTS, "ts": "1780000000.000100"}
    note = Note(key="letter-denied", what="decided", code="7F3K-9Q", title="A & <b>", status="denied", reference=where)
    await world.door.platform.announce("slack:U0DANA", note)
    (message,) = world.sandbox.messages("D0DANA")
    assert message.text == "A &amp; &lt;b&gt;: denied (7F3K-9Q)"
    (link,) = [one for one in message.blocks[0]["elements"][0]["elements"] if one["type"] == "link"]
    assert link["url"].endswith(f"/archives/{PAYMENTS}/p1780000000000100")


# -- channels that outsiders read ---------------------------------------------------------------------------------


async def test_what_outsiders_would_read_is_not_posted(world: World) -> None:
    world.sandbox.workspace.channels[PAYMENTS].is_ext_shared = True

    with pytest.raises(ChatRefused) as refusal:
        await world.ask()

    assert (refusal.value.code, refusal.value.place) == ("external_channel", True)
    assert not world.sandbox.log.calls_of("chat.postMessage")


async def test_a_channel_that_is_shared_later_takes_no_more_cards_within_a_minute(world: World) -> None:
    await world.ask()
    await world.ask()
    assert len(world.sandbox.log.calls_of("conversations.info")) == 1
    world.sandbox.workspace.channels[PAYMENTS].is_ext_shared = True
    world.clock.advance(61)

    with pytest.raises(ChatRefused):
        await world.ask()


@pytest.mark.parametrize(
    ("channel", "refused"),
    [
        ({"is_ext_shared": False}, False),
        ({"is_ext_shared": False, "is_pending_ext_shared": False, "is_org_shared": True}, False),
        ({"is_ext_shared": True}, True),
        ({"is_ext_shared": False, "is_pending_ext_shared": True}, True),
        ({"is_ext_shared": None}, True),
        ({"is_ext_shared": "false"}, True),
        ({}, True),
    ],
)
@pytest.mark.parametrize("allowed", [False, True])
async def test_only_a_channel_that_slack_says_is_ours_passes(
    channel: dict[str, Any], refused: bool, allowed: bool
) -> None:
    async def info(_: str) -> dict[str, Any]:
        return channel

    outsiders = Outsiders(info, allowed=lambda _: allowed, now=lambda: 0.0)
    try:
        await outsiders.must_not_read("slack:C0OPS", "C0OPS")
    except ChatRefused:
        assert refused
        assert not allowed
    else:
        assert allowed or not refused


@pytest.mark.parametrize("closing", ["archive", "remove_bot", "restrict"])
async def test_a_channel_that_closed_is_told_to_operators_with_its_remedy(world: World, closing: str) -> None:
    workspace = world.sandbox.workspace
    workspace.app.scopes.discard("chat:write.public")
    if closing == "restrict":
        workspace.channels[PAYMENTS].posting_restricted = True
    else:
        getattr(workspace, closing)(PAYMENTS)
    request = await world.ask(show=False)

    await until_quiet(Courier(world.store, {"slack": world.door.platform}, operators=f"slack:{DEPLOYS}"))

    (message,) = world.sandbox.messages(DEPLOYS)
    code = {"archive": "is_archived", "remove_bot": "not_in_channel", "restrict": "restricted_action"}[closing]
    for piece in ("requests wait unseen", HERE, code, request.code):
        assert piece in words(message.blocks)
    assert (await world.store.get(request.id)).posts[HERE].problem == code
