"""Things that go wrong on purpose: failing methods, dropped connections, lost or doubled clicks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class MethodFault:
    """What happens to the next `times` calls of a Web API method (`*` for any), optionally in one channel only.

    Response URLs are the method `response_url`; there only `status` counts.
    """

    method: str = "*"
    channel: str | None = None
    times: int = 1
    status: int | None = None  #: answer with this HTTP status and no JSON
    error: str | None = None  #: answer {"ok": false, "error": …}
    ratelimited: int | None = None  #: answer 429 with this Retry-After
    hang: float = 0.0  #: wait so many seconds first
    drop_before_processing: bool = False  #: cut the connection, nothing happens
    drop_after_processing: bool = False  #: do the work, then cut the connection
    after_processing: bool = False  #: do the work, then answer `status` or `error` all the same

    def matches(self, method: str, channel: str | None) -> bool:
        """Whether this call is meant."""
        return self.times > 0 and self.method in {"*", method} and self.channel in {None, channel}


@dataclass
class DeliveryFault:
    """What happens to the next `times` deliveries to the app of one kind (`*` for any)."""

    delivery: str = "*"  #: block_actions, view_submission, view_closed, slash_commands, events_api, shortcut …
    times: int = 1
    drop: bool = False  #: the app never hears of it; the person sees that the app did not respond
    duplicate: bool = False  #: it arrives twice; the first answer counts
    bad_signature: bool = False
    timestamp_offset: int = 0  #: seconds added to X-Slack-Request-Timestamp (the signature matches it)

    def matches(self, kind: str) -> bool:
        """Whether this delivery is meant."""
        return self.times > 0 and self.delivery in {"*", kind}


class Faults:
    """The faults that wait for their call or delivery; first added, first used."""

    def __init__(self) -> None:
        self._methods: list[MethodFault] = []
        self._deliveries: list[DeliveryFault] = []

    def add(self, **options: Any) -> MethodFault | DeliveryFault:
        """Add a fault: with `delivery=` one of DeliveryFault, else one of MethodFault.

        `faults.add(method="chat.postMessage", status=500, times=2)`,
        `faults.add(delivery="block_actions", drop=True)`. TypeError names an unknown option.
        """
        if "delivery" in options:
            delivery = DeliveryFault(**options)
            self._deliveries.append(delivery)
            return delivery
        method = MethodFault(**options)
        self._methods.append(method)
        return method

    def clear(self) -> None:
        """Forget every fault that waits."""
        self._methods.clear()
        self._deliveries.clear()

    def take_method(self, method: str, channel: str | None) -> MethodFault | None:
        """Use up and return the fault for this call, if there is one."""
        for fault in self._methods:
            if fault.matches(method, channel):
                fault.times -= 1
                return fault
        return None

    def take_delivery(self, kind: str) -> DeliveryFault | None:
        """Use up and return the fault for this delivery, if there is one."""
        for fault in self._deliveries:
            if fault.matches(kind):
                fault.times -= 1
                return fault
        return None


METHOD_OPTIONS = frozenset(option.name for option in fields(MethodFault))
DELIVERY_OPTIONS = frozenset(option.name for option in fields(DeliveryFault))
