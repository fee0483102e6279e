"""What is kept of an entry that was refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.outline import outline
from tests.approvals.test_desk import BODY


def test_the_form_is_kept_and_the_values_are_not() -> None:
    body = BODY | {"because": "hunter2 is the password", "hunter2": 1, "supersedes": "0-" + "a" * 24}
    assert json.loads(outline(json.dumps(body).encode())) == {
        "v": "(int)",
        "call": "(15 characters)",
        "action": {
            "kind": "payments.release",
            "target": "(14 characters)",
            "arguments": "(3 members)",
            "nonce": "(22 characters)",
        },
        "because": "(23 characters)",
        "supersedes": "0-" + "a" * 24,
        "…": "(1 others)",
    }


@pytest.mark.parametrize("value", ["hunter2!", "Pay Ments", ["a.b"], {"a.b": 1}, 7, None])
def test_a_kind_is_kept_only_where_it_is_one(value: object) -> None:
    body = json.dumps({"action": {"kind": value}, "request": value}).encode()
    assert b"hunter2" not in outline(body)
    assert b"a.b" not in outline(body)


@pytest.mark.parametrize("body", [b"\x80", b"{", b'{"a": 1, "a": 2}', b"x" * 70_000])
def test_of_what_is_no_json_only_the_length_is_kept(body: bytes) -> None:
    assert outline(body) == f"(no JSON of the contract, {len(body)} bytes)".encode()


NAMES = st.sampled_from(["kind", "call", "v", "request", "action", "hunter2!"])
VALUES = st.recursive(st.just("hunter2!"), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=6)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_nothing_an_agent_wrote_is_kept_wherever_it_stands(body: dict[str, object]) -> None:
    assert b"hunter2" not in outline(json.dumps(body).encode())
