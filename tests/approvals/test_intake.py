"""What agents and tools append is read strictly, and refused with the field and the remedy, never the value."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from approvals.errors import EntryRefused
from approvals.intake import About, Heartbeat, ReportDocument, RequestDocument, SpendDocument, read, read_request
from tests.approvals.make import AGENT, NONCE
from tests.approvals.test_strict_json import I_JSON

REQUEST: dict[str, Any] = {
    "v": 1,
    "call": "run-118/release",
    "action": {
        "kind": "payments.release",
        "target": "bank:acme",
        "arguments": {"amount": "12400.00"},
        "preconditions": {},
        "nonce": NONCE,
    },
    "audience": "payments-bot",
    "because": "matches PO 118",
    "principal": "dana",
    "principal_token": "header.claims.signature",
    "started_by": "dana",
    "within": "PT30M",
    "cancel_on_disconnect": False,
    "supersedes": "0-" + "b" * 24,
    "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
ABOUT = {"v": 1, "request": "0-" + "a" * 24}
SPEND = {"v": 1, "receipt": "a.b.c", "attempt": "A" * 22}
REPORT = {"v": 1, "request": "0-" + "a" * 24, "attempt": "A" * 22, "outcome": "succeeded", "note": "ok"}
DOCUMENTS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (RequestDocument, REQUEST),
    (About, ABOUT),
    (SpendDocument, SPEND),
    (ReportDocument, REPORT),
    (Heartbeat, {"v": 1}),
]
SECRET = "s3cr3t\u202e"


def with_member(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a document in which the member at a dotted path is another."""
    name, _, rest = path.partition(".")
    return document | {name: with_member(document[name], rest, value) if rest else value}


def without_member(document: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy of a document without the member at a dotted path."""
    name, _, rest = path.partition(".")
    if rest:
        return document | {name: without_member(document[name], rest)}
    return {key: value for key, value in document.items() if key != name}


def taken(model: type[BaseModel], document: Any) -> BaseModel:
    """A document as the desk reads it."""
    raw = json.dumps(document).encode()
    return read_request(raw) if model is RequestDocument else read(model, raw)


def refusal(model: type[BaseModel], document: Any) -> EntryRefused:
    """How a document is refused."""
    with pytest.raises(EntryRefused) as caught:
        taken(model, document)
    return caught.value


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
def test_every_document_of_the_contract_is_read(model: type[BaseModel], document: dict[str, Any]) -> None:
    assert read(model, json.dumps(document).encode()).model_dump() == document


def test_a_request_needs_no_more_than_the_contract_requires() -> None:
    document = {"v": 1, "call": "c", "action": without_member(REQUEST["action"], "preconditions")}
    found = read_request(json.dumps(document).encode())
    assert (found.audience, found.principal, found.within_ms) == (None, None, None)
    assert found.action.preconditions == {}


@pytest.mark.parametrize(
    ("model", "document", "path"),
    [
        *((RequestDocument, REQUEST, path) for path in ("v", "call", "action")),
        *((RequestDocument, REQUEST, f"action.{name}") for name in ("kind", "target", "arguments", "nonce")),
        *((About, ABOUT, path) for path in ABOUT),
        *((SpendDocument, SPEND, path) for path in SPEND),
        *((ReportDocument, REPORT, path) for path in ("v", "request", "attempt", "outcome")),
    ],
)
def test_a_missing_member_is_named(model: type[BaseModel], document: dict[str, Any], path: str) -> None:
    refused = refusal(model, without_member(document, path))
    assert (refused.reason, refused.field, refused.remedy) == ("malformed", path, "add it")


@pytest.mark.parametrize(
    ("model", "document", "path"),
    [
        *((model, document, "surprise") for model, document in DOCUMENTS),
        (RequestDocument, REQUEST, "action.surprise"),
        (RequestDocument, REQUEST, "approved"),
    ],
)
def test_an_unknown_member_is_named(model: type[BaseModel], document: dict[str, Any], path: str) -> None:
    refused = refusal(model, with_member(document, path, SECRET))
    assert (refused.reason, refused.field, refused.remedy) == ("malformed", path, "remove it")


def paths(document: dict[str, Any]) -> list[str]:
    """Every member that has a fixed type, by its dotted path."""
    inner = [f"action.{name}" for name in document.get("action", ())]
    return [*document, *inner]


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
@pytest.mark.parametrize("wrong", [True, 1.0, 7, SECRET, "0-" + "a" * 24 + "\n", [], {"a": SECRET}, None])
def test_a_wrong_value_is_refused_by_its_field_and_never_repeated(
    model: type[BaseModel], document: dict[str, Any], wrong: Any
) -> None:
    for path in paths(document):
        if fits(path, wrong):
            continue
        refused = refusal(model, with_member(document, path, wrong))
        assert refused.reason in ("malformed", "unsupported"), path
        assert (refused.field or "").startswith(path), path
        assert "s3cr3t" not in f"{refused.message}{refused.field}{refused.remedy}"
        assert refused.remedy


def fits(path: str, value: Any) -> bool:
    """Whether a value is right at a path after all."""
    optional = ("audience", "principal", "principal_token", "started_by", "within", "supersedes", "trace")
    return (
        (isinstance(value, bool) and path == "cancel_on_disconnect")
        or (value is None and path in optional)
        or (isinstance(value, dict) and path in ("action.arguments", "action.preconditions"))
        or (isinstance(value, str) and path in ("because", "note", "receipt", "action.target"))
        or (path in ("call", "principal", "started_by") and value == "7")
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("call", ""),
        ("call", " c"),
        ("call", "c "),
        ("call", "c" * 201),
        ("call", "caf\u00e9"),
        ("call", "a\x00b"),
        ("because", "b" * 2_001),
        ("audience", "Bank"),
        ("audience", "a" * 64),
        ("audience", "bank-tool\n"),
        ("principal", "p" * 129),
        ("principal", "da na"),
        ("started_by", "<@U0DANA>"),
        ("action.target", ""),
        ("action.target", "t" * 501),
        ("action.kind", "payments"),
        ("action.kind", "payments..release"),
        ("action.kind", "payments.rele\u0430se"),
        ("trace", "00-" + "g" * 32 + "-00f067aa0ba902b7-01"),
    ],
)
def test_what_the_contract_does_not_spell_is_refused(path: str, value: str) -> None:
    assert refusal(RequestDocument, with_member(REQUEST, path, value)).field == path


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT30M", 1_800), ("PT1H", 3_600), ("PT90S", 90), ("PT1H30M5S", 5_405), ("PT0H1S", 1), ("PT9999H", 35_996_400)],
)
def test_a_deadline_is_read_as_iso_8601(text: str, seconds: int) -> None:
    document = read_request(json.dumps(with_member(REQUEST, "within", text)).encode())
    assert document.within_ms == seconds * 1000


@pytest.mark.parametrize(
    "text", ["", "PT", "P1D", "30M", "PT0S", "PT0H0M0S", "PT-5M", "PT1.5H", "PT5M3H", "pt5m", "PT5M ", "PT5M\n", "PT٣M"]
)
def test_what_is_no_deadline_is_refused(text: str) -> None:
    assert refusal(RequestDocument, with_member(REQUEST, "within", text)).field == "within"


@pytest.mark.parametrize("value", ["yes", "true", 1, None])
def test_only_true_and_false_say_whether_a_disconnect_withdraws(value: Any) -> None:
    assert refusal(RequestDocument, REQUEST | {"cancel_on_disconnect": value}).field == "cancel_on_disconnect"


@pytest.mark.parametrize("value", [[], "text", 1, None, True])
def test_a_body_that_is_no_object_is_refused(value: Any) -> None:
    assert refusal(RequestDocument, value).reason == "malformed"


@given(st.binary(max_size=400), st.sampled_from([model for model, _ in DOCUMENTS]))
def test_no_bytes_raise_anything_but_a_refusal(raw: bytes, model: type[BaseModel]) -> None:
    with pytest.raises(EntryRefused):
        read(model, raw)


@given(st.sampled_from(DOCUMENTS), st.data())
def test_no_json_in_place_of_a_member_raises_anything_but_a_refusal(
    sample: tuple[type[BaseModel], dict[str, Any]], data: st.DataObject
) -> None:
    model, document = sample
    path = data.draw(st.sampled_from(paths(document)))
    with suppress(EntryRefused):
        assert isinstance(taken(model, with_member(document, path, data.draw(I_JSON))), model)


@pytest.mark.parametrize("name", ["k" * 9_000, "a\u202eb", "a\x00b", "\n"])
def test_a_refusal_can_be_shown_whatever_the_unknown_member_was_called(name: str) -> None:
    refused = refusal(RequestDocument, REQUEST | {name: 1})
    assert len(refused.field or "") < 300
    assert (refused.field or "").isprintable()


def test_the_agent_is_no_member_of_a_request() -> None:
    assert refusal(RequestDocument, REQUEST | {"agent": AGENT}).field == "agent"
