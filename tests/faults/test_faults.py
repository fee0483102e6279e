"""Windows, failovers and power failures: each row of docs/reference/faults.md, as a test."""

from __future__ import annotations

import pytest

from tests.faults import moving, power, windows
from tests.faults.rows import Fault

pytestmark = [pytest.mark.redis, pytest.mark.timeout(180)]

FAULTS = [*windows.FAULTS, *moving.FAULTS, *power.FAULTS]


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=str(fault), marks=pytest.mark.full if fault.slow else ()) for fault in FAULTS]
)
async def test_what_was_told_stands_and_nothing_is_done_twice(fault: Fault) -> None:
    assert await fault.run()
