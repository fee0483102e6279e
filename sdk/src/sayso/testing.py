"""Test your agent without Redis and without people: the real client, the real verifier, and a scripted answer.

    async with sayso.testing.approving() as client:
        await my_agent(client)
        assert client.asked[0].action.target == "bank:acme"
        assert client.outcomes == ["succeeded"]

    async with sayso.testing.denying("too much for a Friday") as client: …
    async with sayso.testing.silent() as client: …                       # nobody answers in time
    async with sayso.testing.answering(lambda asked: Yes() if asked.action.target == "bank:acme" else No()) as client: …

Only the bot and Redis are played; what your code meets is what it meets in production. Not for use outside tests: it
says yes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sayso.action import Action
from sayso.client import Sayso
from sayso.keys import Key, TrustedKeys
from sayso.link import Entry
from sayso.spending import Clock
from sayso.tool import Tool
from sayso.trust import PinnedTrust
from sayso.verifier import ACTION_TYPE, TYPE
from sayso.wire import CONFIG_KEY, Address, Deployment

ISSUER = "https://sayso.test"
_LIFETIME = 120
_USE_WITHIN = 900
_WITHIN = 1800


@dataclass(frozen=True, slots=True)
class Yes:
    """These people say yes."""

    by: tuple[str, ...] = ("alice",)


@dataclass(frozen=True, slots=True)
class No:
    """This person says no, perhaps with what to change."""

    reason: str | None = None
    by: str = "alice"
    changes: str | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody answers, and the deadline has come."""


@dataclass(frozen=True, slots=True)
class Later:
    """Nobody has answered yet; use `client.decide(request, Yes())` when it is time."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The bot does not accept the request; `reason` is a code of the wire."""

    reason: str
    message: str = ""
    field: str | None = None
    remedy: str | None = None
    retry_after: int | None = None


Reply: TypeAlias = Yes | No | Silence | Later | Refuse


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as people would have been shown it."""

    request: str
    agent: str
    call: str
    action: Action
    audience: str
    because: str | None = None
    principal: str | None = None
    started_by: str | None = None
    within: str | None = None
    supersedes: str | None = None
    cancel_on_disconnect: bool = False


Script: TypeAlias = Callable[[Asked], Reply]


class Issuer:
    """A signing key of its own, made for one test."""

    def __init__(self, *, issuer: str = ISSUER, kid: str = "test-1") -> None:
        self._private = Ed25519PrivateKey.generate()
        self.kid = kid
        key = Key(kid, frozenset({"Ed25519"}), self._private.public_key())
        self.trusted = TrustedKeys(issuer, {kid: key})

    def jwks(self) -> bytes:
        """The public half, as the document that `trust=` takes."""
        x = _b64(self._private.public_key().public_bytes_raw())
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "kid": self.kid, "x": x}
        return json.dumps({"issuer": self.trusted.issuer, "keys": [key]}).encode()

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS over the claims."""
        header = {"alg": "Ed25519", "kid": self.kid, "typ": TYPE}
        signed = ".".join(_b64(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_b64(self._private.sign(signed.encode()))}"


def receipt_claims(
    asked: Asked, *, issuer: str, jti: str, at: float, people: Sequence[str] = ("alice",)
) -> dict[str, Any]:
    """The claims of a receipt as the bot makes them (design §6)."""
    now = int(at)
    return {
        "iss": issuer,
        "aud": asked.audience,
        "sub": asked.principal or "dana",
        "act": {"sub": asked.agent},
        "iat": now,
        "nbf": now,
        "exp": now + _LIFETIME,
        "jti": jti,
        "txn": asked.request,
        "authorization_details": [
            {
                "type": ACTION_TYPE,
                "actions": [asked.action.kind],
                "locations": [asked.action.target],
                "action_digest": asked.action.digest(),
                "max_uses": 1,
            }
        ],
        "approval": {
            "outcome": "approved",
            "mode": "human",
            "policy": {"id": "test", "digest": "sha256:" + "0" * 64},
            "quorum": {"need": len(people), "got": len(people), "factors": []},
            "approvers": [{"sub": person, "via": "testing", "tenant": "test", "at": now} for person in people],
            "shown": "sha256:" + "0" * 64,
            "log": {"origin": "test", "index": 1},
        },
    }


@dataclass(slots=True)
class _Request:
    """What the played bot knows of one request."""

    asked: Asked
    jti: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = "pending"
    reply: Reply = field(default_factory=Later)
    decided_at: str | None = None
    use_by: str | None = None
    attempt: str | None = None


class Stage:
    """Redis and the bot, played: a Link on which every entry is answered by a script."""

    def __init__(self, script: Script, *, clock: Clock = time.time) -> None:
        self.asked: list[Asked] = []
        self.outcomes: list[str] = []
        self.issuer = Issuer()
        self._script = script
        self._clock = clock
        self._requests: dict[str, _Request] = {}
        self._streams: dict[str, list[Entry]] = {}
        self._documents: dict[str, bytes] = {CONFIG_KEY: b'{"v":1,"partitions":1}'}
        self._number = 0
        self._news = asyncio.Condition()

    # --- Link ------------------------------------------------------------------------------------------------------

    async def config(self) -> tuple[bytes | None, bytes | None]:
        """See Link."""
        return self._documents[CONFIG_KEY], None

    async def append(self, stream: str, kind: str, body: bytes) -> str:
        """See Link; the answer is there at once."""
        entry = self._entry_id()
        party = stream.split(":in:")[1]
        document = json.loads(body)
        for answered, answer in self._answers(party, entry, kind, document):
            await self._write(party, answered, answer)
        return entry

    async def documents(self, keys: Sequence[str]) -> list[bytes | None]:
        """See Link."""
        return [self._documents.get(key) for key in keys]

    async def last_id(self, stream: str) -> str:
        """See Link."""
        entries = self._streams.get(stream)
        return entries[-1].id if entries else "0-0"

    async def read(self, stream: str, after: str) -> list[Entry]:
        """See Link."""
        async with self._news:
            await self._news.wait_for(lambda: self._since(stream, after))
            return self._since(stream, after)

    async def aclose(self) -> None:
        """See Link."""

    # --- the played people -----------------------------------------------------------------------------------------

    async def decide(self, request: str, reply: Reply) -> None:
        """Let people answer a request for which the script said Later."""
        asked = self._requests[request]
        for kind, answer in self._decided(asked, reply):
            await self._write(asked.asked.agent, kind, answer)

    async def revoke(self, request: str) -> None:
        """Let a person take a yes back."""
        self._requests[request].status = "revoked"

    # --- the played bot --------------------------------------------------------------------------------------------

    def _answers(self, party: str, entry: str, kind: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        if kind == "request":
            return self._on_request(party, entry, body)
        if kind == "heartbeat":
            return []
        request = self._about(body)
        if request is None:
            return [("refused", {"v": 1, "entry": entry, "reason": "not_found", "message": "no such request"})]
        if kind == "spend":
            return [("spend", {"v": 1, "entry": entry, **self._on_spend(request, body)})]
        if kind == "report":
            self.outcomes.append(body["outcome"])
            request.status = body["outcome"]
            return [("report", {"v": 1, "entry": entry, "attempt": body["attempt"], "recorded": True})]
        if kind == "withdraw" and request.status == "pending":
            request.status = "withdrawn"
        return [] if request.status == "pending" else [("decision", self._decision(request))]

    def _about(self, body: dict[str, Any]) -> _Request | None:
        if "receipt" not in body:
            return self._requests.get(body["request"])
        payload = body["receipt"].split(".")[1]
        return self._requests.get(json.loads(base64.urlsafe_b64decode(payload + "=="))["txn"])

    def _on_request(self, agent: str, entry: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        asked = _asked(agent, body)
        known = self._requests.get(asked.request)
        if asked.supersedes is not None and (refusal := self._not_denied(asked.supersedes)):
            return [("refused", {"v": 1, "entry": entry, "field": "supersedes", **refusal})]
        if known is None:
            self.asked.append(asked)
            known = self._requests[asked.request] = _Request(asked)
            return self._decided(known, self._script(asked), entry)
        if known.asked.action.digest() != asked.action.with_nonce(known.asked.action.nonce).digest():
            return [("refused", {"v": 1, "entry": entry, "reason": "conflict", "message": "same call, other action"})]
        return [("pending", self._pending(known, entry))] if known.status == "pending" else []

    def _not_denied(self, request: str) -> dict[str, str]:
        """Why a request cannot be superseded, if it cannot."""
        old = self._requests.get(request)
        if old is None:
            return {"reason": "not_found", "message": "no such request"}
        return {} if old.status == "denied" else {"reason": "conflict", "message": f"it is {old.status}, not denied"}

    def _decided(self, request: _Request, reply: Reply, entry: str = "") -> list[tuple[str, dict[str, Any]]]:
        request.reply = reply
        if isinstance(reply, Refuse):
            del self._requests[request.asked.request]
            return [("refused", {"v": 1, "entry": entry, **_members(reply)})]
        if isinstance(reply, Later):
            return [("pending", self._pending(request, entry))]
        request.status = {Yes: "approved", No: "denied", Silence: "expired"}[type(reply)]
        request.decided_at = _rfc3339(self._clock())
        request.use_by = _rfc3339(self._clock() + _USE_WITHIN) if request.status == "approved" else None
        return [("decision", self._decision(request))]

    def _pending(self, request: _Request, entry: str) -> dict[str, Any]:
        action = request.asked.action
        about = {"request": request.asked.request, "digest": action.digest(), "nonce": action.nonce}
        expires = _rfc3339(self._clock() + _WITHIN)
        return {"v": 1, "entry": entry, **about, "status": "pending", "code": "TEST-00", "expires_at": expires}

    def _decision(self, request: _Request) -> dict[str, Any]:
        asked, reply = request.asked, request.reply
        document = {
            "v": 1,
            "request": asked.request,
            "agent": asked.agent,
            "call": asked.call,
            "status": request.status,
            "digest": asked.action.digest(),
            "nonce": asked.action.nonce,
            "audience": asked.audience,
            "decided_at": request.decided_at,
            "by": [{"person": person, "via": "testing"} for person in _people(reply)],
            "reason": reply.reason if isinstance(reply, No) else None,
            "changes": reply.changes if isinstance(reply, No) else None,
            "use_by": request.use_by,
            "receipt": self._receipt(request) if request.status == "approved" else None,
        }
        self._documents[Address(0, asked.agent).decision_key(asked.request)] = json.dumps(document).encode()
        return document

    def _receipt(self, request: _Request) -> str:
        people = _people(request.reply)
        claims = receipt_claims(request.asked, issuer=ISSUER, jti=request.jti, at=self._clock(), people=people)
        return self.issuer.sign(claims)

    def _on_spend(self, request: _Request, body: dict[str, Any]) -> dict[str, Any]:
        about = {"request": request.asked.request, "attempt": body["attempt"]}
        if request.status == "approved" or request.attempt == body["attempt"]:
            request.status, request.attempt = "spent", body["attempt"]
            return {**about, "granted": True, "jti": request.jti}
        reason = request.status if request.status in ("revoked", "lapsed") else "already_spent"
        return {**about, "granted": False, "reason": reason, "message": f"the request is {request.status}"}

    # --- the played Redis ------------------------------------------------------------------------------------------

    def _entry_id(self) -> str:
        self._number += 1
        return f"{int(self._clock() * 1000)}-{self._number}"

    async def _write(self, party: str, kind: str, body: dict[str, Any]) -> None:
        async with self._news:
            entry = Entry(self._entry_id(), kind, json.dumps(body).encode())
            self._streams.setdefault(Address(0, party).outbox, []).append(entry)
            self._news.notify_all()

    def _since(self, stream: str, after: str) -> list[Entry]:
        number = int(after.split("-")[1])
        return [entry for entry in self._streams.get(stream, []) if int(entry.id.split("-")[1]) > number]


class ScriptedSayso(Sayso):
    """The real client on a Stage. `asked` is what people would have seen, `outcomes` what was reported afterwards."""

    def __init__(self, stage: Stage, *, agent: str = "test-agent", clock: Clock = time.time, **how: Any) -> None:
        super().__init__(stage, agent=agent, trust=PinnedTrust(stage.issuer.trusted), clock=clock, **how)
        self.stage = stage

    @property
    def asked(self) -> list[Asked]:
        """Every request, in order."""
        return self.stage.asked

    @property
    def outcomes(self) -> list[str]:
        """Every reported outcome, in order: succeeded, failed or unknown."""
        return self.stage.outcomes

    async def decide(self, request: str, reply: Reply) -> None:
        """See Stage.decide."""
        await self.stage.decide(request, reply)

    def tool(self, audience: str) -> Tool:
        """A separate tool on the same stage."""
        return Tool(self.stage, audience=audience, trust=PinnedTrust(self.stage.issuer.trusted))


def answering(script: Script, *, agent: str = "test-agent", clock: Clock = time.time, **how: Any) -> ScriptedSayso:
    """A client whose every request is answered by `script`; `how` is passed on to Sayso (audience, floors, …)."""
    return ScriptedSayso(Stage(script, clock=clock), agent=agent, clock=clock, **how)


def approving(*people: str, **how: Any) -> ScriptedSayso:
    """A client to whom these people (default: alice) always say yes."""
    return answering(lambda asked: Yes(people or ("alice",)), **how)


def denying(reason: str | None = None, *, changes: str | None = None, **how: Any) -> ScriptedSayso:
    """A client to whom alice always says no."""
    return answering(lambda asked: No(reason, changes=changes), **how)


def silent(**how: Any) -> ScriptedSayso:
    """A client whom nobody ever answers in time."""
    return answering(lambda asked: Silence(), **how)


def _asked(agent: str, body: dict[str, Any]) -> Asked:
    names = ("because", "principal", "started_by", "within", "supersedes", "cancel_on_disconnect")
    optional = {name: body[name] for name in names if name in body}
    return Asked(
        request=Deployment(1).request_id(agent, body["call"]),
        agent=agent,
        call=body["call"],
        action=Action.from_document(body["action"]),
        audience=body.get("audience", agent),
        **optional,
    )


def _people(reply: Reply) -> tuple[str, ...]:
    if isinstance(reply, Yes):
        return reply.by
    return (reply.by,) if isinstance(reply, No) else ()


def _members(refuse: Refuse) -> dict[str, Any]:
    return {name: getattr(refuse, name) for name in ("reason", "message", "field", "remedy", "retry_after")}


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
