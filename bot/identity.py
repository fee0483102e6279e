"""Checks identity tokens of people (OpenID Connect ID tokens and the like) against keys in a file; asks nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from approvals.policy_file import IdentityEntry

log = structlog.get_logger("sayso.identity")

#: Signatures by a private key. A shared secret, or none, could be anybody's.
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
LEEWAY: Final = 30  #: seconds by which the issuer's clock may be ahead of ours


class TokenFiles:
    """Identities: the keys of each issuer are read from its file anew for every token, so that a new key holds at once.

    A relative path is looked up from `home`. What cannot be read vouches for nobody.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def subject(self, token: str, identity: IdentityEntry, now: int) -> str | None:
        """The person whom a token names, or None."""
        keys = self._keys(identity)
        if keys is None:
            return None
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            _registry(identity, now).validate(claims)
        except (ValueError, TypeError, JoseError):
            return None
        found = claims.get(identity.claim)
        return found if isinstance(found, str) and found else None

    def _keys(self, identity: IdentityEntry) -> KeySet | None:
        path = self._home / identity.jwks
        try:
            return KeySet.import_key_set(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, JoseError) as exc:
            log.warning("the keys of an issuer cannot be read", file=str(path), error=type(exc).__name__)
            return None


def _registry(identity: IdentityEntry, now: int) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=now // 1000,
        leeway=LEEWAY,
        iss={"essential": True, "value": identity.issuer},
        aud={"essential": True, "value": identity.audience},
        exp={"essential": True},
    )
