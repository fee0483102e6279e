"""The app package that a Teams administrator uploads: the manifest with the least it needs, and two icons."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from approvals.commands.typed import USAGE
from handlers.teams.icons import color_icon, outline_icon

VERSION = "1.25"  #: the first that says we work in shared channels
_SCOPES = ["personal", "team", "groupChat"]
_MOST = 12  #: commands that Teams offers to somebody who begins to write; the last one tells of the others
_STAMP = (2026, 1, 1, 0, 0, 0)  #: of every file in the package: the same settings make the same bytes


def manifest(app: str, website: str) -> dict[str, Any]:
    """The manifest of the bot with this app id; `website` (https) is shown as the developer's.

    https://learn.microsoft.com/microsoft-365/extensibility/schema
    """
    if not website.startswith("https://"):
        raise ValueError("Teams shows a website, and it must be an https:// address: say --website https://…")
    offered = [*[name for name in USAGE if name != "help"][: _MOST - 1], "help"]
    commands = [{"title": name, "description": USAGE[name].words[:128]} for name in offered]
    return {
        "$schema": f"https://developer.microsoft.com/json-schemas/teams/v{VERSION}/MicrosoftTeams.schema.json",
        "manifestVersion": VERSION,
        "version": "1.0.0",
        "id": app,
        "developer": {
            "name": "Sayso",
            "websiteUrl": website,
            "privacyUrl": website,
            "termsOfUseUrl": website,
        },
        "name": {"short": "Sayso", "full": "Sayso: approvals for AI agents"},
        "description": {
            "short": "AI agents act only on a human's say-so",
            "full": "Shows exactly what an AI agent is about to do and asks the people whom your policy names. "
            "Nothing happens without their yes, and every yes is signed, used once and kept.",
        },
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": "#1d3557",
        "bots": [
            {
                "botId": app,
                "scopes": _SCOPES,
                "supportsFiles": False,
                "isNotificationOnly": False,
                "commandLists": [{"scopes": _SCOPES, "commands": commands}],
            }
        ],
        "supportsChannelFeatures": "tier1",
        "validDomains": [],
    }


def package(app: str, website: str) -> bytes:
    """The zip that is uploaded."""
    files = {
        "manifest.json": json.dumps(manifest(app, website), indent=2).encode(),
        "color.png": color_icon(),
        "outline.png": outline_icon(),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
