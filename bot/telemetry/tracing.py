"""Spans of a request's life, under the trace that the agent began, with the same ids whoever records them.

    the agent's span (its `traceparent`)
    ├── approval.submit    the request was taken
    ├── approval.wait      asked → decided
    ├── approval.spend     the receipt was used
    └── approval.outcome   spent → reported, or lost

Each links to the one before it. The replica that commits a change records its span; ids follow from the request, so
that any replica can name a span that another recorded. Where the agent began no trace, approval.submit is the root.
No span holds an argument, a target, a person or anybody's words; the call is named as the agent named it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision as Sampled
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from approvals.lifecycle import Status as Stage
from approvals.ports import Change
from approvals.request import Decision, Request
from bot.settings import Settings, SettingsInvalid

SUBMIT, WAIT, SPEND, OUTCOME = "approval.submit", "approval.wait", "approval.spend", "approval.outcome"

_OUTCOMES: Final = frozenset({Stage.SUCCEEDED, Stage.FAILED, Stage.UNKNOWN})
_NANOSECONDS: Final = 1_000_000  #: in a millisecond
_PROPAGATOR = TraceContextTextMapPropagator()


class DerivedIds(IdGenerator):
    """Gives out the ids that were laid ready, once; random ones otherwise."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._trace = 0
        self._span = 0

    def lay_ready(self, trace_id: int, span_id: int) -> None:
        """The next span gets these."""
        self._trace, self._span = trace_id, span_id

    def generate_trace_id(self) -> int:
        """Called for a root span only."""
        laid, self._trace = self._trace, 0
        return laid or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """Called for every span."""
        laid, self._span = self._span, 0
        return laid or self._random.generate_span_id()


class Tracing:
    """The observer that records spans."""

    def __init__(self, provider: TracerProvider, ids: DerivedIds) -> None:
        self._provider = provider
        self._ids = ids
        self._tracer = provider.get_tracer("sayso")

    def asked(self, request: Request, began: int) -> None:
        """The request was taken; a rule may have decided it at once."""
        self._record(SUBMIT, request, min(began, request.asked_at), request.asked_at, SpanKind.CONSUMER)
        if request.decision is not None:
            self._waited(request)

    def changed(self, before: Request, change: Change, began: int) -> None:
        """A step of its life, if this was one."""
        after = change.request
        if before.decision is None and after.decision is not None:
            self._waited(after)
        if before.spend is None and after.spend is not None:
            self._record(SPEND, after, min(began, after.spend.at), after.spend.at, SpanKind.CONSUMER, after_=WAIT)
        if after.outcome is not None and after.status is not before.status and after.status in _OUTCOMES:
            began_acting = after.spend.at if after.spend else after.outcome.at
            self._record(OUTCOME, after, began_acting, after.outcome.at, SpanKind.INTERNAL, after_=SPEND)

    def _waited(self, request: Request) -> None:
        until = request.decision.at if request.decision else request.asked_at
        self._record(WAIT, request, request.asked_at, until, SpanKind.INTERNAL, after_=SUBMIT)

    def _record(
        self, name: str, request: Request, start: int, end: int, kind: SpanKind, *, after_: str | None = None
    ) -> None:
        """One span, at once from its beginning (ms) to its end."""
        parent = self._parent(name, request)
        links = [Link(self._context(after_, request))] if after_ is not None else []
        own = f"{name} {request.status}" if name == OUTCOME else name  # a late report is another outcome
        self._ids.lay_ready(_own_trace(request), _span_id(own, request))
        span = self._tracer.start_span(
            name,
            context=Context() if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent)),
            kind=kind,
            attributes=attributes_of(name, request),
            links=links,
            start_time=start * _NANOSECONDS,
        )
        if name == OUTCOME and request.status is not Stage.SUCCEEDED:
            span.set_status(Status(StatusCode.ERROR, request.status.value))
        span.end(end * _NANOSECONDS)

    def _parent(self, name: str, request: Request) -> SpanContext | None:
        """The agent's span; without one the first of ours, which has none."""
        if (theirs := remote(request.trace)) is not None:
            return theirs
        return None if name == SUBMIT else self._context(SUBMIT, request)

    def _context(self, name: str, request: Request) -> SpanContext:
        """A span that was recorded before, here or elsewhere."""
        theirs = remote(request.trace)
        trace_id = theirs.trace_id if theirs is not None else _own_trace(request)
        flags = theirs.trace_flags if theirs is not None else self._flags(trace_id)
        return SpanContext(trace_id, _span_id(name, request), is_remote=True, trace_flags=flags)

    def _flags(self, trace_id: int) -> TraceFlags:
        """Whether a trace that we begin is recorded: the sampler says the same of the same id everywhere."""
        decision = self._provider.sampler.should_sample(None, trace_id, SUBMIT).decision
        return TraceFlags(TraceFlags.SAMPLED if decision is Sampled.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)


def attributes_of(name: str, request: Request) -> dict[str, AttributeValue]:
    """What a span says: the GenAI conventions' names where there are any, ours beside them."""
    terms, decision = request.terms, request.decision
    found: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.agent.id": request.agent,
        "gen_ai.agent.name": request.agent,
        "gen_ai.tool.name": request.action.kind,
        "gen_ai.tool.call.id": request.call,
        "approval.id": request.id,
        "approval.status": request.status.value,
        "approval.policy.id": "+".join(terms.rules),
        "approval.policy.digest": terms.policy,
        "approval.effect": request.presentation.effect,
        "approval.risk": request.presentation.risk,
        "approval.quorum.need": sum(factor.need for factor in terms.factors),
        "approval.quorum.got": sum(request.got().values()),
    }
    if name == WAIT and decision is not None:
        found["approval.outcome"] = decision.status.value
        found["approval.mode"] = _mode(decision)
        found["approval.wait_ms"] = decision.at - request.asked_at
    if name == OUTCOME:
        found["approval.outcome"] = request.status.value
    return found


def _mode(decision: Decision) -> str:
    """Who decided: policy, people, the agent itself, or time."""
    if decision.rule:
        return "policy"
    if decision.by:
        return "human"
    return "agent" if decision.status is Stage.WITHDRAWN else "time"


def remote(traceparent: str | None) -> SpanContext | None:
    """The span a traceparent names (W3C Trace Context); None where there is none, or none that is valid."""
    if traceparent is None:
        return None
    context = trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent}, Context())).get_span_context()
    return context if context.is_valid else None


@asynccontextmanager
async def open_tracing(settings: Settings, version: str) -> AsyncIterator[Tracing | None]:
    """The tracing that the settings ask for, or None; what is recorded is sent off on the way out."""
    if settings.otlp_endpoint is None:
        yield None
        return
    tracing, provider = tracing_to([BatchSpanProcessor(_exporter(settings.otlp_endpoint))], version)
    try:
        yield tracing
    finally:
        await asyncio.to_thread(provider.shutdown)


def tracing_to(processors: Sequence[SpanProcessor], version: str) -> tuple[Tracing, TracerProvider]:
    """Tracing into these processors, and the provider, which the caller shuts down."""
    ids = DerivedIds()
    resource = Resource.create({SERVICE_VERSION: version})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):  # nobody set OTEL_SERVICE_NAME
        resource = resource.merge(Resource({SERVICE_NAME: "sayso"}))
    provider = TracerProvider(id_generator=ids, resource=resource, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return Tracing(provider, ids), provider


def _exporter(endpoint: str) -> SpanExporter:
    """OTLP over HTTP; a part that is not installed is named. Headers come from OTEL_EXPORTER_OTLP_HEADERS."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as exc:
        raise SettingsInvalid(
            ["SAYSO_OTLP_ENDPOINT: the exporter is not installed; `uv sync --extra otlp`, or unset it"]
        ) from exc
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")


def _own_trace(request: Request) -> int:
    return _derived("trace", request, 16)


def _span_id(name: str, request: Request) -> int:
    return _derived(name, request, 8)


def _derived(name: str, request: Request, size: int) -> int:
    """An id that everybody derives alike; zero, which the specification forbids, does not happen in this universe."""
    return int.from_bytes(hashlib.sha256(f"sayso {name} {request.id}".encode()).digest()[:size], "big")
