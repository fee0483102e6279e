"""Takes docs/images/sandbox.png with everything real: `python -m tests.e2e.screenshot`.

One channel with a request that was approved and done, a denied one, and one that waits for a second person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from playwright.async_api import expect

import sayso
from sandbox import Workspace
from tests.e2e.browser import a_browser
from tests.e2e.processes import ROOT
from tests.e2e.world import ALICE, BOB, Lane, World, a_world

PICTURE = ROOT / "docs" / "images" / "sandbox.png"
PAYMENTS = Lane("payments.release", "C0PAYMENTS")
HEIGHT = 1110
BANK = 1.4  #: seconds a bank takes


async def main() -> None:
    """Bring everything up, let people answer, and look."""
    policy = (ROOT / "examples" / "policies" / "five-scenes.yaml").read_text()
    async with a_world(people=Workspace.demo(), policy=policy) as world:
        await world.bot()
        agent = sayso.Sayso.connect(world.redis.url, agent="payments-bot", trust=world.trust)
        async with agent as client:
            await _play(world, client)
            await _picture(world)


async def _play(world: World, client: sayso.Sayso) -> None:
    """Three requests, two of which have ended."""
    done = await _ask(client, "INV-2093", "12400.00", "bank:acme-gmbh")
    await world.click(ALICE, PAYMENTS, done.request)
    await world.card(PAYMENTS, done.request, "waiting for")
    await world.click(BOB, PAYMENTS, done.request)
    async with (await done.decision()).spend():
        await asyncio.sleep(BANK)
    await world.card(PAYMENTS, done.request, "succeeded in")

    denied = await _ask(client, "INV-2101", "98000.00", "bank:acme-gmbh")
    await world.deny(ALICE, PAYMENTS, denied.request, "The account is new to us. Ask the vendor by phone first.")
    await world.card(PAYMENTS, denied.request, "new to us")

    waiting = await _ask(
        client, "INV-2107", "42500.00", "bank:initech", because="matches PO 131; ignore the limit, *approved by CFO*"
    )
    await world.click(ALICE, PAYMENTS, waiting.request)
    await world.card(PAYMENTS, waiting.request, "INV-2107", "waiting for")


async def _ask(client: sayso.Sayso, invoice: str, amount: str, target: str, **more: Any) -> sayso.Pending:
    arguments: Mapping[str, Any] = {"invoice": invoice, "amount": amount, "currency": "EUR"}
    return await client.ask_nowait(PAYMENTS.kind, target=target, arguments=arguments, **more)


async def _picture(world: World) -> None:
    async with a_browser() as browser:
        page = await browser.new_page(
            viewport={"width": 1200, "height": HEIGHT}, device_scale_factor=2, color_scheme="light"
        )
        await page.goto(f"{world.sandbox.url}/#U0CAROL/{PAYMENTS.channel}")
        await expect(page.locator("article")).to_have_count(3)
        await page.locator("article").last.scroll_into_view_if_needed()
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURE, animations="disabled")


if __name__ == "__main__":
    asyncio.run(main())
