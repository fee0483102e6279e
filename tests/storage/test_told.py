"""A decision that is published by its own commit: what it says is true, and without the commit nobody hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from approvals.errors import NotConfirmed
from approvals.lifecycle import Status
from approvals.ports import Change, Queue, Stored
from approvals.request import Request
from storage.redis import RedisStore
from storage.redis.foresight import Foresight
from tests.build import AGENT, a_change, a_request, a_vote
from tests.servers import Server
from tests.storage.conftest import RedisRoom

pytestmark = pytest.mark.redis

LATER = 3_000


@pytest.fixture
def store(redis: RedisRoom) -> RedisStore:
    """An empty store with a policy."""
    return redis.store


async def asked(store: RedisStore) -> Stored:
    """A pending request, as a vote has just read it."""
    request = a_request()
    await store.create(request.id, lambda *_: a_change(request))
    return await store.get(request.id)


def approved(now: Stored) -> Change | None:
    """The commit of a vote that decides."""
    if now.request.status is not Status.PENDING:
        return None
    after = now.request.voted(a_vote(), jti="j" * 22)
    return a_change(after, decides=True, announce=True)


class Teller:
    """Tells of a decision; `heard` is what it was asked to tell of. `first` happens before it has told."""

    def __init__(self, first: Any = None, says: bool = True) -> None:
        self.heard: list[Request] = []
        self._first = first
        self._says = says

    async def __call__(self, request: Request) -> Mapping[str, Any] | None:
        self.heard.append(request)
        if self._first is not None:
            await self._first()
        return {"request": request.id, "index": request.decision_entry} if self._says else None


async def on_the_wire(store: RedisStore, request: str) -> tuple[bytes | None, int]:
    """The decision that the agent may read, and how often it was woken."""
    keys = store._keys[0]
    decision = await store._link.call("GET", keys.decision(AGENT, request))
    return decision, int(await store._link.call("XLEN", keys.out(AGENT, tool=False)))


async def announced_later(store: RedisStore) -> list[str]:
    """What is still to be published."""
    store.clock_offset += LATER
    return list(await store.due(Queue.ANNOUNCEMENTS, limit=10, lease=1))


async def test_the_commit_publishes_the_decision_under_its_own_number(store: RedisStore) -> None:
    known, tell = await asked(store), Teller()
    after = await store.update(known.request.id, approved, known=known, tell=tell)
    assert after.told
    assert tell.heard == [after.request]
    assert (tell.heard[0].version, tell.heard[0].decision_entry) == (
        after.request.version,
        after.request.decision_entry,
    )
    told = b'{"request":"%b","index":%d}' % (after.request.id.encode(), after.request.decision_entry or 0)
    assert await on_the_wire(store, after.request.id) == (told, 1)
    assert not await announced_later(store)
    await store.publish(after.request, {"request": "again"})  # whoever publishes it, too, wakes nobody twice
    assert await on_the_wire(store, after.request.id) == (told, 1)


async def test_a_number_that_somebody_else_took_publishes_nothing_yet(store: RedisStore, server: Server) -> None:
    async with await RedisStore.connect(server.url) as other:
        known, tell = await asked(store), Teller(first=lambda: other.note({"event": "quicker"}))
        after = await store.update(known.request.id, approved, known=known, tell=tell)
    assert not after.told
    assert tell.heard[0].decision_entry != after.request.decision_entry
    assert await on_the_wire(store, after.request.id) == (None, 0)
    assert await announced_later(store) == [after.request.id]
    await store.publish(after.request, {"index": after.request.decision_entry})
    assert await on_the_wire(store, after.request.id) == (b'{"index":%d}' % (after.request.decision_entry or 0), 1)


async def test_a_commit_that_loses_a_race_publishes_nothing(store: RedisStore, server: Server) -> None:
    async with await RedisStore.connect(server.url) as other:
        known = await asked(store)
        tell = Teller(
            first=lambda: other.update(known.request.id, lambda now: a_change(now.request.denied_by("r", "", 1)))
        )
        after = await store.update(known.request.id, approved, known=known, tell=tell)
    assert (after.request.status, after.told) == (Status.DENIED, False)
    assert await on_the_wire(store, after.request.id) == (None, 0)


async def test_what_has_to_be_done_before_is_not_told(store: RedisStore) -> None:
    known, tell = await asked(store), Teller(says=False)
    after = await store.update(known.request.id, approved, known=known, tell=tell)
    assert (after.request.status, after.told) == (Status.APPROVED, False)
    assert await on_the_wire(store, after.request.id) == (None, 0)
    assert await announced_later(store) == [after.request.id]


async def test_where_replicas_have_to_confirm_it_nothing_is_told_with_the_commit(store: RedisStore) -> None:
    known, tell = await asked(store), Teller()
    store.replicas = 1  # there is none: nothing is ever confirmed
    with pytest.raises(NotConfirmed):
        await store.update(known.request.id, approved, known=known, tell=tell)
    assert not tell.heard
    assert await on_the_wire(store, known.request.id) == (None, 0)


async def test_a_vote_that_decides_nothing_tells_nothing(store: RedisStore) -> None:
    known, tell = await asked(store), Teller()
    await store.update(known.request.id, lambda now: a_change(now.request), known=known, tell=tell)
    assert not tell.heard


# ---- which number


def test_nothing_is_foretold_before_the_journal_was_heard_of() -> None:
    foresight = Foresight()
    assert foresight.next() is None
    foresight.heard(7)
    assert foresight.next() == 8


def test_nothing_is_foretold_while_a_commit_is_under_way() -> None:
    foresight = Foresight()
    foresight.heard(7)
    foresight.begins()
    assert foresight.next() is None
    foresight.heard(8)
    foresight.ended()
    foresight.heard(7)  # an older word, overtaken on its way
    assert foresight.next() == 9


def test_where_it_seldom_comes_true_it_is_tried_only_now_and_then() -> None:
    foresight = Foresight()
    foresight.heard(1)
    for _ in range(20):
        foresight.begins()
        foresight.ended(foretold=False)
    tried = [foresight.next() is not None for _ in range(34)]
    assert tried == [*[False] * 16, True, *[False] * 16, True]
    for _ in range(20):
        foresight.begins()
        foresight.ended(foretold=True)
    assert all(foresight.next() is not None for _ in range(34))
