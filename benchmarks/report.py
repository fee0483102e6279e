"""A figure with its target, and percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. `target` is the most it should be, or with `at_least` the least; None: reported only."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target was reached."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_json(self) -> dict[str, Any]:
        """value, target, unit, ok; and a note where there is one."""
        figure = {"value": round(self.value, 3), "target": self.target, "unit": self.unit, "ok": self.ok}
        return {**figure, "note": self.note} if self.note else figure

    def as_text(self) -> str:
        """One aligned line."""
        sense = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sense} {self.target:g}  {'ok' if self.ok else 'MISSED'}"
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:<62}{self.value:>10.2f} {self.unit:<4}  {target:<14}{note}".rstrip()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
