"""There is one spelling of a value, and it is that of RFC 8785."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from approvals.canonical import canonical

texts = st.text(max_size=10)  # with lone surrogates and everything that has to be escaped
numbers = st.integers(-(2**54), 2**54) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def form(dumps: Any, value: Any) -> bytes | None:
    """The form of a value, or None where it has none."""
    try:
        found: bytes = dumps(value)
    except ValueError:
        return None
    return found


@given(value=values)
def test_every_value_has_the_form_that_the_standard_gives_it(value: Any) -> None:
    assert form(canonical, value) == form(rfc8785.dumps, value)


@pytest.mark.parametrize("value", [*map(chr, range(0x80)), "\u2028", "é", "🤖"])
def test_every_character_is_escaped_as_the_standard_says(value: str) -> None:
    assert canonical({"a": value}) == rfc8785.dumps({"a": value})


def test_keys_are_sorted_as_utf_16_is() -> None:
    assert canonical({"\ue000": 1, "🤖": 2}) == '{"🤖":2,"\ue000":1}'.encode()


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {None: 1}}, object(), [b"a"], {"a": float("nan")}, 2**53, "\ud800"])
def test_what_has_no_form_is_refused(value: Any) -> None:
    assert form(canonical, value) is None


@pytest.mark.parametrize(("value", "said"), [(1.0, b"1"), (True, b"true"), ((1, "a"), b'[1,"a"]'), (-0.0, b"0")])
def test_what_is_no_plain_json_has_the_form_of_what_it_means(value: Any, said: bytes) -> None:
    assert canonical(value) == said
