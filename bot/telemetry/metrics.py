"""Every metric of the service, by name; docs/reference/metrics.md lists them and a test holds it to this file.

No label ever holds an agent's words: agents, kinds and destinations are named only where the policy names them
(labels.py), everything else is a word of ours or of the platform's documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

PATH = "/metrics"

_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  #: seconds: a call to Redis
_CALLS = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)  #: seconds: a call to Slack; a click has 3
_LAGS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_PEOPLE = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0)


@dataclass(frozen=True)
class Family:
    """A metric as dashboards name it. A histogram's samples are `<name>_bucket`, `_sum` and `_count`."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.families: list[Family] = []
        ProcessCollector(registry=self.registry)
        self._of_requests()
        self._of_doors()
        self._of_memory()
        self._of_the_process()
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show what alerts wait for before it happens: of a series that begins at 1, Prometheus sees no increase."""
        for came_to in ("counted", "late", "refused", "undecided"):
            self.clicks.labels(came_to)
        for came_to in ("adopted", "refused"):
            self.policy_files.labels(came_to)
        for reason in ("too_large", "bad_signature", "not_for_us"):
            self.turned_away.labels(reason)
        self.clicks_refused.labels("not_ours")
        self.spends_refused.labels("already_spent")

    def _of_requests(self) -> None:
        self.requests = self._counter(
            "sayso_requests_total", "Requests that came to a status; pending when asked.", "kind", "status"
        )
        self.asked = self._counter("sayso_requests_asked_total", "Requests asked, by agent.", "agent")
        self.pending = self._gauge("sayso_requests_pending", "Requests that people may still answer.")
        self.votes = self._counter("sayso_votes_total", "People's answers that counted.", "answer")
        self.to_decision = self._histogram(
            "sayso_time_to_decision_seconds", "From asked to decided, in whatever way.", _PEOPLE, "kind"
        )
        self.to_visible = self._histogram(
            "sayso_time_to_visible_seconds", "From asked to the card on screen.", _LAGS, "destination"
        )
        self.entries = self._counter(
            "sayso_intake_entries_total",
            "Entries of agents and tools that were answered: accepted, or the reason of the refusal.",
            "type",
            "came_to",
        )
        self.intake = self._histogram(
            "sayso_intake_seconds", "From an entry's arrival in Redis to its answer.", _LAGS, "type"
        )
        self.dead_letters = self._counter("sayso_dead_letters_total", "Refused entries that were kept aside.", "reason")
        self.spends_refused = self._counter(
            "sayso_spends_refused_total", "Attempts to use a receipt that were refused.", "reason"
        )

    def _of_doors(self) -> None:
        self.clicks = self._counter(
            "sayso_clicks_total", "Clicks and submitted forms: counted, late, refused, or undecided.", "came_to"
        )
        self.clicks_refused = self._counter("sayso_clicks_refused_total", "Clicks that did not count.", "reason")
        self.click = self._histogram("sayso_click_seconds", "From taking a click up to its decision.", _CALLS)
        self.turned_away = self._counter(
            "sayso_slack_turned_away_total", "Deliveries that were not Slack's, or not for us.", "reason"
        )
        self.slack_calls = self._counter("sayso_slack_calls_total", "Calls of Slack's Web API.", "method", "code")
        self.slack_call = self._histogram("sayso_slack_call_seconds", "Calls of Slack's Web API.", _CALLS, "method")
        self.teams_turned_away = self._counter(
            "sayso_teams_turned_away_total", "Deliveries that were not Teams', or not for us.", "reason"
        )
        self.teams_calls = self._counter(
            "sayso_teams_calls_total", "Calls of the Bot Connector and of Graph.", "method", "code"
        )
        self.teams_call = self._histogram(
            "sayso_teams_call_seconds", "Calls of the Bot Connector and of Graph.", _CALLS, "method"
        )
        self.socket_connected = self._gauge("sayso_slack_socket_connected", "1 while Socket Mode is connected.")
        self.socket_connections = self._gauge(
            "sayso_slack_socket_connections", "Connections of the whole app, as Slack said at the last hello."
        )
        self.socket_ghosts = self._gauge(
            "sayso_slack_socket_ghosts", "Connections beyond one for each replica: clicks that go there are lost."
        )
        self.socket_connects = self._counter(
            "sayso_slack_socket_connects_total", "Connections that Slack greeted, the first and every later one."
        )
        self.socket_disconnects = self._counter(
            "sayso_slack_socket_disconnects_total", "Connections that Slack ended.", "reason"
        )
        self.chat_errors = self._counter(
            "sayso_chat_errors_total", "Cards that could not be brought up to date at a try.", "destination", "code"
        )
        self.card_lag = self._histogram(
            "sayso_outbox_lag_seconds", "From a change to the card that shows it.", _LAGS, "destination"
        )
        self.cards_waiting = self._gauge(
            "sayso_outbox_backlog", "Requests whose card does not stand at a destination yet.", "destination"
        )
        self.cards_oldest = self._gauge(
            "sayso_outbox_oldest_seconds", "How long the oldest of them has waited.", "destination"
        )
        self.directory_errors = self._counter("sayso_directory_errors_total", "Look-ups of people that failed.")

    def _of_memory(self) -> None:
        self.redis = self._histogram("sayso_redis_seconds", "Operations on Redis.", _QUICK, "operation")
        self.redis_errors = self._counter(
            "sayso_redis_errors_total", "Operations that Redis did not answer.", "operation"
        )
        self.not_confirmed = self._counter(
            "sayso_redis_not_confirmed_total", "Commits that were not on enough replicas in time."
        )
        self.queue_entries = self._gauge("sayso_queue_entries", "Work waiting in Redis, due or not.", "queue")
        self.queue_lag = self._gauge("sayso_queue_lag_seconds", "How long the oldest work is overdue.", "queue")
        self.timer_lag = self._histogram("sayso_timer_lag_seconds", "From due to done, for what time does.", _LAGS)
        self.announcement_lag = self._histogram(
            "sayso_announcement_lag_seconds", "From a committed decision to its publication.", _LAGS
        )
        self.journal_entries = self._gauge("sayso_journal_entries", "Number of the journal's last entry.", "partition")
        self.journal_sealed = self._gauge(
            "sayso_journal_sealed", "Number of the last entry this process has sealed.", "partition"
        )
        self.journal_behind = self._gauge("sayso_journal_behind", "1 while Redis has lost entries that were sealed.")
        self.signer_errors = self._counter("sayso_signer_errors_total", "Signatures that could not be made.")

    def _of_the_process(self) -> None:
        self.loop_failures = self._counter("sayso_loop_failures_total", "Steps that ended in an error.", "loop")
        self.loop_failing = self._gauge(
            "sayso_loop_failing_seconds", "For how long a loop has failed without a success; 0 while it works.", "loop"
        )
        self.ready = self._gauge("sayso_ready", "1 while a check of /readyz says yes.", "check")
        self.replicas = self._gauge("sayso_replicas", "Processes of the service that run on this Redis.")
        self.sampled = self._gauge("sayso_sampled_timestamp_seconds", "When the gauges were last brought up to date.")
        self.policy = self._gauge("sayso_policy_info", "The policy this process works under.", "digest")
        self.policy_files = self._counter(
            "sayso_policy_files_total", "Policy files that were read while running: adopted, or refused.", "came_to"
        )
        self.freezes = self._gauge("sayso_freezes", "Freezes in force.", "scope")
        self.build = self._gauge("sayso_build_info", "What runs here.", "version", "python", "redis")

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        self.families.append(Family(name, "counter", labels, help))
        return Counter(name, help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        self.families.append(Family(name, "gauge", labels, help))
        return Gauge(name, help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: Sequence[float], *labels: str) -> Histogram:
        self.families.append(Family(name, "histogram", labels, help))
        return Histogram(name, help, labels, registry=self.registry, buckets=buckets)


def metrics_route(metrics: Metrics) -> web.RouteDef:
    """GET /metrics, in the form that the scraper asks for (text or OpenMetrics)."""

    async def show(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=encode(metrics.registry), headers=headers)

    return web.get(PATH, show)
