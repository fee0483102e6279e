"""Access tokens for the Bot Connector and for Graph, by MSAL: a secret, a certificate or a managed identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from handlers.teams.addresses import AUTHORITY
from handlers.teams.errors import ApiRefused, ApiSilent
from handlers.teams.shapes import mapping, text

log = structlog.get_logger(__name__)

_EARLY = 300.0  #: seconds before its end at which a token is replaced
_PATIENCE = 10.0


@dataclass(frozen=True)
class Credentials:
    """How the bot proves to Entra that it is itself: exactly one of the last three is given.

    `certificate` is a PFX file without a password; its public half is registered with the app.
    """

    app: str
    tenant: str
    secret: str = ""
    certificate: Path | None = None
    managed: bool = False  #: a user-assigned managed identity whose client id is `app`


class Issuer(Protocol):
    """MSAL's confidential client, as far as it is used here; it blocks."""

    def acquire_token_for_client(self, scopes: list[str]) -> Any:
        """A token for our own app, from MSAL's cache or from Entra."""
        ...


Build = Callable[[Any], Issuer]


class Tokens:
    """Tokens, kept until shortly before they end. `now` is a monotonic clock in seconds; `close` on the way out.

    `build` makes the issuer over an HTTP session of requests, or another that is given as `http`; it is called in a
    thread, because MSAL asks the network while it is built.
    """

    def __init__(self, build: Build, *, now: Callable[[], float], http: Any = None) -> None:
        self._build = build
        self._now = now
        self._http = http
        self._issuer: Issuer | None = None
        self._kept: dict[str, tuple[float, str]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def get(self, resource: str) -> str:
        """A token for a resource such as BOTS or GRAPH. Raises ApiRefused and ApiSilent."""
        async with self._one_at_a_time:
            until, token = self._kept.get(resource, (0.0, ""))
            if token and self._now() < until:
                return token
            answer = await asyncio.to_thread(self._acquired, resource)
            token = text(answer.get("access_token"))
            if not token:
                raise ApiRefused(401, text(answer.get("error")) or "no_token")
            self._kept[resource] = (self._now() + float(answer.get("expires_in") or 0) - _EARLY, token)
            return token

    def forget(self, resource: str) -> None:
        """Ask for a new token the next time: the one we have was not taken."""
        self._kept.pop(resource, None)

    def close(self) -> None:
        """Hang up."""
        if self._http is not None:
            self._http.close()

    def _acquired(self, resource: str) -> Any:
        try:
            if self._issuer is None:
                self._http = self._http or _new_session()
                self._issuer = self._build(self._http)
            return mapping(self._issuer.acquire_token_for_client(scopes=[f"{resource}/.default"]))
        except Exception as exc:  # MSAL passes on whatever its HTTP library raises; the texts may quote what was sent
            log.warning("teams_no_token", resource=resource, error=type(exc).__name__)
            raise ApiSilent(f"Entra gives no token ({type(exc).__name__})", maybe_done=False) from None


def issuer_of(credentials: Credentials, *, authority: str = AUTHORITY) -> Build:
    """Builds MSAL's client for these credentials."""

    def build(http: Any) -> Issuer:
        import msal  # type: ignore[import-untyped]  # it has no stubs; here, because only those who use Teams need it

        if credentials.managed:
            return _Managed(msal, credentials.app, http)
        client: Issuer = msal.ConfidentialClientApplication(
            credentials.app,
            authority=f"{authority.rstrip('/')}/{credentials.tenant}",
            client_credential=_proof(credentials),
            instance_discovery=authority == AUTHORITY,
            http_client=http,
        )
        return client

    return build


def _proof(credentials: Credentials) -> Any:
    if credentials.certificate is None:
        return credentials.secret
    return {"private_key_pfx_path": str(credentials.certificate), "public_certificate": True}


def _new_session() -> Any:
    """A session of requests in which nothing waits for ever."""
    import requests

    session = requests.Session()
    session.request = partial(session.request, timeout=_PATIENCE)  # type: ignore[method-assign] # as MSAL does it
    return session


class _Managed:
    """A managed identity, asked as a confidential client is."""

    def __init__(self, msal: Any, client: str, http: Any) -> None:
        identity = msal.UserAssignedManagedIdentity(client_id=client)
        self._client = msal.ManagedIdentityClient(identity, http_client=http)

    def acquire_token_for_client(self, scopes: list[str]) -> Any:
        """A token for the resource of the one scope."""
        return self._client.acquire_token_for_client(resource=scopes[0].removesuffix("/.default"))
