"""A clean environment, a clock that tests turn by hand, and a memory with a policy in force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.courier import Courier
from storage.memory import MemoryStore
from tests.bot.chat import Chat
from tests.build import DIGEST, NOW
from tests.servers import Server, running


class Clock:
    """Time in ms that passes only when a test says so."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += int(seconds * 1000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing in the environment that would configure the service."""
    for name in os.environ:
        if name.upper().startswith(("SAYSO_", "SLACK_", "REDIS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(clock: Clock) -> MemoryStore:
    """The memory's twin, under the policy whose digest tests.build uses."""
    made = MemoryStore(clock)
    await made.adopt(DIGEST, "version: 1", {"event": "policy"})
    return made


@pytest.fixture
def chat(clock: Clock) -> Chat:
    """A chat that remembers what was done to it."""
    return Chat(clock)


@pytest.fixture
def courier(store: MemoryStore, chat: Chat) -> Courier:
    """The one that serves that chat."""
    return Courier(store, {"slack": chat})


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def redis(redis_server: Server) -> Server:
    """A real server with nothing in it."""
    redis_server.command("FLUSHALL")
    return redis_server
