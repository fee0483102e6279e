"""The same messages as slack-blocks-to-jsx draws them, on one page: a second pair of eyes for how they look."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.async_api import Browser

from sandbox import Sandbox
from tests.e2e.gallery.camera import Pictures, picture_of
from tests.e2e.gallery.plot import Shot
from tests.handlers.slack.second_look import STYLE, drawn

_PAGE = """<!doctype html><meta charset="utf-8"><style>{style}
body {{ margin: 0; font-family: Lato, sans-serif; background: #fff }}
#slack_blocks_to_jsx {{ font-family: Lato, sans-serif }}
article {{ width: 600px; padding: 12px 16px; background: #fff }}</style>{articles}"""


async def second_look(browser: Browser, sandbox: Sandbox, shots: Sequence[Shot]) -> Pictures:
    """A picture of each of these messages, under its caption."""
    workspace = sandbox.workspace
    people = {user.id: user.name for user in workspace.users.values()}
    groups = {group.id: group.handle for group in workspace.groups.values()}
    blocks = [next(one.blocks for one in sandbox.messages(shot.channel) if one.ts == shot.ts) for shot in shots]
    pages = drawn(blocks, people=people, groups=groups)
    articles = "".join(f"<article>{html}</article>" for html in pages)
    style = STYLE.read_text(encoding="utf-8")
    page = await browser.new_page(viewport={"width": 700, "height": 900}, color_scheme="light", timezone_id="UTC")
    await page.set_content(_PAGE.format(style=style, articles=articles))
    found = [await one.screenshot() for one in await page.locator("article").all()]
    await page.close()
    return [(shot.caption, picture_of(png)) for shot, png in zip(shots, found, strict=True)]
