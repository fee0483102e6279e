"""An action's members as lines for people: every leaf with its path, so that nothing nested is hidden.

Whatever a platform makes of them, no value may pass for another member: what begins a line is ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from approvals.action import Frozen
from approvals.masking import Mask
from approvals.text import one_line, visible

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_LOOKS_LIKE_JSON = re.compile(r'\s|masked:|true$|false$|null$|["\[{].*|$|.*\s$', re.DOTALL)

LONG_NAME = 200  #: characters; the path of a longer one is shown as a text of its own
#: What stands beside a value in place of its path. None is an agent's: a name with a blank in it stands in quotes.
NAME_OF_THE_NEXT, VALUE_OF_IT = "a long name", "its value"
GOES_ON, SAME_LINE_GOES_ON = "goes on", "the same line goes on"

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")
_OF_A_DIFF = re.compile(
    r"[ +@\\-]|$|diff --git |index [0-9a-f]{4,}|(?:new|deleted) file mode |similarity index |rename "
)


class Line(Frozen):
    """One member: its path and its value, every line of it. `diff`: the value is a unified diff and is shown as one."""

    name: str
    value: tuple[str, ...]
    diff: bool = False

    @property
    def size(self) -> int:
        """How many characters there are to read."""
        return len(self.name) + sum(map(len, self.value))


def lines_of(members: Mapping[str, Any], most: int) -> tuple[tuple[Line, ...], bool]:
    """The leaves of the arguments or the preconditions, and whether these are all of them.

    It ends after `most` characters: a path repeats the names above it, so 64 KB can become far more than that.
    """
    lines: list[Line] = []
    for name, value in flat(members, ""):
        lines.append(Line(name=name, value=value, diff=is_diff(value)))
        most -= lines[-1].size
        if most < 0:
            return tuple(lines), False
    return tuple(lines), True


def flat(value: Any, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every leaf with its path."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{_name(name)}" if path else _name(name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flat(inner, f"{path}[{index}]")
    elif path:
        yield path, _leaf(value)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            yield from texts_in(inner)


def is_diff(value: Sequence[str]) -> bool:
    """Whether a value is a unified diff and nothing else: no line of it could pass for a member's."""
    marks = ("--- ", "+++ ")
    heads = all(any(line.startswith(mark) for line in value) for mark in marks)
    return heads and any(map(_HUNK.match, value)) and all(map(_OF_A_DIFF.match, value))


def counted(diff: Line) -> tuple[int, int]:
    """How many lines a diff adds and takes away."""
    added = sum(line.startswith("+") and not line.startswith("+++ ") for line in diff.value)
    gone = sum(line.startswith("-") and not line.startswith("--- ") for line in diff.value)
    return added, gone


def paged(lines: Sequence[Line], *, characters: int, rows: int) -> list[tuple[Line, ...]]:
    """The lines in pages of at most so much text and so many rows; a value that goes on says so beside its name."""
    pages: list[list[Line]] = [[]]
    room, left = characters, rows
    for line in _parts(lines, characters, rows):
        if pages[-1] and (line.size > room or len(line.value) > left):
            pages.append([])
            room, left = characters, rows
        pages[-1].append(line)
        room, left = room - line.size, left - len(line.value)
    return [tuple(page) for page in pages]


def _parts(lines: Sequence[Line], characters: int, rows: int) -> Iterator[Line]:
    """Lines none of which is larger than a page."""
    for line in lines:
        if len(line.name) > LONG_NAME:
            yield from _parts([Line(name=NAME_OF_THE_NEXT, value=(line.name,))], characters, rows)
        name = line.name if len(line.name) <= LONG_NAME else VALUE_OF_IT
        yield from _in_parts(line.model_copy(update={"name": name}), characters - len(name) - 40, rows)


def _in_parts(line: Line, room: int, rows: int) -> Iterator[Line]:
    """One line as several, each with at most so much of its value."""
    value: list[str] = []
    name, used, split = line.name, 0, False
    for piece, goes_on in _cut(line.value, room):
        if value and (used + len(piece) > room or len(value) >= rows):
            yield line.model_copy(update={"name": name, "value": tuple(value)})
            name = f"{line.name} ({SAME_LINE_GOES_ON if split else GOES_ON})"
            value, used = [], 0
        value.append(piece)
        used, split = used + len(piece), goes_on
    yield line.model_copy(update={"name": name, "value": tuple(value)})


def _cut(value: Sequence[str], longest: int) -> Iterator[tuple[str, bool]]:
    """A value's lines, too long ones in pieces that fill a page; and whether the line goes on after the piece."""
    for line in value:
        pieces = [line[at : at + longest] for at in range(0, len(line), longest)] or [""]
        for number, piece in enumerate(pieces):
            yield piece, number < len(pieces) - 1


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else one_line(json.dumps(name, ensure_ascii=False))


def _leaf(value: Any) -> tuple[str, ...]:
    """A value as its lines; a text that could be taken for another JSON value, or for a mask, stands in quotes.

    Digits do not: money and ids are texts by contract, and for the reader 12400.00 is the same either way.
    """
    if isinstance(value, Mask):
        return (str(value),)
    if not isinstance(value, str):
        return (json.dumps(value),)
    if _LOOKS_LIKE_JSON.match(value):
        return (one_line(json.dumps(value, ensure_ascii=False)),)
    return tuple(visible(value).split("\n"))
