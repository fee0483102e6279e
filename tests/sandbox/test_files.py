"""Files as the real slack_sdk brings them: announced, uploaded, shared; and as people see them on the page."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.sandbox.test_page_server import browser, look
from tests.sandbox.test_web_api import post, refusal

__all__ = ["browser"]

DEPLOYS = "C0DEPLOYS"


async def announced(client: AsyncWebClient, data: bytes = b"hello") -> Any:
    return await client.files_getUploadURLExternal(filename="plan.txt", length=len(data))


async def uploaded(client: AsyncWebClient, data: bytes = b"hello") -> str:
    place = await announced(client, data)
    async with aiohttp.ClientSession() as session, session.post(place["upload_url"], data=data) as answer:
        assert (answer.status, await answer.text()) == (200, f"OK - {len(data)}")
    return str(place["file_id"])


async def test_the_sdk_uploads_a_file_into_a_thread(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await post(client)
    answer = await client.files_upload_v2(
        channel=DEPLOYS,
        thread_ts=ts,
        filename="plan.txt",
        title="The plan",
        content="a\nb",
        initial_comment="whole",
    )
    (_, message) = sandbox.messages(DEPLOYS)
    assert (message.thread_ts, message.text, message.user) == (ts, "whole", "U0SAYSO")
    assert [(file["title"], file["name"], file["size"]) for file in message.files] == [("The plan", "plan.txt", 3)]
    assert answer["file"]["id"] == message.files[0]["id"]
    replies = await client.conversations_replies(channel=DEPLOYS, ts=ts)
    assert replies["messages"][1]["files"][0]["title"] == "The plan"


async def test_without_a_channel_nobody_sees_a_file(sandbox: Sandbox, client: AsyncWebClient) -> None:
    await client.files_completeUploadExternal(files=[{"id": await uploaded(client)}])
    assert sandbox.messages(DEPLOYS) == []


@pytest.mark.parametrize("method", ["files_getUploadURLExternal", "files_completeUploadExternal"])
async def test_both_calls_need_the_scope(sandbox: Sandbox, client: AsyncWebClient, method: str) -> None:
    sandbox.workspace.app.scopes.discard("files:write")
    args: Any = {"filename": "a", "length": 1} if "get" in method else {"files": [{"id": "F1"}]}
    assert (await refusal(getattr(client, method)(**args)))["needed"] == "files:write"


async def test_an_address_takes_one_file_of_the_announced_length(client: AsyncWebClient) -> None:
    place = await announced(client)
    async with aiohttp.ClientSession() as session:
        async with session.post(place["upload_url"], data=b"another") as answer:
            assert answer.status == 400
        async with session.post(place["upload_url"], data=b"hello") as answer:
            assert answer.status == 400
    body = await refusal(client.files_completeUploadExternal(files=[{"id": place["file_id"]}], channel_id=DEPLOYS))
    assert body["error"] == "file_not_found"


async def test_a_file_is_shared_only_where_the_app_is_a_member(sandbox: Sandbox, client: AsyncWebClient) -> None:
    file = await uploaded(client)
    sandbox.workspace.remove_bot(DEPLOYS)
    await client.chat_postMessage(channel=DEPLOYS, text="a message may be posted with chat:write.public")
    body = await refusal(client.files_completeUploadExternal(files=[{"id": file}], channel_id=DEPLOYS))
    assert body["error"] == "not_in_channel"


@pytest.mark.parametrize(("change", "error"), [("archive", "is_archived"), ("restrict", "restricted_action")])
async def test_a_closed_channel_takes_no_file(
    sandbox: Sandbox, client: AsyncWebClient, change: str, error: str
) -> None:
    file, channel = await uploaded(client), sandbox.workspace.channels[DEPLOYS]
    channel.is_archived, channel.posting_restricted = change == "archive", change == "restrict"
    body = await refusal(client.files_completeUploadExternal(files=[{"id": file}], channel_id=DEPLOYS))
    assert body["error"] == error


@pytest.mark.parametrize("files", ["[]", "no json", "[1]", '[{"id": "F0NONE"}]'])
async def test_what_is_no_list_of_our_files_is_refused(client: AsyncWebClient, files: str) -> None:
    body = await refusal(client.api_call("files.completeUploadExternal", params={"files": files}))
    assert body["error"] in {"invalid_arguments", "file_not_found"}


async def test_the_page_gives_a_file_as_plain_text_to_those_who_see_its_message(
    sandbox: Sandbox, client: AsyncWebClient, browser: aiohttp.ClientSession
) -> None:
    file = await uploaded(client, b"<script>alert(1)</script>")
    async with browser.get(f"/page/files/{file}", params={"user": "U0DANA"}) as answer:
        assert answer.status == 404
    await client.files_completeUploadExternal(files=[{"id": file, "title": "T"}], channel_id=DEPLOYS)
    (shown,) = (await look(browser, "/page/messages", user="U0DANA", channel=DEPLOYS))["messages"]
    assert shown["files"][0]["id"] == file
    async with browser.get(f"/page/files/{file}", params={"user": "U0DANA"}) as answer:
        assert (answer.content_type, await answer.text()) == ("text/plain", "<script>alert(1)</script>")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    sandbox.workspace.remove_from_channel(DEPLOYS, "U0DANA")
    async with browser.get(f"/page/files/{file}", params={"user": "U0DANA"}) as answer:
        assert answer.status == 404
