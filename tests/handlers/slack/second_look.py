"""What somebody else's renderer of Slack's blocks makes of ours: slack-blocks-to-jsx, run by node.

It is a second pair of eyes, no proof of escaping: it un-escapes mrkdwn and parses plain text, and takes `verbatim` for
"as it stands", where Slack goes on reading markup; so that is left out before it is drawn.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.node import NODE, node

Json = dict[str, Any]
SCRIPT = Path(__file__).with_suffix(".mjs")
STYLE = NODE / "slack-blocks-to-jsx/dist/style.css"
_SHORTCODE = re.compile(r":[a-z0-9_+-]+:")  #: what it takes for an emoji also in plain text that says it has none
_MARKUP = re.compile(r"<[^>]*>|:[a-z_]+:|[*`]")


def drawn(messages: Sequence[Sequence[Json]], *, people: Mapping[str, str], groups: Mapping[str, str]) -> list[str]:
    """The HTML of each of these lists of blocks; raises where the renderer does."""
    data = {"users": _named(people), "user_groups": _named(groups), "channels": []}
    asked = json.dumps({"messages": _loose([*messages]), "data": data})
    command = [node(), str(SCRIPT), str(NODE)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def _named(names: Mapping[str, str]) -> list[Mapping[str, str]]:
    return [{"id": key, "name": name} for key, name in names.items()]


def _loose(value: Any) -> Any:
    """The same without `verbatim`."""
    if isinstance(value, dict):
        return {key: _loose(inner) for key, inner in value.items() if key != "verbatim"}
    return [_loose(inner) for inner in value] if isinstance(value, list) else value


def visible(html: str) -> str:
    """What a person reads, without blanks."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return _bare("".join(reader.found))


class _Reader(HTMLParser):
    """Collects the text between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def to_read(value: Any) -> Iterator[str]:
    """Everything in blocks that has to be read, in its order, without blanks: not who is mentioned, nor menus."""
    match value:
        case {"type": "text" | "link", "text": str(words)}:
            yield _bare(words)
        case {"type": "plain_text", "text": str(words)}:
            yield from filter(None, map(_bare, _SHORTCODE.split(words)))
        case {"type": "mrkdwn", "text": str(words)}:
            yield from filter(None, map(_bare, _MARKUP.split(words)))
        case {"type": "overflow"}:
            return
        case {"type": "input"}:
            yield from to_read([value["label"], value.get("hint", [])])
        case dict():
            yield from to_read([value[key] for key in ("text", "elements") if key in value])
        case list():
            for inner in value:
                yield from to_read(inner)


def _bare(words: str) -> str:
    return "".join(words.split())


def missing(words: Sequence[str], text: str) -> list[str]:
    """Those of the words that do not stand in the text behind the ones before them."""
    at, lost = 0, []
    for word in words:
        found = text.find(word, at)
        if found < 0:
            lost.append(word)
        else:
            at = found + len(word)
    return lost
