"""The outbox: what waits for each destination, in every kind of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from approvals.ports import Errand, Lease, Store, Waiting
from tests.storage.conftest import Room

HERE, THERE = "slack:C0HERE", "slack:C0THERE"
LEASE = 30_000


async def taken(store: Store, limit: int = 10) -> Sequence[Lease]:
    """Everything that may be served now, most limits at once."""
    return await store.outbox.take(limit=limit, lease=LEASE)


async def due(store: Store, lease: Lease, errand: Errand = Errand.POST, limit: int = 10) -> list[str]:
    """What the holder of a lease finds."""
    found = await store.outbox.look(lease, limit=limit, extend=LEASE)
    assert found is not None
    return [one.subject for one in found[errand]]


async def seen(store: Store, lease: Lease, errand: Errand = Errand.POST) -> Sequence[Waiting]:
    """The same with its marks."""
    found = await store.outbox.look(lease, limit=10, extend=LEASE)
    assert found is not None
    return found[errand]


async def test_errands_wait_in_the_order_in_which_they_came(room: Room) -> None:
    for subject in ("b", "a", "c"):
        await room.store.outbox.add(HERE, Errand.POST, subject)
        room.advance(5)
    await room.store.outbox.add(HERE, Errand.POST, "b")
    (lease,) = await taken(room.store)
    assert lease.destination == HERE
    assert await due(room.store, lease) == ["b", "a", "c"]
    assert await due(room.store, lease, limit=2) == ["b", "a"]


async def test_kinds_of_errands_and_destinations_are_kept_apart(store: Store) -> None:
    await store.outbox.add(HERE, Errand.POST, "new")
    await store.outbox.add(HERE, Errand.EDIT, "old", "older")
    await store.outbox.add(THERE, Errand.SAY, "hello")
    leases = {lease.destination: lease for lease in await taken(store)}
    assert await due(store, leases[HERE], Errand.POST) == ["new"]
    assert sorted(await due(store, leases[HERE], Errand.EDIT)) == ["old", "older"]
    assert await due(store, leases[HERE], Errand.SAY) == []
    assert await due(store, leases[THERE], Errand.SAY) == ["hello"]


async def test_a_destination_is_served_by_one_at_a_time(store: Store) -> None:
    await store.outbox.add(HERE, Errand.POST, "new")
    both = await asyncio.gather(*(taken(store) for _ in range(2)))
    assert sum(map(len, both)) == 1
    await store.outbox.add(HERE, Errand.POST, "newer")
    assert await taken(store) == []


async def test_whoever_lost_the_lease_changes_nothing_any_more(room: Room) -> None:
    outbox = room.store.outbox
    await outbox.add(HERE, Errand.POST, "new")
    (slow,) = await taken(room.store)
    (waiting,) = await seen(room.store, slow)
    room.advance(LEASE)
    (quick,) = await taken(room.store)
    assert quick.fence != slow.fence
    assert await outbox.look(slow, limit=10, extend=LEASE) is None
    await outbox.settle(slow, Errand.POST, waiting)
    await outbox.hand_back(slow, 0)
    assert await taken(room.store) == []
    assert await due(room.store, quick) == ["new"]


async def test_a_look_extends_the_lease(room: Room) -> None:
    await room.store.outbox.add(HERE, Errand.POST, "new")
    (lease,) = await taken(room.store)
    room.advance(LEASE - 1_000)
    assert await due(room.store, lease) == ["new"]
    room.advance(LEASE - 1_000)
    assert await taken(room.store) == []
    assert await due(room.store, lease) == ["new"]


async def test_what_is_done_is_gone_and_so_is_a_destination_where_nothing_waits(room: Room) -> None:
    outbox = room.store.outbox
    await outbox.add(HERE, Errand.POST, "new")
    (lease,) = await taken(room.store)
    await outbox.settle(lease, Errand.POST, *await seen(room.store, lease))
    assert await due(room.store, lease) == []
    await outbox.hand_back(lease, 0)
    room.advance(LEASE)
    assert await taken(room.store) == []


async def test_what_came_again_while_it_was_in_hand_stays(store: Store) -> None:
    outbox = store.outbox
    await outbox.add(HERE, Errand.EDIT, "card")
    (lease,) = await taken(store)
    (waiting,) = await seen(store, lease, Errand.EDIT)
    await outbox.add(HERE, Errand.EDIT, "card")
    await outbox.settle(lease, Errand.EDIT, waiting)
    assert [one.subject for one in await seen(store, lease, Errand.EDIT)] == ["card"]


async def test_what_is_put_off_is_due_again_in_time_and_coming_again_does_not_hurry_it(room: Room) -> None:
    outbox = room.store.outbox
    await outbox.add(HERE, Errand.POST, "closed")
    (lease,) = await taken(room.store)
    await outbox.settle(lease, Errand.POST, *await seen(room.store, lease), again=60_000)
    await outbox.hand_back(lease, 0)
    await outbox.add(HERE, Errand.POST, "closed")
    for lease in await taken(room.store):
        assert await due(room.store, lease) == []
        await outbox.hand_back(lease, 0)
    room.advance(58_000)
    assert await taken(room.store) == []
    room.advance(2_000)
    (lease,) = await taken(room.store)
    assert await due(room.store, lease) == ["closed"]


async def test_what_is_to_wait_from_the_start_does(room: Room) -> None:
    await room.store.outbox.add(HERE, Errand.POST, "later", delay=60_000)
    assert await taken(room.store) == []
    room.advance(60_000)
    (lease,) = await taken(room.store)
    assert await due(room.store, lease) == ["later"]


async def test_a_destination_is_left_in_peace_for_as_long_as_its_rate_says(room: Room) -> None:
    outbox = room.store.outbox
    await outbox.add(HERE, Errand.POST, "new")
    (lease,) = await taken(room.store)
    await outbox.hand_back(lease, 5_000)
    assert await taken(room.store) == []
    room.advance(5_000)
    (lease,) = await taken(room.store)
    await outbox.hand_back(lease, 0)
    assert len(await taken(room.store)) == 1


async def test_a_lease_that_nobody_gave_back_ends_by_itself(room: Room) -> None:
    await room.store.outbox.add(HERE, Errand.POST, "new")
    assert len(await taken(room.store)) == 1
    room.advance(LEASE)
    await room.store.outbox.add(HERE, Errand.POST, "newer")
    (lease,) = await taken(room.store)
    assert sorted(await due(room.store, lease)) == ["new", "newer"]


async def test_as_many_destinations_are_handed_out_as_are_wanted(store: Store) -> None:
    for number in range(5):
        await store.outbox.add(f"slack:C0{number}", Errand.POST, "new")
    first = await taken(store, limit=3)
    second = await taken(store, limit=3)
    assert (len(first), len(second)) == (3, 2)
    assert len({lease.destination for lease in (*first, *second)}) == 5
