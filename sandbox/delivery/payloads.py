"""The payloads Slack sends to an app, field by field as documented.

Source: docs.slack.dev/reference/interaction-payloads, /interactivity/implementing-slash-commands, /apis/events-api.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from sandbox.channels import Channel, Message
from sandbox.people import User
from sandbox.workspace import Workspace

Json = dict[str, Any]


def _person(user: User) -> Json:
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}


def _common(kind: str, workspace: Workspace, user: User) -> Json:
    return {
        "type": kind,
        "user": _person(user),
        "api_app_id": workspace.app.id,
        "token": workspace.app.verification_token,
        "team": {"id": workspace.team_id, "domain": workspace.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_actions(
    workspace: Workspace, user: User, channel: Channel, message: Message, action: Json, extras: Json
) -> Json:
    """block_actions from a message; `extras` are trigger_id, response_url and state."""
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.only_for is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    body = _common("block_actions", workspace, user) | {
        "container": container,
        "channel": {"id": channel.id, "name": channel.payload_name},
        "actions": [action],
    }
    if message.only_for is None:
        body["message"] = message.as_json(workspace.team_id)
    return body | extras


def view_actions(workspace: Workspace, user: User, view: Json, action: Json, trigger_id: str) -> Json:
    """block_actions from a modal or the home tab."""
    return _common("block_actions", workspace, user) | {
        "container": {"type": "view", "view_id": view["id"]},
        "trigger_id": trigger_id,
        "view": view,
        "actions": [action],
    }


def view_submission(workspace: Workspace, user: User, view: Json, trigger_id: str) -> Json:
    """A modal was submitted."""
    return _common("view_submission", workspace, user) | {
        "trigger_id": trigger_id,
        "view": view,
        "response_urls": [],
    }


def view_closed(workspace: Workspace, user: User, view: Json, *, is_cleared: bool) -> Json:
    """A modal was closed without submitting."""
    return _common("view_closed", workspace, user) | {"view": view, "is_cleared": is_cleared}


def global_shortcut(workspace: Workspace, user: User, callback_id: str, trigger_id: str, at: str) -> Json:
    """A shortcut from the menu by the composer."""
    return _common("shortcut", workspace, user) | {
        "callback_id": callback_id,
        "trigger_id": trigger_id,
        "action_ts": at,
    }


def message_shortcut(
    workspace: Workspace, user: User, callback_id: str, channel: Channel, message: Message, extras: Json
) -> Json:
    """A shortcut from a message's menu; `extras` are trigger_id, response_url and action_ts."""
    return (
        _common("message_action", workspace, user)
        | {
            "callback_id": callback_id,
            "channel": {"id": channel.id, "name": channel.payload_name},
            "message_ts": message.ts,
            "message": message.as_json(workspace.team_id),
        }
        | extras
    )


def slash_command(workspace: Workspace, user: User, channel: Channel, command: str, text: str, extras: Json) -> Json:
    """A slash command; `extras` are trigger_id and response_url. Mentions in the text arrive as ids."""
    return {
        "token": workspace.app.verification_token,
        "team_id": workspace.team_id,
        "team_domain": workspace.domain,
        "channel_id": channel.id,
        "channel_name": channel.payload_name,
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": escaped(workspace, text),
        "api_app_id": workspace.app.id,
        "is_enterprise_install": "false",
    } | extras


def escaped(workspace: Workspace, text: str) -> str:
    """What a person typed as Slack hands it on: &, <, > escaped, known @names and #channels as ids."""
    users = {user.name: user.id for user in workspace.users.values()}
    groups = {group.handle: group.id for group in workspace.groups.values()}
    channels = {channel.name: channel.id for channel in workspace.channels.values() if channel.name}

    def mention(found: re.Match[str]) -> str:
        mark, name = found.groups()
        if mark == "#":
            return f"<#{channels[name]}|{name}>" if name in channels else found.group()
        if name in users:
            return f"<@{users[name]}|{name}>"
        return f"<!subteam^{groups[name]}|@{name}>" if name in groups else found.group()

    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?<![\w&])([@#])([a-z0-9][a-z0-9._-]*)", mention, safe)


def event_callback(workspace: Workspace, event: Json) -> Json:
    """The envelope of the Events API around one event."""
    app = workspace.app
    return {
        "token": app.verification_token,
        "team_id": workspace.team_id,
        "context_team_id": workspace.team_id,
        "context_enterprise_id": None,
        "api_app_id": app.id,
        "event": event,
        "type": "event_callback",
        "event_id": "Ev" + secrets.token_hex(5).upper(),
        "event_time": int(workspace.now()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team_id,
                "user_id": app.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }
