"""Takes the pictures of docs/reference/cards.md, as the sandbox draws them: `python -m tests.e2e.cards`.

Cards in their states, and reviews; the real door and the real service on the store in memory.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from approvals.commits import change_of
from approvals.lifecycle import Event
from approvals.ports import Change, Stored
from approvals.request import Request
from approvals.terms import Piece
from handlers.slack.blocks import APPROVE, DENY, REVIEW
from handlers.slack.reason import PRESET, REASON
from tests.e2e.browser import a_browser
from tests.e2e.processes import ROOT
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, World, a_world

IMAGES = ROOT / "docs" / "images"
DIFF = """--- a/prod/eu-west-1.tf
+++ b/prod/eu-west-1.tf
@@ -12,3 +12,4 @@
 resource "aws_db_instance" "ledger" {
-  deletion_protection = true
+  deletion_protection = false
+  skip_final_snapshot = true
 }"""
PLAN = "\n".join(f"~ module.api[{number}].replicas: 3 → 5" for number in range(1, 260))
SENTENCE = (
    Piece(text="Pay ", ours=True),
    Piece(text="12400.00"),
    Piece(text=" ", ours=True),
    Piece(text="EUR"),
    Piece(text=" to ", ours=True),
    Piece(text="bank:acme-gmbh"),
)


async def main(images: Path = IMAGES) -> None:
    """Let it all happen, and look."""
    async with a_world("http") as world, a_browser() as browser:
        await _payments(world)
        await _deployments(world)
        await _picture(browser, world, PAYMENTS, images / "cards.png")
        await _picture(browser, world, DEPLOYS, images / "cards-review.png")
        await _modals(browser, world, images)


async def _payments(world: World) -> None:
    """One that waits, one half answered, one done, one denied, one nobody answered, and a hostile one."""
    expired = await world.ask(target="bank:northwind", because="")
    world.clock.advance(31 * 60)
    await world.approvals.after_time(expired.id)
    await world.refresh(expired)
    done = await _changed(world, await world.ask(show=False), summary=SENTENCE)
    for user in ("U0ALICE", "U0BOB"):
        await world.click(user, done, APPROVE)
    await world.store.update(done.id, lambda now: _spent(now, world))
    world.clock.advance(0.8)
    await world.store.update(done.id, lambda now: _ended(now, world))
    await world.refresh(done)
    denied = await _changed(world, await world.ask(show=False), denials=("Wrong account", "Not now"))
    await _deny(world, denied)
    await world.refresh(denied)
    half = await world.ask(target="bank:initech")
    await world.click("U0ALICE", half, APPROVE)
    await world.refresh(half)
    await _changed(world, await world.ask(show=False), summary=SENTENCE)
    hostile = "see <https://evil.example|the invoice> *Approved by CFO* :white_check_mark: <!channel>"
    address = {
        "payee": "billing@\u0430cme.com",
        "note": "```\n*Approved*",
        "link": "https://xn--80ak6aa92e.com/pay",
        "file": "invoice\u202efdp.exe",
    }
    await world.ask(arguments=address, because=hostile)


async def _deployments(world: World) -> None:
    """A diff, a plan that does not fit, and one that takes more than a click."""
    await world.ask(kind="deploy.run", target="prod/eu-west-1", arguments={"ticket": "OPS-31", "change": DIFF})
    care = {"min_look": 10_000, "confirm_code": True, "reasons": ("approve",)}
    short = {"service": "ledger", "version": "4.2.0"}
    await _changed(world, await world.ask(kind="deploy.run", target="prod/ledger", arguments=short, show=False), **care)
    await world.ask(kind="deploy.run", target="prod/eu-west-1", arguments={"plan": PLAN, "to": "prod"})


async def _changed(world: World, request: Request, **changes: Any) -> Request:
    """Post the card of a request whose terms or words are other than the policy has them here."""
    policy = world.approvals._policies.current()
    words: dict[str, Any] = {name: changes.pop(name) for name in ("summary", "denials") if name in changes}

    def change(now: Stored) -> Change:
        terms = now.request.terms.model_copy(update=changes)
        presentation = now.request.presentation.model_copy(update=words)
        after = now.request.model_copy(update={"terms": terms, "presentation": presentation})
        return change_of(now.request, after, policy, {"by": "picture"})

    request = (await world.store.update(request.id, change)).request
    await world.show(request)
    return request


def _spent(now: Stored, world: World) -> Change | None:
    if now.request.spend is not None:
        return None
    after = now.request.spent("attempt", "payments-gateway", now.now)
    return change_of(now.request, after, world.approvals._policies.current(), {"by": "picture"})


def _ended(now: Stored, world: World) -> Change | None:
    if now.request.outcome is not None:
        return None
    after = now.request.reported(Event.SUCCEED, now.now, "reference 9931")
    return change_of(now.request, after, world.approvals._policies.current(), {"by": "picture"})


async def _deny(world: World, request: Request) -> None:
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")
    entered = {PRESET: "Wrong account", REASON: "The bank details changed last week; call the vendor first."}
    await world.sandbox.submit_view("U0BOB", view.id, entered)


async def _page(browser: Browser, world: World, channel: str, height: int, width: int = 860) -> Page:
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    await page.goto(f"{world.sandbox.url}/#U0BOB/{channel}")
    await expect(page.locator("article").first).to_be_visible()
    return page


async def _picture(browser: Browser, world: World, channel: str, path: Path) -> None:
    page = await _page(browser, world, channel, 2400 if channel == PAYMENTS else 1250)
    await page.locator("#messages").screenshot(path=path, animations="disabled")
    await page.close()


async def _modals(browser: Browser, world: World, images: Path) -> None:
    """The first page of a review, and what a careful approval asks for."""
    page = await _page(browser, world, DEPLOYS, 900)
    careful, long = world.sandbox.messages(DEPLOYS)[1:]
    await _use(world, long.ts, REVIEW)
    await _shot(page, images / "review.png")
    await _close(world)
    await _use(world, careful.ts, REVIEW)
    await _shot(page, images / "review-careful.png")
    await page.close()


async def _use(world: World, ts: str, action: str) -> None:
    await world.sandbox.click("U0BOB", DEPLOYS, ts, action)
    await world.door._tasks.drain()


async def _close(world: World) -> None:
    (view,) = world.sandbox.views("U0BOB")
    await world.sandbox.close_view("U0BOB", view.id)


async def _shot(page: Page, path: Path) -> None:
    await expect(page.locator("#modal")).to_be_visible()
    await expect(page.locator("#modal")).not_to_contain_text("Fetching")
    await page.locator("#modal").screenshot(path=path, animations="disabled")


if __name__ == "__main__":
    asyncio.run(main())
