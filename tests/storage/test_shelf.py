"""The shelf: small documents beside the requests, in every kind of memory."""

from __future__ import annotations

import asyncio
import json

import pytest

from approvals.ports import Store
from tests.storage.conftest import Room


async def test_what_was_put_down_is_there_until_it_is_taken_away(store: Store) -> None:
    first = await store.shelf.keep("views/one", {"person": "dana", "pages": [1, 2]})
    assert first is not None
    assert first.version == 1
    assert await store.shelf.kept("views/one") == first
    assert await store.shelf.drop("views/one")
    assert await store.shelf.kept("views/one") is None
    assert await store.shelf.drop("views/one"), "what is not there needs no second step"


async def test_of_two_who_put_down_a_new_one_only_the_first_does(store: Store) -> None:
    both = await asyncio.gather(*(store.shelf.keep("once/key", {"by": n}, version=0) for n in (1, 2)))
    winners = [kept for kept in both if kept is not None]
    assert len(winners) == 1
    assert await store.shelf.kept("once/key") == winners[0]


async def test_only_who_knows_what_lies_there_may_replace_or_remove_it(store: Store) -> None:
    await store.shelf.keep("views/one", {"n": 1})
    assert await store.shelf.keep("views/one", {"n": 2}, version=7) is None
    second = await store.shelf.keep("views/one", {"n": 2}, version=1)
    assert second is not None
    assert not await store.shelf.drop("views/one", version=1)
    assert await store.shelf.kept("views/one") == second
    assert await store.shelf.drop("views/one", version=2)


async def test_a_document_is_forgotten_when_its_time_is_over(room: Room) -> None:
    shelf = room.store.shelf
    await shelf.keep("views/short", {"n": 1}, ttl=60_000)
    await shelf.keep("views/long", {"n": 2})
    room.advance(59_000)
    assert [kept.name for kept in await shelf.folder("views")] == ["views/long", "views/short"]
    room.advance(2_000)
    assert await shelf.kept("views/short") is None
    assert [kept.name for kept in await shelf.folder("views")] == ["views/long"]
    again = await shelf.keep("views/short", {"n": 3}, version=0)
    assert again is not None, "what is forgotten is not there"


async def test_a_folder_holds_its_own_alone(store: Store) -> None:
    for name in ("a/2", "a/1", "ab/3"):
        await store.shelf.keep(name, {"name": name})
    assert [kept.document["name"] for kept in await store.shelf.folder("a")] == ["a/1", "a/2"]
    assert await store.shelf.folder("nothing") in ((), [])


async def test_a_record_is_journalled_with_what_was_done_and_only_then(store: Store) -> None:
    await store.shelf.keep("delegations/dana", {"to": "lee"}, version=0, record={"event": "delegated"})
    await store.shelf.keep("delegations/dana", {"to": "eve"}, version=0, record={"event": "too late"})
    await store.shelf.drop("delegations/dana", version=1, record={"event": "taken back"})
    await store.shelf.drop("delegations/dana", record={"event": "nothing was there"})
    entries = [entry for partition in range(store.partitions) async for entry in store.journal(partition)]
    events = [json.loads(entry.record)["event"] for entry in entries]
    assert [event for event in events if event != "policy"] == ["delegated", "taken back"]


async def test_a_name_without_a_folder_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="<folder>/<rest>"):
        await store.shelf.keep("alone", {})
