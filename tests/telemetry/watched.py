"""A service over watched ports, everything real and in this process, and what its metrics and spans say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from approvals.desk import Desk
from approvals.service import Approvals
from bot.credentials import KnownCredentials
from bot.intake import Intake
from bot.telemetry.kit import Telemetry
from bot.telemetry.labels import Labels
from bot.telemetry.metrics import Metrics
from bot.telemetry.tracing import Tracing, tracing_to
from bot.telemetry.watched import StoreTime, WatchedDirectory, WatchedStore
from bot.zones import is_zone
from storage.memory import MemoryInbox
from tests.approvals.house import ISSUER, House, a_house
from tests.approvals.make import AGENT


@dataclass
class Watched:
    """A house whose ports are watched."""

    house: House
    kit: Telemetry
    store: WatchedStore
    directory: WatchedDirectory
    inbox: MemoryInbox
    intake: Intake
    spans: InMemorySpanExporter

    def value(self, name: str, **labels: str) -> float:
        """A sample as /metrics would show it; 0 where there is none."""
        return self.kit.metrics.registry.get_sample_value(name, labels) or 0.0

    def text(self) -> str:
        """Every label of every sample, to look for what must not be there."""
        return repr([sample.labels for family in self.kit.metrics.registry.collect() for sample in family.samples])

    async def sent(self, type_: str | None, body: bytes, *, owner: str = AGENT, tool: bool = False) -> None:
        """An entry that an agent or a tool sent, dealt with."""
        self.inbox.append(owner, type_, body, tool=tool)
        await self.intake.take()

    def span(self, name: str) -> ReadableSpan:
        """The one span of a name."""
        (found,) = [span for span in self.spans.get_finished_spans() if span.name == name]
        return found


async def a_watched_house(**sections: Any) -> Watched:
    """A house in which a policy is in force, watched."""
    house = await a_house(**sections)
    tracing, spans, _ = some_tracing()
    time = StoreTime(monotonic=lambda: house.now / 1000, wall=lambda: house.now / 1000)
    kit = Telemetry(Metrics(), Labels(house.policies.current), time, tracing)
    store, directory = kit.store(house.store), kit.directory(house.directory)
    house.approvals = Approvals(
        store=store,
        directory=directory,
        policies=house.policies,
        signer=kit.signer(house.signer),
        issuer=ISSUER,
        is_zone=is_zone,
        detector=KnownCredentials(),
    )
    inbox = house.store.inbox()
    policy = house.policies.current()
    await inbox.watch(policy.agents, policy.audiences)
    return Watched(house, kit, store, directory, inbox, Intake(kit.inbox(inbox), Desk(house.approvals)), spans)


def some_tracing() -> tuple[Tracing, InMemorySpanExporter, TracerProvider]:
    """Tracing into memory, as one replica has it."""
    spans = InMemorySpanExporter()
    tracing, provider = tracing_to([SimpleSpanProcessor(spans)], "1.2.3")
    return tracing, spans, provider
