"""/sayso in Slack: typed, pressed, asked for words, in messages and in modals, by both transports."""

from __future__ import annotations

import asyncio
from typing import Any

from approvals.ports import Account
from approvals.sight import Caller
from handlers.slack.command import RECORD, heard
from handlers.slack.replies import NAME, SAY
from sandbox.views import View
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, TEAM, World, a_world, policy_file, words


async def answered(world: World, user: str, channel: str, text: str) -> str:
    """What the command shows the person."""
    delivery = await world.sandbox.command(user, channel, NAME, text)
    assert delivery.ok, delivery.error
    return words(world.sandbox.ephemerals(user)[-1].blocks)


async def pressed(world: World, user: str, label: str) -> None:
    """The person uses a button of what they were told last."""
    message = world.sandbox.ephemerals(user)[-1]
    (element,) = [one for one in _buttons(message.blocks) if one["text"]["text"] == label]
    delivery = await world.sandbox.click(
        user, message.channel, message.ts, element["action_id"], value=element["value"]
    )
    assert delivery.ok, delivery.error


async def pressed_in(world: World, user: str, view: View, label: str) -> None:
    """The same in a modal or on the home tab."""
    (element,) = [one for one in _buttons(view.blocks) if one["text"]["text"] == label][:1]
    delivery = await world.sandbox.click_in_view(user, view.id, element["action_id"], value=element["value"])
    assert delivery.ok, delivery.error


async def on_screen(world: World, user: str, part: str) -> View:
    """The modal in front, once it says something."""

    def found() -> View | None:
        stack = world.sandbox.views(user)
        return stack[-1] if stack and part in words(stack[-1].blocks) else None

    return await world.sandbox.wait_for(found)


def _buttons(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [element for block in blocks if block["type"] == "actions" for element in block["elements"]]


# -- typed --------------------------------------------------------------------------------------------------------


async def test_help_names_every_command(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "")
    assert "/sayso pending" in shown
    assert "/sayso revoke ID REASON" in shown


async def test_nothing_waits_is_said(world: World) -> None:
    assert "Nothing waits for an answer." in await answered(world, "U0ALICE", PAYMENTS, "pending")


async def test_what_waits_is_listed_newest_first_with_its_card(world: World) -> None:
    old = await world.ask()
    world.clock.advance(60)
    new = await world.ask(kind="deploy.run", target="*prod* <!channel>")
    shown = (await answered(world, "U0ALICE", PAYMENTS, "pending")).split("\n")
    assert shown[1] == f"{new.code} deploy.run → *prod* <!channel> · expires <date> · open the card"
    assert shown[3] == f"{old.code} payments.release → bank:acme-gmbh · expires <date> · open the card"
    links = [
        element["url"]
        for block in world.sandbox.ephemerals("U0ALICE")[-1].blocks
        if block["type"] == "rich_text"
        for element in block["elements"][0]["elements"]
        if element["type"] == "link"
    ]
    channel, ts = await world.card(new)
    assert links[0] == world.sandbox.workspace.permalink(channel, ts)


async def test_two_cards_of_one_request_are_told_apart_by_their_places() -> None:
    file = policy_file()
    file["rules"][0]["destinations"] = [f"slack:{DEPLOYS}", "slack:U0BOB"]
    async with a_world("http", policy=file) as world:
        payment = await world.ask(show=False)
        for place in payment.terms.destinations:
            await world.show(payment, place)
        shown = await answered(world, "U0ALICE", PAYMENTS, f"show {payment.code}")
    for place in (f"#{PAYMENTS}", f"#{DEPLOYS}", "@U0BOB"):
        assert f" · open the card in {place}" in shown


async def test_only_what_stands_here_is_shown_to_those_who_are_not_asked(world: World) -> None:
    payment = await world.ask()
    await world.ask(kind="deploy.run")
    shown = await answered(world, "U0MALLORY", DEPLOYS, "pending")
    assert "deploy.run" in shown
    assert "payments.release" not in shown
    assert "that you may look at" in await answered(world, "U0MALLORY", DEPLOYS, f"show {payment.code}")


async def test_a_mistyped_command_is_corrected(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "pendign")
    assert "There is no such command pendign. Did you mean pending?" in shown
    assert "/sayso help" in shown


async def test_nonsense_is_shown_literally_and_helped(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "*x*\u202e" + "y" * 100)
    assert "There is no such command *x*\\u{202E}" in shown
    assert "/sayso pending" in shown


async def test_when_the_memory_is_down_the_person_is_told(world: World) -> None:
    request = await world.ask()
    world.store.down = True
    shown = await answered(world, "U0ALICE", PAYMENTS, f"show {request.id}")
    assert "I could not look that up just now. Try again in a moment." in shown


async def test_what_takes_longer_than_slack_waits_is_answered_afterwards() -> None:
    async with a_world("socket", budget=0.05) as world:
        request = await world.ask()
        world.store.hanging = asyncio.Event()
        assert "Working on it" in await answered(world, "U0ALICE", PAYMENTS, f"show {request.id}")
        world.store.hanging.set()
        assert "Approval record" in (await world.told("U0ALICE", 2))[-1]


async def test_in_a_direct_channel_nothing_stands_but_what_was_asked_there(http_world: World) -> None:
    request = await http_world.ask()
    direct = http_world.sandbox.workspace.direct_channel("U0MALLORY", http_world.sandbox.workspace.app.bot_user).id
    assert request.code not in await answered(http_world, "U0MALLORY", direct, "pending channel")


def test_what_slack_escaped_is_read_as_the_policy_names_it() -> None:
    typed = "delegate <@U0BOB|bob> <#C0OPS|ops> <!subteam^S0SRE|@sre> <https://x.example|x> 5 &lt; 6 &amp;&gt;"
    assert heard(typed, "T0SAYSO") == (
        "delegate slack:T0SAYSO:U0BOB slack:C0OPS slack:usergroup:S0SRE https://x.example 5 < 6 &>"
    )


# -- pressed ------------------------------------------------------------------------------------------------------


async def test_a_button_of_an_answer_gives_its_command(world: World) -> None:
    request = await world.ask()
    await answered(world, "U0ALICE", PAYMENTS, "pending")
    await pressed(world, "U0ALICE", "Show")
    shown = (await world.told("U0ALICE", 2))[-1]
    assert shown.startswith("Approval record")
    assert request.digest in shown
    assert "amount 12400.00" in shown


async def test_an_operator_takes_a_yes_back_and_says_why_in_a_form(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await world.click("U0ALICE", request, "sayso:approve")
    await answered(world, "U0CAROL", DEPLOYS, f"revoke {request.code}")
    await pressed(world, "U0CAROL", "Revoke")
    (form,) = world.sandbox.views("U0CAROL")
    assert await world.status(request) == "approved"
    delivery = await world.sandbox.submit_view("U0CAROL", form.id, {"sayso:words": "the <vendor> was *hacked*"})
    assert delivery.ok, delivery.error
    assert "is now revoked" in words((await on_screen(world, "U0CAROL", "Done")).blocks)
    assert await world.status(request) == "revoked"
    intervention = (await world.store.get(request.id)).request.interventions[0]
    assert (intervention.person, intervention.reason) == ("carol", "the <vendor> was *hacked*")


async def test_who_has_no_role_reads_so_and_gets_no_form(http_world: World) -> None:
    request = await http_world.ask(kind="deploy.run")
    await http_world.click("U0BOB", request, "sayso:approve")
    shown = await answered(http_world, "U0ALICE", DEPLOYS, f"revoke {request.code} because")
    assert "The policy does not let you revoke." in shown
    assert await http_world.status(request) == "approved"


async def test_freeze_and_unfreeze_by_two_people(http_world: World) -> None:
    request = await http_world.ask()
    assert "agent payments-bot is frozen" in await answered(
        http_world, "U0BOB", PAYMENTS, "freeze agent payments-bot it lies"
    )
    assert await http_world.status(request) == "denied"
    assert "You froze this" in await answered(http_world, "U0BOB", PAYMENTS, "unfreeze agent payments-bot --sure")
    assert "it lies" in await answered(http_world, "U0CAROL", PAYMENTS, "unfreeze")
    await pressed(http_world, "U0CAROL", "Unfreeze")
    await http_world.told("U0CAROL", 2)
    await pressed(http_world, "U0CAROL", "Unfreeze")
    assert "may go on" in (await http_world.told("U0CAROL", 3))[-1]


async def test_a_button_with_a_value_of_nobodys_does_nothing(http_world: World) -> None:
    await http_world.ask()
    await answered(http_world, "U0ALICE", PAYMENTS, "pending")
    message = http_world.sandbox.ephemerals("U0ALICE")[-1]

    for value in ("x", "[]", '{"command": 5}', '{"command": "help", "more": "x"}'):

        def forged(body: dict[str, Any], value: str = value) -> None:
            body["actions"][0]["value"] = value

        assert (await http_world.sandbox.click("U0ALICE", message.channel, message.ts, f"{SAY}:0", alter=forged)).ok
    told = await http_world.told("U0ALICE", 5)
    assert all("I do not know this button" in one for one in told[1:])


# -- modals and shortcuts -----------------------------------------------------------------------------------------


async def test_the_shortcut_on_a_card_shows_its_record(world: World) -> None:
    request, other = await world.ask(), await world.ask()
    await world.click("U0ALICE", request, "sayso:approve")
    channel, ts = await world.card(request)
    assert (await world.sandbox.shortcut("U0ALICE", RECORD, channel, ts)).ok
    view = await on_screen(world, "U0ALICE", "Approval record")
    assert request.digest in words(view.blocks)
    assert other.digest not in words(view.blocks)
    await pressed_in(world, "U0ALICE", view, "Retract my answer")
    await on_screen(world, "U0ALICE", "Taken back")
    assert (await world.store.get(request.id)).request.votes == ()


async def test_a_message_that_only_quotes_a_code_has_no_record(http_world: World) -> None:
    request = await http_world.ask()
    message = await http_world.sandbox.say("U0MALLORY", PAYMENTS, f"Approved: {request.code}")
    assert (await http_world.sandbox.shortcut("U0ALICE", RECORD, PAYMENTS, message.ts)).ok
    await on_screen(http_world, "U0ALICE", "no card that I posted")
    assert (
        await http_world.commands.posted(
            [request.code],
            {"channel": PAYMENTS, "ts": "1.0"},
            Caller(Account("slack", TEAM, "U0ALICE"), (f"slack:{PAYMENTS}",)),
        )
        is None
    )


async def test_a_form_in_a_modal_stands_on_top_of_it(http_world: World) -> None:
    request = await http_world.ask(kind="deploy.run")
    await http_world.click("U0ALICE", request, "sayso:approve")
    await http_world.sandbox.shortcut("U0BOB", RECORD, *await http_world.card(request))
    view = await on_screen(http_world, "U0BOB", "Approval record")
    await pressed_in(http_world, "U0BOB", view, "Revoke")
    asked = await on_screen(http_world, "U0BOB", "Take this yes back?")
    await pressed_in(http_world, "U0BOB", asked, "Revoke")
    assert len(http_world.sandbox.views("U0BOB")) == 2
    form = http_world.sandbox.views("U0BOB")[-1]
    await http_world.sandbox.submit_view("U0BOB", form.id, {"sayso:words": "wrong region"})
    await on_screen(http_world, "U0BOB", "is now revoked")


async def test_where_no_modal_can_be_opened_the_person_sees_that_it_failed(http_world: World) -> None:
    request = await http_world.ask()
    http_world.sandbox.faults.add(method="views.open", error="expired_trigger_id")
    assert not (await http_world.sandbox.shortcut("U0ALICE", RECORD, *await http_world.card(request))).ok


# -- the home tab -------------------------------------------------------------------------------------------------


async def home_of(world: World, user: str, part: str) -> View:
    """The home tab, once it says something."""

    def found() -> View | None:
        view = world.sandbox.home(user)
        return view if view and part in words(view.blocks) else None

    return await world.sandbox.wait_for(found)


async def test_the_home_tab_tells_what_waits_and_what_i_decided(world: World) -> None:
    waiting = await world.ask()
    await world.sandbox.open_home("U0ALICE")
    view = await home_of(world, "U0ALICE", waiting.code)
    assert "Waiting for an answer" in words(view.blocks)
    await world.sandbox.open_home("U0DANA")
    assert "Asked by your agents" in words((await home_of(world, "U0DANA", waiting.code)).blocks)
    await world.sandbox.open_home("U0MALLORY")
    assert waiting.code not in words((await home_of(world, "U0MALLORY", "Nothing waits")).blocks)


async def test_a_button_of_the_home_tab_opens_a_modal_and_refresh_draws_it_anew(world: World) -> None:
    request = await world.ask()
    await world.sandbox.open_home("U0ALICE")
    view = await home_of(world, "U0ALICE", request.code)
    await pressed_in(world, "U0ALICE", view, "Show")
    await on_screen(world, "U0ALICE", request.digest)
    later = await world.ask(target="bank:later")
    assert (await world.sandbox.click_in_view("U0ALICE", view.id, "sayso:home")).ok
    await home_of(world, "U0ALICE", later.code)


async def test_settings_are_chosen_on_the_home_tab(http_world: World) -> None:
    world = http_world
    await world.adopt(roles=policy_file()["roles"] | {"delegate": ["finance"]})
    await world.sandbox.open_home("U0ALICE")
    view = await home_of(world, "U0ALICE", "Quiet hours")
    for button, words_, came in (
        ("Choose", "22:00-07:00 Europe/Berlin", "left in peace from 22:00 to 07:00"),
        ("Hand over my seat", "bob until friday for payments.*", "payments.*"),
    ):
        await pressed_in(world, "U0ALICE", view, button)
        form = world.sandbox.views("U0ALICE")[-1]
        assert (await world.sandbox.submit_view("U0ALICE", form.id, {"sayso:words": words_})).ok
        await on_screen(world, "U0ALICE", came)
        await world.sandbox.close_view("U0ALICE", world.sandbox.views("U0ALICE")[-1].id)
    assert (await world.sandbox.click_in_view("U0ALICE", view.id, "sayso:home")).ok
    await home_of(world, "U0ALICE", "left in peace from 22:00 to 07:00")


async def test_a_home_tab_that_slack_does_not_take_is_drawn_at_the_next_look(http_world: World) -> None:
    await http_world.ask()
    http_world.sandbox.faults.add(method="views.publish", ratelimited=1)
    await http_world.sandbox.open_home("U0ALICE")
    await http_world.sandbox.open_home("U0ALICE")
    await home_of(http_world, "U0ALICE", "Waiting for an answer")
