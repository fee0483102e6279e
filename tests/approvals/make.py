"""Policies, actions, requests and votes for the tests of the rules: sound by default, one thing changed at a time."""

from __future__ import annotations

from typing import Any, Literal

from approvals.action import Action, request_id
from approvals.intake import RequestDocument
from approvals.policy import Policy
from approvals.ports import Account
from approvals.question import Question
from approvals.request import Intervention, Request, Vote
from approvals.terms import Factor, Presentation, Terms

NONCE = "tE8x0aXq1mJmJv0b3zq2Vg"
NOW = 1_780_000_000_000  #: ms; an instant in May 2026
MINUTE = 60_000
TENANT = "T0SAYSO"
AGENT = "payments-bot"
SHOWN = "sha256:" + "5" * 64


def account(name: str) -> Account:
    """The Slack account of a person: alice has U0ALICE."""
    return Account("slack", TENANT, f"U0{name.upper()}")


def a_policy_file(**sections: Any) -> dict[str, Any]:
    """A sound policy file; `sections` replace whole sections."""
    people = ("alice", "bob", "carol", "dana", "olga")
    file: dict[str, Any] = {
        "version": 1,
        "defaults": {"factors": [{"from": ["ops"]}], "destinations": ["slack:C0OPS"]},
        "agents": {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["payments.*", "reports.*"]}},
        "audiences": {"bank-tool": {"kinds": ["payments.*"]}},
        "kinds": {
            "payments.release": {
                "title": "Release a payment",
                "done": "Payment released",
                "not_done": "Payment not released",
                "effect": "transfer",
                "risk": "critical",
            },
        },
        "people": {name: {"accounts": [account(name).id]} for name in people},
        "groups": {
            "ops": {"people": ["alice", "bob"]},
            "finance": {"people": ["bob", "carol"]},
            "security": {"slack_usergroup": "S0SEC"},
        },
        "rules": [],
    }
    return file | sections


def a_policy(digest: str = "sha256:policy-1", **sections: Any) -> Policy:
    """The policy of `a_policy_file`."""
    return Policy.parse(a_policy_file(**sections), digest)


def a_rule(name: str = "payments", **changes: Any) -> dict[str, Any]:
    """A rule about payments that stands in place of the defaults; `changes` are its members."""
    return {"id": name, "match": {"kind": ["payments.*"]}, "exempts": ["defaults"]} | changes


def an_action(**changes: Any) -> Action:
    """A payment of 12,400 euros."""
    members: dict[str, Any] = {
        "kind": "payments.release",
        "target": "bank:acme-gmbh",
        "arguments": {"amount": "12400.00", "currency": "EUR", "invoice": "INV-2093"},
        "preconditions": {},
        "nonce": NONCE,
    }
    return Action(**(members | changes))


def a_document(call: str = "run-118/release", **changes: Any) -> RequestDocument:
    """The payment as its agent asks for it; members of the action are changed through `action`."""
    members: dict[str, Any] = {"v": 1, "call": call, "action": an_action(), "because": "matches PO 118"}
    return RequestDocument(**(members | changes))


def a_question(**changes: Any) -> Question:
    """The payment as policy judges it."""
    members: dict[str, Any] = {
        "agent": AGENT,
        "action": an_action(),
        "principal": "dana",
        "audience": AGENT,
        "started_by": None,
    }
    return Question(**(members | changes))


def a_factor(name: str = "ops", *people: str, need: int = 1) -> Factor:
    """So many of these people."""
    return Factor(name=name, sources=tuple(f"person:{one}" for one in people or ("alice", "bob")), need=need)


def some_terms(**changes: Any) -> Terms:
    """One of alice and bob, for half an hour; nobody of the principal chain."""
    members: dict[str, Any] = {
        "policy": "sha256:policy-1",
        "rules": ("payments",),
        "factors": (a_factor(),),
        "excluded": ("dana", "olga"),
        "destinations": ("slack:C0OPS",),
        "within": 30 * MINUTE,
        "use_within": 15 * MINUTE,
        "receipt_ttl": 2 * MINUTE,
        "outcome_within": 15 * MINUTE,
    }
    return Terms(**(members | changes))


def a_request(**changes: Any) -> Request:
    """The payment, waiting for people; `terms` and the rest may be given."""
    action: Action = changes.get("action", an_action())
    terms: Terms = changes.get("terms", some_terms())
    members: dict[str, Any] = {
        "id": request_id(AGENT, "run-118/release", 1),
        "agent": AGENT,
        "call": "run-118/release",
        "action": action,
        "digest": action.digest(),
        "audience": AGENT,
        "because": "matches PO 118",
        "principal": "dana",
        "started_by": None,
        "trace": None,
        "asked_at": NOW,
        "expires_at": NOW + terms.within,
        "terms": terms,
        "presentation": Presentation(
            title="Release a payment",
            done="Payment released",
            not_done="Payment not released",
            effect="transfer",
            risk="critical",
        ),
    }
    return Request(**(members | changes))


def a_vote(person: str = "alice", answer: str = "approve", **changes: Any) -> Vote:
    """A person's answer, a minute after the question."""
    members: dict[str, Any] = {
        "person": person,
        "account": account(person).id,
        "via": "slack",
        "tenant": TENANT,
        "answer": answer,
        "factors": ("ops",),
        "at": NOW + MINUTE,
        "shown": SHOWN,
    }
    return Vote(**(members | changes))


def an_intervention(did: Literal["revoked", "extended", "resolved"], **changes: Any) -> Intervention:
    """What carol did, five minutes after the question."""
    members: dict[str, Any] = {"person": "carol", "account": account("carol").id, "at": NOW + 5 * MINUTE}
    return Intervention(did=did, **(members | changes))


def an_approved_request(**changes: Any) -> Request:
    """The payment, approved by alice a minute after it was asked."""
    return a_request(**changes).voted(a_vote(), jti="jti-1").model_copy(update={"decision_entry": 7})
