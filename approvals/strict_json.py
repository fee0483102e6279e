"""JSON that two parsers cannot read in two ways: I-JSON (RFC 7493), enforced."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeAlias

from approvals.errors import EntryRefused
from approvals.text import clipped, one_line

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None

MAX_BYTES = 65_536
MAX_DEPTH = 32
NAMED = 200  #: a key that is wrong is told in this many characters
MAX_INTEGER = 2**53 - 1  #: RFC 7493 §2.2: beyond it, receivers disagree about the value


def parse(raw: bytes) -> Json:
    """Read one JSON text strictly.

    Raises EntryRefused for more than MAX_BYTES, invalid UTF-8, duplicate keys, NaN or Infinity, integers beyond
    ±(2^53-1), lone surrogates and nesting deeper than MAX_DEPTH.
    """
    if len(raw) > MAX_BYTES:
        raise EntryRefused(
            "too_large", f"{len(raw)} bytes, at most {MAX_BYTES} are read", remedy="send a reference, not the content"
        )
    try:
        value: Json = _decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise malformed(f"not a JSON text in UTF-8: {type(exc).__name__}") from exc
    _check(value, "", 1)
    return value


def malformed(message: str, field: str | None = None, remedy: str = "send one JSON text of the wire") -> EntryRefused:
    """The refusal for a text that is not what the wire says; `field` may be the sender's own spelling of a key."""
    named = None if field is None else clipped(one_line(field), NAMED)
    return EntryRefused("malformed", message, field=named, remedy=remedy)


def _no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise malformed("a key stands twice in one object", name, "send every key once")
        seen.add(name)
    return members


def _no_constant(name: str) -> NoReturn:
    raise malformed(f"{name} is not JSON", remedy="send numbers as finite decimals, money as a string")


def _int(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > MAX_INTEGER:
        raise malformed("an integer beyond 2^53-1", remedy="send ids and large numbers as strings")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise malformed("a number too large for a double", remedy="send it as a string")
    return value


def _check(value: Json, path: str, depth: int) -> None:
    """Refuse what json.loads lets through: depth and lone surrogates (which UTF-8 itself cannot carry unescaped)."""
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise malformed(f"nested deeper than {MAX_DEPTH}", remedy="flatten it")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            if isinstance(name, str):
                _check_text(name, path)
            _check(inner, f"{path}.{name}" if path else str(name), depth + 1)


def _check_text(text: str, path: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise malformed("a lone surrogate is not Unicode text", path, "send well-formed Unicode")


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_float, parse_int=_int
).decode
