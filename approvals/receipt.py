"""The claims of a receipt: what the signature says, minted from the stored decision alone (DESIGN §6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals.journal import origin
from approvals.lifecycle import Status
from approvals.request import Request, Vote

TYP = "approval-receipt+jwt"
AUTHORIZATION_TYPE = "urn:sayso:action:1"  #: RFC 9396 §2


def claims_of(request: Request, *, issuer: str, partition: int, now: int) -> Mapping[str, Any]:
    """The claims for a request that is approved; `now` in ms. Lives as long as the terms say, never past the window.

    Raises ValueError for a request whose approval does not stand, or stands in no journal.
    """
    decision, standing = request.decision, request.status is Status.APPROVED
    if not standing or decision is None or not decision.jti or not decision.use_by or request.decision_entry is None:
        raise ValueError(f"{request.id} is not approved")
    issued = now // 1000
    return {
        "iss": issuer,
        "aud": request.audience,
        "sub": request.principal,
        "act": {"sub": request.agent},
        "iat": issued,
        "nbf": issued,
        "exp": min((now + request.terms.receipt_ttl) // 1000, decision.use_by // 1000),
        "jti": decision.jti,
        "txn": request.id,
        "authorization_details": [_authorization(request)],
        "approval": _approval(request, origin(issuer, partition)),
    }


def _authorization(request: Request) -> Mapping[str, Any]:
    return {
        "type": AUTHORIZATION_TYPE,
        "actions": [request.action.kind],
        "locations": [request.action.target],
        "action_digest": request.digest,
        "max_uses": 1,
    }


def _approval(request: Request, log: str) -> Mapping[str, Any]:
    votes = request.decision.by if request.decision else ()
    alone = request.decision is not None and request.decision.break_glass
    got = request.got()
    asked = request.terms.factors if votes and not alone else ()
    factors = [{"name": f.name, "need": f.need, "got": got[f.name]} for f in asked]
    return {
        "outcome": "approved",
        "mode": "break_glass" if alone else "human" if votes else "policy",
        "policy": {"id": "+".join(request.terms.rules), "digest": request.terms.policy},
        "quorum": {
            "need": 1 if alone else sum(factor["need"] for factor in factors),
            "got": 1 if alone else sum(factor["got"] for factor in factors),
            "factors": factors,
        },
        "approvers": [_approver(vote, request.stood_in_for(vote.person)) for vote in votes],
        "shown": votes[-1].shown if votes else None,
        "log": {"origin": log, "index": request.decision_entry},
    }


def _approver(vote: Vote, owner: str | None) -> Mapping[str, Any]:
    """Who said yes; `for` is whose seat it was, where that was handed over."""
    said = {"sub": vote.person, "via": vote.via, "tenant": vote.tenant, "at": vote.at // 1000}
    return said if owner is None else {**said, "for": owner}
