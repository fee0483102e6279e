"""Reading what a platform sends without letting it be larger than it may be."""

from __future__ import annotations

from aiohttp import web


async def whole_body(request: web.Request, limit: int) -> bytes | None:
    """The whole body, or None as soon as it is known to be larger than `limit` bytes."""
    if (request.content_length or 0) > limit:
        return None
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
