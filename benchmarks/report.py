"""A figure with its target, and percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. `target` is the most it should be; None: reported only."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the target was reached."""
        return self.target is None or self.value <= self.target

    def as_json(self) -> dict[str, Any]:
        """value, target, unit, ok."""
        return {"value": round(self.value, 3), "target": self.target, "unit": self.unit, "ok": self.ok}

    def as_text(self) -> str:
        """One aligned line."""
        target = "" if self.target is None else f"≤ {self.target:g}  {'ok' if self.ok else 'MISSED'}"
        return f"{self.name:<44}{self.value:>9.2f} {self.unit:<3}  {target:<12}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
