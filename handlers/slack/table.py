"""Arguments as aligned lines in which no value can pass for another argument.

A name stands at the left edge and nothing else does. A value that has line ends goes on after "│ ", one that is
wider than a Slack window after "↪ ", both under the value's own column: what begins a line is never the agent's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from approvals.lines import GOES_ON, SAME_LINE_GOES_ON, Line

WIDTH = 76  #: columns; a wider line would be wrapped by the client, back to the left edge
NAME_WIDTH = 24
LIMIT = 2_900  #: characters in one block

NEXT_LINE = "│ "
SAME_LINE = "↪ "
OF_ABOVE = "↳ "  #: the value of a name that was too long to stand beside it


def tables(lines: Sequence[Line]) -> list[str]:
    """The lines as texts of at most LIMIT characters.

    A name with its mark that the value goes on would push every value to the right, where a phone wraps each line: so
    it is taken for a long name, which has a line of its own.
    """
    width = min(max((columns(_tabs(line.name)) for line in lines if not _goes_on(line)), default=0), NAME_WIDTH)
    return _packed([row for line in lines for row in _rows(line, width)])


def _goes_on(line: Line) -> bool:
    return line.name.endswith((f" ({GOES_ON})", f" ({SAME_LINE_GOES_ON})"))


def columns_of_a_diff(value: Sequence[str]) -> list[str]:
    """The lines of a unified diff as they are, wide ones wrapped, as texts of at most LIMIT characters."""
    return _packed(
        [
            f"{SAME_LINE}{piece}" if number else piece
            for line in value
            for number, piece in enumerate(_wrapped(_tabs(line), WIDTH - len(SAME_LINE)))
        ]
    )


def columns(value: str) -> int:
    """How wide a text is in a fixed-width font: East Asian wide characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in value)


def _rows(line: Line, width: int) -> Iterator[str]:
    indent = " " * (width + 2)
    name = _tabs(line.name)
    start = name + indent[columns(name) :]
    if columns(name) > width:
        yield from _long_name(name)
        start = indent + OF_ABOVE
    for value in line.value or ("",):
        for piece in _wrapped(_tabs(value), WIDTH - len(indent) - len(SAME_LINE)):
            yield start + piece
            start = indent + SAME_LINE
        start = indent + NEXT_LINE


def _long_name(name: str) -> Iterator[str]:
    for number, piece in enumerate(_wrapped(name, WIDTH - len(SAME_LINE))):
        yield (SAME_LINE if number else "") + piece


def _tabs(value: str) -> str:
    return value.replace("\t", "⇥   ")


def _wrapped(value: str, width: int) -> list[str]:
    """The text in pieces of at most `width` columns; one empty piece for an empty text."""
    pieces, piece, used = [], "", 0
    for character in value:
        wide = columns(character)
        if used + wide > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + wide
    return [*pieces, piece]


def _packed(rows: list[str]) -> list[str]:
    """Rows joined to as few texts as the limit allows."""
    texts: list[str] = []
    for row in rows:
        if texts and len(texts[-1]) + 1 + len(row) <= LIMIT:
            texts[-1] += "\n" + row
        else:
            texts.append(row)
    return texts
