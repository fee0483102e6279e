"""Masks: how long a secret is and a code that tells two apart, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.masking import Mask, holds_secret, mask_of, masked
from tests.approvals.make import NONCE


def test_a_mask_tells_the_length_and_the_code() -> None:
    code = hmac.new(NONCE.encode(), b"hunter2", hashlib.sha256).hexdigest()[:16]
    assert mask_of("hunter2", NONCE) == f"masked: 7 characters, HMAC {code}"
    assert mask_of("x", NONCE).startswith("masked: 1 character,")
    assert mask_of({"b": 1, "a": [True]}, NONCE) == mask_of({"a": [True], "b": 1}, NONCE)


def test_only_what_lies_in_a_pattern_is_masked() -> None:
    arguments = {"user": "dana", "login": {"password": "hunter2", "realm": "x"}, "keys": [{"k": "1"}, {"k": "2"}]}
    shown = masked(arguments, ("login.password", "keys[].k"), NONCE)
    assert shown["user"] == "dana"
    assert shown["login"]["realm"] == "x"
    assert isinstance(shown["login"]["password"], Mask)
    assert all(isinstance(key["k"], Mask) for key in shown["keys"])
    assert arguments["login"]["password"] == "hunter2"  # type: ignore[index]


def test_equal_values_have_equal_masks_under_one_nonce_alone() -> None:
    assert mask_of("a", NONCE) == mask_of("a", NONCE) != mask_of("b", NONCE)
    assert mask_of("a", NONCE) != mask_of("a", "Z" * 22)


@pytest.mark.parametrize(
    ("arguments", "secret", "holds"),
    [
        ({"a": "x"}, ("a",), True),
        ({"a": ""}, ("a",), True),
        ({"a": {}}, ("a",), True),
        ({"a": [{"b": 1}]}, ("a[].b",), True),
        ({"b": "x"}, ("a",), False),
        ({"a": "x"}, (), False),
    ],
)
def test_it_knows_whether_anything_is_masked(arguments: Any, secret: tuple[str, ...], holds: bool) -> None:
    assert holds_secret(arguments, secret) is holds


JSON = st.recursive(
    st.text(min_size=6) | st.integers(min_value=10**6, max_value=10**9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_everything_inside_a_secret_object_is_masked(arguments: dict[str, Any]) -> None:
    def texts(value: Any) -> list[Any]:
        if isinstance(value, dict | list):
            return [one for inner in (value.values() if isinstance(value, dict) else value) for one in texts(inner)]
        return [value]

    shown = masked(arguments, ("a", "b", "c"), NONCE)
    assert all(isinstance(text, Mask) for text in texts(shown))
    assert json.dumps(shown)
