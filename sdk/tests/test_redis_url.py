"""URLs: where, as whom and how, for each shape of Redis; what is wrong is said without being repeated."""

from __future__ import annotations

import pytest

import sayso
from sayso.redis_url import Target, read_url

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (
            "redis+sentinel://h1:26379,h2/payments",
            Target("sentinel", {"db": 0}, (("h1", 26379), ("h2", 26379)), "payments", {}),
        ),
        (
            "redis+sentinel://bot:p%40ss@[::1]:5000,h2:1/my%20service/3?sentinel_username=u&sentinel_password=p%26w",
            Target(
                "sentinel",
                {"username": "bot", "password": "p@ss", "db": 3},
                (("::1", 5000), ("h2", 1)),
                "my service",
                {"username": "u", "password": "p&w"},
            ),
        ),
        (
            "rediss+sentinel://h1/s?ssl_ca_certs=/ca.pem&sentinel_password=x",
            Target(
                "sentinel",
                {"ssl": True, "ssl_ca_certs": "/ca.pem", "db": 0},
                (("h1", 26379),),
                "s",
                {"password": "x", "ssl": True, "ssl_ca_certs": "/ca.pem"},
            ),
        ),
        (
            "rediss+sentinel://h1/s?sentinel_tls=no",
            Target("sentinel", {"ssl": True, "db": 0}, (("h1", 26379),), "s", {}),
        ),
        (
            "redis+cluster://:pw@h1:7000,h2/?client_name=agent&socket_keepalive=yes",
            Target(
                "cluster",
                {"password": "pw", "client_name": "agent", "socket_keepalive": True},
                (("h1", 7000), ("h2", 6379)),
            ),
        ),
        (
            "rediss+cluster://h1?ssl_check_hostname=no",
            Target("cluster", {"ssl": True, "ssl_check_hostname": False}, (("h1", 6379),)),
        ),
        (
            "redis://u:p@h:1/2?protocol=3",
            Target("server", {"host": "h", "port": 1, "username": "u", "password": "p", "db": 2}),
        ),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, target: Target) -> None:
    assert read_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://h",
        f"redis://u:{SECRET}/x@h:1/0",
        f"redis+sentinel://u:{SECRET}@h1:26379",
        f"redis+sentinel://u:{SECRET}@h1/",
        f"redis+sentinel://u:{SECRET}@h1/service/one",
        f"redis+sentinel://u:{SECRET}@h1,,h2/service",
        f"redis+sentinel://u:{SECRET}@h1:0/service",
        f"redis+sentinel://u:{SECRET}@h1:99999/service",
        f"redis+sentinel://u:{SECRET}@h1/service?sentinel_host=x",
        f"redis+sentinel://u:{SECRET}@h1/service?ssl_ca_certs=x",
        f"redis+sentinel://u:x?{SECRET}@h1/service",
        f"redis+sentinel://u:x#{SECRET}@h1/service",
        f"redis+cluster://u:{SECRET}@h1/1",
        f"redis+cluster://u:{SECRET}@h1/service",
        f"redis+cluster://u:{SECRET}@h1?sentinel_password=x",
        f"redis+cluster://u:{SECRET}@h1?health_check_interval=often",
        f"redis+cluster://u:{SECRET}@",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(sayso.InvalidRequest) as caught:
        sayso.Sayso.connect(url, agent="a")
    assert caught.value.field == "url"
    assert SECRET not in str(caught.value)
