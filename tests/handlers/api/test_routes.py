"""The routes anybody may read: keys and health, nothing else, nothing secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from handlers.api.routes import Check, api_routes
from tests.loopback import served

TRUST = {"issuer": "https://sayso.example", "keys": [{"kid": "k1", "kty": "OKP", "crv": "Ed25519", "x": "AA"}]}


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False


async def _broken() -> bool:
    raise ConnectionError("redis://:hunter2@redis:6379 refused")


async def _hanging() -> bool:
    await asyncio.Event().wait()
    return True


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ready(http: aiohttp.ClientSession, checks: Mapping[str, Check]) -> tuple[int, Any, str]:
    routes = api_routes(trust=lambda: TRUST, checks=checks, timeout=0.05)
    async with served(routes) as url, http.get(f"{url}/readyz") as answer:
        return answer.status, await answer.json(), await answer.text()


@pytest.mark.parametrize("path", ["/jwks.json", "/.well-known/jwks.json"])
async def test_the_trust_document_is_public_and_cacheable(http: aiohttp.ClientSession, path: str) -> None:
    private = {**TRUST, "d": "never"}
    async with served(api_routes(trust=lambda: private, checks={})) as url, http.get(url + path) as answer:
        assert answer.status == 200
        assert await answer.json() == TRUST
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert answer.content_type == "application/json"


async def test_the_trust_document_is_the_current_one(http: aiohttp.ClientSession) -> None:
    documents = iter([TRUST, {**TRUST, "keys": []}])
    async with served(api_routes(trust=lambda: next(documents), checks={})) as url:
        for keys in (TRUST["keys"], []):
            async with http.get(f"{url}/jwks.json") as answer:
                assert (await answer.json())["keys"] == keys


async def test_a_living_process_is_healthy_whatever_else_is_down(http: aiohttp.ClientSession) -> None:
    routes = api_routes(trust=lambda: TRUST, checks={"redis": _no})
    async with served(routes) as url, http.get(f"{url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True})


async def test_ready_when_every_check_passes(http: aiohttp.ClientSession) -> None:
    status, body, _ = await ready(http, {"redis": _yes, "slack": _yes})

    assert (status, body) == (200, {"ok": True, "checks": {"redis": True, "slack": True}})


@pytest.mark.parametrize("check", [_no, _broken, _hanging])
async def test_one_failing_check_is_not_ready_and_tells_no_secret(http: aiohttp.ClientSession, check: Check) -> None:
    status, body, text = await ready(http, {"redis": check, "slack": _yes})

    assert (status, body["checks"]) == (503, {"redis": False, "slack": True})
    assert "hunter2" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed_here(http: aiohttp.ClientSession, method: str) -> None:
    async with served(api_routes(trust=lambda: TRUST, checks={})) as url:
        for path in ("/jwks.json", "/healthz", "/readyz"):
            async with http.request(method, url + path) as answer:
                assert answer.status == 405


async def test_there_is_nothing_else(http: aiohttp.ClientSession) -> None:
    async with served(api_routes(trust=lambda: TRUST, checks={})) as url:
        for path in ("/", "/metrics", "/requests", "/jwks.json/x"):
            async with http.get(url + path) as answer:
                assert answer.status == 404
