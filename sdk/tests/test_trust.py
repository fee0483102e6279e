"""Where keys come from: files and https, never http, never a redirect, and never for ever."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sayso import TrustInvalid, TrustMissing, Unavailable
from sayso.testing import ISSUER, Issuer
from sayso.trust import FRESH, REFETCH, STALE, FetchedTrust, trust_from


class KeyServer:
    """An https server on loopback that serves a JWKS document, or whatever a test wants."""

    def __init__(self, folder: Path) -> None:
        self.status, self.body, self.location, self.hits = 200, Issuer().jwks(), "", 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.hits += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        certificate = _certificate(folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/jwks.json"
        self.context = ssl.create_default_context(cafile=certificate)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _certificate(folder: Path) -> Path:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[KeyServer]:
    """A key server of this test's own."""
    server = KeyServer(tmp_path)
    yield server
    server.close()


class Hours:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hours:
    """The clock of the trust under test."""
    return Hours()


def fetched(keys: KeyServer, clock: Hours) -> FetchedTrust:
    """The trust under test."""
    return FetchedTrust(keys.url, context=keys.context, clock=clock)


async def test_keys_are_fetched_once_while_they_are_fresh(keys: KeyServer, clock: Hours) -> None:
    trust = fetched(keys, clock)
    assert keys.hits == 0
    found = await asyncio.gather(*(trust.for_kid("test-1") for _ in range(10)))
    assert {one.issuer for one in found} == {ISSUER}
    clock.now += FRESH - 1
    await trust.for_kid("test-1")
    assert keys.hits == 1
    clock.now += 2
    await trust.for_kid("test-1")
    assert keys.hits == 2


async def test_an_unknown_kid_leads_to_one_fetch_in_a_while(keys: KeyServer, clock: Hours) -> None:
    trust = fetched(keys, clock)
    await trust.for_kid("test-1")
    clock.now += REFETCH
    keys.body = Issuer(kid="test-2").jwks()
    assert set((await trust.for_kid("test-2")).keys) == {"test-2"}
    for _ in range(50):
        await trust.for_kid("made-up")
    assert keys.hits == 2
    clock.now += REFETCH
    await trust.for_kid("made-up")
    assert keys.hits == 3


async def test_the_last_good_keys_hold_for_a_day_and_no_longer(keys: KeyServer, clock: Hours) -> None:
    trust = fetched(keys, clock)
    await trust.for_kid("test-1")
    keys.status = 500
    clock.now += STALE - 1
    assert "test-1" in (await trust.for_kid("test-1")).keys
    clock.now += 2 + REFETCH
    with pytest.raises(Unavailable, match="cannot be checked"):
        await trust.for_kid("test-1")


@pytest.mark.parametrize("body", [b"", b"no", b'{"keys":[]}', b" " * 70_000 + b"{}"])
async def test_a_bad_document_is_not_believed(keys: KeyServer, clock: Hours, body: bytes) -> None:
    keys.body = body
    with pytest.raises(Unavailable):
        await fetched(keys, clock).for_kid("test-1")


async def test_a_redirect_is_not_followed(keys: KeyServer, clock: Hours) -> None:
    keys.status, keys.location = 302, keys.url + "?elsewhere"
    with pytest.raises(Unavailable):
        await fetched(keys, clock).for_kid("test-1")
    assert keys.hits == 1


async def test_an_unknown_certificate_is_not_believed(keys: KeyServer) -> None:
    with pytest.raises(Unavailable):
        await FetchedTrust(keys.url).for_kid("test-1")
    assert keys.hits == 0


async def test_a_file_is_read_once_by_path_or_url(tmp_path: Path) -> None:
    path = tmp_path / "with space.json"
    path.write_bytes(Issuer().jwks())
    for source in (path, str(path), path.as_uri()):
        assert (await trust_from(source).for_kid("x")).issuer == ISSUER
    assert (await trust_from(Issuer().trusted).for_kid("x")).issuer == ISSUER
    with pytest.raises(TrustInvalid, match="not of the pinned"):
        trust_from(path, issuer="https://other")
    with pytest.raises(TrustInvalid, match="cannot be read"):
        trust_from(tmp_path / "nothing.json")


@pytest.mark.parametrize("source", ["http://sayso.example/jwks.json", "ftp://x/y", "redis://x", "data:,{}"])
def test_other_schemes_are_refused(source: str) -> None:
    with pytest.raises(TrustInvalid, match="https"):
        trust_from(source)


async def test_https_is_fetched_and_nothing_means_nothing() -> None:
    assert isinstance(trust_from("https://sayso.example/jwks.json"), FetchedTrust)
    with pytest.raises(TrustMissing):
        await trust_from(None).for_kid("x")
