"""The golden samples in tests/wire bind this SDK to the contract, as they bind the service."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from sayso import Action, InvalidRequest
from sayso.client import ended
from sayso.strict_json import parse
from sayso.wire import (
    DecisionAnswer,
    Deployment,
    about_body,
    name,
    read_answer,
    report_body,
    request_body,
    spend_body,
    within_seconds,
)

WIRE = Path(__file__).parents[2] / "tests" / "wire"
INDEX: dict[str, dict[str, str]] = json.loads((WIRE / "index.json").read_text())["documents"]
INVALID: list[dict[str, Any]] = json.loads((WIRE / "invalid" / "index.json").read_text())["entries"]
VECTORS: list[dict[str, Any]] = json.loads((WIRE / "digests.json").read_text())["vectors"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def sample(file: str) -> Any:
    """One golden document."""
    return json.loads((WIRE / file).read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_digests_are_the_golden_ones(vector: dict[str, Any]) -> None:
    action = Action.from_document(vector["action"])
    assert action.digest() == vector["digest"]
    assert rfc8785.dumps(action.document()).decode() == vector["canonical"]
    assert vector["digest"] == "sha256:" + hashlib.sha256(vector["canonical"].encode()).hexdigest()


def test_the_full_request_is_written_as_in_the_sample() -> None:
    golden = sample("request-full.json")
    del golden["cancel_on_disconnect"]  # the SDK leaves out what is always false
    action = Action.from_document(golden["action"])
    optional = {
        key: golden[key] for key in ("audience", "because", "principal", "principal_token", "started_by", "trace")
    }
    body = json.loads(request_body(action, call=golden["call"], within="PT30M", **optional))
    assert body == golden | {"within": "PT1800S"}


def test_the_minimal_request_is_written_with_its_preconditions() -> None:
    golden = sample("request-minimal.json")
    body = json.loads(request_body(Action.from_document(golden["action"]), call=golden["call"]))
    golden["action"]["preconditions"] = {}
    assert body == golden


def test_short_documents_are_written_as_in_the_samples() -> None:
    request, attempt = sample("withdraw.json")["request"], sample("spend.json")["attempt"]
    assert json.loads(about_body(request)) == sample("withdraw.json") == sample("collect.json")
    assert json.loads(spend_body(sample("spend.json")["receipt"], attempt)) == sample("spend.json")
    assert json.loads(report_body(request, attempt, "succeeded")) == sample("report-succeeded.json")
    note = "the bank was closed"
    assert json.loads(report_body(request, attempt, "failed", note)) == sample("report-failed.json")


def test_the_request_id_follows_from_agent_and_call() -> None:
    assert Deployment(1).request_id("payments-bot", "run-118/release") == sample("withdraw.json")["request"]
    assert Deployment(16).request_id("payments-bot", "run-118/release").startswith("13-")


@pytest.mark.parametrize(
    "file", [file for file, about in INDEX.items() if about["from"] == "bot" and file != "config.json"]
)
def test_every_answer_is_read_and_strange_members_are_ignored(file: str) -> None:
    document = sample(file)
    answer = read_answer(INDEX[file]["type"], json.dumps(document | {"future": [1]}).encode())
    assert answer is not None
    shown = answer.model_dump(mode="json")
    assert {key: value for key, value in document.items() if key in shown and key != "by"}.items() <= shown.items()


def test_every_decision_that_is_not_a_yes_has_its_exception() -> None:
    for file in INDEX:
        if file.startswith("decision-") and "approved" not in file:
            answer = DecisionAnswer.model_validate(sample(file))
            assert answer.request in str(ended(answer).request)


@pytest.mark.parametrize("entry", [entry for entry in INVALID if entry["field"] is None or "surrogate" in entry["file"]
                                   or "duplicate" in entry["file"]], ids=lambda entry: entry["file"])  # fmt: skip
def test_ambiguous_json_is_refused(entry: dict[str, Any]) -> None:
    raw = (WIRE / "invalid" / entry["file"]).read_bytes()
    if entry["file"] in ("list.json", "null.json", "too-large.json"):
        assert not isinstance(parse(raw), str)  # JSON, but not a document: refused for its shape or size
        return
    with pytest.raises(ValueError, match=r"."):
        parse(raw)


@pytest.mark.parametrize("file", [file for file, about in INDEX.items() if about["from"] != "bot"])
def test_unambiguous_json_is_read(file: str) -> None:
    assert isinstance(parse((WIRE / file).read_bytes()), dict)


@settings(deadline=None)  # a busy machine is no failure
@given(json_values)
def test_what_is_sent_is_read_back_with_the_same_digest(value: Any) -> None:
    action = Action.of("a.b", "t", {"value": value})
    raw = request_body(action, call="c")
    received = parse(raw)
    assert isinstance(received, dict)
    assert Action.from_document(received["action"]).digest() == action.digest()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Decimal("12400.00"), "pass money as a string"),
        (math.nan, "nan is not JSON"),
        (math.inf, "inf is not JSON"),
        (2**53, "pass ids and large numbers as strings"),
        (b"bytes", "base64"),
        ({1, 2}, "sorted list"),
        (object(), "object is not JSON"),
        ("\ud800", "lone surrogate"),
        ({1: 2}, "use strings as keys"),
        ({"\ud800": 2}, "lone surrogate"),
        (["x", {"deep": Decimal(1)}], r"arguments\.value\[1\]\.deep: Decimal"),
    ],
)
def test_arguments_that_are_not_json_are_named_before_anything_is_sent(value: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        Action.of("a.b", "t", {"value": value})
    assert caught.value.field.startswith("arguments")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "payments"}, "kind"),
        ({"kind": "Payments.release"}, "kind"),
        ({"kind": "payments.release\n"}, "kind"),
        ({"kind": "a." + "b" * 99}, "kind"),
        ({"target": ""}, "target"),
        ({"target": "t" * 501}, "target"),
        ({"target": 7}, "target"),
        ({"arguments": [1]}, "arguments"),
        ({"preconditions": "x"}, "preconditions"),
        ({"nonce": "short"}, "action.nonce"),
    ],
)
def test_a_bad_action_is_named_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Action.of(**{"kind": "a.b", "target": "t", "arguments": {}} | changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"call": ""}, "call"),
        ({"call": "c" * 201}, "call"),
        ({"call": "run\n"}, "call"),
        ({"call": "é"}, "call"),
        ({"audience": "Bank"}, "audience"),
        ({"because": "b" * 2001}, "because"),
        ({"principal": "a b"}, "principal"),
        ({"started_by": ""}, "started_by"),
        ({"principal_token": "not-a-token"}, "principal_token"),
        ({"principal_token": "a.b." + "c" * 8_192}, "principal_token"),
        ({"trace": "abc"}, "trace"),
        ({"within": "soon"}, "within"),
    ],
)
def test_a_bad_request_is_named_by_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_body(Action.of("a.b", "t", {}), **{"call": "c"} | changes)
    assert caught.value.field == field


def test_what_is_too_large_is_named_before_it_is_sent() -> None:
    with pytest.raises(InvalidRequest, match="pass a reference and a hash"):
        request_body(Action.of("a.b", "t", {"x": "y" * 65_000, "z": "y" * 1000}), call="c")


def test_thirty_two_levels_are_carried_and_no_more() -> None:
    deep: Any = "x"
    for _ in range(29):
        deep = [deep]
    parse(request_body(Action.of("a.b", "t", {"x": deep}), call="c"))
    with pytest.raises(InvalidRequest, match="flatten it"):
        Action.of("a.b", "t", {"x": [deep]})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidRequest, match="flatten it"):
        Action.of("a.b", "t", {"x": loop})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30m", 1800),
        ("PT30M", 1800),
        ("PT1H2M3S", 3723),
        ("90s", 90),
        ("2h", 7200),
        ("1d", 86_400),
        (timedelta(minutes=5), 300),
    ],
)
def test_within_may_be_spelled_in_many_ways(value: Any, seconds: int) -> None:
    assert within_seconds(value) == seconds


def test_within_counts_a_part_of_a_second_as_one() -> None:
    assert (within_seconds(45), within_seconds(0.2)) == (45, 1)


@pytest.mark.parametrize(
    "value", ["", "30", "PT", "-PT5M", "0m", "30 m", 0, -1, True, timedelta(0), math.nan, 1e12, None]
)
def test_within_that_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        within_seconds(value)


@pytest.mark.parametrize("bad", ["", "Upper", "-x", "a" * 64, "a.b", "tool", "a\n", 7])
def test_an_agent_has_a_plain_name(bad: Any) -> None:
    with pytest.raises(InvalidRequest):
        name(bad, "agent")
