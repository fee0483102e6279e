"""What a button carries: which request and which rendering, sealed to our workspace, app and channel.

A platform hands a button's value back as it was; a value copied into another channel, or made up, opens no seal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

VERSION = "1"
_VALUE = re.compile(r"1\.([0-9]{1,4}-[a-z2-7]{24})\.([0-9a-f]{64})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Sealed:
    """The request a button belongs to, and the digest of the card it stands on."""

    request: str
    shown: str


class Seal:
    """Makes and opens button values (HMAC-SHA256) for one app in one workspace (or tenant).

    The key is secret, at least 32 bytes, the same in every replica.
    """

    def __init__(self, key: bytes, *, team: str, app: str) -> None:
        if len(key) < 32:
            raise ValueError("the key that seals buttons needs at least 32 bytes")
        self._key = key
        self._team = team
        self._app = app

    def value(self, sealed: Sealed, channel: str) -> str:
        """The value of a button on a card in a channel."""
        digest = sealed.shown.removeprefix("sha256:")
        return f"{VERSION}.{sealed.request}.{digest}.{self._mac(sealed, channel)}"

    def opened(self, value: str, channel: str) -> Sealed | None:
        """What a value says, if we sealed it for this channel."""
        found = _VALUE.fullmatch(value)
        if found is None:
            return None
        sealed = Sealed(found[1], f"sha256:{found[2]}")
        return sealed if hmac.compare_digest(found[3], self._mac(sealed, channel)) else None

    def _mac(self, sealed: Sealed, channel: str) -> str:
        parts = (
            f"sayso-button-{VERSION}",
            sealed.request,
            sealed.shown,
            self._team,
            self._app,
            channel,
        )
        mac = hmac.new(self._key, "\0".join(parts).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
