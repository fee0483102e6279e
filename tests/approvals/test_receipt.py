"""The claims of a receipt: exactly DESIGN §6, minted from the stored decision alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.lifecycle import Status
from approvals.receipt import claims_of
from approvals.request import Request
from tests.approvals.make import MINUTE, NOW, SHOWN, a_factor, a_request, a_vote, an_approved_request, some_terms
from tests.approvals.test_request import in_status

ISSUER = "https://sayso.example"
AT = (NOW + MINUTE) // 1000


def test_the_claims_are_exactly_those_of_the_design() -> None:
    request = an_approved_request()
    assert claims_of(request, issuer=ISSUER, partition=0, now=NOW + MINUTE + 400) == {
        "iss": ISSUER,
        "aud": "payments-bot",
        "sub": "dana",
        "act": {"sub": "payments-bot"},
        "iat": AT,
        "nbf": AT,
        "exp": AT + 120,
        "jti": "jti-1",
        "txn": request.id,
        "authorization_details": [
            {
                "type": "urn:sayso:action:1",
                "actions": ["payments.release"],
                "locations": ["bank:acme-gmbh"],
                "action_digest": request.digest,
                "max_uses": 1,
            }
        ],
        "approval": {
            "outcome": "approved",
            "mode": "human",
            "policy": {"id": "payments", "digest": "sha256:policy-1"},
            "quorum": {"need": 1, "got": 1, "factors": [{"name": "ops", "need": 1, "got": 1}]},
            "approvers": [{"sub": "alice", "via": "slack", "tenant": "T0SAYSO", "at": AT}],
            "shown": SHOWN,
            "log": {"origin": f"{ISSUER}#journal-0", "index": 7},
        },
    }


def test_an_approval_by_rule_names_no_people() -> None:
    request = a_request(terms=some_terms(verdict="allow")).decided_by_rule(NOW, jti="j")
    approval = claims_of(request.model_copy(update={"decision_entry": 3}), issuer=ISSUER, partition=0, now=NOW)[
        "approval"
    ]
    assert (approval["mode"], approval["approvers"], approval["shown"]) == ("policy", [], None)
    assert approval["quorum"] == {"need": 0, "got": 0, "factors": []}


def test_every_approver_and_every_factor_is_named() -> None:
    terms = some_terms(factors=(a_factor("ops", "alice", "bob"), a_factor("security", "carol")))
    request = a_request(terms=terms).voted(a_vote(), jti="j").voted(a_vote("carol", factors=("security",)), jti="j")
    approval = claims_of(request.model_copy(update={"decision_entry": 9}), issuer=ISSUER, partition=2, now=NOW)[
        "approval"
    ]
    assert [one["sub"] for one in approval["approvers"]] == ["alice", "carol"]
    assert approval["quorum"]["need"] == approval["quorum"]["got"] == 2
    assert [one["name"] for one in approval["quorum"]["factors"]] == ["ops", "security"]
    assert approval["log"] == {"origin": f"{ISSUER}#journal-2", "index": 9}


@given(st.integers(1, 300_000), st.integers(1_000, 10**7), st.integers(0, 10**6))
def test_a_receipt_never_outlives_its_terms_or_the_window(ttl: int, window: int, late: int) -> None:
    request = an_approved_request(terms=some_terms(receipt_ttl=ttl, use_within=window))
    assert request.decision is not None
    assert request.decision.use_by is not None
    now = request.decision.at + late
    claims = claims_of(request, issuer=ISSUER, partition=0, now=now)
    assert claims["exp"] * 1000 <= min(now + ttl, request.decision.use_by)
    assert claims["nbf"] * 1000 <= now


def test_a_fresh_receipt_is_for_the_same_use() -> None:
    first, later = (
        claims_of(an_approved_request(), issuer=ISSUER, partition=0, now=NOW + minutes * MINUTE) for minutes in (1, 9)
    )
    assert first["jti"] == later["jti"]
    assert first["exp"] < later["exp"]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.APPROVED])
def test_only_a_standing_approval_has_claims(status: Status) -> None:
    request = in_status(status).model_copy(update={"decision_entry": 7})
    with pytest.raises(ValueError, match="is not approved"):
        claims_of(request, issuer=ISSUER, partition=0, now=NOW)


def test_a_decision_that_is_not_in_the_journal_has_no_claims() -> None:
    request: Request = an_approved_request().model_copy(update={"decision_entry": None})
    with pytest.raises(ValueError, match="is not approved"):
        claims_of(request, issuer=ISSUER, partition=0, now=NOW)
