"""What policy and people say of their attention: how often, and when not."""

from __future__ import annotations

from approvals.action import Frozen


class Hours(Frozen):
    """Hours of the day in a time zone, as minutes from midnight; they may span it."""

    begin: int
    end: int
    zone: str

    def hold(self, minute: int) -> bool:
        """Whether a minute of the day is among them."""
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


class Care(Frozen):
    """What policy says: how often a source is notified at most, and when nobody is who said nothing else."""

    per_hour: int | None = None
    per_day: int | None = None
    quiet: Hours | None = None
