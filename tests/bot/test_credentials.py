"""The detector: credentials are found, and what requests are made of is not taken for one."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable

import pytest

from bot.credentials import LONGEST_TOKEN, PIECE, KnownCredentials

DETECTOR = KnownCredentials()
DICE = random.Random(7)  # the same texts in every run


def is_found(text: str, name: str = "") -> bool:
    """Whether the detector finds anything in one text."""
    return DETECTOR.first_in([(name, text)]) == 0


def some_bytes(count: int) -> bytes:
    return DICE.randbytes(count)


def letters(count: int) -> str:
    return "".join(DICE.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=count))


TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1", "name": "Dana"}, "signature")
)
CREDENTIALS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws secret": base64.b64encode(some_bytes(30)).decode(),
    "github": "ghp_" + letters(36),
    "gitlab": "glpat-" + letters(20),
    "slack": "xoxb-12345678901-12345678901-" + letters(24),
    "stripe": "sk_live_" + letters(24),
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "url": "postgres://app:hunter2@db.internal/prod",
    "token": TOKEN,
    "random": base64.urlsafe_b64encode(some_bytes(32)).decode(),
    "assignment": 'db_password = "hunter2hunter2"',
    "azure": "AccountKey=" + base64.b64encode(some_bytes(64)).decode(),
}
ORDINARY = [
    *(str(uuid.UUID(bytes=some_bytes(16), version=4)) for _ in range(50)),
    *(f"sha256:{hashlib.sha256(some_bytes(8)).hexdigest()}" for _ in range(50)),
    *(hashlib.sha1(some_bytes(8), usedforsecurity=False).hexdigest() for _ in range(50)),
    *(letters(21) for _ in range(50)),
    *(f"teams:{uuid.UUID(bytes=some_bytes(16))}:{uuid.UUID(bytes=some_bytes(16))}" for _ in range(300)),
    "dana.summers+invoices@acme-gmbh.example",
    "DE89370400440532013000",
    "+49 170 1234567",
    "2026-11-22T13:41:40Z",
    "12400.00",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "arn:aws:s3:::my-bucket/Path/To/Object-2024",
    "https://console.example.com/projects/MyCompany-Prod_2024/zones/us-central1-a/instances/Web01?x=1",
    "projects/fb7f01a7/locations/eu-west4/keyRings/prod/cryptoKeys/fc460abbcda7",
    "/var/lib/MyCompany/Projects/2024-Q3/Reports_Final-v2/customer_export_EU.csv",
    "registry.example.com:5000/team/app@sha256:" + "ab" * 32,
    json.dumps({"to": ["a@b.example"], "subject": "Your invoice", "lines": [1, 2, {"x": None}]}),
    "Please release this: it matches PO 118. The password policy says to rotate keys every 90 days.",
    "UPDATE accounts SET plan = 'pro' WHERE id = 3 AND secret IS NULL",
    "--- a/main.tf\n+++ b/main.tf\n@@ -1 +1 @@\n-  password = var.db_password\n+  password = var.new_password",
    "APCDE4F2024X1",
    "203.0.113.7",
    "8437298650:41e7d501-0485-4b5d-b8e2-815b6447ddf7",
]


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_credentials_are_found_also_inside_of_a_text(kind: str) -> None:
    assert is_found(CREDENTIALS[kind])
    if kind not in ("aws secret", "random"):  # nothing but their randomness tells them
        assert is_found(f"See here:\n{CREDENTIALS[kind]}\nand tell nobody.")


def test_what_requests_are_made_of_is_no_credential() -> None:
    assert [text for text in ORDINARY if is_found(text)] == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("password", "hunter2", True),
        ("db_password", "correct-horse-7", True),
        ("passwords", "hunter2", True),
        ("API_KEY", "3f2a-99x1", True),
        ("client_secret", "c0ffee-bean", True),
        ("password", "${DB_PASSWORD}", False),
        ("password", "{{ vault.password }}", False),
        ("secret", "secret://prod/db#3", False),
        ("secret_name", "prod/db/main", False),
        ("secretary", "Dana Summers", False),
        ("password_policy", "strict-2024", False),
        ("private_key_path", "/etc/ssl/key.pem", False),
        ("title", "Reset password for Dana", False),
    ],
)
def test_a_value_is_known_by_what_it_is_called(name: str, value: str, found: bool) -> None:
    assert is_found(value, name) is found


def test_the_first_of_several_is_named() -> None:
    texts = [("a", "nothing"), ("b", "2026-11-22"), ("c", CREDENTIALS["github"]), ("d", CREDENTIALS["aws"])]
    assert DETECTOR.first_in(texts) == 2
    assert DETECTOR.first_in(texts[:2]) is None
    assert DETECTOR.first_in([]) is None


@pytest.mark.parametrize("before", [0, 1, PIECE - 30, PIECE - 1, PIECE, 3 * PIECE + 17])
def test_a_credential_is_found_wherever_it_stands_in_a_long_text(before: int) -> None:
    assert is_found("word " * (before // 5) + "x" * (before % 5) + CREDENTIALS["github"] + " word" * 1_000)


def test_a_token_longer_than_a_piece_is_found() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"groups": ["group"] * 200}).encode()).decode().rstrip("=")
    header, _, signature = TOKEN.split(".")
    token = f"{header}.{claims}.{signature}"
    assert PIECE < len(token) < LONGEST_TOKEN
    assert is_found(token)


@pytest.mark.parametrize("text", ["eyJ" * 21_000, "//x:" * 16_000, "password=" * 7_000, "cloud_iam_" * 6_300], ids=len)
def test_no_text_takes_long(text: str) -> None:
    assert _seconds(lambda: is_found(text)) < 2  # unbounded, the first two take 2 to 8 s here


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
