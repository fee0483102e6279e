"""Reading the URL of a Redis or Valkey: one server, one that Sentinels look after, or a Cluster.

    redis://[user:password@]host[:6379][/db]                                    rediss:// with TLS, unix:// for a socket
    redis+sentinel://[user:password@]host[:26379],host2…/service[/db]           rediss+sentinel:// with TLS
    redis+cluster://[user:password@]host[:6379],host2…                          rediss+cluster:// with TLS

User and password are those of the data servers. Sentinels have their own, `?sentinel_username=…&sentinel_password=…`,
with the right to `sentinel|masters`; they are spoken to over TLS as well, unless `sentinel_tls=no`. Further options, as
in redis-py: `ssl_ca_certs`, `ssl_ca_path`, `ssl_certfile`, `ssl_keyfile`, `ssl_keyfile_password`, `ssl_cert_reqs`,
`ssl_check_hostname`, `ssl_ciphers`, `client_name`, `health_check_interval`, `socket_keepalive`. The bot takes the same
URLs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode

from redis.asyncio.connection import SSLConnection, parse_url

from sayso.errors import InvalidRequest

Shape = Literal["server", "sentinel", "cluster"]

_URL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<shape>sentinel|cluster)://(?:(?P<user>[^@/?#]*)@)?"
    r"(?P<nodes>[^@/?#]+)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_NODE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\],]+)(?::(?P<port>[0-9]{1,5}))?")
_SENTINEL_PORT, _PORT = 26379, 6379
_TLS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_cert_reqs"}
    | {"ssl_check_hostname", "ssl_ciphers"}
)
_PLAIN = frozenset({"client_name", "health_check_interval", "socket_keepalive"})
_OURS = frozenset({"protocol", "decode_responses", "max_connections", "retry_on_error"})
_SENTINEL = frozenset({"sentinel_username", "sentinel_password", "sentinel_tls"})
_FORMS = "redis://…, rediss://…, unix://…, redis+sentinel://host,host2/service or redis+cluster://host,host2"


@dataclass(frozen=True)
class Target:
    """Where a URL leads: `options` are for connections to the data servers, `sentinel` for those to the Sentinels."""

    shape: Shape
    options: Mapping[str, Any]
    nodes: tuple[tuple[str, int], ...] = ()  #: Sentinels, or some nodes of the cluster
    service: str = ""
    sentinel: Mapping[str, Any] | None = None


def read_url(url: str) -> Target:
    """Read a URL; raises InvalidRequest without repeating it, for it may hold a password."""
    found = _URL.fullmatch(url)
    if found is None:
        read = _read(url)
        return Target("server", {name: read[name] for name in read.keys() - _OURS})
    return _sentinel(found) if found["shape"] == "sentinel" else _cluster(found)


def _sentinel(found: re.Match[str]) -> Target:
    service, _, db = (found["path"] or "").removeprefix("/").partition("/")
    if not service or (db and not db.isdecimal()):
        raise _bad("the name of the service that the Sentinels look after is missing, or its database is no number")
    query = _query(found, _SENTINEL)
    own = {name.removeprefix("sentinel_"): query.pop(name) for name in _SENTINEL & query.keys()}
    options = _options(found, query) | {"db": int(db or 0)}
    if own.pop("tls", "yes").lower() in ("yes", "true", "1"):
        own |= {name: value for name, value in options.items() if name.startswith("ssl")}
    return Target("sentinel", options, _nodes(found["nodes"], _SENTINEL_PORT), unquote(service), own)


def _cluster(found: re.Match[str]) -> Target:
    if found["path"] not in (None, "/"):
        raise _bad("a cluster has no databases and no service: the URL ends after the hosts")
    return Target("cluster", _options(found, _query(found, frozenset())), _nodes(found["nodes"], _PORT))


def _query(found: re.Match[str], more: frozenset[str]) -> dict[str, str]:
    """The options behind the question mark, all of them known."""
    query = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    known = _PLAIN | more | (_TLS if found["scheme"] == "rediss" else frozenset())
    if query.keys() - known:  # not repeated: it may be what follows a question mark in a password
        raise _bad(f"only these options are known here: {', '.join(sorted(known))}")
    return query


def _options(found: re.Match[str], query: Mapping[str, str]) -> dict[str, Any]:
    """What redis-py reads from a URL for one server with the same user and options."""
    user = "" if found["user"] is None else f"{found['user']}@"
    read = _read(f"{found['scheme']}://{user}host?{urlencode(query)}")
    del read["host"]
    if read.pop("connection_class", None) is SSLConnection:
        read["ssl"] = True
    return read


def _nodes(text: str, port: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for part in text.split(","):
        node = _NODE.fullmatch(part)
        if node is None or not 0 < int(node["port"] or port) < 65_536:
            raise _bad("a host is missing, or its port is no number")
        nodes.append((node["host"].strip("[]"), int(node["port"] or port)))
    return tuple(nodes)


def _read(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError:  # its text may quote a part of the URL, and that may be the password
        raise _bad("the URL cannot be read; percent-encode what is special in a password") from None


def _bad(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="url", remedy=f"write it like {_FORMS}")
