"""The repository's files, as the tests of this folder read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    path: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.number}"


def documents() -> list[Path]:
    """Every Markdown file of ours."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
    )


def blocks(path: Path, language: str) -> list[Block]:
    """The fenced blocks of a document in one language."""
    found = enumerate(_FENCE.finditer(path.read_text(encoding="utf-8")), 1)
    return [Block(path, number, match[1], match[2]) for number, match in found if match[1] == language]


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a document, pictures included: the file each leads to, and its anchor."""
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield (path.parent / file if file else path), anchor


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative(path: Path) -> str:
    """A path as people say it; also the name of a test."""
    return str(path.relative_to(ROOT))
