"""JSON that two parsers cannot read in two ways (I-JSON, RFC 7493): for receipts, keys and golden samples."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1  #: RFC 7493 §2.2: beyond it, receivers disagree about the value


def parse(raw: bytes) -> Json:
    """Read one JSON text; raises ValueError for anything that another parser might read differently.

    That is: invalid UTF-8, duplicate keys, NaN or Infinity, integers beyond ±(2^53-1), lone surrogates, and nesting
    deeper than MAX_DEPTH.
    """
    try:
        value: Json = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    _check(value, 1)
    return value


def is_text(value: str) -> bool:
    """Whether a string is well-formed Unicode, so that UTF-8 can carry it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > MAX_INTEGER:
        raise ValueError("an integer beyond 2^53-1")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number too large for a double")
    return value


def _check(value: Json, depth: int) -> None:
    if isinstance(value, str) and not is_text(value):
        raise ValueError("a lone surrogate is not Unicode text")
    if isinstance(value, dict):
        for name in value:
            _check(name, depth)
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        for inner in value.values() if isinstance(value, dict) else value:
            _check(inner, depth + 1)
