"""The pieces of Adaptive Cards that every message of ours is made of.

A TextRun is literal: markup is not read in it, except `{{DATE(…)}}` and its like, which `literal` breaks. So untrusted
text stands in TextRuns and nowhere else, in a fixed-width font. TextBlocks, titles and labels hold our words only.
https://adaptivecards.io/explorer/RichTextBlock.html; measured in facts/teams.md §2.1
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any
from urllib.parse import quote as in_url

Json = dict[str, Any]

VERSION = "1.5"
CHANNELS = ("@thread.tacv2", "@thread.skype")  #: how the ids of channels end
CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"

_TEMPLATE = re.compile(r"(?<=\{)(?=\{)")
_BLANKS = re.compile(r"^ +| +$| {2,}")
_BREAK = "\u200b"  #: where a line may be broken, and nothing is seen; text of others never has one (approvals/text.py)
_KEPT = "\u00a0"  #: a blank that is kept; text of others never has one
_WIDE = re.compile(r"[\u1200-\u1fff\u2100-\U0010ffff](?=[^\s\u200b])")
_PAUSES = r"._\-/:,;=&?\]"
WORD = 24  #: characters in a row that surely fit the value column on a phone
NAME = 8  #: the same, of the column of names
_MARKUP = re.compile(r"[^\w .,:;'()+=%?-]|_")


def ours(words: str, **style: Any) -> Json:
    """A run of our own words."""
    return {"type": "TextRun", "text": words or "–", **style}


def literal(value: str, word: int = WORD, **style: Any) -> list[Json]:
    """Text of anybody's, exactly as it is, in a fixed-width font; runs are cut where a template would begin.

    A renderer of cards draws several blanks as one, and what has no blank for longer than the column is wide over what
    stands beside it, or out of the card. So blanks are kept, and `word` characters in a row can be broken.
    """
    shown = (value or "–").replace("\t", "⇥   ").replace("\n", " ⏎ ")
    pieces = _TEMPLATE.split(breakable(_BLANKS.sub(_kept, shown), word))
    return [{"type": "TextRun", "text": piece, "fontType": "Monospace", **style} for piece in pieces]


def breakable(text: str, word: int) -> str:
    """The text with a place to break in everything of more than `word` characters without a blank.

    Beyond the alphabets a character can be as wide as four, so there is one after each of those.
    """
    found = re.sub(rf"\S{{{word + 1},}}", lambda long: _BREAK.join(_cut(long[0], min(12, word - 1))), text)
    return found if _WIDE.search(found) is None else _WIDE.sub(rf"\g<0>{_BREAK}", found)


def _cut(long: str, size: int) -> list[str]:
    """Pieces of this size, or up to a sign where one may pause; a mark stays with the letter that it is on."""
    pieces: list[str] = re.findall(rf"[^{_PAUSES}]{{1,{size}}}[{_PAUSES}]?|[{_PAUSES}]", long)
    if long.isascii():
        return pieces
    whole = [""]
    for piece in pieces:
        marks = len([*takewhile(_is_mark, piece)])
        whole[-1] += piece[:marks]
        whole += filter(None, [piece[marks:]])
    return [piece for piece in whole if piece]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _kept(blanks: re.Match[str]) -> str:
    """As many blanks, of which none is at an edge or beside another that would swallow it."""
    length = len(blanks[0])
    found = (f"{_KEPT} " * length)[:length]
    return found[:-1] + _KEPT if blanks.end() == len(blanks.string) else found


def line(runs: Iterable[Json], **style: Any) -> Json:
    """A line of text."""
    return {"type": "RichTextBlock", "inlines": list(runs), **style}


def quiet(runs: Iterable[Json]) -> Json:
    """A line in small print."""
    return line([{**run, "size": "Small", "isSubtle": True} for run in runs], spacing="Small")


def lines(value: Sequence[str], **style: Any) -> list[Json]:
    """Text of anybody's, each of its lines a block of its own."""
    return [line(literal(one, **style), spacing="None") for one in value or ("",)]


def quote(lead: Iterable[Json], words: str) -> Json:
    """Somebody's own words, set apart."""
    return {"type": "Container", "style": "emphasis", "items": [line(lead, spacing="None"), *lines(words.split("\n"))]}


def row(name: str, value: Sequence[str]) -> Json:
    """A name beside its value. The columns keep both apart at any width: no value can begin where names begin."""
    left = {"type": "Column", "width": 1, "items": [line(literal(name, NAME, isSubtle=True))]}
    return {
        "type": "ColumnSet",
        "spacing": "None",
        "columns": [left, {"type": "Column", "width": 3, "items": lines(value)}],
    }


def fixed(words: str, **style: Any) -> Json:
    """A block in which templates and mentions work: for our own sentences alone."""
    return {"type": "TextBlock", "text": words, "wrap": True, **style}


def local_time(milliseconds: int) -> str:
    """An instant in the reader's own time zone; it is only written out in a `fixed` block."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{{{{DATE({moment}, SHORT)}}}} {{{{TIME({moment})}}}}"


def utc(milliseconds: int, *, day: bool = True) -> str:
    """An instant, said in UTC."""
    form = "%Y-%m-%d %H:%M UTC" if day else "%H:%M UTC"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime(form)


def plainly(words: str) -> str:
    """Words for a place that reads markup: whatever could be some is shown as a dot."""
    return _MARKUP.sub("·", words)


def link(words: str, place: str, message: str, tenant: str) -> Json:
    """Words of ours that lead to a message in Teams.

    https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/deep-link-teams
    """
    where = f"{in_url(place, safe='')}/{in_url(message, safe='')}"
    url = f"https://teams.microsoft.com/l/message/{where}?tenantId={tenant}"
    if not place.endswith(CHANNELS):
        url += "&context=" + in_url('{"contextType":"chat"}', safe="")
    return ours(words, selectAction={"type": "Action.OpenUrl", "url": url})


def card(
    body: Sequence[Json],
    actions: Sequence[Json] = (),
    *,
    spoken: str,
    teams: Json | None = None,
    refresh: Json | None = None,
) -> Json:
    """An Adaptive Card; `spoken` is said where it cannot be drawn, `teams` is what only Teams understands."""
    shown: Json = {"type": "AdaptiveCard", "version": VERSION, "body": list(body), "fallbackText": spoken}
    more = {"actions": list(actions), "msteams": teams, "refresh": refresh}
    return shown | {name: value for name, value in more.items() if value}


def message(drawn: Json, summary: str) -> Json:
    """A message that shows a card; `summary` (of our words) is what a notification says."""
    attachment = {"contentType": CONTENT_TYPE, "content": drawn}
    return {"type": "message", "summary": summary, "attachments": [attachment]}
