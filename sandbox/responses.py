"""Answers to an interaction: posts to its response URL, and messages inside an acknowledgement."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.api.chat import read_content
from sandbox.channels import Message
from sandbox.errors import SlackError
from sandbox.log import Call
from sandbox.slack import Slack
from sandbox.triggers import ResponseUrl

Json = dict[str, Any]


class Responses:
    """/response/<team>/<key>."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def routes(self) -> list[web.AbstractRouteDef]:
        """The route of response URLs."""
        return [web.post("/response/{team}/{key}", self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """One post to a response URL; 404 when it is used up or too old. Faults of method `response_url` apply."""
        try:
            body = await request.json()
        except ValueError:
            body = None
        fault = self._slack.faults.take_method("response_url", None)
        error = f"http_{fault.status or 500}" if fault else self._use(request.match_info["key"], body)
        status = (fault.status or 500) if fault else _status(error)
        call = Call("response_url", body if isinstance(body, dict) else {}, self._slack.now(), status, error)
        self._slack.log.calls.append(call)
        self._slack.workspace.changes.announce("call")
        if error is None:
            return web.Response(text="ok")
        return web.json_response({"ok": False, "error": error}, status=status)

    def _use(self, key: str, body: Any) -> str | None:
        try:
            url = self._slack.response_urls.use(key)
            if not isinstance(body, dict):
                raise SlackError("invalid_payload")
            self.respond(url, body)
        except SlackError as refusal:
            return refusal.code
        return None

    def respond(self, url: ResponseUrl, body: Json) -> None:
        """Do what the body says: delete or replace the original, or write a new message."""
        original = self._original(url)
        if body.get("delete_original"):
            if original:
                self._slack.workspace.delete(original)
            return
        content = read_content(str(body.get("text") or ""), body.get("blocks"))
        if body.get("replace_original") and original:
            self._replace(original, content)
        else:
            self._write(url, body, content)

    def _original(self, url: ResponseUrl) -> Message | None:
        channel = self._slack.workspace.channels.get(url.channel)
        return channel.find(url.message_ts, url.user) if channel and url.message_ts else None

    def _replace(self, original: Message, content: Json) -> None:
        for name, value in content.items():
            setattr(original, name, value)
        if original.only_for is None:
            workspace = self._slack.workspace
            original.edited = {"user": workspace.app.bot_id, "ts": workspace.next_ts()}
        self._slack.workspace.announce_message(original)

    def _write(self, url: ResponseUrl, body: Json, content: Json) -> None:
        workspace = self._slack.workspace
        public = body.get("response_type") == "in_channel"
        message = Message(
            channel=url.channel,
            ts=workspace.next_ts(),
            user=workspace.app.bot_user,
            bot=workspace.bot_fields(),
            only_for=None if public else url.user,
            thread_ts=body.get("thread_ts"),
            **content,
        )
        workspace.post(message)


def _status(error: str | None) -> int:
    if error is None:
        return 200
    return 404 if error.endswith("_url") else 400
