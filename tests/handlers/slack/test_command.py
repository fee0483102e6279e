"""/sayso: what waits for whom, and help for what is mistyped."""

from __future__ import annotations

from handlers.slack.command import NAME
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, World, words


async def answered(world: World, user: str, channel: str, text: str) -> str:
    """What the command shows the person."""
    delivery = await world.sandbox.command(user, channel, NAME, text)
    assert delivery.ok, delivery.error
    return words(world.sandbox.ephemerals(user)[-1].blocks)


async def test_help_names_every_subcommand(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "")

    assert "/sayso pending" in shown
    assert "/sayso help" in shown


async def test_nothing_waits_is_said(world: World) -> None:
    assert await answered(world, "U0ALICE", PAYMENTS, "pending") == "Nothing waits for an answer here or from you."


async def test_what_waits_is_listed_newest_first_with_its_card(world: World) -> None:
    old = await world.ask()
    world.clock.advance(60)
    new = await world.ask(kind="deploy.run", target="*prod* <!channel>")

    shown = (await answered(world, "U0ALICE", PAYMENTS, "pending")).split("\n")

    assert shown[1] == f"{new.code}  deploy.run  →  *prod* <!channel> · expires <date> · open the card"
    assert shown[2] == f"{old.code}  payments.release  →  bank:acme-gmbh · expires <date> · open the card"
    links = [
        element["url"]
        for block in world.sandbox.ephemerals("U0ALICE")[-1].blocks
        for element in block["elements"][0]["elements"]
        if element["type"] == "link"
    ]
    channel, ts = await world.card(new)
    assert links[0] == world.sandbox.workspace.permalink(channel, ts)


async def test_only_what_stands_here_is_shown_to_those_who_are_not_asked(world: World) -> None:
    await world.ask()
    await world.ask(kind="deploy.run")

    shown = await answered(world, "U0MALLORY", DEPLOYS, "pending")

    assert "deploy.run" in shown
    assert "payments.release" not in shown


async def test_a_mistyped_subcommand_is_corrected(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "pendign")

    assert shown.startswith("There is no pendign. Did you mean pending?")
    assert "/sayso help" in shown


async def test_nonsense_is_shown_literally_and_helped(world: World) -> None:
    shown = await answered(world, "U0ALICE", PAYMENTS, "*x*\u202e" + "y" * 100)

    assert shown.startswith("There is no *x*\\u{202E}")
    assert "/sayso pending" in shown


async def test_when_the_memory_is_down_the_person_is_told(world: World) -> None:
    await world.ask()
    world.store.down = True

    shown = await answered(world, "U0ALICE", PAYMENTS, "pending")

    assert shown == "I could not look that up just now. Try again in a moment."
