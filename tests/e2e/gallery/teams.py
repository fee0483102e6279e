"""Takes the pictures of docs/reference/cards.md for Teams: `python -m tests.e2e.gallery.teams`.

The requests are played as for Slack (plot.py), drawn as Teams gets them, and rendered by Microsoft's own renderer of
Adaptive Cards with the styles that Microsoft publishes for Teams: the clients themselves cannot be had here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from approvals.card import card_of
from approvals.commands.commands import Commands
from approvals.notes import notes_of
from approvals.ports import Stored
from approvals.request import Request
from approvals.review import Look, review_of
from approvals.reviewing import Opened
from approvals.rows import row_of
from approvals.sight import Caller
from handlers.teams.burst import draw_rows
from handlers.teams.cards import draw, draw_pointer
from handlers.teams.elements import Json, link
from handlers.teams.mentions import NOBODY, Call, call, called_by, callees, members_of
from handlers.teams.notes import draw_note
from handlers.teams.replies import draw_answer
from handlers.teams.review import draw_page
from tests.e2e.browser import a_browser
from tests.e2e.gallery import plot
from tests.e2e.gallery.__main__ import IMAGES
from tests.e2e.gallery.camera import Pictures, Scheme, picture_of
from tests.e2e.gallery.private import COMMANDS
from tests.e2e.gallery.sheet import sheet
from tests.e2e.gallery.stage import Stage, a_stage, of, policy
from tests.e2e.processes import ROOT
from tests.fakes.entra import TENANT, person_id
from tests.handlers.slack.emitted import LOOK, VALUE
from tests.node import NODE

HOSTS = ROOT / "tests" / "handlers" / "teams" / "data"
PLACE = "19:payments@thread.tacv2"
#: Who is in the sandbox's user groups.
MEMBERS = {
    "S0SRE": ["alice", "bob"],
    "S0FINANCE": ["alice", "dana"],
    "S0SECURITY": ["bob", "carol"],  # two, because nobody reviews what they let through alone
    "S0DATA": ["carol", "gus"],
    "S0PRESS": ["carol"],
}
LINK = link("open it", PLACE, "1700000000001", TENANT)

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 8px; background: BACK; font-family: "Segoe UI", Lato, sans-serif }
article { box-sizing: border-box; width: WIDTHpx; margin: 0 0 8px; background: CARD; border: 1px solid EDGE;
  border-radius: 4px }
.at { color: AT; font-weight: 600 }
button { font: 600 14px "Segoe UI", Lato, sans-serif; padding: 5px 12px; border-radius: 4px; border: 1px solid EDGE;
  background: CARD; color: INK }
.style-positive { background: #5b5fc7; border-color: #5b5fc7; color: #fff }
.style-destructive { background: #c4314b; border-color: #c4314b; color: #fff }
textarea, input, select { width: 100%; box-sizing: border-box; font: 14px "Segoe UI", Lato, sans-serif;
  background: BACK; color: INK; border: 1px solid EDGE; border-radius: 4px; padding: 6px }
</style><main></main>"""
_COLOURS: Mapping[Scheme, Mapping[str, str]] = {
    "light": {"BACK": "#f5f5f5", "CARD": "#ffffff", "EDGE": "#d1d1d1", "INK": "#242424", "AT": "#5b5fc7"},
    "dark": {"BACK": "#1f1f1f", "CARD": "#292929", "EDGE": "#4f4f4f", "INK": "#ffffff", "AT": "#a6a7dc"},
}
#: Renders the cards one under the other. A mention is a name in Teams' colour, as its clients show it.
_RENDER = """([cards, host]) => {
  AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
    const escaped = text.replace(/&/g, "&amp;").replace(/</g, "&lt;")
    const shown = escaped.replace(/&lt;at>([^<>]*?)&lt;\\/at>/g, '<span class="at">$1</span>')
    Object.assign(result, {outputHtml: shown, didProcess: true})
  }
  for (const [content, opened] of cards) {
    const card = new AdaptiveCards.AdaptiveCard(), article = document.createElement("article")
    card.hostConfig = new AdaptiveCards.HostConfig(host)
    card.parse(content)
    article.append(card.render())
    document.querySelector("main").append(article)
    const button = [...article.querySelectorAll("button")].find(one => one.textContent === opened)
    if (button) button.click()
  }
}"""


@dataclass(frozen=True)
class Shot:
    """A card to look at, and which of its forms is unfolded."""

    caption: str
    card: Json
    opened: str = ""


@dataclass(frozen=True)
class Look_:
    """How somebody looks at cards, and how many stand side by side on a sheet."""

    name: str
    width: int
    columns: int
    scheme: Scheme = "light"


LOOKS = (Look_("light", 620, 4), Look_("dark", 620, 4, "dark"), Look_("phone", 360, 6))


async def main(images: Path = IMAGES) -> None:
    """Let it all happen, and look."""
    made: dict[str, Request] = {}
    async with a_stage(with_teams(policy())) as stage, a_browser() as browser:
        await plot.cards(stage, plot.ENDED, made)
        await plot.cards(stage, plot.WAITING, made)
        await plot.superseded(stage, made)
        found = {caption: await stage.world.store.get(request.id) for caption, request in made.items()}
        shots = [*_cards(found), *_forms(found), *_rows(found), *_notes(found), *_reviews(found)]
        await _taken(browser, shots, "teams", images)
        await _taken(browser, [one async for one in _answers(stage, made)], "teams-commands", images)


def with_teams(file: dict[str, Any]) -> dict[str, Any]:
    """The policy, in which everybody has an account in Teams, too, and who is in a group stands there."""
    for group in file["groups"].values():
        if "slack_usergroup" in group:
            group["people"] = MEMBERS[group.pop("slack_usergroup")]
    for name, person in file["people"].items():
        person["accounts"] = [*person.get("accounts", ()), f"teams:{TENANT}:{person_id(name)}"]
    return file


def _cards(found: Mapping[str, Stored]) -> Iterator[Shot]:
    for caption, stored in found.items():
        card, denials = card_of(stored.request), stored.request.presentation.denials
        asked = called_by(card.needs, TENANT) if not card.said else []
        called = call([(who, f"{who.person.title()} Rossi") for who in asked])
        yield Shot(caption, draw(card, value=VALUE, denials=denials, call=called).card)
    yield Shot("a copy that a crash left", draw_pointer(card_of(found["waits"].request), LINK).card)
    again = "You approved this already; it counts once."
    yield Shot("words for one person", draw(card_of(found["one of two"].request), value=VALUE, notice=again).card)


def _forms(found: Mapping[str, Stored]) -> Iterator[Shot]:
    for caption, form in (("waits", "Deny"), ("a diff", "Ask for changes"), ("a diff", "More")):
        request = found[caption].request
        drawn = draw(card_of(request), value=VALUE, denials=request.presentation.denials)
        yield Shot(f"{caption}: {form}", drawn.card, form)


def _rows(found: Mapping[str, Stored]) -> Iterator[Shot]:
    names = ("one of two", "only if it still holds", "waits", "does not fit")
    rows = [row_of(card_of(found[name].request)) for name in names]
    asked = called_by([seat for row in rows for seat in row.needs], TENANT)
    called = call([(who, f"{who.person.title()} Rossi") for who in asked])
    yield Shot("several at once", draw_rows([*rows, None], [VALUE] * 5, called).card)


def _notes(found: Mapping[str, Stored]) -> Iterator[Shot]:
    seen = set()
    for stored in found.values():
        for note in notes_of(stored.request, lambda person: (f"teams:{TENANT}:{person_id(person)}",)):
            if note.what not in seen:
                seen.add(note.what)
                people = callees([*note.asked, *members_of(note.groups)], TENANT)
                yield Shot(f"a note: {note.what}", draw_note(note, _call(people)).card)


def _call(people: Sequence[Any]) -> Call:
    return call([(who, f"{who.person.title()} Rossi") for who in people]) if people else NOBODY


def _reviews(found: Mapping[str, Stored]) -> Iterator[Shot]:
    for caption, page, warning in (
        ("does not fit", 0, ""),
        ("does not fit", -1, ""),
        ("code and reason", 0, ""),
        ("code and reason", 0, "That is not the code on the page."),
        ("a time to look", 0, ""),
    ):
        request = found[caption].request
        review = review_of(request)
        pages = len(review.pages)
        look = Look(id=LOOK, account="a", shown=review.shown(), pages=pages, at=0, places=(), reference={})
        read = look.model_copy(update={"opened": tuple(range(pages)) if page else ()})
        drawn = draw_page(Opened(read, review, request.terms, page % pages), VALUE, warning)
        yield Shot(f"review of: {caption}{', last page' if page else ''}", drawn)


async def _answers(stage: Stage, made: Mapping[str, Request]) -> Any:
    world = stage.world
    approvals = world.approvals
    commands = Commands(
        approvals=approvals, store=world.store, directory=world.door.directory, policies=approvals._policies
    )
    for user, channel, words in COMMANDS:
        said = words
        for caption, request in made.items():
            said = said.replace(f"[{caption}]", request.code)
        answer = await commands.answer(said, Caller(of(user), (f"slack:{channel}",)))
        yield Shot(said, draw_answer(answer, tenant=TENANT).card)


async def _taken(browser: Browser, shots: Sequence[Shot], name: str, images: Path) -> None:
    for look in LOOKS:
        pictures = await _pictures(browser, shots, look)
        sheet(pictures, look.columns, images / f"{name}-{look.name}.png", look.scheme)


async def _pictures(browser: Browser, shots: Sequence[Shot], look: Look_) -> Pictures:
    page = await browser.new_page(
        viewport={"width": look.width + 40, "height": 900}, color_scheme=look.scheme, timezone_id="UTC"
    )
    text = _PAGE.replace("WIDTH", str(look.width))
    for colour, value in _COLOURS[look.scheme].items():
        text = text.replace(colour, value)
    await page.set_content(text)
    await page.add_script_tag(path=NODE / "adaptivecards/dist/adaptivecards.min.js")
    host = json.loads((HOSTS / f"microsoft-teams-{look.scheme}.json").read_text(encoding="utf-8"))
    await page.evaluate(_RENDER, [[[one.card, one.opened] for one in shots], host])
    found = [await one.screenshot() for one in await page.locator("article").all()]
    await page.close()
    return [(shot.caption, picture_of(png)) for shot, png in zip(shots, found, strict=True)]


if __name__ == "__main__":
    asyncio.run(main())
