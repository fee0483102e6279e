"""Draws the life of an approval from the code: `python -m docs.draw` rewrites the picture and the tables of the page.

tests/repository holds both to approvals/lifecycle.py, so that they cannot tell another story than the table there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from approvals.lifecycle import ENDED, TRANSITIONS, Event, Status

PICTURE: Final = Path(__file__).parent / "images" / "life-of-an-approval.svg"
PAGE: Final = Path(__file__).parent / "life-of-an-approval.md"

_WIDTH, _HEIGHT = 128, 44

#: The middle of each status's box. A status without a place is an error, and so a failing test.
_PLACES: Final[Mapping[Status, tuple[int, int]]] = {
    Status.PENDING: (110, 200),
    Status.APPROVED: (370, 90),
    Status.DENIED: (370, 200),
    Status.EXPIRED: (370, 270),
    Status.WITHDRAWN: (370, 340),
    Status.SPENT: (640, 90),
    Status.LAPSED: (640, 200),
    Status.REVOKED: (640, 270),
    Status.UNKNOWN: (850, 240),
    Status.SUCCEEDED: (1090, 50),
    Status.FAILED: (1090, 140),
}

#: How far along its arrow an event's name stands, where the middle is taken.
_NAMED_AT: Final[Mapping[tuple[Status, Event], float]] = {
    (Status.SPENT, Event.SUCCEED): 0.42,
    (Status.SPENT, Event.FAIL): 0.42,
    (Status.UNKNOWN, Event.SUCCEED): 0.45,
    (Status.UNKNOWN, Event.FAIL): 0.4,
}

_KIND: Final[Mapping[Status, str]] = {
    Status.PENDING: "open",
    Status.APPROVED: "yes",
    Status.SPENT: "yes",
    Status.SUCCEEDED: "yes",
    Status.UNKNOWN: "open",
}

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1180 390" role="img" aria-labelledby="title">
  <title id="title">The life of an approval (drawn by docs/draw.py from approvals/lifecycle.py)</title>
  <style>
    svg {
      --ground: #ffffff; --box: #f5f6f8; --line: #8a94a1; --ink: #1c2430; --soft: #5a6675;
      --yes: #1f7a4d; --open: #2f6fde; --no: #b3402f;
    }
    @media (prefers-color-scheme: dark) {
      svg {
        --ground: #12161d; --box: #1d2430; --line: #76828f; --ink: #e8ecf1; --soft: #a3afbd;
        --yes: #45b37d; --open: #7fb0ff; --no: #e07a6a;
      }
    }
    text {
      font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
      fill: var(--ink); text-anchor: middle;
    }
    .ground { fill: var(--ground); }
    .name { font-size: 15px; font-weight: 600; }
    .event {
      font-size: 12.5px; fill: var(--soft);
      paint-order: stroke; stroke: var(--ground); stroke-width: 6px; stroke-linejoin: round;
    }
    .key { font-size: 12px; fill: var(--soft); text-anchor: start; }
    .arrow { fill: none; stroke: var(--line); stroke-width: 1.5; marker-end: url(#tip); }
    rect { fill: var(--box); stroke-width: 1.6; }
    .yes { stroke: var(--yes); } .open { stroke: var(--open); } .no { stroke: var(--no); }
    .ended { stroke-width: 3.2; }
  </style>
  <defs>
    <marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path d="M0 0 L10 5 L0 10 z" style="fill: var(--line)"/>
    </marker>
  </defs>
  <rect class="ground" width="1180" height="390" rx="12"/>
"""

_TAIL = """\
  <rect class="open" x="478" y="348" width="26" height="16" rx="4"/>
  <text class="key" x="512" y="361">may still change</text>
  <rect class="open ended" x="638" y="348" width="26" height="16" rx="4"/>
  <text class="key" x="672" y="361">ended: nothing more can happen</text>
</svg>
"""


def picture() -> str:
    """The picture: a box for each status and an arrow for each entry of TRANSITIONS."""
    arrows = [_arrow(before, event, after) for (before, event), after in TRANSITIONS.items()]
    boxes = [_box(status) for status in Status]
    names = [_event(before, event, after) for (before, event), after in TRANSITIONS.items()]
    return _HEAD + "".join(f"  {part}\n" for part in (*arrows, *boxes, *names)) + _TAIL


def statuses() -> str:
    """The table of statuses with their sentences."""
    told = sentences(Status)
    rows = ((f"`{status}`", told[status], _listed(_next(status))) for status in Status)
    return _table(("status", "sentence", "may become"), rows)


def events() -> str:
    """The table of events with their sentences and where each leads."""
    told = sentences(Event)
    rows = ((f"`{event}`", told[event], "; ".join(_leads(event))) for event in Event)
    return _table(("event", "what happens", "leads"), rows)


def sentences(enum: type[StrEnum]) -> dict[str, str]:
    """The sentence that stands beside each member in the source."""
    found = re.findall(r'^\s+[A-Z]+ = "(\w+)"\s+#: (.+)$', inspect.getsource(enum), re.MULTILINE)
    return dict(found)


def page(text: str) -> str:
    """The page with its tables brought up to date."""
    for name, table in {"statuses": statuses(), "events": events()}.items():
        pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)"
        text, replaced = re.subn(pattern, rf"\1{table}\2", text, flags=re.DOTALL)
        if replaced != 1:
            raise ValueError(f"{PAGE.name} has no place for the table of {name}")
    return text


def _next(status: Status) -> list[Status]:
    return list(dict.fromkeys(after for (before, _), after in TRANSITIONS.items() if before is status))


def _leads(event: Event) -> list[str]:
    return [f"`{before}` → `{after}`" for (before, happened), after in TRANSITIONS.items() if happened is event]


def _listed(statuses: list[Status]) -> str:
    return ", ".join(f"`{status}`" for status in statuses) or "–"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _box(status: Status) -> str:
    x, y = _PLACES[status]
    kind = _KIND.get(status, "no") + (" ended" if status in ENDED else "")
    corner = f'x="{x - _WIDTH // 2}" y="{y - _HEIGHT // 2}"'
    box = f'<rect class="{kind}" {corner} width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
    return f'{box}<text class="name" x="{x}" y="{y + 5}">{status}</text>'


def _arrow(before: Status, event: Event, after: Status) -> str:
    way = "M{} C{} {} {}".format(*(f"{x:.0f} {y:.0f}" for x, y in _curve(before, after)))
    return f'<path class="arrow" d="{way}"><title>{before} {event} {after}</title></path>'


def _event(before: Status, event: Event, after: Status) -> str:
    x, y = _along(_curve(before, after), _NAMED_AT.get((before, event), 0.5))
    return f'<text class="event" x="{x:.0f}" y="{y + 4:.0f}">{event}</text>'


Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]


def _curve(before: Status, after: Status) -> Curve:
    """From the right edge of one box to the left edge of another."""
    (x1, y1), (x2, y2) = _PLACES[before], _PLACES[after]
    start, end = (x1 + _WIDTH / 2, y1), (x2 - _WIDTH / 2, y2)
    bend = (end[0] - start[0]) / 2
    return start, (start[0] + bend, y1), (end[0] - bend, y2), end


def _along(curve: Curve, t: float) -> Point:
    """The point of a cubic Bézier curve at t."""
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y


def main() -> None:
    """Write the picture and the page's tables."""
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
