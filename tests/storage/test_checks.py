"""Which servers are refused, what is found to be risky, and what cannot be proven where a service hides it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from approvals.errors import StoreUnavailable
from storage.redis import RedisStore, ServerUnfit
from storage.redis.checks import Server as Examined
from storage.redis.checks import about_replicas, examine
from tests.servers import Cluster, Server, running
from tests.storage.conftest import ALWAYS
from tests.storage.test_secured import SECRET, lives, teach_users

GOOD = {
    "redis_version": "7.2.4",
    "role": "master",
    "connected_slaves": "2",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "cluster_enabled": "0",
}


class Told:
    """A line to servers that say of themselves what a test wants; None is a refusal."""

    def __init__(self, *infos: dict[str, str] | None, fsync: str | None = "always", is_cluster: bool = False) -> None:
        self.is_cluster = is_cluster
        self._infos = infos
        self._fsync = fsync

    async def everywhere(self, *words: str) -> list[Any]:
        """What each server answers."""
        if words == ("INFO",):
            return [NoPermissionError("no") if info is None else _text(info) for info in self._infos]
        value = {"appendfsync": self._fsync, "save": ""}[words[2]]
        one: Any = NoPermissionError("no") if self._fsync is None else [words[2].encode(), (value or "").encode()]
        return [one] * len(self._infos)


def _text(info: dict[str, str]) -> bytes:
    return "".join(f"{name}:{value}\r\n" for name, value in info.items()).encode()


async def examined(*infos: dict[str, str] | None, **how: Any) -> Examined:
    """What is found out."""
    return await examine(Told(*infos, **how))  # type: ignore[arg-type] # the two things that examine uses


def without(*names: str) -> dict[str, str]:
    """A server that does not tell some things."""
    return {name: value for name, value in GOOD.items() if name not in names}


async def test_of_a_good_server_nothing_is_found() -> None:
    assert await examined(GOOD) == Examined("7.2.4", 2, ())


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"redis_version": "6.2.14"}, "Redis 7 or later"),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, "Valkey 8 or later"),
        ({"role": "slave"}, "point the URL at its master"),
        ({"maxmemory_policy": "volatile-lru"}, "set maxmemory-policy noeviction"),
        ({"cluster_enabled": "1"}, r"redis\+cluster://"),
    ],
)
async def test_an_unfit_server_is_refused_with_the_remedy(members: dict[str, str], said: str) -> None:
    with pytest.raises(ServerUnfit, match=said):
        await examined({**GOOD, **members})


async def test_one_unfit_master_of_a_cluster_is_enough() -> None:
    node = {**GOOD, "cluster_enabled": "1"}
    assert (await examined(node, {**node, "connected_slaves": "1"}, is_cluster=True)).replicas == 1
    with pytest.raises(ServerUnfit, match="noeviction"):
        await examined(node, {**node, "maxmemory_policy": "allkeys-lfu"}, is_cluster=True)


@pytest.mark.parametrize(
    ("info", "fsync", "name"),
    [
        (None, "always", "info-refused"),
        (without("redis_version"), "always", "version-unknown"),
        (without("maxmemory_policy"), "always", "eviction-unknown"),
        (without("aof_enabled"), "always", "persistence-unknown"),
        (GOOD, None, "fsync-unproven"),
        (GOOD, "everysec", "fsync-everysec"),
        (GOOD, "no", "fsync-no"),
        ({**GOOD, "aof_enabled": "0"}, None, "snapshots-only"),
        ({**GOOD, "aof_enabled": "0"}, "always", "no-persistence"),
        ({**GOOD, "aof_last_write_status": "err"}, "always", "aof-failing"),
        ({**GOOD, "maxmemory": "500000000"}, "always", "memory-limited"),
    ],
)
async def test_what_is_risky_or_not_proven_is_found_by_name(
    info: dict[str, str] | None, fsync: str | None, name: str
) -> None:
    (finding,) = (await examined(info, fsync=fsync)).findings
    assert finding.split(": ")[0] == name


@pytest.mark.parametrize(
    ("connected", "wanted", "partitions", "is_cluster", "name"),
    [
        (2, 1, 1, False, "replicas-unconfirmed"),
        (0, 1, 1, False, "replicas-missing"),
        (1, 1, 1, True, "one-partition"),
    ],
)
def test_how_the_bot_uses_its_servers_may_be_risky(
    connected: int, wanted: int, partitions: int, is_cluster: bool, name: str
) -> None:
    (finding,) = about_replicas(Examined("7.2.4", connected, ()), wanted, partitions, is_cluster=is_cluster)
    assert finding.split(": ")[0] == name


def test_as_many_replicas_as_are_connected_are_no_risk() -> None:
    assert about_replicas(Examined("7.2.4", 2, ()), 2, 8, is_cluster=True) == []


# ---- as a managed service would have it


@pytest.mark.redis
@pytest.mark.parametrize(
    ("denied", "names"),
    [
        (("-config|get",), ["fsync-unproven"]),
        (("-config|get", "-info"), ["info-refused"]),
    ],
)
async def test_it_starts_and_works_where_much_is_refused(denied: tuple[str, ...], names: list[str]) -> None:
    with running(*ALWAYS) as server:
        teach_users(server)
        # The bot's own lines never allow CONFIG SET, ACL, WAITAOF; here it also loses what it would like to read.
        assert "+OK" in server.command("ACL", "SETUSER", "bot", *denied)
        async with await RedisStore.connect(_as_bot(server)) as store:
            assert [finding.split(": ")[0] for finding in store.findings] == names
            await lives(store)


@pytest.mark.redis
async def test_a_user_who_may_not_do_what_is_needed_is_told_where_to_look() -> None:
    with running(*ALWAYS) as server:
        teach_users(server)
        server.command("ACL", "SETUSER", "bot", "-script|load")
        with pytest.raises(StoreUnavailable, match="bot acl"):
            await RedisStore.connect(_as_bot(server))


@pytest.mark.redis
async def test_a_wrong_password_is_called_that(server: Server) -> None:
    with pytest.raises(StoreUnavailable, match="the user or the password"):
        await RedisStore.connect(server.url.replace("redis://", "redis://nobody:hunter2@"))


@pytest.mark.redis
async def test_a_node_of_a_cluster_does_not_pass_for_a_server(cluster: Cluster) -> None:
    with pytest.raises(ServerUnfit, match=r"redis\+cluster://"):
        await RedisStore.connect(cluster.nodes[0].url)


def _as_bot(server: Server) -> str:
    return server.url.replace("redis://", f"redis://bot:{SECRET}@")


def test_every_finding_is_explained_in_the_documents() -> None:
    page = Path("docs/how-to/redis.md").read_text(encoding="utf-8")
    source = Path("storage/redis/checks.py").read_text(encoding="utf-8")
    names = set(re.findall(r'f?"([a-z]+-[a-z]+): ', source)) | {"fsync-everysec", "fsync-no"}
    assert len(names) > 10
    assert {name for name in names if f"`{name}`" not in page} == set()
