"""Builders of the things that tests talk about. Every argument has a value that makes sense; name only what matters."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

from approvals.action import Action, request_id
from approvals.intake import RequestDocument
from approvals.policy import Policy
from approvals.ports import Change
from approvals.request import Request, Vote
from approvals.terms import Factor, Presentation, Terms

NOW = 1_764_000_000_000  #: 2025-11-24T16:00:00Z in ms
AGENT = "payments-bot"
DIGEST = "sha256:" + "ab" * 32  #: of the policy of `a_policy`
CHANNEL = "slack:C0PAY"


def policy_mapping(**sections: Any) -> dict[str, Any]:
    """A small policy file as YAML would be read: one agent, one tool, one kind, two approvers."""
    mapping: dict[str, Any] = {
        "version": 1,
        "defaults": {"factors": [{"name": "finance", "from": ["finance"]}], "destinations": [CHANNEL]},
        "agents": {
            AGENT: {"owner": "dana", "principals": ["dana"], "kinds": ["payments.*"]},
            "export-bot": {"owner": "dana", "principals": ["dana"], "kinds": ["*"]},
        },
        "audiences": {"ledger": {"kinds": ["payments.*"]}},
        "kinds": {
            "payments.release": {
                "title": "Release a payment",
                "done": "Payment released",
                "not_done": "Payment not released",
                "effect": "transfer",
                "risk": "high",
            }
        },
        "people": {
            "alice": {"accounts": ["slack:T0SAYSO:U0ALICE"]},
            "bob": {"accounts": ["slack:T0SAYSO:U0BOB"]},
            "dana": {"accounts": ["slack:T0SAYSO:U0DANA"]},
        },
        "groups": {"finance": {"people": ["alice", "bob"]}},
    }
    return {**mapping, **sections}


def a_policy(digest: str = DIGEST, **sections: Any) -> Policy:
    """The checked policy of `policy_mapping`."""
    return Policy.parse(policy_mapping(**sections), digest)


def an_action(**members: Any) -> Action:
    """A payment, with a nonce of its own."""
    values: dict[str, Any] = {
        "kind": "payments.release",
        "target": "bank:acme",
        "arguments": {"amount": "12400.00", "currency": "EUR", "invoice": "INV-2093"},
        "preconditions": {},
        "nonce": secrets.token_urlsafe(16),
    }
    return Action(**{**values, **members})


def a_document(**members: Any) -> RequestDocument:
    """What an agent asks, as it was read."""
    values: dict[str, Any] = {
        "v": 1,
        "call": f"run-118/{secrets.token_hex(4)}",
        "action": an_action(),
        "because": "matches PO 118",
        "principal": "dana",
        "started_by": "dana",
    }
    return RequestDocument(**{**values, **members})


def some_terms(**members: Any) -> Terms:
    """One yes of alice or bob within half an hour, shown in CHANNEL."""
    values: dict[str, Any] = {
        "policy": DIGEST,
        "rules": ("default",),
        "factors": (Factor(name="finance", sources=("person:alice", "person:bob")),),
        "excluded": ("dana",),
        "destinations": (CHANNEL,),
        "within": 1_800_000,
        "use_within": 900_000,
        "receipt_ttl": 120_000,
        "outcome_within": 900_000,
    }
    return Terms(**{**values, **members})


def a_request(
    *,
    agent: str = AGENT,
    call: str | None = None,
    now: int = NOW,
    partitions: int = 1,
    action: Action | None = None,
    audience: str | None = None,
    terms: Terms | None = None,
    destinations: Sequence[str] | None = None,
    **changes: Any,
) -> Request:
    """A pending request as intake makes it at `now`; `changes` replace any of its fields."""
    call, action, terms = call or f"run-118/{secrets.token_hex(4)}", action or an_action(), terms or some_terms()
    if destinations is not None:
        terms = terms.model_copy(update={"destinations": tuple(destinations)})
    request = Request(
        id=request_id(agent, call, partitions),
        agent=agent,
        call=call,
        action=action,
        digest=action.digest(),
        audience=audience or agent,
        because="matches PO 118",
        principal="dana",
        principal_accounts=("slack:T0SAYSO:U0DANA",),
        started_by="dana",
        trace=None,
        asked_at=now,
        expires_at=now + terms.within,
        terms=terms,
        presentation=Presentation(title="Release a payment", done="Payment released", not_done="Payment not released"),
    )
    return request.model_copy(update=changes)


def a_vote(
    person: str = "alice",
    answer: Literal["approve", "deny"] = "approve",
    *,
    at: int = NOW,
    factors: Sequence[str] = ("finance",),
    reason: str = "",
) -> Vote:
    """A person's click in Slack."""
    return Vote(
        person=person,
        account=f"slack:T0SAYSO:U0{person.upper()}",
        via="slack",
        tenant="T0SAYSO",
        answer=answer,
        factors=tuple(factors),
        at=at,
        shown="sha256:" + "cd" * 32,
        reason=reason,
    )


def a_change(request: Request, **members: Any) -> Change:
    """A commit of `request` under the policy of `a_policy`, with a record that names its status."""
    values: dict[str, Any] = {"record": {"event": request.status.value, "request": request.id}, "epoch": DIGEST}
    return Change(request=request, **{**values, **members})
