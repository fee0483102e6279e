"""Socket Mode: WebSocket connections the app opens, envelopes we send over them, acknowledgements we get.

Source: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from sandbox.delivery.http import Answer
from sandbox.slack import Slack

Json = dict[str, Any]

MAX_CONNECTIONS = 10
TAKES_ANSWER = {"view_submission", "slash_commands"}
_ENVELOPES = {"slash_commands": "slash_commands", "events_api": "events_api"}


class Connection:
    """One WebSocket of the app."""

    def __init__(self, socket: web.WebSocketResponse, number: int) -> None:
        self.socket = socket
        self.number = number
        self.frozen = False  #: half-open: nothing gets through any more, either way, not even pings

    async def send(self, frame: Json) -> None:
        """Send one frame; a connection that is gone or frozen swallows it, as a network does."""
        if self.frozen:
            return
        try:
            await self.socket.send_json(frame)
        except ConnectionError:
            self.frozen = True

    async def disconnect(self, reason: str) -> None:
        """Tell the app to go: `warning` stays open, every other reason closes the socket afterwards."""
        await self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}})
        if reason != "warning":
            await self.socket.close(code=WSCloseCode.OK)


class SocketHub:
    """Every connection of the app, and the envelopes that wait for an acknowledgement."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._numbers = itertools.count(1)
        self._turn = itertools.count()
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self.connections: list[Connection] = []
        #: what Slack does with an acknowledgement on another socket than the envelope's is not documented
        self.acks_on_other_sockets = True
        self._sent_on: dict[str, Connection] = {}

    # ------------------------------------------------------------ the app connects

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """/link/: one connection from hello to the end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._slack.socket_tickets:
            raise web.HTTPForbidden(text="invalid ticket")
        self._slack.socket_tickets.discard(ticket)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        connection = Connection(socket, next(self._numbers))
        if len(self.connections) >= MAX_CONNECTIONS:
            await connection.disconnect("too_many_websockets")
            return socket
        await self._serve(connection)
        return socket

    async def _serve(self, connection: Connection) -> None:
        self.connections.append(connection)
        self._announce()
        try:
            await connection.send(self._hello())
            async for message in connection.socket:
                await self._receive(connection, message)
        finally:
            self.connections.remove(connection)
            self._announce()

    def _announce(self) -> None:
        self._slack.workspace.changes.announce("sockets")

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._slack.workspace.app.id},
        }

    async def _receive(self, connection: Connection, message: WSMessage) -> None:
        if connection.frozen:
            return
        if message.type is WSMsgType.PING:
            await connection.socket.pong(message.data)
        elif message.type is WSMsgType.TEXT:
            self._acknowledged(connection, message.data)

    def _acknowledged(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            return  # Slack ignores what is not JSON
        envelope_id = str(frame.get("envelope_id")) if isinstance(frame, dict) else ""
        waiting = self._waiting.get(envelope_id)
        if waiting is None or waiting.done():
            return
        if self.acks_on_other_sockets or self._sent_on.get(envelope_id) is connection:
            waiting.set_result(frame.get("payload"))

    # ------------------------------------------------------------ we send

    async def send(self, kind: str, payload: Json, *, retry: int = 0, reason: str = "") -> Answer:
        """Send an envelope over the connection whose turn it is; wait for its answer as long as the caller does."""
        if not self.connections:
            return Answer(None, error="not_connected")
        connection = self.connections[next(self._turn) % len(self.connections)]
        envelope = _envelope(kind, payload)
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": reason}
        envelope_id = envelope["envelope_id"]
        self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        self._sent_on[envelope_id] = connection
        try:
            await connection.send(envelope)
            answer = await self._waiting[envelope_id]
            return Answer(200, answer if kind in TAKES_ANSWER else None)
        finally:
            del self._waiting[envelope_id], self._sent_on[envelope_id]

    async def ping(self) -> None:
        """Ping every connection, as Slack does from time to time."""
        for connection in list(self.connections):
            await connection.socket.ping(b"Ping from sandbox")

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Send every connection a disconnect frame."""
        for connection in list(self.connections):
            await connection.disconnect(reason)

    async def close(self) -> None:
        """Close every connection for good."""
        for connection in list(self.connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)


def _envelope(kind: str, payload: Json) -> Json:
    return {
        "envelope_id": str(uuid.uuid4()),
        "type": _ENVELOPES.get(kind, "interactive"),
        "accepts_response_payload": kind in TAKES_ANSWER,
        "payload": payload,
    }
