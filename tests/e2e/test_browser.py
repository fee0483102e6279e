"""A person at the sandbox's page, in a real browser, before the real bot and a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import sayso
from tests.e2e.browser import CHROMIUM, a_browser, become
from tests.e2e.world import ALICE, BOB, MALLORY, Lane, World, a_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="NOT TESTED: the page needs Debian's package `chromium`"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A deployment with a running bot, which the tests share, each in a lane of its own."""
    async with a_world() as made:
        await made.bot()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def lane(world: World) -> Lane:
    return world.lane()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, world: World, lane: Lane) -> AsyncIterator[Page]:
    """The lane's channel as alice sees it; any error of a script fails the test."""
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{world.sandbox.url}/#{ALICE}/{lane.channel}")
    yield page
    await page.close()
    assert complaints == []


async def test_approve_is_clicked_and_the_agent_acts(world: World, lane: Lane, page: Page) -> None:
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "12400.00"})
        card = page.locator("article").first
        await expect(card).to_contain_text("12400.00")
        await card.get_by_role("button", name="Approve").click()
        approval = await pending.decision()
        async with approval.spend() as action:
            assert action.arguments == {"amount": "12400.00"}
    await expect(card).to_contain_text("Acted")
    await expect(card).to_contain_text("@alice")
    await expect(card).to_contain_text("succeeded in")
    await expect(card.get_by_role("button", name="Approve")).to_have_count(0)
    await expect(page.locator("article.ephemeral")).to_contain_text("Approved. The agent has been told.")


async def test_a_reason_given_in_the_form_reaches_the_agent(world: World, lane: Lane, page: Page) -> None:
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="db:eu", arguments={"table": "users"})
        await become(page, BOB)
        await page.locator("article").get_by_role("button", name="Deny").click()
        form = page.locator("#modal")
        await expect(form.locator("h2")).to_have_text("Deny this request")
        await form.locator("textarea").fill("ask the data owner first")
        await form.locator("[data-modal=submit]").click()
        with pytest.raises(sayso.Denied) as denied:
            await pending.decision()
    assert denied.value.reason == "ask the data owner first"
    await expect(page.locator("#modal")).to_be_hidden()
    await expect(page.locator("article").first).to_contain_text("ask the data owner first")


async def test_an_outsider_is_told_so_and_changes_nothing(world: World, lane: Lane, page: Page) -> None:
    async with world.agent() as client:
        pending = await client.ask_nowait(lane.kind, target="bank:acme", arguments={"amount": "12400.00"})
        await become(page, MALLORY)
        card = page.locator("article").first
        await card.get_by_role("button", name="Approve").click()
        await expect(page.locator("article.ephemeral")).to_contain_text("You are not among those asked here: lanes.")
        await expect(card.get_by_role("button", name="Approve")).to_be_visible()
        assert not pending.done
        assert await world.events(pending.request) == ["asked", "click_refused"]
        await become(page, ALICE)
        await card.get_by_role("button", name="Approve").click()
        assert [by.person for by in (await pending.decision()).by] == ["alice"]
