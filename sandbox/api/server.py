"""The HTTP side of the Web API: reads a request, finds the method, answers as Slack does."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from aiohttp import web

from sandbox.api import apps, chat, conversations, files, users, views
from sandbox.api.call import Args, Call, Json, Method, merged
from sandbox.errors import MissingScope, RateLimited, SlackError
from sandbox.faults import MethodFault
from sandbox.log import Call as LoggedCall
from sandbox.slack import Slack

METHODS = merged((apps.methods, chat.methods, conversations.methods, files.methods, users.methods, views.methods))


class WebApi:
    """/api/<method>."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def routes(self) -> list[web.AbstractRouteDef]:
        """The routes of the Web API."""
        return [web.get("/api/{method}", self.handle), web.post("/api/{method}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        method = request.match_info["method"]
        try:
            args, token = await _read(request)
        except SlackError as error:
            return self._logged(method, {}, _response(error.body()), error.code)
        fault = self._slack.faults.take_method(method, str(args.get("channel", "")) or None)
        if fault:
            return await self._with_fault(request, method, args, token, fault)
        return await self._answered(method, args, token)

    async def _answered(self, method: str, args: Json, token: str) -> web.Response:
        try:
            body, error = await self._run(method, args, token), None
        except RateLimited as limited:
            return self._logged(method, args, _too_many(limited.retry_after), "ratelimited")
        except SlackError as refusal:
            body, error = refusal.body(), refusal.code
        return self._logged(method, args, _response(body, self._slack.workspace.app.scopes), error)

    async def _run(self, name: str, args: Json, token: str) -> Json:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        scopes = self._scopes(method, token)
        for scope in method.scopes:
            if scope not in scopes:
                raise MissingScope(scope, sorted(scopes))
        self._slack.limiter.check_method(name)
        call = Call(self._slack, name, Args(args), scopes)
        body = {"ok": True, **await method.run(call)}
        return _with_warnings(body, call.warnings)

    def _scopes(self, method: Method, token: str) -> set[str]:
        if method.caller == "anyone":
            return set()
        if not token:
            raise SlackError("not_authed")
        app = self._slack.workspace.app
        kind = app.token_kind(token)
        if kind is None:
            raise SlackError("invalid_auth")
        if kind != method.caller:
            raise SlackError("not_allowed_token_type")
        return app.scopes_of(kind)

    async def _with_fault(
        self, request: web.Request, method: str, args: Json, token: str, fault: MethodFault
    ) -> web.StreamResponse:
        if fault.hang:
            await asyncio.sleep(fault.hang)
        if fault.drop_before_processing:
            return self._cut(request, method, args)
        late = fault.after_processing or fault.drop_after_processing
        answer = await self._answered(method, args, token) if late else None
        if fault.drop_after_processing:
            return self._cut(request, method, args, log=False)
        if (bad := _bad_answer(fault)) is not None:
            return self._logged(method, args, bad, fault.error or f"http_{bad.status}")
        return answer or await self._answered(method, args, token)

    def _cut(self, request: web.Request, method: str, args: Json, *, log: bool = True) -> web.Response:
        """Close the connection without an answer, as a broken network does."""
        if request.transport is not None:
            request.transport.abort()
        response = web.Response(status=500)
        return self._logged(method, args, response, "dropped") if log else response

    def _logged(self, method: str, args: Json, response: web.Response, error: str | None) -> web.Response:
        self._slack.log.calls.append(LoggedCall(method, args, self._slack.now(), response.status, error))
        self._slack.workspace.changes.announce("call")
        return response


def _bad_answer(fault: MethodFault) -> web.Response | None:
    if fault.ratelimited is not None:
        return _too_many(fault.ratelimited)
    if fault.status is not None:
        return web.Response(status=fault.status, text="upstream connect error", content_type="text/plain")
    return _response({"ok": False, "error": fault.error}) if fault.error else None


def _too_many(retry_after: int) -> web.Response:
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": str(retry_after)})


def _response(body: Json, scopes: set[str] | None = None) -> web.Response:
    headers = {"X-Slack-Req-Id": secrets.token_hex(16), "Cache-Control": "private, no-cache, no-store"}
    if scopes is not None:
        headers["X-OAuth-Scopes"] = ",".join(sorted(scopes))
    return web.json_response(body, headers=headers)


def _with_warnings(body: Json, warnings: list[str]) -> Json:
    if warnings:
        body["warning"] = ",".join(warnings)
        body["response_metadata"] = {**body.get("response_metadata", {}), "warnings": warnings}
    return body


async def _read(request: web.Request) -> tuple[Json, str]:
    """The arguments from query and body, and the token; a token inside JSON does not count, as in Slack."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        posted = await _read_json(request)
        posted.pop("token", None)
    else:
        posted = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    args |= posted
    scheme, _, header = request.headers.get("Authorization", "").partition(" ")
    token = header.strip() if scheme.lower() == "bearer" else ""
    return {name: value for name, value in args.items() if name != "token"}, token or str(args.get("token", ""))


async def _read_json(request: web.Request) -> Json:
    if not await request.read():
        return {}
    try:
        body: Any = await request.json()
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackError("json_not_object")
    return body
