"""What is kept of an entry that was refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.outline import outline
from tests.approvals.test_desk import BODY


def test_the_form_is_kept_and_the_values_are_not() -> None:
    kept = json.loads(outline(json.dumps(BODY | {"because": "hunter2 is the password"}).encode()))
    assert kept["action"]["kind"] == "payments.release"
    assert kept["call"] == "run-118/release"
    assert kept["action"]["arguments"] == {
        "amount": "(8 characters)",
        "currency": "(3 characters)",
        "invoice": "(8 characters)",
    }
    assert kept["because"] == "(23 characters)"
    assert kept["action"]["nonce"] == "(22 characters)"


@pytest.mark.parametrize("body", [b"\x80", b"{", b'{"a": 1, "a": 2}', b"x" * 70_000])
def test_of_what_is_no_json_only_the_length_is_kept(body: bytes) -> None:
    assert outline(body) == f"(no JSON of the contract, {len(body)} bytes)".encode()


NAMES = st.sampled_from(["kind", "call", "v", "request", "x"])


@given(st.dictionaries(NAMES, st.just("hunter2!") | st.lists(st.just("hunter2!")), max_size=4))
def test_no_argument_is_kept_whatever_it_is_called(arguments: dict[str, object]) -> None:
    body = {"action": {"arguments": arguments, "preconditions": {"deep": arguments}, "target": "hunter2!"}}
    assert b"hunter2!" not in outline(json.dumps(body).encode())
