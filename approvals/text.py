"""Untrusted text made safe to look at: what cannot be seen, or would move other text, is written out.

Only for display. What is hashed and executed is never touched (docs/decisions/; Unicode TR 36, Trojan Source).
"""

from __future__ import annotations

import re
import unicodedata

#: Control, format, private, surrogate, line and paragraph separators; unassigned.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
#: Letters and marks that draw as nothing: Hangul fillers, Khmer inherent vowels, variation selectors, CGJ.
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u034f\u180b\u180c\u180d\u180f") | {
    chr(point) for point in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
#: Blanks that are not the space bar's: they line up a fake word or hide one.
_ODD_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800]")
#: Nothing of it is hidden, and most texts are nothing else.
_PLAIN = re.compile(r"[ -~\n\t]*")
_WALL = re.compile(r" {41,}|(?:\n[ \t]*){4,}")
_BLANKS = " " * 41  #: without these or four line ends there is no wall


def visible(text: str) -> str:
    r"""The text with every character that cannot be seen written as \u{202E}, and walls of blanks folded.

    Line feeds and tabs stay; a run of more than 40 spaces or 3 empty lines becomes <+512 spaces>.
    """
    shown = text if _PLAIN.fullmatch(text) else "".join(map(_escaped, text))
    if _BLANKS not in shown and shown.count("\n") < 4:
        return shown
    return _WALL.sub(lambda wall: f"<+{len(wall[0])} blanks>", shown)


def has_hidden(text: str) -> bool:
    """Whether `visible` writes anything out."""
    return not _PLAIN.fullmatch(text) and any(_escaped(character) != character for character in text)


def one_line(text: str) -> str:
    """`visible`, with line ends and tabs written out too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def clipped(text: str, limit: int) -> str:
    """At most `limit` characters, saying how many are missing. Only for words nobody approves by."""
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit} characters)"


def _escaped(character: str) -> str:
    if character in "\n\t" or " " <= character <= "~":
        return character
    hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _INVISIBLE
    return f"\\u{{{ord(character):04X}}}" if hidden or _ODD_SPACES.match(character) else character
