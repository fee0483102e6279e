"""The public keys receipts are checked with: read from a pinned JWKS document, each with its one algorithm."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sayso.errors import TrustInvalid
from sayso.strict_json import parse

MAX_BYTES = 65_536
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")
_ED25519 = frozenset({"Ed25519", "EdDSA"})  #: RFC 9864 and the older name; with an Ed25519 key both mean the same
_ES256 = frozenset({"ES256"})


def decode_base64url(part: bytes) -> bytes:
    """Decode strict base64url (RFC 7515 §2): no padding, no white space, no bits left over; raises ValueError."""
    if not _BASE64URL.fullmatch(part) or len(part) % 4 == 1:
        raise ValueError("not base64url without padding")
    raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part:
        raise ValueError("bits left over in base64url")
    return raw


@dataclass(frozen=True, slots=True)
class Key:
    """One public key and the `alg` names it may be used under."""

    kid: str
    algorithms: frozenset[str]
    public: Ed25519PublicKey | EllipticCurvePublicKey

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` (as JWS has it: raw, 64 bytes) over `data` was made by this key."""
        if len(signature) != 64:
            return False
        try:
            if isinstance(self.public, Ed25519PublicKey):
                self.public.verify(signature, data)
            else:
                self.public.verify(_der(signature), data, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Whose receipts are believed: the issuer and its keys by `kid`."""

    issuer: str
    keys: Mapping[str, Key]


def read_jwks(raw: bytes, *, issuer: str | None = None) -> TrustedKeys:
    """Read `{"issuer": …, "keys": […]}` (RFC 7517 with our member `issuer`); `issuer` pins it. Raises TrustInvalid.

    Keys of other kinds or for other uses are skipped; a private key, a doubled `kid` or no usable key refuse the
    whole document.
    """
    if len(raw) > MAX_BYTES:
        raise TrustInvalid(f"the JWKS document is larger than {MAX_BYTES} bytes")
    try:
        document = parse(raw)
    except ValueError as exc:
        raise TrustInvalid(f"the JWKS document is not JSON: {exc}") from exc
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise TrustInvalid("the JWKS document has no list `keys`")
    return TrustedKeys(_issuer(document.get("issuer"), issuer), _keys(document["keys"]))


def _issuer(named: object, pinned: str | None) -> str:
    if pinned is not None and named not in (None, pinned):
        raise TrustInvalid(f"the JWKS document is of issuer {named!r}, not of the pinned {pinned!r}")
    issuer = pinned if pinned is not None else named
    if not isinstance(issuer, str) or not issuer:
        raise TrustInvalid("the JWKS document names no issuer; pass issuer=")
    return issuer


def _keys(entries: list[Any]) -> dict[str, Key]:
    keys: dict[str, Key] = {}
    for entry in entries:
        key = _key(entry)
        if key is None:
            continue
        if key.kid in keys:
            raise TrustInvalid(f"the JWKS document has the kid {key.kid!r} twice")
        keys[key.kid] = key
    if not keys:
        raise TrustInvalid("the JWKS document has no Ed25519 or P-256 signature key")
    return keys


def _key(entry: object) -> Key | None:
    if not isinstance(entry, dict):
        raise TrustInvalid("the JWKS document holds something that is not a key")
    if "d" in entry or "k" in entry:
        raise TrustInvalid("the JWKS document holds a private or shared key; publish the public half only")
    if not _for_signatures(entry):
        return None
    family = (entry.get("kty"), entry.get("crv"))
    try:
        if family == ("OKP", "Ed25519"):
            return _named(entry, _ED25519, Ed25519PublicKey.from_public_bytes(_coordinate(entry, "x")))
        if family == ("EC", "P-256"):
            return _named(entry, _ES256, _point(entry))
    except ValueError as exc:
        raise TrustInvalid(f"the key {entry.get('kid')!r} cannot be read") from exc
    return None


def _for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops")
    return entry.get("use") in (None, "sig") and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )


def _named(
    entry: dict[str, Any], algorithms: frozenset[str], public: Ed25519PublicKey | EllipticCurvePublicKey
) -> Key | None:
    kid, alg = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str) or not kid:
        raise TrustInvalid("a key in the JWKS document has no kid")
    if alg is None:
        return Key(kid, algorithms, public)
    return Key(kid, frozenset({alg}), public) if alg in algorithms else None


def _coordinate(entry: dict[str, Any], name: str) -> bytes:
    value = entry.get(name)
    if not isinstance(value, str):
        raise ValueError(f"no {name}")
    raw = decode_base64url(value.encode())
    if len(raw) != 32:
        raise ValueError(f"{name} is not 32 bytes")
    return raw


def _point(entry: dict[str, Any]) -> EllipticCurvePublicKey:
    x, y = (int.from_bytes(_coordinate(entry, name), "big") for name in ("x", "y"))
    return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()


def _der(signature: bytes) -> bytes:
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    return encode_dss_signature(r, s)
