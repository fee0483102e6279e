"""Takes pictures of the sandbox's page: by day, at night, and on a phone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.gallery.plot import Shot
from tests.handlers.slack.world import World

Name = Literal["light", "dark", "phone"]
Scheme = Literal["light", "dark"]
Pictures = list[tuple[str, Image.Image]]


@dataclass(frozen=True)
class Look:
    """How somebody looks at the page, and how many such pictures stand side by side on a sheet."""

    name: Name
    width: int
    columns: int
    scheme: Scheme = "light"


LOOKS = (Look("light", 900, 3), Look("dark", 900, 3, "dark"), Look("phone", 390, 5))
#: The home tab no taller than what is on it, and no corners through which the page behind a modal is seen.
_SNUG = """addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style")
  style.textContent = "#home { align-self: start; height: max-content; flex: none } #modal { border-radius: 0 }"
  document.head.append(style)
})"""
TALL = 1_900  #: a window in which everything fits without scrolling
ONLOOKER = "U0PRIYA"  #: who is asked nothing

Captured = dict[Name, Pictures]


class Camera:
    """A browser, and the pictures that were taken with it, by look."""

    def __init__(self, browser: Browser, world: World) -> None:
        self._browser = browser
        self._world = world
        self._windows: dict[str, Page] = {}
        self.taken: Captured = {look.name: [] for look in LOOKS}

    def roll(self) -> Captured:
        """Hand out the pictures taken so far, and begin anew."""
        taken, self.taken = self.taken, {look.name: [] for look in LOOKS}
        return taken

    async def messages(self, shots: Sequence[Shot], viewer: str = ONLOOKER) -> None:
        """Each of these messages, with the line that leads to its thread."""
        for shot in shots:
            page = await self.at(viewer, shot.channel)
            article = page.locator(f'article[data-ts="{shot.ts}"]')
            if shot.thread and not await article.is_visible():
                await page.locator(f'[data-thread="{shot.thread}"]').click()
            await self._take(page, shot.caption, article)

    async def modal(self, caption: str, user: str, channel: str) -> None:
        """The modal in front of somebody."""
        page = await self.at(user, channel)
        await self._take(page, caption, page.locator("#modal"))

    async def home(self, caption: str, user: str) -> None:
        """Somebody's home tab."""
        workspace = self._world.sandbox.workspace
        page = await self.at(user, workspace.direct_channel(user, workspace.app.bot_user).id)
        await page.locator("[data-tab=home]").click()
        await expect(page.locator("#home")).to_contain_text("Quiet hours")
        await self._take(page, caption, page.locator("#home"))

    async def at(self, user: str, channel: str) -> Page:
        """The page as somebody sees it, at the time of the stage; each has a window of their own."""
        page = self._windows.get(user)
        if page is None:
            page = self._windows[user] = await self._browser.new_page(timezone_id="UTC", bypass_csp=True)
            await page.add_init_script(_SNUG)
        await page.clock.set_fixed_time(self._world.clock.at)
        await page.goto(f"{self._world.sandbox.url}/#{user}/{channel}")
        await expect(page.locator(f'[data-channel="{channel}"].current')).to_be_attached()
        return page

    async def _take(self, page: Page, caption: str, what: Locator) -> None:
        for look in LOOKS:
            await page.set_viewport_size({"width": look.width, "height": TALL})
            await page.emulate_media(color_scheme=look.scheme)
            await expect(what).to_be_visible()
            self.taken[look.name].append((caption, picture_of(await what.screenshot(animations="disabled"))))


def picture_of(png: bytes) -> Image.Image:
    """A screenshot, without what shines through it."""
    return Image.open(io.BytesIO(png)).convert("RGB")
