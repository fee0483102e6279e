"""A new signing key takes over from an old one. Each vouches for the other, so that nobody need believe Redis.

`rotate` makes the next key and registers it; the processes that run publish it from then on. `switch` makes it the key
of the next start. `retire` ends the old one, once every process was started anew (docs/decisions/0016).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from joserfc.jwk import OKPKey

from bot.settings import Settings
from bot.signing import FileSigner, KeyProblem, PublicKeys, create_key, kid_of, read_key, write_trust
from storage.redis.store import RedisStore

log = structlog.get_logger("sayso.keys")

VOUCHER_TYP: Final = "sayso-key+jwt"  #: JWS type of what a key says of another; never a receipt's
SEALS: Final = ("slack buttons", "teams buttons")  #: secrets of the first key that later ones go on using
PUBLISHED_FOR: Final = 600  #: s that a verifier may go on with an older trust document (sdk: trust.FRESH)
RECEIPTS_LIVE: Final = 360  #: s; longer than any receipt (300 s), skew included
_MEMBER: Final = "sayso"  #: of a registered JWK: what its predecessor and it say

Register = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Before:
    """A key that signed before, and until when (s) its receipts are good; None: as long as they live."""

    jwk: Mapping[str, Any]
    until: int | None = None

    @property
    def kid(self) -> str:
        """Its name, from the key itself."""
        return kid_of(OKPKey.import_key(dict(self.jwk)))


class OneKey(PublicKeys):
    """A key that is asked alone what it says: what another says in its place does not count."""

    def __init__(self, kid: str, key: OKPKey) -> None:
        super().__init__({kid: key})
        self.kid = kid


@dataclass(frozen=True)
class Known:
    """One registered key, as `keys list` shows it."""

    kid: str
    state: str


def listen(signer: FileSigner, register: Register, now: int) -> bool:
    """Let a signer know the keys that its own key vouches for, or that vouch for it; whether anything is new."""
    others: dict[str, OKPKey] = {}
    retired: dict[str, OKPKey] = {}
    for one in _before(register, _own(signer)):
        (retired if _is_over(one, now) else others)[one.kid] = OKPKey.import_key(dict(one.jwk))
    for kid, key in _next(signer, register).items():
        others[kid] = key
        for one in _before(register, OneKey(kid, key)):
            if one.kid == signer.kid and _is_over(one, now):
                retired[signer.kid] = key
    return signer.know(others, retired)


def secrets_from(key: OKPKey, register: Register) -> dict[str, bytes]:
    """The secrets that the key before handed on to this one; nothing where it is the first."""
    sealed = register.get(kid_of(key), {}).get(_MEMBER, {}).get("handed_on")
    if sealed is None:
        return {}
    raw = base64.b64decode(sealed)
    try:
        opened = json.loads(_box(FileSigner(key)).decrypt(raw[:12], raw[12:], kid_of(key).encode()))
    except InvalidTag as exc:
        raise KeyProblem(f"what key {kid_of(key)} was handed on was changed in Redis; restore it") from exc
    return {purpose: base64.b64decode(secret) for purpose, secret in opened.items()}


async def rotate(settings: Settings, store: RedisStore, *, now: int, new_seal: bool = False) -> str:
    """Make the next key and register it; returns its name. Raises KeyProblem.

    `new_seal`: the buttons of cards are sealed anew too, so that those that are out there no longer work.
    """
    register = await store.keys()
    signer = _current(settings, register, now)
    if settings.next_key.exists() or _next(signer, register):
        raise KeyProblem(f"a next key is registered already; copy it to {settings.next_key} and `keys switch`")
    key = create_key(settings.next_key)
    try:
        fresh = FileSigner(key)
        before = [*_before(register, _own(signer)), Before(signer.public())]
        seals = {purpose: secrets.token_bytes(32) if new_seal else signer.secret_for(purpose) for purpose in SEALS}
        said = {
            "next": await signer.sign(VOUCHER_TYP, {"next": fresh.public(), "iat": now}),
            "before": await _vouched(fresh, before, now),
            "handed_on": _handed_on(fresh, seals),
        }
        record = {"v": 1, "event": "key", "kid": fresh.kid, "after": signer.kid}
        await _keep(store, fresh.kid, {**fresh.public(), _MEMBER: said}, record, known=None)
    except BaseException:
        settings.next_key.unlink()
        raise
    return fresh.kid


async def switch(settings: Settings, store: RedisStore, *, now: int, at_once: bool = False) -> str:
    """Let the next start sign with the next key; returns its name. Raises KeyProblem."""
    register = await store.keys()
    signer = _current(settings, register, now)
    fresh = FileSigner(read_key(settings.next_key))
    claims = _own(signer).verify(VOUCHER_TYP, _said(register, fresh.kid, "next"))
    if claims is None:
        raise KeyProblem(f"the key at {settings.next_key} ({fresh.kid}) is not registered; delete it and `keys rotate`")
    left = PUBLISHED_FOR - (now - int(claims["iat"]))
    if left > 0 and not at_once:
        raise KeyProblem(f"verifiers may not know {fresh.kid} yet: wait {left} s more, or say --at-once")
    settings.old_key.unlink(missing_ok=True)
    os.link(settings.signing_key, settings.old_key)
    settings.next_key.replace(settings.signing_key)
    return fresh.kid


async def retire(settings: Settings, store: RedisStore, kid: str, *, now: int, at_once: bool = False) -> int:
    """End an older key; returns the instant (s) after which no receipt of it is good. Raises KeyProblem."""
    register = await store.keys()
    signer = _current(settings, register, now)
    until = now if at_once else now + RECEIPTS_LIVE
    before = [one for one in _before(register, _own(signer)) if one.kid != kid]
    old = next((one for one in _before(register, _own(signer)) if one.kid == kid), None)
    if old is None:
        raise KeyProblem(f"{kid} did not sign before {signer.kid}; `python -m bot keys list` says what did")
    ends = until if old.until is None else min(until, old.until)
    mine = register[signer.kid]
    said = {**mine[_MEMBER], "before": await _vouched(signer, [*before, Before(old.jwk, ends)], now)}
    record = {"v": 1, "event": "key_retired", "kid": kid, "by": signer.kid, "until": ends}
    await _keep(store, signer.kid, {**mine, _MEMBER: said}, record, known=mine)
    if settings.old_key.exists() and kid_of(read_key(settings.old_key)) == kid:
        settings.old_key.unlink()
    return ends


async def listed(settings: Settings, store: RedisStore, *, now: int) -> Sequence[Known]:
    """The keys of this deployment, and what each is for, as the key on this machine vouches. Raises KeyProblem."""
    register = await store.keys()
    signer = FileSigner(read_key(settings.signing_key))
    listen(signer, register, now)
    before = _before(register, _own(signer))
    states = {one.kid: _state(one, now) for one in before}
    states |= dict.fromkeys(_next(signer, register), "to sign next: published, and signs nothing yet")
    states[signer.kid] = "retired: get the one that followed it" if signer.is_retired else "signs"
    return [Known(kid, states.get(kid, "registered, and no key here vouches for it")) for kid in register]


class KeyWatch:
    """The step of a loop: hears of keys that come and go, and publishes them. `now` gives this machine's time in s."""

    def __init__(
        self, signer: FileSigner, store: RedisStore, settings: Settings, *, now: Callable[[], float] = time.time
    ) -> None:
        self._signer = signer
        self._store = store
        self._settings = settings
        self._now = now

    async def step(self) -> bool:
        """Listen, and write the trust document where something is new."""
        if listen(self._signer, await self._store.keys(), int(self._now())):
            trust = self._signer.trust(self._settings.issuer)
            write_trust(self._settings.trust, trust)
            log.info("signing keys", signs=self._signer.kid, trusted=[key["kid"] for key in trust["keys"]])
        return False


def _current(settings: Settings, register: Register, now: int) -> FileSigner:
    """The signer of this machine, which must be registered and not retired."""
    key = read_key(settings.signing_key)
    signer = FileSigner(key, secrets=secrets_from(key, register))
    if signer.kid not in register:
        raise KeyProblem(f"the key at {settings.signing_key} ({signer.kid}) is not registered in this deployment")
    listen(signer, register, now)
    if signer.is_retired:
        raise KeyProblem(f"the key at {settings.signing_key} ({signer.kid}) is retired; copy the one that followed it")
    return signer


def _next(signer: FileSigner, register: Register) -> dict[str, OKPKey]:
    """The keys which a signer's own key has said will follow it."""
    own, found = _own(signer), {}
    for kid in register:
        claims = own.verify(VOUCHER_TYP, _said(register, kid, "next"))
        if claims is not None and kid_of(key := OKPKey.import_key(dict(claims["next"]))) == kid:
            found[kid] = key
    return found


def _before(register: Register, key: OneKey) -> list[Before]:
    """The keys that signed before one, as it says itself."""
    claims = key.verify(VOUCHER_TYP, _said(register, key.kid, "before"))
    return [] if claims is None else [Before(one["jwk"], one["until"]) for one in claims["before"]]


def _own(signer: FileSigner) -> OneKey:
    return OneKey(signer.kid, OKPKey.import_key(dict(signer.public())))


def _said(register: Register, kid: str, what: str) -> str:
    return str(register.get(kid, {}).get(_MEMBER, {}).get(what, ""))


async def _vouched(signer: FileSigner, before: Sequence[Before], now: int) -> str:
    said = [{"jwk": dict(one.jwk), "until": one.until} for one in before]
    return await signer.sign(VOUCHER_TYP, {"kid": signer.kid, "before": said, "iat": now})


async def _keep(
    store: RedisStore,
    kid: str,
    document: Mapping[str, Any],
    record: Mapping[str, Any],
    *,
    known: Mapping[str, Any] | None,
) -> None:
    if not await store.keep_key(kid, document, record, known=known):
        raise KeyProblem("somebody else changed the registered keys just now; look at `python -m bot keys list`")


def _is_over(one: Before, now: int) -> bool:
    return one.until is not None and one.until <= now


def _state(one: Before, now: int) -> str:
    if one.until is None:
        return "signed before; its receipts are good as long as they live"
    return "retired" if _is_over(one, now) else f"retired; its last receipts end in {one.until - now} s"


def _handed_on(fresh: FileSigner, seals: Mapping[str, bytes]) -> str:
    """The secrets in a form that only the next key opens."""
    nonce = secrets.token_bytes(12)
    text = json.dumps({purpose: base64.b64encode(secret).decode() for purpose, secret in seals.items()})
    return base64.b64encode(nonce + _box(fresh).encrypt(nonce, text.encode(), fresh.kid.encode())).decode()


def _box(signer: FileSigner) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(signer.secret_for("handed on"))
