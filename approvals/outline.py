"""What is kept of an entry that was refused: which members of the contract it had, and none of its texts."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from approvals.action import KIND
from approvals.errors import EntryRefused
from approvals.strict_json import parse

_ID: Final = re.compile(r"[0-9]{1,4}-[a-z2-7]{24}")
#: Texts that say which request or kind it is about, kept where they look as the contract says.
_KEPT: Final = {"kind": re.compile(KIND), "request": _ID, "supersedes": _ID}
_NAMES: Final = frozenset(
    {"v", "call", "action", "kind", "target", "arguments", "preconditions", "nonce", "audience", "because", "principal"}
    | {"principal_token", "started_by", "within", "cancel_on_disconnect", "supersedes", "trace"}
    | {"request", "receipt", "attempt", "outcome", "note"}
)


def outline(body: bytes) -> bytes:
    """The body with every value replaced by what kind of value it was; of what is no JSON, only how long it was."""
    try:
        value = parse(body)
    except EntryRefused:
        return f"(no JSON of the contract, {len(body)} bytes)".encode()
    return json.dumps(_outlined("", value), separators=(",", ":")).encode()


def _outlined(name: str, value: Any) -> Any:
    """A name that is not the contract's is an agent's, and may be anything: only their number is kept."""
    if isinstance(value, dict) and name in ("", "action"):
        known = {inner: _outlined(inner, member) for inner, member in value.items() if inner in _NAMES}
        others = len(value) - len(known)
        return known | ({"…": f"({others} others)"} if others else {})
    if isinstance(value, dict | list):
        return f"({len(value)} {'members' if isinstance(value, dict) else 'values'})"
    if isinstance(value, str):
        pattern = _KEPT.get(name)
        return value if pattern is not None and pattern.fullmatch(value) else f"({len(value)} characters)"
    return f"({type(value).__name__})"
