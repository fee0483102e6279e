"""What anybody may read: the public keys that receipts are checked with, and whether this process is well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[bool]]

KEYS_FRESH = 300  #: seconds a verifier may keep the keys; a new key is published before it signs


def api_routes(
    *, trust: Callable[[], Mapping[str, Any]], checks: Mapping[str, Check], timeout: float = 2.0
) -> list[web.RouteDef]:
    """Routes that only read. `trust` gives {"issuer", "keys"}, public halves only; a check says whether a part works.

    /healthz: the process answers. /readyz: 503 while any check says no, raises, or takes longer than `timeout`
    seconds; the reason is in the log, never in the answer.
    """

    async def keys(request: web.Request) -> web.Response:
        document = trust()
        return web.json_response(
            {"issuer": document["issuer"], "keys": document["keys"]},
            headers={"Cache-Control": f"public, max-age={KEYS_FRESH}", **_HARDENED},
        )

    async def healthz(request: web.Request) -> web.Response:
        return _uncached({"ok": True}, 200)

    async def readyz(request: web.Request) -> web.Response:
        results = await asyncio.gather(*(_works(name, check, timeout) for name, check in checks.items()))
        found = dict(zip(checks, results, strict=True))
        return _uncached({"ok": all(results), "checks": found}, 200 if all(results) else 503)

    return [
        web.get("/.well-known/jwks.json", keys),
        web.get("/jwks.json", keys),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]


_HARDENED = {"X-Content-Type-Options": "nosniff"}


def _uncached(body: Mapping[str, Any], status: int) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store", **_HARDENED}, dumps=json.dumps)


async def _works(name: str, check: Check, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            return await check()
    except Exception:
        log.exception("check_failed", check=name)
        return False
