"""The one sentence of what would happen: a template of policy, filled with an action's arguments by us.

`Pay {amount} {currency} to {payee.name}` has our words and, between braces, paths into the arguments; `action.target`
and `action.kind` name what else an action has. The values stay apart from our words, because they are an agent's.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from approvals.action import Action
from approvals.paths import PATH, overlap, value_at
from approvals.terms import Piece
from approvals.text import clipped, one_line

LONGEST: Final = 200  #: characters of a template
VALUE: Final = 80  #: characters of one value

_WORDS: Final = re.compile(r"[^\n\r\t<>&*_`~|{}]*")  # none that a chat takes for markup
_PLACES: Final = re.compile(r"\{([^{}]*)\}")
_OF_THE_ACTION: Final = frozenset({"action.target", "action.kind"})


def checked(template: str) -> str:
    """A template that can be filled; raises ValueError that names the place of what is wrong with it."""
    for start, text, path in _parts(template):
        if path is not None and path not in _OF_THE_ACTION and not _is_path(path):
            raise ValueError(f"character {start + 1}: {{{path}}} is no path; write {{amount}} or {{payee.name}}")
        if path is None and (good := _WORDS.match(text)) is not None and good.end() < len(text):
            raise ValueError(f"character {start + good.end() + 1}: {text[good.end()]!r} cannot stand in a sentence")
    return template


def shows(template: str, secret: tuple[str, ...]) -> str | None:
    """The first path of a template at which a secret argument would show, if any."""
    paths = (path for _, _, path in _parts(template) if path is not None)
    return next((path for path in paths if overlap(path, secret)), None)


def filled(template: str | None, action: Action) -> tuple[Piece, ...]:
    """The sentence for an action; empty where a path leads to no single value, and the title has to do."""
    if template is None:
        return ()
    pieces = [_piece(text, path, action) for _, text, path in _parts(template)]
    known = [piece for piece in pieces if piece is not None]
    return tuple(piece for piece in known if piece.text) if len(known) == len(pieces) else ()


def _parts(template: str) -> list[tuple[int, str, str | None]]:
    """Our words and the paths in turn, each with where it begins; of a path the text is empty."""
    parts: list[tuple[int, str, str | None]] = []
    end = 0
    for found in _PLACES.finditer(template):
        parts += [(end, template[end : found.start()], None), (found.start(), "", found[1])]
        end = found.end()
    return [*parts, (end, template[end:], None)]


def _is_path(path: str) -> bool:
    return re.fullmatch(PATH, path) is not None and not path.startswith("action.")


def _piece(text: str, path: str | None, action: Action) -> Piece | None:
    """None where the path leads to nothing, or to more than one value."""
    if path is None:
        return Piece(text=text, ours=True)
    value = (
        getattr(action, path.removeprefix("action.")) if path in _OF_THE_ACTION else value_at(action.arguments, path)
    )
    return None if value is None or isinstance(value, dict | list) else Piece(text=clipped(_said(value), VALUE))


def _said(value: Any) -> str:
    """A value on one line; an empty one is seen to be empty."""
    return one_line(value) if isinstance(value, str) and value.strip() else json.dumps(value)
