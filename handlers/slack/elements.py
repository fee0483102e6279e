"""The pieces of rich text that every Slack message of ours is made of, and the quiet line.

A text element is literal: Slack parses neither markup nor mentions in it, so untrusted text stands nowhere else.
https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

Json = dict[str, Any]
Style = Literal["bold", "italic", "code"]

TIME = "{time}"
DAY_AND_TIME = "{date_short_pretty} at {time}"

_CONTEXT_LIMIT = 2_900  #: Slack takes 3,000 characters
#: What may stand in mrkdwn: nothing in it is markup, and in code not even a shortcode is read.
_PLAIN = re.compile(r"[A-Za-z0-9 .,;()'·+-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._@+-]{0,127}")
_FALLBACKS = {TIME: "%H:%M UTC", DAY_AND_TIME: "%Y-%m-%d %H:%M UTC"}


def text(value: str, style: Style | None = None) -> Json:
    """Literal text; Slack refuses an empty element, so nothing is drawn as a dash."""
    element: Json = {"type": "text", "text": value or "–"}
    return element | {"style": {style: True}} if style else element


def mention(user: str) -> Json:
    """A person of our workspace."""
    return {"type": "user", "user_id": user}


def channel(channel: str) -> Json:
    """The name of a channel, and the way there."""
    return {"type": "channel", "channel_id": channel}


def usergroup(group: str) -> Json:
    """A mention of a user group; it notifies its members."""
    return {"type": "usergroup", "usergroup_id": group}


def emoji(name: str) -> Json:
    """A standard emoji."""
    return {"type": "emoji", "name": name}


def link(url: str, label: str) -> Json:
    """A link of ours; never to anywhere an agent named."""
    return {"type": "link", "url": url, "text": label}


def when(milliseconds: int, form: str = DAY_AND_TIME) -> Json:
    """An instant in the reader's own time zone."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return {
        "type": "date",
        "timestamp": milliseconds // 1000,
        "format": form,
        "fallback": moment.strftime(_FALLBACKS[form]),
    }


def spoken_time(milliseconds: int) -> str:
    """An instant for a message's top-level text, where lock screens and screen readers find it."""
    return str(_mrkdwn(when(milliseconds)))


def listed(elements: Sequence[Json], last: str = " and ") -> list[Json]:
    """a, b and c."""
    joined: list[Json] = []
    for index, element in enumerate(elements):
        if index:
            joined.append(text(last if index == len(elements) - 1 else ", "))
        joined.append(element)
    return joined


def section(elements: Iterable[Json]) -> Json:
    """A line of text."""
    return _rich("rich_text_section", elements)


def quote(elements: Iterable[Json]) -> Json:
    """Somebody's own words."""
    return _rich("rich_text_quote", elements)


def preformatted(value: str) -> Json:
    """Text in which columns stay columns."""
    return _rich("rich_text_preformatted", [text(value)])


def quiet(elements: Sequence[Json]) -> Json:
    """A line in small print, where everything in it is plain enough for mrkdwn; else the same line as rich text."""
    pieces = [_mrkdwn(element) for element in elements]
    line = "".join(piece for piece in pieces if piece is not None)
    if None in pieces or not line or len(line) > _CONTEXT_LIMIT:
        return section(elements)
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": line, "verbatim": True}]}


def _rich(kind: str, elements: Iterable[Json]) -> Json:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}


def _mrkdwn(element: Json) -> str | None:
    """An element as mrkdwn, or None if it cannot be proved harmless there."""
    match element:
        case {"type": "user", "user_id": user} if _NAME.fullmatch(user):
            return f"<@{user}>"
        case {"type": "emoji", "name": name}:
            return f":{name}:"
        case {"type": "date", "timestamp": at, "format": form, "fallback": fallback}:
            return f"<!date^{at}^{form}|{fallback}>"
        case {"type": "text", "text": value, "style": {"code": True}}:
            return f"`{value}`" if _NAME.fullmatch(value) else None
        case {"type": "text", "text": value, "style": {"bold": True}}:
            return f"*{value}*" if _NAME.fullmatch(value) else None
        case {"type": "text", "text": value} if "style" not in element:
            return value if _PLAIN.fullmatch(value) else None
    return None
