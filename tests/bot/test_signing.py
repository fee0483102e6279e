"""The signing key: made once, readable by its owner alone; what it signs is recognised, and nothing else is."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey
from pydantic_core import to_json

from bot.keys import signer_for
from bot.settings import load
from bot.signing import FileSigner, KeyProblem, create_key, read_key, write_trust
from storage.redis import RedisStore
from tests.servers import Server

TYP = "approval-receipt+jwt"
CLAIMS = {"jti": "1", "txn": "0-abc"}


@pytest.fixture
def signer() -> FileSigner:
    return FileSigner(OKPKey.generate_key("Ed25519"))


def test_a_key_is_for_its_owner_alone_and_never_overwritten(folder: Path) -> None:
    path = folder / "state" / "key.pem"
    key = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(FileExistsError):
        create_key(path)
    assert read_key(path).thumbprint() == key.thumbprint()


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused_without_being_quoted(folder: Path, content: bytes) -> None:
    (folder / "key.pem").write_bytes(content)
    with pytest.raises(KeyProblem, match="not a readable Ed25519 private key"):
        read_key(folder / "key.pem")


def test_a_key_of_another_kind_is_refused(folder: Path) -> None:
    (folder / "ec.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    (folder / "public.pem").write_bytes(OKPKey.generate_key("Ed25519").as_pem(private=False))
    (folder / "x25519.pem").write_bytes(OKPKey.generate_key("X25519").as_pem(private=True))
    for name in ("ec.pem", "public.pem", "x25519.pem"):
        with pytest.raises(KeyProblem):
            read_key(folder / name)


def test_a_missing_key_names_the_remedy(folder: Path) -> None:
    with pytest.raises(KeyProblem, match="copy it from another replica, or let one create it"):
        read_key(folder / "none.pem")


async def test_what_was_signed_is_recognised(signer: FileSigner) -> None:
    token = await signer.sign(TYP, CLAIMS)
    assert signer.verify(TYP, token) == CLAIMS
    header = json.loads(_decoded(token.split(".")[0]))
    assert header == {"alg": "Ed25519", "kid": signer.kid, "typ": TYP}


@given(st.text(), st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=5))
async def test_it_signs_byte_for_byte_what_joserfc_signs(typ: str, claims: dict[str, Any]) -> None:
    key = OKPKey.generate_key("Ed25519")
    signer = FileSigner(key)
    header = {"alg": "Ed25519", "kid": signer.kid, "typ": typ}
    registry = jws.JWSRegistry(algorithms=["Ed25519"])
    for _ in range(2):  # the header is written once
        assert await signer.sign(typ, claims) == jws.serialize_compact(header, to_json(claims), key, registry=registry)


async def test_another_typ_is_not_recognised(signer: FileSigner) -> None:
    token = await signer.sign("journal-head+jwt", CLAIMS)
    assert signer.verify(TYP, token) is None


async def test_another_key_is_not_recognised_even_under_our_key_id(signer: FileSigner) -> None:
    other = FileSigner(OKPKey.generate_key("Ed25519"))
    assert signer.verify(TYP, await other.sign(TYP, CLAIMS)) is None
    other.kid = signer.kid
    assert signer.verify(TYP, await other.sign(TYP, CLAIMS)) is None


async def test_a_retired_key_is_still_recognised_and_published(signer: FileSigner) -> None:
    key = OKPKey.generate_key("Ed25519")
    token = await FileSigner(key).sign(TYP, CLAIMS)
    newer = FileSigner(OKPKey.generate_key("Ed25519"), {FileSigner(key).kid: key})
    assert newer.verify(TYP, token) == CLAIMS
    assert {one["kid"] for one in newer.trust("https://here")["keys"]} == {newer.kid, FileSigner(key).kid}


async def test_every_changed_byte_breaks_the_signature(signer: FileSigner) -> None:
    token = await signer.sign(TYP, CLAIMS)
    body = token.rindex(".")
    for at in range(body):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert signer.verify(TYP, changed) is None


@pytest.mark.parametrize(
    "extra",
    [{"jwk": {"kty": "OKP"}}, {"jku": "https://evil"}, {"crit": ["b64"], "b64": False}, {"x": 1}, {"typ": "JWT"}],
    ids=str,
)
async def test_a_header_with_anything_else_in_it_is_refused(extra: dict[str, Any]) -> None:
    key = OKPKey.generate_key("Ed25519")
    signer = FileSigner(key)
    header = {"alg": "Ed25519", "kid": signer.kid, "typ": TYP, **extra}
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    payload = json.dumps(CLAIMS).encode()
    if "crit" in extra:
        encoded = [_encoded(json.dumps(header).encode()), _encoded(payload)]
        token = ".".join((*encoded, (await signer.sign(TYP, CLAIMS)).split(".")[2]))
    else:
        token = jws.serialize_compact(header, payload, key, registry=registry)
    assert signer.verify(TYP, token) is None


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "EdDSA"}, {"kid": "unknown"}, {"kid": 7}], ids=str
)
async def test_another_algorithm_or_key_id_is_refused(signer: FileSigner, header: dict[str, Any]) -> None:
    first = {"alg": "Ed25519", "kid": signer.kid, "typ": TYP, **header}
    _, body, signature = (await signer.sign(TYP, CLAIMS)).split(".")
    for end in (signature, ""):
        assert signer.verify(TYP, ".".join((_encoded(json.dumps(first).encode()), body, end))) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "ä.ö.ü", "e30.e30.e30", "x" * 100_000])
def test_rubbish_is_refused(signer: FileSigner, token: str) -> None:
    assert signer.verify(TYP, token) is None


def test_what_others_may_know_holds_nothing_private(signer: FileSigner, folder: Path) -> None:
    write_trust(folder / "state" / "jwks.json", signer.trust("https://here"))
    trust = json.loads((folder / "state" / "jwks.json").read_text())
    assert trust["issuer"] == "https://here"
    assert [set(key) for key in trust["keys"]] == [{"kty", "crv", "x", "kid", "alg", "use"}]
    assert set(signer.public()) == {"kty", "crv", "x", "kid", "alg", "use"}


def test_secrets_derived_for_different_purposes_differ_and_last(signer: FileSigner) -> None:
    other = FileSigner(OKPKey.generate_key("Ed25519"))
    assert signer.secret_for("a") == signer.secret_for("a")
    assert len({signer.secret_for("a"), signer.secret_for("b"), other.secret_for("a")}) == 3


# ------------------------------------------------------------ which key a process may use


@pytest.mark.redis
async def test_the_first_process_makes_the_key_and_the_next_one_joins(redis: Server) -> None:
    async with await RedisStore.connect(redis.url) as store:
        first = await signer_for(load(), store)
        again = await signer_for(load(), store)
        assert again.kid == first.kid
        assert set(await store.keys()) == {first.kid}
        assert '"d"' not in json.dumps(dict(await store.keys()))
        events = [json.loads(entry.record) async for entry in store.journal(0)]
    assert [(event["event"], event["kid"]) for event in events] == [("key", first.kid)]


@pytest.mark.redis
async def test_a_process_without_the_deployments_key_is_refused_and_makes_none(redis: Server, folder: Path) -> None:
    async with await RedisStore.connect(redis.url) as store:
        first = await signer_for(load(), store)
        with pytest.raises(KeyProblem, match=f"{first.kid}.*copy it from another replica"):
            await signer_for(load(state=folder / "elsewhere"), store)
    assert not (folder / "elsewhere").exists()


@pytest.mark.redis
async def test_a_strangers_key_is_refused_with_the_remedy(redis: Server, folder: Path) -> None:
    async with await RedisStore.connect(redis.url) as store:
        first = await signer_for(load(), store)
        create_key(folder / "elsewhere" / "signing-key.pem")
        with pytest.raises(KeyProblem, match=f"not registered.*copy the registered one .*{first.kid}"):
            await signer_for(load(state=folder / "elsewhere"), store)
        assert set(await store.keys()) == {first.kid}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")
