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
    """What was found out about a server. `findings` are risks, each a sentence an operator can act on."""

    version: str
    replicas: int
    findings: tuple[str, ...]


async def examine(link: Link) -> Server:
    """Look at every master; raises ServerUnfit when one of them would lose or mix up approvals."""
    infos, fsyncs, saves = [
        await link.everywhere(*words)
        for words in (("INFO",), ("CONFIG", "GET", "appendfsync"), ("CONFIG", "GET", "save"))
    ]
    servers = [_examined(*replies) for replies in zip(infos, fsyncs, saves, strict=True)]
    versions = dict.fromkeys(server.version for server in servers)
    findings = dict.fromkeys(finding for server in servers for finding in server.findings)
    return Server(", ".join(versions), min(server.replicas for server in servers), tuple(findings))


def _examined(info: object, fsync: object, snapshots: object) -> Server:
    """What one server says of itself."""
    if isinstance(info, RedisError) or not isinstance(info, bytes):
        finding = "INFO is refused: version, eviction policy, persistence and replicas were not checked (+info)"
        return Server("unknown", 0, (finding,))
    facts = _facts(info)
    _refuse_unfit(facts)
    found = [*_persistence(facts, _setting(fsync), _setting(snapshots)), *_limits(facts)]
    return Server(_version(facts), int(facts.get("connected_slaves", 0)), tuple(found))


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


def _refuse_unfit(facts: dict[str, str]) -> None:
    major = int(facts.get("redis_version", "0").split(".")[0])
    if major < 7:
        raise ServerUnfit(f"Redis {_version(facts)} has no ACL selectors; use Redis 7 or later, or Valkey 8 or later")
    if facts.get("valkey_version") and int(facts["valkey_version"].split(".")[0]) < 8:
        raise ServerUnfit(f"{_version(facts)} is not supported; use Valkey 8 or later")
    if facts.get("role") == "slave":
        raise ServerUnfit("this server is a replica and takes no writes; point the URL at its master")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ServerUnfit(
            f"maxmemory-policy is {policy}: under memory pressure the server would forget requests and decisions;"
            " set maxmemory-policy noeviction"
        )


def _persistence(facts: dict[str, str], fsync: str | None, snapshots: str | None) -> list[str]:
    if facts.get("aof_enabled") == "1":
        return _fsync(fsync)
    if snapshots == "":
        return ["nothing is written to disk: a restart of the server forgets every request and decision (appendonly)"]
    return ["there is no append-only file: a crash forgets what came after the last snapshot; set appendonly yes"]


def _fsync(fsync: str | None) -> list[str]:
    if fsync is None:
        return ["CONFIG GET is refused: whether every write is on disk before it is answered was not checked"]
    if fsync != "always":
        return [f"appendfsync is {fsync}: a power failure takes back about the last second; set appendfsync always"]
    return []


def _limits(facts: dict[str, str]) -> list[str]:
    if facts.get("maxmemory", "0") == "0":
        return []
    return [f"maxmemory is {facts['maxmemory']} bytes: when it is full, requests are refused until memory is added"]


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
