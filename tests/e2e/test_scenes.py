"""The five scenes of the demo as they are shipped, under the demo's policy and Slack's own limits: call to act."""

from __future__ import annotations

import json
import re

import pytest

from handlers.slack.review import CODE, PAGE, WHY
from sandbox import View, Workspace
from tests.e2e.processes import ROOT, Process
from tests.e2e.world import ALICE, BOB, DANA, Lane, World, a_world, text_of, words_in

pytestmark = pytest.mark.redis

CAROL, GUS, MARA = "U0CAROL", "U0GUS", "U0MARA"
POLICY = ROOT / "examples" / "policies" / "five-scenes.yaml"
DEPLOY, PAYMENT = Lane("deploy.config", "C0DEPLOYS"), Lane("payments.release", "C0PAYMENTS")
EXPORT, DELETION = Lane("data.export", "C0DATA"), Lane("secrets.delete", "C0SECURITY")
MAIL = Lane("mail.publish", "C0PRESS")


async def test_every_scene_acts_after_its_people_said_yes() -> None:
    policy = POLICY.read_text(encoding="utf-8").replace("min_look: 10s", "min_look: 1s")
    async with a_world(people=Workspace.demo(), policy=policy) as world:
        await world.bot()
        place = world.folder / "world"
        agents = Process({}, world.folder)
        world.also(agents)
        example = str(ROOT / "examples" / "five_scenes.py")
        given = ["--redis", world.redis.url, "--trust", str(world.trust), "--world", str(place), "--run", "test"]
        await agents.start(example, *given)
        await _deploy(world)
        await _payment(world)
        await _export(world)
        await _deletion(world)
        await _mail(world)
        assert await agents.ended() == 0, agents.lines

        assert json.loads((place / "production.json").read_text())["rate_limit"] == 150
        assert (place / "ledger.csv").read_text().startswith("INV-2093,12400.00,EUR,")
        assert len((place / "eu.csv").read_text().splitlines()) == 1 + 1204
        assert not (place / "legacy-kv").exists()
        assert b"press@newsroom.example" in (place / "sent.eml").read_bytes()


async def _deploy(world: World) -> None:
    """One SRE, who asks for less first; the agent asks anew with what was named."""
    first = await _asked(world, DEPLOY)
    await world.click(ALICE, DEPLOY, first, "changes")
    (view,) = world.sandbox.views(ALICE)
    assert (await world.sandbox.submit_view(ALICE, view.id, {"sayso:reason": "Half of that step first: 150."})).ok
    again = await _asked(world, DEPLOY, but=first)
    await world.card(DEPLOY, again, "asked anew", "250  →  150")
    await world.click(BOB, DEPLOY, again)
    await world.card(DEPLOY, again, "Config change deployed", "succeeded in")


async def _payment(world: World) -> None:
    """Finance and security; whom the agent acts for is in finance, and does not count."""
    request = await _asked(world, PAYMENT)
    await world.click(DANA, PAYMENT, request)
    await world.told(DANA, PAYMENT, "asked by you")
    await world.click(ALICE, PAYMENT, request)
    await world.card(PAYMENT, request, "waiting for", "security")
    await world.click(BOB, PAYMENT, request)
    await world.card(PAYMENT, request, "Payment released", "succeeded in")


async def _export(world: World) -> None:
    """The owner of the data, once they had time to look; never an owner of the team that asks."""
    request = await _asked(world, EXPORT)
    await _open(world, GUS, EXPORT, request, "nobody of your team")
    await _review(world, CAROL, EXPORT, request)
    await world.card(EXPORT, request, "Customer data exported", "succeeded in")


async def _deletion(world: World) -> None:
    """Two people, who say why and type the code of what they read."""
    request = await _asked(world, DELETION)
    await _review(world, BOB, DELETION, request)
    await world.card(DELETION, request, "waiting for")
    await _review(world, ALICE, DELETION, request)
    await world.card(DELETION, request, "Credential store deleted", "succeeded in")


async def _mail(world: World) -> None:
    """The manager, who is told directly and hands the seat to somebody else."""
    request = await _asked(world, MAIL)
    direct = world.sandbox.workspace.direct_channel(MARA, world.sandbox.workspace.app.bot_user)
    await world.see(lambda: world.sandbox.messages(direct.id) or None, "a letter to mara", list)
    await world.sandbox.command(MARA, MAIL.channel, "/sayso", "delegate @carol until 3d for mail.*")
    await world.told(MARA, MAIL, "Delegated")
    await _review(world, CAROL, MAIL, request)
    await world.card(MAIL, request, "E-mail published", "carol in place of mara", "succeeded in")


async def _asked(world: World, lane: Lane, *, but: str = "") -> str:
    """The request of this kind in this channel that is not the one which is known already."""

    def found() -> str | None:
        cards = [card for card in world.cards(lane) if lane.kind in text_of(card)]
        known = [str((card.metadata or {})["event_payload"]["request"]) for card in cards]
        return next((one for one in known if one != but), None)

    return await world.see(found, f"a card about {lane.kind}", list)


async def _open(world: World, user: str, lane: Lane, request: str, words: str) -> View:
    """Press Review and wait until the modal says these words."""
    await world.click(user, lane, request, "review")
    return await _sees(world, user, words)


async def _sees(world: World, user: str, words: str) -> View:
    def seen() -> View | None:
        return next((view for view in world.sandbox.views(user)[-1:] if words in words_in(view.blocks)), None)

    return await world.see(seen, f"{words!r} before {user}", lambda: world.sandbox.views(user))


async def _review(world: World, user: str, lane: Lane, request: str) -> None:
    """Read every page, say and type what is asked for, and approve as soon as that is taken."""
    view = await _open(world, user, lane, request, "digest")
    pages = int((re.search(r"page 1 of (\d+)", words_in(view.blocks)) or ["", "1"])[1])
    for page in range(1, pages):
        view = await _turned(world, user, page, pages)
    while not view.definition.get("submit"):  # a page counts when the bot knows that it is on the screen: look again
        await _turned(world, user, pages - 2, pages)
        view = await _turned(world, user, pages - 1, pages)
    code = re.search(r"what you have read:\s+(\S+)", words_in(view.blocks))
    values = {CODE: code[1], WHY: "nothing has read it since March"} if code else {}
    while view.definition.get("submit"):
        await world.sandbox.submit_view(user, view.id, values)
        view = world.sandbox.views(user)[-1]


async def _turned(world: World, user: str, page: int, pages: int) -> View:
    await world.sandbox.click_in_view(user, world.sandbox.views(user)[-1].id, f"{PAGE}:{page}")
    return await _sees(world, user, f"page {page + 1} of {pages}")
