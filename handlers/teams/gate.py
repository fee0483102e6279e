"""The gate: nothing of an activity is believed before Microsoft's signature and every claim of it hold.

An activity's body says who clicked; whoever may post a body may be anybody. So the token must be the Bot Framework's
own, for this bot, for the service address and the channel that the body names, and for our tenant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from joserfc import jws
from joserfc.errors import JoseError

from handlers.teams.addresses import SERVICES
from handlers.teams.keys import Keys, SigningKey
from handlers.teams.shapes import mapping, tenant_of, text

log = structlog.get_logger(__name__)

ISSUER = "https://api.botframework.com"
CHANNEL = "msteams"
LEEWAY = 300  #: seconds by which Microsoft's clock may differ from ours


@dataclass(frozen=True)
class Vouched:
    """What a token that holds says: for which service address, and for which channels its key may speak."""

    service: str
    endorsements: frozenset[str]


@dataclass(frozen=True)
class TurnedAway:
    """Why something was not let in: a word for the log and the metrics, never for the sender."""

    reason: str


class Gate:
    """Lets in what Teams itself sends for our bot in our tenant. `now` is the wall clock in seconds.

    `services` are the origins (scheme, host, port) of the Bot Connector that are called back.
    """

    def __init__(
        self, keys: Keys, *, app: str, tenant: str, now: Callable[[], float], services: tuple[str, ...] = SERVICES
    ) -> None:
        self._keys = keys
        self._app = app
        self._tenant = tenant
        self._now = now
        self._services = frozenset(origin for one in services if (origin := origin_of(one)))

    async def vouched(self, authorization: str) -> Vouched | TurnedAway:
        """Check a request's token alone, before anything of its body is read."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return TurnedAway("no_token")
        name = _key_of(token)
        key = await self._keys.key(name) if name else None
        if key is None:
            return TurnedAway("unknown_key")
        claims = _signed(token, key)
        if claims is None:
            return TurnedAway("bad_signature")
        if reason := self._wrong(claims):
            return TurnedAway(reason)
        return Vouched(text(claims.get("serviceurl")), key.endorsements)

    def admitted(self, vouched: Vouched, activity: Mapping[str, Any]) -> TurnedAway | None:
        """Check that an activity is what its token vouches for; None if it is."""
        claimed = text(activity.get("serviceUrl"))
        if not vouched.service or claimed.rstrip("/") != vouched.service.rstrip("/"):  # as the Teams SDK compares
            return TurnedAway("other_service")
        if origin_of(vouched.service) not in self._services:
            return TurnedAway("service_not_allowed")
        if activity.get("channelId") != CHANNEL or CHANNEL not in vouched.endorsements:
            return TurnedAway("other_channel")
        return None if tenant_of(activity) == self._tenant else TurnedAway("other_tenant")

    def _wrong(self, claims: Mapping[str, Any]) -> str:
        """What is wrong with the claims of a token that Microsoft signed."""
        if claims.get("iss") != ISSUER:
            return "other_issuer"
        if claims.get("aud") != self._app:  # a list is refused too: Microsoft sends one text
            return "other_audience"
        begins, ends = _number(claims.get("nbf", 0)), _number(claims.get("exp"))
        if begins is None or ends is None:
            return "no_expiry"
        return "" if begins - LEEWAY <= self._now() < ends + LEEWAY else "expired"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, in one spelling; empty for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ""
    if not parts.hostname or parts.username is not None or parts.password is not None:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _key_of(token: str) -> str:
    """The id of the key that a token says it was signed with."""
    try:
        header = mapping(jws.extract_compact(token.encode()).headers())
    except (JoseError, ValueError, RecursionError):
        return ""
    if header.get("alg") != "RS256" or "crit" in header:  # Microsoft needs no extension, and we know none
        return ""
    return text(header.get("kid"))


def _signed(token: str, key: SigningKey) -> Mapping[str, Any] | None:
    """The claims of a token that this key signed; None for any other.

    Anybody may send one, and the keys' ids are public: whatever a header makes the library do, it is no signature.
    """
    try:
        return mapping(json.loads(jws.deserialize_compact(token, key.key, algorithms=["RS256"]).payload))
    except Exception as exc:
        if not isinstance(exc, JoseError | ValueError):
            log.warning("teams_odd_token", error=type(exc).__name__)
        return None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
