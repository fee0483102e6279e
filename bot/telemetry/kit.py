"""The telemetry of one process, put together: what watches the ports and what they tell it."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from approvals.ports import Directory, Inbox, Policies, Signer, Store
from bot.settings import Settings
from bot.telemetry.hooks import CountingCourier, CountingSlack, CountingTeams
from bot.telemetry.labels import Labels
from bot.telemetry.metrics import Metrics
from bot.telemetry.tracing import Tracing, open_tracing
from bot.telemetry.watched import (
    Counting,
    Observer,
    StoreTime,
    WatchedDirectory,
    WatchedInbox,
    WatchedSigner,
    WatchedStore,
)

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Telemetry:
    """What counts and traces in this process; each method sets somebody beside a port."""

    metrics: Metrics
    labels: Labels
    time: StoreTime
    tracing: Tracing | None = None

    def store(self, store: Store) -> WatchedStore:
        """The memory, watched."""
        observers: list[Observer] = [Counting(self.metrics, self.labels, self.time)]
        if self.tracing is not None:
            observers.append(self.tracing)
        return WatchedStore(store, self.metrics, self.time, observers)

    def inbox(self, inbox: Inbox) -> WatchedInbox:
        """The intake streams, watched."""
        return WatchedInbox(inbox, self.metrics, self.time)

    def directory(self, directory: Directory) -> WatchedDirectory:
        """The directory, watched."""
        return WatchedDirectory(directory, self.metrics)

    def signer(self, signer: Signer) -> WatchedSigner:
        """The signer, watched."""
        return WatchedSigner(signer, self.metrics)

    def courier(self) -> CountingCourier:
        """Whom the courier tells."""
        return CountingCourier(self.metrics, self.labels, self.time)

    def slack(self) -> CountingSlack:
        """Whom the Slack door tells."""
        return CountingSlack(self.metrics)

    def teams(self) -> CountingTeams:
        """Whom the Teams door tells."""
        return CountingTeams(self.metrics)

    def policy_file(self, came_to: str) -> None:
        """Whom the reading of the policy file tells."""
        self.metrics.policy_files.labels(came_to).inc()

    def loop_failed(self, name: str) -> None:
        """Whom the loops tell."""
        self.metrics.loop_failures.labels(name).inc()


@asynccontextmanager
async def open_telemetry(settings: Settings, policies: Policies, redis: str) -> AsyncIterator[Telemetry]:
    """The telemetry the settings ask for; `redis` is the server's version. Spans are sent off on the way out."""
    metrics, running = Metrics(), version()
    metrics.build.labels(running, platform.python_version(), redis).set(1)
    async with open_tracing(settings, running) as tracing:
        yield Telemetry(metrics, Labels(policies.current), StoreTime(), tracing)


def version() -> str:
    """The version of the service: it is run from a checkout or the image, and never installed."""
    try:
        return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
