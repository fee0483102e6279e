"""Faults happen as often as they were asked for, to the calls that were meant, and not otherwise."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.sandbox.test_web_api import refusal

Json = dict[str, Any]


async def post(client: AsyncWebClient, channel: str = "C0DEPLOYS") -> None:
    await client.chat_postMessage(channel=channel, text="x")


async def test_a_status_fails_so_often_and_does_nothing(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.faults.add(method="chat.postMessage", status=503, times=2)
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            await post(client)
        assert caught.value.response.status_code == 503
    await post(client)
    assert len(sandbox.messages("C0DEPLOYS")) == 1


async def test_an_error_only_in_one_channel(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.faults.add(method="chat.postMessage", error="fatal_error", channel="C0DATA")
    await post(client)
    assert (await refusal(client.chat_postMessage(channel="C0DATA", text="x")))["error"] == "fatal_error"
    await post(client, "C0DATA")


async def test_rate_limits_on_demand(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.faults.add(method="*", ratelimited=7)
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(("fault", "posted"), [("drop_before_processing", 0), ("drop_after_processing", 1)])
async def test_a_dropped_connection_may_have_posted_or_not(sandbox: Sandbox, fault: str, posted: int) -> None:
    sandbox.faults.add(method="chat.postMessage", **{fault: True})
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session, retry_handlers=[])
        with pytest.raises(aiohttp.ClientError):
            await post(client)
    assert len(sandbox.messages("C0DEPLOYS")) == posted


async def test_an_error_after_the_work_was_done(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.faults.add(method="chat.postMessage", error="internal_error", after_processing=True)
    assert (await refusal(client.chat_postMessage(channel="C0DEPLOYS", text="x")))["error"] == "internal_error"
    assert len(sandbox.messages("C0DEPLOYS")) == 1


async def test_a_hanging_call_runs_into_the_callers_timeout(sandbox: Sandbox) -> None:
    sandbox.faults.add(method="users.info", hang=5)
    timeout = aiohttp.ClientTimeout(total=0.1)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url, session=session, retry_handlers=[])
        with pytest.raises(TimeoutError):
            await client.users_info(user="U0DANA")
        assert (await client.users_info(user="U0DANA"))["ok"]


def test_an_unknown_option_is_a_mistake_of_the_test(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError):
        sandbox.faults.add(method="auth.test", explode=True)


async def test_the_control_endpoint_adds_faults_and_shows_the_log(sandbox: Sandbox, client: AsyncWebClient) -> None:
    headers = {"Authorization": f"Bearer {sandbox.control_token}"}
    async with aiohttp.ClientSession(sandbox.url, headers=headers) as control:
        fault = {"method": "auth.test", "error": "account_inactive"}
        assert (await control.post("/control/faults", json=fault)).status == 200
        assert (await control.post("/control/faults", json={"explode": 1})).status == 400
        assert (await refusal(client.auth_test()))["error"] == "account_inactive"
        await control.post("/control/faults", json={"method": "auth.test", "error": "x"})
        await control.delete("/control/faults")
        await client.auth_test()
        log = await (await control.get("/control/log")).json()
    assert [call["error"] for call in log["calls"]] == ["account_inactive", None]


async def test_the_control_endpoint_is_closed_without_its_token(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(sandbox.url) as stranger:
        assert (await stranger.get("/control/log")).status == 401
        assert (await stranger.post("/control/faults", json={"error": "x"})).status == 401
