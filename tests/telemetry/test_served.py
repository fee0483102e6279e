"""The service as it runs: what it serves at /metrics and /readyz, and what it sends to a collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

import sayso
from tests.e2e import children
from tests.e2e.processes import Bot
from tests.e2e.world import ALICE, MALLORY, Lane, Mode, World, a_world
from tests.loopback import served

pytestmark = pytest.mark.redis

CHECKS = {"redis", "policy", "signer", "journal", "loops", "draining", "slack", "directory"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.mark.parametrize("mode", ["http", "socket"])
async def test_a_click_is_counted_and_nothing_of_the_action_is_shown(mode: Mode) -> None:
    async with a_world(mode) as world, aiohttp.ClientSession() as http:
        bot = await _bot(world)
        lane = world.lane()
        async with world.agent() as client:
            pending = await _ask(client, lane)
            await world.click(MALLORY, lane, pending.request)
            await world.click(ALICE, lane, pending.request)
            await pending.decision()
        async with http.post(f"{bot.url}/slack/events", data=b"{}") as forged:
            assert forged.status == (401 if mode == "http" else 404)
        text = await _scraped(http, bot.url)

    found = _samples(text)
    assert found[_of("sayso_clicks_total", came_to="counted")] == 1
    assert found[_of("sayso_clicks_refused_total", reason="not_an_approver")] == 1
    assert found[_of("sayso_click_seconds_count")] == 2
    assert found[_of("sayso_requests_total", kind=lane.kind, status="approved")] == 1
    assert found[_of("sayso_requests_asked_total", agent="lane-bot")] == 1
    assert found[_of("sayso_time_to_visible_seconds_count", destination=f"slack:{lane.channel}")] == 1
    cards = found[_of("sayso_slack_calls_total", method="chat.postMessage", code="ok")]
    assert cards in {1, 2}, "the card, and perhaps already the letter to whom the agent acts for"
    assert found[_of("sayso_intake_entries_total", type="request", came_to="accepted")] == 1
    if mode == "http":
        assert found[_of("sayso_slack_turned_away_total", reason="bad_signature")] == 1
    assert "top-secret" not in text
    assert pending.request not in text


async def test_what_is_forged_late_too_large_or_undecided_is_told_apart() -> None:
    async with a_world("http", ack_deadline=5.0) as world, aiohttp.ClientSession() as http:
        bot = await _bot(world)
        lane = world.lane()
        async with world.agent() as client:
            pending = await _ask(client, lane)
            late = await world.late_click(ALICE, lane, pending.request)
            card = await world.card(lane, pending.request)
            await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve", alter=_forge)
            world.redis.freeze()
            undecided = await world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve")
            assert not undecided.ok
            world.redis.thaw()
            await world.until(lambda: world.sandbox.click(ALICE, lane.channel, card.ts, "sayso:approve"))
            await pending.decision()
            await late()
        async with http.post(f"{bot.url}/slack/events", data=b"x" * 300_000) as refused:
            assert refused.status == 413
        found = _samples(await _scraped(http, bot.url))

    assert found[_of("sayso_clicks_refused_total", reason="not_ours")] == 1
    assert found[_of("sayso_clicks_total", came_to="refused")] == 1
    assert found[_of("sayso_clicks_total", came_to="undecided")] >= 1
    assert found[_of("sayso_clicks_total", came_to="late")] >= 1
    assert found[_of("sayso_slack_turned_away_total", reason="too_large")] == 1


async def test_slack_ending_a_connection_is_counted_by_its_reason() -> None:
    async with a_world("socket") as world, aiohttp.ClientSession() as http:
        bot = await _bot(world)
        await world.sandbox.socket.disconnect("refresh_requested")
        wanted = _of("sayso_slack_socket_disconnects_total", reason="refresh_requested")
        async with asyncio.timeout(20):
            while _samples(await _scraped(http, bot.url)).get(wanted) != 1:
                pass


async def test_the_gauges_are_there_soon_after_the_start() -> None:
    async with a_world("socket") as world, aiohttp.ClientSession() as http:
        bot = await _bot(world)
        async with asyncio.timeout(20):
            while (found := _samples(await _scraped(http, bot.url))).get(_of("sayso_ready", check="slack")) != 1:
                pass
        assert {dict(labels)["check"] for name, labels in found if name == "sayso_ready"} == CHECKS
        assert found[_of("sayso_slack_socket_connected")] in {0, 1}
        (build,) = [dict(labels) for name, labels in found if name == "sayso_build_info"]
        assert build["redis"] not in {"", "unknown"}


async def test_metrics_with_a_port_of_their_own_are_not_on_the_public_one() -> None:
    async with a_world("http") as world, aiohttp.ClientSession() as http:
        bot = await _bot(world, SAYSO_METRICS_PORT="0")
        async with http.get(f"{bot.url}/metrics") as answer:
            assert answer.status == 404
        url = next(iter(bot.logged("metrics")))["url"]
        assert "sayso_build_info" in await _scraped(http, str(url))
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 404


async def test_readyz_names_what_is_down_and_recovers() -> None:
    async with a_world("http") as world, aiohttp.ClientSession() as http:
        bot = await _bot(world)
        status, checks = await _ready(http, bot)
        assert (status, set(checks), all(checks.values())) == (200, CHECKS, True)

        world.redis.freeze()
        status, checks = await _ready(http, bot)
        assert status == 503
        assert [name for name, says in checks.items() if not says] == ["redis", "policy"]
        world.redis.thaw()
        async with asyncio.timeout(20):
            while (await _ready(http, bot))[0] != 200:
                pass


async def test_spans_reach_a_collector() -> None:
    async with a_collector() as collector, a_world("http") as world:
        await _bot(world, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
        lane = world.lane()
        async with world.agent() as client:
            pending = await _ask(client, lane)
            await world.click(ALICE, lane, pending.request)
            await pending.decision()
            async with asyncio.timeout(20):
                while collector.names() < {"approval.submit", "approval.wait"}:
                    collector.came.clear()
                    await collector.came.wait()
    (service,) = collector.services()
    assert service == "sayso"
    assert "top-secret" not in collector.text()


class Collector:
    """An OTLP/HTTP receiver on loopback."""

    def __init__(self) -> None:
        self.url = ""
        self.came = asyncio.Event()
        self.requests: list[ExportTraceServiceRequest] = []

    async def take(self, request: web.Request) -> web.Response:
        """POST /v1/traces."""
        message = ExportTraceServiceRequest()
        message.ParseFromString(await request.read())
        self.requests.append(message)
        self.came.set()
        return web.Response(content_type="application/x-protobuf")

    def names(self) -> set[str]:
        """The names of the spans so far."""
        return {
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def services(self) -> set[str]:
        """Who says that it sent them."""
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def text(self) -> str:
        """Everything that was sent."""
        return "".join(str(request) for request in self.requests)


@asynccontextmanager
async def a_collector() -> AsyncIterator[Collector]:
    collector = Collector()
    async with served([web.post("/v1/traces", collector.take)]) as url:
        collector.url = url
        yield collector


def _forge(body: dict[str, Any]) -> None:
    body["actions"][0]["value"] = body["actions"][0]["value"][:-4] + "AAAA"


async def _bot(world: World, **environment: str) -> Bot:
    bot = Bot(world.environment() | environment, world.folder)
    world.bots.append(bot)
    await bot.fork(children.serve, {})
    url = await bot.ready()
    if world.mode == "http":
        world.sandbox.connect_http(f"{url}/slack/events")
    return bot


async def _ask(client: sayso.Sayso, lane: Lane) -> sayso.Pending:
    return await client.ask_nowait(lane.kind, target="bank:top-secret", arguments={"iban": "top-secret"})


async def _scraped(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def _ready(http: aiohttp.ClientSession, bot: Bot) -> tuple[int, dict[str, bool]]:
    async with http.get(f"{bot.url}/readyz") as answer:
        return answer.status, (await answer.json())["checks"]


def _samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())
