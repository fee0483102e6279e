"""A fault that somebody provokes: at which step, what fails, and a run that says what was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One row of the table. `run` raises AssertionError where it saw what must not be. `slow`: over some seconds."""

    step: str
    fault: str
    run: Callable[[], Awaitable[str]]
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.step}: {self.fault}"
