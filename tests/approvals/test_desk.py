"""The desk: every kind of entry is given to the service and answered as the contract says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.desk import Desk, Handled
from approvals.errors import SignerUnavailable, StoreUnavailable
from approvals.ports import Entry
from tests.approvals.house import ATTEMPT, OTHER_ATTEMPT, House, a_house
from tests.approvals.make import AGENT, MINUTE, NONCE, a_rule

ENTRY = "1780000000000-7"
TOOL = "bank-tool"
BODY: dict[str, Any] = {
    "v": 1,
    "call": "run-118/release",
    "action": {
        "kind": "payments.release",
        "target": "bank:acme-gmbh",
        "arguments": {"amount": "12400.00", "currency": "EUR", "invoice": "INV-2093"},
        "nonce": NONCE,
    },
}


def entry(kind: str | None, body: Any, owner: str = AGENT, *, tool: bool = False) -> Entry:
    """An entry as it lies in a stream; `body` is raw, or becomes JSON."""
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return Entry(0, owner, tool, ENTRY, kind, raw)


async def handled(house: House, kind: str | None, body: Any, owner: str = AGENT, *, tool: bool = False) -> Handled:
    """How the desk handles an entry that nobody was handed out."""
    return await Desk(house.approvals).handle(entry(kind, body, owner, tool=tool))


async def handed_out(house: House, kind: str, body: Any, owner: str, *, tool: bool) -> Entry:
    """An entry as its sender appends it and a bot takes it."""
    inbox = house.store.inbox()
    await inbox.watch([] if tool else [owner], [owner] if tool else [])
    inbox.append(owner, kind, body if isinstance(body, bytes) else json.dumps(body).encode(), tool=tool)
    (found,) = await inbox.take(limit=1, block=1)
    return found


async def answered(house: House, kind: str, body: Any, owner: str = AGENT, *, tool: bool = False) -> dict[str, Any]:
    """The one answer to an entry, which names the entry; of the desk, or of the commit that settled the entry."""
    found = await handed_out(house, kind, body, owner, tool=tool)
    result = await Desk(house.approvals).handle(found)
    if result.settled:
        type_, text = house.store.inbox().answers(owner)[-1]
        told = {"type": type_, **json.loads(text)}
        assert result == Handled(settled=True)
    else:
        (answer,) = result.answers
        told = {"type": answer.type, **answer.body}
    assert told.pop("entry") == found.id
    assert told["v"] == 1
    return told


def spend(house: House, request: Any, attempt: str = ATTEMPT) -> dict[str, Any]:
    """The body of a spend."""
    return {"v": 1, "receipt": house.decision(request)["receipt"], "attempt": attempt}


async def test_a_request_is_answered_as_pending() -> None:
    house = await a_house()
    told = await answered(house, "request", BODY)
    assert (told["type"], told["status"], told["nonce"]) == ("pending", "pending", NONCE)
    assert (await house.store.get(told["request"])).request.code == told["code"]


async def test_a_request_that_is_decided_is_answered_by_its_decision_alone() -> None:
    house = await a_house(rules=[a_rule(effect="deny")])
    assert await handled(house, "request", BODY) == Handled()
    assert house.wakes() == 1


async def test_the_agent_is_who_may_write_the_stream() -> None:
    house = await a_house()
    told = await answered(house, "request", BODY, owner="somebody-else")
    assert (told["type"], told["reason"]) == ("refused", "unknown_agent")


async def test_withdrawing_and_collecting_are_answered_by_the_decision() -> None:
    house = await a_house()
    request = await house.asked()
    about = {"v": 1, "request": request.id}
    assert await handled(house, "collect", about) == Handled()
    assert await handled(house, "withdraw", about) == Handled()
    assert house.decision(request)["status"] == "withdrawn"
    assert await handled(house, "collect", about) == Handled()
    assert house.wakes() == 2


async def test_a_spend_is_granted_and_named_by_its_attempt() -> None:
    house = await a_house()
    request = await house.approved()
    told = await answered(house, "spend", spend(house, request))
    assert told == {
        "type": "spend",
        "v": 1,
        "request": request.id,
        "attempt": ATTEMPT,
        "granted": True,
        "jti": request.decision.jti if request.decision else None,
    }


async def test_a_second_spend_is_told_why_not_and_is_no_dead_letter() -> None:
    house = await a_house()
    request = await house.approved()
    first, second = spend(house, request), spend(house, request, OTHER_ATTEMPT)
    await handled(house, "spend", first)
    result = await handled(house, "spend", second)
    told = result.answers[0].body
    assert (told["granted"], told["reason"], told["attempt"]) == (False, "already_spent", OTHER_ATTEMPT)
    assert result.dead_letter is None


async def test_a_tool_spends_and_reports_on_its_own_stream() -> None:
    house = await a_house()
    request = await house.approved(audience=TOOL)
    assert (await answered(house, "spend", spend(house, request), TOOL, tool=True))["granted"] is True
    report = {"v": 1, "request": request.id, "attempt": ATTEMPT, "outcome": "succeeded"}
    told = await answered(house, "report", report, TOOL, tool=True)
    assert (told["recorded"], told["status"]) == (True, "succeeded")


async def test_a_report_that_does_not_fit_is_told_why() -> None:
    house = await a_house()
    request = await house.approved()
    report = {"v": 1, "request": request.id, "attempt": ATTEMPT, "outcome": "succeeded"}
    told = await answered(house, "report", report)
    assert (told["recorded"], told["reason"]) == (False, "wrong_audience")


@pytest.mark.parametrize("kind", ["request", "withdraw", "collect"])
async def test_a_tool_can_neither_ask_nor_take_back(kind: str) -> None:
    house = await a_house()
    request = await house.asked()
    body = BODY if kind == "request" else {"v": 1, "request": request.id}
    result = await handled(house, kind, body, AGENT, tool=True)
    assert result.dead_letter == "malformed"
    assert result.answers[0].body["field"] == "type"
    assert await house.status(request) == "pending"


@pytest.mark.parametrize("kind", [None, "", "approve", "decision", "REQUEST", "request "])
async def test_what_is_of_no_known_type_is_refused(kind: str | None) -> None:
    result = await handled(await a_house(), kind, BODY)
    assert (result.answers[0].type, result.dead_letter) == ("refused", "malformed")


async def test_an_entry_without_a_body_is_refused() -> None:
    assert (await handled(await a_house(), "request", None)).dead_letter == "malformed"


@pytest.mark.parametrize("kind", ["request", "withdraw", "collect", "spend", "report"])
@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b'{"v":1}', b"[" * 60_000, b'{"\\ud800":1}'])
async def test_junk_is_refused_and_kept_aside(kind: str, body: bytes) -> None:
    result = await handled(await a_house(), kind, body)
    (answer,) = result.answers
    assert (answer.type, answer.body["reason"], result.dead_letter) == ("refused", "malformed", "malformed")
    json.dumps(answer.body, ensure_ascii=False).encode()


@given(kind=st.sampled_from(["request", "withdraw", "collect", "spend", "report"]), body=st.binary(max_size=200))
async def test_no_bytes_stop_the_desk(kind: str, body: bytes) -> None:
    assert (await handled(await a_house(), kind, body)).dead_letter == "malformed"


async def test_a_conflict_is_kept_aside_and_the_first_stands() -> None:
    house = await a_house()
    first = await answered(house, "request", BODY)
    result = await handled(house, "request", BODY | {"action": BODY["action"] | {"target": "bank:other"}})
    assert result.dead_letter == "conflict"
    assert (await house.store.get(first["request"])).request.action.target == "bank:acme-gmbh"


async def test_what_is_too_large_says_so() -> None:
    result = await handled(await a_house(), "request", b" " * 65_537)
    assert result.dead_letter == "too_large"


async def test_what_cannot_be_done_now_stays_unanswered() -> None:
    house = await a_house(rules=[a_rule(effect="allow")])
    house.signer.down = True
    with pytest.raises(SignerUnavailable):
        await handled(house, "request", BODY)
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await handled(house, "request", BODY)


async def test_a_request_asked_again_after_its_time_is_told_how_it_ended() -> None:
    house = await a_house()
    first = await answered(house, "request", BODY)
    house.wait(30 * MINUTE)
    await house.approvals.after_time(first["request"])
    assert await handled(house, "request", BODY) == Handled()
    assert house.wakes() == 2
