"""Checking a receipt: every step must hold, the first that does not refuses it (design §6).

Needs `cryptography` and `rfc8785` only, no Redis and no network: a tool in any process can use it alone.

    verifier = Verifier(read_jwks(Path("jwks.json").read_bytes()), audience="payments-tool")
    receipt = verifier.verify(compact, action, agent="payments-bot", at=time.time())

A verified receipt is not yet permission to act: it must also be *spent* (see `Tool.spend`), because only the bot
knows whether it was used or taken back in the meantime.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sayso.action import Action
from sayso.errors import InvalidRequest, ReceiptInvalid
from sayso.keys import Key, TrustedKeys, decode_base64url
from sayso.strict_json import parse

TYPE = "approval-receipt+jwt"
ACTION_TYPE = "urn:sayso:action:1"
MAX_BYTES = 16_384
MAX_LIFETIME = 300  #: seconds between `iat` and `exp`
SKEW = 30  #: seconds by which our clock and the issuer's may differ

#: how strong a yes is, weakest first: a rule said so, an emergency was declared, people said so
MODES = ("policy", "break_glass", "human")

Preconditions = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Floors:
    """The least this verifier accepts, whatever policy was satisfied with.

    `mode` is the weakest of MODES that is enough; `quorum` the least number of different people; `acr`, when not
    empty, the authentication levels of which every approver must have one.
    """

    mode: str = "policy"
    quorum: int = 0
    acr: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist: a misspelt floor would be no floor."""
        if self.mode not in MODES:
            raise InvalidRequest(f"there is no mode {self.mode!r}", field="floors.mode", remedy=f"use one of {MODES}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a verified receipt says; times are seconds since the epoch."""

    issuer: str
    audience: str
    agent: str
    principal: str
    request: str
    jti: str
    issued_at: int
    expires_at: int
    digest: str
    mode: str
    approvers: tuple[Mapping[str, Any], ...]
    claims: Mapping[str, Any] = field(repr=False)


class Verifier:
    """Checks receipts of one issuer for one audience. Never reads keys from a receipt, never asks the network."""

    def __init__(self, trusted: TrustedKeys, *, audience: str, floors: Floors | None = None) -> None:
        self._trusted = trusted
        self._audience = audience
        self._floors = floors or Floors()

    def verify(
        self, compact: str, action: Action, *, agent: str, at: float, preconditions: Preconditions | None = None
    ) -> Receipt:
        """Check that `compact` approves exactly `action` by `agent` at the time `at` (seconds since the epoch).

        `preconditions` is asked whether the action's preconditions hold; an action that has some, and nobody to ask,
        is refused. Raises ReceiptInvalid, whose `step` names the first check that failed.
        """
        claims = self._authentic(compact)
        receipt = self._addressed(claims, agent, at)
        _check_action(claims, action)
        _check_preconditions(action, preconditions)
        self._check_floors(claims)
        return receipt

    def _authentic(self, compact: str) -> dict[str, Any]:
        """The claims, once the signature over them is known to be the issuer's."""
        header_part, payload_part, signature_part = _parts(compact)
        header = _object(header_part, "header")
        key = self._key(header)
        signature = _decoded(signature_part, "encoding")
        payload = _decoded(payload_part, "encoding")
        _require(key.signed(signature, header_part + b"." + payload_part), "signature", "not made by this key")
        _require(header["typ"] == TYPE, "typ", f"not {TYPE}")
        return _parsed(payload, "payload")

    def _key(self, header: dict[str, Any]) -> Key:
        _require(set(header) == {"alg", "kid", "typ"}, "header", "must be exactly alg, kid and typ")
        _require(all(isinstance(value, str) for value in header.values()), "header", "alg, kid and typ must be text")
        key = self._trusted.keys.get(header["kid"])
        if key is None:
            raise ReceiptInvalid("kid", "no pinned key has this kid")
        _require(header["alg"] in key.algorithms, "alg", "not the algorithm this key is pinned to")
        return key

    def _addressed(self, claims: dict[str, Any], agent: str, at: float) -> Receipt:
        """Issuer, audience, times and agent, in this order."""
        _require(claims.get("iss") == self._trusted.issuer, "iss", "another issuer")
        _require(claims.get("aud") == self._audience, "aud", f"not for {self._audience!r} alone")
        _check_times(claims, at)
        actor = claims.get("act")
        _require(isinstance(actor, dict) and actor.get("sub") == agent, "agent", f"not for the agent {agent!r}")
        _require("cnf" not in claims, "cnf", "is bound to a proof of possession, which this verifier cannot check")
        return _receipt(claims)

    def _check_floors(self, claims: dict[str, Any]) -> None:
        approval = claims["approval"]
        people = {person["sub"] for person in _approvers(claims)}
        mode = approval.get("mode")
        _require(approval.get("outcome") == "approved", "outcome", "not approved")
        _require(mode in MODES, "mode", "unknown mode")
        _require(
            MODES.index(mode) >= MODES.index(self._floors.mode), "mode", f"{mode} is less than {self._floors.mode}"
        )
        _check_quorum(approval.get("quorum"), mode)
        _require(len(people) >= max(self._floors.quorum, mode == "human"), "quorum", "too few people")
        if self._floors.acr:
            levels = {person.get("acr") for person in _approvers(claims)}
            _require(levels <= self._floors.acr, "acr", "an approver was authenticated less strongly than demanded")


def peek_kid(compact: str) -> str:
    """The `kid` a receipt claims, unverified: good only for deciding whether to look for newer keys."""
    kid = _object(_parts(compact)[0], "header").get("kid")
    if not isinstance(kid, str):
        raise ReceiptInvalid("header", "no kid")
    return kid


def _require(holds: bool, step: str, message: str) -> None:
    if not holds:
        raise ReceiptInvalid(step, message)


def _parts(compact: str) -> tuple[bytes, bytes, bytes]:
    _require(isinstance(compact, str), "size", "not text")
    _require(0 < len(compact) <= MAX_BYTES, "size", f"not 1 to {MAX_BYTES} characters")
    _require(compact.isascii(), "encoding", "not ASCII")
    parts = compact.encode("ascii").split(b".")
    _require(len(parts) == 3, "parts", "not three parts")
    return parts[0], parts[1], parts[2]


def _decoded(part: bytes, step: str) -> bytes:
    try:
        return decode_base64url(part)
    except ValueError as exc:
        raise ReceiptInvalid(step, str(exc)) from exc


def _parsed(raw: bytes, step: str) -> dict[str, Any]:
    try:
        value = parse(raw)
    except ValueError as exc:
        raise ReceiptInvalid(step, str(exc)) from exc
    if not isinstance(value, dict):
        raise ReceiptInvalid(step, "not a JSON object")
    return value


def _object(part: bytes, step: str) -> dict[str, Any]:
    return _parsed(_decoded(part, "encoding"), step)


def _whole(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ReceiptInvalid(name, "not a whole number of seconds")
    return value


def _check_times(claims: dict[str, Any], at: float) -> None:
    issued, not_before, expires = (_whole(claims, name) for name in ("iat", "nbf", "exp"))
    _require(issued <= at + SKEW, "iat", "issued in the future")
    _require(not_before <= at + SKEW, "nbf", "not valid yet")
    _require(0 < expires - issued <= MAX_LIFETIME, "exp-iat", f"lives longer than {MAX_LIFETIME} s, or not at all")
    _require(at < expires + SKEW, "exp", "too old")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise ReceiptInvalid(name, "missing")
    return value


def _receipt(claims: dict[str, Any]) -> Receipt:
    """Everything but the binding to the action, whose members are still to be checked."""
    detail = _detail(claims)
    approval = claims.get("approval")
    _require(isinstance(approval, dict), "approval", "missing")
    return Receipt(
        issuer=claims["iss"],
        audience=claims["aud"],
        agent=claims["act"]["sub"],
        principal=_text(claims, "sub"),
        request=_text(claims, "txn"),
        jti=_text(claims, "jti"),
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        digest=_text(detail, "action_digest"),
        mode=_text(claims["approval"], "mode"),
        approvers=tuple(_approvers(claims)),
        claims=claims,
    )


def _detail(claims: dict[str, Any]) -> dict[str, Any]:
    details = claims.get("authorization_details")
    if not isinstance(details, list) or len(details) != 1 or not isinstance(details[0], dict):
        raise ReceiptInvalid("authorization_details", "not exactly one")
    return details[0]


def _approvers(claims: dict[str, Any]) -> list[dict[str, Any]]:
    people = claims["approval"].get("approvers", [])
    if not isinstance(people, list):
        raise ReceiptInvalid("approvers", "not a list")
    if not all(isinstance(person, dict) and isinstance(person.get("sub"), str) for person in people):
        raise ReceiptInvalid("approvers", "someone without a name")
    return people


def _check_action(claims: dict[str, Any], action: Action) -> None:
    detail = _detail(claims)
    uses = detail.get("max_uses")
    _require(detail.get("type") == ACTION_TYPE, "authorization_details", f"not of type {ACTION_TYPE}")
    _require(type(uses) is int and uses == 1, "max_uses", "not exactly one use")
    _require(detail.get("actions") == [action.kind], "kind", "approved for another kind of action")
    _require(detail.get("locations") == [action.target], "target", "approved for another target")
    _require(hmac.compare_digest(_digest(action), _text(detail, "action_digest").encode()), "digest", "another action")


def _digest(action: Action) -> bytes:
    try:
        return action.digest().encode()
    except ValueError as exc:  # rfc8785's errors: a value without a canonical form was never approved
        raise ReceiptInvalid("digest", "the action has no canonical form") from exc
    except InvalidRequest as exc:
        raise ReceiptInvalid("digest", str(exc)) from exc


def _check_preconditions(action: Action, holds: Preconditions | None) -> None:
    if not action.preconditions:
        return
    if holds is None:
        raise ReceiptInvalid("preconditions", "the action has some, and nothing was given to check them with")
    _require(holds(action.copy().preconditions) is True, "preconditions", "no longer true")


def _check_quorum(quorum: object, mode: str) -> None:
    if not isinstance(quorum, dict):
        raise ReceiptInvalid("quorum", "missing")
    need, got = _whole(quorum, "need"), _whole(quorum, "got")
    _require(0 <= need <= got, "quorum", "not reached")
    _require(mode != "human" or got >= 1, "quorum", "nobody said yes")
