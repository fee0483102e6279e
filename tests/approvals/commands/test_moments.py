"""A day that is named ends when it is over; what nobody can place is no instant."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from approvals.commands.moments import FORMS, moment

THURSDAY = int(datetime(2026, 5, 28, 20, 26, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("today", "2026-05-29 00:00"),
        ("tomorrow", "2026-05-30 00:00"),
        ("friday", "2026-05-30 00:00"),
        ("thursday", "2026-06-05 00:00"),
        ("wednesday", "2026-06-04 00:00"),
        ("2026-12-24", "2026-12-25 00:00"),
        ("8h", "2026-05-29 04:26"),
        ("3 days", "2026-05-31 20:26"),
        ("2w", "2026-06-11 20:26"),
    ],
)
def test_an_instant_is_read(said: str, meant: str) -> None:
    found = moment(said, THURSDAY)
    assert found is not None
    assert f"{datetime.fromtimestamp(found / 1000, UTC):%Y-%m-%d %H:%M}" == meant


@pytest.mark.parametrize("said", ["", "someday", "2026-02-30", "0d", "-3d", "99999d", "3 moons", "24.12."])
def test_what_nobody_can_place_is_none(said: str) -> None:
    assert moment(said, THURSDAY) is None


@pytest.mark.parametrize("form", FORMS.replace(" or ", ", ").split(", "))
def test_every_form_that_people_are_told_of_is_read(form: str) -> None:
    assert moment(form, THURSDAY) is not None
