"""The members of an action as blocks: aligned tables, and each unified diff as one, between lines that are ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from approvals.lines import Line, counted
from handlers.slack.elements import Json, preformatted, quiet, text
from handlers.slack.table import columns_of_a_diff, tables


def members(lines: Sequence[Line]) -> list[Json]:
    """Every line, in order, as literal text."""
    blocks: list[Json] = []
    for is_diff, some in groupby(lines, key=lambda line: line.diff):
        for part in map(_diff, some) if is_diff else [_table(list(some))]:
            blocks += part
    return blocks


def _table(lines: Sequence[Line]) -> list[Json]:
    return [preformatted(table) for table in tables(lines)]


def _diff(line: Line) -> list[Json]:
    """Its name and what it comes to on a line of ours; a line of a diff begins with a mark, never with a name."""
    added, gone = counted(line)
    head = quiet([text(line.name, "code"), text(f" is a diff, {added} added, {gone} taken away")])
    return [head, *(preformatted(part) for part in columns_of_a_diff(line.value))]
