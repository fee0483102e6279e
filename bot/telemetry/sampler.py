"""Brings the gauges up to date: what waits, what fails, what is in force. A loop of its own, every few seconds."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from approvals.errors import NotFound
from approvals.ports import Policies, Store
from bot.loops import Loop
from bot.telemetry.hooks import changed_at
from bot.telemetry.labels import Labels
from bot.telemetry.metrics import Metrics
from bot.telemetry.queues import Queues, Unseen, Waiting
from bot.telemetry.readiness import Check, Journal, look
from handlers.slack.socket import Line

EVERY = 10.0  #: seconds from one look to the next


class Sampler:
    """The step of the sampler's loop: first what this process knows, then what Redis says.

    `replicas` is how many processes run now, and `line` the Socket Mode connection, where there is one.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        labels: Labels,
        store: Store,
        queues: Queues,
        policies: Policies,
        journal: Journal,
        loops: Iterable[Loop],
        checks: Mapping[str, Check],
        replicas: Callable[[], int] = lambda: 1,
        line: Callable[[], Awaitable[Line]] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._labels = labels
        self._store = store
        self._queues = queues
        self._policies = policies
        self._journal = journal
        self._loops = tuple(loops)
        self._checks = checks
        self._replicas = replicas
        self._line = line
        self._hellos = 0
        self._most = 0  #: replicas that there were at once since Slack's last hello
        self._wall = wall

    async def step(self) -> bool:
        """Bring every gauge up to date."""
        self._loops_and_policy()
        self._metrics.replicas.set(self._replicas())
        if self._line is not None:
            self._show_line(await self._line())
        for name, works in (await look(self._checks)).items():
            self._metrics.ready.labels(name).set(works)
        now = await self._store.now()
        waiting = await self._queues.look(now)
        self._show(waiting)
        await self._outboxes(waiting, now)
        self._metrics.sampled.set(self._wall())
        return False

    def _show_line(self, line: Line) -> None:
        """Whose connections the app has: what Slack counted at its hello, less the replicas seen since then."""
        if line.hellos != self._hellos:
            self._hellos, self._most = line.hellos, 0
        self._most = max(self._most, self._replicas())
        self._metrics.socket_connected.set(line.connected)
        self._metrics.socket_connections.set(line.connections)
        self._metrics.socket_ghosts.set(max(0, line.connections - self._most))

    def _loops_and_policy(self) -> None:
        policy = self._policies.current()
        for loop in self._loops:
            self._metrics.loop_failing.labels(loop.name).set(loop.failing_for())
        self._metrics.journal_behind.set(self._journal.behind)
        self._metrics.policy.clear()
        self._metrics.policy.labels(policy.digest).set(1)
        for scope in ("agent", "kind", "all"):
            self._metrics.freezes.labels(scope).set(sum(freeze.scope == scope for freeze in policy.freezes))

    def _show(self, waiting: Waiting) -> None:
        self._metrics.pending.set(waiting.pending)
        for queue, backlog in waiting.queues.items():
            self._metrics.queue_entries.labels(queue.value).set(backlog.entries)
            self._metrics.queue_lag.labels(queue.value).set(backlog.lag / 1000)
        for partition, number in enumerate(waiting.journal):
            self._metrics.journal_entries.labels(str(partition)).set(number)

    async def _outboxes(self, waiting: Waiting, now: int) -> None:
        """How many requests wait for each destination, and how long the oldest of the first of them has waited."""
        entries: defaultdict[str, int] = defaultdict(int)
        since: dict[str, int] = {}
        for place, unseen in waiting.outboxes.items():
            destination = self._labels.destination(place)
            entries[destination] += unseen.entries
            since[destination] = min([since.get(destination, now), *[at async for at in self._changes(unseen)]])
        for destination in (*self._policies.current().destinations, *entries):
            self._metrics.cards_waiting.labels(destination).set(entries[destination])
            self._metrics.cards_oldest.labels(destination).set(max(0, now - since.get(destination, now)) / 1000)

    async def _changes(self, unseen: Unseen) -> AsyncIterator[int]:
        """Since when each of the first requests has waited, as far as they are kept."""
        for request in unseen.first:
            with suppress(NotFound):
                yield changed_at((await self._store.get(request)).request)
