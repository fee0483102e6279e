"""What is written down is what is read again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from approvals.errors import StoreUnavailable
from approvals.ports import Post
from approvals.strict_json import MAX_INTEGER
from storage.documents import _FAMILIAR, _FAMILIAR_ONCE, json_text, post_text, read_post, read_request, request_text
from tests.build import a_request, a_vote, an_action

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(arguments=st.dictionaries(texts, values, max_size=5), because=texts)
def test_any_request_survives_with_its_digest(arguments: dict[str, Any], because: str) -> None:
    request = a_request(action=an_action(arguments=arguments), because=because)
    read = read_request(request_text(request), request.id, 7, 3)
    assert read.action.digest() == request.digest
    assert read == request.model_copy(update={"version": 7, "decision_entry": 3})


def test_a_decided_request_survives() -> None:
    request = a_request().voted(a_vote(reason="fine"), jti="j")
    assert read_request(request_text(request), request.id, 2, None) == request.model_copy(update={"version": 2})


def test_what_was_kept_as_plain_json_is_still_read() -> None:
    request = a_request()
    read = read_request(request.model_dump_json().encode(), "0-of-the-key", 1, None)
    assert read == request.model_copy(update={"version": 1})


def test_a_request_takes_a_third_of_the_room_of_its_json() -> None:
    request = a_request()
    assert len(request_text(request)) < len(request.model_dump_json()) / 3


@pytest.mark.parametrize(
    ("familiar", "digest"),
    [
        (_FAMILIAR_ONCE, "f13bdd3a0d74882ccc2ed3bb3a5b8d90b85d1314d64e951f79589325c24f0109"),
        (_FAMILIAR, "ee5f85e598ccc91d697af5b65a85126a4ebe2e9dba407809d6f9cae4a8713f13"),
    ],
)
def test_what_packed_requests_need_to_be_read_has_not_changed(familiar: bytes, digest: str) -> None:
    assert hashlib.sha256(familiar).hexdigest() == digest, "what is stored cannot be read with another one"


@given(digests=st.lists(st.integers(0, 400).map(lambda number: f"sha256:{number:064x}"), max_size=400))
@example(digests=[f"sha256:{number:064x}" for number in range(400)] * 2)
def test_any_number_of_digests_comes_back_in_its_place(digests: list[str]) -> None:
    request = a_request(action=an_action(arguments={"digests": digests, "text": "sha256:\xff" + "0" * 63}))
    assert read_request(request_text(request), request.id, 0, None) == request


def test_a_packed_request_that_was_cut_or_changed_is_not_read() -> None:
    whole = request_text(a_request())
    flips = [whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :] for at in range(1, len(whole))]
    for broken in (whole[:-8], whole[:1], whole[:3], *flips):
        with pytest.raises(StoreUnavailable):
            read_request(broken, "0-of-the-key", 1, None)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"v":2}', b"null"])
def test_a_text_that_is_no_request_makes_the_memory_unavailable(text: bytes) -> None:
    with pytest.raises(StoreUnavailable):
        read_request(text, "0-of-the-key", 1, None)


@given(reference=st.dictionaries(texts, texts, max_size=3), shown=texts, problem=texts)
def test_any_post_survives(reference: dict[str, str], shown: str, problem: str) -> None:
    post = Post("slack:C0PAY", "posted", 1_764_000_000_123, reference, shown, problem)
    assert read_post("slack:C0PAY", post_text(post)) == post


@given(value=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
@example(value={"broken": "\ud800", "é": "🤖"})
def test_any_text_can_be_written(value: dict[str, str]) -> None:
    assert json.loads(json_text(value)) == value
