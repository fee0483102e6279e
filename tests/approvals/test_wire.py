"""The service against the golden samples in tests/wire/, which bind it and the SDK to the same contract."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from approvals import wire
from approvals.action import Action, request_id, short_code
from approvals.errors import EntryRefused
from approvals.intake import About, Heartbeat, ReportDocument, RequestDocument, SpendDocument, read, read_request
from approvals.lifecycle import Status
from approvals.ports import Answer, Entry
from approvals.receipt import claims_of
from tests.approvals.make import NOW, a_request, an_approved_request, some_terms
from tests.approvals.test_request import in_status

SAMPLES = Path(__file__).parent.parent / "wire"
READERS: dict[str, type[BaseModel]] = {
    "withdraw": About,
    "collect": About,
    "heartbeat": Heartbeat,
    "spend": SpendDocument,
    "report": ReportDocument,
}
ENTRY = Entry(0, "payments-bot", False, "1795356120456-0", "request", b"")


def sample(name: str) -> Any:
    """A sample, read leniently."""
    return json.loads((SAMPLES / name).read_bytes())


def taken(kind: str, raw: bytes) -> BaseModel:
    """A body as intake reads it."""
    return read_request(raw) if kind == "request" else read(READERS[kind], raw)


WRITTEN_TO_US = [
    (name, about["type"]) for name, about in sample("index.json")["documents"].items() if about["from"] != "bot"
]
REFUSED = [(one["file"], one["type"], one["reason"], one["field"]) for one in sample("invalid/index.json")["entries"]]
VECTORS = [(one["name"], one["action"], one["canonical"], one["digest"]) for one in sample("digests.json")["vectors"]]


@pytest.mark.parametrize(("name", "kind"), WRITTEN_TO_US)
def test_every_valid_body_is_read_whole(name: str, kind: str) -> None:
    found = taken(kind, (SAMPLES / name).read_bytes()).model_dump()
    for member, value in sample(name).items():
        assert found[member] == (value if member != "action" else {"preconditions": {}} | value)


@pytest.mark.parametrize(("name", "kind", "reason", "field"), REFUSED, ids=[one[0] for one in REFUSED])
def test_every_invalid_body_is_refused_as_agreed(name: str, kind: str, reason: str, field: str | None) -> None:
    with pytest.raises(EntryRefused) as caught:
        taken(kind, (SAMPLES / "invalid" / name).read_bytes())
    assert (caught.value.reason, caught.value.field or None) == (reason, field)


def test_no_sample_is_left_out() -> None:
    listed = {"index.json", *(one[0] for one in REFUSED)}
    assert {path.name for path in (SAMPLES / "invalid").iterdir()} == listed


@pytest.mark.parametrize(("name", "action", "canonical", "digest"), VECTORS, ids=[one[0] for one in VECTORS])
def test_digests_are_those_agreed(name: str, action: dict[str, Any], canonical: str, digest: str) -> None:
    raw = json.dumps({"v": 1, "call": "c", "action": action}).encode()
    assert read_request(raw).action.digest() == digest == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def shape(value: Any) -> Any:
    """The members of a document and the types of their values."""
    if isinstance(value, Mapping):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_a_decision_is_written_as_agreed(status: Status) -> None:
    receipt = "a.b.c" if status is Status.APPROVED else None
    written = wire.decision_document(in_status(status), receipt)
    agreed = sample(f"decision-{status.value}.json")
    assert list(written) == list(agreed)
    assert (written["status"], written["changes"]) == (status.value, None)
    assert type(written["receipt"]) is type(agreed["receipt"])
    assert all(type(written[name]) is type(agreed[name]) for name in written if name not in ("reason", "use_by"))


def test_who_decided_is_written_as_agreed() -> None:
    def by(request: Any) -> Any:
        return wire.decision_document(request, None)["by"]

    assert shape(by(an_approved_request())) == shape(sample("decision-approved.json")["by"])
    allowed = a_request(terms=some_terms(verdict="allow")).decided_by_rule(NOW, jti="j")
    assert shape(by(allowed)) == shape(sample("decision-approved-by-policy.json")["by"])
    assert by(in_status(Status.EXPIRED)) == sample("decision-expired.json")["by"] == []


def test_a_question_that_is_open_has_no_decision_document() -> None:
    with pytest.raises(ValueError, match="is not decided"):
        wire.decision_document(a_request(), None)


ANSWERS = [
    (wire.pending(ENTRY, a_request()), "answer-pending.json"),
    (wire.refused(ENTRY, EntryRefused("kind_not_allowed", "m", field="action.kind", remedy="r")), "refused.json"),
    (wire.refused(ENTRY, EntryRefused("rate_limited", "m", remedy="r", retry_after=5)), "refused-rate-limited.json"),
    (wire.refused(ENTRY, EntryRefused("not_accepting", "m", remedy="r")), "refused-not-accepting.json"),
    (wire.about_attempt("spend", ENTRY, "0-a", "A", granted=True, jti="j"), "spend-granted.json"),
    (wire.about_attempt("spend", ENTRY, "0-a", "A", granted=False, reason="r", message="m"), "spend-refused.json"),
    (wire.about_attempt("report", ENTRY, "0-a", "A", recorded=True, status="failed"), "report-recorded.json"),
    (
        wire.about_attempt("report", ENTRY, "0-a", "A", recorded=False, reason="r", message="m"),
        "report-not-recorded.json",
    ),
]


@pytest.mark.parametrize(("answer", "name"), ANSWERS, ids=[name for _, name in ANSWERS])
def test_an_answer_is_written_as_agreed(answer: Answer, name: str) -> None:
    agreed = sample(name)
    assert answer.type == sample("index.json")["documents"][name]["type"]
    assert set(answer.body) == set(agreed)
    assert answer.body["v"] == agreed["v"] == 1
    assert answer.body["entry"] == agreed["entry"]


def test_the_receipt_of_the_samples_has_the_claims_we_mint() -> None:
    payload = sample("decision-approved.json")["receipt"].split(".")[1]
    agreed = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    minted = claims_of(an_approved_request(), issuer="https://sayso.example", partition=0, now=NOW + 60_000)
    for approver in (*agreed["approval"]["approvers"], *minted["approval"]["approvers"]):
        del approver["at"]  # seconds here, like every time of a JWT; the sample spells it as RFC 3339
    assert shape(minted) == shape(agreed)


def test_the_samples_name_their_own_request() -> None:
    approved = sample("decision-approved.json")
    asked = read_request((SAMPLES / "request-full.json").read_bytes())
    assert approved["request"] == request_id(approved["agent"], asked.call, 1)
    assert approved["digest"] == asked.action.digest()
    assert short_code(approved["digest"])[4] == "-"


@pytest.mark.parametrize("milliseconds", [0, 999, NOW, NOW + 1, 1_795_356_301_123, 253_402_300_799_999])
def test_instants_are_written_to_the_millisecond(milliseconds: int) -> None:
    text = wire.instant(milliseconds)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-22T14:05:01.123Z")
    moment = datetime.fromisoformat(text)
    assert round(moment.timestamp() * 1000) == milliseconds


def test_service_and_sdk_read_the_same_action(subtests: pytest.Subtests) -> None:
    for _, action, _, digest in VECTORS:
        with subtests.test(digest=digest):
            assert Action(**action).digest() == digest
            assert RequestDocument(v=1, call="c", action=Action(**action)).action.digest() == digest
