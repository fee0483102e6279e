"""What a button of a message carries: our seal (handlers/seal.py), and the mark of the very message it was posted in.

Teams names a message only after it was posted, so every message gets a name of our own before, its mark. Where one and
the same card was posted twice, the marks tell the two apart, and nobody can make one up: the seal covers it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from handlers.seal import Seal, Sealed

_MARK = re.compile(r"[A-Za-z0-9_-]{0,16}")


@dataclass(frozen=True)
class Marked:
    """What a button says: the request, the rendering, and the message; no mark: from before there were any."""

    sealed: Sealed
    mark: str


class Marks:
    """Makes and opens what buttons carry."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def value(self, sealed: Sealed, place: str, mark: str) -> str:
        """What the buttons of a message carry."""
        return f"{mark}~{self._seal.value(sealed, _where(place, mark))}"

    def opened(self, value: str, place: str) -> Marked | None:
        """What a button says, if we made it for this place."""
        mark, _, rest = value.rpartition("~")
        if _MARK.fullmatch(mark) is None:
            return None
        sealed = self._seal.opened(rest, _where(place, mark))
        return Marked(sealed, mark) if sealed is not None else None


def new_mark() -> str:
    """A mark that no other message has."""
    return secrets.token_urlsafe(9)


def _where(place: str, mark: str) -> str:
    return f"{place}~{mark}" if mark else place
