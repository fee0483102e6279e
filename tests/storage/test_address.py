"""What a Redis URL may say, and what is said about one that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection

from storage.redis.address import Address, UrlInvalid, read_url, where


def plain(address: Address) -> dict[str, Any]:
    """The options without the class that speaks TLS."""
    return {name: value for name, value in address.options.items() if name != "connection_class"}


def test_one_server() -> None:
    address = read_url("redis://bot:p%40ss@host:6380/3?client_name=bot")
    assert address.kind == "direct"
    assert plain(address) == {
        "host": "host", "port": 6380, "db": 3, "username": "bot", "password": "p@ss", "client_name": "bot"
    }  # fmt: skip


def test_a_socket() -> None:
    assert plain(read_url("unix://bot:secret@/run/redis.sock?db=2")) == {
        "path": "/run/redis.sock", "db": 2, "username": "bot", "password": "secret"
    }  # fmt: skip


def test_one_server_over_tls() -> None:
    address = read_url("rediss://host?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=yes")
    assert address.options["connection_class"] is SSLConnection
    assert plain(address) == {"host": "host", "ssl_ca_certs": "/etc/ca.pem", "ssl_check_hostname": True}


def test_sentinels_and_their_own_user() -> None:
    address = read_url(
        "redis+sentinel://bot:p%2Fw@h1:26379,h2,[::1]:5/my%20master/2?sentinel_username=s&sentinel_password=q%26"
    )
    assert (address.kind, address.service) == ("sentinel", "my master")
    assert address.places == (("h1", 26379), ("h2", 26379), ("::1", 5))
    assert plain(address) == {"username": "bot", "password": "p/w", "db": 2}
    assert dict(address.asking) == {"username": "s", "password": "q&", "db": 0}


def test_sentinels_that_ask_for_a_password_alone() -> None:
    address = read_url("redis+sentinel://h1/mymaster?sentinel_password=q")
    assert dict(address.asking) == {"password": "q", "db": 0}
    assert plain(address) == {"db": 0}


def test_over_tls_the_sentinels_speak_it_too_unless_told_otherwise() -> None:
    both = read_url("rediss+sentinel://h1/m?ssl_ca_certs=/ca.pem")
    assert both.options["connection_class"] is both.asking["connection_class"] is SSLConnection
    assert both.options["ssl_ca_certs"] == both.asking["ssl_ca_certs"] == "/ca.pem"
    one = read_url("rediss+sentinel://h1/m?ssl_ca_certs=/ca.pem&sentinel_tls=no")
    assert one.options["connection_class"] is SSLConnection
    assert dict(one.asking) == {"db": 0}


def test_a_cluster() -> None:
    address = read_url("rediss+cluster://bot:secret@h1:7000,h2:7001/?ssl_cert_reqs=required")
    assert (address.kind, address.places) == ("cluster", (("h1", 7000), ("h2", 7001)))
    assert address.options["connection_class"] is SSLConnection
    assert (address.options["username"], address.options["password"]) == ("bot", "secret")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "begins with"),
        ("hunter2", "begins with"),
        ("http://x", "begins with"),
        ("redis+mirror://x", "begins with"),
        ("unix+cluster:///x", "begins with"),
        ("redis://u:hunter2@host:port/0", "check port"),
        ("redis://:hunter2@[::1", "percent-encode"),
        ("redis://h?socket_timeout=1", "no parameter 'socket_timeout'"),
        ("redis://h?ssl_ca_certs=/ca.pem", "begin the URL with rediss"),
        ("redis://h?sentinel_password=hunter2", "no parameter"),
        ("redis+sentinel://u:hunter2@h1,h2", "name of the service"),
        ("redis+sentinel://u:hunter2@h1/m/x", "name of the service"),
        ("redis+sentinel://u:hunter2@/m", "comma"),
        ("redis+sentinel://u:hunter2@h1,,h2/m", "comma"),
        ("redis+sentinel://u:hunter2@h1:99999/m", "no port"),
        ("redis+cluster://u:hunter2@h1:7000/1", "no databases"),
        ("redis+cluster://u:hunter2@h1:7000?db=1", "no databases"),
    ],
)
def test_what_is_no_url_is_told_without_quoting_its_password(url: str, said: str) -> None:
    with pytest.raises(UrlInvalid, match=said) as told:
        read_url(url)
    assert "hunter2" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://bot:hunter2@host:6380/3?client_name=hunter2", "host:6380"),
        ("rediss://:hunter2@host", "host:6379"),
        ("redis://bot:hunter2@[::1]:7", "[::1]:7"),
        ("unix://bot:hunter2@/run/redis.sock?db=2", "/run/redis.sock"),
        ("redis+sentinel://u:hunter2@h1,h2:5/m?sentinel_password=a@hunter2", "h1:26379, h2:5"),
        ("redis+cluster://u:hunter2@h1:7000,[::1]", "h1:7000, [::1]:6379"),
    ],
)
def test_where_it_leads_is_told_without_what_is_secret(url: str, place: str) -> None:
    assert where(url) == place
