"""What `policy check` tells an author beside problems: what loosens, and what is asked for in sum."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import PolicyInvalid
from approvals.policy import Policy
from tests.approvals.make import a_policy, a_policy_file, a_rule

STRICT: dict[str, Any] = a_policy_file()["defaults"] | {
    "within": "20m",
    "deny_quorum": 1,
    "reason": ["deny"],
    "min_look": "5s",
    "confirm_code": True,
}
REMEDY = "to have it as it stands, say `exempts: [defaults]`"


def beside(name: str = "payments", **changes: Any) -> dict[str, Any]:
    """A rule that does not exempt from the defaults."""
    return a_rule(name, **{"exempts": []} | changes)


def remarks(*rules: dict[str, Any], **sections: Any) -> list[str]:
    """What is said of these rules."""
    return a_policy(rules=list(rules), **sections).remarks


def test_what_rules_exempt_from_is_said_with_who_does() -> None:
    rules = [a_rule("one"), a_rule("two"), a_rule("three", exempts=["one"])]
    assert remarks(*rules) == [
        "defaults: not demanded where one or two applies for certain (exempts)",
        "one: not demanded where three applies for certain (exempts)",
    ]


def test_whom_a_rule_and_the_defaults_ask_together_is_said_in_one_line() -> None:
    assert remarks(beside(factors=[{"from": ["finance"], "approvals": 2}])) == [
        f"rules.payments asks, with the defaults, for 2 of finance and 1 of ops; {REMEDY}"
    ]
    assert remarks(beside(factors=[{"from": ["ops"], "approvals": 2}])) == []
    assert remarks(beside(min_look="5s")) == []


def test_a_rule_that_allows_beside_the_defaults_is_told_that_it_does_not() -> None:
    assert remarks(beside(effect="allow")) == [
        "rules.payments allows nothing alone: the defaults ask for 1 of ops; to ask nobody, say `exempts: [defaults]`"
    ]
    assert remarks(beside(effect="deny")) == []


@pytest.mark.parametrize(
    ("says", "keys"),
    [
        ({"within": "1h", "extend_to": "2h"}, "within and extend_to"),
        ({"deny_quorum": 2}, "deny_quorum"),
        ({"min_look": "1s"}, "min_look"),
        ({"unseen": True}, "unseen"),
        ({"confirm_code": False}, "confirm_code"),
        ({"reason": []}, "reason"),
        ({"escalate": [{"after": "5m", "to": ["finance"]}]}, "escalate"),
    ],
)
def test_a_key_that_has_no_effect_beside_stricter_defaults_is_named(says: dict[str, Any], keys: str) -> None:
    (said,) = remarks(beside(**says), defaults=STRICT)
    assert f"has no effect by its {keys} (the stricter" in said
    assert said.endswith(REMEDY)


def test_nothing_is_said_of_a_rule_that_another_one_exempts_wherever_it_applies() -> None:
    large = beside("large", factors=[{"from": ["finance"]}], match={"kind": ["payments.release"], "target": ["bank:*"]})
    wide = a_rule("wide", match={"kind": ["payments.*"]})
    assert remarks(wide, large) == ["defaults: not demanded where wide applies for certain (exempts)"]
    for narrow in ({"match": {"kind": ["payments.*"], "agent": ["x*"]}}, {"when": 'request.agent == "x"'}):
        said = remarks(a_rule("wide", **narrow), large)
        assert any(line.startswith("rules.large asks, with the defaults") for line in said)


def test_who_is_asked_in_sum_must_be_able_to_come_together() -> None:
    """Olga answers for the agent: of ops and leads together only alice is left for two demands."""
    groups = a_policy_file()["groups"] | {"ops": {"people": ["alice", "olga"]}, "leads": {"people": ["alice"]}}
    rule: dict[str, Any] = {"factors": [{"from": ["leads"]}]}
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse(a_policy_file(groups=groups, rules=[beside(**rule)]), "sha256:x")
    assert "needs 2 different people, and for what payments-bot asks for dana only 1 can count" in str(caught.value)
    assert a_policy(groups=groups, rules=[a_rule(**rule)]).agents


def test_a_step_that_comes_after_the_defaults_deadline_is_told() -> None:
    step = [{"after": "25m", "to": ["finance"]}]
    file = a_policy_file(rules=[beside(within="1h", factors=[{"from": ["security"]}], escalate=step)], defaults=STRICT)
    with pytest.raises(PolicyInvalid, match="comes when nobody can answer any more"):
        Policy.parse(file, "sha256:x")
