"""Which rules apply to a question; what an agent leaves out or writes otherwise never makes a rule go away."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.matching import Explanation, Heard
from approvals.question import Question
from tests.approvals.make import AGENT, a_policy, a_policy_file, a_question, a_rule, an_action

KINDS = a_policy_file()["kinds"]
BASE = a_rule("base", match={"kind": ["*"]})


def explained(*rules: dict[str, Any], question: Question | None = None, **sections: Any) -> Explanation:
    """What is said of the payment under these rules."""
    return a_policy(rules=list(rules), **sections).explain(question or a_question())


def only(match: dict[str, Any], question: Question | None = None, **sections: Any) -> Heard:
    """What one rule has to say that matches so, beside one that always does."""
    return explained(a_rule("one", match=match), BASE, question=question, **sections).rules[0]


def paying(**arguments: Any) -> Question:
    """The payment with other arguments."""
    return a_question(action=an_action(arguments=arguments))


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"principal": ["dana"]}, True),
        ({"principal": ["team-*"]}, False),
        ({"effect": ["transfer", "delete"]}, True),
        ({"effect": ["send"]}, False),
        ({"risk": ["critical"]}, True),
        ({"risk": ["low", "medium"]}, False),
        ({"kind": ["payments.*"], "risk": ["low"]}, False),
    ],
)
def test_everything_that_is_given_must_match(match: dict[str, Any], applies: bool) -> None:
    assert only(match).counts is applies


def test_what_is_known_of_an_unlisted_kind_is_nothing_so_the_rule_counts() -> None:
    question = a_question(action=an_action(kind="payments.wipe"))
    for match in ({"effect": ["send"]}, {"risk": ["low"]}, {"environment": ["production"]}):
        said = only(match, question)
        assert (said.counts, said.certain) == (True, False)
        assert "is not known, so it counts" in said.why


@pytest.mark.parametrize(
    ("says", "arguments", "counts", "certain"),
    [
        ({"environment": "production"}, {}, True, True),
        ({"environment": "staging"}, {"env": "production"}, False, True),
        ({"environment_from": "where.env"}, {"where": {"env": "production"}}, True, True),
        ({"environment_from": "where.env"}, {"where": {"env": "staging"}}, False, True),
        ({"environment_from": "where.env"}, {"where": {}}, True, False),
        ({"environment_from": "where.env"}, {"where": {"env": 7}}, True, False),
        ({}, {"env": "staging"}, True, False),
    ],
)
def test_the_environment_is_what_policy_says_or_the_argument_it_names(
    says: dict[str, str], arguments: dict[str, Any], counts: bool, certain: bool
) -> None:
    kinds = {"payments.release": KINDS["payments.release"] | says}
    said = only({"environment": ["prod*"]}, paying(**arguments), kinds=kinds)
    assert (said.counts, said.certain) == (counts, certain or not counts)


@pytest.mark.parametrize(
    ("compared", "amount", "outcome"),
    [
        ({">": "10000"}, "10000.01", True),
        ({">": "10000"}, "10000", False),
        ({">": 10000}, "10000.000001", True),
        ({">=": "10000"}, 10000, True),
        ({"<": "10000"}, "9999.99", True),
        ({"<=": "10000"}, "10000.000001", False),
        ({">": "100", "<": "200"}, "150", True),
        ({">": "100", "<": "200"}, "250", False),
        ({"==": "EUR"}, "EUR", True),
        ({"==": "EUR"}, "USD", False),
        ({"!=": "EUR"}, "USD", True),
        ({"==": True}, True, True),
        ({"==": 1}, 1, True),
        ({"in": ["EUR", "USD"]}, "USD", True),
        ({"not in": ["EUR", "USD"]}, "USD", False),
        ({"like": ["*@example.com"]}, "a@example.com", True),
        ({"like": ["*@example.com"]}, "a@example.org", False),
    ],
)
def test_an_argument_is_compared_exactly(compared: dict[str, Any], amount: Any, outcome: bool) -> None:
    said = only({"arguments": {"amount": compared}}, paying(amount=amount))
    assert (said.counts, said.certain) == (outcome, True)


@pytest.mark.parametrize(
    ("compared", "arguments"),
    [
        ({">": "10000"}, {}),
        ({">": "10000"}, {"amount": None}),
        ({">": "10000"}, {"amount": 9.5}),
        ({">": "10000"}, {"amount": "9,999"}),
        ({">": "10000"}, {"amount": "1e3"}),
        ({">": "10000"}, {"amount": "-5"}),
        ({">": "10000"}, {"amount": "1.0000001"}),
        ({">": "10000"}, {"amount": ["1"]}),
        ({">": "10000"}, {"amount": True}),
        ({"==": "EUR"}, {"amount": 1}),
        ({"==": 1}, {"amount": True}),
        ({"!=": "EUR"}, {}),
        ({"in": ["EUR"]}, {"amount": None}),
        ({"not in": ["EUR"]}, {"amount": {}}),
        ({"like": ["a*"]}, {"amount": 1}),
    ],
)
def test_an_argument_that_is_missing_or_of_another_type_makes_the_rule_count(
    compared: dict[str, Any], arguments: dict[str, Any]
) -> None:
    said = only({"arguments": {"amount": compared}}, paying(**arguments))
    assert (said.counts, said.certain) == (True, False)
    assert explained(
        a_rule("one", match={"arguments": {"amount": compared}}), question=paying(**arguments)
    ).terms.rules == (
        "one",
        "defaults",
    )


def test_an_agent_of_several_principals_does_not_choose_its_rules_by_whom_it_names() -> None:
    agents = {AGENT: {"owner": "olga", "principals": ["dana", "carol"], "kinds": ["*"]}}
    for principal in ("dana", "carol"):
        said = only({"principal": ["dana"]}, a_question(principal=principal), agents=agents)
        assert (said.counts, said.certain) == (True, False)
    assert not only({"principal": ["bob"]}, a_question(), agents=agents).counts


def test_a_condition_decides_like_a_match() -> None:
    text = 'money(arguments.amount) > money("10000") && kind.effect == "transfer" && agent.owner == "olga"'
    assert explained(a_rule("one", when=text), BASE).rules[0].counts
    small = explained(a_rule("one", when=text), BASE, question=paying(amount="5")).rules[0]
    assert (small.counts, small.why) == (False, "its condition is false")
    odd = explained(a_rule("one", when=text), BASE, question=paying(amount="five"))
    assert (odd.rules[0].counts, odd.terms.unclear) == (True, ("one",))


def test_a_condition_is_not_asked_where_the_rest_does_not_match() -> None:
    said = explained(a_rule("one", match={"agent": ["other-*"]}, when="arguments.nothing == 1"), BASE).rules[0]
    assert (said.counts, said.why) == (False, "its agent is not other-*")


# -- exemptions ---------------------------------------------------------------------------------------------------

LARGE = a_rule("large", factors=[{"from": ["finance"], "approvals": 2}])
CHEAP: dict[str, Any] = {"effect": "allow", "match": {"arguments": {"amount": {"<": "20000"}}}}


def test_only_a_rule_that_is_named_is_exempted_from_and_the_terms_say_so() -> None:
    small = a_rule("small", **CHEAP, exempts=["large", "defaults"])
    told = explained(LARGE, small)
    assert (told.terms.verdict, told.terms.rules, told.terms.exempted) == ("allow", ("small",), ("large", "defaults"))
    assert [one.why for one in told.rules] == [
        "the rule small exempts from it",
        "all of it matches",
        "the rule small exempts from it",
    ]
    assert explained(LARGE, BASE, small).terms.verdict == "require"


def test_what_defaults_demand_is_joined_with_every_rule_that_does_not_exempt_from_them() -> None:
    defaults = {
        "factors": [{"from": ["ops"]}],
        "destinations": ["slack:C0OPS"],
        "deny_quorum": 1,
        "exclude": ["security"],
        "reason": ["deny"],
        "min_look": "5s",
        "confirm_code": True,
        "within": "20m",
    }
    says: dict[str, Any] = {
        "factors": [{"from": ["finance"], "approvals": 1}],
        "destinations": ["slack:C0FIN"],
        "deny_quorum": 2,
        "exclude": [],
        "reason": [],
        "min_look": "1s",
        "confirm_code": False,
        "unseen": True,
        "within": "1h",
    }
    beside = explained(a_rule("one", exempts=[], **says), defaults=defaults).terms
    assert (beside.rules, beside.exempted) == (("one", "defaults"), ())
    assert {one.name for one in beside.factors} == {"finance", "ops"}
    assert beside.destinations == ("slack:C0FIN", "slack:C0OPS")
    assert (beside.deny_quorum, beside.reasons, beside.barred) == (1, ("deny",), ("slack:usergroup:S0SEC",))
    assert (beside.min_look, beside.confirm_code, beside.unseen, beside.within) == (5_000, True, False, 1_200_000)

    alone = explained(a_rule("one", **says), defaults=defaults).terms
    assert (alone.rules, alone.exempted) == (("one",), ("defaults",))
    assert [one.name for one in alone.factors] == ["finance"]
    assert alone.destinations == ("slack:C0FIN",)
    assert (alone.deny_quorum, alone.reasons, alone.barred) == (2, (), ())
    assert (alone.min_look, alone.confirm_code, alone.unseen, alone.within) == (1_000, False, True, 3_600_000)


def test_what_a_rule_leaves_out_it_demands_as_the_defaults_do_also_where_it_exempts_from_them() -> None:
    careful = {"confirm_code": True, "reason": ["approve"], "exclude": ["security"], "min_look": "5s"}
    asking = {"factors": [{"from": ["ops"]}], "destinations": ["slack:C0OPS"], "within": "20m"}
    alone = explained(a_rule("one"), defaults=asking | careful).terms
    assert (alone.rules, [one.name for one in alone.factors], alone.destinations) == (
        ("one",),
        ["ops"],
        ("slack:C0OPS",),
    )
    assert (alone.confirm_code, alone.reasons, alone.min_look, alone.within) == (True, ("approve",), 5_000, 1_200_000)
    assert alone.barred == ("slack:usergroup:S0SEC",)


def test_where_the_people_of_the_defaults_are_asked_it_is_shown_where_they_are() -> None:
    finance = a_rule("one", factors=[{"from": ["finance"]}], destinations=["slack:C0FIN"])
    assert explained(finance, a_rule("careful", min_look="5s")).terms.destinations == ("slack:C0FIN", "slack:C0OPS")
    assert explained(finance, a_rule("b", factors=[{"from": ["security"]}])).terms.destinations == ("slack:C0FIN",)


def test_nothing_exempts_a_kind_that_nobody_has_described_from_the_defaults() -> None:
    question = a_question(action=an_action(kind="payments.wipe"))
    told = explained(a_rule("one", effect="allow"), question=question)
    assert (told.terms.verdict, told.terms.exempted) == ("require", ())
    assert told.rules[-1] == Heard("defaults", True, "its kind is not listed, so nothing exempts from them")


def test_a_rule_that_may_not_apply_exempts_from_nothing() -> None:
    small = a_rule("small", **CHEAP, exempts=["large", "defaults"])
    large = LARGE | {"exempts": []}
    terms = explained(large, small, question=paying(amount="cheap")).terms
    assert (terms.verdict, terms.rules, terms.exempted) == ("require", ("large", "small", "defaults"), ())
    assert explained(large, small, question=paying(amount="20000")).terms.exempted == ()


def test_a_rule_that_is_exempted_from_exempts_from_nothing() -> None:
    chain = [LARGE | {"exempts": []}, a_rule("b", exempts=["large", "defaults"]), a_rule("c", exempts=["b"])]
    assert explained(*chain).terms.rules == ("large", "c", "defaults")
    assert explained(*chain).terms.exempted == ("b",)


def test_what_is_said_holds_no_value_out_of_the_request() -> None:
    rules = [
        a_rule("one", match={"arguments": {"amount": {"<": "1"}}}),
        a_rule("two", match={"target": ["x"]}),
        a_rule("three", when="arguments.amount == 'x'"),
    ]
    told = explained(*rules, question=a_question(action=an_action(target="secret-1", arguments={"amount": "98765.43"})))
    assert not any("secret-1" in one.why or "98765" in one.why for one in told.rules)
