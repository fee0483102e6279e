"""Where the verifier's keys come from: a pinned file, or an https URL, read again when it must be. Never Redis."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from sayso.errors import TrustInvalid, TrustMissing, Unavailable
from sayso.keys import MAX_BYTES, TrustedKeys, read_jwks

_log = logging.getLogger("sayso")

FRESH = 600.0  #: seconds after which a fetched document is fetched again when it is needed
STALE = 86_400.0  #: seconds after which a fetched document is no longer believed: fail closed
REFETCH = 30.0  #: least seconds between two fetches, whatever receipts claim
FETCH_TIMEOUT = 5.0


class Trust(Protocol):
    """Gives the keys to check a receipt with."""

    async def for_kid(self, kid: str) -> TrustedKeys:
        """The trusted keys, looked for anew if `kid` is not among them; raises TrustError or Unavailable."""


class NoTrust:
    """Nothing was given, so nothing can be checked."""

    async def for_kid(self, kid: str) -> TrustedKeys:
        """Refuse."""
        raise TrustMissing("no trust was given, so receipts cannot be checked; pass trust= (a JWKS file or https URL)")


class PinnedTrust:
    """Keys that were read once and never change."""

    def __init__(self, trusted: TrustedKeys) -> None:
        self._trusted = trusted

    async def for_kid(self, kid: str) -> TrustedKeys:
        """The pinned keys, whatever `kid` is."""
        return self._trusted


class FetchedTrust:
    """Keys from an https URL: kept while fresh, fetched again for an unknown `kid`, believed no longer than STALE."""

    def __init__(
        self,
        url: str,
        *,
        issuer: str | None = None,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._issuer = issuer
        self._context = context
        self._clock = clock
        self._lock = asyncio.Lock()
        self._trusted: TrustedKeys | None = None
        self._fetched = 0.0
        self._tried = float("-inf")

    async def for_kid(self, kid: str) -> TrustedKeys:
        """See Trust."""
        async with self._lock:
            if self._needs_fetching(kid):
                await self._fetch()
            if self._trusted is None or self._clock() - self._fetched > STALE:
                raise Unavailable(f"the keys at {self._url} cannot be fetched, so receipts cannot be checked")
            return self._trusted

    def _needs_fetching(self, kid: str) -> bool:
        now = self._clock()
        if self._trusted is None:
            return True
        wanted = kid not in self._trusted.keys or now - self._fetched > FRESH
        return wanted and now - self._tried >= REFETCH

    async def _fetch(self) -> None:
        self._tried = self._clock()
        try:
            raw = await asyncio.to_thread(_get, self._url, self._context)
            self._trusted = read_jwks(raw, issuer=self._issuer)
        except (OSError, ValueError, TrustInvalid) as exc:  # the last good document stays until it is stale
            _log.warning("the keys at %s cannot be fetched: %s", self._url, exc)
            return
        self._fetched = self._tried


def trust_from(source: str | Path | TrustedKeys | None, *, issuer: str | None = None) -> Trust:
    """Make a Trust of a path, a file: or https: URL, keys already read, or nothing; raises TrustInvalid."""
    if source is None:
        return NoTrust()
    if isinstance(source, TrustedKeys):
        return PinnedTrust(source)
    scheme = urlsplit(str(source)).scheme if isinstance(source, str) else ""
    if scheme == "https":
        return FetchedTrust(str(source), issuer=issuer)
    if scheme not in ("", "file"):
        raise TrustInvalid(f"trust over {scheme}: is not safe; pass a path or an https URL")
    path = Path(unquote(urlsplit(str(source)).path)) if scheme == "file" else Path(source)
    try:
        return PinnedTrust(read_jwks(path.read_bytes(), issuer=issuer))
    except OSError as exc:
        raise TrustInvalid(f"the JWKS file {path} cannot be read: {exc.strerror}") from exc


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would move the trust to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow nothing: urllib then raises HTTPError."""
        return


def _get(url: str, context: ssl.SSLContext | None) -> bytes:
    handler = urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
    opener = urllib.request.build_opener(_NoRedirects, handler)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - https, see trust_from
    with opener.open(request, timeout=FETCH_TIMEOUT) as response:
        raw: bytes = response.read(MAX_BYTES + 1)
    return raw
