"""The workspace itself: its people, channels and messages, and what may be done with them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sandbox.changes import Changes
from sandbox.channels import Channel, Json, Kind, Message
from sandbox.people import App, Command, Group, User


class Workspace:
    """One team with one app installed; everything in it may be changed while it runs.

    `now` is the workspace's clock in seconds since the epoch: it stamps messages and ends trigger ids,
    response URLs and rate windows.
    """

    def __init__(self, team_id: str, name: str, domain: str, app: App, *, now: Callable[[], float]) -> None:
        self.team_id = team_id
        self.name = name
        self.domain = domain
        self.app = app
        self.now = now
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.channels: dict[str, Channel] = {}
        self.usergroups_paid = True  #: False: usergroups answers `plan_upgrade_required`, as on the free plan
        self.metadata_limit = 8_000  #: characters of JSON; Slack's own number is not documented
        self.changes = Changes()
        self._last_ts = 0

    @classmethod
    def demo(cls, *, now: Callable[[], float] | None = None) -> Workspace:
        """The team "Acme" of the demo: people, groups, channels, and the app Sayso."""
        from sandbox.demo import build_demo

        return build_demo(now=now)

    # ------------------------------------------------------------ people

    def add_user(self, user_id: str, name: str, real_name: str = "", **flags: Any) -> User:
        """Add somebody; `flags` are the fields of User."""
        flags.setdefault("team_id", self.team_id)
        user = User(id=user_id, name=name, real_name=real_name or name.title(), **flags)
        self.users[user_id] = user
        self.changes.announce("people")
        return user

    def deactivate(self, user_id: str) -> None:
        """Deactivate an account: the person can do nothing any more and leaves every group and channel."""
        self.users[user_id].deleted = True
        for group in self.groups.values():
            group.users = [member for member in group.users if member != user_id]
        for channel in self.channels.values():
            if channel.kind != "im":
                self.remove_from_channel(channel.id, user_id)
        self.changes.announce("people")

    def add_group(self, group_id: str, handle: str, users: list[str], name: str = "") -> Group:
        """Add a user group."""
        group = Group(group_id, handle, name or handle.title(), self.team_id, list(users))
        self.groups[group_id] = group
        self.changes.announce("people")
        return group

    # ------------------------------------------------------------ channels

    def add_channel(self, channel_id: str, name: str, members: list[str], kind: Kind = "channel") -> Channel:
        """Add a channel; the app is a member only if its bot user is listed."""
        channel = Channel(channel_id, name, kind, list(members))
        self.channels[channel_id] = channel
        self.changes.announce("channels", channel=channel_id)
        return channel

    def archive(self, channel_id: str) -> None:
        """Archive a channel: it stays readable, nobody can post."""
        self.channels[channel_id].is_archived = True
        self.changes.announce("channels", channel=channel_id)

    def remove_from_channel(self, channel_id: str, user_id: str) -> None:
        """Take somebody, or the bot, out of a channel."""
        channel = self.channels[channel_id]
        channel.members = [member for member in channel.members if member != user_id]
        self.changes.announce("channels", channel=channel_id)

    def remove_bot(self, channel_id: str) -> None:
        """Take the app's bot out of a channel."""
        self.remove_from_channel(channel_id, self.app.bot_user)

    def join(self, channel_id: str, user_id: str) -> Channel:
        """Make somebody a member of a channel."""
        channel = self.channels[channel_id]
        if user_id not in channel.members:
            channel.members.append(user_id)
            self.changes.announce("channels", channel=channel_id)
        return channel

    def direct_channel(self, *users: str) -> Channel:
        """The conversation between these people, opened if it was not; the same every time."""
        members = sorted(set(users))
        kind: Kind = "im" if len(members) <= 2 else "mpim"
        for channel in self.channels.values():
            if channel.kind == kind and sorted(channel.members) == members:
                return channel
        others = [user for user in members if user != self.app.bot_user]
        name = "mpdm-" + "-".join(others) if kind == "mpim" else ""
        channel_id = self._direct_id(kind, members, others)
        return self.add_channel(channel_id, name, members, kind)

    def _direct_id(self, kind: Kind, members: list[str], others: list[str]) -> str:
        with_bot = self.app.bot_user in members
        if kind == "im" and with_bot and len(others) == 1:
            return "D" + others[0][1:]
        return ("D" if kind == "im" else "G") + secrets.token_hex(5).upper()

    # ------------------------------------------------------------ messages

    def next_ts(self) -> str:
        """A time stamp that no other message of this workspace has."""
        self._last_ts = max(int(self.now() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def bot_fields(self) -> Json:
        """What marks a message as written by the app."""
        app = self.app
        return {
            "bot_id": app.bot_id,
            "app_id": app.id,
            "bot_profile": {
                "id": app.bot_id,
                "app_id": app.id,
                "user_id": app.bot_user,
                "name": app.name,
                "icons": {},
                "deleted": False,
                "updated": 1_700_000_000,
                "team_id": self.team_id,
            },
        }

    def post(self, message: Message) -> Message:
        """Put a message where it belongs and tell everybody who listens."""
        channel = self.channels[message.channel]
        shelf = channel.ephemerals if message.only_for else channel.messages
        shelf[message.ts] = message
        self.announce_message(message)
        return message

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """A person writes a plain message."""
        message = Message(channel, self.next_ts(), user, text, thread_ts=thread_ts)
        return self.post(message)

    def delete(self, message: Message) -> None:
        """Take a message away."""
        channel = self.channels[message.channel]
        (channel.ephemerals if message.only_for else channel.messages).pop(message.ts, None)
        self.announce_message(message)

    def announce_message(self, message: Message) -> None:
        """Tell listeners that a message appeared, changed or went."""
        kind = "ephemeral" if message.only_for else "message"
        self.changes.announce(kind, channel=message.channel, user=message.only_for or "")

    def permalink(self, channel: str, ts: str) -> str:
        """The address of a message, as chat.getPermalink gives it."""
        return f"https://{self.domain}.slack.com/archives/{channel}/p{ts.replace('.', '')}"

    def register(self, *commands: Command) -> None:
        """Register slash commands of the app."""
        self.app.add_commands(commands)
        self.changes.announce("people")
