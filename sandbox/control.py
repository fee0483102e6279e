"""A small endpoint for tests that drive the sandbox from another process: faults in, log out.

Every request needs the control token as a bearer token; the token is made fresh for each sandbox.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox.faults import DELIVERY_OPTIONS, METHOD_OPTIONS
from sandbox.slack import Slack


class Control:
    """/control/…"""

    def __init__(self, slack: Slack, token: str) -> None:
        self._slack = slack
        self._token = token

    def routes(self) -> list[web.AbstractRouteDef]:
        """The routes for tests."""
        return [
            web.post("/control/faults", self.add_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/log", self.show_log),
        ]

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise web.HTTPUnauthorized

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add one fault; the JSON body has the options of Faults.add."""
        self._admit(request)
        options: Any = await request.json()
        known = DELIVERY_OPTIONS if isinstance(options, dict) and "delivery" in options else METHOD_OPTIONS
        if not isinstance(options, dict) or not set(options) <= known:
            raise web.HTTPBadRequest(text="unknown option")
        self._slack.faults.add(**options)
        return web.json_response({"ok": True})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Forget every fault."""
        self._admit(request)
        self._slack.faults.clear()
        return web.json_response({"ok": True})

    async def show_log(self, request: web.Request) -> web.Response:
        """Every call and every delivery so far."""
        self._admit(request)
        log = self._slack.log
        return web.json_response(
            {"calls": [asdict(call) for call in log.calls], "deliveries": [asdict(one) for one in log.deliveries]}
        )
