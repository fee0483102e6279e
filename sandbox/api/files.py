"""files.*: a file is announced, uploaded beside the Web API, and then shared as a message."""

from __future__ import annotations

from typing import Any

from sandbox.api.call import Call, Json, Methods
from sandbox.channels import Channel, Message
from sandbox.errors import SlackError
from sandbox.files import File

LARGEST = 1_000_000_000  #: bytes

methods = Methods()


@methods.add("files.getUploadURLExternal", "files:write")
async def get_upload_url(call: Call) -> Json:
    """The address to which a file is to be brought."""
    name, length = call.args.required("filename"), call.args.number("length", 0, LARGEST)
    if not length:
        raise SlackError("invalid_arguments")
    file, address = call.slack.files.announce(name, length)
    return {"upload_url": address, "file_id": file.id}


@methods.add("files.completeUploadExternal", "files:write")
async def complete_upload(call: Call) -> Json:
    """Share uploaded files; unlike a message, only where the app is a member, whatever its scopes."""
    files = [_uploaded(call, one) for one in _listed(call)]
    if call.args.text("channel_id"):
        _share(call, _destination(call), files)
    return {"files": [file.as_json(call.workspace) for file in files]}


def _listed(call: Call) -> list[Any]:
    files = call.args.structure("files", "invalid_arguments")
    if not isinstance(files, list) or not files:
        raise SlackError("invalid_arguments")
    return files


def _uploaded(call: Call, named: Any) -> File:
    file = call.slack.files.find(str(named.get("id"))) if isinstance(named, dict) else None
    if file is None or file.data is None:
        raise SlackError("file_not_found")
    file.title = str(named.get("title") or file.name)
    return file


def _destination(call: Call) -> Channel:
    channel = call.channel("channel_id")
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.bot not in channel.members:
        raise SlackError("not_in_channel")
    if channel.posting_restricted:
        raise SlackError("restricted_action")
    return channel


def _share(call: Call, channel: Channel, files: list[File]) -> None:
    """The message that holds the files; it counts in the channel like any other."""
    call.slack.limiter.check_post(channel.id)
    workspace = call.workspace
    workspace.post(
        Message(
            channel=channel.id,
            ts=workspace.next_ts(),
            user=call.bot,
            text=call.args.text("initial_comment"),
            thread_ts=call.args.text("thread_ts") or None,
            bot=workspace.bot_fields(),
            files=[file.as_json(workspace) for file in files],
        )
    )
