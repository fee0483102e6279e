"""Lays pictures out on one sheet, each under its caption, and keeps it small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP = 24
CAPTION = 26
COLOURS = 128  #: text on plain ground needs no more, and a sheet is a third of its size
_GROUNDS = {"light": ("#eceaee", "#57525c"), "dark": ("#0c0d0f", "#a4a0a8")}


def sheet(pictures: Sequence[tuple[str, Image.Image]], columns: int, path: Path, ground: str = "light") -> None:
    """Write the pictures to `path`: in their order, each where there is most room left."""
    width = max(picture.width for _, picture in pictures)
    ends = [GAP] * columns
    placed = []
    for caption, picture in pictures:
        column = ends.index(min(ends))
        placed.append((caption, picture, GAP + column * (width + GAP), ends[column]))
        ends[column] += CAPTION + picture.height + GAP
    back, ink = _GROUNDS[ground]
    canvas = Image.new("RGB", (GAP + columns * (width + GAP), max(ends)), back)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=17)
    for caption, picture, left, top in placed:
        draw.text((left, top), _clipped(caption, font, width), fill=ink, font=font)
        canvas.paste(picture, (left, top + CAPTION))
    path.parent.mkdir(parents=True, exist_ok=True)
    _small(canvas).save(path, optimize=True)


def _small(picture: Image.Image) -> Image.Image:
    """The picture with few colours, the nearest ones, so that edges stay sharp."""
    return picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _clipped(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """A caption that leaves the next one its place."""
    while font.getlength(words) > width:
        words = f"{words[:-2]}…"
    return words
