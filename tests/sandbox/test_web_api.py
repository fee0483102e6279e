"""The Web API through the real slack_sdk client: shapes, semantics and error codes."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import Sandbox
from tests.sandbox.conftest import APPROVE_CARD, Clock, web_client

Json = dict[str, Any]


async def refusal(call: Any) -> Json:
    """The body of a call that Slack refuses."""
    with pytest.raises(SlackApiError) as caught:
        await call
    body = caught.value.response.data
    assert isinstance(body, dict)
    return body


async def post(client: AsyncWebClient, channel: str = "C0DEPLOYS", **more: Any) -> str:
    more.setdefault("text", "hello")
    return str((await client.chat_postMessage(channel=channel, **more))["ts"])


# ---------------------------------------------------------------- who calls


async def test_auth_test_names_the_team_and_the_bot(client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert answer["team_id"] == "T0SAYSO"
    assert answer["user_id"] == "U0SAYSO"
    assert answer["bot_id"] == "B0SAYSO"
    assert answer["is_enterprise_install"] is False


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth")])
async def test_a_call_without_a_good_token_is_refused(sandbox: Sandbox, token: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session, session.post(f"{sandbox.api_url}auth.test") as answer:
        assert answer.status == 200
        assert (await answer.json())["error"] == error


async def test_the_token_may_be_a_form_field_but_not_inside_json(sandbox: Sandbox) -> None:
    url, token = f"{sandbox.api_url}auth.test", {"token": sandbox.bot_token}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=token) as form:
            assert (await form.json())["ok"] is True
        async with session.get(url, params=token) as query:
            assert (await query.json())["ok"] is True
        async with session.post(url, json=token) as body:
            assert (await body.json())["error"] == "not_authed"


async def test_a_missing_scope_says_which(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.app.scopes -= {"chat:write", "im:history"}
    body = await refusal(client.chat_postMessage(channel="C0DEPLOYS", text="hi"))
    assert body["error"] == "missing_scope"
    assert body["needed"] == "chat:write"
    assert "users:read" in body["provided"].split(",")
    assert (await refusal(client.conversations_history(channel="D0DANA")))["needed"] == "im:history"


async def test_an_app_token_is_for_sockets_only(sandbox: Sandbox, client: AsyncWebClient) -> None:
    async with web_client(sandbox, sandbox.app_token) as app_client:
        assert (await refusal(app_client.auth_test()))["error"] == "not_allowed_token_type"
    assert (await refusal(client.api_call("apps.connections.open")))["error"] == "not_allowed_token_type"


async def test_an_unknown_method_is_named(client: AsyncWebClient) -> None:
    body = await refusal(client.api_call("chat.shout"))
    assert (body["error"], body["req_method"]) == ("unknown_method", "chat.shout")


async def test_api_test_echoes(client: AsyncWebClient) -> None:
    assert (await client.api_test(foo="bar"))["args"] == {"foo": "bar"}
    assert (await refusal(client.api_test(error="my_error")))["error"] == "my_error"


@pytest.mark.parametrize(("body", "error"), [("{", "invalid_json"), ("[1]", "json_not_object")])
async def test_broken_json_is_refused(sandbox: Sandbox, body: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        answer = await session.post(f"{sandbox.api_url}chat.postMessage", data=body)
        assert (await answer.json())["error"] == error


# ---------------------------------------------------------------- posting


async def test_a_posted_message_comes_back_with_ids_filled_in(sandbox: Sandbox, client: AsyncWebClient) -> None:
    blocks: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": "hi"}}]
    answer = await client.chat_postMessage(channel="#deploys", text="hi", blocks=blocks)
    message = answer["message"]
    assert answer["channel"] == "C0DEPLOYS"
    assert message["bot_id"] == "B0SAYSO"
    assert message["app_id"] == "A0SAYSO"
    assert message["blocks"][0]["block_id"]
    assert sandbox.messages("C0DEPLOYS")[0].ts == answer["ts"]


async def test_posting_to_a_person_opens_the_direct_message(sandbox: Sandbox, client: AsyncWebClient) -> None:
    first = await client.chat_postMessage(channel="U0GUEST", text="hi")
    opened = await client.conversations_open(users="U0GUEST")
    assert first["channel"] == opened["channel"]["id"] == "D0GUEST"
    assert [message.text for message in sandbox.messages("D0GUEST")] == ["hi"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"channel": "C0DEPLOYS"}, "no_text"),
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "U0LEFT", "text": "x"}, "channel_not_found"),
        ({"channel": "C0PRIVATE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0OLD", "text": "x"}, "is_archived"),
        ({"channel": "C0NEWS", "text": "x"}, "restricted_action"),
        ({"channel": "C0DEPLOYS", "text": "x", "blocks": "{"}, "invalid_blocks_format"),
        ({"channel": "C0DEPLOYS", "text": "x", "blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
        ({"channel": "C0DEPLOYS", "text": "x", "metadata": {"event_type": 3}}, "invalid_metadata_format"),
    ],
)
async def test_what_cannot_be_posted_is_refused_by_name(
    sandbox: Sandbox, client: AsyncWebClient, args: Json, error: str
) -> None:
    sandbox.workspace.add_channel("C0PRIVATE", "private", ["U0DANA"], "group")
    sandbox.workspace.add_channel("C0OLD", "old", ["U0SAYSO"])
    sandbox.workspace.archive("C0OLD")
    sandbox.workspace.add_channel("C0NEWS", "news", ["U0SAYSO"]).posting_restricted = True
    assert (await refusal(client.api_call("chat.postMessage", json=args)))["error"] == error


async def test_without_chat_write_public_the_bot_must_be_a_member(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.remove_bot("C0DEPLOYS")
    await post(client)
    sandbox.workspace.app.scopes.discard("chat:write.public")
    assert (await refusal(client.chat_postMessage(channel="C0DEPLOYS", text="x")))["error"] == "not_in_channel"
    await client.conversations_join(channel="C0DEPLOYS")
    await post(client)


async def test_over_long_text_is_cut_with_a_warning(sandbox: Sandbox, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel="C0DEPLOYS", text="x" * 40_001)
    assert answer["warning"] == "message_truncated"
    assert len(sandbox.messages("C0DEPLOYS")[0].text) == 40_000


async def test_invalid_blocks_say_where(client: AsyncWebClient) -> None:
    blocks: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    body = await refusal(client.chat_postMessage(channel="C0DEPLOYS", text="x", blocks=blocks))
    (said,) = body["response_metadata"]["messages"]
    assert said == "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"


# ---------------------------------------------------------------- changing


async def test_text_without_blocks_drops_the_blocks(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await post(client, blocks=APPROVE_CARD)
    answer = await client.chat_update(channel="C0DEPLOYS", ts=ts, text="done")
    assert "blocks" not in answer["message"]
    (message,) = sandbox.messages("C0DEPLOYS")
    assert (message.text, message.blocks) == ("done", [])
    assert message.edited is not None


async def test_absent_metadata_stays_and_an_empty_one_clears(sandbox: Sandbox, client: AsyncWebClient) -> None:
    metadata = {"event_type": "sayso_request", "event_payload": {"id": "r1"}}
    ts = await post(client, metadata=metadata)
    await client.chat_update(channel="C0DEPLOYS", ts=ts, text="kept")
    assert sandbox.messages("C0DEPLOYS")[0].metadata == metadata
    await client.chat_update(channel="C0DEPLOYS", ts=ts, text="cleared", metadata={})
    assert sandbox.messages("C0DEPLOYS")[0].metadata is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ts": "1.000001"}, "message_not_found"),
        ({"channel": "U0DANA"}, "channel_not_found"),
        ({"channel": "deploys"}, "channel_not_found"),
        ({"text": "x" * 4001}, "msg_too_long"),
        ({"text": ""}, "no_text"),
    ],
)
async def test_an_update_that_cannot_be_is_refused(client: AsyncWebClient, change: Json, error: str) -> None:
    ts = await post(client)
    args = {"channel": "C0DEPLOYS", "ts": ts, "text": "new"} | change
    assert (await refusal(client.api_call("chat.update", json=args)))["error"] == error


async def test_nobody_elses_message_can_be_changed_or_deleted(sandbox: Sandbox, client: AsyncWebClient) -> None:
    theirs = await sandbox.say("U0DANA", "C0DEPLOYS", "mine")
    update = client.chat_update(channel="C0DEPLOYS", ts=theirs.ts, text="yours")
    assert (await refusal(update))["error"] == "cant_update_message"
    delete = client.chat_delete(channel="C0DEPLOYS", ts=theirs.ts)
    assert (await refusal(delete))["error"] == "cant_delete_message"


async def test_a_deleted_message_is_gone(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await post(client)
    link = (await client.chat_getPermalink(channel="C0DEPLOYS", message_ts=ts))["permalink"]
    assert link == f"https://acme.slack.com/archives/C0DEPLOYS/p{ts.replace('.', '')}"
    await client.chat_delete(channel="C0DEPLOYS", ts=ts)
    assert sandbox.messages("C0DEPLOYS") == []
    gone = client.chat_getPermalink(channel="C0DEPLOYS", message_ts=ts)
    assert (await refusal(gone))["error"] == "message_not_found"


async def test_an_archived_channel_freezes_its_messages(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await post(client)
    sandbox.workspace.archive("C0DEPLOYS")
    assert (await refusal(client.chat_update(channel="C0DEPLOYS", ts=ts, text="x")))["error"] == "is_inactive"


async def test_ephemeral_messages_are_for_one_member(sandbox: Sandbox, client: AsyncWebClient) -> None:
    answer = await client.chat_postEphemeral(channel="C0DEPLOYS", user="U0DANA", text="psst")
    assert [message.text for message in sandbox.ephemerals("U0DANA")] == ["psst"]
    assert sandbox.ephemerals("U0ALICE") == []
    assert sandbox.messages("C0DEPLOYS") == []
    outsider = client.chat_postEphemeral(channel="C0DEPLOYS", user="U0GUEST", text="psst")
    assert (await refusal(outsider))["error"] == "user_not_in_channel"
    update = client.chat_update(channel="C0DEPLOYS", ts=answer["message_ts"], text="x")
    assert (await refusal(update))["error"] == "message_not_found"


async def test_metadata_has_a_limit(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.metadata_limit = 100
    metadata = {"event_type": "x", "event_payload": {"long": "y" * 100}}
    posting = client.chat_postMessage(channel="C0DEPLOYS", text="x", metadata=metadata)
    assert (await refusal(posting))["error"] == "metadata_too_large"


# ---------------------------------------------------------------- reading


async def test_history_pages_from_new_to_old(client: AsyncWebClient, clock: Clock) -> None:
    for number in range(5):
        clock.advance(1)
        await post(client, text=f"m{number}")
    first = await client.conversations_history(channel="C0DEPLOYS", limit=2)
    assert [message["text"] for message in first["messages"]] == ["m4", "m3"]
    assert first["has_more"] is True
    cursor = first["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel="C0DEPLOYS", limit=200, cursor=cursor)
    assert [message["text"] for message in rest["messages"]] == ["m2", "m1", "m0"]
    assert rest["has_more"] is False


async def test_history_between_two_times(client: AsyncWebClient, clock: Clock) -> None:
    stamps = []
    for number in range(3):
        clock.advance(1)
        stamps.append(await post(client, text=f"m{number}"))

    async def texts(**bounds: Any) -> list[str]:
        answer = await client.conversations_history(channel="C0DEPLOYS", **bounds)
        return [message["text"] for message in answer["messages"]]

    assert await texts(oldest=stamps[0]) == ["m2", "m1"]
    assert await texts(oldest=stamps[0], inclusive=True) == ["m2", "m1", "m0"]
    assert await texts(latest=stamps[2]) == ["m1", "m0"]
    assert await texts(latest=stamps[1], oldest=stamps[1], inclusive=True) == ["m1"]


async def test_metadata_is_whole_only_on_request(client: AsyncWebClient) -> None:
    metadata = {"event_type": "sayso_request", "event_payload": {"id": "r1"}}
    await post(client, metadata=metadata)
    brief = await client.conversations_history(channel="C0DEPLOYS")
    whole = await client.conversations_history(channel="C0DEPLOYS", include_all_metadata=True)
    assert brief["messages"][0]["metadata"] == {"event_type": "sayso_request"}
    assert whole["messages"][0]["metadata"] == metadata


async def test_threads_are_read_with_replies(sandbox: Sandbox, client: AsyncWebClient) -> None:
    ts = await post(client, text="parent")
    await sandbox.say("U0DANA", "C0DEPLOYS", "answer", ts)
    await post(client, text="reply", thread_ts=ts)
    history = await client.conversations_history(channel="C0DEPLOYS")
    (parent,) = history["messages"]
    assert (parent["reply_count"], parent["reply_users"]) == (2, ["U0DANA", "U0SAYSO"])
    thread = await client.conversations_replies(channel="C0DEPLOYS", ts=ts)
    assert [message["text"] for message in thread["messages"]] == ["parent", "answer", "reply"]
    missing = client.conversations_replies(channel="C0DEPLOYS", ts="1.000001")
    assert (await refusal(missing))["error"] == "thread_not_found"


async def test_history_needs_membership(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.remove_bot("C0DEPLOYS")
    assert (await refusal(client.conversations_history(channel="C0DEPLOYS")))["error"] == "not_in_channel"


async def test_users_have_every_flag_an_approver_check_needs(sandbox: Sandbox, client: AsyncWebClient) -> None:
    alice = (await client.users_info(user="U0ALICE"))["user"]
    assert alice["deleted"] is alice["is_bot"] is alice["is_restricted"] is alice["is_ultra_restricted"] is False
    assert (alice["team_id"], alice["tz"], alice["profile"]["email"]) == (
        "T0SAYSO",
        "Europe/Berlin",
        "alice@acme.example",
    )
    assert (await client.users_info(user="U0GUEST"))["user"]["is_restricted"] is True
    assert (await client.users_info(user="U0LEFT"))["user"]["deleted"] is True
    assert (await client.users_info(user="U0SAYSO"))["user"]["is_bot"] is True
    assert (await refusal(client.users_info(user="U0NOBODY")))["error"] == "user_not_found"
    sandbox.workspace.app.scopes.discard("users:read.email")
    assert "email" not in (await client.users_info(user="U0ALICE"))["user"]["profile"]


async def test_people_change_while_the_workspace_runs(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.add_user("U0EXT", "eve", team_id="T0OTHER", is_stranger=True)
    sandbox.workspace.deactivate("U0BOB")
    stranger = (await client.users_info(user="U0EXT"))["user"]
    assert (stranger["is_stranger"], stranger["team_id"]) == (True, "T0OTHER")
    assert (await client.users_info(user="U0BOB"))["user"]["deleted"] is True
    assert (await client.usergroups_users_list(usergroup="S0SRE"))["users"] == ["U0ALICE"]
    members = (await client.conversations_members(channel="C0SECURITY"))["members"]
    assert "U0BOB" not in members
    assert (await client.users_lookupByEmail(email="dana@acme.example"))["user"]["id"] == "U0DANA"
    assert (await refusal(client.users_lookupByEmail(email="bob@acme.example")))["error"] == "users_not_found"


async def test_user_groups_and_the_free_plan(sandbox: Sandbox, client: AsyncWebClient) -> None:
    groups = (await client.usergroups_list(include_users=True))["usergroups"]
    finance = next(group for group in groups if group["handle"] == "finance")
    assert finance["users"] == ["U0ALICE", "U0DANA"]
    assert (await refusal(client.usergroups_users_list(usergroup="S0X")))["error"] == "no_such_subteam"
    sandbox.workspace.usergroups_paid = False
    assert (await refusal(client.usergroups_list()))["error"] == "plan_upgrade_required"


async def test_conversations_are_listed_by_type(sandbox: Sandbox, client: AsyncWebClient) -> None:
    sandbox.workspace.archive("C0PRESS")
    sandbox.workspace.add_channel("G0SECRET", "secret", ["U0DANA"], "group")
    public = await client.conversations_list(exclude_archived=True, limit=3)
    assert [channel["name"] for channel in public["channels"]] == ["deploys", "payments", "data"]
    cursor = public["response_metadata"]["next_cursor"]
    rest = await client.conversations_list(exclude_archived=True, limit=3, cursor=cursor)
    assert [channel["name"] for channel in rest["channels"]] == ["security"]
    mine = await client.users_conversations(types="private_channel,im")
    assert {channel["user"] for channel in mine["channels"]} >= {"U0DANA", "U0ALICE"}
    assert (await client.conversations_info(channel="C0PRESS"))["channel"]["is_archived"] is True
    assert (await refusal(client.conversations_info(channel="G0SECRET")))["error"] == "channel_not_found"
    assert (await refusal(client.conversations_list(types="square")))["error"] == "invalid_types"
    assert (await refusal(client.conversations_list(cursor="!")))["error"] == "invalid_cursor"
    assert (await refusal(client.conversations_list(limit=5000)))["error"] == "invalid_limit"


@pytest.mark.parametrize(
    ("users", "error"),
    [
        ("U0NOBODY", "user_not_found"),
        ("U0LEFT", "user_disabled"),
        ("U0SAYSO", "cannot_dm_bot"),
        ("", "users_list_not_supplied"),
    ],
)
async def test_some_people_cannot_be_written_to(client: AsyncWebClient, users: str, error: str) -> None:
    assert (await refusal(client.conversations_open(users=users)))["error"] == error


async def test_a_group_message_is_opened_with_several(client: AsyncWebClient) -> None:
    opened = await client.conversations_open(users="U0DANA,U0ALICE")
    again = await client.conversations_open(users="U0ALICE,U0DANA")
    assert opened["channel"]["id"] == again["channel"]["id"]
    assert opened["channel"]["id"].startswith("G")


async def test_bots_info(client: AsyncWebClient) -> None:
    assert (await client.bots_info(bot="B0SAYSO"))["bot"]["user_id"] == "U0SAYSO"
    assert (await refusal(client.bots_info(bot="B0X")))["error"] == "bot_not_found"


async def test_blocks_validate_needs_no_token_and_points_at_the_fault(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        good = {"blocks": json.dumps(APPROVE_CARD)}
        async with session.post(f"{sandbox.api_url}blocks.validate", data=good) as answer:
            assert await answer.json() == {"ok": True}
        bad = {"message": json.dumps({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": ""}}]})}
        async with session.post(f"{sandbox.api_url}blocks.validate", data=bad) as answer:
            body = await answer.json()
    assert body["error"] == "invalid_message"
    assert body["errors"][0]["pointer"] == "/blocks/0/text/text"
    assert body["errors"][0]["code"] == "failed_constraint"


async def test_every_call_is_logged(sandbox: Sandbox, client: AsyncWebClient) -> None:
    await post(client)
    await refusal(client.chat_postMessage(channel="C0X", text="x"))
    first, second = sandbox.log.calls_of("chat.postMessage")
    assert first.ok
    assert first.args["channel"] == "C0DEPLOYS"
    assert (second.ok, second.error) == (False, "channel_not_found")
