"""The page at /: serves its files, tells it what a person sees, and takes their gestures.

The page is for the people on this computer. Against other web sites it is guarded by the Host header (DNS
rebinding), the Origin header and JSON bodies (cross-site requests), and a strict Content-Security-Policy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.acts import Acts
from sandbox.changes import Change
from sandbox.channels import Channel
from sandbox.errors import CannotDo, IncompleteForm
from sandbox.log import Delivery
from sandbox.views import View

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Gesture = Callable[[Json], Awaitable[Json]]

STATIC = Path(__file__).parent / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SHOWN_MESSAGES = 300
KEEP_ALIVE = 15.0

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Page:
    """The routes of the page."""

    def __init__(self, acts: Acts, allowed_hosts: Collection[str] = ()) -> None:
        self._acts = acts
        self._slack = acts.slack
        self._hosts = LOOPBACK | set(allowed_hosts)
        self._streams: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.AbstractRouteDef]:
        """Every route of the page, guarded."""
        gestures: dict[str, Gesture] = {
            "click": self._click,
            "click-view": self._click_view,
            "submit": self._submit,
            "close": self._close_view,
            "say": self._say,
            "home": self._open_home,
            "shortcut": self._shortcut,
        }
        return [
            web.get("/", self._guarded(self._index)),
            web.get("/static/{name}", self._guarded(self._file)),
            web.get("/page/state", self._guarded(self._state)),
            web.get("/page/messages", self._guarded(self._messages)),
            web.get("/page/files/{file}", self._guarded(self._uploaded)),
            web.get("/page/events", self._guarded(self._events)),
            *[web.post(f"/page/{name}", self._guarded(self._taking(gesture))) for name, gesture in gestures.items()],
        ]

    def close(self) -> None:
        """End every stream of live updates."""
        for stream in self._streams:
            stream.cancel()

    # ------------------------------------------------------------ guards

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            host = request.headers.get("Host", "")
            if _hostname(host) not in self._hosts:
                raise web.HTTPForbidden(text="this page answers only on localhost")
            if request.method == "POST" and not _own_page(request, host):
                raise web.HTTPForbidden(text="only the page itself may do this")
            return await handler(request)

        return handle

    def _taking(self, gesture: Gesture) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                answer = await gesture(await _body(request))
            except IncompleteForm as form:
                answer = {"ok": False, "error": "incomplete", "errors": form.errors}
            except CannotDo as refusal:
                answer = {"ok": False, "error": "cannot", "message": str(refusal)}
            return _json(answer)

        return handle

    # ------------------------------------------------------------ files

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return _static("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return _static(request.match_info["name"])

    # ------------------------------------------------------------ what a person sees

    def _viewer(self, request: web.Request) -> str:
        user = self._slack.workspace.users.get(request.query.get("user", ""))
        if user is None or user.deleted or user.is_bot:
            raise web.HTTPNotFound(text="nobody here by that name")
        return user.id

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Everything around the messages, as this person sees it; without a user, as the first one."""
        workspace = self._slack.workspace
        people = [user for user in workspace.users.values() if not user.deleted and not user.is_bot]
        viewer = self._viewer(request) if "user" in request.query else people[0].id
        home = self._slack.views.home(viewer)
        return _json(
            {
                "me": viewer,
                "now": self._slack.now(),
                "team": {"id": workspace.team_id, "name": workspace.name, "domain": workspace.domain},
                "app": {
                    "name": workspace.app.name,
                    "user": workspace.app.bot_user,
                    "events": sorted(workspace.app.events),
                },
                "users": [_person(user.as_json()) for user in workspace.users.values()],
                "groups": {group.id: group.handle for group in workspace.groups.values()},
                "channels": [self._place(one, viewer) for one in workspace.channels.values() if viewer in one.members],
                "commands": [vars(command) for command in workspace.app.commands.values()],
                "shortcuts": workspace.app.shortcuts,
                "views": [self._view(view) for view in self._slack.views.stack(viewer)],
                "home": self._view(home) if home else None,
            }
        )

    def _place(self, channel: Channel, viewer: str) -> Json:
        lasting = [message.ts for message in channel.messages.values()]
        own = [message.ts for message in channel.ephemerals.values() if message.only_for == viewer]
        return {
            "id": channel.id,
            "name": channel.name,
            "kind": channel.kind,
            "topic": channel.topic,
            "archived": channel.is_archived,
            "members": channel.members,
            "last": max(lasting + own, default=""),
        }

    def _view(self, view: View) -> Json:
        return self._slack.views.as_json(view) | {"errors": view.errors}

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        """The newest messages of a channel with this person's ephemeral ones among them."""
        viewer = self._viewer(request)
        channel = self._slack.workspace.channels.get(request.query.get("channel", ""))
        if channel is None or viewer not in channel.members:
            raise web.HTTPNotFound(text="no such channel")
        own = [message for message in channel.ephemerals.values() if message.only_for == viewer]
        shown = sorted([*channel.messages.values(), *own], key=lambda message: message.ts)[-SHOWN_MESSAGES:]
        team = self._slack.workspace.team_id
        return _json({"messages": [one.as_json(team) | {"ephemeral": one.only_for is not None} for one in shown]})

    async def _uploaded(self, request: web.Request) -> web.StreamResponse:
        """The text of a file that stands in a message this person can read; shown as text, whatever it is."""
        viewer, name = self._viewer(request), request.match_info["file"]
        places = (one for one in self._slack.workspace.channels.values() if viewer in one.members)
        shared = (file["id"] for place in places for message in place.messages.values() for file in message.files)
        file = self._slack.files.find(name) if name in shared else None
        if file is None:
            raise web.HTTPNotFound(text="no such file")
        return web.Response(body=file.data, headers=HEADERS, content_type="text/plain", charset="utf-8")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what changed for this person, so that the page can look again."""
        viewer = self._viewer(request)
        response = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream"})
        task = asyncio.current_task()
        if task is not None:
            self._streams.add(task)
        try:
            with self._slack.workspace.changes.listen() as queue:
                await response.prepare(request)
                await response.write(b": hello\n\n")
                await self._stream(response, queue, viewer)
        except ConnectionError:
            return response  # the page was closed
        finally:
            self._streams.discard(task) if task else None
        return response

    async def _stream(self, response: web.StreamResponse, queue: asyncio.Queue[Change], viewer: str) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    changes = [await queue.get()]
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            while not queue.empty():
                changes.append(queue.get_nowait())
            for frame in self._frames(changes, viewer):
                await response.write(f"data: {json.dumps(frame)}\n\n".encode())

    def _frames(self, changes: list[Change], viewer: str) -> list[Json]:
        """The changes this person may hear of, each once."""
        seen: dict[tuple[str, str], Json] = {}
        for change in changes:
            channel = self._slack.workspace.channels.get(change.channel)
            private = change.user and change.user != viewer
            hidden = change.kind == "message" and (channel is None or viewer not in channel.members)
            if change.kind not in {"call", "delivery"} and not private and not hidden:
                kind = "message" if change.kind == "ephemeral" else change.kind
                seen[kind, change.channel] = {"kind": kind, "channel": change.channel}
        return list(seen.values())

    # ------------------------------------------------------------ gestures

    async def _click(self, body: Json) -> Json:
        user, channel, ts, action_id, block_id = _texts(body, "user", "channel", "ts", "action_id", "block_id")
        chosen, state = body.get("choose"), _mapping(body, "state")
        return _outcome(await self._acts.click(user, channel, ts, action_id, block_id, choose=chosen, state=state))

    async def _click_view(self, body: Json) -> Json:
        user, view_id, action_id, block_id = _texts(body, "user", "view_id", "action_id", "block_id")
        chosen, values = body.get("choose"), _mapping(body, "values")
        return _outcome(
            await self._acts.click_in_view(user, view_id, action_id, block_id, choose=chosen, values=values)
        )

    async def _submit(self, body: Json) -> Json:
        user, view_id = _texts(body, "user", "view_id")
        return _outcome(await self._acts.submit_view(user, view_id, _mapping(body, "values")))

    async def _close_view(self, body: Json) -> Json:
        user, view_id = _texts(body, "user", "view_id")
        await self._acts.close_view(user, view_id, everything=bool(body.get("everything")))
        return {"ok": True}

    async def _say(self, body: Json) -> Json:
        """A line from the composer: a slash command if it starts with one, otherwise a message."""
        user, channel, text = _texts(body, "user", "channel", "text")
        text = text.strip()
        if text.startswith("/"):
            command, _, rest = text.partition(" ")
            return _outcome(await self._acts.command(user, channel, command, rest.strip()))
        if text:
            await self._acts.say(user, channel, text, body.get("thread_ts"))
        return {"ok": True}

    async def _open_home(self, body: Json) -> Json:
        (user,) = _texts(body, "user")
        delivery = await self._acts.open_home(user)
        return _outcome(delivery) if delivery else {"ok": True}

    async def _shortcut(self, body: Json) -> Json:
        user, callback_id = _texts(body, "user", "callback_id")
        return _outcome(await self._acts.shortcut(user, callback_id, body.get("channel"), body.get("ts")))


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text="this is no JSON") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="an object is needed")
    return body


def _texts(body: Json, *names: str) -> list[str]:
    """The fields of a gesture that must be strings."""
    values = [body.get(name) for name in names]
    if not all(isinstance(value, str) for value in values):
        raise web.HTTPBadRequest(text=f"needed as strings: {', '.join(names)}")
    return [str(value) for value in values]


def _mapping(body: Json, name: str) -> Json:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text=f"{name} must be an object")
    return value


def _outcome(delivery: Delivery) -> Json:
    """What the page shows about a delivery."""
    return {"ok": delivery.ok, "error": delivery.error or ""}


def _person(user: Json) -> Json:
    return {
        "id": user["id"],
        "name": user["name"],
        "real_name": user["profile"]["real_name"],
        "title": user["profile"]["title"],
        "deleted": user["deleted"],
        "bot": user["is_bot"],
        "guest": bool(user.get("is_restricted")),
    }


def _static(name: str) -> web.Response:
    known = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
    if name not in known:
        raise web.HTTPNotFound
    path = known[name]
    return web.Response(body=path.read_bytes(), headers=HEADERS, content_type=TYPES[path.suffix], charset="utf-8")


def _json(body: Json) -> web.Response:
    return web.json_response(body, headers=HEADERS)


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] or host


def _own_page(request: web.Request, host: str) -> bool:
    """Whether a state-changing request comes from the page itself: same origin, and JSON that no form can send."""
    origin = request.headers.get("Origin", "")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return origin == f"http://{host}" and site == "same-origin" and request.content_type == "application/json"
