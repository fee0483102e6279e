"""The one spelling of a JSON value over which digests are computed: RFC 8785."""

from __future__ import annotations

import json
from typing import Any, Final

import rfc8785

_LARGEST: Final = 2**53 - 1  #: integers beyond it have no canonical form (RFC 8785 §3.2.2.3)
_encode: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value, in UTF-8. Raises ValueError for a value that has none.

    Python's own encoder, many times as fast as the library, writes just that form of what is plain.
    """
    return _encode(value).encode() if _is_plain(value) else rfc8785.dumps(value)


def _is_plain(value: Any) -> bool:
    """Whether there is nothing in a value that the two write differently, or that has no form.

    Numbers that are no integers, integers too large, keys that code points sort in another way than UTF-16 does.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        return all(type(name) is str and name.isascii() and _is_plain(inner) for name, inner in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return kind is int and -_LARGEST <= value <= _LARGEST
