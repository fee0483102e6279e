"""What Microsoft's own renderer of Adaptive Cards, in Chromium, says to every card that we send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.e2e.browser import CHROMIUM, a_browser
from tests.handlers.slack.cards import MARK
from tests.handlers.teams import emitted
from tests.handlers.teams.world import titles
from tests.node import NODE, needs

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="NOT TESTED: the renderer needs Debian's package `chromium`"),
    needs("adaptivecards"),
]

#: Parses, validates and renders cards; where it reads markdown, it wraps what it read in <strong>.
RENDER = """cards => {
  const AC = AdaptiveCards, ours = "[href^='https://teams.microsoft.com/l/message/']"
  AC.AdaptiveCard.onProcessMarkdown = (text, result) => {
    const strong = document.createElement("strong")
    strong.textContent = text
    Object.assign(result, {outputHtml: strong.outerHTML, didProcess: true})
  }
  return cards.map(one => {
    const card = new AC.AdaptiveCard(), context = new AC.SerializationContext(AC.Versions.v1_5)
    card.parse(one, context)
    const found = card.validateProperties().validationEvents.map(event => event.message)
    for (let i = 0; i < context.eventCount; i++) found.push(context.getEventAt(i).message)
    const drawn = card.render()
    const all = selector => [...drawn.querySelectorAll(selector)].map(node => node.outerHTML)
    return {
      found,
      text: drawn.textContent,
      read: [...drawn.querySelectorAll("strong")].map(node => node.textContent),
      foreign: all(`a[href]:not(${ours}), img, script, iframe, em, ul, ol, h1, h2, h3`),
      buttons: [...drawn.querySelectorAll("button")].map(node => node.textContent),
    }
  })
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    async with a_browser() as browser:
        opened = await browser.new_page()
        await opened.add_script_tag(path=NODE / "adaptivecards/dist/adaptivecards.min.js")
        yield opened


async def test_it_takes_every_card_and_reads_no_markup_in_what_is_not_ours(page: Page) -> None:
    cards = list(emitted.cards(24))
    answers = await page.evaluate(RENDER, cards)

    assert len(answers) == len(cards) > 50
    for card, answer in zip(cards, answers, strict=True):
        assert answer["found"] == []
        assert answer["foreign"] == []
        assert not any(MARK in text for text in answer["read"])
        assert (MARK in answer["text"]) == (MARK in json.dumps(card["body"], ensure_ascii=False))
        assert ("Approve" in answer["buttons"]) == ("Approve" in titles(card))


async def test_it_finds_what_is_wrong(page: Page) -> None:
    marquee, vast, link = (
        {"type": "Marquee", "text": "x"},
        {"type": "TextBlock", "text": "x", "size": "Vast"},
        {"type": "TextBlock", "text": f"[{MARK}](https://evil.example)"},
    )
    wrong = [{"type": "AdaptiveCard", "version": "1.5", "body": [part]} for part in (marquee, vast, link)]
    unknown, badly_sized, read = await page.evaluate(RENDER, wrong)

    assert unknown["found"] != []
    assert badly_sized["found"] != []
    assert any(MARK in text for text in read["read"])
