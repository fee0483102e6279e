"""The action an agent asks about, and the digest that binds the yes to exactly these bytes."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from approvals.canonical import canonical

KIND = r"[a-z0-9_]+(\.[a-z0-9_]+)+"
NAME = r"[a-z0-9][a-z0-9_-]{0,62}"

Kind = Annotated[str, StringConstraints(pattern=rf"^{KIND}$", max_length=100)]
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
Nonce = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,86}$")]

_REQUEST_ID = re.compile(r"[0-9]{1,4}-[a-z2-7]{24}")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: read aloud without mistakes


class Frozen(BaseModel):
    """A value: strict about what it holds, never changed after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Action(Frozen):
    """What would be done; `nonce` keeps the digest of guessable values unguessable."""

    kind: Kind
    target: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    arguments: dict[str, Any]
    preconditions: dict[str, Any] = Field(default_factory=dict)
    nonce: Nonce

    def digest(self) -> str:
        """ "sha256:" + hex of SHA-256 over the canonical form of all five members (RFC 8785)."""
        return digest_of(self.model_dump())

    def same_as(self, other: Action) -> bool:
        """Whether both are the same action apart from the nonce."""
        return self.model_copy(update={"nonce": other.nonce}).digest() == other.digest()


def digest_of(value: Any) -> str:
    """ "sha256:" + hex of SHA-256 over the RFC 8785 form of a JSON value."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


@lru_cache(maxsize=1_024)
def short_code(digest: str) -> str:
    """Six characters and a dash, like 7F3K-9Q, by which people tell one request from another."""
    bits = int(digest.removeprefix("sha256:")[:8], 16) >> 2  # 30 bits, five for each character
    letters = "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(25, -1, -5))
    return f"{letters[:4]}-{letters[4:]}"


def partition_of(agent: str, partitions: int) -> int:
    """The partition that holds everything of an agent: crc32 of its name (docs/reference/redis-contract.md)."""
    return zlib.crc32(agent.encode()) % partitions


def request_id(agent: str, call: str, partitions: int) -> str:
    """The id of an agent's call, which the agent can compute before it sends."""
    name = base64.b32encode(hashlib.sha256(f"{agent}\0{call}".encode()).digest()).decode().lower()[:24]
    return f"{partition_of(agent, partitions)}-{name}"


def likeness(agent: str, action: Action) -> str:
    """What requests have in common that ask for the same: a digest of agent, kind and target."""
    return _likeness(agent, action.kind, action.target)


@lru_cache(maxsize=1_024)
def _likeness(agent: str, kind: str, target: str) -> str:
    """Asked for at every commit of a request, hence remembered."""
    return digest_of([agent, kind, target])


def partition_of_request(request: str) -> int:
    """The partition that a request id names; raises ValueError for what is not a request id."""
    if not _REQUEST_ID.fullmatch(request):
        raise ValueError(f"{request!r} is not a request id")
    return int(request.split("-")[0])
