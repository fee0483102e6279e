"""What is kept of an entry that was refused: its form, and none of the values in it."""

from __future__ import annotations

import json
from typing import Any, Final

from approvals.errors import EntryRefused
from approvals.strict_json import parse

#: Members that say nothing but what the contract lets them say, kept as they are where they are short.
_KEPT: Final = frozenset({"v", "kind", "call", "audience", "within", "request", "supersedes", "outcome"})
_MOST: Final = 200  #: characters of one of these
_NAMES: Final = 100  #: members of one object that are listed


def outline(body: bytes) -> bytes:
    """The body with every value replaced by what kind of value it was; of what is no JSON, only how long it was."""
    try:
        value = parse(body)
    except EntryRefused:
        return f"(no JSON of the contract, {len(body)} bytes)".encode()
    return json.dumps(_outlined(value, kept=True), separators=(",", ":")).encode()


def _outlined(value: Any, *, kept: bool) -> Any:
    if isinstance(value, dict):
        members = list(value.items())[:_NAMES]
        return {name: _member(name, inner, kept=kept) for name, inner in members}
    if isinstance(value, list):
        return [f"({len(value)} values)"]
    return f"({len(value)} characters)" if isinstance(value, str) else f"({type(value).__name__})"


def _member(name: str, value: Any, *, kept: bool) -> Any:
    """Inside of arguments and preconditions no name means what the contract says it does."""
    if kept and name in _KEPT and not isinstance(value, dict | list) and len(str(value)) <= _MOST:
        return value
    return _outlined(value, kept=kept and name == "action")
