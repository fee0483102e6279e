"""Bringing one thing to the app: which way, how long to wait, what goes wrong, what is retried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from sandbox.delivery.http import Answer, HttpTransport
from sandbox.delivery.payloads import event_callback
from sandbox.delivery.socket import SocketHub
from sandbox.faults import DeliveryFault
from sandbox.log import Delivery
from sandbox.slack import Slack

Json = dict[str, Any]


class Deliverer:
    """Sends payloads to the app by the way it has chosen and waits `deadline` seconds for the answer."""

    def __init__(
        self, slack: Slack, http: HttpTransport, hub: SocketHub, *, deadline: float, retry_delays: Sequence[float]
    ) -> None:
        self._slack = slack
        self._http = http
        self._hub = hub
        self.deadline = deadline
        self._retry_delays = retry_delays
        self._work: set[asyncio.Task[None]] = set()

    async def deliver(self, kind: str, payload: Json, *, retry: int = 0, reason: str = "") -> Delivery:
        """Send once (or as a fault has it) and log what came back."""
        fault = self._slack.faults.take_delivery(kind)
        transport = "http" if self._slack.workspace.app.request_url else "socket"
        started = time.monotonic()
        answer = await self._answer(kind, payload, fault, retry, reason)
        elapsed = time.monotonic() - started
        delivery = Delivery(kind, transport, answer.status, answer.body, elapsed, answer.error, payload)
        self._slack.log.deliveries.append(delivery)
        self._slack.workspace.changes.announce("delivery")
        if kind == "events_api" and answer.error and not answer.no_retry:
            self._retry_later(payload, retry, _retry_reason(answer.error))
        return delivery

    async def _answer(self, kind: str, payload: Json, fault: DeliveryFault | None, retry: int, reason: str) -> Answer:
        if fault and fault.drop:
            return Answer(None, error="dropped")
        first = self._in_time(kind, payload, fault, retry, reason)
        if not (fault and fault.duplicate):
            return await first
        answer, _ = await asyncio.gather(first, self._in_time(kind, payload, fault, retry, reason))
        return answer

    async def _in_time(self, kind: str, payload: Json, fault: DeliveryFault | None, retry: int, reason: str) -> Answer:
        try:
            async with asyncio.timeout(self.deadline):
                return await self._send(kind, payload, fault, retry, reason)
        except TimeoutError:
            return Answer(None, error="timeout")

    async def _send(self, kind: str, payload: Json, fault: DeliveryFault | None, retry: int, reason: str) -> Answer:
        url = self._slack.workspace.app.request_url
        if url is None:
            return await self._hub.send(kind, payload, retry=retry, reason=reason)
        return await self._http.send(url, kind, payload, fault=fault, extra=_retry_headers(retry, reason))

    # ------------------------------------------------------------ events

    async def event(self, event: Json) -> Delivery:
        """Send an event of the Events API; three retries follow if it is not acknowledged."""
        return await self.deliver("events_api", event_callback(self._slack.workspace, event))

    def event_soon(self, event: Json) -> None:
        """Send an event without waiting for the answer, if the app has subscribed to it."""
        self._start(self._event_quietly(event))

    async def _event_quietly(self, event: Json) -> None:
        await self.event(event)

    def _retry_later(self, payload: Json, attempts: int, reason: str) -> None:
        if attempts < len(self._retry_delays):
            self._start(self._retry(payload, attempts, reason))

    async def _retry(self, payload: Json, attempts: int, reason: str) -> None:
        await asyncio.sleep(self._retry_delays[attempts])
        await self.deliver("events_api", payload, retry=attempts + 1, reason=reason)

    @property
    def idle(self) -> bool:
        """Whether nothing is being sent in the background."""
        return not self._work

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def verify_url(self, challenge: str) -> Delivery:
        """The handshake when a request URL is saved: the app must answer with the challenge."""
        payload = {"token": self._slack.workspace.app.verification_token, "challenge": challenge}
        return await self.deliver("url_verification", payload | {"type": "url_verification"})

    async def close(self) -> None:
        """Give up what is still to be sent."""
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)


def _retry_headers(retry: int, reason: str) -> Mapping[str, str]:
    return {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason} if retry else {}


def _retry_reason(error: str) -> str:
    if error in {"timeout", "dropped"}:
        return "http_timeout"
    return "http_error" if error.startswith("http_") else "connection_failed"
