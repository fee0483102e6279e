"""A world per transport, for what must not depend on it, and one of either kind for the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.handlers.slack.world import World, a_world


@pytest.fixture(params=["http", "socket"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The door over both transports."""
    async with a_world(request.param) as made:
        yield made


@pytest.fixture
async def http_world() -> AsyncIterator[World]:
    """The door over signed HTTP."""
    async with a_world("http") as made:
        yield made
