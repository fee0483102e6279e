"""The wire, version 1 (docs/reference/redis-contract.md): names of keys, bodies we append, answers we read.

What we write is exact. What we read is read leniently: members and types we do not know are ignored.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, ValidationError

from sayso.action import Action, text
from sayso.errors import InvalidRequest, Refused, Unavailable

VERSION = 1
MAX_BODY = 65_536
CONFIG_KEY = "sayso:config"
NAMES_KEY = "sayso:names"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CALL = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._@-]{0,127}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST = re.compile(r"[0-9]{1,4}-[a-z2-7]{24}")
_SHORT = re.compile(r"([0-9]+)([smhd])")
_ISO = re.compile(r"PT(?=[0-9])(?:([0-9]{1,4})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,8})S)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Within: TypeAlias = str | int | float | timedelta


class Answer(BaseModel):
    """Something the bot wrote for us."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class By(Answer):
    """Who or what decided: a person and the door they used, or a rule of policy."""

    person: str | None = None
    via: str | None = None
    policy: str | None = None

    def __str__(self) -> str:
        """Say it in words: "alice via slack" or "policy small-refunds"."""
        if self.policy is not None:
            return f"policy {self.policy}"
        return f"{self.person} via {self.via}" if self.via else str(self.person)


class PendingAnswer(Answer):
    """The bot has the request, and people are being asked."""

    request: str
    digest: str
    nonce: str
    entry: str | None = None
    code: str | None = None
    expires_at: str | None = None


class DecisionAnswer(Answer):
    """The decision document: information, never permission."""

    request: str
    agent: str
    status: str
    digest: str
    nonce: str
    call: str | None = None
    audience: str | None = None
    decided_at: str | None = None
    by: tuple[By, ...] = ()
    reason: str | None = None
    changes: str | None = None
    use_by: str | None = None
    receipt: str | None = None


class RefusedAnswer(Answer):
    """One entry was not accepted."""

    entry: str
    reason: str
    message: str = ""
    field: str | None = None
    remedy: str | None = None
    retry_after: float | None = None


class SpendAnswer(Answer):
    """Whether this attempt may act, once."""

    attempt: str
    granted: bool
    request: str | None = None
    jti: str | None = None
    reason: str | None = None
    message: str = ""


class ReportAnswer(Answer):
    """Whether the outcome was written down."""

    attempt: str
    recorded: bool
    status: str | None = None
    reason: str | None = None
    message: str = ""


_ANSWERS: dict[str, type[Answer]] = {
    "pending": PendingAnswer,
    "decision": DecisionAnswer,
    "refused": RefusedAnswer,
    "spend": SpendAnswer,
    "report": ReportAnswer,
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `sayso:config` says: how many partitions there are."""

    partitions: int

    @classmethod
    def read(cls, raw: bytes | None) -> Deployment:
        """Read `sayso:config`; raises Unavailable when it is missing or of another wire version."""
        if raw is None:
            raise Unavailable(f"{CONFIG_KEY} is not in Redis: is this the right Redis, and has the bot been started?")
        try:
            document = json.loads(raw)
            version, partitions = document["v"], document["partitions"]
        except (ValueError, KeyError, TypeError) as exc:
            raise Unavailable(f"{CONFIG_KEY} cannot be read") from exc
        if version != VERSION or not isinstance(partitions, int) or partitions < 1:
            raise Unavailable(
                f"the bot speaks wire version {version!r}, this SDK speaks {VERSION}; update the older one"
            )
        return cls(partitions)

    @staticmethod
    def check_name(raw: bytes | None, name: str, sort: Literal["agents", "audiences"]) -> None:
        """Raise Refused for a name that `sayso:names` does not hold; a bot that publishes none is not in the way."""
        try:
            names = json.loads(raw) if raw is not None else {}
            registered = [*names["agents"], *names["audiences"]]
        except (ValueError, KeyError, TypeError):
            return
        if name in registered:
            return
        line = "{owner: …, principals: […], kinds: […]}" if sort == "agents" else "{kinds: […]}"
        raise Refused(
            f"{name!r} is not registered in the bot's policy",
            reason="unknown_agent",
            field=sort.removesuffix("s"),
            remedy=f"under {sort} add: {name}: {line}",
        )

    def partition(self, agent: str) -> int:
        """The partition that holds everything of an agent."""
        return zlib.crc32(agent.encode()) % self.partitions

    def request_id(self, agent: str, call: str) -> str:
        """The id of an agent's call, known before it is sent."""
        digest = hashlib.sha256(f"{agent}\0{call}".encode()).digest()
        return f"{self.partition(agent)}-{base64.b32encode(digest).decode().lower()[:24]}"


@dataclass(frozen=True, slots=True)
class Address:
    """The three places of one party (an agent, or `tool:<audience>`) in one partition."""

    partition: int
    party: str

    @property
    def inbox(self) -> str:
        """The stream we append to."""
        return f"{{sayso:{self.partition}}}:in:{self.party}"

    @property
    def outbox(self) -> str:
        """The stream we read."""
        return f"{{sayso:{self.partition}}}:out:{self.party}"

    def decision_key(self, request: str) -> str:
        """Where the decision document stands."""
        return f"{{sayso:{self.partition}}}:decision:{self.party}:{request}"


def read_answer(kind: str, body: bytes) -> Answer | None:
    """Read one entry of an out stream; None for types we do not know and bodies that are not what the wire says."""
    model = _ANSWERS.get(kind)
    if model is None:
        return None
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def read_decision(body: bytes | None) -> DecisionAnswer | None:
    """Read what stands under a decision key; None for nothing, or nothing readable."""
    answer = None if body is None else read_answer("decision", body)
    return answer if isinstance(answer, DecisionAnswer) else None


class Said(TypedDict, total=False):
    """What an agent may say with a question besides the action; `Sayso.ask` explains it, and None says nothing."""

    because: str | None
    within: Within | None
    principal: str | None
    principal_token: str | None
    started_by: str | None
    audience: str | None
    trace: str | None
    supersedes: str | None
    cancel_on_disconnect: bool


def request_body(action: Action, *, call: str, **said: Unpack[Said]) -> bytes:
    """The body of a `request`; raises InvalidRequest that names the field and the remedy."""
    if unknown := said.keys() - Said.__annotations__.keys():
        raise TypeError(f"a question cannot say {', '.join(sorted(unknown))}")
    audience, because, within = said.get("audience"), said.get("because"), said.get("within")
    seconds = None if within is None else within_seconds(within)
    optional = {
        "audience": None if audience is None else name(audience, "audience"),
        "because": None if because is None else text(because, "because", least=0, most=2_000),
        "principal": _reference(said.get("principal"), "principal"),
        "principal_token": _token(said.get("principal_token")),
        "started_by": _reference(said.get("started_by"), "started_by"),
        "within": None if seconds is None else f"PT{seconds}S",
        "trace": _trace(said.get("trace")),
        "supersedes": _request(said.get("supersedes"), "supersedes"),
        "cancel_on_disconnect": True if said.get("cancel_on_disconnect") else None,
    }
    document = {"v": VERSION, "call": _call(call), "action": action.document()}
    return encode(document | {key: value for key, value in optional.items() if value is not None})


def _token(token: str | None) -> str | None:
    """A signed token as it is; InvalidRequest does not repeat it."""
    if token is None:
        return None
    if len(token) > 8_192 or not _TOKEN.fullmatch(token):
        raise InvalidRequest("not a signed token", field="principal_token", remedy="pass the compact JWT as you got it")
    return token


def about_body(request: str) -> bytes:
    """The body of a `withdraw` or `collect`."""
    return encode({"v": VERSION, "request": request})


def heartbeat_body() -> bytes:
    """The body of a `heartbeat`."""
    return encode({"v": VERSION})


def spend_body(receipt: str, attempt: str) -> bytes:
    """The body of a `spend`."""
    return encode({"v": VERSION, "receipt": receipt, "attempt": attempt})


def report_body(request: str, attempt: str, outcome: str, note: str = "") -> bytes:
    """The body of a `report`; the note is cut to what the wire carries."""
    document = {"v": VERSION, "request": request, "attempt": attempt, "outcome": outcome}
    return encode(document | ({"note": note[:500]} if note else {}))


def encode(document: Mapping[str, Any]) -> bytes:
    """One JSON text in UTF-8 of at most MAX_BODY bytes."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(body) > MAX_BODY:
        raise InvalidRequest(
            f"{len(body)} bytes in all, at most {MAX_BODY} are carried",
            field="arguments",
            remedy="pass a reference and a hash instead of the content",
        )
    return body


def name(value: object, field: str) -> str:
    """An agent's or a tool's name, or InvalidRequest for `field`."""
    if field == "agent" and value == "tool":
        raise InvalidRequest("tool is not an agent's name", field=field, remedy="choose another")
    return _matching(_NAME, value, field, "a-z, 0-9, _ and -, at most 63, like payments-bot")


def partition_of_request(request: str) -> int:
    """The partition in front of a request id, or InvalidRequest."""
    return int(str(_request(request, "request")).partition("-")[0])


def within_seconds(value: Within) -> int:
    """Whole seconds of "30m", "PT30M", a timedelta or a number of seconds; a part of a second counts as one."""
    seconds = _spelled(value) if isinstance(value, str) else _counted(value)
    if not 0 < seconds < 10**8:
        raise InvalidRequest(f"{value!r} is no time to answer in", field="within", remedy="pass it like 30m or PT30M")
    return int(-(-seconds // 1))


def _counted(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return -1 if isinstance(value, bool) or not isinstance(value, int | float) else value


def _spelled(value: str) -> int:
    if short := _SHORT.fullmatch(value):
        return int(short[1][:9]) * _UNITS[short[2]]
    if iso := _ISO.fullmatch(value):
        hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        return (hours * 60 + minutes) * 60 + seconds
    return -1


def _call(value: object) -> str:
    return _matching(_CALL, value, "call", "1 to 200 printable ASCII characters, like run-118/release")


def _reference(value: object, field: str) -> str | None:
    return None if value is None else _matching(_REFERENCE, value, field, "an id like dana or dana@acme.com")


def _request(value: object, field: str) -> str | None:
    return None if value is None else _matching(_REQUEST, value, field, "the `request` of an answer or an error")


def _trace(value: object) -> str | None:
    return None if value is None else _matching(_TRACE, value, "trace", "a W3C traceparent, or nothing")


def _matching(pattern: re.Pattern[str], value: object, field: str, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidRequest(f"{str(value)[:80]!r} does not fit", field=field, remedy=f"pass {what}")
    return value
