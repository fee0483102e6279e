"""Where people and the app talk: channels, direct messages, and the messages in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["channel", "group", "im", "mpim"]


@dataclass
class Message:
    """One message; `only_for` makes it ephemeral."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    bot: Json | None = None  #: bot_id, app_id and bot_profile, when an app wrote it
    edited: Json | None = None
    only_for: str | None = None
    broadcast: bool = False
    attachments: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        """A message inside a thread, not the one that started it."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    def as_json(self, team: str, *, all_metadata: bool = True) -> Json:
        """The message object of history, of answers and of interaction payloads."""
        body: Json = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text, "team": team}
        body |= self.bot or {}
        if self.blocks:
            body["blocks"] = self.blocks
        if self.attachments:
            body["attachments"] = self.attachments
        if self.files:
            body |= {"files": self.files, "upload": False}
        if self.thread_ts:
            body["thread_ts"] = self.thread_ts
        if self.edited:
            body["edited"] = self.edited
        if self.metadata:
            body["metadata"] = self.metadata if all_metadata else {"event_type": self.metadata["event_type"]}
        return body


@dataclass
class Channel:
    """A conversation: public (channel), private (group), direct (im) or a group of people (mpim)."""

    id: str
    name: str
    kind: Kind = "channel"
    members: list[str] = field(default_factory=list)
    topic: str = ""
    is_archived: bool = False
    is_ext_shared: bool = False
    posting_restricted: bool = False  #: only admins post here: apps get `restricted_action`
    messages: dict[str, Message] = field(default_factory=dict)
    ephemerals: dict[str, Message] = field(default_factory=dict)
    created: int = 1_600_000_000

    @property
    def payload_name(self) -> str:
        """What interaction payloads call this channel."""
        return {"im": "directmessage", "group": "privategroup", "mpim": "privategroup"}.get(self.kind, self.name)

    def ordered(self) -> list[Message]:
        """Every lasting message, oldest first."""
        return sorted(self.messages.values(), key=lambda message: message.ts)

    def replies(self, ts: str) -> list[Message]:
        """The messages in the thread under `ts`, oldest first, without the parent."""
        return [message for message in self.ordered() if message.is_reply and message.thread_ts == ts]

    def find(self, ts: str, user: str | None = None) -> Message | None:
        """The message at `ts`, ephemeral ones only for the person they were shown to."""
        if lasting := self.messages.get(ts):
            return lasting
        hidden = self.ephemerals.get(ts)
        return hidden if hidden and hidden.only_for == user else None

    def as_json(self, team: str, viewer: str) -> Json:
        """The conversation object of conversations.info."""
        if self.kind == "im":
            return self._direct(viewer)
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "group",
            "is_im": False,
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "channel",
            "is_archived": self.is_archived,
            "is_general": False,
            "is_member": viewer in self.members,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "created": self.created,
            "creator": "U0ADMIN",
            "context_team_id": team,
            "shared_team_ids": [team],
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": self.topic, "creator": "", "last_set": 0},
            "num_members": len(self.members),
        }

    def _direct(self, viewer: str) -> Json:
        other = next((member for member in self.members if member != viewer), viewer)
        return {
            "id": self.id,
            "created": self.created,
            "is_im": True,
            "is_org_shared": False,
            "is_archived": self.is_archived,
            "user": other,
            "is_user_deleted": False,
            "priority": 0,
        }
