"""Windows: what requests come to over time, in every kind of memory."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from approvals.ports import Store
from approvals.windows import Share
from storage.memory import MemoryStore
from tests.storage.conftest import Room

HOUR = 3_600_000
HOLD = 10 * HOUR


def a_share(amount: int = 999_000_000, window: str = "sum", length: int = 24 * HOUR) -> Share:
    """999 of a day's window."""
    return Share(window=window, amount=amount, length=length)


async def test_a_window_comes_to_what_all_requests_take_of_it(store: Store) -> None:
    shares = (a_share(), a_share(1, "count"))
    assert await store.windows.reserve("0-a", shares, HOLD) == {"sum": 999_000_000, "count": 1}
    assert await store.windows.reserve("0-b", shares, HOLD) == {"sum": 1_998_000_000, "count": 2}


async def test_ten_at_once_are_added_one_after_the_other(store: Store) -> None:
    asked = await asyncio.gather(*(store.windows.reserve(f"0-{n}", (a_share(),), HOLD) for n in range(10)))
    assert sorted(sums["sum"] for sums in asked) == [999_000_000 * n for n in range(1, 11)]


async def test_the_same_request_is_counted_once_and_with_the_larger_amount(store: Store) -> None:
    await store.windows.reserve("0-a", (a_share(100),), HOLD)
    assert await store.windows.reserve("0-a", (a_share(100),), HOLD) == {"sum": 100}
    assert await store.windows.reserve("0-a", (a_share(900),), HOLD) == {"sum": 900}
    assert await store.windows.reserve("0-a", (a_share(5),), HOLD) == {"sum": 900}
    await store.windows.recount("0-a", (a_share(5),), 2**52)
    assert await store.windows.reserve("0-b", (a_share(1),), HOLD) == {"sum": 6}


async def test_a_share_that_is_released_counts_no_more_and_stays_away(store: Store) -> None:
    await store.windows.reserve("0-a", (a_share(70),), HOLD)
    await store.windows.recount("0-a", (a_share(70),), 0)
    await store.windows.recount("0-a", (a_share(70),), 2**52)
    assert await store.windows.reserve("0-b", (a_share(1),), HOLD) == {"sum": 1}


async def test_a_share_nobody_settles_counts_for_its_hold_and_the_window_after_it(room: Room) -> None:
    await room.store.windows.reserve("0-a", (a_share(70),), HOLD)
    room.advance(HOLD + 24 * HOUR - 60_000)
    assert await room.store.windows.reserve("0-b", (a_share(1),), HOLD) == {"sum": 71}
    room.advance(120_000)
    assert await room.store.windows.reserve("0-c", (a_share(1),), HOLD) == {"sum": 2}


async def test_a_settled_share_counts_until_its_instant(room: Room) -> None:
    now = await room.store.now()
    await room.store.windows.reserve("0-a", (a_share(70),), HOLD)
    await room.store.windows.recount("0-a", (a_share(70),), now + HOUR)
    room.advance(HOUR - 60_000)
    assert await room.store.windows.reserve("0-b", (a_share(1),), HOLD) == {"sum": 71}
    room.advance(120_000)
    assert await room.store.windows.reserve("0-b", (a_share(1),), HOLD) == {"sum": 1}


async def test_sums_are_exact_beyond_the_numbers_of_lua(store: Store) -> None:
    large = 999_999_999_999_999_999
    for n in range(20):
        sums = await store.windows.reserve(f"0-{n}", (a_share(large),), HOLD)
    assert sums == {"sum": 20 * large}
    for n in range(19):
        await store.windows.recount(f"0-{n}", (a_share(large),), 0)
    assert await store.windows.reserve("0-last", (a_share(1),), HOLD) == {"sum": large + 1}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**18), st.booleans()), max_size=12))
async def test_a_window_is_always_the_sum_of_what_stands_in_it(steps: list[tuple[str, int, bool]]) -> None:
    windows = MemoryStore(lambda: 0).windows
    known: dict[str, int] = {}
    for request, amount, gone in steps:
        if gone:
            await windows.recount(request, (a_share(amount),), 0)
            known.pop(request, None)
        else:
            known[request] = max(amount, known.get(request, 0))
            assert await windows.reserve(request, (a_share(amount),), HOLD) == {"sum": sum(known.values())}
