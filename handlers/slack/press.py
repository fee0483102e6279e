"""Reading a press of one of our buttons out of Slack's payload: only what Slack vouches for and our seal opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from approvals.click import Click
from approvals.ports import Account
from handlers.seal import Seal
from handlers.slack.identity import Identity
from handlers.slack.whisper import Ear

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Press:
    """Who pressed the button of which rendering of which request, on which message."""

    request: str
    shown: str
    account: Account
    channel: str
    ts: str
    value: str

    def click(self, answer: Literal["approve", "deny", "changes"], reason: str = "") -> Click:
        """The press as the service takes it; in a direct channel it may be the person's own destination."""
        places = [f"slack:{self.channel}"]
        if self.channel.startswith("D"):
            places.append(f"slack:{self.account.user}")
        reference = {"channel": self.channel, "ts": self.ts}
        return Click(self.account, answer, self.shown, tuple(places), reference, reason)

    def carried(self) -> str:
        """The press as a modal carries it from opening to submission: ids only, and the seal still closed."""
        return json.dumps({"value": self.value, "channel": self.channel, "ts": self.ts})


def pressed(body: Json, identity: Identity, seal: Seal) -> Press | None:
    """The press of a block_actions payload; None if it is not on a card of ours."""
    container = _mapping(body.get("container"))
    if container.get("type") != "message" or not identity.wrote(body.get("message")):
        return None
    value = _used(body).get("value") or _chosen(body)[2:] or None
    return _press(body, seal, value, container.get("channel_id"), container.get("message_ts"))


def way(body: Json) -> str:
    """What was chosen in the menu beside the buttons: the two characters before the value."""
    return _chosen(body)[:2]


def _chosen(body: Json) -> str:
    value = _mapping(_used(body).get("selected_option")).get("value")
    return value if isinstance(value, str) else ""


def _used(body: Json) -> Json:
    actions = body.get("actions")
    return _mapping(actions[0]) if isinstance(actions, list) and actions else {}


def carried(body: Json, seal: Seal) -> Press | None:
    """The press that a submitted modal carries; None if it carries none of ours."""
    try:
        held = _mapping(json.loads(str(_mapping(body.get("view")).get("private_metadata"))))
    except ValueError:
        return None
    return _press(body, seal, held.get("value"), held.get("channel"), held.get("ts"))


def ear_of(body: Json) -> Ear:
    """Where the person of any interaction can be told something."""
    container = _mapping(body.get("container"))
    return Ear(
        user=str(_mapping(body.get("user")).get("id") or ""),
        channel=str(container.get("channel_id") or _mapping(body.get("channel")).get("id") or ""),
        response_url=str(body.get("response_url") or ""),
    )


def _press(body: Json, seal: Seal, value: object, channel: object, ts: object) -> Press | None:
    account = account_of(body)
    if account is None or not isinstance(value, str) or not isinstance(channel, str) or not isinstance(ts, str):
        return None
    sealed = seal.opened(value, channel)
    return Press(sealed.request, sealed.shown, account, channel, ts, value) if sealed else None


def account_of(body: Json) -> Account | None:
    """The account of a payload's user: of *their* team, which in a shared channel need not be ours."""
    user = _mapping(body.get("user"))
    team, name = user.get("team_id"), user.get("id")
    return Account("slack", team, name) if isinstance(team, str) and isinstance(name, str) else None


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
