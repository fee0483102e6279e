"""What every memory of requests promises (approvals/ports.py), on every kind of memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from approvals.action import likeness, request_id
from approvals.errors import EpochChanged, IllegalTransition, NotExported, NotFound, OutsideWindow, OverLimit
from approvals.indices import Query
from approvals.lifecycle import Event, Status
from approvals.limits import Limits
from approvals.ports import Change, Post, Queue, Store, Stored
from approvals.request import Request
from approvals.terms import Escalation, Factor, Presentation
from tests.build import AGENT, CHANNEL, DIGEST, a_change, a_request, a_vote, an_action, some_terms
from tests.storage.conftest import Room

SOON = 60_000


async def create(room: Room, **wanted: object) -> Stored:
    """A pending request in the memory, asked now."""
    request = a_request(now=await room.store.now(), partitions=room.partitions, **wanted)  # type: ignore[arg-type] # passed through
    stored, new = await room.store.create(request.id, lambda *_: a_change(request))
    assert new
    return stored


def approve(person: str = "alice") -> object:
    """A change function: a yes of one person at the time of reading."""

    def change(stored: Stored) -> Change:
        after = stored.request.voted(a_vote(person, at=stored.now), jti="jti-1")
        return a_change(after, decides=True, announce=True)

    return change


async def approved(room: Room) -> Stored:
    """A request that was asked and approved."""
    stored = await create(room)
    return await room.store.update(stored.request.id, approve())  # type: ignore[arg-type] # a change function


async def journal(store: Store, partition: int) -> list[tuple[int, dict[str, object]]]:
    """The journal as numbers and records."""
    return [(entry.number, json.loads(entry.record)) async for entry in store.journal(partition)]


# ---- create and get


async def test_what_was_created_is_what_is_read(room: Room) -> None:
    created = await create(room)
    read = await room.store.get(created.request.id)
    assert read.request == created.request
    assert (read.request.version, read.request.decision_entry) == (1, None)
    assert read.request.action.digest() == created.request.digest
    assert abs(read.now - await room.store.now()) < SOON
    assert read.posts == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"note": 'line\nbreak \x00 "quote" \\ é 🤖 ‮ </script>'},
        {"big": 2**53 - 1, "small": -(2**53) + 1, "one": 1.0, "tiny": 5e-324, "zero": -0.0, "third": 1 / 3},
        {"nested": {"a": [1, [2.5, {"b": None}], True, ""]}, "": {}},
    ],
)
async def test_the_digest_survives_the_memory(room: Room, arguments: dict[str, object]) -> None:
    created = await create(room, action=an_action(arguments=arguments))
    read = await room.store.get(created.request.id)
    assert read.request.action.digest() == created.request.digest


async def test_an_unknown_request_is_not_found(room: Room) -> None:
    for unknown in (request_id(AGENT, "never", room.partitions), "9999-" + "a" * 24, "../x", "", "{sayso:0}:meta"):
        with pytest.raises(NotFound):
            await room.store.get(unknown)
        with pytest.raises(NotFound):
            await room.store.update(unknown, lambda _: None)


async def test_the_same_call_is_created_once_and_the_first_stays(room: Room) -> None:
    first = await create(room, call="run-1/step")
    again = a_request(call="run-1/step", partitions=room.partitions)
    calls: list[int] = []

    def make(now: int, _earlier: object = ()) -> Change:
        calls.append(now)
        return a_change(again)

    stored, new = await room.store.create(again.id, make)
    assert (new, calls) == (False, [])
    assert stored.request.action.nonce == first.request.action.nonce != again.action.nonce


async def test_of_many_who_create_at_once_one_succeeds(room: Room) -> None:
    requests = [a_request(call="same", partitions=room.partitions) for _ in range(20)]
    results = await asyncio.gather(*(room.store.create(one.id, lambda *_, one=one: a_change(one)) for one in requests))
    assert sum(new for _, new in results) == 1
    assert len({stored.request.action.nonce for stored, _ in results}) == 1


async def test_create_makes_the_request_from_the_time_of_the_memory(room: Room) -> None:
    room.advance(86_400_000)
    seen: list[int] = []
    request = a_request(partitions=room.partitions)

    def make(now: int, _earlier: object = ()) -> Change:
        seen.append(now)
        return a_change(request)

    await room.store.create(request.id, make)
    assert abs(seen[0] - await room.store.now()) < SOON


async def test_create_is_told_the_newest_five_that_asked_for_the_same(room: Room) -> None:
    base = await room.store.now()
    alike = [await create(room, asked_at=base + number) for number in range(7)]
    await create(room, action=an_action(target="bank:other"))
    await create(room, agent="export-bot")
    told: list[list[str]] = []
    again = a_request(partitions=room.partitions, asked_at=base + 7)

    def make(_now: int, earlier: Sequence[Request]) -> Change:
        told.append([one.id for one in earlier])
        return a_change(again)

    await room.store.create(again.id, make, like=likeness(AGENT, again.action))
    assert told == [[one.request.id for one in reversed(alike[2:])]]


async def test_what_is_told_as_earlier_is_as_it_stands_now(room: Room) -> None:
    before = await approved(room)
    again = a_request(partitions=room.partitions)
    told: list[Status] = []

    def make(_now: int, earlier: Sequence[Request]) -> Change:
        told.extend(one.status for one in earlier)
        return a_change(again)

    await room.store.create(again.id, make, like=likeness(AGENT, before.request.action))
    assert told == [Status.APPROVED]


# ---- limits


async def ask(room: Room, limits: Limits, **wanted: Any) -> Stored:
    """A request within limits."""
    request = a_request(now=await room.store.now(), partitions=room.partitions, **wanted)
    return (await room.store.create(request.id, lambda *_: a_change(request), limits=limits))[0]


async def test_an_agent_that_asks_too_fast_is_told_when_to_ask_again(room: Room) -> None:
    limits = Limits(AGENT, open=100, per_minute=4)
    for _ in range(4):
        await ask(room, limits)
    with pytest.raises(OverLimit) as refused:
        await ask(room, limits)
    wait = refused.value.retry_after or 0
    assert 0 < wait <= 15_000
    await ask(room, Limits("export-bot", open=1, per_minute=1), agent="export-bot")  # everybody has a pace of their own
    room.advance(wait + 1)
    await ask(room, limits)
    with pytest.raises(OverLimit):
        await ask(room, limits)


async def test_a_call_that_is_sent_again_takes_no_turn(room: Room) -> None:
    limits = Limits(AGENT, open=1, per_minute=1)
    first = await ask(room, limits, call="run-1/step")
    for _ in range(3):
        assert (await ask(room, limits, call="run-1/step")).request == first.request


async def test_an_agent_with_too_many_open_requests_waits_until_one_is_closed(room: Room) -> None:
    limits = Limits(AGENT, open=2, per_minute=1_000)
    first = await ask(room, limits)
    await ask(room, limits)
    with pytest.raises(OverLimit) as refused:
        await ask(room, limits)
    assert refused.value.retry_after is None
    await ask(room, Limits("export-bot", open=1, per_minute=60), agent="export-bot")
    await room.store.update(first.request.id, approve())  # type: ignore[arg-type] # a change function
    await ask(room, limits)


async def test_of_many_at_once_no_more_are_open_than_may_be(room: Room) -> None:
    limits = Limits(AGENT, open=5, per_minute=1_000)
    results = await asyncio.gather(*(ask(room, limits) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Stored) for result in results) == 5
    assert sum(isinstance(result, OverLimit) for result in results) == 15
    assert len(await listed(room, agent=AGENT)) == 5


async def test_what_a_rule_decides_at_once_is_never_too_many(room: Room) -> None:
    limits = Limits(AGENT, open=1, per_minute=1_000)
    await ask(room, limits)
    decided = a_request(now=await room.store.now(), partitions=room.partitions).denied_by("rule", "no", 1)
    stored, new = await room.store.create(decided.id, lambda *_: a_change(decided, decides=True), limits=limits)
    assert (new, stored.request.status) == (True, Status.DENIED)


# ---- update


async def test_an_update_is_what_the_change_made(room: Room) -> None:
    stored = await create(room)
    after = await room.store.update(stored.request.id, approve())  # type: ignore[arg-type] # a change function
    assert after.request.status is Status.APPROVED
    assert after.request.version == 2
    assert (await room.store.get(stored.request.id)).request == after.request


async def test_a_change_to_nothing_changes_nothing(room: Room) -> None:
    stored = await create(room)
    before = await journal(room.store, int(stored.request.id[0]))
    same = await room.store.update(stored.request.id, lambda _: None)
    assert same.request == stored.request
    assert await journal(room.store, int(stored.request.id[0])) == before


async def test_what_the_change_raises_comes_through_and_nothing_is_changed(room: Room) -> None:
    stored = await approved(room)
    with pytest.raises(IllegalTransition):
        await room.store.update(stored.request.id, lambda s: a_change(s.request.withdrawn(s.now)))
    assert (await room.store.get(stored.request.id)).request == stored.request


async def test_known_saves_the_first_read_and_a_stale_one_is_read_again(room: Room) -> None:
    stale = await create(room)
    await room.store.update(stale.request.id, lambda s: a_change(s.request, show=False))
    seen: list[int] = []

    def change(stored: Stored) -> Change:
        seen.append(stored.request.version)
        return a_change(stored.request.withdrawn(stored.now))

    after = await room.store.update(stale.request.id, change, known=stale)
    assert seen == [1, 2]
    assert after.request.version == 3


async def test_of_fifty_at_once_exactly_one_wins_each_version(room: Room) -> None:
    stored = await create(room)
    won: list[int] = []

    async def click(number: int) -> None:
        def change(current: Stored) -> Change:
            vote = a_vote(f"p{number}", at=current.now, factors=())
            return a_change(current.request.voted(vote, jti="x"))

        after = await room.store.update(stored.request.id, change)
        won.append(after.request.version)

    await asyncio.gather(*(click(number) for number in range(50)))
    assert sorted(won) == list(range(2, 52))
    last = (await room.store.get(stored.request.id)).request
    assert {vote.person for vote in last.votes} == {f"p{number}" for number in range(50)}


async def test_two_opposite_clicks_leave_one_decision(room: Room) -> None:
    stored = await create(room)

    def answer(person: str, word: str) -> object:
        def change(current: Stored) -> Change:
            vote = a_vote(person, word, at=current.now)  # type: ignore[arg-type] # approve or deny
            return a_change(current.request.voted(vote, jti=person), decides=True)

        return room.store.update(stored.request.id, change)

    results = await asyncio.gather(answer("alice", "approve"), answer("bob", "deny"), return_exceptions=True)  # type: ignore[call-overload] # coroutines
    assert sorted(type(result).__name__ for result in results) == ["IllegalTransition", "Stored"]
    final = (await room.store.get(stored.request.id)).request
    winner = next(result for result in results if isinstance(result, Stored))
    assert final == winner.request


# ---- windows and epochs


@pytest.mark.parametrize(
    ("before", "after", "late"), [(10_000, None, False), (0, -10_000, True), (10_000, 20_000, False)]
)
async def test_outside_its_window_nothing_is_committed(room: Room, before: int, after: int | None, late: bool) -> None:
    stored = await create(room)
    start = await room.store.now()
    window = {"not_before": start + before, "not_after": None if after is None else start + after}
    with pytest.raises(OutsideWindow) as refused:
        await room.store.update(stored.request.id, lambda s: a_change(s.request.withdrawn(s.now), **window))
    assert refused.value.too_late is late
    assert abs(refused.value.now - start) < SOON
    assert (await room.store.get(stored.request.id)).request == stored.request


async def test_the_window_opens_and_closes_with_time(room: Room) -> None:
    stored = await create(room)
    start = await room.store.now()
    window = {"not_before": start + 100_000, "not_after": start + 200_000}

    def change(current: Stored) -> Change:
        return a_change(current.request, **window)

    with pytest.raises(OutsideWindow):
        await room.store.update(stored.request.id, change)
    room.advance(150_000)
    assert (await room.store.update(stored.request.id, change)).request.version == 2
    room.advance(100_000)
    with pytest.raises(OutsideWindow):
        await room.store.update(stored.request.id, change)


async def test_under_another_epoch_nothing_is_committed(room: Room) -> None:
    stored = await create(room)
    await room.store.adopt("sha256:new", "version: 1 # new", {"event": "policy"})
    with pytest.raises(EpochChanged) as refused:
        await room.store.update(stored.request.id, approve())  # type: ignore[arg-type] # a change function
    assert refused.value.epoch == "sha256:new"
    other = a_request(partitions=room.partitions)
    with pytest.raises(EpochChanged):
        await room.store.create(other.id, lambda *_: a_change(other))
    assert (await room.store.get(stored.request.id)).request == stored.request


async def test_every_partition_has_the_new_epoch(room: Room) -> None:
    await room.store.adopt("sha256:new", "text", {"event": "policy"})
    for number in range(12):
        request = a_request(agent=f"agent-{number}", partitions=room.partitions)
        _, new = await room.store.create(request.id, lambda *_, r=request: a_change(r, epoch="sha256:new"))
        assert new


async def test_adopting_is_noted_once_and_only_in_partition_zero(room: Room) -> None:
    assert await room.store.epoch() == (DIGEST, "version: 1")
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    assert await journal(room.store, 0) == [(1, {"event": "policy"})]
    await room.store.adopt("sha256:two", "two", {"event": "policy", "digest": "sha256:two"})
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy", "back": True})
    assert await room.store.epoch() == (DIGEST, "version: 1")
    assert [number for number, _ in await journal(room.store, 0)] == [1, 2, 3]
    assert all([await journal(room.store, other) == [] for other in range(1, room.partitions)])


async def test_what_takes_the_place_of_another_rulebook_does_so_only_while_that_is_in_force(room: Room) -> None:
    await room.store.adopt("sha256:two", "two", {"event": "freeze"}, instead_of=DIGEST)
    assert await room.store.epoch() == ("sha256:two", "two")
    with pytest.raises(EpochChanged) as refused:
        await room.store.adopt("sha256:three", "three", {"event": "freeze"}, instead_of=DIGEST)
    assert refused.value.epoch == "sha256:two"
    assert await room.store.epoch() == ("sha256:two", "two")
    await room.store.adopt("sha256:two", "two", {"event": "freeze"}, instead_of=DIGEST)  # it came through before
    assert [number for number, _ in await journal(room.store, 0)] == [1, 2]


# ---- the journal


async def test_the_journal_numbers_every_commit_without_a_gap(room: Room) -> None:
    stored = await create(room)
    partition = int(stored.request.id[0])
    first = len(await journal(room.store, partition))
    await room.store.update(stored.request.id, lambda s: a_change(s.request, record={"event": "seen", "é": "\ud800"}))
    number = await room.store.note({"event": "refused click"}, partition=partition)
    await room.store.update(stored.request.id, lambda s: a_change(s.request.withdrawn(s.now)))
    entries = await journal(room.store, partition)
    assert [one for one, _ in entries] == list(range(1, first + 4))
    assert number == first + 2
    assert entries[number - 1][1] == {"event": "refused click"}
    assert entries[number - 2][1] == {"event": "seen", "é": "\ud800"}


async def test_the_journal_is_stamped_with_the_time_of_the_commit(room: Room) -> None:
    stored = await create(room)
    room.advance(3_600_000)
    after = await room.store.update(stored.request.id, lambda s: a_change(s.request))
    entries = [entry async for entry in room.store.journal(int(stored.request.id[0]))]
    assert entries[-1].at == after.now
    assert entries[-1].at - entries[-2].at >= 3_600_000


async def test_the_journal_is_read_from_any_number_across_pages(room: Room) -> None:
    for number in range(1_100):
        await room.store.note({"n": number})
    numbers = [entry.number async for entry in room.store.journal(0, after=17)]
    assert numbers == list(range(18, 1_102))


async def test_the_decisions_journal_number_stays_with_the_request(room: Room) -> None:
    stored = await approved(room)
    partition = int(stored.request.id[0])
    decided = stored.request.decision_entry
    assert decided == len(await journal(room.store, partition))
    spent = await room.store.update(
        stored.request.id, lambda s: a_change(s.request.spent("attempt-1", AGENT, s.now), announce=True)
    )
    assert spent.request.decision_entry == decided
    assert (await room.store.get(stored.request.id)).request.decision_entry == decided


async def test_what_was_not_exported_is_never_dropped(room: Room) -> None:
    for number in range(9):
        await room.store.note({"n": number})
    with pytest.raises(NotExported) as refused:
        await room.store.trim_journal(0, 5, "head-5")
    assert refused.value.exported == 0
    assert await room.store.mark_exported(0, 7) == 7
    assert await room.store.mark_exported(0, 3) == 7  # it never moves back
    with pytest.raises(NotExported):
        await room.store.trim_journal(0, 8, "head-8")
    with pytest.raises(NotFound):
        await room.store.mark_exported(0, 11)
    assert [number for number, _ in await journal(room.store, 0)] == list(range(1, 11))
    assert await room.store.trimmed(0) is None


async def test_a_trimmed_journal_begins_with_the_sealed_entry_and_goes_on_counting(room: Room) -> None:
    for number in range(9):
        await room.store.note({"n": number})
    await room.store.mark_exported(0, 10)
    assert await room.store.trim_journal(0, 5, "head-5") == 5
    assert await room.store.trim_journal(0, 4, "head-4") == 5
    assert await room.store.trimmed(0) == (5, "head-5")
    assert [number for number, _ in await journal(room.store, 0)] == [5, 6, 7, 8, 9, 10]
    assert [entry.number async for entry in room.store.journal(0, 2)] == [5, 6, 7, 8, 9, 10]
    assert [entry.number async for entry in room.store.journal(0, 8)] == [9, 10]
    assert await room.store.note({"n": "after"}) == 11
    assert await room.store.trim_journal(0, 10, "head-10") == 10
    assert [number for number, _ in await journal(room.store, 0)] == [10, 11]


# ---- how long things are kept

DAY = 86_400_000


async def test_what_ended_is_forgotten_after_its_retention_with_all_that_named_it(room: Room) -> None:
    stored = await approved(room)
    id_ = stored.request.id
    await room.store.record_post(id_, Post(CHANNEL, "posted", 1))
    await room.store.publish(stored.request, {"status": "approved"})
    ended = await room.store.update(id_, lambda s: a_change(s.request.lapsed(s.now)))
    living = await create(room)
    room.advance(29 * DAY)
    assert await room.store.tidy(limit=10) == 0
    assert (await room.store.get(id_)).request == ended.request
    room.advance(2 * DAY)
    assert await room.store.tidy(limit=10) == 1
    with pytest.raises(NotFound):
        await room.store.get(id_)
    assert await room.store.find(ended.request.code) == []
    assert await listed(room, statuses=tuple(Status)) == [living.request.id]
    assert await room.decision(AGENT, id_) is None
    assert await room.store.tidy(limit=10) == 0


async def test_what_nobody_could_settle_is_forgotten_too_unless_somebody_does(room: Room) -> None:
    lost = []
    for number in range(2):
        stored = await approved(room)
        id_ = stored.request.id
        await room.store.update(id_, lambda s, n=number: a_change(s.request.spent(f"attempt-{n}", AGENT, s.now)))  # type: ignore[misc] # bound early
        await room.store.update(id_, lambda s: a_change(s.request.reported(Event.LOSE, s.now)))
        lost.append(id_)
    room.advance(29 * DAY)
    await room.store.update(lost[1], lambda s: a_change(s.request.reported(Event.SUCCEED, s.now)))
    room.advance(2 * DAY)
    assert await room.store.tidy(limit=10) == 1
    with pytest.raises(NotFound):
        await room.store.get(lost[0])
    assert (await room.store.get(lost[1])).request.status is Status.SUCCEEDED


async def test_the_same_call_after_its_retention_is_a_new_request(room: Room) -> None:
    stored = await create(room, call="run-1/step")
    await room.store.update(stored.request.id, lambda s: a_change(s.request.withdrawn(s.now)))
    room.advance(31 * DAY)
    await room.store.tidy(limit=10)
    again = await create(room, call="run-1/step")
    assert (again.request.id, again.request.version) == (stored.request.id, 1)


# ---- list and find


async def listed(room: Room, limit: int = 25, **wanted: Any) -> list[str]:
    """The ids of all pages of a list."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await room.store.list(Query(**wanted), cursor, limit)
        assert len(page.requests) <= limit
        assert all(Query(**wanted).covers(request) for request in page.requests)
        found += [request.id for request in page.requests]
        cursor = page.cursor
    return found


async def test_the_pending_are_listed_newest_first_in_pages(room: Room) -> None:
    base = await room.store.now()
    created = [await create(room, agent=f"agent-{number}", asked_at=base + number) for number in range(7)]
    await room.store.update(created[3].request.id, approve())  # type: ignore[arg-type] # a change function
    ids = [one.request.id for one in reversed(created) if one is not created[3]]
    assert await listed(room) == ids
    first = await room.store.list(Query(), limit=4)
    assert [one.id for one in first.requests] == ids[:4]
    rest = await room.store.list(Query(), first.cursor or "", 4)
    assert ([one.id for one in rest.requests], rest.cursor) == (ids[4:], None)
    assert await listed(room, limit=1) == ids


async def test_requests_of_one_instant_are_listed_once_each(room: Room) -> None:
    base = await room.store.now()
    created = {(await create(room, agent=f"agent-{number}", asked_at=base)).request.id for number in range(9)}
    for limit in (1, 2, 4, 9, 20):
        ids = await listed(room, limit)
        assert (len(ids), set(ids)) == (9, created)


async def test_a_cursor_stays_where_it_was_while_the_list_changes(room: Room) -> None:
    base = await room.store.now()
    created = [await create(room, asked_at=base + number) for number in range(6)]
    first = await room.store.list(Query(), limit=3)
    await create(room, asked_at=base + 9)
    for gone in (3, 1):  # the last one of the page before, and one that lies ahead
        await room.store.update(created[gone].request.id, approve())  # type: ignore[arg-type] # a change function
    rest = await room.store.list(Query(), first.cursor or "", 3)
    assert [one.id for one in rest.requests] == [created[2].request.id, created[0].request.id]


async def test_a_list_is_told_by_everything_a_person_may_ask_for(room: Room) -> None:
    other, finance, sre = "slack:C0OTHER", ("person:alice", "person:bob"), ("slack:usergroup:S0SRE",)
    low = Presentation(title="t", done="d", not_done="n", risk="low")
    mine = await create(room, presentation=low)
    group = some_terms(factors=(Factor(name="sre", sources=sre),), destinations=(CHANNEL, other))
    theirs = await create(room, agent="export-bot", terms=group, action=an_action(kind="exports.run"))
    both = {mine.request.id, theirs.request.id}

    async def ids(**wanted: Any) -> set[str]:
        found = await listed(room, **wanted)
        assert len(found) == len(set(found))
        return set(found)

    assert await ids() == await ids(destination=CHANNEL) == await ids(sources=(*sre, *finance)) == both
    assert await ids(agent=AGENT) == await ids(sources=finance) == await ids(risk="low") == {mine.request.id}
    assert await ids(agent="export-bot") == await ids(destination=other) == {theirs.request.id}
    assert await ids(sources=sre) == await ids(kind="exports.run") == await ids(risk="high") == {theirs.request.id}
    assert await ids(agent="export-bot", destination=CHANNEL, sources=sre, kind="exports.run") == {theirs.request.id}
    nothing: list[dict[str, Any]] = [
        {"agent": "nobody"}, {"destination": "slack:C0NONE"}, {"sources": ()}, {"sources": ("person:dana",)},
        {"kind": "a.b"}, {"risk": "critical"}, {"agent": AGENT, "destination": other},
        {"kind": "exports.run", "risk": "low"}, {"statuses": ()},
    ]  # fmt: skip
    for wanted in nothing:
        assert await ids(**wanted) == set(), wanted


async def test_a_list_is_told_by_status(room: Room) -> None:
    asked, decided = await create(room), await approved(room)
    agents = await create(room, agent="export-bot")
    await room.store.update(agents.request.id, lambda s: a_change(s.request.withdrawn(s.now)))
    assert await listed(room, statuses=(Status.APPROVED,)) == [decided.request.id]
    assert await listed(room, statuses=(Status.WITHDRAWN,), agent="export-bot") == [agents.request.id]
    assert await listed(room, statuses=(Status.WITHDRAWN,), agent=AGENT) == []
    assert set(await listed(room, statuses=tuple(Status))) == {
        asked.request.id, decided.request.id, agents.request.id
    }  # fmt: skip
    after = await room.store.update(decided.request.id, lambda s: a_change(s.request.spent("attempt-1", AGENT, s.now)))
    assert await listed(room, statuses=(Status.APPROVED,)) == []
    assert await listed(room, statuses=(Status.SPENT,), agent=AGENT) == [after.request.id]


async def test_what_is_over_is_listed_for_those_who_answered_it(room: Room) -> None:
    first, waiting = await create(room), await create(room, agent="export-bot")
    assert await listed(room, voter="alice", statuses=tuple(Status)) == []
    await room.store.update(first.request.id, approve())  # type: ignore[arg-type] # a change function
    over = tuple(status for status in Status if status is not Status.PENDING)
    assert await listed(room, voter="alice", statuses=over) == [first.request.id]
    assert await listed(room, voter="bob", statuses=over) == []
    beside = Query(statuses=(Status.PENDING,), agent="export-bot")
    both = [waiting.request.id, first.request.id]
    for limit in (1, 2, 25):
        assert sorted(await listed(room, limit, voter="alice", statuses=over, besides=(beside,))) == sorted(both)
    assert await listed(room, agent="export-bot", besides=(beside,)) == [waiting.request.id]
    assert await listed(room, besides=(beside,), asked_before=first.request.asked_at) == []


async def test_a_list_is_told_by_age(room: Room) -> None:
    base = await room.store.now()
    created = [await create(room, asked_at=base + number) for number in range(6)]
    ids = [one.request.id for one in created]
    assert await listed(room, asked_before=base + 2) == [ids[1], ids[0]]
    assert await listed(room, asked_from=base + 4) == [ids[5], ids[4]]
    assert await listed(room, 1, asked_from=base + 2, asked_before=base + 4) == [ids[3], ids[2]]


async def test_after_an_escalation_it_is_listed_for_those_who_are_asked_too(room: Room) -> None:
    joins = ("person:alice", "person:bob")
    step = Escalation(after=1_000, sources=("person:dana",), destinations=("slack:C0BOSS",), joins=joins)
    stored = await create(room, terms=some_terms(escalation=(step,)))
    assert await listed(room, sources=("person:dana",)) == await listed(room, destination="slack:C0BOSS") == []
    await room.store.update(stored.request.id, lambda s: a_change(s.request.after_time(s.request.asked_at + 1_000)))
    for wanted in ({"sources": ("person:dana",)}, {"destination": "slack:C0BOSS"}, {"sources": ("person:alice",)}):
        assert await listed(room, **wanted) == [stored.request.id]


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "1-0-x", "-1-0-" + "a" * 24, "1-0-" + "A" * 24])
async def test_what_is_no_cursor_is_refused(room: Room, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await room.store.list(Query(), cursor)


async def test_a_request_is_found_by_its_code(room: Room) -> None:
    stored = await approved(room)
    assert await room.store.find(stored.request.code) == [stored.request.id]
    assert await room.store.find("ZZZZ-ZZ") == []


async def test_requests_that_share_a_code_are_all_found_newest_first(room: Room) -> None:
    base, digest = await room.store.now(), "sha256:" + "0f" * 32
    created = [await create(room, agent=f"agent-{n}", digest=digest, asked_at=base + n) for n in range(4)]
    found = await room.store.find(created[0].request.code)
    assert found == [one.request.id for one in reversed(created)]


# ---- queues


async def test_a_new_request_is_due_for_its_card_and_later_for_its_deadline(room: Room) -> None:
    stored = await create(room)
    request = stored.request
    assert await room.store.due(Queue.CARDS, limit=10, lease=SOON) == [request.id]
    assert await room.store.due(Queue.TIMERS, limit=10, lease=SOON) == []
    assert await room.store.due(Queue.ANNOUNCEMENTS, limit=10, lease=SOON) == []
    room.advance(request.expires_at - stored.now + 1)
    assert await room.store.due(Queue.TIMERS, limit=10, lease=SOON) == [request.id]


async def test_show_and_announce_say_which_work_follows(room: Room) -> None:
    request = a_request(partitions=room.partitions)
    await room.store.create(request.id, lambda *_: a_change(request, show=False))
    assert await room.store.due(Queue.CARDS, limit=10, lease=SOON) == []
    await room.store.update(request.id, approve())  # type: ignore[arg-type] # a change function
    assert await room.store.due(Queue.CARDS, limit=10, lease=SOON) == [request.id]
    assert await room.store.due(Queue.ANNOUNCEMENTS, limit=10, lease=SOON) == []
    room.advance(2_001)  # until then it is up to whoever committed
    assert await room.store.due(Queue.ANNOUNCEMENTS, limit=10, lease=SOON) == [request.id]


async def test_leased_work_is_hidden_until_the_lease_ends(room: Room) -> None:
    stored = await create(room)
    assert await room.store.due(Queue.CARDS, limit=10, lease=60_000) == [stored.request.id]
    assert await room.store.due(Queue.CARDS, limit=10, lease=60_000) == []
    room.advance(61_000)
    assert await room.store.due(Queue.CARDS, limit=10, lease=60_000) == [stored.request.id]


async def test_work_is_handed_to_one_of_many_takers(room: Room) -> None:
    ids = {(await create(room, agent=f"agent-{n}")).request.id for n in range(20)}
    takes = await asyncio.gather(*(room.store.due(Queue.CARDS, limit=3, lease=SOON) for _ in range(10)))
    taken = [one for take in takes for one in take]
    assert max(map(len, takes)) <= 3
    assert sorted(taken) == sorted(ids)


async def test_settled_work_is_over(room: Room) -> None:
    stored = await create(room)
    await room.store.due(Queue.CARDS, limit=1, lease=60_000)
    assert await room.store.settle(Queue.CARDS, stored.request.id, stored.request.version)
    room.advance(120_000)
    assert await room.store.due(Queue.CARDS, limit=1, lease=60_000) == []


async def test_work_on_an_old_version_is_due_again_at_once(room: Room) -> None:
    stored = await create(room)
    await room.store.due(Queue.CARDS, limit=1, lease=60_000)
    await room.store.update(stored.request.id, lambda s: a_change(s.request, show=False))
    assert not await room.store.settle(Queue.CARDS, stored.request.id, stored.request.version)
    assert await room.store.due(Queue.CARDS, limit=1, lease=60_000) == [stored.request.id]


async def test_settling_a_timer_never_loses_the_next_one(room: Room) -> None:
    stored = await create(room)
    room.advance(stored.request.expires_at - stored.now - 30_000)
    after = await room.store.update(stored.request.id, approve())  # type: ignore[arg-type] # a change function
    assert after.request.decision is not None
    assert await room.store.settle(Queue.TIMERS, stored.request.id, after.request.version)
    assert await room.store.due(Queue.TIMERS, limit=1, lease=SOON) == []
    room.advance((after.request.decision.use_by or 0) - after.now + 1)
    assert await room.store.due(Queue.TIMERS, limit=1, lease=SOON) == [stored.request.id]


async def test_an_ended_request_has_no_timer(room: Room) -> None:
    stored = await create(room)
    await room.store.update(stored.request.id, lambda s: a_change(s.request.withdrawn(s.now)))
    room.advance(86_400_000)
    assert await room.store.due(Queue.TIMERS, limit=1, lease=SOON) == []


async def test_postponed_work_is_due_after_its_delay(room: Room) -> None:
    stored = await create(room)
    await room.store.due(Queue.CARDS, limit=1, lease=10_000)
    await room.store.postpone(Queue.CARDS, stored.request.id, 100_000)
    room.advance(50_000)
    assert await room.store.due(Queue.CARDS, limit=1, lease=10_000) == []
    room.advance(60_000)
    assert await room.store.due(Queue.CARDS, limit=1, lease=10_000) == [stored.request.id]


async def test_postponing_what_is_over_brings_nothing_back(room: Room) -> None:
    stored = await create(room)
    await room.store.settle(Queue.CARDS, stored.request.id, stored.request.version)
    await room.store.postpone(Queue.CARDS, stored.request.id, 0)
    room.advance(1_000)
    assert await room.store.due(Queue.CARDS, limit=1, lease=10_000) == []


async def test_work_of_a_request_that_is_gone_can_be_settled(room: Room) -> None:
    assert await room.store.settle(Queue.CARDS, request_id(AGENT, "gone", room.partitions), 7)


async def test_an_agent_is_silent_when_its_patience_ends_unless_it_is_heard_of_again(room: Room) -> None:
    for agent in (AGENT, "export-bot"):
        await room.store.heard(agent, 90_000)
    room.advance(60_000)
    await room.store.heard(AGENT, 90_000)
    assert await room.store.due(Queue.SILENT, limit=10, lease=SOON) == []
    room.advance(60_000)
    assert await room.store.due(Queue.SILENT, limit=10, lease=10_000) == ["export-bot"]
    room.advance(40_000)
    assert sorted(await room.store.due(Queue.SILENT, limit=10, lease=SOON)) == sorted([AGENT, "export-bot"])


async def test_a_silence_that_was_dealt_with_is_over(room: Room) -> None:
    await room.store.heard(AGENT, 1_000)
    room.advance(1_001)
    assert await room.store.due(Queue.SILENT, limit=1, lease=1_000) == [AGENT]
    assert await room.store.gone(AGENT, 1_000)
    assert not await room.store.gone(AGENT, 1_000)
    room.advance(2_000)
    assert await room.store.due(Queue.SILENT, limit=1, lease=1_000) == []


async def test_an_agent_that_is_heard_of_while_its_silence_is_dealt_with_may_fall_silent_again(room: Room) -> None:
    await room.store.heard(AGENT, 90_000)
    room.advance(90_001)
    assert await room.store.due(Queue.SILENT, limit=1, lease=10_000) == [AGENT]
    await room.store.heard(AGENT, 90_000)
    assert not await room.store.gone(AGENT, 10_000)
    room.advance(90_001)
    assert await room.store.due(Queue.SILENT, limit=1, lease=10_000) == [AGENT]


# ---- publishing


async def test_a_published_decision_is_kept_and_wakes_the_agent_once(room: Room) -> None:
    stored = await approved(room)
    document = {"v": 1, "request": stored.request.id, "status": "approved", "receipt": "a.b.c"}
    await room.store.publish(stored.request, document)
    await room.store.publish(stored.request, document)
    room.advance(2_001)
    kept = await room.decision(AGENT, stored.request.id)
    assert kept is not None
    assert json.loads(kept) == document
    assert [(type_, json.loads(body)) for type_, body in await room.answers(AGENT)] == [("decision", document)]
    assert await room.store.due(Queue.ANNOUNCEMENTS, limit=1, lease=SOON) == []


async def test_an_agent_that_asks_again_is_woken_again(room: Room) -> None:
    stored = await approved(room)
    await room.store.publish(stored.request, {"receipt": "old"})
    await room.store.publish(stored.request, {"receipt": "new"}, again=True)
    assert [json.loads(body)["receipt"] for _, body in await room.answers(AGENT)] == ["old", "new"]
    assert json.loads(await room.decision(AGENT, stored.request.id) or b"{}") == {"receipt": "new"}


async def test_of_a_request_that_moved_on_nothing_is_published(room: Room) -> None:
    stored = await approved(room)
    moved = await room.store.update(stored.request.id, lambda s: a_change(s.request.lapsed(s.now), announce=True))
    await room.store.publish(stored.request, {"status": "approved", "receipt": "a.b.c"})
    assert await room.decision(AGENT, stored.request.id) is None
    assert await room.answers(AGENT) == []
    room.advance(2_001)
    assert await room.store.due(Queue.ANNOUNCEMENTS, limit=1, lease=SOON) == [stored.request.id]
    await room.store.publish(moved.request, {"status": "lapsed"})
    assert [json.loads(body) for _, body in await room.answers(AGENT)] == [{"status": "lapsed"}]


async def test_each_announced_version_is_published(room: Room) -> None:
    stored = await approved(room)
    await room.store.publish(stored.request, {"status": "approved"})
    spent = await room.store.update(
        stored.request.id, lambda s: a_change(s.request.spent("attempt-1", AGENT, s.now), announce=True)
    )
    await room.store.publish(spent.request, {"status": "spent"})
    assert [json.loads(body)["status"] for _, body in await room.answers(AGENT)] == ["approved", "spent"]


async def test_publishing_an_unknown_request_changes_nothing(room: Room) -> None:
    request = a_request(partitions=room.partitions, version=3)
    await room.store.publish(request, {"status": "approved"})
    assert await room.decision(AGENT, request.id) is None


# ---- posts and renderings


async def test_one_of_two_who_intend_to_post_may(room: Room) -> None:
    stored = await create(room)
    id_ = stored.request.id
    assert await room.store.intend(id_, CHANNEL, "courier-1") is None
    known = await room.store.intend(id_, CHANNEL, "courier-2")
    assert known is not None
    assert (known.destination, known.state) == (CHANNEL, "intended")
    assert abs(known.at - await room.store.now()) < SOON
    assert await room.store.intend(id_, "slack:C0OTHER", "courier-2") is None


async def test_an_intention_sent_twice_is_one_intention(room: Room) -> None:
    stored = await create(room)
    assert await room.store.intend(stored.request.id, CHANNEL, "courier-1") is None
    assert await room.store.intend(stored.request.id, CHANNEL, "courier-1") is None


async def test_a_recorded_post_is_read_with_the_request(room: Room) -> None:
    stored = await create(room)
    id_ = stored.request.id
    await room.store.intend(id_, CHANNEL, "courier-1")
    assert (await room.store.get(id_)).posts[CHANNEL].state == "intended"
    post = Post(CHANNEL, "posted", 12, {"channel": "C0PAY", "ts": "1.2"}, "sha256:shown")
    await room.store.record_post(id_, post)
    assert (await room.store.get(id_)).posts == {CHANNEL: post}
    assert await room.store.intend(id_, CHANNEL, "courier-2") == post
    newer = Post(CHANNEL, "posted", 13, post.reference, "sha256:newer", "é\x00")
    await room.store.record_post(id_, newer)
    after = await room.store.update(id_, approve())  # type: ignore[arg-type] # a change function
    assert after.posts == {CHANNEL: newer}


async def test_of_two_that_record_a_card_first_the_second_is_told_of_the_other(room: Room) -> None:
    stored = await create(room)
    id_, first, second = stored.request.id, *(Post(CHANNEL, "posted", 1, {"ts": ts}, "sha256:x") for ts in "12")
    await room.store.intend(id_, CHANNEL, "courier-1")
    assert await room.store.record_post(id_, first, unless_posted=True) is None
    for _ in range(2):
        assert await room.store.record_post(id_, second, unless_posted=True) == first
    assert (await room.store.get(id_)).posts == {CHANNEL: first}
    await room.store.record_post(id_, second)
    assert (await room.store.get(id_)).posts == {CHANNEL: second}


async def test_after_a_failed_post_another_may_be_intended(room: Room) -> None:
    stored = await create(room)
    await room.store.record_post(stored.request.id, Post(CHANNEL, "failed", 1, problem="channel_not_found"))
    assert await room.store.intend(stored.request.id, CHANNEL, "courier-1") is None
    known = await room.store.intend(stored.request.id, CHANNEL, "courier-2")
    assert known is not None
    assert known.state == "intended"


async def test_there_are_no_posts_of_an_unknown_request(room: Room) -> None:
    unknown = request_id(AGENT, "never", room.partitions)
    with pytest.raises(NotFound):
        await room.store.intend(unknown, CHANNEL, "courier-1")
    with pytest.raises(NotFound):
        await room.store.record_post(unknown, Post(CHANNEL, "posted", 1))


async def test_a_rendering_is_kept_by_its_digest(room: Room) -> None:
    await room.store.keep_rendering("sha256:a", b'{"blocks": "\xff\x00"}')
    await room.store.keep_rendering("sha256:a", b'{"blocks": "\xff\x00"}')
    assert await room.store.rendering("sha256:a") == b'{"blocks": "\xff\x00"}'
    assert await room.store.rendering("sha256:b") is None


# ---- the rate


async def test_a_destination_takes_its_burst_and_then_its_pace(room: Room) -> None:
    taken = [await room.store.may_post(CHANNEL, 2, 3) for _ in range(4)]
    assert taken[:3] == [0, 0, 0]
    assert 20_000 < taken[3] <= 30_000
    assert await room.store.may_post("slack:C0OTHER", 2, 3) == 0
    room.advance(taken[3] + 1)
    assert await room.store.may_post(CHANNEL, 2, 3) == 0
    assert await room.store.may_post(CHANNEL, 2, 3) > 20_000


async def test_an_idle_destination_saves_up_no_more_than_its_burst(room: Room) -> None:
    await room.store.may_post(CHANNEL, 1, 2)
    room.advance(86_400_000)
    assert [await room.store.may_post(CHANNEL, 1, 2) == 0 for _ in range(3)] == [True, True, False]


async def test_asking_while_it_is_too_early_costs_no_turn(room: Room) -> None:
    await room.store.may_post(CHANNEL, 1, 1)
    waits = [await room.store.may_post(CHANNEL, 1, 1) for _ in range(5)]
    assert all(0 < wait <= 60_000 for wait in waits)
    room.advance(60_001)
    assert await room.store.may_post(CHANNEL, 1, 1) == 0


async def test_a_held_destination_takes_nothing_until_the_hold_ends(room: Room) -> None:
    await room.store.hold_posts(CHANNEL, 100_000)
    await room.store.hold_posts(CHANNEL, 10_000)
    assert 90_000 < await room.store.may_post(CHANNEL, 60, 10) <= 100_000
    room.advance(100_001)
    assert await room.store.may_post(CHANNEL, 60, 10) == 0


async def test_of_a_hold_and_a_full_pace_the_longer_counts(room: Room) -> None:
    await room.store.may_post(CHANNEL, 1, 1)
    await room.store.hold_posts(CHANNEL, 10_000)
    assert 50_000 < await room.store.may_post(CHANNEL, 1, 1) <= 60_000
    await room.store.hold_posts(CHANNEL, 100_000)
    assert 90_000 < await room.store.may_post(CHANNEL, 1, 1) <= 100_000


# ---- the whole life


async def test_a_request_lives_its_whole_life_in_the_memory(room: Room) -> None:
    stored = await approved(room)
    id_ = stored.request.id
    await room.store.update(id_, lambda s: a_change(s.request.spent("attempt-1", AGENT, s.now)))
    await room.store.update(id_, lambda s: a_change(s.request.reported(Event.LOSE, s.now)))
    ended = await room.store.update(id_, lambda s: a_change(s.request.reported(Event.SUCCEED, s.now, "done")))
    assert ended.request.status is Status.SUCCEEDED
    assert ended.request.version == 5
    read: Request = (await room.store.get(id_)).request
    assert read == ended.request
    assert [record["event"] for _, record in await journal(room.store, int(id_[0])) if "request" in record] == [
        "pending",
        "approved",
        "spent",
        "unknown",
        "succeeded",
    ]
