"""A world, for every test that needs one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.handlers.teams.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The Teams door, open."""
    async with a_world() as made:
        yield made
