"""Small documents beside the requests, in Redis or Valkey. What a method promises stands in approvals/ports.py."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from approvals.errors import StoreUnavailable
from approvals.ports import Kept
from storage.documents import json_text
from storage.redis.keys import Keys, home_of
from storage.redis.link import Link
from storage.shelf import folder_of

_FIELDS: Final = ("version", "until", "document")


class RedisShelf:
    """A Shelf: each folder lies in its home partition."""

    def __init__(self, link: Link, partitions: int, clock_offset: Callable[[], int]) -> None:
        self._link = link
        self._partitions = partitions
        self._clock_offset = clock_offset

    async def kept(self, name: str) -> Kept | None:
        keys = self._home(folder_of(name))
        now, fields = await self._together([("TIME",), ("HMGET", keys.kept(name), *_FIELDS)])
        return _read(name, fields, self._instant(now))

    async def keep(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        version: int | None = None,
        ttl: int | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Kept | None:
        put = await self._put(name, json_text(document), version, ttl, record)
        return Kept(name, document, put) if put > 0 else None

    async def drop(self, name: str, *, version: int | None = None, record: Mapping[str, Any] | None = None) -> bool:
        return await self._put(name, b"", version, None, record) == 0

    async def folder(self, folder: str) -> Sequence[Kept]:
        keys = self._home(folder)
        names = [name.decode() for name in await self._link.call("ZRANGE", keys.folder(folder), 0, -1)]
        if not names:
            return ()
        now, *found = await self._together([("TIME",), *(("HMGET", keys.kept(name), *_FIELDS) for name in names)])
        read = (_read(name, fields, self._instant(now)) for name, fields in zip(names, found, strict=True))
        return sorted((kept for kept in read if kept is not None), key=lambda kept: kept.name)

    async def _put(
        self, name: str, document: bytes, version: int | None, ttl: int | None, record: Mapping[str, Any] | None
    ) -> int:
        folder = folder_of(name)
        keys = self._home(folder)
        reply = await self._link.script(
            "keep",
            [keys.kept(name), keys.folder(folder), keys.meta, keys.journal],
            self._clock_offset(),
            name,
            document,
            "" if version is None else version,
            "" if ttl is None else ttl,
            "" if record is None else json_text(record),
            secrets.token_hex(8),
        )
        return int(reply)

    async def _together(self, commands: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        replies = await self._link.together(commands)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise StoreUnavailable(f"the memory did not answer: {type(reply).__name__}") from reply
        return replies

    def _instant(self, reply: Sequence[Any]) -> int:
        return int(reply[0]) * 1000 + int(reply[1]) // 1000 + self._clock_offset()

    def _home(self, folder: str) -> Keys:
        return Keys(home_of(folder, self._partitions))


def _read(name: str, fields: Sequence[Any], now: int) -> Kept | None:
    version, ends, document = fields
    if version is None or int(ends) <= now:
        return None
    return Kept(name, json.loads(document), int(version))
