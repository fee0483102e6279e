"""The action a person is asked about, and the digest that ties the yes to exactly these bytes."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import rfc8785

from sayso.errors import InvalidRequest
from sayso.strict_json import MAX_DEPTH, MAX_INTEGER, Json, is_text

_KIND = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{22,86}")
_MEMBERS = frozenset({"kind", "target", "arguments", "preconditions", "nonce"})
_DEPTH_OF_ARGUMENTS = 3  #: in the request document: body, action, arguments

_REMEDIES = {
    "Decimal": 'pass money as a string, like "12400.00"',
    "datetime": "pass it as text, value.isoformat()",
    "date": "pass it as text, value.isoformat()",
    "bytes": "pass base64 text, or a reference and a hash",
    "set": "pass a sorted list",
    "UUID": "pass str(value)",
    "PosixPath": "pass str(value)",
}


@dataclass(frozen=True, slots=True)
class Action:
    """What would be done: this `kind` of thing, to this `target`, with these `arguments`.

    `preconditions` is what must still be true at the last moment (your tool checks it, see `spend`). `nonce` keeps
    the digest of guessable values unguessable. Values are JSON; `arguments` may be changed by your code, but then the
    digest no longer fits.
    """

    kind: str
    target: str
    arguments: dict[str, Any]
    preconditions: dict[str, Any] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: new_nonce())

    @classmethod
    def of(
        cls,
        kind: str,
        target: str,
        arguments: Mapping[str, Any],
        preconditions: Mapping[str, Any] | None = None,
        nonce: str | None = None,
    ) -> Action:
        """Check and copy the parts of an action; raises InvalidRequest that names the field and the remedy."""
        return cls(
            kind=_kind(kind),
            target=text(target, "target", most=500),
            arguments=_members(arguments, "arguments"),
            preconditions=_members({} if preconditions is None else preconditions, "preconditions"),
            nonce=new_nonce() if nonce is None else _nonce(nonce),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Action:
        """Read an action from its JSON object, nonce included (what `document()` gave)."""
        unknown = sorted(set(document) - _MEMBERS)
        missing = sorted(_MEMBERS - {"preconditions"} - set(document))
        if unknown or missing:
            name = (unknown + missing)[0]
            _invalid(
                f"{'unknown' if unknown else 'missing'} member", f"action.{name}", "pass the whole action document"
            )
        return cls.of(**document)

    def document(self) -> dict[str, Any]:
        """The JSON object that is sent, shown and hashed: a fresh copy of all five members."""
        copy = self.copy()
        return {
            "kind": copy.kind,
            "target": copy.target,
            "arguments": copy.arguments,
            "preconditions": copy.preconditions,
            "nonce": copy.nonce,
        }

    def copy(self) -> Action:
        """The same action, sharing nothing with this one."""
        return self.of(self.kind, self.target, self.arguments, self.preconditions, self.nonce)

    def with_nonce(self, nonce: str) -> Action:
        """The same action under another nonce: after a restart, the nonce of the first submission."""
        return replace(self, nonce=_nonce(nonce))

    def digest(self) -> str:
        """ "sha256:" + hex of SHA-256 over the canonical form of all five members (RFC 8785)."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.document())).hexdigest()


def new_nonce() -> str:
    """128 random bits, base64url without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


def text(value: object, name: str, *, most: int, least: int = 1) -> str:
    """A string of `least` to `most` characters of well-formed Unicode, or InvalidRequest for the field `name`."""
    if not isinstance(value, str):
        _invalid(f"{type(value).__name__} is not text", name, "pass a string")
    value = str.__str__(value)  # a StrEnum gives its value, whatever its own __str__ says
    if not is_text(value):
        _invalid("a lone surrogate is not Unicode text", name, "pass well-formed Unicode")
    if not least <= len(value) <= most:
        _invalid(f"{len(value)} characters", name, f"pass {least} to {most}")
    return value


def _kind(value: object) -> str:
    kind = text(value, "kind", most=100)
    if not _KIND.fullmatch(kind):
        _invalid(f"{kind!r} is not a kind", "kind", "use dotted lower-case words, like payments.release")
    return kind


def _nonce(value: object) -> str:
    nonce = text(value, "action.nonce", most=86)
    if not _NONCE.fullmatch(nonce):
        _invalid("not a nonce", "action.nonce", "pass the nonce that came with the action")
    return nonce


def _members(value: object, name: str) -> dict[str, Json]:
    if not isinstance(value, Mapping):
        _invalid(f"{type(value).__name__} is not an object", name, "pass a dict of names and values")
    return _object(value, name, _DEPTH_OF_ARGUMENTS)


def _plain(value: object, name: str, depth: int) -> Json:
    """Copy a value as JSON; what has no one JSON form is refused, never converted by guess."""
    if value is None or isinstance(value, bool):
        return value
    for kind, convert in _SCALARS.items():
        if isinstance(value, kind):
            return convert(value, name)
    if isinstance(value, Mapping):
        return _object(value, name, depth)
    if isinstance(value, list | tuple):
        _check_depth(name, depth)
        return [_plain(inner, f"{name}[{at}]", depth + 1) for at, inner in enumerate(value)]
    return _not_json(value, name)


def _object(value: Mapping[Any, Any], name: str, depth: int) -> dict[str, Json]:
    _check_depth(name, depth)
    return {_name(key, name): _plain(inner, f"{name}.{key}", depth + 1) for key, inner in value.items()}


def _name(key: object, name: str) -> str:
    if not isinstance(key, str):
        _invalid(f"the key {key!r} is not text", name, "use strings as keys")
    return text(key, name, least=0, most=65_536)


def _check_depth(name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        _invalid(f"nested deeper than {MAX_DEPTH}", name[:100], "flatten it")


def _string(value: Any, name: str) -> str:
    return text(value, name, least=0, most=65_536)


def _integer(value: Any, name: str) -> int:
    if abs(value) > MAX_INTEGER:
        _invalid("an integer beyond 2^53-1", name, "pass ids and large numbers as strings")
    return int(value)


def _number(value: Any, name: str) -> float:
    if not math.isfinite(value):
        _invalid(f"{value} is not JSON", name, "pass a finite number, or null")
    return float(value)


_SCALARS: dict[type, Callable[[Any, str], Json]] = {str: _string, int: _integer, float: _number}


def _not_json(value: object, name: str) -> NoReturn:
    kind = type(value).__name__
    _invalid(f"{kind} is not JSON", name, _REMEDIES.get(kind, "pass text, numbers, booleans, lists and objects"))


def _invalid(message: str, name: str, remedy: str) -> NoReturn:
    raise InvalidRequest(message, field=name, remedy=remedy)
