"""Whoever counts what happens at the door: told in words of ours and of Slack's documentation, never in anybody's."""

from __future__ import annotations


class SlackWatch:
    """Hears everything and counts nothing; whoever counts overrides what they count."""

    def called(self, method: str, code: str, seconds: float) -> None:
        """A method of the Web API was called; `code` is ok, Slack's error, ratelimited, http_5xx or no_answer."""

    def clicked(self, came_to: str) -> None:
        """A click or a form was dealt with: counted, late, undecided, or the reason for which it was refused."""

    def decided(self, seconds: float) -> None:
        """How long deciding a click took."""

    def turned_away(self, reason: str) -> None:
        """A delivery was refused unread: too_large, bad_signature, not_for_us, uninstalled
        or unreadable."""

    def connected(self) -> None:
        """Slack said hello on a new Socket Mode connection: the first, or one in place of another."""

    def disconnected(self, reason: str) -> None:
        """Slack ended a Socket Mode connection, or the whole installation (app_uninstalled, tokens_revoked)."""
