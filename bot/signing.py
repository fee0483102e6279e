"""The signing key: where it comes from, and the Signer that uses it (DESIGN §6)."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic_core import to_json

from approvals.errors import EntryRefused, SignerUnavailable
from approvals.journal import HEAD_TYP
from approvals.strict_json import parse

ALGORITHM = "Ed25519"  # RFC 9864; the polymorphic name EdDSA is deprecated
_REGISTRY: Final = jws.JWSRegistry(algorithms=[ALGORITHM])


class KeyProblem(Exception):
    """The signing key cannot be used; the message names the remedy."""


def kid_of(key: OKPKey) -> str:
    """The name of a key: the beginning of its thumbprint (RFC 7638)."""
    return str(key.thumbprint()[:16])


class PublicKeys:
    """The keys that verify what we signed, by key id. Those that are `retired` vouch for heads of the journal alone."""

    def __init__(self, keys: Mapping[str, OKPKey], retired: Mapping[str, OKPKey] | None = None) -> None:
        self._known = dict(keys)
        self._retired = dict(retired or {})

    @property
    def trusted(self) -> Mapping[str, OKPKey]:
        """Those that sign receipts."""
        return dict(self._known)

    @property
    def retired(self) -> Mapping[str, OKPKey]:
        """Those that do not any more."""
        return dict(self._retired)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The keys of a trust document. Raises KeyProblem."""
        try:
            found = json.loads(path.read_bytes())
            return cls(_imported(found["keys"]), _imported(found.get("retired", ())))
        except FileNotFoundError as exc:
            raise KeyProblem(f"there is no trust document at {path}; name the bot's with --trust") from exc
        except (JoseError, ValueError, KeyError, TypeError) as exc:
            raise KeyProblem(f"{path} is not a trust document with Ed25519 keys") from exc

    def verify(self, typ: str, token: str) -> Mapping[str, Any] | None:
        """The claims, if one of our keys signed exactly such a token with this typ; else None."""
        header = _header(token)
        if header is None or set(header) != {"alg", "kid", "typ"} or header["typ"] != typ:
            return None
        known = {**self._retired, **self._known} if typ == HEAD_TYP else self._known
        key = known.get(str(header["kid"]))
        if key is None or header["alg"] != ALGORITHM:
            return None
        try:
            claims = parse(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
        except (JoseError, EntryRefused, ValueError):
            return None
        return claims if isinstance(claims, dict) else None


class FileSigner(PublicKeys):
    """Signs with an Ed25519 key from a PEM file; knows the others of this deployment (bot/rotation.py).

    `secrets` are those that other keys had for a purpose, and that are used further.
    """

    def __init__(
        self,
        key: OKPKey,
        others: Mapping[str, OKPKey] | None = None,
        retired: Mapping[str, OKPKey] | None = None,
        secrets: Mapping[str, bytes] | None = None,
    ) -> None:
        self._key = key
        self._secrets = dict(secrets or {})
        self.kid = kid_of(key)
        self.is_retired = False
        self._headers: dict[str, bytes] = {}
        super().__init__({**(others or {}), self.kid: key}, retired)

    def know(self, others: Mapping[str, OKPKey], retired: Mapping[str, OKPKey]) -> bool:
        """Know these keys besides its own; whether that is news. What is retired stays so."""
        before = set(self._known), set(self._retired), self.is_retired
        self._retired |= {kid: key for kid, key in retired.items() if kid != self.kid}
        self._known = {kid: key for kid, key in others.items() if kid not in self._retired} | {self.kid: self._key}
        self.is_retired = self.is_retired or self.kid in retired
        return before != (set(self._known), set(self._retired), self.is_retired)

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS with the header {alg, kid, typ} (RFC 7515 §5.1), byte for byte what joserfc makes.

        Raises SignerUnavailable, for good once the key is retired.
        """
        if self.is_retired:
            raise SignerUnavailable(f"the signing key {self.kid} is retired: start with the one that followed it")
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
        """The trust document that verifiers pin: the issuer and every public key (RFC 7517 §5).

        `retired` keys sign no receipts any more, so that verifiers skip them; heads of the journal may be theirs.
        """
        keys = [self._public(kid, key) for kid, key in self._known.items() if not (self.is_retired and kid == self.kid)]
        retired = [self._public(kid, key) for kid, key in self._retired.items()]
        return {"issuer": issuer, "keys": keys, **({"retired": retired} if retired else {})}

    def secret_for(self, purpose: str) -> bytes:
        """32 bytes that only holders of the private key can know, different for each purpose (HKDF-SHA-256)."""
        if purpose in self._secrets:
            return self._secrets[purpose]
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        private = base64.urlsafe_b64decode(str(self._key.as_dict(private=True)["d"]) + "==")
        return HKDF(SHA256(), 32, salt=None, info=f"sayso {purpose}".encode()).derive(private)

    @staticmethod
    def _public(kid: str, key: OKPKey) -> Mapping[str, Any]:
        return {**key.as_dict(private=False), "kid": kid, "alg": ALGORITHM, "use": "sig"}


def _base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _imported(jwks: Iterable[Mapping[str, Any]]) -> dict[str, OKPKey]:
    return {str(jwk["kid"]): OKPKey.import_key(dict(jwk)) for jwk in jwks}


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
