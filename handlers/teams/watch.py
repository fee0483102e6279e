"""Whoever counts what happens at the door, in words of ours and of Microsoft's documentation, never in anybody's."""

from __future__ import annotations


class TeamsWatch:
    """Hears everything and counts nothing; whoever counts overrides what they count."""

    def called(self, name: str, code: str, seconds: float) -> None:
        """A call of the Connector or of Graph ended; `code` is ok, Microsoft's error, or our class of it."""

    def clicked(self, came_to: str) -> None:
        """A click was dealt with: counted, late, undecided, or the reason for which it was refused."""

    def decided(self, seconds: float) -> None:
        """How long deciding a click took."""

    def turned_away(self, reason: str) -> None:
        """A delivery was refused: too_large, or what the gate found."""
