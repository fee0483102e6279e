"""Who is in the workspace: users, user groups, and the app that is installed in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

BOT_SCOPES = frozenset(
    {
        "chat:write",
        "chat:write.public",
        "commands",
        "users:read",
        "users:read.email",
        "usergroups:read",
        "im:write",
        "im:read",
        "im:history",
        "files:write",
        "channels:read",
        "channels:join",
        "channels:history",
        "groups:read",
        "groups:history",
        "mpim:read",
        "mpim:write",
    }
)


@dataclass
class User:
    """A member of the workspace, or a guest, a bot, a stranger from a connected workspace."""

    id: str
    name: str
    real_name: str
    team_id: str
    email: str = ""
    title: str = ""
    deleted: bool = False  #: deactivated; can do nothing any more
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False  #: a guest
    is_ultra_restricted: bool = False  #: a guest of one channel
    is_stranger: bool = False  #: somebody of another workspace, met in a shared channel
    tz: str = "Europe/Berlin"
    tz_label: str = "Central European Time"
    tz_offset: int = 3600
    bot_id: str = ""
    app_id: str = ""

    def as_json(self, *, with_email: bool = True) -> Json:
        """The user object of users.info; a deactivated one has fewer fields, as in Slack."""
        body: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "profile": self._profile(with_email),
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 1_700_000_000,
        }
        if self.deleted:
            return body
        return body | self._standing()

    def _standing(self) -> Json:
        return {
            "color": "9f69e7",
            "real_name": self.real_name,
            "tz": self.tz,
            "tz_label": self.tz_label,
            "tz_offset": self.tz_offset,
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_email_confirmed": bool(self.email),
            "who_can_share_contact_card": "EVERYONE",
            **({"is_stranger": True} if self.is_stranger else {}),
        }

    def _profile(self, with_email: bool) -> Json:
        profile: Json = {
            "title": self.title,
            "phone": "",
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "status_text": "",
            "status_emoji": "",
            "avatar_hash": "g" + self.id.lower(),
            "team": self.team_id,
        }
        if with_email and self.email:
            profile["email"] = self.email
        if self.is_bot:
            profile |= {"bot_id": self.bot_id, "api_app_id": self.app_id, "always_active": True}
        return profile


@dataclass
class Group:
    """A user group, what people write as @sre."""

    id: str
    handle: str
    name: str
    team_id: str
    users: list[str] = field(default_factory=list)
    disabled: bool = False

    def as_json(self, *, include_users: bool, include_count: bool) -> Json:
        """The usergroup object of usergroups.list."""
        body: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.name,
            "description": "",
            "handle": self.handle,
            "is_external": False,
            "date_create": 1_600_000_000,
            "date_update": 1_700_000_000,
            "date_delete": 1_700_000_000 if self.disabled else 0,
            "auto_type": None,
            "auto_provision": False,
            "enterprise_subteam_id": "",
            "created_by": "U0ADMIN",
            "updated_by": "U0ADMIN",
            "deleted_by": None,
            "prefs": {"channels": [], "groups": []},
        }
        if include_users:
            body["users"] = list(self.users)
        if include_count:
            body["user_count"] = len(self.users)
        return body


@dataclass
class Command:
    """A slash command that the app has registered."""

    name: str
    description: str = ""
    usage_hint: str = ""


@dataclass
class App:
    """The installed app: its ids, secrets, scopes, and how it wants to be reached."""

    id: str
    name: str
    bot_id: str
    bot_user: str
    bot_token: str
    app_token: str
    signing_secret: str
    verification_token: str
    scopes: set[str] = field(default_factory=lambda: set(BOT_SCOPES))
    app_scopes: set[str] = field(default_factory=lambda: {"connections:write"})
    commands: dict[str, Command] = field(default_factory=dict)
    shortcuts: dict[str, str] = field(default_factory=dict)  #: callback_id → the words in the menu
    events: set[str] = field(default_factory=lambda: {"app_home_opened"})
    request_url: str | None = None  #: set: signed HTTP; unset: Socket Mode

    def add_commands(self, commands: Iterable[Command]) -> None:
        """Register slash commands, by name."""
        self.commands.update({command.name: command for command in commands})

    def token_kind(self, token: str) -> str | None:
        """`bot`, `app`, or None for a token that was never issued (or was revoked)."""
        return {self.bot_token: "bot", self.app_token: "app"}.get(token)

    def scopes_of(self, kind: str) -> set[str]:
        """What the bot's or the app's token may do."""
        return self.scopes if kind == "bot" else self.app_scopes
