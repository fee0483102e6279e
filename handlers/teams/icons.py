"""The two icons that an app package must hold, drawn here: a check mark in a speech bubble's colour, as PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import hypot

_BLUE = (0x1D, 0x35, 0x57)
_MARK = ((0.26, 0.53), (0.44, 0.70), (0.76, 0.33))  #: the check mark's corners, as parts of the side
_STROKE = 0.065  #: half of its width

Pixel = tuple[int, int, int, int]


def color_icon(side: int = 192) -> bytes:
    """A white check mark on our blue."""
    return _png(side, _on_blue)


def outline_icon(side: int = 32) -> bytes:
    """A white check mark on nothing, as Teams asks for."""
    return _png(side, lambda covered: (255, 255, 255, round(255 * covered)))


def _on_blue(covered: float) -> Pixel:
    red, green, blue = (round(color + (255 - color) * covered) for color in _BLUE)
    return red, green, blue, 255


def _png(side: int, paint: Callable[[float], Pixel]) -> bytes:
    """A square picture (https://www.w3.org/TR/png/); `paint` gives a pixel by how much of it the mark covers."""
    rows = (b"\0" + b"".join(bytes(paint(_covered(x, y, side))) for x in range(side)) for y in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    data = zlib.compress(b"".join(rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _covered(x: int, y: int, side: int) -> float:
    """How much of a pixel the mark covers, 0 to 1; its edge is one pixel soft."""
    at = ((x + 0.5) / side, (y + 0.5) / side)
    distance = min(_distance(at, start, end) for start, end in pairwise(_MARK))
    return min(1.0, max(0.0, (_STROKE - distance) * side + 0.5))


def _distance(at: Sequence[float], start: Sequence[float], end: Sequence[float]) -> float:
    """From a point to a line between two others."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((at[0] - start[0]) * dx + (at[1] - start[1]) * dy) / (dx * dx + dy * dy)
    part = min(1.0, max(0.0, along))
    return hypot(at[0] - start[0] - part * dx, at[1] - start[1] - part * dy)
