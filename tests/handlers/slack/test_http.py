"""The signed route: nothing unsigned gets past it, and nothing malformed breaks it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

import pytest
from slack_bolt.app.async_app import AsyncApp

from handlers.slack.http import LIMIT, slack_routes
from tests.handlers.slack.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


def signed(secret: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """Slack's headers for a body."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={mac}"}


async def post(world: World, body: bytes, headers: Mapping[str, str], kind: str = "x-www-form-urlencoded") -> int:
    url = world.sandbox.workspace.app.request_url
    assert url is not None
    whole = {"Content-Type": f"application/{kind}", **headers}
    async with world.session.post(url, data=body, headers=whole) as answer:
        return answer.status


FORM = urlencode({"payload": json.dumps({"type": "block_actions"})}).encode()


async def test_the_handshake_of_the_request_url_works(world: World) -> None:
    assert await world.sandbox.verify_url()


@pytest.mark.parametrize("offset", [-301, 301])
async def test_an_old_or_early_timestamp_is_unauthorised(world: World, offset: int) -> None:
    headers = signed(world.sandbox.signing_secret, FORM, time.time() + offset)
    assert await post(world, FORM, headers) == 401


@pytest.mark.parametrize("timestamp", ["abc", "", "-1", "1e9", "9" * 400, "٣", "1764000000\u00e9"])
async def test_a_malformed_timestamp_is_unauthorised(world: World, timestamp: str) -> None:
    headers = signed(world.sandbox.signing_secret, FORM) | {"X-Slack-Request-Timestamp": timestamp}
    assert await post(world, FORM, headers) == 401


@pytest.mark.parametrize("signature", ["", "v0=", "v0=é", "v0=" + "0" * 64, "v1=" + "0" * 64])
async def test_a_malformed_or_wrong_signature_is_unauthorised(world: World, signature: str) -> None:
    headers = signed(world.sandbox.signing_secret, FORM) | {"X-Slack-Signature": signature}
    assert await post(world, FORM, headers) == 401


async def test_missing_headers_are_unauthorised(world: World) -> None:
    assert await post(world, FORM, {}) == 401


async def test_an_altered_body_is_unauthorised(world: World) -> None:
    assert await post(world, FORM + b"&x=1", signed(world.sandbox.signing_secret, FORM)) == 401


async def test_a_body_over_the_limit_is_refused_unread(world: World) -> None:
    body = b"x" * (LIMIT + 1)
    assert await post(world, body, signed(world.sandbox.signing_secret, body)) == 413


async def test_a_body_over_the_limit_without_a_length_is_refused(world: World) -> None:
    url = world.sandbox.workspace.app.request_url
    assert url is not None

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"x" * 65_536

    async with world.session.post(url, data=chunks()) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=", b"payload=%7B", b"payload=[]", b"payload=null", b"{", b"a=b"],
)
async def test_a_signed_body_that_makes_no_sense_never_breaks_the_server(world: World, body: bytes) -> None:
    status = await post(world, body, signed(world.sandbox.signing_secret, body))
    assert status in (200, 400, 403)


async def test_a_body_that_is_not_text_is_unauthorised(world: World) -> None:
    assert await post(world, b"\xff\xfe", signed(world.sandbox.signing_secret, b"\xff\xfe")) == 401


async def test_an_interaction_without_actions_is_a_bad_request(world: World) -> None:
    payload = {
        "type": "block_actions",
        "api_app_id": "A0SAYSO",
        "team": {"id": "T0SAYSO"},
        "user": {"id": "U0ALICE"},
        "actions": [],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    assert await post(world, body, signed(world.sandbox.signing_secret, body)) == 400


async def test_an_event_nobody_listens_to_is_taken_and_dropped(world: World) -> None:
    delivery = await world.sandbox.send_event({"type": "app_home_opened", "user": "U0ALICE", "tab": "home"})
    assert delivery.status == 200


async def test_get_is_not_allowed(world: World) -> None:
    url = world.sandbox.workspace.app.request_url
    assert url is not None
    async with world.session.get(url) as answer:
        assert answer.status == 405


async def test_the_route_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="signing secret"):
        slack_routes(AsyncApp(token="xoxb-none", signing_secret="x"), signing_secret="")
