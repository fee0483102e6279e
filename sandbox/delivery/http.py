"""Signed HTTP: Slack's requests to the app's request URL.

The signature is v0=HMAC-SHA256(signing secret, "v0:{timestamp}:{body}").
Source: docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from sandbox.faults import DeliveryFault

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back from the app: an HTTP status and a body, or an error in words."""

    status: int | None
    body: Any = None
    error: str | None = None
    no_retry: bool = False


def sign(secret: str, timestamp: str, body: str) -> str:
    """The value of X-Slack-Signature."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
    return "v0=" + digest.hexdigest()


def encode(kind: str, payload: Json) -> tuple[str, str]:
    """(content type, body) of a delivery of this kind."""
    if kind in {"events_api", "url_verification"}:
        return "application/json", json.dumps(payload)
    if kind == "slash_commands":
        return "application/x-www-form-urlencoded", urlencode(payload)
    return "application/x-www-form-urlencoded", urlencode({"payload": json.dumps(payload)})


class HttpTransport:
    """Posts to the app's request URL; `wall_clock` stamps the signature (real time, because apps check it)."""

    def __init__(self, secret: str, wall_clock: Callable[[], float]) -> None:
        self._secret = secret
        self._wall_clock = wall_clock
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Get ready to send."""
        # a fresh connection each time: an app that restarted must not be met on its old, dead connection
        connector = aiohttp.TCPConnector(force_close=True)
        agent = {"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
        self._session = aiohttp.ClientSession(headers=agent, connector=connector)

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    async def send(
        self, url: str, kind: str, payload: Json, *, fault: DeliveryFault | None, extra: Mapping[str, str]
    ) -> Answer:
        """One request; the caller sets the deadline."""
        if self._session is None:
            return Answer(None, error="not_connected")
        content_type, body = encode(kind, payload)
        headers = self._headers(body, fault) | {"Content-Type": content_type} | dict(extra)
        try:
            async with self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
                return await _answer(response)
        except aiohttp.ClientError as error:
            return Answer(None, error=f"connection_failed: {error}")

    def _headers(self, body: str, fault: DeliveryFault | None) -> dict[str, str]:
        timestamp = str(int(self._wall_clock()) + (fault.timestamp_offset if fault else 0))
        secret = "somebody else" if fault and fault.bad_signature else self._secret
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": sign(secret, timestamp, body)}


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    text = await response.text()
    body: Any = text
    if response.content_type == "application/json" and text:
        try:
            body = json.loads(text)
        except ValueError:
            return Answer(response.status, text, "invalid_json")
    error = None if response.status == 200 else f"http_{response.status}"
    return Answer(response.status, body, error, response.headers.get("X-Slack-No-Retry") == "1")
