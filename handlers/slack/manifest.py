"""The manifest from which a workspace makes the Slack app: the least it needs, in either mode."""

from __future__ import annotations

import json
from typing import Any, Literal
from urllib.parse import urlencode

from handlers.slack.command import RECORD
from handlers.slack.http import PATH
from handlers.slack.replies import NAME

#: Every scope with what it is for.
SCOPES = {
    "chat:write": "post and update cards",
    "commands": "/sayso",
    "users:read": "see at each click whether somebody is a full, active member",
    "usergroups:read": "look up who is in the user groups that the policy names",
    "channels:read": "tell in `doctor` whether we are in a public channel, and whether outsiders are",
    "groups:read": "the same for private channels",
    "im:write": "send cards to a person",
    "files:write": "put the whole of what is too long for a card under it as a file",
    "channels:history": "find our own card after a crash, in public channels we were invited to",
    "groups:history": "the same in private channels",
    "im:history": "the same in direct messages",
}


#: Every event with what it is for; none of them holds anybody's words.
EVENTS = {
    "app_home_opened": "draw somebody's overview when they look at it",
    "app_uninstalled": "know at once that nobody can answer any more",
    "tokens_revoked": "the same",
}
CREATE = "https://api.slack.com/apps"


def manifest(mode: Literal["socket", "http"], url: str | None = None) -> dict[str, Any]:
    """The manifest; `url` is where this service is reached from outside, for `http` (https, no path of ours)."""
    if mode == "http" and not (url or "").startswith("https://"):
        raise ValueError("HTTP mode needs the public https:// address of this service")
    address = f"{url.rstrip('/')}{PATH}" if mode == "http" and url else None
    return {
        "_metadata": {"major_version": 2},
        "display_information": {
            "name": "Sayso",
            "description": "AI agents act only on a human's say-so",
            "background_color": "#1d3557",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "Sayso", "always_online": True},
            "shortcuts": [_shortcut()],
            "slash_commands": [_command(address)],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)} | ({"request_url": address} if address else {}),
            "interactivity": {"is_enabled": True} | ({"request_url": address} if address else {}),
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def create_link(made: dict[str, Any]) -> str:
    """The address at which Slack offers to create the app, with the manifest filled in."""
    query = {"new_app": "1", "manifest_json": json.dumps(made, separators=(",", ":"))}
    return f"{CREATE}?{urlencode(query)}"


def _shortcut() -> dict[str, Any]:
    return {
        "name": "Show approval record",
        "type": "message",
        "callback_id": RECORD,
        "description": "Who was asked, who answered, and how it went on",
    }


def _command(address: str | None) -> dict[str, Any]:
    command: dict[str, Any] = {
        "command": NAME,
        "description": "See and steer what waits for an answer",
        "usage_hint": "pending | show ID | history | help",
        "should_escape": True,
    }
    return command | ({"url": address} if address else {})
