"""The manifest from which a workspace makes the Slack app: the least it needs, in either mode."""

from __future__ import annotations

from typing import Any, Literal

from handlers.slack.command import NAME
from handlers.slack.http import PATH

#: Every scope with what it is for.
SCOPES = {
    "chat:write": "post and update cards",
    "commands": "/sayso",
    "users:read": "see at each click whether somebody is a full, active member",
    "usergroups:read": "look up who is in the user groups that the policy names",
    "channels:read": "tell in `doctor` whether we are in a public channel, and whether outsiders are",
    "groups:read": "the same for private channels",
    "im:write": "send cards to a person",
    "channels:history": "find our own card after a crash, in public channels we were invited to",
    "groups:history": "the same in private channels",
    "im:history": "the same in direct messages",
}


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
            "bot_user": {"display_name": "Sayso", "always_online": True},
            "slash_commands": [_command(address)],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "interactivity": {"is_enabled": True} | ({"request_url": address} if address else {}),
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def _command(address: str | None) -> dict[str, Any]:
    command: dict[str, Any] = {
        "command": NAME,
        "description": "See what waits for an answer",
        "usage_hint": "pending | help",
        "should_escape": True,
    }
    return command | ({"url": address} if address else {})
