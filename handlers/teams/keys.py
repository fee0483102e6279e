"""The public keys with which Microsoft signs what it sends to bots.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from handlers.tasks import Tasks
from handlers.teams.addresses import OPENID_URL
from handlers.teams.shapes import items, mapping, text

log = structlog.get_logger(__name__)

FRESH = 86_400.0  #: seconds after which the keys are looked up again
PAUSE = 60.0  #: seconds between two look-ups, whatever keys are asked for: a forger must not make us ask for each
SOON = 5.0  #: seconds after which one that failed is tried again: until then nothing of Teams is believed
STALE = 2 * FRESH  #: seconds after which a key is looked up before it is believed again
_PATIENCE = 2.5  #: seconds for both look-ups: somebody's click may wait for them


@dataclass(frozen=True)
class SigningKey:
    """A public key, and the channels for which it may sign."""

    key: RSAKey
    endorsements: frozenset[str]


class Keys:
    """The keys by their id. `now` is a monotonic clock in seconds; `tasks` run what nobody waits for."""

    def __init__(
        self, session: aiohttp.ClientSession, tasks: Tasks, *, url: str = OPENID_URL, now: Callable[[], float]
    ) -> None:
        self._session = session
        self._tasks = tasks
        self._url = url
        self._now = now
        self._known: Mapping[str, SigningKey] = {}
        self._next: float | None = None  #: before which nothing is looked up
        self._found: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def key(self, name: str) -> SigningKey | None:
        """The key of this id, looked up where it is not known; None if there is none, or no look-up works."""
        if name not in self._known or self._age() >= STALE:
            await self._look()
        self._look_soon()
        return self._known.get(name)

    async def works(self) -> bool:
        """Whether any key is known, or can be found now."""
        if not self._known:
            await self._look()
        self._look_soon()
        return bool(self._known)

    def _age(self) -> float:
        return self._now() - self._found if self._found is not None else STALE

    def _look_soon(self) -> None:
        """Look for newer keys while those we know go on holding: no click waits for that."""
        if self._known and self._age() >= FRESH and not self._one_at_a_time.locked():
            self._tasks.start(self._look(), "teams keys")

    async def _look(self) -> None:
        async with self._one_at_a_time:
            now = self._now()
            if self._next is not None and now < self._next:
                return
            self._next = now + SOON
            try:
                self._known = await self._fetched()
                self._found = self._now()
                self._next = now + PAUSE
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as exc:
                log.warning("teams_keys_not_found", error=type(exc).__name__)

    async def _fetched(self) -> Mapping[str, SigningKey]:
        async with asyncio.timeout(_PATIENCE):
            document = await self._get(self._url)
            keys = await self._get(text(document.get("jwks_uri")))
        read = (_read(mapping(one)) for one in items(keys.get("keys")))
        found = {name: key for name, key in read if key is not None}
        if not found:
            raise ValueError("no keys")
        return found

    async def _get(self, url: str) -> Mapping[str, Any]:
        async with self._session.get(url, allow_redirects=False) as answer:
            answer.raise_for_status()
            return mapping(await answer.json(content_type=None))


def _read(document: Mapping[str, Any]) -> tuple[str, SigningKey | None]:
    """A key of the list with its id; None for one that is not for RSA signatures, or is broken."""
    name, endorsements = text(document.get("kid")), items(document.get("endorsements"))
    if not name or document.get("kty") != "RSA" or document.get("use", "sig") != "sig":
        return name, None
    try:
        key = RSAKey.import_key({"kty": "RSA", "n": text(document.get("n")), "e": text(document.get("e"))})
    except (JoseError, ValueError):
        return name, None
    return name, SigningKey(key, frozenset(one for one in endorsements if isinstance(one, str)))
