"""Values that policy declares secret: what is shown in their place, to whomever (DESIGN §1, invariant 6).

The value itself stays in the ledger, because whoever executes recomputes the digest from it; everything that is drawn,
compared or told is made from the masked arguments.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import rfc8785

from approvals.paths import Part, lies_in


class Mask(str):
    """A text of ours in place of a secret value; a value of the request is never one."""

    __slots__ = ()


def masked(arguments: dict[str, Any], secret: tuple[str, ...], nonce: str) -> dict[str, Any]:
    """The arguments with a mask in place of every innermost value that lies in one of the patterns."""
    if not secret:
        return arguments
    return {name: _masked(value, (name,), secret, nonce) for name, value in arguments.items()}


def holds_secret(arguments: dict[str, Any], secret: tuple[str, ...]) -> bool:
    """Whether anything of the arguments is masked."""
    return bool(secret) and _any_mask(masked(arguments, secret, ""))


def mask_of(value: Any, nonce: str) -> Mask:
    """How long a value is and HMAC-SHA256(nonce, value), so that two can be told apart and none can be guessed.

    Of a value that is no text, its RFC 8785 form counts.
    """
    raw = value.encode() if isinstance(value, str) else rfc8785.dumps(value)
    length = len(value) if isinstance(value, str) else len(raw)
    code = hmac.new(nonce.encode(), raw, hashlib.sha256).hexdigest()[:16]
    return Mask(f"masked: {length} character{'' if length == 1 else 's'}, HMAC {code}")


def _masked(value: Any, at: tuple[Part, ...], secret: tuple[str, ...], nonce: str) -> Any:
    if isinstance(value, dict) and value:
        return {name: _masked(inner, (*at, name), secret, nonce) for name, inner in value.items()}
    if isinstance(value, list) and value:
        return [_masked(inner, (*at, place), secret, nonce) for place, inner in enumerate(value)]
    return mask_of(value, nonce) if lies_in(at, secret) else value


def _any_mask(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_any_mask, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Mask)
