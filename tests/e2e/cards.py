"""Takes the pictures of docs/reference/cards.md, as the sandbox draws them: `python -m tests.e2e.cards`.

Cards in their states, and reviews; the real door and the real service on the store in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page, expect

from approvals.commits import change_of
from approvals.lifecycle import Event
from approvals.ports import Account, Change, Stored
from approvals.request import Request
from approvals.terms import Piece
from handlers.slack.blocks import APPROVE, DENY, REVIEW
from handlers.slack.reason import PRESET, REASON
from handlers.slack.replies import NAME
from tests.e2e.browser import a_browser
from tests.e2e.processes import ROOT
from tests.handlers.slack.world import DEPLOYS, PAYMENTS, TEAM, World, a_world

Scheme = Literal["light", "dark"]

NEXT = "Next page"
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
        await _picture(browser, world, PAYMENTS, images / "cards.png", height=2400)
        await _picture(browser, world, DEPLOYS, images / "cards-review.png", height=1250)
        await _modals(browser, world, images)
    async with a_world("http") as world, a_browser() as browser:
        await _ended(world)
        await _picture(
            browser, world, PAYMENTS, images / "cards-dark.png", viewer="U0CAROL", scheme="dark", height=1000
        )
        await _private(browser, world, images)


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
    await world.store.update(done.id, lambda now: _reported(now, world))
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


async def _ended(world: World) -> None:
    """An approval that nobody used, an outcome that nobody knows, and a yes that was taken back."""
    lapsed, unknown = [await world.ask(target=f"bank:{name}", because="") for name in ("northwind", "initech")]
    for request in (lapsed, unknown):
        await _approve(world, request)
    await world.store.update(unknown.id, lambda now: _spent(now, world))
    world.clock.advance(16 * 60)
    for request in (lapsed, unknown):
        await world.approvals.after_time(request.id)
        await world.refresh(request)
    revoked = await world.ask(because="")
    await _approve(world, revoked)
    await world.approvals.operators.revoke(revoked.id, Account("slack", TEAM, "U0CAROL"), "The vendor called: on hold")
    await world.refresh(revoked)


async def _approve(world: World, request: Request) -> None:
    for user in ("U0ALICE", "U0BOB"):
        await world.click(user, request, APPROVE)


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


def _reported(now: Stored, world: World) -> Change | None:
    if now.request.outcome is not None:
        return None
    after = now.request.reported(Event.SUCCEED, now.now, "reference 9931")
    return change_of(now.request, after, world.approvals._policies.current(), {"by": "picture"})


async def _deny(world: World, request: Request) -> None:
    await world.click("U0BOB", request, DENY)
    (view,) = world.sandbox.views("U0BOB")
    entered = {PRESET: "Wrong account", REASON: "The bank details changed last week; call the vendor first."}
    await world.sandbox.submit_view("U0BOB", view.id, entered)


async def _page(
    browser: Browser,
    world: World,
    channel: str,
    height: int,
    *,
    width: int = 860,
    viewer: str = "U0BOB",
    scheme: Scheme = "light",
) -> Page:
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    await page.goto(f"{world.sandbox.url}/#{viewer}/{channel}")
    await expect(page.locator("article").first).to_be_visible()
    return page


async def _picture(browser: Browser, world: World, channel: str, path: Path, *, height: int, **look: Any) -> None:
    page = await _page(browser, world, channel, height, **look)
    await page.locator("#messages").screenshot(path=path, animations="disabled")
    await page.close()


async def _modals(browser: Browser, world: World, images: Path) -> None:
    """The first page of a review, and what a careful approval asks for."""
    page = await _page(browser, world, DEPLOYS, 900)
    careful, long = world.sandbox.messages(DEPLOYS)[1:]
    await _use(world, long.ts, REVIEW)
    await _shot(page, images / "review.png")
    await _last_page(world)
    await expect(page.locator("#modal")).to_contain_text("Back")
    await _shot(page, images / "review-last.png")
    await _close(world)
    await _use(world, careful.ts, REVIEW)
    await _shot(page, images / "review-careful.png")
    await page.close()


async def _last_page(world: World) -> None:
    """Turn the pages of the review until there is none left."""
    while turns := [one for one in _buttons(world.sandbox.views("U0BOB")[-1].blocks) if one["text"]["text"] == NEXT]:
        await world.sandbox.click_in_view("U0BOB", world.sandbox.views("U0BOB")[-1].id, turns[0]["action_id"])
        await world.door._tasks.drain()


def _buttons(blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for block in blocks if block["type"] == "actions" for one in block["elements"]]


async def _private(browser: Browser, world: World, images: Path) -> None:
    """What one person alone sees: a card on a phone, the form of a denial, an answer to a command, the home tab."""
    waiting = await _changed(world, await world.ask(show=False), denials=("Wrong account", "Not now"), summary=SENTENCE)
    page = await _page(browser, world, PAYMENTS, 900, width=390)
    await page.locator("article").last.screenshot(path=images / "card-phone.png", animations="disabled")
    await page.close()
    page = await _page(browser, world, PAYMENTS, 900)
    await world.click("U0BOB", waiting, DENY)
    await _shot(page, images / "deny.png")
    await _close(world)
    await world.sandbox.command("U0BOB", PAYMENTS, NAME, f"show {waiting.code}")
    answer = page.locator("article.ephemeral").last
    await expect(answer).to_contain_text("Approval record")
    await answer.screenshot(path=images / "command.png", animations="disabled")
    await page.close()
    await _home(browser, world, images / "home.png")


async def _home(browser: Browser, world: World, path: Path) -> None:
    page = await browser.new_page(viewport={"width": 860, "height": 780}, color_scheme="light")
    workspace = world.sandbox.workspace
    await page.goto(f"{world.sandbox.url}/#U0BOB/{workspace.direct_channel('U0BOB', workspace.app.bot_user).id}")
    await page.locator("[data-tab=home]").click()
    await expect(page.locator("#home")).to_contain_text("Quiet hours")
    await page.locator("#home").screenshot(path=path, animations="disabled")
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
