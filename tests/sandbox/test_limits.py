"""Rate limits, trigger ids and response URLs: by a clock that the test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from sandbox import LimitSettings, Sandbox, Workspace
from sandbox.limits import Bucket, Window
from tests.sandbox.conftest import APPROVE_CARD, START, Clock, web_client
from tests.sandbox.test_web_api import refusal

Json = dict[str, Any]
MODAL: Json = {"type": "modal", "title": {"type": "plain_text", "text": "Hi"}, "blocks": []}


@pytest.fixture
async def strict(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(Workspace.demo(now=clock)) as sandbox:
        yield sandbox


async def too_often(call: Any) -> int:
    """The Retry-After of a call that answers 429."""
    with pytest.raises(SlackApiError) as caught:
        await call
    response = caught.value.response
    assert response.status_code == 429
    assert response["error"] == "ratelimited"
    return int(response.headers["Retry-After"])


async def test_a_channel_takes_a_short_burst_and_then_one_post_per_second(strict: Sandbox, clock: Clock) -> None:
    async with web_client(strict) as client:
        for _ in range(3):
            await client.chat_postMessage(channel="C0DEPLOYS", text="x")
        assert await too_often(client.chat_postMessage(channel="C0DEPLOYS", text="x")) == 1
        await client.chat_postMessage(channel="C0DATA", text="another channel has its own")
        clock.advance(1)
        await client.chat_postMessage(channel="C0DEPLOYS", text="x")
        assert await too_often(client.chat_postMessage(channel="C0DEPLOYS", text="x")) == 1
    assert len(strict.messages("C0DEPLOYS")) == 4
    assert [call.status for call in strict.log.calls_of("chat.postMessage")].count(429) == 2


async def test_a_refused_message_does_not_use_up_the_channel(strict: Sandbox) -> None:
    async with web_client(strict) as client:
        for _ in range(5):
            await refusal(client.chat_postMessage(channel="C0DEPLOYS", blocks=[{"type": "nonsense"}], text="x"))
        await client.chat_postMessage(channel="C0DEPLOYS", text="x")


async def test_updates_are_limited_to_their_tier(strict: Sandbox, clock: Clock) -> None:
    async with web_client(strict) as client:
        ts = (await client.chat_postMessage(channel="C0DEPLOYS", text="x"))["ts"]
        for number in range(50):
            await client.chat_update(channel="C0DEPLOYS", ts=ts, text=f"x{number}")
        clock.advance(20)
        assert await too_often(client.chat_update(channel="C0DEPLOYS", ts=ts, text="y")) == 40
        clock.advance(40)
        await client.chat_update(channel="C0DEPLOYS", ts=ts, text="y")


async def test_the_limits_of_2025_for_commercial_apps(clock: Clock) -> None:
    limits = LimitSettings(history_per_minute=1)
    async with Sandbox(Workspace.demo(now=clock), limits=limits) as sandbox, web_client(sandbox) as client:
        await client.conversations_history(channel="C0DEPLOYS")
        assert await too_often(client.conversations_history(channel="C0DEPLOYS")) == 60


def test_a_window_counts_the_last_minute() -> None:
    window = Window(2)
    assert [window.wait(at) for at in (0, 30, 40, 60, 61)] == [0, 0, 20, 0, 29]


def test_a_bucket_saves_up_no_more_than_its_burst() -> None:
    bucket = Bucket(rate=1, burst=2, now=0)
    assert [bucket.wait(at) for at in (0, 0, 0.5, 100, 100, 100)] == [0, 0, 0.5, 0, 0, 1]


# ---------------------------------------------------------------- trigger ids


async def test_a_trigger_opens_one_modal_within_three_seconds(
    sandbox: Sandbox, client: AsyncWebClient, clock: Clock
) -> None:
    trigger = sandbox.slack.triggers.issue("U0DANA")
    await client.views_open(trigger_id=trigger, view=MODAL)
    assert (await refusal(client.views_open(trigger_id=trigger, view=MODAL)))["error"] == "exchanged_trigger_id"
    late = sandbox.slack.triggers.issue("U0DANA")
    clock.advance(3.01)
    assert (await refusal(client.views_open(trigger_id=late, view=MODAL)))["error"] == "expired_trigger_id"
    assert (await refusal(client.views_open(trigger_id="1.2.x", view=MODAL)))["error"] == "invalid_trigger_id"


async def test_a_bad_view_does_not_use_up_the_trigger(sandbox: Sandbox, client: AsyncWebClient) -> None:
    trigger = sandbox.slack.triggers.issue("U0DANA")
    broken = MODAL | {"title": {"type": "plain_text", "text": "x" * 25}}
    body = await refusal(client.views_open(trigger_id=trigger, view=broken))
    assert body["error"] == "invalid_arguments"
    assert "/view/title/text" in body["response_metadata"]["messages"][0]
    await client.views_open(trigger_id=trigger, view=MODAL)


# ---------------------------------------------------------------- response URLs


async def clicked(sandbox: Sandbox, client: AsyncWebClient) -> tuple[str, str]:
    """(ts, response_url) of a message after a click nobody answers."""
    ts = (await client.chat_postMessage(channel="C0DEPLOYS", text="x", blocks=APPROVE_CARD))["ts"]
    delivery = await sandbox.click("U0DANA", "C0DEPLOYS", ts, "approve")
    return str(ts), str(delivery.payload["response_url"])


async def test_a_response_url_takes_five_posts(sandbox: Sandbox, client: AsyncWebClient) -> None:
    _, url = await clicked(sandbox, client)
    webhook = AsyncWebhookClient(url)
    for number in range(5):
        answer = await webhook.send(text=f"note {number}")
        assert (answer.status_code, answer.body) == (200, "ok")
    used = await webhook.send(text="one more")
    assert used.status_code == 404
    assert "used_url" in used.body
    assert len(sandbox.ephemerals("U0DANA")) == 5


async def test_a_response_url_lives_thirty_minutes(sandbox: Sandbox, client: AsyncWebClient, clock: Clock) -> None:
    _, url = await clicked(sandbox, client)
    clock.advance(30 * 60 + 1)
    answer = await AsyncWebhookClient(url).send(text="late")
    assert answer.status_code == 404
    assert "expired_url" in answer.body
    assert clock() > START


async def test_a_response_url_replaces_publishes_and_deletes(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts, url = await clicked(sandbox, client)
    webhook = AsyncWebhookClient(url)
    await webhook.send(text="replaced", replace_original=True)
    assert [(message.ts, message.text) for message in sandbox.messages("C0DEPLOYS")] == [(ts, "replaced")]
    await webhook.send(text="for all", response_type="in_channel")
    assert [message.text for message in sandbox.messages("C0DEPLOYS")] == ["replaced", "for all"]
    await webhook.send(delete_original=True)
    assert [message.text for message in sandbox.messages("C0DEPLOYS")] == ["for all"]


async def test_an_ephemeral_message_is_changed_only_by_its_response_url(
    sandbox: Sandbox, client: AsyncWebClient
) -> None:
    hidden = await client.chat_postEphemeral(channel="C0DEPLOYS", user="U0DANA", text="?", blocks=APPROVE_CARD)
    delivery = await sandbox.click("U0DANA", "C0DEPLOYS", hidden["message_ts"], "approve")
    assert delivery.payload["container"]["is_ephemeral"] is True
    assert "message" not in delivery.payload
    await AsyncWebhookClient(delivery.payload["response_url"]).send(text="done", replace_original=True)
    assert [message.text for message in sandbox.ephemerals("U0DANA")] == ["done"]


async def test_a_response_url_may_fail_on_purpose(sandbox: Sandbox, client: AsyncWebClient) -> None:
    _, url = await clicked(sandbox, client)
    sandbox.faults.add(method="response_url", status=503)
    assert (await AsyncWebhookClient(url).send(text="x")).status_code == 503
    assert (await AsyncWebhookClient(url).send(text="x")).status_code == 200
    assert [message.text for message in sandbox.ephemerals("U0DANA")] == ["x"]


@pytest.mark.parametrize(
    ("body", "error"), [({}, "no_text"), ({"blocks": [{"type": "x"}]}, "invalid_blocks"), ([], "invalid_payload")]
)
async def test_a_response_that_slack_would_not_take(
    sandbox: Sandbox, client: AsyncWebClient, body: Any, error: str
) -> None:
    _, url = await clicked(sandbox, client)
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == error
