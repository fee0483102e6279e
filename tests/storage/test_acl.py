"""The ACL lines, tried as the users they make: the legitimate path works, and forging, reading and erasing do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from approvals.action import partition_of, request_id
from approvals.errors import StoreUnavailable
from approvals.indices import Query
from approvals.ports import Answer, Post, Queue
from approvals.windows import Share
from storage.redis import RedisStore
from storage.redis.acl import acl_lines
from storage.redis.keys import CONFIG, Keys
from tests.build import AGENT, CHANNEL, DIGEST, a_change, a_request, a_vote
from tests.servers import Server, running

pytestmark = pytest.mark.redis

PARTITIONS = 2
AGENTS = (AGENT, "export-bot", "bot", "a")
TOOL, OTHER_TOOL = "ledger", "mailer"
USERS = (
    "admin",
    "bot",
    "auditor",
    *(f"agent-{name}" for name in AGENTS),
    *(f"tool-{name}" for name in (TOOL, OTHER_TOOL)),
)
PASSWORDS = {user: f"secret of {user}" for user in USERS}
HOME = Keys(partition_of(AGENT, PARTITIONS))
OTHER_HOME = Keys(partition_of("export-bot", PARTITIONS))
RID = request_id(AGENT, "run-118/release", PARTITIONS)
LAST_ID = "18446744073709551615-18446744073709551615"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows exactly the users of the lines."""
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.write_text("\n".join(acl_lines(AGENTS, (TOOL, OTHER_TOOL), PARTITIONS, PASSWORDS)) + "\n")
    with running("--appendonly", "yes", "--appendfsync", "always", "--aclfile", str(file)) as server:
        yield server


class Users:
    """Connections of the users of one test."""

    def __init__(self, server: Server, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack

    def url(self, user: str) -> str:
        """Where and as whom to connect."""
        return self._server.url.replace("redis://", f"redis://{user}:{PASSWORDS[user].replace(' ', '%20')}@")

    def client(self, user: str, protocol: int = 2) -> Any:
        """Any client's connection as this user."""
        client = Redis.from_url(self.url(user), protocol=protocol, client_name="test")
        self._stack.push_async_callback(client.aclose)
        return client

    async def store(self, user: str = "bot", **settings: Any) -> RedisStore:
        """The memory as this user opens it."""
        connected = await RedisStore.connect(self.url(user), partitions=PARTITIONS, **settings)
        return await self._stack.enter_async_context(connected)


@pytest.fixture
async def users(guarded: Server) -> AsyncIterator[Users]:
    """The users, in a server in which one request was asked, approved and published."""
    async with AsyncExitStack() as stack:
        users = Users(guarded, stack)
        await users.client("admin").flushall()
        store = await users.store()
        await store.adopt(DIGEST, "version: 1", {"event": "policy"})
        request = a_request(call="run-118/release", partitions=PARTITIONS, now=await store.now())
        await store.create(request.id, lambda *_: a_change(request))
        after = await store.update(
            request.id,
            lambda s: a_change(s.request.voted(a_vote(at=s.now), jti="j"), decides=True, announce=True),
        )
        await store.publish(after.request, {"status": "approved", "receipt": "a.b.c"})
        yield users


async def test_the_bots_own_user_may_do_everything_the_memory_does(users: Users) -> None:
    store = await users.store()
    assert store.findings == ()
    stored = await store.get(RID)
    assert await store.find(stored.request.code) == [RID]
    assert (await store.list(Query())).requests == []
    assert await store.due(Queue.CARDS, limit=1, lease=1) == [RID]
    assert await store.settle(Queue.CARDS, RID, stored.request.version)
    await store.postpone(Queue.TIMERS, RID, 1)
    assert await store.intend(RID, CHANNEL, "t") is None
    await store.record_post(RID, Post(CHANNEL, "posted", 1))
    await store.keep_rendering("sha256:a", b"{}")
    assert await store.rendering("sha256:a") == b"{}"
    assert await store.may_post(CHANNEL, 60, 1) == 0
    await store.hold_posts(CHANNEL, 1)
    assert await store.note({"event": "x"}) == 2
    assert await store.epoch() == (DIGEST, "version: 1")
    assert await store.register_first_key("k", {"kty": "OKP"}, {"event": "key"})
    assert await store.keep_key("next", {"kty": "OKP"}, {"event": "key"}, known=None)
    assert set(await store.keys()) == {"k", "next"}
    assert [entry.number async for entry in store.journal(0)] == [1, 2, 3, 4]
    ended = await store.update(RID, lambda s: a_change(s.request.lapsed(s.now), announce=True))
    await store.publish(ended.request, {"status": "lapsed"}, again=True)
    await users.client("admin").script_flush()
    assert (await store.get(RID)).request.version == 3


async def test_the_bots_own_user_keeps_what_lies_on_the_shelf(users: Users) -> None:
    shelf = (await users.store()).shelf
    assert await shelf.keep("views/one", {"n": 1}, ttl=60_000, record={"event": "kept"})
    assert await shelf.keep("views/one", {"n": 2}, version=1)
    assert [kept.document for kept in await shelf.folder("views")] == [{"n": 2}]
    assert await shelf.drop("views/one")


async def test_the_bots_own_user_keeps_windows(users: Users) -> None:
    windows, share = (await users.store()).windows, Share(window="day", amount=999_000_000, length=86_400_000)
    assert await windows.reserve("a", (share,), hold=60_000, token="1" * 16) == {"day": 999_000_000}
    await windows.release("a", (share,), token="1" * 16)
    await windows.recount("a", (share,), None)
    assert await windows.reserve("b", (share,), hold=60_000, token="1" * 16) == {"day": 999_000_000}


async def test_the_bots_user_may_confirm_on_replicas(users: Users) -> None:
    store = await users.store(replicas=0)
    with pytest.raises(StoreUnavailable):
        await store._link.call("DEL", HOME.journal)
    assert await store._link.call("WAIT", 0, 1) == 0


async def test_the_bots_inbox_works_as_its_user(users: Users) -> None:
    store = await users.store()
    async with store.inbox("bot-1") as inbox:
        await inbox.watch(AGENTS, (TOOL, OTHER_TOOL))
        await users.client(f"agent-{AGENT}").xadd(HOME.intake(AGENT, tool=False), {"type": "request", "body": "{}"})
        (entry,) = await inbox.take(limit=1, block=1_000)
        (again,) = await inbox.reclaim(idle=0, limit=1)
        assert again.id == entry.id
        await inbox.answer(again, Answer("pending", {}), dead_letter="malformed")


async def test_not_even_the_bots_user_can_shorten_the_journal_by_a_plain_command(users: Users) -> None:
    bot = users.client("bot")
    for words in (("DEL", HOME.journal), ("XTRIM", HOME.journal, "MAXLEN", "0"), ("XDEL", HOME.journal, "1-0")):
        await refused(bot, words)
    for also in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "SET", "appendonly", "no"], ["ACL", "LIST"]):
        await refused(bot, also)


async def test_an_agent_asks_and_reads_its_answer(users: Users) -> None:
    for protocol in (2, 3):
        agent = users.client(f"agent-{AGENT}", protocol)
        assert await agent.ping()
        assert b'"partitions": 1' not in await agent.get(CONFIG)
        await agent.xadd(HOME.intake(AGENT, tool=False), {"type": "request", "body": "{}"})
        out = HOME.out(AGENT, tool=False)
        assert await agent.xrevrange(out, count=1)
        assert await agent.xread({out: "0"}, count=1)
        assert b"approved" in await agent.get(HOME.decision(AGENT, RID))
        pipeline = agent.pipeline()
        pipeline.get(HOME.decision(AGENT, RID))
        pipeline.xadd(HOME.intake(AGENT, tool=False), {"type": "collect", "body": "{}"})
        assert len(await pipeline.execute()) == 2


async def test_a_tool_spends_in_every_partition_and_sees_nothing_else(users: Users) -> None:
    tool = users.client(f"tool-{TOOL}")
    for partition in range(PARTITIONS):
        keys = Keys(partition)
        await tool.xadd(keys.intake(TOOL, tool=True), {"type": "spend", "body": "{}"})
        await tool.xread({keys.out(TOOL, tool=True): "0"}, count=1)
        await refused(tool, ("XADD", keys.intake(OTHER_TOOL, tool=True), "*", "type", "spend", "body", "{}"))
        await refused(tool, ("XREAD", "STREAMS", keys.out(OTHER_TOOL, tool=True), "0"))
        await refused(tool, ("XADD", keys.out(TOOL, tool=True), "*", "type", "spend", "body", "{}"))
    assert await tool.get(CONFIG)
    for words in attacks(AGENT):
        await refused(tool, words)


@pytest.mark.parametrize("attacker", ["agent-export-bot", "agent-a", "agent-bot"])
async def test_an_agent_cannot_touch_what_is_anothers(users: Users, attacker: str) -> None:
    client = users.client(attacker)
    own = Keys(partition_of(attacker.removeprefix("agent-"), PARTITIONS))
    await client.xadd(own.intake(attacker.removeprefix("agent-"), tool=False), {"type": "request", "body": "{}"})
    for words in attacks(AGENT):
        await refused(client, words)


async def test_an_agent_cannot_forge_its_own_decision_or_anything_of_the_bots(users: Users) -> None:
    agent = users.client(f"agent-{AGENT}")
    decision = HOME.decision(AGENT, RID)
    for words in (
        *(("SET", key, "forged") for key in (decision, CONFIG, HOME.policy(DIGEST))),
        *((verb, decision, *more) for verb, *more in (("DEL",), ("APPEND", "x"), ("EXPIRE", "9"), ("GETDEL",))),
        ("XADD", HOME.out(AGENT, tool=False), "*", "type", "decision", "body", "{}"),
        ("XREAD", "STREAMS", HOME.intake(AGENT, tool=False), "0"),
        ("DEL", HOME.intake(AGENT, tool=False)),
        ("XGROUP", "CREATE", HOME.intake(AGENT, tool=False), "mine", "0"),
        ("XREADGROUP", "GROUP", "bot", "me", "STREAMS", HOME.intake(AGENT, tool=False), ">"),
        *private(HOME),
        *administration(),
    ):
        await refused(agent, words)
    kept = await users.client("admin").get(decision)
    assert b"a.b.c" in kept


async def test_a_script_gets_an_agent_no_further(users: Users) -> None:
    agent = users.client(f"agent-{AGENT}")
    decision = HOME.decision(AGENT, RID)
    known = await users.client("admin").script_load("return 1")
    for words in (
        ("EVAL", "return redis.call('SET', KEYS[1], 'forged')", "1", decision),
        ("EVAL", "return 1", "0"),
        ("EVALSHA", known, "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("FCALL", "f", "0"),
        ("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('f', function() return 1 end)"),
    ):
        await refused(agent, words)


async def test_the_auditor_reads_the_journal_and_changes_nothing(users: Users) -> None:
    store = await users.store("auditor", read_only=True)
    assert [entry.number async for entry in store.journal(0)] == [1] or partition_of(AGENT, PARTITIONS) == 0
    assert await store.epoch() == (DIGEST, "version: 1")
    assert await store.keys() == {}
    assert await store.rendering("sha256:none") is None
    auditor = users.client("auditor")
    for words in (
        ("XADD", HOME.journal, "*", "record", "{}"),
        ("XTRIM", HOME.journal, "MAXLEN", "0"),
        ("DEL", HOME.journal),
        ("HSET", HOME.meta, "epoch", "mine"),
        ("SET", CONFIG, "mine"),
        ("GET", HOME.decision(AGENT, RID)),
        *administration(),
    ):
        await refused(auditor, words)


async def test_nobody_without_a_password_gets_in(guarded: Server) -> None:
    async with Redis.from_url(guarded.url) as nobody:
        with pytest.raises(AuthenticationError):
            await nobody.ping()


async def test_users_without_a_password_are_off() -> None:
    lines = acl_lines([AGENT], [TOOL], 1)
    assert [line.split()[1:3] for line in lines] == [
        [user, "off"] for user in ("default", "admin", "bot", "auditor", "archivist", f"agent-{AGENT}", f"tool-{TOOL}")
    ]
    assert not any("nopass" in line or ">" in line for line in lines)


def test_no_password_stands_in_a_line() -> None:
    lines = acl_lines([AGENT], [], 1, {"bot": "hunter2", f"agent-{AGENT}": "hunter3"})
    assert not any("hunter" in line for line in lines)
    assert sum(" on resetpass #" in line for line in lines) == 2


@pytest.mark.parametrize("name", ["tool", "*", "a:b", "a b", "", "A", "a" * 64, "x)\nuser y on nopass", "a*"])
def test_a_name_that_could_widen_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name of the wire"):
        acl_lines([name], [], 1)
    with pytest.raises(ValueError, match="not a name of the wire"):
        acl_lines([], [name], 1)


def test_the_lines_use_nothing_newer_than_redis_7() -> None:
    assert not any("setinfo" in line or "maint" in line for line in acl_lines(AGENTS, [TOOL], 8))


async def refused(client: Any, words: Sequence[str]) -> None:
    """The command must be refused for want of permission, not for anything else."""
    try:
        reply = await client.execute_command(*words)
    except NoPermissionError:
        return
    pytest.fail(f"{words} was answered: {reply!r}")


def attacks(victim: str) -> list[tuple[str, ...]]:
    """What somebody else may try on an agent's own keys, and on the bot's."""
    intake, out = HOME.intake(victim, tool=False), HOME.out(victim, tool=False)
    decision = HOME.decision(victim, RID)
    return [
        ("XADD", intake, "*", "type", "request", "body", "{}"),
        ("XADD", intake, "MAXLEN", "0", "*", "type", "x", "body", "y"),
        ("XADD", intake, LAST_ID, "type", "x", "body", "y"),
        ("XTRIM", intake, "MAXLEN", "0"),
        ("DEL", intake),
        ("XRANGE", intake, "-", "+"),
        ("XREAD", "STREAMS", out, "0"),
        ("XREVRANGE", out, "+", "-"),
        ("XADD", out, "*", "type", "decision", "body", "{}"),
        ("GET", decision),
        ("MGET", decision),
        ("SET", decision, "forged"),
        ("DEL", decision),
        *private(HOME),
        *administration(),
    ]


def private(keys: Keys) -> list[tuple[str, ...]]:
    """The bot's own keys."""
    return [
        ("HGETALL", keys.request(RID)),
        ("HSET", keys.request(RID), "doc", "forged"),
        ("HGETALL", keys.posts(RID)),
        ("XRANGE", keys.journal, "-", "+"),
        ("XADD", keys.journal, "MAXLEN", "0", "*", "record", "{}"),
        ("ZADD", keys.queue(Queue.TIMERS), "0", RID),
        ("ZRANGE", keys.index("pending"), "0", "-1"),
        ("HSET", keys.meta, "epoch", "mine"),
        ("GET", keys.policy(DIGEST)),
        ("GET", keys.shown("sha256:a")),
        ("XRANGE", keys.dead, "-", "+"),
    ]


def administration() -> list[tuple[str, ...]]:
    """What nobody but the administrator does."""
    return [
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("FLUSHALL",),
        ("MONITOR",),
        ("CONFIG", "SET", "dir", "/tmp"),
        ("ACL", "SETUSER", "me", "on"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("SUBSCRIBE", "x"),
        ("PUBLISH", "x", "y"),
        ("SHUTDOWN",),
        ("REPLICAOF", "NO", "ONE"),
        ("EVAL", "return 1", "0"),
    ]
