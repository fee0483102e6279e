"""Slack over HTTP: one signed route. Nothing of a request is parsed before its signature holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import Clock, SignatureVerifier

from handlers.body import whole_body
from handlers.slack.watch import SlackWatch

log = structlog.get_logger(__name__)

PATH = "/slack/events"
LIMIT = 256 * 1024


def slack_routes(
    app: AsyncApp,
    *,
    signing_secret: str,
    now: Callable[[], float] = time.time,
    limit: int = LIMIT,
    watch: SlackWatch | None = None,
) -> list[web.RouteDef]:
    """The route for everything Slack sends: 413 over `limit` bytes, 401 without a good signature; then bolt.

    `now` is the wall clock in seconds. Bolt alone answers a malformed timestamp or signature with 500.
    """
    if not signing_secret:
        raise ValueError("HTTP needs the signing secret of the Slack app")
    verifier, watch = SignatureVerifier(signing_secret, _Clock(now)), watch or SlackWatch()

    async def receive(request: web.Request) -> web.Response:
        body = await whole_body(request, limit)
        if body is None:
            watch.turned_away("too_large")
            return web.Response(status=413, text="too large")
        if not _is_signed(verifier, body, request):
            watch.turned_away("bad_signature")
            log.warning("slack_bad_signature", remote=request.remote)
            return web.Response(status=401, text="the signature is missing, wrong or too old")
        return await _dispatched(app, request, body)

    return [web.post(PATH, receive)]


async def _dispatched(app: AsyncApp, request: web.Request, body: bytes) -> web.Response:
    """What bolt answers; 400 for a signed body of a shape that bolt itself cannot read."""
    headers: dict[str, str | Sequence[str]] = {name: request.headers.getall(name) for name in request.headers}
    try:
        asked = AsyncBoltRequest(body=body.decode(), query=request.query_string, headers=headers)
        answer = await app.async_dispatch(asked)
    except Exception:
        log.exception("slack_unreadable")
        return web.Response(status=400, text="not an interaction")
    return await to_aiohttp_response(answer)


class _Clock(Clock):
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def now(self) -> float:
        return self._now()


def _is_signed(verifier: SignatureVerifier, body: bytes, request: web.Request) -> bool:
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signature = request.headers.get("X-Slack-Signature", "")
    # The SDK's verifier raises on a time that is not a number, on a signature not ASCII and on a body not UTF-8.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20 and signature.isascii()):
        return False
    try:
        return bool(verifier.is_valid(body, timestamp, signature))
    except UnicodeDecodeError:
        return False
