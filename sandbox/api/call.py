"""One call of the Web API: its arguments as Slack reads them, and the table of methods."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sandbox.channels import Channel
from sandbox.errors import InvalidPayload, MissingScope, SlackError
from sandbox.people import User
from sandbox.slack import Slack
from sandbox.workspace import Workspace

Json = dict[str, Any]
Caller = Literal["bot", "app", "anyone"]
T = TypeVar("T")


class Args:
    """The arguments of a call; strings, or JSON values when the body was JSON."""

    def __init__(self, values: Json) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        """A string; numbers are taken as they are written."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """A string that must be there; SlackError invalid_arguments."""
        if not (value := self.text(name)):
            raise InvalidPayload("invalid_arguments", [f"missing required field: {name} [json-pointer:/{name}]"])
        return value

    def flag(self, name: str) -> bool:
        """A boolean as Slack reads it: true, "true", 1, "1"."""
        return str(self.values.get(name, "")).lower() in {"true", "1"}

    def number(self, name: str, default: int, maximum: int) -> int:
        """A positive number, at most `maximum`; SlackError invalid_limit or invalid_arguments."""
        raw = self.values.get(name)
        if raw in (None, ""):
            return default
        try:
            value = int(str(raw))
        except ValueError:
            raise SlackError("invalid_limit" if name == "limit" else "invalid_arguments") from None
        if value < 0 or value > maximum:
            raise SlackError("invalid_limit" if name == "limit" else "invalid_arguments")
        return value or default

    def given(self, name: str) -> bool:
        """Whether the argument was sent at all, even if empty."""
        return self.values.get(name) is not None

    def structure(self, name: str, error: str) -> Any:
        """A JSON value, sent as such or as a string of JSON; SlackError `error` if it is no JSON."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise InvalidPayload(error, [f"failed to parse JSON [json-pointer:/{name}]"]) from None


@dataclass
class Call:
    """A call on its way through a method."""

    slack: Slack
    method: str
    args: Args
    scopes: set[str]
    warnings: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        """The workspace the token belongs to."""
        return self.slack.workspace

    @property
    def bot(self) -> str:
        """The user id of the app's bot."""
        return self.workspace.app.bot_user

    def need(self, scope: str) -> None:
        """MissingScope unless the token has it."""
        if scope not in self.scopes:
            raise MissingScope(scope, sorted(self.scopes))

    def user(self, name: str = "user") -> User:
        """The user that an argument names; SlackError user_not_found."""
        user = self.workspace.users.get(self.args.text(name))
        if user is None:
            raise SlackError("user_not_found")
        return user

    def channel(self, name: str = "channel") -> Channel:
        """The conversation that an argument names and the bot may see; SlackError channel_not_found."""
        return visible(self.workspace.channels.get(self.args.text(name)), self.bot)


def visible(channel: Channel | None, viewer: str) -> Channel:
    """The channel, unless it does not exist or is private and not the viewer's; SlackError channel_not_found."""
    if channel is None or (channel.kind != "channel" and viewer not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def page(items: list[T], args: Args, default: int, maximum: int = 1000) -> tuple[list[T], str]:
    """One page of a list and the cursor of the next, empty at the end."""
    start = _offset(args.text("cursor"))
    end = start + args.number("limit", default, maximum)
    return items[start:end], _cursor(end) if end < len(items) else ""


def _cursor(offset: int) -> str:
    return base64.b64encode(f"next:{offset}".encode()).decode()


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise SlackError("invalid_cursor") from None


Handler = Callable[[Call], Awaitable[Json]]


@dataclass(frozen=True)
class Method:
    """One method: what runs, the scopes it always needs, and whose token it takes."""

    run: Handler
    scopes: tuple[str, ...] = ()
    caller: Caller = "bot"


class Methods(dict[str, Method]):
    """The methods of one family, by name."""

    def add(self, name: str, *scopes: str, caller: Caller = "bot") -> Callable[[Handler], Handler]:
        """Register the decorated function under `name`."""

        def register(run: Handler) -> Handler:
            self[name] = Method(run, scopes, caller)
            return run

        return register


def merged(families: Iterable[Methods]) -> dict[str, Method]:
    """All families in one table."""
    return {name: method for family in families for name, method in family.items()}
