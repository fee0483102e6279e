"""Whether a server is fit to be the memory of approvals, and what is risky about it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from redis.exceptions import RedisError

from approvals.errors import StoreError
from storage.redis.keys import CONFIG
from storage.redis.link import Link

WIRE_VERSION = 1


class ServerUnfit(StoreError):
    """The server cannot be used as it is; the text says why and what to do."""


@dataclass(frozen=True)
class Server:
    """What was found out about the servers.

    `findings` are risks, and what could not be proven: each begins with its name (docs/how-to/redis.md has them all).
    """

    version: str
    replicas: int
    findings: tuple[str, ...]


async def examine(link: Link) -> Server:
    """Look at every master; raises ServerUnfit when one of them would lose or mix up approvals."""
    infos, fsyncs, saves = [
        await link.everywhere(*words)
        for words in (("INFO",), ("CONFIG", "GET", "appendfsync"), ("CONFIG", "GET", "save"))
    ]
    servers = [_examined(*replies, routed=link.is_cluster) for replies in zip(infos, fsyncs, saves, strict=True)]
    versions = dict.fromkeys(server.version for server in servers)
    findings = dict.fromkeys(finding for server in servers for finding in server.findings)
    return Server(", ".join(versions), min(server.replicas for server in servers), tuple(findings))


def about_replicas(server: Server, wanted: int, partitions: int, *, is_cluster: bool) -> list[str]:
    """What is risky about how a bot uses its servers."""
    found = []
    if is_cluster and partitions == 1:
        found.append("one-partition: all agents are on one master of the Cluster; SAYSO_PARTITIONS spreads them")
    if wanted > server.replicas:
        found.append(
            f"replicas-missing: {wanted} replicas have to confirm each decision and {server.replicas} are connected:"
            " until they are, decisions are recorded and not published"
        )
    if wanted < server.replicas:
        found.append(
            f"replicas-unconfirmed: {server.replicas} replicas are connected and {wanted} have to confirm a decision:"
            " a failover to another takes back decisions that were told of; raise SAYSO_REDIS_REPLICAS"
        )
    return found


def _examined(info: object, fsync: object, snapshots: object, *, routed: bool) -> Server:
    """What one server says of itself."""
    if isinstance(info, RedisError) or not isinstance(info, bytes):
        finding = "info-refused: version, eviction, persistence and replicas could not be checked; allow +info"
        return Server("unknown", 0, (finding,))
    facts = _facts(info)
    _refuse_unfit(facts, routed=routed)
    found = [*_unknown(facts), *_persistence(facts, _setting(fsync), _setting(snapshots)), *_limits(facts)]
    return Server(_version(facts), _number(facts, "connected_slaves"), tuple(found))


async def claim_config(link: Link, partitions: int, *, read_only: bool = False) -> None:
    """Publish wire version and partitions for agents and tools, or refuse what another bot has published.

    Whoever only reads publishes nothing, and may look at a Redis in which nothing was published yet.
    """
    wanted = json.dumps({"v": WIRE_VERSION, "partitions": partitions})
    if not read_only:
        await link.call("SET", CONFIG, wanted, "NX")
    raw = await link.call("GET", CONFIG)
    if raw is None and read_only:
        return
    found = _config(raw)
    if found != (WIRE_VERSION, partitions):
        raise ServerUnfit(
            f"{CONFIG} holds {raw!r}, this bot wants {wanted}: the number of partitions is fixed when Sayso is"
            " installed; set the old number, or start with an empty Redis"
        )


def _refuse_unfit(facts: dict[str, str], *, routed: bool) -> None:
    if "redis_version" in facts and _major(facts["redis_version"]) < 7:
        raise ServerUnfit(f"Redis {_version(facts)} has no ACL selectors; use Redis 7 or later, or Valkey 8 or later")
    if "valkey_version" in facts and _major(facts["valkey_version"]) < 8:
        raise ServerUnfit(f"{_version(facts)} is not supported; use Valkey 8 or later")
    if facts.get("role") == "slave":
        raise ServerUnfit("this server is a replica and takes no writes; point the URL at its master")
    if facts.get("cluster_enabled") == "1" and not routed:
        raise ServerUnfit("this server is one of a Cluster; begin the URL with redis+cluster:// or rediss+cluster://")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ServerUnfit(
            f"maxmemory-policy is {policy}: under memory pressure the server would forget requests and decisions;"
            " set maxmemory-policy noeviction"
        )


def _unknown(facts: dict[str, str]) -> list[str]:
    """What a server keeps to itself, as managed ones may."""
    found = []
    if "redis_version" not in facts:
        found.append("version-unknown: INFO does not tell the version; Redis 7 or Valkey 8 is the oldest that will do")
    if "maxmemory_policy" not in facts:
        found.append("eviction-unknown: INFO does not tell maxmemory-policy; make sure that it is noeviction")
    return found


def _persistence(facts: dict[str, str], fsync: str | None, snapshots: str | None) -> list[str]:
    if "aof_enabled" not in facts:
        return ["persistence-unknown: INFO does not tell whether anything is written to disk; ask whoever runs it"]
    if facts["aof_enabled"] == "1":
        return [*_fsync(fsync), *_writing(facts)]
    if snapshots == "":
        return ["no-persistence: nothing is written to disk: a restart forgets every request and decision; appendonly"]
    return ["snapshots-only: a crash forgets every decision since the last snapshot; set appendonly yes"]


def _fsync(fsync: str | None) -> list[str]:
    if fsync is None:
        return ["fsync-unproven: CONFIG GET is refused: whether a write is on disk before it is answered is not known"]
    if fsync != "always":
        return [
            f"fsync-{fsync}: appendfsync is {fsync}: a power failure takes back about the last second; set"
            " appendfsync always"
        ]
    return []


def _writing(facts: dict[str, str]) -> list[str]:
    if facts.get("aof_last_write_status", "ok") == "ok":
        return []
    return ["aof-failing: the server could not write its append-only file: free its disk, or it takes no more writes"]


def _limits(facts: dict[str, str]) -> list[str]:
    if facts.get("maxmemory", "0") == "0":
        return []
    return [
        f"memory-limited: maxmemory is {facts['maxmemory']} bytes: when it is full, requests are refused until memory"
        " is added"
    ]


def _number(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    return int(text) if text.isdigit() else 0


def _major(version: str) -> int:
    first = version.split(".")[0]
    return int(first) if first.isdigit() else 0


def _facts(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _setting(reply: object) -> str | None:
    """The value in a reply of CONFIG GET, or None when it was refused."""
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], bytes):
        return reply[1].decode()
    return None


def _version(facts: dict[str, str]) -> str:
    valkey = facts.get("valkey_version")
    return f"Valkey {valkey}" if valkey else facts.get("redis_version", "unknown")


def _config(raw: object) -> tuple[object, object] | None:
    try:
        value = json.loads(raw) if isinstance(raw, bytes) else None
    except ValueError:
        return None
    return (value.get("v"), value.get("partitions")) if isinstance(value, dict) else None
