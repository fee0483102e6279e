"""Chromium, driven by Playwright, as people who look at the sandbox's page use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.processes import PATIENCE

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window; what is expected of a page has as long as a process has."""
    expect.set_options(timeout=PATIENCE * 1000)  # a busy machine is no failure: Playwright's own 5 s are few
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def become(page: Page, user: str) -> None:
    """Switch to another person, at the top right."""
    await page.locator("#who").click()
    await page.locator(f"#who-menu [data-user={user}]").click()
    await expect(page.locator("#who")).to_have_attribute("data-user", user)
