"""A page that can be followed: its commands, files, edits and what is expected of them, in order.

Blocks mean what they mean to a reader: in `console` the lines after "$ " are typed and the others are what comes of
it, `diff` is an edit of the file it names, `text` is what a command that is still running says, and a block that
begins with "# name.ext" is a file. "…" stands for whatever stands there. What prose tells the reader to do besides
is said to us in comments before a block:

    <!-- terminal: two -->                    type what follows there; a new one starts in the folder of the last
    <!-- stays until: ready -->               the block's last command keeps running, once it has said this
    <!-- people: carol approves report-1 -->  while the block runs, people press buttons (people.py)
    <!-- fails -->                            the block's last command ends with an error
    <!-- Ctrl-C -->                           alone: ends what stays running in the terminal where we are
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

ANYTHING = "…"

_PART = re.compile(r"^<!-- (?P<note>.+?) -->$|^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]*\.\w+)\n")


@dataclass(frozen=True)
class Step:
    """A block with the notes before it, or a note that stands for a step of its own."""

    language: str
    text: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[str]:
        """What is typed."""
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]

    @property
    def shown(self) -> str:
        """What the page shows of the output."""
        return "\n".join(line for line in self.text.splitlines() if not line.startswith("$ "))

    @property
    def file(self) -> tuple[str, str] | None:
        """The name and the text of the file that this block is, if it is one."""
        found = _FILE.match(self.text)
        return (found[1], self.text[found.end() :]) if found else None


def steps(page: str) -> Iterator[Step]:
    """The steps of a page in order; indented blocks and inline code are prose."""
    notes: dict[str, str] = {}
    for part in _PART.finditer(page):
        name, _, value = (part["note"] or "").partition(": ")
        if name == "Ctrl-C":
            yield Step(name)
        elif name:
            notes[name] = value
        else:
            yield Step(part["language"], part["text"], notes)
            notes = {}


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, as a pattern that the whole output must match."""
    return re.compile(re.escape(shown.strip()).replace(ANYTHING, ".*"), re.DOTALL)


def completed(line: str, known: list[str]) -> str:
    """A line with "…", completed by the newest line that fits it."""
    if ANYTHING not in line:
        return line
    for candidate in reversed(known):
        if pattern(line).fullmatch(candidate.strip()):
            return candidate.strip()
    raise AssertionError(f"nothing that was printed fits {line!r}")


def edited(text: str, diff: str) -> tuple[str, str]:
    """The name of the file that a diff is about, and its text after it; what is replaced must stand there once."""
    before = "".join(line[1:] + "\n" for line in diff.splitlines()[1:] if line[:1] in (" ", "-"))
    after = "".join(line[1:] + "\n" for line in diff.splitlines()[1:] if line[:1] in (" ", "+"))
    assert text.count(before) == 1, f"these lines do not stand there once:\n{before}"
    return diff.splitlines()[0].removeprefix("--- "), text.replace(before, after)
