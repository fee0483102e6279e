"""JSON that two parsers could read in two ways is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.errors import EntryRefused
from approvals.strict_json import MAX_BYTES, MAX_DEPTH, parse

I_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refusal(raw: bytes) -> EntryRefused:
    """How a text is refused."""
    with pytest.raises(EntryRefused) as caught:
        parse(raw)
    return caught.value


def nested(depth: int) -> bytes:
    """Arrays in arrays, `depth` of them."""
    return b"[" * depth + b"]" * depth


@given(I_JSON)
def test_ordinary_json_is_read_as_it_was_written(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"a":1,"a":1}', "a"),
        (b'{"a":1,"\\u0061":2}', "a"),
        (b'{"x":{"deep":[{"a":1,"b":2,"a":3}]}}', "a"),
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_is(raw: bytes, field: str) -> None:
    assert (refusal(raw).reason, refusal(raw).field) == ("malformed", field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_what_is_no_finite_number_is_refused(number: str) -> None:
    assert refusal(f'{{"a":[{number}]}}'.encode()).reason == "malformed"


@pytest.mark.parametrize("digits", [str(2**53), str(-(2**53)), "1" + "0" * 16, "1" + "0" * 17, "-" + "9" * 5_000])
def test_an_integer_beyond_what_all_parsers_agree_on_is_refused(digits: str) -> None:
    assert "2^53-1" in refusal(f'{{"a":{digits}}}'.encode()).message


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0, -1])
def test_an_integer_all_parsers_agree_on_is_read_exactly(number: int) -> None:
    assert parse(str(number).encode()) == number


@pytest.mark.parametrize(
    "raw",
    [
        rb'"\ud800"',
        rb'{"a":["\udc00x"]}',
        rb'{"\ud800":1}',
        rb'{"a":{"\udfff":1}}',
        rb'{"\ud800":1,"\ud800":2}',
        rb'"\udc00\ud800"',
    ],
)
def test_a_lone_surrogate_is_refused_in_texts_and_in_keys(raw: bytes) -> None:
    assert refusal(raw).reason == "malformed"


def test_a_surrogate_pair_is_one_character() -> None:
    assert parse(rb'"\ud83d\ude00"') == "\U0001f600"


def test_nesting_is_read_to_its_limit_and_not_further() -> None:
    assert parse(nested(MAX_DEPTH)) is not None
    assert refusal(nested(MAX_DEPTH + 1)).message == "nested deeper than 32"
    assert refusal(b'{"a":' * 33 + b"1" + b"}" * 33).message == "nested deeper than 32"
    assert refusal(b"[" * MAX_BYTES).reason == "malformed"


def test_a_body_is_read_to_its_limit_and_not_further() -> None:
    assert parse(b'"' + b"a" * (MAX_BYTES - 2) + b'"')
    assert refusal(b'"' + b"a" * (MAX_BYTES - 1) + b'"').reason == "too_large"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b'"\x00"',
        b'"\t"',
        b"01",
        b"+1",
        b"0x1",
        b".5",
    ],
)
def test_what_is_not_one_json_text_is_refused(raw: bytes) -> None:
    assert refusal(raw).reason == "malformed"


@given(
    st.binary(max_size=300) | st.text().map(str.encode) | st.text('{}[]",:\\ud8019eE+-. ', max_size=60).map(str.encode)
)
def test_no_bytes_raise_anything_but_a_refusal(raw: bytes) -> None:
    with suppress(EntryRefused):
        assert json.dumps(parse(raw), allow_nan=False)


@pytest.mark.parametrize("name", ["\\ud800", "k" * 5_000, "\\u202e\\u0000", "k\\n"])
def test_a_refusal_can_be_written_down_whatever_the_key_was(name: str) -> None:
    refused = refusal(f'{{"{name}":1,"{name}":2}}'.encode())
    told = f"{refused.message}{refused.field}"
    assert told.encode().decode() == told
    assert len(told) < 1_000
    assert told.isprintable()
