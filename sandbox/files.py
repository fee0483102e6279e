"""Files: announced, brought to the upload address, then shared in a conversation as a message."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.workspace import Workspace

Json = dict[str, Any]


@dataclass
class File:
    """One file; nobody sees it before it is in a message."""

    id: str
    name: str
    length: int  #: bytes that were announced
    title: str = ""
    data: bytes | None = None  #: None until it was uploaded

    def as_json(self, workspace: Workspace) -> Json:
        """The file object of a message, as far as apps and the page read it."""
        address = f"https://files.slack.com/files-pri/{workspace.team_id}-{self.id}/{self.name.lower()}"
        return {
            "id": self.id,
            "created": int(workspace.now()),
            "timestamp": int(workspace.now()),
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": "text/plain",
            "filetype": "text",
            "pretty_type": "Plain Text",
            "user": workspace.app.bot_user,
            "mode": "snippet",
            "size": len(self.data or b""),
            "url_private": address,
            "url_private_download": f"{address}?download",
            "permalink": f"https://{workspace.domain}.slack.com/files/{workspace.app.bot_user}/{self.id}/{self.name}",
        }


class Files:
    """/upload/v1/<ticket>, and every file by its id."""

    def __init__(self) -> None:
        self.base = ""  #: http://… of this server, set when it listens
        self._files: dict[str, File] = {}
        self._tickets: dict[str, File] = {}

    def routes(self) -> list[web.AbstractRouteDef]:
        """The route to which files are brought; it asks for no token."""
        return [web.post("/upload/v1/{ticket}", self._take)]

    def announce(self, name: str, length: int) -> tuple[File, str]:
        """A new file and the address at which it is expected, once."""
        file, ticket = File(f"F{secrets.token_hex(5).upper()}", name, length), secrets.token_urlsafe(24)
        self._files[file.id] = self._tickets[ticket] = file
        return file, f"{self.base}/upload/v1/{ticket}"

    def find(self, file_id: str) -> File | None:
        """A file by its id."""
        return self._files.get(file_id)

    async def _take(self, request: web.Request) -> web.Response:
        file = self._tickets.pop(request.match_info["ticket"], None)
        data = await request.read()
        if file is None or len(data) != file.length:
            return web.Response(status=400, text="that is not the file that was announced")
        file.data = data
        return web.Response(text=f"OK - {len(data)}")
