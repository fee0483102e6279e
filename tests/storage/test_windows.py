"""Windows: what requests come to over time, in every kind of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from approvals.ports import Store
from approvals.windows import Share
from storage.memory import MemoryStore
from tests.storage.conftest import Room

HOUR = 3_600_000
HOLD = 10 * HOUR
MINE, THEIRS = "1" * 16, "2" * 16


def a_share(amount: int = 999_000_000, window: str = "sum", length: int = 24 * HOUR) -> Share:
    """999 of a day's window."""
    return Share(window=window, amount=amount, length=length)


async def reserve(store: Store, holder: str, *shares: Share, token: str = MINE) -> Mapping[str, int]:
    """What the windows come to with these."""
    return await store.windows.reserve(holder, shares, hold=HOLD, token=token)


async def total(store: Store) -> int:
    """What the window comes to without who asks."""
    found = await reserve(store, "whoever asks", a_share(0), token="f" * 16)
    await store.windows.release("whoever asks", (a_share(0),), token="f" * 16)
    return found["sum"]


async def test_a_window_comes_to_what_all_take_of_it(store: Store) -> None:
    shares = (a_share(), a_share(1, "count"))
    assert await reserve(store, "a", *shares) == {"sum": 999_000_000, "count": 1}
    assert await reserve(store, "b", *shares) == {"sum": 1_998_000_000, "count": 2}


async def test_ten_at_once_are_added_one_after_the_other(store: Store) -> None:
    asked = await asyncio.gather(*(reserve(store, str(n), a_share()) for n in range(10)))
    assert sorted(sums["sum"] for sums in asked) == [999_000_000 * n for n in range(1, 11)]


async def test_the_same_holder_is_counted_once(store: Store) -> None:
    for token in (MINE, MINE, THEIRS):
        assert await reserve(store, "a", a_share(100), token=token) == {"sum": 100}


async def test_a_share_counts_while_anybody_who_reserved_it_has_not_released_it(store: Store) -> None:
    await reserve(store, "a", a_share(70), token=MINE)
    await reserve(store, "a", a_share(70), token=THEIRS)
    await store.windows.release("a", (a_share(70),), token=MINE)
    await store.windows.release("a", (a_share(70),), token=MINE)
    assert await total(store) == 70
    await store.windows.release("a", (a_share(70),), token=THEIRS)
    assert await total(store) == 0


async def test_a_share_that_many_reserved_is_never_released_by_mistake(store: Store) -> None:
    tokens = [f"{n:016x}" for n in range(40)]
    for token in tokens:
        await reserve(store, "a", a_share(70), token=token)
    for token in tokens[:39]:
        await store.windows.release("a", (a_share(70),), token=token)
    assert await total(store) == 70


async def test_what_is_settled_counts_no_more_and_stays_away(store: Store) -> None:
    await reserve(store, "a", a_share(70), token=MINE)
    await reserve(store, "a", a_share(70), token=THEIRS)
    await store.windows.recount("a", (a_share(70),), None)
    await store.windows.recount("a", (a_share(70),), 2**52)
    assert await total(store) == 0


async def test_a_share_nobody_settles_counts_for_its_hold_and_the_window_after_it(room: Room) -> None:
    await reserve(room.store, "a", a_share(70))
    room.advance(HOLD + 24 * HOUR - 60_000)
    assert await total(room.store) == 70
    room.advance(120_000)
    assert await total(room.store) == 0


async def test_what_was_used_counts_for_the_windows_length_from_then_on(room: Room) -> None:
    await reserve(room.store, "a", a_share(70))
    room.advance(HOUR)
    await room.store.windows.recount("a", (a_share(70),), await room.store.now())
    room.advance(24 * HOUR - 60_000)
    assert await total(room.store) == 70
    room.advance(120_000)
    assert await total(room.store) == 0


async def test_sums_are_exact_beyond_the_numbers_of_lua(store: Store) -> None:
    large = 999_999_999_999_999_999
    for n in range(20):
        sums = await reserve(store, str(n), a_share(large))
    assert sums == {"sum": 20 * large}
    for n in range(19):
        await store.windows.recount(str(n), (a_share(large),), None)
    assert await total(store) == large


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((MINE, THEIRS)), st.booleans()), max_size=12))
async def test_a_window_is_always_the_sum_of_what_stands_in_it(steps: list[tuple[str, str, bool]]) -> None:
    store = MemoryStore(lambda: 0)
    amounts, known = {"a": 1, "b": 10**3, "c": 10**18}, set[tuple[str, str]]()
    for holder, token, gone in steps:
        if gone:
            await store.windows.release(holder, (a_share(amounts[holder]),), token=token)
            known.discard((holder, token))
        else:
            await reserve(store, holder, a_share(amounts[holder]), token=token)
            known.add((holder, token))
        assert await total(store) == sum(amounts[holder] for holder in {holder for holder, _ in known})
