"""What the courier, the loops and the doors tell the metrics."""

from __future__ import annotations

from approvals.request import Request
from bot.courier import CourierWatch
from bot.telemetry.labels import Labels, word
from bot.telemetry.metrics import Metrics
from bot.telemetry.watched import StoreTime
from handlers.slack.watch import SlackWatch
from handlers.teams.watch import TeamsWatch

_COME_TO = frozenset({"counted", "late", "undecided"})


class CountingCourier(CourierWatch):
    """Counts what the courier shows, and what it cannot."""

    def __init__(self, metrics: Metrics, labels: Labels, time: StoreTime) -> None:
        self._metrics = metrics
        self._labels = labels
        self._time = time

    def shown(self, request: Request, destination: str, *, first: bool) -> None:
        place, now = self._labels.destination(destination), self._time.now()
        self._metrics.card_lag.labels(place).observe(max(0, now - changed_at(request)) / 1000)
        if first:
            self._metrics.to_visible.labels(place).observe(max(0, now - request.asked_at) / 1000)

    def failed(self, destination: str, code: str) -> None:
        self._metrics.chat_errors.labels(self._labels.destination(destination), word(code)).inc()


class _CountingClicks:
    """Counts clicks, through whatever door they came."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def clicked(self, came_to: str) -> None:
        refused = came_to not in _COME_TO
        self._metrics.clicks.labels("refused" if refused else came_to).inc()
        if refused:
            self._metrics.clicks_refused.labels(word(came_to)).inc()

    def decided(self, seconds: float) -> None:
        self._metrics.click.observe(seconds)


class CountingSlack(_CountingClicks, SlackWatch):
    """Counts what happens at the Slack door."""

    def called(self, method: str, code: str, seconds: float) -> None:
        self._metrics.slack_calls.labels(method, word(code)).inc()
        self._metrics.slack_call.labels(method).observe(seconds)

    def turned_away(self, reason: str) -> None:
        self._metrics.turned_away.labels(word(reason)).inc()

    def connected(self) -> None:
        self._metrics.socket_connects.inc()

    def disconnected(self, reason: str) -> None:
        self._metrics.socket_disconnects.labels(word(reason)).inc()


class CountingTeams(_CountingClicks, TeamsWatch):
    """Counts what happens at the Teams door."""

    def called(self, name: str, code: str, seconds: float) -> None:
        self._metrics.teams_calls.labels(name, word(code)).inc()
        self._metrics.teams_call.labels(name).observe(seconds)

    def turned_away(self, reason: str) -> None:
        self._metrics.teams_turned_away.labels(word(reason)).inc()


def changed_at(request: Request) -> int:
    """When a request last changed, in ms: since then its cards have been out of date, if they are."""
    moments = [request.asked_at, *(vote.at for vote in request.votes), *(one.at for one in request.interventions)]
    moments += [part.at for part in (request.decision, request.spend, request.outcome) if part is not None]
    return max([*moments, request.closed_at or 0])
