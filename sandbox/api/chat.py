"""chat.*: posting, changing and deleting messages."""

from __future__ import annotations

import json
from typing import Any

from sandbox.api.call import Call, Json, Methods, visible
from sandbox.blocks import check_message, with_ids
from sandbox.channels import Channel, Message
from sandbox.errors import InvalidPayload, SlackError
from sandbox.workspace import Workspace

POST_TEXT = 40_000  #: longer text is cut, with a warning
UPDATE_TEXT = 4_000

methods = Methods()


@methods.add("chat.postMessage", "chat:write")
async def post_message(call: Call) -> Json:
    """Post as the app; to a user id it opens the direct message."""
    channel = _destination(call)
    message = Message(
        channel=channel.id,
        ts="",
        user=call.bot,
        bot=call.workspace.bot_fields(),
        metadata=_metadata(call) or None,
        thread_ts=call.args.text("thread_ts") or None,
        broadcast=call.args.flag("reply_broadcast"),
        **_content(call),
    )
    _cut(call, message)
    call.slack.limiter.check_post(channel.id)
    message.ts = call.workspace.next_ts()
    call.workspace.post(message)
    return {"channel": channel.id, "ts": message.ts, "message": message.as_json(call.workspace.team_id)}


@methods.add("chat.postEphemeral", "chat:write")
async def post_ephemeral(call: Call) -> Json:
    """Show a message to one member of a channel, until they reload; it cannot be changed by chat.update."""
    channel = _destination(call)
    user = call.args.required("user")
    person = call.workspace.users.get(user)
    if person is None or person.deleted or user not in channel.members:
        raise SlackError("user_not_in_channel")
    message = Message(
        channel=channel.id,
        ts=call.workspace.next_ts(),
        user=call.bot,
        bot=call.workspace.bot_fields(),
        only_for=user,
        thread_ts=call.args.text("thread_ts") or None,
        **_content(call),
    )
    call.workspace.post(message)
    return {"message_ts": message.ts}


@methods.add("chat.update", "chat:write")
async def update(call: Call) -> Json:
    """Change one of the app's messages; text without blocks drops the blocks, absent metadata stays."""
    message = _own(call, "cant_update_message")
    content = _content(call)
    if len(content["text"]) > UPDATE_TEXT:
        raise SlackError("msg_too_long")
    metadata = _metadata(call)
    for name, value in content.items():
        setattr(message, name, value)
    if metadata is not None:
        message.metadata = metadata or None
    message.edited = {"user": call.workspace.app.bot_id, "ts": call.workspace.next_ts()}
    call.workspace.announce_message(message)
    shown = message.as_json(call.workspace.team_id)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


@methods.add("chat.delete", "chat:write")
async def delete(call: Call) -> Json:
    """Delete one of the app's messages."""
    message = _own(call, "cant_delete_message")
    call.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


@methods.add("chat.getPermalink")
async def get_permalink(call: Call) -> Json:
    """The address of a message."""
    channel = call.channel()
    ts = call.args.text("message_ts")
    if channel.find(ts) is None:
        raise SlackError("message_not_found")
    return {"channel": channel.id, "permalink": call.workspace.permalink(channel.id, ts)}


# ---------------------------------------------------------------- where to


def _destination(call: Call) -> Channel:
    """The channel an app may post to, by id, #name or user id."""
    channel = _named(call.workspace, call.args.text("channel"), call.bot)
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.bot not in channel.members and "chat:write.public" not in call.scopes:
        raise SlackError("not_in_channel")
    if channel.posting_restricted:
        raise SlackError("restricted_action")
    return channel


def _named(workspace: Workspace, name: str, bot: str) -> Channel:
    if person := workspace.users.get(name):
        if person.deleted or person.is_bot:
            raise SlackError("channel_not_found")
        return workspace.direct_channel(name, bot)
    by_name = {channel.name: channel for channel in workspace.channels.values() if channel.name}
    return visible(workspace.channels.get(name) or by_name.get(name.removeprefix("#")), bot)


def _own(call: Call, refusal: str) -> Message:
    """The app's own lasting message that `channel` and `ts` name."""
    channel = call.channel()
    if channel.is_archived:
        raise SlackError("is_inactive")
    message = channel.find(call.args.text("ts"))
    if message is None:
        raise SlackError("message_not_found")
    if message.user != call.bot:
        raise SlackError(refusal)
    return message


# ---------------------------------------------------------------- what


def _content(call: Call) -> Json:
    """text, blocks and attachments as a message has them; SlackError no_text if there is nothing to show."""
    return read_content(call.args.text("text"), call.args.structure("blocks", "invalid_blocks_format"), call)


def read_content(text: str, blocks: Any, call: Call | None = None) -> Json:
    """Checked content of a message; also used for response URLs and acknowledgements."""
    attachments = call.args.structure("attachments", "invalid_attachments") if call else None
    if not text and not blocks and not attachments:
        raise SlackError("no_text")
    if blocks and (problems := check_message(blocks)):
        raise InvalidPayload("invalid_blocks", [str(problem) for problem in problems])
    return {"text": text, "blocks": with_ids(blocks or []), "attachments": attachments or []}


def _cut(call: Call, message: Message) -> None:
    if len(message.text) > POST_TEXT:
        message.text = message.text[:POST_TEXT]
        call.warnings.append("message_truncated")


def _metadata(call: Call) -> Json | None:
    """The metadata argument: None if absent, {} if empty; checked otherwise."""
    metadata = call.args.structure("metadata", "invalid_metadata_format")
    if not metadata:
        return None if metadata is None else {}
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata, ensure_ascii=False)) > call.workspace.metadata_limit:
        raise SlackError("metadata_too_large")
    return {"event_type": metadata["event_type"], "event_payload": metadata["event_payload"]}
