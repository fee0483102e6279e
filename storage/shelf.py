"""Small documents beside the requests, in this process: the twin of storage/redis/shelf.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvals.ports import Kept
from storage.documents import json_text


def folder_of(name: str) -> str:
    """The folder of a name. Raises ValueError where it has none."""
    folder, _, rest = name.partition("/")
    if not (folder and rest):
        raise ValueError(f"{name!r} is no name on the shelf: write <folder>/<rest>")
    return folder


@dataclass(frozen=True)
class _Document:
    text: bytes
    version: int
    until: int | None


class MemoryShelf:
    """A Shelf in this process. `note` puts a record into the journal of a folder's home."""

    def __init__(self, now: Callable[[], int], note: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._now = now
        self._note = note
        self._documents: dict[str, _Document] = {}

    async def kept(self, name: str) -> Kept | None:
        folder_of(name)
        await asyncio.sleep(0)  # as over a network
        found = self._find(name)
        return None if found is None else Kept(name, json.loads(found.text), found.version)

    async def keep(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        version: int | None = None,
        ttl: int | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Kept | None:
        folder = folder_of(name)
        await asyncio.sleep(0)
        known = self._find(name)
        before = known.version if known else 0
        if version is not None and version != before:
            return None
        if record is not None:
            self._note(folder, record)
        ends = None if ttl is None else self._now() + ttl
        self._documents[name] = _Document(json_text(document), before + 1, ends)
        return Kept(name, document, before + 1)

    async def drop(self, name: str, *, version: int | None = None, record: Mapping[str, Any] | None = None) -> bool:
        folder = folder_of(name)
        await asyncio.sleep(0)
        known = self._find(name)
        if known is None:
            return True
        if version is not None and version != known.version:
            return False
        if record is not None:
            self._note(folder, record)
        del self._documents[name]
        return True

    async def folder(self, folder: str) -> Sequence[Kept]:
        names = sorted(name for name in self._documents if name.startswith(f"{folder}/"))
        return [kept for name in names if (kept := await self.kept(name)) is not None]

    def _find(self, name: str) -> _Document | None:
        found = self._documents.get(name)
        if found is not None and found.until is not None and found.until <= self._now():
            del self._documents[name]
            return None
        return found
