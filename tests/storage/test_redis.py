"""What only the memory in Redis can do or suffer: lost replies, restarts, retention, unfit servers, the price."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from approvals.errors import EpochChanged, NotFound, StoreUnavailable
from approvals.indices import Query
from approvals.lifecycle import Status
from approvals.ports import Answer, Change, Post, Queue, Stored, Taken
from storage.redis import RedisStore, ServerUnfit
from storage.redis.keys import CONFIG, Keys
from storage.redis.link import scripts
from tests.build import AGENT, CHANNEL, DIGEST, a_change, a_request, a_vote, an_action
from tests.servers import Server, running
from tests.storage.conftest import RedisRoom, redis_room
from tests.storage.lossy import LossyLine, lossy

pytestmark = pytest.mark.redis

DAY = 86_400_000


async def create(store: RedisStore, **wanted: Any) -> Stored:
    """A pending request in the memory."""
    request = a_request(now=await store.now(), **wanted)
    return (await store.create(request.id, lambda *_: a_change(request)))[0]


def approve(stored: Stored) -> Change:
    """A yes of alice, which decides."""
    after = stored.request.voted(a_vote(at=stored.now), jti="jti-1")
    return a_change(after, decides=True, announce=True)


def withdraw(stored: Stored) -> Change:
    """The agent takes it back."""
    return a_change(stored.request.withdrawn(stored.now), announce=True)


async def numbers(store: RedisStore) -> list[int]:
    """The journal's numbers."""
    return [entry.number async for entry in store.journal(0)]


# ---- a reply that was lost


async def test_a_commit_whose_reply_was_lost_counts_once(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        request = a_request(now=await store.now())
        line.forget()
        seen: list[int] = []

        def make(now: int, _earlier: object = ()) -> Change:
            seen.append(now)
            line.lose_replies = 1
            return a_change(request)

        stored, new = await store.create(request.id, make)
        assert (new, stored.request.version, len(seen)) == (True, 1, 1)
        assert line.commands.count("EVALSHA") == 4  # load, save, save again, load

        def change(current: Stored) -> Change:
            seen.append(current.now)
            line.lose_replies = 1
            return approve(current)

        after = await store.update(request.id, change)
        assert (after.request.version, after.request.status, len(seen)) == (2, Status.APPROVED, 2)
        assert after.request.decision_entry == 3
        assert await numbers(store) == [1, 2, 3]


async def test_a_lost_reply_is_told_even_when_somebody_came_after(redis: RedisRoom, server: Server) -> None:
    stored = await create(redis.store)
    original = redis.store._words
    words: list[Any] = []

    def recorded(change: Change, **members: Any) -> Any:
        words[:] = original(change, **members)
        return words

    redis.store._words = recorded  # type: ignore[method-assign] # to send the very same commit again, later
    await redis.store.update(stored.request.id, approve)
    redis.store._words = original  # type: ignore[method-assign] # as it was
    await redis.store.update(stored.request.id, lambda s: a_change(s.request.spent("attempt-1", AGENT, s.now)))
    redis.store._words = lambda change, **members: words  # type: ignore[method-assign] # the re-sent one
    again = await redis.store.update(stored.request.id, lambda s: a_change(s.request), known=stored)
    assert (again.request.version, again.request.status) == (3, Status.SPENT)
    assert await numbers(redis.store) == [1, 2, 3, 4]


async def test_a_note_whose_reply_was_lost_is_noted_once(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        line.lose_replies = 1
        first = await store.note({"event": "a"})
        assert await store.note({"event": "b"}) == first + 1
        assert await numbers(store) == [1, 2, 3]


async def test_publishing_twice_by_accident_wakes_the_agent_once(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        stored = await create(store)
        after = await store.update(stored.request.id, approve)
        line.lose_replies = 1
        await store.publish(after.request, {"status": "approved"})
        assert len(await redis.answers(AGENT)) == 1


async def test_an_answer_whose_reply_was_lost_is_given_once(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store, store.inbox("bot") as inbox:
        await inbox.watch([AGENT], [])
        await redis.append(AGENT, {b"type": b"request", b"body": b"{}"})
        (entry,) = await inbox.take(limit=1, block=1_000)
        line.lose_replies = 1
        await inbox.answer(entry, Answer("pending", {}), dead_letter="malformed")
        assert len(await redis.answers(AGENT)) == 1
        assert len(await redis.dead_letters()) == 1


async def test_an_intention_whose_reply_was_lost_is_ours(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        stored = await create(store)
        line.lose_replies = 1
        assert await store.intend(stored.request.id, CHANNEL, "courier-1") is None


async def test_a_line_that_loses_everything_is_an_unavailable_store(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        stored = await create(store)
        line.lose_replies = 100
        with pytest.raises(StoreUnavailable) as told:
            await store.get(stored.request.id)
        assert told.value.__cause__ is not None
        line.lose_replies = 0
        assert (await store.get(stored.request.id)).request == stored.request


# ---- restarts


async def test_a_server_that_forgot_the_scripts_is_taught_again(redis: RedisRoom) -> None:
    stored = await create(redis.store)
    await redis.client.script_flush()
    after = await redis.store.update(stored.request.id, approve)
    await redis.client.script_flush()
    await redis.store.publish(after.request, {"status": "approved"})
    assert await redis.decision(AGENT, stored.request.id) is not None


async def test_after_a_crash_of_the_server_everything_is_there_and_work_goes_on() -> None:
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        room = await redis_room(server)
        await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
        stored = await create(room.store)
        after = await room.store.update(stored.request.id, approve)
        server.kill()
        with pytest.raises(StoreUnavailable):
            await room.store.get(stored.request.id)
        server.start()
        assert (await room.store.get(stored.request.id)).request == after.request
        assert await room.store.epoch() == (DIGEST, "version: 1")
        room.advance(2_001)
        assert await room.store.due(Queue.ANNOUNCEMENTS, limit=1, lease=1) == [stored.request.id]
        await room.store.publish(after.request, {"status": "approved"})
        spent = await room.store.update(stored.request.id, lambda s: a_change(s.request.spent("a", AGENT, s.now)))
        assert spent.request.version == 3
        assert await numbers(room.store) == [1, 2, 3, 4]
        await room.aclose()


# ---- how long things are kept


async def test_what_ended_goes_by_itself_a_week_after_it_should_have_been_forgotten(server: Server) -> None:
    room = await redis_room(server, retention=5_000)
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    keys = Keys(0)
    stored = await create(room.store)
    id_ = stored.request.id
    await room.store.record_post(id_, Post(CHANNEL, "posted", 1))
    own = (keys.request(id_), keys.posts(id_), keys.code(stored.request.code))
    assert [await room.client.pttl(key) for key in own] == [-1, -1, -1]
    await room.store.update(id_, withdraw)
    assert all([7 * DAY < await room.client.pttl(key) <= 7 * DAY + 5_000 for key in own])
    await room.client.delete(keys.posts(id_))
    await room.store.record_post(id_, Post(CHANNEL, "posted", 2))
    assert 7 * DAY < await room.client.pttl(keys.posts(id_)) <= 7 * DAY + 5_000
    await room.aclose()


async def test_a_request_that_is_gone_is_neither_found_nor_lost_work(server: Server) -> None:
    room = await redis_room(server, retention=1)
    await room.store.adopt(DIGEST, "version: 1", {"event": "policy"})
    stored = await create(room.store)
    id_ = stored.request.id
    await room.store.update(id_, withdraw)
    await room.client.delete(Keys(0).request(id_), Keys(0).document(id_))
    with pytest.raises(NotFound):
        await room.store.get(id_)
    assert await room.store.find(stored.request.code) == []
    assert await room.store.due(Queue.CARDS, limit=1, lease=1_000) == [id_]
    assert await room.store.settle(Queue.CARDS, id_, 2)
    again, new = await room.store.create(id_, lambda *_: a_change(stored.request))
    assert (new, again.request.version) == (True, 1)
    await room.client.delete(Keys(0).request(id_), Keys(0).document(id_))
    room.advance(1_000)
    assert await room.store.tidy(limit=10) == 1
    assert await room.client.zcard(Keys(0).ended) == 0
    await room.aclose()


async def test_a_decision_is_readable_for_a_day_and_longer_where_it_may_be_used_longer(redis: RedisRoom) -> None:
    short = await create(redis.store)
    await redis.store.publish((await redis.store.update(short.request.id, approve)).request, {})
    assert DAY - 60_000 < await redis.client.pttl(Keys(0).decision(AGENT, short.request.id)) <= DAY
    terms = short.request.terms.model_copy(update={"use_within": 3 * DAY})
    long = await create(redis.store, terms=terms)
    await redis.store.publish((await redis.store.update(long.request.id, approve)).request, {})
    assert await redis.client.pttl(Keys(0).decision(AGENT, long.request.id)) > 3 * DAY


async def test_the_out_stream_is_trimmed(redis: RedisRoom) -> None:
    stored = await create(redis.store)
    after = await redis.store.update(stored.request.id, approve)
    out = Keys(0).out(AGENT, tool=False)
    pipeline = redis.client.pipeline(transaction=False)
    for _ in range(12_000):
        pipeline.xadd(out, {"type": "x", "body": "{}"})
    await pipeline.execute()
    await redis.store.publish(after.request, {})
    assert await redis.client.xlen(out) <= 10_100


# ---- epochs of several partitions


async def test_two_who_adopt_at_once_leave_one_policy_in_all_partitions(server: Server) -> None:
    room = await redis_room(server, partitions=5)
    texts = [f"sha256:{number}" for number in range(20)]
    await asyncio.gather(*(room.store.adopt(text, text, {"event": "policy"}) for text in texts))
    epochs = {await room.client.hget(Keys(partition).meta, "epoch") for partition in range(5)}
    winner = await room.store.epoch()
    assert winner is not None
    assert epochs == {winner[0].encode()}
    await room.aclose()


async def test_an_adoption_that_broke_off_is_finished_by_the_next(server: Server) -> None:
    room = await redis_room(server, partitions=2)
    await room.store.adopt("sha256:old", "old", {"event": "policy"})
    await room.store.adopt("sha256:new", "new", {"event": "policy"})
    await room.client.hset(Keys(1).meta, mapping={"epoch": "sha256:old", "epoch_number": 1})
    await room.store.adopt("sha256:new", "new", {"event": "policy"})
    assert await room.client.hget(Keys(1).meta, "epoch") == b"sha256:new"
    assert await numbers(room.store) == [1, 2]
    await room.aclose()


async def test_before_any_policy_was_adopted_nothing_is_committed(server: Server) -> None:
    room = await redis_room(server)
    assert await room.store.epoch() is None
    with pytest.raises(EpochChanged):
        await create(room.store)
    await room.aclose()


# ---- the register of keys and the configuration


async def test_the_first_key_is_registered_and_no_other(redis: RedisRoom) -> None:
    assert await redis.store.keys() == {}
    assert await redis.store.register_first_key("k1", {"kty": "OKP"}, {"event": "key"})
    assert await redis.store.register_first_key("k1", {"kty": "OKP"}, {"event": "key"})
    assert not await redis.store.register_first_key("k2", {"kty": "OKP"}, {"event": "key"})
    assert await redis.store.keys() == {"k1": {"kty": "OKP"}}
    assert await numbers(redis.store) == [1, 2]


async def test_a_further_key_is_registered_where_nothing_else_is(redis: RedisRoom) -> None:
    await redis.store.register_first_key("k1", {"kty": "OKP"}, {"event": "key"})
    keep = redis.store.keep_key
    assert await keep("k2", {"n": 1}, {"event": "key"}, known=None)
    assert await keep("k2", {"n": 1}, {"event": "key"}, known=None)  # sent twice
    assert not await keep("k2", {"n": 2}, {"event": "key"}, known=None)
    assert not await keep("k2", {"n": 2}, {"event": "key"}, known={"n": 0})
    assert await keep("k2", {"n": 2}, {"event": "key"}, known={"n": 1})
    assert await redis.store.keys() == {"k1": {"kty": "OKP"}, "k2": {"n": 2}}
    assert await numbers(redis.store) == [1, 2, 3, 4]  # the policy, two keys, and the change of one


async def test_the_configuration_is_published_and_another_one_refused(redis: RedisRoom, server: Server) -> None:
    assert json.loads(await redis.client.get(CONFIG)) == {"v": 1, "partitions": 1}
    with pytest.raises(ServerUnfit, match="partitions is fixed"):
        await RedisStore.connect(server.url, partitions=2)
    await redis.client.set(CONFIG, "nonsense")
    with pytest.raises(ServerUnfit):
        await RedisStore.connect(server.url)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [("appendfsync", "everysec", "appendfsync is everysec"), ("maxmemory", "500mb", "requests are refused")],
)
async def test_what_is_risky_about_a_server_is_found(server: Server, setting: str, value: str, words: str) -> None:
    room = await redis_room(server)
    before = (await room.client.config_get(setting))[setting]
    await room.client.config_set(setting, value)
    async with await RedisStore.connect(server.url) as store:
        assert [finding for finding in store.findings if words in finding]
    await room.client.config_set(setting, before)
    async with await RedisStore.connect(server.url) as store:
        assert store.findings == ()
    await room.aclose()


async def test_a_server_that_evicts_is_refused(redis: RedisRoom, server: Server) -> None:
    await redis.client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ServerUnfit, match="noeviction"):
        await RedisStore.connect(server.url)
    await redis.client.config_set("maxmemory-policy", "noeviction")


async def test_a_server_that_writes_nothing_to_disk_is_a_finding() -> None:
    with running("--appendonly", "no") as server:
        async with await RedisStore.connect(server.url) as store:
            assert any("forgets every request" in finding for finding in store.findings)


async def test_nobody_there_is_an_unavailable_store() -> None:
    with running() as server:
        server.stop()
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(server.url)


@pytest.mark.parametrize("url", ["nonsense", "http://x", "redis://u:hunter2@host:port/0", "redis://:hunter2@[::1"])
async def test_what_is_no_url_is_told_without_quoting_it(url: str) -> None:
    with pytest.raises(StoreUnavailable) as told:
        await RedisStore.connect(url)
    assert "hunter2" not in str(told.value)
    assert told.value.__cause__ is None


# ---- the price


async def test_one_approval_costs_five_round_trips(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store, store.inbox("bot") as inbox:
        await inbox.watch([AGENT], [])
        assert not await inbox.take(limit=1, block=1)  # both connections are open from here on
        line.forget()
        await redis.append(AGENT, {b"type": b"request", b"body": b"{}"})
        await one_approval(line, store, inbox)
        assert line.commands == ["XREADGROUP", "TIME"] + 4 * ["EVALSHA"], line.commands
        assert line.round_trips <= 5


async def one_approval(line: LossyLine, store: RedisStore, inbox: Any) -> None:
    """Intake, answer, click, decision, publication; the chat is not part of it."""
    (entry,) = await inbox.take(limit=1, block=1_000)
    request = a_request()
    taken = Taken(entry, lambda _: Answer("pending", {"request": request.id}))
    stored, _ = await store.create(request.id, lambda *_: a_change(request), taken=taken)
    known = await store.get(stored.request.id)
    after = await store.update(stored.request.id, approve, known=known)
    await store.publish(after.request, {"status": "approved"})


def test_every_script_says_what_it_does_and_takes_every_key_through_keys() -> None:
    for name, (_, source) in scripts().items():
        head = source.split("\n\n")[0]
        assert head.startswith("-- "), name
        assert "KEYS[1]" in head, name
        assert "returns" in head, name
        assert "sayso:" not in source, name


async def test_a_page_costs_two_round_trips_however_many_are_pending(redis: RedisRoom, server: Server) -> None:
    async with lossy(server.port) as line, await RedisStore.connect(line.url) as store:
        costs = []
        for number in range(300):
            await create(store, agent=f"agent-{number % 3}")
            if number in (29, 299):
                line.forget()
                page = await store.list(Query(destination=CHANNEL))
                assert len(page.requests) == 25
                costs.append((line.round_trips, sorted(line.commands)))
        assert costs[0] == costs[1] == (2, ["GET"] * 25 + ["HMGET"] * 25 + ["ZRANGE"])


async def test_a_page_of_what_is_rare_ends_before_it_is_full(redis: RedisRoom) -> None:
    rare = await create(redis.store, action=an_action(kind="exports.run"))
    for _ in range(620):
        await create(redis.store)
    first = await redis.store.list(Query(agent=AGENT, kind="exports.run"), limit=100)
    assert first.requests == []
    second = await redis.store.list(Query(agent=AGENT, kind="exports.run"), first.cursor or "", 100)
    assert ([one.id for one in second.requests], second.cursor) == ([rare.request.id], None)


async def test_a_request_that_an_earlier_version_kept_in_its_hash_is_read_and_goes_on(redis: RedisRoom) -> None:
    request = (await create(redis.store)).request
    keys = Keys(0)
    await redis.client.hset(keys.request(request.id), "doc", request.model_dump_json())
    await redis.client.delete(keys.document(request.id))
    assert (await redis.store.get(request.id)).request == request
    assert (await redis.store.list(Query())).requests == [request]
    after = (await redis.store.update(request.id, approve)).request
    assert (await redis.store.get(request.id)).request == after
