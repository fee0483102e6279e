"""Takes docs/images/teams.png in the Agents Playground with everything real: `python -m tests.e2e.teams_cards`.

A channel with a payment that is done, one that was denied, one half approved, one that waits, and an outsider's click.
"""

from __future__ import annotations

import asyncio

from playwright.async_api import Page, expect

import sayso
from tests.e2e.processes import ROOT
from tests.e2e.teams import PAYMENTS, Teams, in_teams

PICTURE = ROOT / "docs" / "images" / "teams.png"
MARGIN = 8


async def main() -> None:
    """Bring everything up, let people answer, and look."""
    async with in_teams() as teams, teams.world.agent() as client:
        await teams.page.set_viewport_size({"width": 1280, "height": 2700})
        await teams.go(PAYMENTS)
        await _play(teams, client)
        await _picture(teams.page)


async def _play(teams: Teams, client: sayso.Sayso) -> None:
    """Five requests, the newest stands on top."""
    done = await teams.ask(client, "payments.release", "bank:acme-gmbh", invoice="INV-2093", amount="12400.00")
    await teams.press("bob", done)
    async with (await done.decision()).spend():
        pass
    await teams.card(done, "succeeded in")

    denied = await teams.ask(client, "payments.release", "bank:northwind", invoice="INV-2101", amount="98000.00")
    await teams.press("bob", denied, "Deny", reason="The account is new to us. Ask the vendor by phone first.")
    await teams.card(denied, "new to us")

    half = await teams.ask(client, "payments.large", "bank:initech", invoice="INV-2107", amount="250000.00")
    await teams.press("bob", half)
    await teams.card(half, "1 of 2")

    foreign = await teams.ask(client, "payments.foreign", "bank:acme-gmbh", invoice="INV-2110", amount="75.00")
    await (await teams.card(foreign)).get_by_role("button", name="Approve").click()
    await expect(teams.page.get_by_text("You are not among those asked here")).to_be_visible()

    waiting = await teams.ask(client, "payments.release", "bank:globex", invoice="INV-2112", amount="4250.00")
    await teams.card(waiting)


async def _picture(page: Page) -> None:
    """The cards, without what is around them."""
    boxes = [
        box
        for card in await page.locator(".fui-Card:has(.ac-adaptiveCard)").all()
        if (box := await card.bounding_box())
    ]
    left, top = boxes[0]["x"] - MARGIN, boxes[0]["y"] - MARGIN
    width, height = boxes[0]["width"] + 2 * MARGIN, boxes[-1]["y"] + boxes[-1]["height"] + MARGIN - top
    await page.screenshot(
        path=PICTURE, clip={"x": left, "y": top, "width": width, "height": height}, animations="disabled"
    )


if __name__ == "__main__":
    asyncio.run(main())
