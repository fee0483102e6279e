"""Paths into arguments."""

from __future__ import annotations

import re

import pytest

from approvals.paths import PATH, PATTERN, leaves, lies_in, overlap, value_at

ARGUMENTS = {"amount": "1", "payee": {"name": "ACME", "ibans": ["DE1", "DE2"]}, "none": {}, "a.b": 1}


def test_a_path_leads_to_its_value_alone() -> None:
    assert value_at(ARGUMENTS, "payee.name") == "ACME"
    assert value_at(ARGUMENTS, "payee.ibans[1]") == "DE2"
    assert value_at(ARGUMENTS, "payee") == ARGUMENTS["payee"]


@pytest.mark.parametrize("path", ["nothing", "payee.ibans[2]", "payee[0]", "amount.x", "payee.ibans.name", "a.b"])
def test_a_path_that_leads_nowhere_gives_nothing(path: str) -> None:
    assert value_at(ARGUMENTS, path) is None


def test_every_innermost_value_is_a_leaf() -> None:
    assert [at for at, _ in leaves(ARGUMENTS)] == [
        ("amount",),
        ("payee", "name"),
        ("payee", "ibans", 0),
        ("payee", "ibans", 1),
        ("none",),
        ("a.b",),
    ]


def test_a_pattern_names_a_value_and_everything_in_it() -> None:
    assert lies_in(("payee", "name"), ("payee",))
    assert lies_in(("users", 3, "password"), ("users[].password",))
    assert lies_in(("users", 3, "password", "old"), ("users[].password",))
    assert lies_in(("users", 3), ("users[3]",))
    assert not lies_in(("users", 3, "name"), ("users[].password",))
    assert not lies_in(("users", 3), ("users[4]", "user"))
    assert not lies_in(("payee",), ("payee.name",))


def test_showing_a_value_shows_what_is_in_it() -> None:
    assert overlap("payee", ("payee.iban",))
    assert overlap("payee.iban", ("payee",))
    assert overlap("users[0].password", ("users[].password",))
    assert not overlap("payee.name", ("payee.iban",))


@pytest.mark.parametrize("text", ["a", "a.b", "a[0].b", "image_digest", "x-y"])
def test_sound_paths(text: str) -> None:
    assert re.fullmatch(PATH, text)
    assert re.fullmatch(PATTERN, text)


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a b", "a[x]", "[0]", "a[", "a\n", "é"])
def test_what_is_no_path(text: str) -> None:
    assert not re.fullmatch(PATTERN, text)
