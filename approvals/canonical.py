"""The one spelling of a JSON value over which digests are computed: RFC 8785."""

from __future__ import annotations

from typing import Any, Final

import rfc8785
from pydantic import TypeAdapter

_LARGEST: Final = 2**53 - 1  #: integers beyond it have no canonical form (RFC 8785 §3.2.2.3)
_write: Final = TypeAdapter(Any).dump_json


class _NotPlain(ValueError):
    """There is something in a value that is written in another way, or has no form."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value, in UTF-8. Raises ValueError for a value that has none.

    Pydantic's encoder, many times as fast as the library, writes just that form of what is plain and in order.
    """
    try:
        return _write(_in_order(value))
    except ValueError:  # broken Unicode, too: the library says what is wrong with it
        return rfc8785.dumps(value)


def _in_order(value: Any) -> Any:
    """The value with the members of every object sorted by their names.

    Not plain are numbers that are no integers or too large, and names that UTF-16 sorts in another way than code
    points do.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is dict:
        if not all(type(name) is str and name.isascii() for name in value):
            raise _NotPlain
        return {name: _in_order(value[name]) for name in sorted(value)}
    if kind is list or kind is tuple:
        return [_in_order(inner) for inner in value]
    if kind is int and -_LARGEST <= value <= _LARGEST:
        return value
    raise _NotPlain
