"""A real bolt app gets the sandbox's interactions, over signed HTTP and over Socket Mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import CannotDo, NotOnScreen, Sandbox
from tests.sandbox.conftest import APPROVE_CARD, button, card, http_app, over_http, over_socket

Json = dict[str, Any]


@pytest.fixture(params=["http", "socket"])
async def app(request: pytest.FixtureRequest, sandbox: Sandbox, client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    """A connected app without listeners, once per transport."""
    bolt = http_app(sandbox, client)
    connected: AbstractAsyncContextManager[Any]
    connected = over_http(sandbox, bolt) if request.param == "http" else over_socket(sandbox, bolt)
    async with connected:
        yield bolt


async def posted(client: AsyncWebClient, blocks: list[Json] | None = None) -> str:
    answer = await client.chat_postMessage(channel="C0PAYMENTS", text="Release?", blocks=blocks or APPROVE_CARD)
    return str(answer["ts"])


async def test_a_click_arrives_with_slacks_fields_and_is_acknowledged(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    seen: list[Json] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        seen.append(body)
        await ack()

    ts = await posted(client)
    delivery = await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")

    assert delivery.ok
    assert delivery.status == 200
    (body,) = seen
    assert body["type"] == "block_actions"
    assert body["user"] == {"id": "U0ALICE", "username": "alice", "name": "alice", "team_id": "T0SAYSO"}
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": "C0PAYMENTS",
        "is_ephemeral": False,
    }
    assert body["channel"] == {"id": "C0PAYMENTS", "name": "payments"}
    assert body["team"] == {"id": "T0SAYSO", "domain": "acme"}
    assert body["api_app_id"] == "A0SAYSO"
    assert body["enterprise"] is None
    assert body["message"]["blocks"][1]["block_id"] == "row"
    (action,) = body["actions"]
    assert action["action_id"] == "approve"
    assert action["block_id"] == "row"
    assert action["value"] == "r1"
    assert action["type"] == "button"
    assert action["text"]["text"] == "Approve"


async def test_a_click_opens_a_modal_and_its_submission_comes_back(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    submitted: list[Json] = []

    @app.action("deny")
    async def deny(ack: AsyncAck, body: Json) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=REASON)
        await ack()

    @app.view("reason")
    async def reason(ack: AsyncAck, body: Json) -> None:
        submitted.append(body)
        await ack()

    ts = await posted(client)
    await sandbox.click("U0BOB", "C0PAYMENTS", ts, "deny")
    (view,) = sandbox.views("U0BOB")
    delivery = await sandbox.submit_view("U0BOB", view.id, {"why": "the vendor is unknown"})

    assert delivery.ok
    assert sandbox.views("U0BOB") == []
    (body,) = submitted
    assert body["view"]["state"]["values"]["why"]["text"]["value"] == "the vendor is unknown"
    assert body["view"]["private_metadata"] == "request-1"
    assert body["view"]["hash"] == view.hash
    assert body["response_urls"] == []


REASON: Json = {
    "type": "modal",
    "callback_id": "reason",
    "private_metadata": "request-1",
    "title": {"type": "plain_text", "text": "Deny"},
    "submit": {"type": "plain_text", "text": "Deny"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Why?"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        }
    ],
}


async def test_a_click_without_an_answer_is_seen_as_no_response(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    release = asyncio.Event()
    sandbox.ack_deadline = 0.2

    @app.action("approve")
    async def slow(ack: AsyncAck) -> None:
        await release.wait()
        await ack()

    ts = await posted(client)
    delivery = await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")
    release.set()

    assert not delivery.ok
    assert delivery.error == "timeout"
    assert delivery.elapsed >= 0.2


async def test_a_slash_command_brings_mentions_as_ids_and_its_answer_is_ephemeral(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    seen: list[Json] = []

    @app.command("/sayso")
    async def command(ack: AsyncAck, body: Json) -> None:
        seen.append(body)
        await ack("2 requests wait for you")

    delivery = await sandbox.command("U0DANA", "C0DEPLOYS", "/sayso", "pending @bob <now> #data @sre")

    assert delivery.ok
    (body,) = seen
    assert body["text"] == "pending <@U0BOB|bob> &lt;now&gt; <#C0DATA|data> <!subteam^S0SRE|@sre>"
    assert body["channel_name"] == "deploys"
    assert body["user_name"] == "dana"
    assert body["team_domain"] == "acme"
    assert body["response_url"].startswith(f"{sandbox.url}/response/T0SAYSO/")
    (message,) = sandbox.ephemerals("U0DANA", "C0DEPLOYS")
    assert message.text == "2 requests wait for you"
    assert sandbox.ephemerals("U0ALICE") == []


async def test_opening_the_home_tab_sends_an_event_and_shows_what_is_published(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    @app.event("app_home_opened")
    async def opened(event: Json) -> None:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "Nothing waits"}}
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section]})

    delivery = await sandbox.open_home("U0CAROL")
    assert delivery is not None
    assert delivery.ok
    home = await sandbox.wait_for(lambda: sandbox.home("U0CAROL"))
    assert home.blocks[0]["text"]["text"] == "Nothing waits"


async def test_shortcuts_reach_the_app(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    seen: list[Json] = []

    @app.global_shortcut("ask")
    async def ask(ack: AsyncAck, body: Json) -> None:
        seen.append(body)
        await ack()

    @app.message_shortcut("explain")
    async def explain(ack: AsyncAck, body: Json) -> None:
        seen.append(body)
        await ack()

    ts = await posted(client)
    assert (await sandbox.shortcut("U0ALICE", "ask")).ok
    assert (await sandbox.shortcut("U0ALICE", "explain", "C0PAYMENTS", ts)).ok
    assert [body["type"] for body in seen] == ["shortcut", "message_action"]
    assert seen[1]["message_ts"] == ts


async def test_a_lost_click_never_reaches_the_app(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    seen: list[str] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        seen.append(body["user"]["id"])
        await ack()

    ts = await posted(client)
    sandbox.faults.add(delivery="block_actions", drop=True)
    lost = await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")
    sandbox.faults.add(delivery="block_actions", duplicate=True)
    twice = await sandbox.click("U0BOB", "C0PAYMENTS", ts, "approve")

    assert lost.error == "dropped"
    assert twice.ok
    assert seen == ["U0BOB", "U0BOB"]


async def test_buttons_alike_are_told_apart_by_block_and_value(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp
) -> None:
    values: list[str] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, action: Json) -> None:
        values.append(action["value"])
        await ack()

    rows = [{**card(button("Approve", "approve", value))[1], "block_id": value} for value in ("a", "b", "c")]
    ts = await posted(client, rows)
    await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")
    await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve", block_id="b")
    await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve", value="c")
    assert values == ["a", "b", "c"]


async def test_only_who_sees_a_button_can_click_it(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await posted(client)
    sandbox.workspace.deactivate("U0CAROL")
    with pytest.raises(NotOnScreen):
        await sandbox.click("U0GUEST", "C0PAYMENTS", ts, "approve")
    with pytest.raises(NotOnScreen):
        await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "launch")
    with pytest.raises(CannotDo):
        await sandbox.click("U0CAROL", "C0PAYMENTS", ts, "approve")
    assert sandbox.deliveries == []


async def test_without_an_app_a_click_says_so(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await posted(client)
    assert (await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")).error == "not_connected"


async def test_a_payload_may_be_forged_on_purpose(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    teams: list[str] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: Json) -> None:
        teams.append(body["user"]["team_id"])
        await ack()

    def from_elsewhere(body: Json) -> None:
        body["user"]["team_id"] = "T0OTHER"

    ts = await posted(client)
    assert (await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve", alter=from_elsewhere)).ok
    assert teams == ["T0OTHER"]
