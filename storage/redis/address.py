"""Where the memory is: one URL for a single server, for Sentinel and for a Cluster, with TLS and ACL users.

    redis://user:pass@host:6379/0            one server; rediss:// over TLS; unix:///path for a socket
    redis+sentinel://user:pass@h1:26379,h2:26379/service/0?sentinel_username=…&sentinel_password=…
    redis+cluster://user:pass@h1:7000,h2:7001
    rediss+sentinel://…   rediss+cluster://…  the same over TLS (sentinels too, unless sentinel_tls=no)

`user:pass` is for the servers that hold data; percent-encode what a URL would misread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from approvals.errors import StoreUnavailable

Kind: TypeAlias = Literal["direct", "sentinel", "cluster"]
Place: TypeAlias = tuple[str, int]

_SCHEME: Final = re.compile(r"unix|(rediss?)(?:\+(sentinel|cluster))?")
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_PORTS: Final = {"direct": 6379, "sentinel": 26379, "cluster": 6379}

#: What may stand behind the question mark. Time-outs are ours: a blocked reader needs other ones than a command.
_TLS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_cert_reqs"}
    | {"ssl_check_hostname", "ssl_ciphers"}
)
_PLAIN: Final = frozenset({"db", "client_name", "health_check_interval", "socket_keepalive"})
_SENTINEL: Final = frozenset({"sentinel_username", "sentinel_password", "sentinel_tls"})


class UrlInvalid(StoreUnavailable):
    """The URL of the memory cannot be used; the text says why, without quoting what may be a password."""


@dataclass(frozen=True)
class Address:
    """What a URL says. `options` are for each connection to a server, `asking` for those to a sentinel."""

    kind: Kind
    places: tuple[Place, ...] = ()  #: sentinels, or some nodes of the cluster
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    asking: Mapping[str, Any] = field(default_factory=dict)


def read_url(url: str) -> Address:
    """The address in a URL. Raises UrlInvalid."""
    scheme, _, _ = url.partition("://")
    known = _SCHEME.fullmatch(scheme)
    if known is None or "://" not in url:
        raise UrlInvalid("a Redis URL begins with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise UrlInvalid("the Redis URL cannot be read; percent-encode what is special in a password") from None
    plain, kind = known[1] or "unix", known[2] or "direct"
    _check_names(query, kind, tls=plain == "rediss")
    if kind == "direct":
        return Address("direct", options=_options(url))
    user, _, hosts = parts.netloc.rpartition("@")
    places = tuple(_place(host, kind) for host in hosts.split(","))
    rest = {name: value for name, value in query.items() if name not in _SENTINEL}
    path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
    if kind == "cluster":
        if path or "db" in query:
            raise UrlInvalid("a Cluster has no databases: end the URL after the hosts")
        return Address("cluster", places, options=_node(plain, user, 0, rest))
    return _sentinel(plain, user, places, path, query, rest)


def where(url: str) -> str:
    """The hosts and ports in a URL, or a socket's path: neither user nor password nor parameters. Raises UrlInvalid."""
    address = read_url(url)
    if "path" in address.options:
        return str(address.options["path"])
    one = (address.options.get("host", "localhost"), address.options.get("port", _PORTS["direct"]))
    return ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.places or (one,))


def _sentinel(
    plain: str, user: str, places: tuple[Place, ...], path: list[str], query: Mapping[str, str], rest: dict[str, str]
) -> Address:
    if not path or len(path) > 2 or not (len(path) == 1 or path[1].isdigit()):
        raise UrlInvalid("after the sentinels comes the name of the service: redis+sentinel://h1,h2/mymaster or …/0")
    database = int(path[1]) if len(path) == 2 else 0
    names = (query.get("sentinel_username", ""), query.get("sentinel_password", ""))
    secret = ":".join(quote(name, safe="") for name in names) if any(names) else ""
    tls = plain if query.get("sentinel_tls", "yes").lower() in ("yes", "true", "1") else "redis"
    asking = {name: value for name, value in rest.items() if name in _TLS} if tls == "rediss" else {}
    return Address("sentinel", places, path[0], _node(plain, user, database, rest), _node(tls, secret, 0, asking))


def _check_names(query: Mapping[str, str], kind: str, *, tls: bool) -> None:
    allowed = _PLAIN | (_TLS if tls else frozenset()) | (_SENTINEL if kind == "sentinel" else frozenset())
    for name in query:
        if name in _TLS and not tls:
            raise UrlInvalid(f"{name} is for TLS: begin the URL with rediss")
        if name not in allowed:
            raise UrlInvalid(f"a Redis URL has no parameter {name!r} here; known are {', '.join(sorted(allowed))}")


def _place(host: str, kind: str) -> Place:
    found = _HOST.fullmatch(host)
    if found is None:
        raise UrlInvalid(
            "between // and the next / stand hosts with ports, with a comma between two: h1:26379,h2:26379"
        )
    port = int(found[3] or _PORTS[kind])
    if not 0 < port < 65_536:
        raise UrlInvalid(f"{port} is no port")
    return found[1] or found[2], port


def _node(scheme: str, user: str, database: int, query: Mapping[str, str]) -> dict[str, Any]:
    """What a connection to any one of the servers needs, beside its host and port."""
    begin = f"{scheme}://{user}@" if user else f"{scheme}://"
    end = f"?{urlencode(query)}" if query else ""
    options = _options(f"{begin}localhost/{database}{end}")
    del options["host"]
    return options


def _options(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError:
        raise UrlInvalid(
            "the Redis URL cannot be read: check port, database and the values of its parameters"
        ) from None
