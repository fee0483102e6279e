"""The agent's trace goes on through a request's life, whichever replica records it, and holds nobody's words."""

from __future__ import annotations

import itertools

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import StatusCode

from approvals.lifecycle import Event
from approvals.ports import Change
from bot.settings import Settings
from bot.telemetry.tracing import OUTCOME, SPEND, SUBMIT, WAIT, attributes_of, open_tracing, remote
from tests.approvals.make import AGENT, MINUTE, a_request, a_rule, a_vote, an_action, an_approved_request
from tests.telemetry.watched import a_watched_house, some_tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
NAMES = (SUBMIT, WAIT, SPEND, OUTCOME)


async def test_every_step_is_a_child_of_the_agents_span_and_links_to_the_one_before() -> None:
    watched = await a_watched_house()
    request = await watched.house.asked(trace=TRACEPARENT)
    watched.house.wait(MINUTE)
    await watched.house.click(request, "alice")
    approved = (await watched.house.store.get(request.id)).request
    await watched.house.spend(approved)
    watched.house.wait(5_000)
    await watched.house.report(approved)

    spans = [watched.span(name) for name in NAMES]
    assert [span.name for span in watched.spans.get_finished_spans()] == list(NAMES)
    for span in spans:
        assert span.context is not None
        assert span.parent is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == SPAN
    for before, after in itertools.pairwise(spans):
        (link,) = after.links
        assert before.context is not None
        assert (link.context.trace_id, link.context.span_id) == (before.context.trace_id, before.context.span_id)
    assert _seconds(watched.span(WAIT)) == 60
    assert _seconds(watched.span(OUTCOME)) == 5


async def test_without_a_trace_of_the_agents_the_submission_is_the_root() -> None:
    watched = await a_watched_house()
    await watched.house.approved()

    submit, wait = watched.span(SUBMIT), watched.span(WAIT)
    assert submit.parent is None
    assert submit.context is not None
    assert wait.parent is not None
    assert wait.parent.span_id == submit.context.span_id
    assert wait.context is not None
    assert wait.context.trace_id == submit.context.trace_id


async def test_two_replicas_name_the_same_span_alike() -> None:
    request = an_approved_request()
    contexts = []
    for _ in range(2):
        tracing, spans, _provider = some_tracing()
        tracing.changed(a_request(), Change(request, {}, "epoch"), 0)
        (span,) = spans.get_finished_spans()
        contexts.append(span.context)
    assert contexts[0] == contexts[1]


async def test_what_the_agent_does_not_sample_is_not_recorded() -> None:
    watched = await a_watched_house()
    await watched.house.asked(trace=f"00-{TRACE}-{SPAN}-00")

    assert watched.spans.get_finished_spans() == ()


async def test_a_decision_by_a_rule_a_lapse_of_time_and_a_withdrawal_are_told_apart() -> None:
    watched = await a_watched_house(rules=[a_rule(effect="deny")])
    await watched.house.asked()
    assert _attributes(watched.span(WAIT))["approval.mode"] == "policy"

    for event, mode in ((a_request().expired(5), "time"), (a_request().withdrawn(5), "agent")):
        assert attributes_of(WAIT, event)["approval.mode"] == mode
    assert attributes_of(WAIT, an_approved_request())["approval.mode"] == "human"


@pytest.mark.parametrize(("outcome", "code"), [("failed", StatusCode.ERROR), ("succeeded", StatusCode.UNSET)])
async def test_an_outcome_that_is_not_success_is_an_error(outcome: str, code: StatusCode) -> None:
    watched = await a_watched_house()
    request = await watched.house.approved()
    await watched.house.spend(request)
    await watched.house.report(request, outcome)

    assert watched.span(OUTCOME).status.status_code is code
    assert _attributes(watched.span(OUTCOME))["approval.outcome"] == outcome


async def test_a_late_report_is_another_outcome_of_the_same_spend() -> None:
    tracing, spans, _ = some_tracing()
    spent = an_approved_request().spent("attempt-1", AGENT, 10)
    lost = spent.reported(Event.LOSE, 20)
    tracing.changed(spent, Change(lost, {}, "epoch"), 0)
    tracing.changed(lost, Change(lost.reported(Event.SUCCEED, 30), {}, "epoch"), 0)

    first, second = spans.get_finished_spans()
    assert [_attributes(span)["approval.outcome"] for span in (first, second)] == ["unknown", "succeeded"]
    assert first.context is not None
    assert second.context is not None
    assert first.context.span_id != second.context.span_id


async def test_a_vote_that_decides_nothing_is_no_span() -> None:
    tracing, spans, _ = some_tracing()
    tracing.changed(a_request(), Change(a_request(votes=(a_vote(),)), {}, "epoch"), 0)

    assert spans.get_finished_spans() == ()


async def test_no_span_holds_an_argument_a_target_a_person_or_anybodys_words() -> None:
    watched = await a_watched_house()
    action = an_action(target="bank:top-secret", arguments={"iban": "DE00SECRET"}, nonce="n0nceSECRET" * 2)
    request = await watched.house.asked(action=action, because="because SECRET words")
    await watched.house.click(request, "alice", reason="SECRET reason")
    approved = (await watched.house.store.get(request.id)).request
    await watched.house.spend(approved)
    await watched.house.report(approved, "failed", note="SECRET note")

    everything = "".join(span.to_json() for span in watched.spans.get_finished_spans())
    for word in ("secret", "alice", "dana"):
        assert word not in everything.lower()


def test_attributes_use_the_conventions_names_or_our_namespace() -> None:
    conventions = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    for name in attributes_of(WAIT, an_approved_request()):
        assert name in conventions or name.startswith("approval."), name
    found = attributes_of(WAIT, an_approved_request(trace=TRACEPARENT))
    assert found["gen_ai.operation.name"] == "execute_tool"
    assert found["gen_ai.tool.name"] == "payments.release"
    assert found["approval.wait_ms"] == MINUTE
    assert (found["approval.quorum.need"], found["approval.quorum.got"]) == (1, 1)


@pytest.mark.parametrize("text", [None, "", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"])
def test_a_traceparent_that_names_no_span_is_none(text: str | None) -> None:
    assert remote(text) is None


async def test_tracing_is_off_unless_an_exporter_is_named() -> None:
    async with open_tracing(Settings(slack_mode="off"), "1.2.3") as tracing:
        assert tracing is None


def _seconds(span: object) -> float:
    start, end = getattr(span, "start_time", 0), getattr(span, "end_time", 0)
    return float(end - start) / 1e9


def _attributes(span: object) -> dict[str, object]:
    return dict(getattr(span, "attributes", None) or {})
