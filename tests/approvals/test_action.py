"""The digest that binds a yes to exactly these bytes, and the names derived from it."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from approvals.action import Action, digest_of, partition_of, partition_of_request, request_id, short_code
from tests.approvals.make import NONCE, an_action

#: Values and their RFC 8785 form, written by hand from §3.2.2 and §3.2.3 and the RFC's own samples.
CANONICAL: list[tuple[Any, str]] = [
    ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
    (
        {"\u20ac": "Euro", "\r": "CR", "1": "One", "\x80": "Control"},
        '{"\\r":"CR","1":"One","\x80":"Control","\u20ac":"Euro"}',
    ),
    ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'),  # by UTF-16 units, not by code points
    ([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], "[333333333.3333333,1e+30,4.5,0.002,1e-27]"),
    ([56.0, -0.0, 1e21, 1e20], "[56,0,1e+21,100000000000000000000]"),
    ('\u20ac$\x0f\nA\'B"\\\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
    ({"numbers": [], "nothing": None, "no": False}, '{"no":false,"nothing":null,"numbers":[]}'),
    ("e\u0301", '"e\u0301"'),  # never normalised: e + accent stays two characters
]


@pytest.mark.parametrize(("value", "canonical"), CANONICAL)
def test_a_digest_is_taken_over_the_canonical_form(value: Any, canonical: str) -> None:
    assert digest_of(value) == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def test_the_digest_of_an_action_covers_all_five_members_in_order() -> None:
    canonical = (
        '{"arguments":{"amount":"12400.00","currency":"EUR","invoice":"INV-2093"},"kind":"payments.release",'
        f'"nonce":"{NONCE}","preconditions":{{}},"target":"bank:acme-gmbh"}}'
    )
    assert an_action().digest() == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def test_absent_preconditions_are_empty_ones() -> None:
    members = an_action().model_dump()
    del members["preconditions"]
    assert Action(**members).digest() == an_action().digest()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "payments.releasf"},
        {"target": "bank:acme-gmbi"},
        {"arguments": {"amount": "12400.01", "currency": "EUR", "invoice": "INV-2093"}},
        {"arguments": {"amount": 12400.00, "currency": "EUR", "invoice": "INV-2093"}},
        {"arguments": {"amount": "12400.00", "currency": "EUR", "invoice": "INV-2093", "iban": None}},
        {"preconditions": {"balance": "1"}},
        {"nonce": "tE8x0aXq1mJmJv0b3zq2Vh"},
    ],
)
def test_one_thing_changed_gives_another_digest(change: dict[str, Any]) -> None:
    assert an_action(**change).digest() != an_action().digest()


@given(st.text(min_size=1), st.data())
def test_one_bit_changed_in_an_argument_gives_another_digest(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text) - 1))
    flipped = chr(ord(text[place]) ^ 1)
    if 0xD800 <= ord(flipped) <= 0xDFFF:
        return
    other = text[:place] + flipped + text[place + 1 :]
    assert an_action(arguments={"a": text}).digest() != an_action(arguments={"a": other}).digest()


def test_the_same_action_with_another_nonce_is_the_same_action() -> None:
    assert an_action().same_as(an_action(nonce="A" * 22))
    assert an_action(nonce="A" * 22).digest() != an_action().digest()


@pytest.mark.parametrize(
    "change",
    [{"kind": "payments.refund"}, {"target": "bank:other"}, {"arguments": {}}, {"preconditions": {"x": 1}}],
)
def test_nothing_but_the_nonce_is_ignored_in_comparing_actions(change: dict[str, Any]) -> None:
    assert not an_action().same_as(an_action(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "release"},
        {"kind": "Payments.release"},
        {"kind": "payments.release\n"},
        {"kind": "p." + "a" * 99},
        {"target": ""},
        {"target": "t" * 501},
        {"nonce": "A" * 21},
        {"nonce": "A" * 87},
        {"nonce": "A" * 21 + "="},
        {"arguments": []},
        {"effect": "other"},
    ],
)
def test_what_is_not_an_action_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        an_action(**change)


def test_a_request_id_is_what_the_contract_says() -> None:
    spelled = hashlib.sha256(b"payments-bot\x00run-118/release").digest()
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    bits = int.from_bytes(spelled, "big")
    expected = "".join(alphabet[(bits >> (256 - 5 * (place + 1))) & 31] for place in range(24))
    partition = zlib.crc32(b"payments-bot") % 16
    assert request_id("payments-bot", "run-118/release", 16) == f"{partition}-{expected}"


def test_another_agent_cannot_have_the_same_request_id() -> None:
    assert request_id("a", "b", 1) != request_id("ab", "", 1)
    assert request_id("a", "call", 1) != request_id("b", "call", 1)


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=63), st.integers(1, 9999))
def test_a_request_id_leads_to_the_partition_of_its_agent(agent: str, partitions: int) -> None:
    found = partition_of_request(request_id(agent, "call", partitions))
    assert found == partition_of(agent, partitions) == zlib.crc32(agent.encode()) % partitions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0-" + "a" * 23,
        "0-" + "a" * 25,
        "0-" + "A" * 24,
        "x-" + "a" * 24,
        "0-" + "a" * 24 + "\n",
        "٣-" + "a" * 24,
    ],
)
def test_what_is_no_request_id_names_no_partition(text: str) -> None:
    with pytest.raises(ValueError, match="is not a request id"):
        partition_of_request(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_short_code_can_be_read_aloud(digest: bytes) -> None:
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}", short_code("sha256:" + digest.hex()))


def test_a_short_code_is_the_first_thirty_bits_of_the_digest() -> None:
    assert short_code("sha256:" + "0" * 64) == "0000-00"
    assert short_code("sha256:" + "f" * 64) == "ZZZZ-ZZ"
    assert short_code("sha256:08421084" + "0" * 56) == "1111-11"
