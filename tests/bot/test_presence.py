"""Processes know of each other, and of those that are gone."""

from __future__ import annotations

from approvals.errors import StoreUnavailable
from bot.presence import Presence
from storage.memory import MemoryStore

NOW = 1_780_000_000_000


async def test_each_process_is_counted_while_it_says_so() -> None:
    clock = [NOW]
    shelf = MemoryStore(lambda: clock[0]).shelf
    first, second = Presence(shelf, "one-1-a"), Presence(shelf, "two-1-b")
    assert first.count == 1
    for one in (first, second, first):
        await one.step()
    assert (first.count, second.count) == (2, 2)
    await second.leave()
    await first.step()
    assert first.count == 1
    await second.step()
    clock[0] += 36_000  # second has said nothing since
    await first.step()
    assert first.count == 1


async def test_where_the_memory_is_down_a_process_leaves_all_the_same() -> None:
    class Gone:
        async def drop(self, name: str, **_: object) -> bool:
            raise StoreUnavailable("down")

    await Presence(Gone(), "one").leave()  # type: ignore[arg-type] # only what leaving needs
