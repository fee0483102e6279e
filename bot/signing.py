"""The signing key: where it comes from, and the Signer that uses it (DESIGN §6)."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic_core import to_json

from approvals.errors import EntryRefused, SignerUnavailable
from approvals.strict_json import parse

ALGORITHM = "Ed25519"  # RFC 9864; the polymorphic name EdDSA is deprecated
_REGISTRY: Final = jws.JWSRegistry(algorithms=[ALGORITHM])


class KeyProblem(Exception):
    """The signing key cannot be used; the message names the remedy."""


class PublicKeys:
    """The keys that verify what we signed, by key id."""

    def __init__(self, keys: Mapping[str, OKPKey]) -> None:
        self._known = dict(keys)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The keys of a trust document. Raises KeyProblem."""
        try:
            found = json.loads(path.read_bytes())["keys"]
            return cls({str(jwk["kid"]): OKPKey.import_key(jwk) for jwk in found})
        except FileNotFoundError as exc:
            raise KeyProblem(f"there is no trust document at {path}; name the bot's with --trust") from exc
        except (JoseError, ValueError, KeyError, TypeError) as exc:
            raise KeyProblem(f"{path} is not a trust document with Ed25519 keys") from exc

    def verify(self, typ: str, token: str) -> Mapping[str, Any] | None:
        """The claims, if one of our keys signed exactly such a token with this typ; else None."""
        header = _header(token)
        if header is None or set(header) != {"alg", "kid", "typ"} or header["typ"] != typ:
            return None
        key = self._known.get(str(header["kid"]))
        if key is None or header["alg"] != ALGORITHM:
            return None
        try:
            claims = parse(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
        except (JoseError, EntryRefused, ValueError):
            return None
        return claims if isinstance(claims, dict) else None


class FileSigner(PublicKeys):
    """Signs with an Ed25519 key from a PEM file; knows retired public keys for verifying what they signed."""

    def __init__(self, key: OKPKey, retired: Mapping[str, OKPKey] | None = None) -> None:
        self._key = key
        self.kid = key.thumbprint()[:16]
        self._headers: dict[str, bytes] = {}
        super().__init__({**(retired or {}), self.kid: key})

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS with the header {alg, kid, typ} (RFC 7515 §5.1), byte for byte what joserfc makes."""
        try:
            content = b"%b.%b" % (self._header_of(typ), _base64url(to_json(claims)))
            key = cast(Ed25519PrivateKey, self._key.get_op_key("sign"))
            return (b"%b.%b" % (content, _base64url(key.sign(content)))).decode()
        except (JoseError, ValueError) as exc:
            raise SignerUnavailable("the signing key could not be used") from exc

    def _header_of(self, typ: str) -> bytes:
        """The first part of every JWS of a typ, as joserfc writes it; a process has few typs, all of them ours."""
        known = self._headers.get(typ)
        if known is None:
            header = {"alg": ALGORITHM, "kid": self.kid, "typ": typ}
            empty = jws.serialize_compact(header, b"", self._key, registry=_REGISTRY)
            known = self._headers[typ] = empty.partition(".")[0].encode()
        return known

    def public(self) -> Mapping[str, Any]:
        """The public half as a JWK."""
        return self._public(self.kid, self._key)

    def trust(self, issuer: str) -> Mapping[str, Any]:
        """The trust document that verifiers pin: the issuer and every public key (RFC 7517 §5)."""
        return {"issuer": issuer, "keys": [self._public(kid, key) for kid, key in self._known.items()]}

    def secret_for(self, purpose: str) -> bytes:
        """32 bytes that only holders of the private key can compute, different for each purpose (HKDF-SHA-256)."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        private = base64.urlsafe_b64decode(str(self._key.as_dict(private=True)["d"]) + "==")
        return HKDF(SHA256(), 32, salt=None, info=f"sayso {purpose}".encode()).derive(private)

    @staticmethod
    def _public(kid: str, key: OKPKey) -> Mapping[str, Any]:
        return {**key.as_dict(private=False), "kid": kid, "alg": ALGORITHM, "use": "sig"}


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _header(token: str) -> dict[str, Any] | None:
    try:
        first = token.split(".")[0]
        header = parse(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (EntryRefused, binascii.Error, ValueError):
        return None
    return header if isinstance(header, dict) else None


def read_key(path: Path) -> OKPKey:
    """The private key in a PEM file. Raises KeyProblem when it is missing or is not an Ed25519 private key."""
    try:
        key = OKPKey.import_key(path.read_bytes())
    except FileNotFoundError as exc:
        raise KeyProblem(
            f"there is no signing key at {path}; copy it from another replica, or let one create it"
        ) from exc
    except (JoseError, ValueError, PermissionError) as exc:
        raise KeyProblem(f"{path} is not a readable Ed25519 private key in PEM form") from exc
    if key.curve_name != "Ed25519" or not key.is_private:
        raise KeyProblem(f"{path} holds no Ed25519 private key")
    return key


def create_key(path: Path) -> OKPKey:
    """Make a private key that only its owner can read; never overwrites one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = OKPKey.generate_key("Ed25519")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.as_pem(private=True))
    return key


def write_trust(path: Path, trust: Mapping[str, Any]) -> None:
    """Put the trust document where agents and tools on this machine can pin it, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(trust, indent=1) + "\n")
    fresh.replace(path)
