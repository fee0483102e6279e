"""The gauges: what waits in a real Redis, what fails, what is in force."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from joserfc.jwk import OKPKey

from approvals.freeze import Freeze
from approvals.service import Approvals
from bot.courier import Courier
from bot.loops import Loop
from bot.telemetry.kit import Telemetry, version
from bot.telemetry.labels import Labels
from bot.telemetry.metrics import Metrics
from bot.telemetry.queues import Queues, open_queues
from bot.telemetry.sampler import Sampler
from bot.telemetry.watched import StoreTime
from handlers.slack.socket import Line
from storage.redis import RedisStore
from tests.approvals.house import SwitchedSigner, adopted
from tests.approvals.make import AGENT, MINUTE, a_document
from tests.bot.chat import Chat
from tests.bot.test_courier import until_quiet
from tests.servers import Server, running
from tests.service import a_service

pytestmark = pytest.mark.redis

OPS = "slack:C0OPS"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as one:
        yield one


@dataclass
class Sampled:
    """A service on a real Redis, and the sampler over it."""

    store: RedisStore
    queues: Queues
    approvals: Approvals
    metrics: Metrics
    sampler: Sampler
    loop: Loop
    lines: list[Line]  #: the last one is what the Socket Mode connection is now
    replicas: list[int]

    def value(self, name: str, **labels: str) -> float | None:
        """A gauge."""
        return self.metrics.registry.get_sample_value(name, labels)


@dataclass
class Seal:
    behind: bool = False


async def _no() -> bool:
    return False


async def _broken() -> bool:
    raise OSError("redis://:hunter2@redis")


@pytest.fixture(params=[1, 3])
async def sampled(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[Sampled]:
    server.command("FLUSHALL")
    partitions = int(request.param)
    async with (
        await RedisStore.connect(server.url, partitions=partitions) as store,
        open_queues(server.url, partitions) as queues,
    ):
        policies = adopted(store)
        await policies.put_in_force()
        kit = Telemetry(Metrics(), Labels(policies.current), StoreTime())
        approvals = a_service(kit.store(store), policies, SwitchedSigner(OKPKey.generate_key("Ed25519")))
        freeze = Freeze(scope="kind", name="reports.*", by="carol", at=1)
        await policies.put_freezes((freeze,), {"event": "freeze"}, instead_of=policies.current().epoch)
        loop = Loop("timers", _broken)
        lines, replicas = [Line(connected=False)], [1]

        async def _said() -> Line:
            return lines[-1]

        sampler = Sampler(
            metrics=kit.metrics,
            labels=kit.labels,
            store=store,
            queues=queues,
            policies=policies,
            journal=Seal(behind=True),
            loops=[loop],
            checks={"redis": _no, "slack": _broken},
            replicas=lambda: replicas[0],
            line=_said,
            wall=lambda: 1_780_000_000.0,
        )
        yield Sampled(store, queues, approvals, kit.metrics, sampler, loop, lines, replicas)


async def test_what_waits_is_counted_in_all_partitions(sampled: Sampled) -> None:
    request = await sampled.approvals.submit(a_document(f"run/{secrets.token_hex(4)}"), AGENT)
    sampled.store.clock_offset = request.terms.within + MINUTE
    await sampled.sampler.step()

    assert sampled.value("sayso_requests_pending") == 1
    assert sampled.value("sayso_queue_entries", queue="timers") == 1
    assert sampled.value("sayso_queue_entries", queue="cards") == 1
    assert sampled.value("sayso_queue_entries", queue="announcements") == 0
    lag = sampled.value("sayso_queue_lag_seconds", queue="timers")
    assert lag is not None
    assert 60 <= lag < 70
    assert sampled.value("sayso_queue_lag_seconds", queue="announcements") == 0
    home = request.id.split("-")[0]
    assert (sampled.value("sayso_journal_entries", partition=home) or 0) >= 1


async def test_what_waits_for_a_destination_is_counted_with_the_age_of_the_oldest(sampled: Sampled) -> None:
    chat = Chat(lambda: sampled.store.clock_offset, per_minute=1, burst=1)
    courier = Courier(sampled.store, {"slack": chat})
    await sampled.approvals.submit(a_document(f"run/{secrets.token_hex(4)}"), AGENT)
    sampled.store.clock_offset = 2 * MINUTE
    await sampled.approvals.submit(a_document(f"run/{secrets.token_hex(4)}"), AGENT)
    await courier.relay()
    await sampled.sampler.step()
    assert sampled.value("sayso_outbox_backlog", destination=OPS) == 2
    oldest = sampled.value("sayso_outbox_oldest_seconds", destination=OPS)
    assert oldest is not None
    assert 120 <= oldest < 130

    await until_quiet(courier)
    await sampled.sampler.step()
    assert sampled.value("sayso_outbox_backlog", destination=OPS) == 1

    sampled.store.clock_offset += 2 * MINUTE
    await until_quiet(courier)
    await sampled.sampler.step()
    assert sampled.value("sayso_outbox_backlog", destination=OPS) == 0
    assert sampled.value("sayso_outbox_oldest_seconds", destination=OPS) == 0


async def test_what_this_process_knows_is_shown(sampled: Sampled) -> None:
    await sampled.loop._once()
    await sampled.sampler.step()

    assert sampled.value("sayso_journal_behind") == 1
    assert sampled.value("sayso_freezes", scope="kind") == 1
    assert sampled.value("sayso_freezes", scope="all") == 0
    assert (sampled.value("sayso_loop_failing_seconds", loop="timers") or -1) >= 0
    assert sampled.value("sayso_ready", check="redis") == 0
    assert sampled.value("sayso_ready", check="slack") == 0
    assert sampled.value("sayso_sampled_timestamp_seconds") == 1_780_000_000


async def test_replicas_are_asked_of_the_server(sampled: Sampled) -> None:
    assert await sampled.queues.has_replicas(0)
    assert not await sampled.queues.has_replicas(1)


async def test_what_is_read_can_be_read_by_the_bots_own_user(server: Server) -> None:
    lines = {line.split()[1]: line for line in _acl()}
    server.command("FLUSHALL")
    server.command("ACL", "SETUSER", *lines["bot"].split()[1:])
    url = server.url.replace("redis://", "redis://bot:secret@")
    async with await RedisStore.connect(url) as store, open_queues(url, 1) as queues:
        await adopted(store).put_in_force()
        waiting = await queues.look(await store.now())
    assert waiting.pending == 0
    assert waiting.journal[0] >= 1


def _acl() -> list[str]:
    from storage.redis.acl import acl_lines

    return acl_lines([AGENT], [], 1, {"bot": "secret"})


def test_the_version_is_the_projects() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version())


async def test_connections_beyond_the_replicas_that_were_there_are_ghosts(sampled: Sampled) -> None:
    async def ghosts(connections: int, hellos: int, replicas: int) -> float | None:
        sampled.lines.append(Line(connected=True, connections=connections, hellos=hellos))
        sampled.replicas[0] = replicas
        await sampled.sampler.step()
        return sampled.value("sayso_slack_socket_ghosts")

    assert await ghosts(2, 1, 2) == 0
    assert await ghosts(2, 1, 1) == 0  # one left since Slack counted: its connection went with it
    assert await ghosts(3, 2, 1) == 2
    assert await ghosts(3, 2, 3) == 0  # the others had only not said yet that they run
    assert sampled.value("sayso_replicas") == 3
    assert sampled.value("sayso_slack_socket_connections") == 3
