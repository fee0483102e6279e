"""Who may do what in Redis: one ACL line for each user, for an ACL file or ACL SETUSER (Redis 7, Valkey 8).

An agent may append to its own intake stream and read its own answers, a tool the same in every partition, the auditor
reads the journal and what it refers to. Nobody but the bot changes anything, and not even the bot's own user may
shorten or delete the journal by a command of its own. The lines use nothing newer than Redis 7.0: a file with an
unknown rule keeps the server from starting (client|setinfo is 7.2; redis-py goes on when it is refused).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from approvals.action import NAME, partition_of
from storage.redis.keys import CONFIG, NAMES, Keys

#: What any client needs to say hello and, in a Cluster, to find its server; MULTI and EXEC because clients wrap
#: pipelines in them (the commands inside are checked one by one).
_HELLO: Final = (
    "+ping +hello +quit +reset +multi +exec +discard +client|setname +cluster|slots +cluster|shards +asking +command"
)

_ANY: Final = "{sayso:*}"
_HASHES: Final = "+hget +hset +hdel +hmget +hgetall +hlen +hexists +pexpire +pttl +persist +exists"
_STRINGS: Final = "+get +set +exists +pexpire"
_SORTED_SETS: Final = (
    "+zadd +zrem +zscore +zrange +zrangebyscore +zremrangebyrank +zremrangebyscore +zcard +pexpire +persist"
)


def acl_lines(
    agents: Sequence[str], audiences: Sequence[str], partitions: int, passwords: Mapping[str, str] | None = None
) -> list[str]:
    """The lines for `default` (off), `admin`, `bot`, `auditor`, `archivist`, each `agent-<name>` and `tool-<name>`.

    `passwords` by user name, in clear; only their SHA-256 appears in a line. A user without one is off until somebody
    sets one: `ACL SETUSER agent-x on ><password>`. A replica's own user (masteruser) is the operator's to add.
    Raises ValueError for a name that the wire does not allow: it could widen a pattern.
    """
    for name in (*agents, *audiences):
        if not re.fullmatch(NAME, name) or name == "tool":
            raise ValueError(f"{name!r} is not a name of the wire ([a-z0-9][a-z0-9_-]*, not 'tool')")
    users = {"admin": "~* &* +@all", "bot": _bot(), "auditor": _auditor(), "archivist": _archivist()}
    users |= {f"agent-{agent}": _agent(agent, partitions) for agent in agents}
    users |= {f"tool-{audience}": _tool(audience, partitions) for audience in audiences}
    known = passwords or {}
    return [
        "user default off resetpass resetkeys resetchannels -@all",
        *(f"user {user} {_secret(known.get(user))} {rules}" for user, rules in users.items()),
    ]


def _agent(agent: str, partitions: int) -> str:
    keys = Keys(partition_of(agent, partitions))
    return _own(
        [keys.intake(agent, tool=False)], [keys.out(agent, tool=False)], f" (%R~{keys.decision(agent, '*')} +get +mget)"
    )


def _tool(audience: str, partitions: int) -> str:
    homes = [Keys(partition) for partition in range(partitions)]
    return _own([keys.intake(audience, tool=True) for keys in homes], [keys.out(audience, tool=True) for keys in homes])


def _own(intakes: Sequence[str], outs: Sequence[str], more: str = "") -> str:
    """Append here, read there, and read the configuration."""
    append = " ".join(f"%W~{key}" for key in intakes)
    read = " ".join(f"%R~{key}" for key in outs)
    return f"{_none(_HELLO)} ({append} +xadd) ({read} +xread +xrange +xrevrange) (%R~{CONFIG} %R~{NAMES} +get){more}"


def _bot() -> str:
    """Scripts are checked twice: EVALSHA for its keys, and every command inside under the same user."""
    streams = "+xreadgroup +xpending +xclaim +xack +xdel +xgroup|create +xinfo|stream +xinfo|groups +xrange +type"
    hashes = _keys("meta", "keys", "troubles", "request:*", "posts:*", "rate:*", "kept:*", "leases")
    sets = _keys(
        "timers",
        "cards",
        "announcements",
        "silent",
        "ended",
        "pending",
        "pending:*",
        "status:*",
        "code:*",
        "like:*",
        "voted:*",
        "folder:*",
        "destinations",
        "outbox:*",
        "counted:*",
    )
    strings = _keys("decision:*", "doc:*", "policy:*", "shown:*")
    return " ".join(
        (
            _none(f"{_HELLO} +info +time +wait +config|get +script|load"),
            f"(~{_ANY}:* +evalsha)",
            f"({_keys('in:*')} {streams})",
            f"({_keys('out:*', 'dead', 'journal')} +xadd)",
            f"({_keys('out:*')} +pexpire)",
            f"(%R~{_ANY}:journal %R~{_ANY}:dead +xrange +xrevrange)",
            f"({hashes} {_HASHES})",
            f"({sets} {_SORTED_SETS})",
            f"({strings} {_STRINGS})",
            f"({_keys('amounts:*')} +hset +hget +hmget +hdel +pexpire)",
            f"(~{CONFIG} ~{NAMES} {_STRINGS})",
        )
    )


def _auditor() -> str:
    texts = " ".join(f"%R~{_ANY}:{name}" for name in ("doc:*", "policy:*", "shown:*"))
    hashes = " ".join(f"%R~{_ANY}:{name}" for name in ("meta", "keys", "request:*", "posts:*"))
    return " ".join(
        (
            _none(f"{_HELLO} +info +time +config|get"),
            f"(%R~{_ANY}:journal %R~{_ANY}:dead +xrange +xrevrange +xread +xlen)",
            f"({texts} %R~{CONFIG} %R~{NAMES} +get)",
            f"({hashes} +hget +hmget +hgetall)",
        )
    )


def _archivist() -> str:
    """Reads the journal, marks what was exported, and drops what lies outside; the bot itself cannot."""
    return " ".join(
        (
            _none(f"{_HELLO} +info +time +config|get +script|load"),
            f"(~{_ANY}:meta ~{_ANY}:journal +evalsha)",
            f"(~{_ANY}:journal +xrange +xrevrange +xtrim)",
            f"(~{_ANY}:meta +hget +hmget +hset)",
            f"(%R~{CONFIG} %R~{_ANY}:policy:* +get)",
        )
    )


def _none(but: str) -> str:
    """No key, no channel, no command, but these."""
    return f"resetkeys resetchannels -@all {but}"


def _keys(*names: str) -> str:
    return " ".join(f"~{_ANY}:{name}" for name in names)


def _secret(password: str | None) -> str:
    return "off resetpass" if password is None else f"on resetpass #{hashlib.sha256(password.encode()).hexdigest()}"
