"""Entra's token endpoint on loopback, with TLS, as MSAL insists: it checks a client's secret or its certificate."""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from tests.fakes.entra import APP, TENANT

SECRET = "a-client-secret"


@dataclass
class SignIn:
    """Where it is, and what was asked of it."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def ca(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "server.pem"

    @property
    def pfx(self) -> Path:
        """The bot's certificate with its key."""
        return self.folder / "bot.pfx"

    def configuration(self, tenant: str) -> dict[str, str]:
        """Where what is, as OpenID Connect discovery tells it."""
        base = f"{self.url}/{tenant}"
        return {
            "issuer": f"{base}/v2.0",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        }

    def token(self, tenant: str, form: dict[str, str]) -> dict[str, Any]:
        """A token for whoever proves to be the bot."""
        if tenant != TENANT or form.get("client_id") != APP or not self._proves(form):
            return {"error": "invalid_client", "error_description": f"AADSTS7000215: not {form.get('client_secret')}"}
        resource = form["scope"].split()[0].removesuffix("/.default")
        self.asked.append(resource)
        return {"access_token": f"token-for-{resource}", "expires_in": 3600, "token_type": "Bearer"}

    def _proves(self, form: dict[str, str]) -> bool:
        if "client_assertion" not in form:
            return form.get("client_secret") == SECRET
        key = (self.folder / "bot.pem").read_bytes()
        audience = self.configuration(TENANT)["token_endpoint"]
        claims = jwt.decode(form["client_assertion"], key, algorithms=["PS256", "RS256"], audience=audience)
        return bool(claims["iss"] == APP)


@contextmanager
def signing_in(folder: Path) -> Iterator[SignIn]:
    """The endpoint, with a certificate for this machine alone, and one for the bot."""
    office = SignIn(folder)
    _server_certificate(folder)
    _bot_certificate(folder)

    class Handler(BaseHTTPRequestHandler):
        """Discovery by GET, tokens by POST; a connection for each."""

        def do_GET(self) -> None:
            self._answer(office.configuration(self.path.split("/")[1]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(office.token(self.path.split("/")[1], dict(parse_qsl(body))))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _answer(self, document: dict[str, Any]) -> None:
            self.send_response(401 if "error" in document else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        office.url = f"https://127.0.0.1:{server.server_port}"
        yield office
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(name: str, *more: x509.ExtensionType) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(65_537, 2_048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(hours=1))
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return key, builder.sign(key, hashes.SHA256())


def _server_certificate(folder: Path) -> None:
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    key, certificate = _certificate("127.0.0.1", names, x509.BasicConstraints(ca=True, path_length=None))
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(_private(key))


def _bot_certificate(folder: Path) -> None:
    key, certificate = _certificate("sayso")
    (folder / "bot.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "bot.pfx").write_bytes(
        pkcs12.serialize_key_and_certificates(b"sayso", key, certificate, None, serialization.NoEncryption())
    )


def _private(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
