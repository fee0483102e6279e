"""Button values: opened only where they were sealed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.seal import Seal, Sealed

SEALED = Sealed("0-" + "abcdefgh" * 3, "sha256:" + "0f" * 32)
KEY = b"k" * 32
SEAL = Seal(KEY, team="T0SAYSO", app="A0SAYSO")
VALUE = SEAL.value(SEALED, "C0PAY")


def test_what_was_sealed_opens() -> None:
    assert SEAL.opened(VALUE, "C0PAY") == SEALED
    assert len(VALUE) < 2_000


@pytest.mark.parametrize(
    ("seal", "channel"),
    [
        (SEAL, "C0OTHER"),
        (Seal(b"x" * 32, team="T0SAYSO", app="A0SAYSO"), "C0PAY"),
        (Seal(KEY, team="T0OTHER", app="A0SAYSO"), "C0PAY"),
        (Seal(KEY, team="T0SAYSO", app="A0OTHER"), "C0PAY"),
    ],
)
def test_another_channel_key_team_or_app_opens_nothing(seal: Seal, channel: str) -> None:
    assert seal.opened(VALUE, channel) is None


@given(st.integers(0, len(VALUE) - 1), st.characters())
def test_a_value_with_one_other_character_opens_nothing(place: int, character: str) -> None:
    changed = VALUE[:place] + character + VALUE[place + 1 :]
    if changed != VALUE:
        opened = SEAL.opened(changed, "C0PAY")
        assert opened is None


@given(st.text())
def test_any_text_is_read_without_an_error(value: str) -> None:
    assert SEAL.opened(value, "C0PAY") is None


def test_a_value_of_another_version_opens_nothing() -> None:
    assert SEAL.opened("2" + VALUE[1:], "C0PAY") is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(b"short", team="T0SAYSO", app="A0SAYSO")
