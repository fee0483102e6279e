"""What happens when people use the buttons: over both transports, with the real service and a Slack that checks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from approvals.card import card_of
from handlers.slack.blocks import APPROVE, DENY, DETAILS, MORE
from handlers.slack.reason import REASON
from sandbox import Message
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, World, a_world, words

Json = dict[str, Any]


async def test_one_of_two_is_counted_and_said(world: World) -> None:
    request = await world.ask()

    delivery = await world.click("U0ALICE", request, APPROVE)

    assert delivery.ok
    assert await world.told("U0ALICE") == ["Your approval counts: 1 of 2. The others are still to answer."]
    assert await world.status(request) == "pending"


async def test_the_second_approval_decides(world: World) -> None:
    request = await world.ask()

    await world.click("U0ALICE", request, APPROVE)
    delivery = await world.click("U0BOB", request, APPROVE)

    assert delivery.ok
    assert await world.told("U0BOB") == ["Approved. The agent has been told."]
    assert await world.status(request) == "approved"


async def test_the_click_that_is_stored_says_what_was_on_screen(world: World) -> None:
    request = await world.ask()
    await world.click("U0ALICE", request, APPROVE)

    (vote,) = (await world.store.get(request.id)).request.votes

    (post,) = (await world.store.get(request.id)).posts.values()
    assert vote.shown == post.shown
    assert vote.account == "slack:T0SAYSO:U0ALICE"


async def test_clicking_twice_counts_once(world: World) -> None:
    request = await world.ask()

    await asyncio.gather(*(world.click("U0ALICE", request, APPROVE) for _ in range(2)))

    assert await world.told("U0ALICE", 2) == ["Your approval counts: 1 of 2. The others are still to answer."] * 2
    assert len((await world.store.get(request.id)).request.votes) == 1


async def test_of_two_people_at_once_each_gets_an_answer_and_one_decision_stands(world: World) -> None:
    request = await world.ask(kind="deploy.run")

    await asyncio.gather(world.click("U0ALICE", request, APPROVE), world.click("U0BOB", request, APPROVE))

    told = sorted([*await world.told("U0ALICE"), *await world.told("U0BOB")])
    assert told[1] == "Approved. The agent has been told."
    assert "approved this <date>, so your click changes nothing." in told[0]
    decision = (await world.store.get(request.id)).request.decision
    assert decision is not None
    assert len(decision.by) == 1


async def test_somebody_who_is_not_asked_is_told_so(world: World) -> None:
    request = await world.ask()

    delivery = await world.click("U0MALLORY", request, APPROVE)

    assert delivery.ok
    assert await world.told("U0MALLORY") == ["You are not among those asked here: finance."]
    assert not (await world.store.get(request.id)).request.votes


async def test_the_principal_may_not_answer_their_own_request(world: World) -> None:
    request = await world.ask()

    await world.click("U0DANA", request, DENY)

    assert await world.told("U0DANA") == [
        "This was asked by you, for you or by your agent, so your answer cannot count."
    ]
    assert world.sandbox.views("U0DANA") == []


async def test_a_guest_may_not_answer(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    world.sandbox.workspace.join(DEPLOYS, "U0GUEST")
    world.sandbox.workspace.groups["S0SRE"].users.append("U0GUEST")

    await world.click("U0GUEST", request, APPROVE)

    (told,) = await world.told("U0GUEST")
    assert told == "Only full, active members of this workspace can answer; your account is a guest."


async def test_a_late_click_is_told_who_decided_and_when(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await world.click("U0ALICE", request, APPROVE)

    delivery = await world.click("U0BOB", request, APPROVE)

    assert delivery.ok
    assert await world.told("U0BOB") == ["@U0ALICE approved this <date>, so your click changes nothing."]


async def test_a_click_after_the_deadline_is_told_that_it_expired(world: World) -> None:
    request = await world.ask()
    world.clock.advance(31 * 60)

    await world.click("U0ALICE", request, APPROVE)

    assert await world.told("U0ALICE") == ["This expired <date>: nobody answered in time, which counts as no."]
    assert await world.status(request) == "expired"


async def test_a_denial_asks_for_a_reason_and_tells_the_agent(world: World) -> None:
    request = await world.ask()

    assert (await world.click("U0BOB", request, DENY)).ok
    (view,) = world.sandbox.views("U0BOB")
    delivery = await world.sandbox.submit_view("U0BOB", view.id, {REASON: "Bank details changed; *call* first."})

    assert delivery.ok
    assert world.sandbox.views("U0BOB") == []
    assert await world.told("U0BOB") == ["Denied. The agent has been told."]
    after = await world.refresh(request)
    assert after.status.value == "denied"
    assert after.decision is not None
    assert after.decision.reason == "Bank details changed; *call* first."
    (message,) = world.sandbox.messages(PAYMENTS)
    assert "Bank details changed; *call* first." in words(message.blocks)
    assert "[Approve]" not in words(message.blocks)


async def test_a_denial_counts_also_with_half_a_character_in_its_reason(world: World) -> None:
    request = await world.ask()
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")

    assert (await world.sandbox.submit_view("U0BOB", view.id, {REASON: "no \ud83d"})).ok

    decision = (await world.refresh(request)).decision
    assert decision is not None
    assert (decision.status.value, decision.reason) == ("denied", "no \N{REPLACEMENT CHARACTER}")


async def test_a_denial_needs_no_reason(world: World) -> None:
    request = await world.ask()
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")

    assert (await world.sandbox.submit_view("U0BOB", view.id, {})).ok

    assert await world.status(request) == "denied"


async def test_the_form_carries_ids_and_nothing_else(world: World) -> None:
    request = await world.ask(because="secret words")
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")
    held = str(view.definition["private_metadata"])

    assert request.id in held
    assert not any(word in held for word in ("secret", "bank:acme", "INV-2093", "hooks.slack.com", "/response/"))


async def test_a_form_that_comes_too_late_turns_into_a_notice(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")
    await world.click("U0ALICE", request, APPROVE)

    delivery = await world.sandbox.submit_view("U0BOB", view.id, {REASON: "no"})

    assert delivery.ok
    (left,) = world.sandbox.views("U0BOB")
    assert words(left.blocks) == "@U0ALICE approved this <date>, so your click changes nothing."
    assert await world.status(request) == "approved"


async def test_deny_is_said_to_have_failed_when_the_form_cannot_open(world: World) -> None:
    request = await world.ask()
    world.sandbox.faults.add(method="views.open", error="expired_trigger_id")

    assert (await world.click("U0BOB", request, DENY)).ok

    (told,) = await world.told("U0BOB")
    assert told.startswith("Slack did not let me open the form")
    assert await world.status(request) == "pending"


async def test_a_click_that_cannot_be_stored_is_not_acknowledged(world: World) -> None:
    request = await world.ask()
    channel, ts = await world.card(request)
    world.store.down = True

    delivery = await world.sandbox.click("U0ALICE", channel, ts, APPROVE)

    assert not delivery.ok
    (told,) = await world.told("U0ALICE")
    assert told.startswith("That did not get through to me in time")
    world.store.down = False
    assert not (await world.store.get(request.id)).request.votes
    assert (await world.sandbox.click("U0ALICE", channel, ts, APPROVE)).ok


async def test_a_click_that_takes_too_long_is_not_acknowledged() -> None:
    async with a_world("http", budget=0.05) as world:
        request = await world.ask()
        channel, ts = await world.card(request)
        world.store.hanging = asyncio.Event()

        delivery = await world.sandbox.click("U0ALICE", channel, ts, APPROVE)

        assert (delivery.status, delivery.ok) == (500, False)
        assert (await world.told("U0ALICE"))[0].startswith("That did not get through")


async def test_a_click_that_outlasts_slacks_patience_is_never_called_outdated() -> None:
    async with a_world("http", budget=3.3) as world:  # bolt's own patience ends after three seconds, like Slack's
        request = await world.ask()
        channel, ts = await world.card(request)
        world.store.hanging = asyncio.Event()

        delivery = await world.sandbox.click("U0ALICE", channel, ts, APPROVE)

        assert not delivery.ok
        (told,) = await world.told("U0ALICE")
        assert told.startswith("That did not get through")


async def test_a_denial_that_cannot_be_stored_keeps_the_form_and_its_words(world: World) -> None:
    request = await world.ask()
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")
    world.store.down = True

    delivery = await world.sandbox.submit_view("U0BOB", view.id, {REASON: "my words"})

    assert delivery.body["response_action"] == "errors"
    (left,) = world.sandbox.views("U0BOB")
    assert left.errors[REASON].startswith("That did not get through")
    world.store.down = False
    assert await world.status(request) == "pending"


async def test_a_decision_that_cannot_be_signed_yet_is_recorded_and_said_to_be_so(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    world.signer.down = True

    assert (await world.click("U0ALICE", request, APPROVE)).ok

    assert (await world.told("U0ALICE"))[0].startswith("Recorded, but not yet safe to use.")
    assert await world.status(request) == "approved"


async def test_when_the_directory_is_down_nothing_counts_and_the_person_is_told(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    world.sandbox.faults.add(method="usergroups.users.list", status=500)

    assert (await world.click("U0ALICE", request, APPROVE)).ok

    (told,) = await world.told("U0ALICE")
    assert told == "I could not check who you are just now, so nothing was counted. Click again."
    assert await world.status(request) == "pending"


async def test_an_unknown_button_is_answered_politely(world: World) -> None:
    request = await world.ask()

    def rename(body: Json) -> None:
        body["actions"][0]["action_id"] = "sayso:from-the-future"

    delivery = await world.click("U0ALICE", request, APPROVE, alter=rename)

    assert delivery.status == 200
    assert (await world.told("U0ALICE"))[0].startswith("I do not know this button")
    assert await world.status(request) == "pending"


def _set(path: str, value: Any) -> Any:
    """An alteration of a payload: `actions.0.value` and the like."""

    def alter(body: Json) -> None:
        node: Any = body
        *parents, last = path.split(".")
        for key in parents:
            node = node[int(key)] if key.isdigit() else node[key]
        if value is None:
            del node[last]
        else:
            node[last] = value

    return alter


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("actions.0.value", "1.0-aaaaaaaaaaaaaaaaaaaaaaaa." + "0" * 64 + "." + "A" * 43),
        ("actions.0.value", "garbage"),
        ("actions.0.value", "1.é"),
        ("actions.0.value", None),
        ("actions.0.value", 7),
        ("container.channel_id", "C0DATA"),
        ("container.channel_id", 7),
        ("container.type", "view"),
        ("message.app_id", "A0OTHER"),
        ("message", None),
        ("user.team_id", None),
    ],
)
async def test_a_press_that_is_not_on_our_card_is_refused(http_world: World, path: str, value: Any) -> None:
    request = await http_world.ask()

    delivery = await http_world.click("U0ALICE", request, APPROVE, alter=_set(path, value))

    assert delivery.status == 200
    assert (await http_world.told("U0ALICE"))[0].endswith("counted.")
    assert not (await http_world.store.get(request.id)).request.votes


async def test_a_button_on_another_message_than_the_card_is_refused(http_world: World) -> None:
    request = await http_world.ask()

    await http_world.click("U0ALICE", request, APPROVE, alter=_set("container.message_ts", "1.000001"))

    assert (await http_world.told("U0ALICE"))[0].startswith("This button does not belong to a card")
    assert not (await http_world.store.get(request.id)).request.votes


async def test_a_button_of_another_request_in_the_same_channel_is_refused(http_world: World) -> None:
    """A value is sealed to its request, and the message must be that request's card."""
    one, other = await http_world.ask(), await http_world.ask(target="bank:other")
    (_, message) = http_world.sandbox.messages(PAYMENTS)
    value = message.blocks[-1]["elements"][0]["value"]

    await http_world.click("U0ALICE", one, APPROVE, alter=_set("actions.0.value", value))

    assert (await http_world.told("U0ALICE"))[0].startswith("This button does not belong to a card")
    for request in (one, other):
        assert not (await http_world.store.get(request.id)).request.votes


@pytest.mark.parametrize(("path", "value"), [("api_app_id", "A0OTHER"), ("team.id", "T0OTHER"), ("team", None)])
async def test_what_is_for_another_app_or_workspace_is_turned_away(http_world: World, path: str, value: Any) -> None:
    request = await http_world.ask()

    delivery = await http_world.click("U0ALICE", request, APPROVE, alter=_set(path, value))

    assert delivery.status == 403
    assert not (await http_world.store.get(request.id)).request.votes


async def test_a_stranger_in_a_shared_channel_may_not_answer(http_world: World) -> None:
    request = await http_world.ask(kind="deploy.run")

    await http_world.click("U0ALICE", request, APPROVE, alter=_set("user.team_id", "T0PARTNER"))

    (told,) = await http_world.told("U0ALICE")
    assert told.endswith("your account is from another workspace.")


async def test_a_card_that_a_crash_orphaned_is_adopted_by_its_first_click(world: World) -> None:
    request = await world.ask(show=False)
    await world.store.intend(request.id, f"slack:{PAYMENTS}", "a courier that died")
    reference = await world.door.platform.post(f"slack:{PAYMENTS}", request, card_of(request))

    await world.sandbox.click("U0ALICE", PAYMENTS, reference["ts"], APPROVE)

    assert await world.told("U0ALICE") == ["Your approval counts: 1 of 2. The others are still to answer."]
    (post,) = (await world.store.get(request.id)).posts.values()
    assert (post.state, post.reference) == ("posted", reference)


async def test_a_card_in_a_direct_message_can_be_answered(world: World) -> None:
    request = await world.ask(show=False)
    await world.show(request, "slack:U0ALICE")

    await world.click("U0ALICE", request, APPROVE)

    assert await world.told("U0ALICE") == ["Your approval counts: 1 of 2. The others are still to answer."]


async def test_a_whisper_takes_the_other_way_when_the_response_url_is_used_up(http_world: World) -> None:
    request = await http_world.ask()

    await http_world.click("U0MALLORY", request, APPROVE, alter=_set("response_url", f"{http_world.sandbox.url}/gone"))

    assert await http_world.told("U0MALLORY") == ["You are not among those asked here: finance."]
    assert http_world.sandbox.log.calls_of("chat.postEphemeral")


@pytest.mark.parametrize("fault", [{"error": "user_not_in_channel"}, {"ratelimited": 30}])
async def test_a_whisper_that_the_channel_does_not_take_comes_as_a_direct_message(
    http_world: World, fault: dict[str, Any]
) -> None:
    request = await http_world.ask()
    http_world.sandbox.faults.add(method="chat.postEphemeral", **fault)

    await http_world.click("U0MALLORY", request, APPROVE, alter=_set("response_url", f"{http_world.sandbox.url}/gone"))

    (message,) = await http_world.sandbox.wait_for(lambda: _direct(http_world, "U0MALLORY"))
    assert words(message.blocks) == "You are not among those asked here: finance."


async def test_a_whisper_that_slack_may_have_shown_is_not_repeated(http_world: World) -> None:
    request = await http_world.ask()
    http_world.sandbox.faults.add(method="chat.postEphemeral", drop_after_processing=True)

    await http_world.click("U0MALLORY", request, APPROVE, alter=_set("response_url", f"{http_world.sandbox.url}/gone"))

    assert await http_world.told("U0MALLORY") == ["You are not among those asked here: finance."]
    assert not _direct(http_world, "U0MALLORY")


def _direct(world: World, user: str) -> list[Message]:
    """The messages between a person and the bot."""
    workspace = world.sandbox.workspace
    return world.sandbox.messages(workspace.direct_channel(user, workspace.app.bot_user).id)


async def test_details_show_the_whole_record_to_who_pressed_them(http_world: World) -> None:
    request = await http_world.ask()
    assert (await http_world.click("U0ALICE", request, DETAILS)).ok
    await http_world.door._tasks.drain()
    (view,) = http_world.sandbox.views("U0ALICE")
    assert "Approval record" in words(view.blocks)
    assert request.digest in words(view.blocks)


async def test_an_agent_is_paused_with_the_denial_only_by_who_may_freeze(http_world: World) -> None:
    request = await http_world.ask()
    channel, _ = await http_world.card(request)
    (message,) = http_world.sandbox.messages(channel)
    pause, report = [one["value"] for one in message.blocks[-1]["elements"][-1]["options"]]
    await http_world.click("U0MALLORY", request, MORE, choose=report)
    assert (await http_world.told("U0MALLORY"))[0].startswith("Reported.")
    assert (await http_world.store.get(request.id)).request.was_marked("reported")

    await http_world.click("U0ALICE", request, MORE, choose=pause)
    (view,) = http_world.sandbox.views("U0ALICE")
    await http_world.sandbox.submit_view("U0ALICE", view.id, {REASON: "it pays strangers"})
    said = words(http_world.sandbox.views("U0ALICE")[-1].blocks)
    assert said == "Denied. The agent has been told.\nThe agent is not paused. The policy does not let you freeze."
    assert await http_world.status(request) == "denied"


async def test_the_menu_opens_no_other_request(http_world: World) -> None:
    request = await http_world.ask()
    channel, _ = await http_world.card(request)
    (message,) = http_world.sandbox.messages(channel)
    (pause, _) = [one["value"] for one in message.blocks[-1]["elements"][-1]["options"]]

    def forged(body: Json) -> None:
        body["actions"][0]["selected_option"]["value"] = pause.replace(request.id, "0-" + "a" * 24)

    await http_world.click("U0ALICE", request, MORE, choose=pause, alter=forged)
    assert (await http_world.told("U0ALICE"))[0].endswith("counted.")
    assert http_world.sandbox.views("U0ALICE") == []
