"""What Microsoft's own renderer of Adaptive Cards, in Chromium, says to every card that we send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from approvals.card import Card
from approvals.lines import Line
from approvals.text import visible
from handlers.teams.cards import draw
from handlers.teams.elements import card as a_whole
from handlers.teams.elements import row
from tests.e2e.browser import CHROMIUM, a_browser
from tests.handlers.slack.cards import MARK, a_card, hostile_cards
from tests.handlers.slack.emitted import VALUE, samples
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


#: Draws cards at a width, with Microsoft's styles for Teams; the texts that reach over the edge of their column.
TOO_WIDE = """([cards, host, width]) => cards.flatMap(one => {
  const card = new AdaptiveCards.AdaptiveCard(), frame = document.createElement("div")
  card.hostConfig = new AdaptiveCards.HostConfig(host)
  card.parse(one)
  frame.style.width = `${width}px`
  frame.append(card.render())
  document.body.append(frame)
  const found = [...frame.querySelectorAll(".ac-textRun")].filter(run => {
    const column = run.closest(".ac-richTextBlock").parentElement.getBoundingClientRect()
    return [...run.getClientRects()].some(line => line.right > column.right + 1 || line.left < column.left - 1)
  })
  frame.remove()
  return found.map(run => run.textContent)
})"""
STYLES = json.loads((Path(__file__).parent / "data" / "microsoft-teams-light.json").read_text(encoding="utf-8"))


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


@pytest.mark.parametrize("width", [340, 640])
async def test_nothing_of_theirs_lies_over_anything_else_or_out_of_sight(page: Page, width: int) -> None:
    values = ("sha256:" + "0123456789abcdef" * 8, "W" * 400, "{" * 200, "    deep: " + "=" * 90, "\U000120f2語" * 40)
    long = Line(name="x" * 90, value=values)
    path = Line(name="limits.very_long_name_of_a_limit.in[12].depth", value=("600",))
    wide = a_card(target="bank:" + "W" * 300, arguments=(long, path), preconditions=(path,), says="W" * 300)
    hostile = map(as_shown, samples(hostile_cards, 12))
    cards = [draw(card, value=VALUE).card for card in (wide, a_card(), *hostile)]

    assert await page.evaluate(TOO_WIDE, [cards, STYLES, width]) == []


def as_shown(card: Card) -> Card:
    """The card with its texts as they stand on every card: what cannot be seen is written out."""
    return Card.model_validate_json(json.dumps(_as_shown(card.model_dump(mode="json"))))


def _as_shown(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _as_shown(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_as_shown(value) for value in node]
    return visible(node) if isinstance(node, str) else node


async def test_it_finds_what_is_too_wide(page: Page) -> None:
    over = a_whole([row("x" * 9, ("600",))], spoken="x")
    over["body"][0]["columns"][0]["items"][0]["inlines"][0]["text"] = "x" * 90

    assert await page.evaluate(TOO_WIDE, [[over], STYLES, 340]) == ["x" * 90]


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
