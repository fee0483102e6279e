"""Reading what a platform sends: no larger than it may be, and no text that cannot be kept."""

from __future__ import annotations

import re

from aiohttp import web

_HALVES = re.compile("[\ud800-\udfff]")


async def whole_body(request: web.Request, limit: int) -> bytes | None:
    """The whole body, or None as soon as it is known to be larger than `limit` bytes, also once it is unpacked.

    A body that breaks off, or is not packed as its headers say, is answered 400.
    """
    if (request.content_length or 0) > limit:
        return None
    body = bytearray()
    try:
        async for chunk in request.content.iter_chunked(65_536):
            body += chunk
            if len(body) > limit:
                return None
    except web.RequestPayloadError as exc:
        refused = web.HTTPBadRequest()
        refused.force_close()  # what comes after it on this connection cannot be read either
        raise refused from exc
    return bytes(body)


def well_formed(text: str) -> str:
    """The text with a replacement for each half of a character (a lone surrogate): nothing can keep those."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)
