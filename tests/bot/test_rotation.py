"""A signing key is followed by another: what the old one signed stays good as it may, and Redis is not believed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from approvals.errors import SignerUnavailable
from approvals.journal import HEAD_TYP
from approvals.receipt import TYP
from bot.keys import open_signer, signer_for
from bot.rotation import (
    PUBLISHED_FOR,
    RECEIPTS_LIVE,
    SEALS,
    VOUCHER_TYP,
    KeyWatch,
    listed,
    listen,
    retire,
    rotate,
    switch,
)
from bot.settings import Settings, load
from bot.signing import FileSigner, KeyProblem, create_key, write_trust
from handlers.seal import Seal, Sealed
from sayso.keys import read_jwks
from storage.redis import RedisStore
from tests.servers import Server

pytestmark = pytest.mark.redis

CLAIMS = {"jti": "one", "iat": 1}


@pytest.fixture
async def store(redis: Server) -> AsyncIterator[RedisStore]:
    async with await RedisStore.connect(redis.url) as made:
        yield made


@pytest.fixture
def here() -> Settings:
    return load()


@pytest.fixture
async def first(here: Settings, store: RedisStore) -> FileSigner:
    """The signer of a bot that has run for a while."""
    signer = await signer_for(here, store)
    write_trust(here.trust, signer.trust(here.issuer))
    return signer


def now() -> int:
    return int(time.time())


def trusted(settings: Settings) -> set[str]:
    """Whom an agent on this machine believes."""
    return set(read_jwks(settings.trust.read_bytes()).keys)


async def rotated(here: Settings, store: RedisStore, **how: Any) -> FileSigner:
    """The signer of a bot that was started anew after a whole rotation, but for the end of the old key."""
    made = now() - PUBLISHED_FOR
    await rotate(here, store, now=made, **how)
    await switch(here, store, now=now())
    signer = await signer_for(here, store)
    write_trust(here.trust, signer.trust(here.issuer))
    return signer


async def test_the_next_key_is_published_by_who_runs_before_it_signs_anything(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    kid = await rotate(here, store, now=now())
    await KeyWatch(first, store, here).step()
    assert trusted(here) == {first.kid, kid}
    token = await first.sign(TYP, CLAIMS)
    assert first.verify(TYP, token) == CLAIMS
    assert open_signer(here).kid == first.kid
    events = [json.loads(entry.record) async for entry in store.journal(0)]
    assert events[-1] == {"v": 1, "event": "key", "kid": kid, "after": first.kid}
    assert here.next_key.stat().st_mode & 0o077 == 0


async def test_nobody_switches_before_verifiers_can_know_the_key(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    await rotate(here, store, now=now())
    with pytest.raises(KeyProblem, match="wait 600 s more"):
        await switch(here, store, now=now())
    assert open_signer(here).kid == first.kid
    kid = await switch(here, store, now=now(), at_once=True)
    assert open_signer(here).kid == kid != first.kid


async def test_after_the_switch_receipts_heads_and_buttons_of_both_are_good_everywhere(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    second = await rotated(here, store)
    await KeyWatch(first, store, here).step()  # a replica that still runs with the old key
    for one, other in ((first, second), (second, first)):
        assert other.verify(TYP, await one.sign(TYP, CLAIMS)) == CLAIMS
        assert other.verify(HEAD_TYP, await one.sign(HEAD_TYP, CLAIMS)) == CLAIMS
        assert {key["kid"] for key in one.trust(here.issuer)["keys"]} == {first.kid, second.kid}
    for purpose in SEALS:
        old, new = (Seal(signer.secret_for(purpose), team="T", app="A") for signer in (first, second))
        sealed = Sealed("0-" + "a" * 24, "sha256:" + "0" * 64)
        assert new.opened(old.value(sealed, "C"), "C") == sealed
        assert old.opened(new.value(sealed, "C"), "C") == sealed


async def test_seals_outlive_several_rotations_unless_they_are_to_be_new(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    second = await rotated(here, store)
    await retire(here, store, first.kid, now=now())
    third = await rotated(here, store)
    assert third.secret_for(SEALS[0]) == second.secret_for(SEALS[0]) == first.secret_for(SEALS[0])
    assert third.secret_for("another purpose") != second.secret_for("another purpose")
    fourth = await rotated(here, store, new_seal=True)
    assert fourth.secret_for(SEALS[0]) != third.secret_for(SEALS[0])
    assert {one["kid"] for one in fourth.trust(here.issuer)["keys"]} == {
        one.kid for one in (first, second, third, fourth)
    }


async def test_a_retired_key_signs_nothing_more_and_its_receipts_end_but_its_heads_stay_evidence(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    receipt, head = await first.sign(TYP, CLAIMS), await first.sign(HEAD_TYP, CLAIMS)
    second = await rotated(here, store)
    ends = await retire(here, store, first.kid, now=now())
    assert RECEIPTS_LIVE - 2 < ends - now() <= RECEIPTS_LIVE
    assert not here.old_key.exists()
    for signer in (first, second):
        await KeyWatch(signer, store, here, now=lambda: ends - 1).step()
        assert signer.verify(TYP, receipt) == CLAIMS
        await KeyWatch(signer, store, here, now=lambda: ends).step()
    assert second.verify(TYP, receipt) is None
    assert second.verify(HEAD_TYP, head) == CLAIMS
    with pytest.raises(SignerUnavailable, match="is retired"):
        await first.sign(TYP, CLAIMS)
    write_trust(here.trust, second.trust(here.issuer))
    assert trusted(here) == {second.kid}
    assert open_signer(here).verify(HEAD_TYP, head) == CLAIMS  # `audit export --trim`
    states = {one.kid: one.state for one in await listed(here, store, now=ends)}
    assert states == {first.kid: "retired", second.kid: "signs"}
    events = [json.loads(entry.record) async for entry in store.journal(0)]
    assert events[-1] == {"v": 1, "event": "key_retired", "kid": first.kid, "by": second.kid, "until": ends}


async def test_who_starts_with_a_retired_key_is_refused_with_the_remedy(
    here: Settings, store: RedisStore, first: FileSigner, folder: Path
) -> None:
    kept = here.signing_key.read_bytes()
    await rotated(here, store)
    await retire(here, store, first.kid, now=now(), at_once=True)
    elsewhere = load(state=folder / "elsewhere")
    elsewhere.state.mkdir()
    elsewhere.signing_key.write_bytes(kept)
    with pytest.raises(KeyProblem, match=f"{first.kid}.* is retired; copy the one that followed it"):
        await signer_for(elsewhere, store)
    with pytest.raises(KeyProblem, match="is retired"):
        await rotate(elsewhere, store, now=now())


async def test_there_is_one_next_key_at_a_time(here: Settings, store: RedisStore, first: FileSigner) -> None:
    await rotate(here, store, now=now())
    with pytest.raises(KeyProblem, match="a next key is registered already"):
        await rotate(here, store, now=now())
    here.next_key.unlink()
    with pytest.raises(KeyProblem, match="a next key is registered already"):
        await rotate(here, store, now=now())
    create_key(here.next_key)
    with pytest.raises(KeyProblem, match="is not registered"):
        await switch(here, store, now=now(), at_once=True)
    assert open_signer(here).kid == first.kid


async def test_a_key_that_could_not_be_registered_is_not_left_behind(
    here: Settings, store: RedisStore, first: FileSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(store, "keep_key", refused)
    with pytest.raises(KeyProblem, match="somebody else changed"):
        await rotate(here, store, now=now())
    assert not here.next_key.exists()


async def test_only_what_signed_before_can_be_retired(here: Settings, store: RedisStore, first: FileSigner) -> None:
    for kid in (first.kid, "unknown"):
        with pytest.raises(KeyProblem, match="did not sign before"):
            await retire(here, store, kid, now=now())


# ------------------------------------------------------------ whoever can write into Redis


async def changed(store: RedisStore, kid: str, document: Mapping[str, Any]) -> None:
    """What somebody writes into Redis who holds the bot's password, and no key."""
    known = (await store.keys()).get(kid)
    assert await store.keep_key(kid, document, {"event": "key"}, known=known)


async def said_by(signer: FileSigner, of: FileSigner, **more: Any) -> dict[str, Any]:
    """What one key says of another, both ways."""
    before = [{"jwk": dict(of.public()), "until": None}]
    return {
        "next": await signer.sign(VOUCHER_TYP, {"next": of.public(), "iat": 1}),
        "before": await signer.sign(VOUCHER_TYP, {"kid": signer.kid, "before": before, "iat": 1}),
        **more,
    }


async def test_a_key_that_only_redis_knows_of_is_published_by_nobody(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    second = await rotated(here, store)
    evil = FileSigner(OKPKey.generate_key("Ed25519"))
    for victim in (first, second):
        await changed(store, evil.kid, {**evil.public(), "sayso": await said_by(evil, victim)})
        await changed(store, victim.kid, {**victim.public(), "sayso": await said_by(evil, evil)})
        listen(victim, await store.keys(), now())
        assert evil.kid not in victim.trusted
        assert victim.verify(TYP, await evil.sign(TYP, CLAIMS)) is None
    states = {one.kid: one.state for one in await listed(here, store, now=now())}
    assert states[evil.kid] == "registered, and no key here vouches for it"


async def test_a_retired_key_brings_no_other_in_for_those_that_sign_with_the_new_one(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    second = await rotated(here, store)
    evil = FileSigner(OKPKey.generate_key("Ed25519"))
    await changed(store, evil.kid, {**evil.public(), "sayso": await said_by(first, evil)})
    forged = {**(await store.keys())[second.kid]["sayso"], "before": (await said_by(first, evil))["before"]}
    await changed(store, second.kid, {**second.public(), "sayso": forged})
    listen(second, await store.keys(), now())
    assert evil.kid not in second.trusted


async def test_what_is_retired_stays_so_though_redis_says_again_what_it_said_before(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    receipt = await first.sign(TYP, CLAIMS)
    second = await rotated(here, store)
    older = (await store.keys())[second.kid]
    await retire(here, store, first.kid, now=now(), at_once=True)
    await KeyWatch(second, store, here).step()
    await changed(store, second.kid, older)
    await KeyWatch(second, store, here).step()
    assert second.verify(TYP, receipt) is None
    again = await signer_for(here, store)
    assert again.verify(TYP, receipt) is None
    assert first.kid not in again.trusted


async def test_secrets_that_were_changed_on_their_way_are_no_secrets(
    here: Settings, store: RedisStore, first: FileSigner
) -> None:
    second = await rotated(here, store)
    document = (await store.keys())[second.kid]
    said = dict(document["sayso"])
    said["handed_on"] = said["handed_on"][:-8] + ("AAAAAAA=" if said["handed_on"][-8:] != "AAAAAAA=" else "BBBBBBB=")
    await changed(store, second.kid, {**document, "sayso": said})
    with pytest.raises(KeyProblem, match="was changed in Redis"):
        await signer_for(here, store)
