"""What happened: every Web API call and every delivery to the app, for assertions and for the curious."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of the Web API, or of a response URL (method `response_url`)."""

    method: str
    args: Json
    at: float
    status: int
    error: str | None = None  #: Slack's error code; None means it went well

    @property
    def ok(self) -> bool:
        """It answered {"ok": true}."""
        return self.status == 200 and self.error is None


@dataclass(frozen=True)
class Delivery:
    """One thing sent to the app, and what the app answered.

    `kind` is block_actions, view_submission, view_closed, slash_commands, events_api …; `status` is the HTTP
    status (200 for an acknowledged envelope, None if nothing came); `body` is the acknowledgement's body.
    """

    kind: str
    transport: str  #: http, socket, or none
    status: int | None
    body: Any
    elapsed: float
    error: str | None = None  #: timeout, not_connected, dropped, connection_failed, http_404 …
    payload: Json = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """The app acknowledged in time."""
        return self.error is None


@dataclass
class Log:
    """Everything that was called and delivered, oldest first."""

    calls: list[Call] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def calls_of(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.method == method]

    def deliveries_of(self, kind: str) -> list[Delivery]:
        """The deliveries of one kind."""
        return [delivery for delivery in self.deliveries if delivery.kind == kind]
