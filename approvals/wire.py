"""The documents the bot writes for agents and tools (docs/reference/redis-contract.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from approvals.errors import EntryRefused
from approvals.ports import Answer, Entry
from approvals.request import Request

VERSION = 1


def instant(milliseconds: int) -> str:
    """An instant as RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:03d}Z"


def decision_document(request: Request, receipt: str | None) -> Mapping[str, Any]:
    """What an agent is told of a decided request; information, never permission."""
    decision = request.decision
    if decision is None:
        raise ValueError(f"{request.id} is not decided")
    by = [{"policy": decision.rule}] if decision.rule else [{"person": v.person, "via": v.via} for v in decision.by]
    return {
        "v": VERSION,
        "request": request.id,
        "agent": request.agent,
        "call": request.call,
        "status": request.status.value,
        "digest": request.digest,
        "nonce": request.action.nonce,
        "audience": request.audience,
        "decided_at": instant(decision.at),
        "by": by,
        "reason": decision.reason or None,
        "changes": decision.changes or None,
        "use_by": instant(decision.use_by) if decision.use_by else None,
        "receipt": receipt,
    }


def pending(entry: Entry, request: Request) -> Answer:
    """The bot has the request and people are being asked."""
    body = {
        "v": VERSION,
        "entry": entry.id,
        "request": request.id,
        "status": "pending",
        "digest": request.digest,
        "nonce": request.action.nonce,
        "code": request.code,
        "expires_at": instant(request.expires_at),
    }
    return Answer("pending", body)


def refused(entry: Entry, refusal: EntryRefused) -> Answer:
    """An entry was not accepted; nothing was decided."""
    body = {
        "v": VERSION,
        "entry": entry.id,
        "reason": refusal.reason,
        "message": refusal.message,
        "field": refusal.field,
        "remedy": refusal.remedy,
        "retry_after": refusal.retry_after,
    }
    return Answer("refused", body)


def about_attempt(kind: str, entry: Entry, request: str, attempt: str, **members: Any) -> Answer:
    """The answer to a spend or a report, keyed by the attempt."""
    return Answer(kind, {"v": VERSION, "entry": entry.id, "request": request, "attempt": attempt, **members})
