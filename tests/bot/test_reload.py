"""The policy file is read again when it changed; what cannot be used changes nothing and is told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from approvals.errors import StoreUnavailable
from bot.policies import AdoptedPolicy, read_policy
from bot.reload import Reload, watching
from storage.memory import MemoryStore
from tests.bot.conftest import Clock
from tests.build import AGENT, policy_mapping

PATIENCE = 20.0


class Bot:
    """What one bot has of a policy: a file, a memory that may be shared, and whom it serves."""

    def __init__(self, folder: Path, store: MemoryStore, name: str = "policy.yaml") -> None:
        self.path = folder / name
        self.write()
        self.policies = AdoptedPolicy(store, *read_policy(self.path))
        self.served: list[tuple[Sequence[str], Sequence[str]]] = []
        self.came_to: list[str] = []
        self.reload = Reload(self.path, self.policies, store, serve=self._serve, counted=self.came_to.append)

    def write(self, **sections: Any) -> None:
        """Another text for the file."""
        self.path.write_text(json.dumps(policy_mapping(**sections)))

    async def changed(self, **sections: Any) -> None:
        """The file is another one, and the bot was told."""
        self.write(**sections)
        self.reload.changed()
        await self.reload.step()

    async def _serve(self, agents: Sequence[str], audiences: Sequence[str]) -> None:
        self.served.append((agents, audiences))


ONE_AGENT = {"agents": {AGENT: policy_mapping()["agents"][AGENT]}}


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    """A memory in which no policy is in force yet."""
    return MemoryStore(clock)


@pytest.fixture
async def bot(folder: Path, store: MemoryStore) -> Bot:
    made = Bot(folder, store)
    await made.policies.put_in_force()
    await made.reload.step()
    return made


async def events(store: MemoryStore) -> list[str]:
    """What the journal says."""
    return [json.loads(entry.record)["event"] async for entry in store.journal(0)]


async def test_a_changed_file_is_put_in_force_and_its_agents_are_served(bot: Bot, store: MemoryStore) -> None:
    before = bot.policies.current().digest
    await bot.changed(**ONE_AGENT)
    assert bot.policies.current().digest != before
    assert await store.epoch() is not None
    assert [len(agents) for agents, _ in bot.served] == [2, 1]
    assert bot.came_to == ["adopted"]
    assert (await events(store))[-1] == "policy"


async def test_a_file_that_says_the_same_changes_nothing(bot: Bot, store: MemoryStore) -> None:
    before = await events(store)
    await bot.changed()
    bot.reload.asked()
    await bot.reload.step()
    assert (bot.came_to, await events(store)) == ([], before)


async def test_a_bad_file_keeps_the_policy_and_is_told_once(bot: Bot, store: MemoryStore) -> None:
    before = bot.policies.current().digest
    for _ in range(2):
        await bot.changed(groups={"finance": {"people": ["zoe"]}})
    assert bot.policies.current().digest == before
    assert bot.came_to == ["refused"]
    assert (await events(store)).count("policy_refused") == 1
    await bot.changed(**ONE_AGENT)
    assert bot.came_to == ["refused", "adopted"]


async def test_what_another_bot_puts_in_force_is_followed_without_a_click(
    bot: Bot, folder: Path, store: MemoryStore
) -> None:
    other = Bot(folder, store, "other.yaml")
    await other.changed(**ONE_AGENT)
    await bot.reload.step()
    assert bot.policies.current().digest == other.policies.current().digest
    assert len(bot.served[-1][0]) == 1


async def test_a_file_that_only_stands_there_does_not_undo_what_another_bot_did_but_an_operator_can(
    bot: Bot, folder: Path, store: MemoryStore
) -> None:
    mine = bot.policies.current().digest
    other = Bot(folder, store, "other.yaml")
    await other.changed(**ONE_AGENT)
    await bot.changed()
    assert bot.policies.current().digest == other.policies.current().digest
    bot.reload.asked()
    await bot.reload.step()
    assert bot.policies.current().digest == mine


async def test_a_change_that_redis_did_not_take_is_tried_again(
    bot: Bot, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bot.policies.current().digest

    async def down(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("switched off by the test")

    with monkeypatch.context() as patch:
        patch.setattr(store, "adopt", down)
        with pytest.raises(StoreUnavailable):
            await bot.changed(**ONE_AGENT)
    assert bot.policies.current().digest == before
    await bot.reload.step()
    assert bot.policies.current().digest != before


async def test_a_file_that_another_takes_the_place_of_is_noticed(folder: Path) -> None:
    path, noticed = folder / "policy.yaml", asyncio.Event()
    path.write_text("one")
    async with asyncio.timeout(PATIENCE), watching(path, noticed.set):
        while not noticed.is_set():  # the watch begins at some moment; what happens before it is not seen
            (folder / "new").write_text("two")
            (folder / "new").rename(path)
            await asyncio.wait([asyncio.create_task(noticed.wait())], timeout=0.3)
    assert noticed.is_set()


async def test_a_folder_that_cannot_be_watched_does_not_end_the_bot(folder: Path) -> None:
    async with watching(folder / "nowhere" / "policy.yaml", lambda: None):
        pass
