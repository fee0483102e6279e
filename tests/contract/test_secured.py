"""TLS and users, for the SDK: an agent finds its way with its own rights, and only to servers it can trust."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sayso
from sayso.redis_url import read_url as read_for_agents
from storage.redis.acl import acl_lines
from storage.redis.address import UrlInvalid
from storage.redis.address import read_url as read_for_the_service
from tests.approvals.make import AGENT
from tests.contract.house import serving
from tests.servers import Server, clustered, free_port, guarded, running
from tests.storage.test_secured import certificate, needs_tls, tls

pytestmark = pytest.mark.redis

__all__ = ["certificate"]  # a fixture

USERS = {"bot": "bot-secret-1", f"agent-{AGENT}": "agent-secret-1"}
WATCHER = "user watcher on >w4tch -@all +auth +ping +hello +client|setname"
MAY_ASK = "+sentinel|get-master-addr-by-name +sentinel|masters"


def teach_users(server: Server) -> None:
    """Let the bot and the agent in as `python -m bot acl` says."""
    for line in acl_lines([AGENT], [], 1, USERS):
        user, rules = line.split(" ", 2)[1:]
        if user in USERS:
            assert "+OK" in server.command("ACL", "SETUSER", user, *re.findall(r"\([^)]*\)|\S+", rules))


async def is_answered(hosts: str, scheme: str, folder: Path, query: str = "") -> None:
    """The agent asks, gets its yes and uses it."""
    bot, agent = (f"{scheme}://{user}:{secret}@{hosts}{query}" for user, secret in USERS.items())
    async with serving(bot, folder, replicas=0) as house:
        house.opinion = lambda request: ("approve", "")
        async with sayso.Sayso.connect(agent, agent=AGENT, trust=house.trust) as client:
            approval = await client.ask("payments.release", target="bank:acme", arguments={"amount": "1.00"})
            async with approval.spend() as action:
                assert action.arguments == {"amount": "1.00"}


async def test_one_server_over_tls(certificate: Path, tmp_path: Path) -> None:
    port = str(free_port())
    with running(*tls(certificate, "--tls-port", port), binary=needs_tls()) as server:
        teach_users(server)
        hosts = f"127.0.0.1:{port}"
        await is_answered(hosts, "rediss", tmp_path, f"?ssl_ca_certs={certificate}/cert.pem")
        with pytest.raises(sayso.Unavailable, match="CERTIFICATE_VERIFY_FAILED"):  # nobody we trust vouches for it
            await sayso.Sayso.connect(f"rediss://{hosts}", agent=AGENT).open()


async def test_a_cluster_over_tls(certificate: Path, tmp_path: Path) -> None:
    options = tls(certificate, "--tls-cluster", "yes", "--tls-replication", "yes", "--tls-port", "PORT")
    with clustered(*options, binary=needs_tls()) as cluster:
        for node in cluster.nodes:
            teach_users(node)
        ports = [node.options[node.options.index("--tls-port") + 1] for node in cluster.nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports[:2])
        await is_answered(hosts, "rediss+cluster", tmp_path, f"?ssl_ca_certs={certificate}/cert.pem")
        with pytest.raises(sayso.Unavailable, match="certificate verify failed"):
            await sayso.Sayso.connect(f"rediss+cluster://{hosts}", agent=AGENT).open()


async def test_sentinels_with_users_of_their_own(tmp_path: Path) -> None:
    with guarded(password="s3rv3r", sentinel_settings=[f"{WATCHER} {MAY_ASK}"]) as found:
        for server in found.servers:
            teach_users(server)
        hosts = found.url.removeprefix("redis+sentinel://")
        await is_answered(hosts, "redis+sentinel", tmp_path, "?sentinel_username=watcher&sentinel_password=w4tch")
        with pytest.raises(sayso.Unavailable):
            await sayso.Sayso.connect(f"redis+sentinel://{hosts}", agent=AGENT).open()


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:p%40ss@h:1/2",
        "rediss://u:p@h?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock",
        "redis+sentinel://u:p@h1:26379,h2:5000,[::1]:26380/payments/3?sentinel_username=a&sentinel_password=b",
        "rediss+sentinel://h1/payments?ssl_ca_certs=/ca.pem&ssl_check_hostname=no&sentinel_tls=no",
        "redis+cluster://u:p@h1:7000,h2",
        "rediss+cluster://h1?ssl_certfile=c&ssl_keyfile=k",
        "redis+cluster://h1/1",
        "redis+cluster://h1/service",
        "redis+sentinel://h1",
        "redis+sentinel://h1/service/one",
        "redis+sentinel://h1/service?ssl_ca_certs=x",
        "redis+sentinel://h1,,h2/service",
        "redis+cluster://h1:0",
        "http://h",
    ],
)
def test_agents_and_the_service_read_urls_alike(url: str) -> None:
    try:
        theirs = read_for_the_service(url)
    except UrlInvalid:
        with pytest.raises(sayso.InvalidRequest):
            read_for_agents(url)
        return
    ours = read_for_agents(url)
    assert (ours.nodes, ours.service) == (theirs.places, theirs.service)
    for name in ("username", "password", "ssl_ca_certs", "ssl_certfile", "path", "host", "port"):
        assert ours.options.get(name) == theirs.options.get(name)
    assert ours.options.get("db", 0) == theirs.options.get("db", 0)
    assert ours.options.get("ssl", "connection_class" in ours.options) == ("connection_class" in theirs.options)
    assert (ours.sentinel or {}).get("username") == theirs.asking.get("username")
