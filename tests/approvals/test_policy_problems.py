"""What is wrong with a policy file whose every key is right, each with what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import PolicyInvalid, Problem
from approvals.policy import Policy
from tests.approvals.make import AGENT, a_policy, a_policy_file, a_question, a_rule

FILE = a_policy_file()
MORE = {"groups": FILE["groups"] | {"leads": {"people": ["carol"]}}}


def found(**sections: Any) -> tuple[Problem, ...]:
    """What is wrong with a file in which some sections are other ones."""
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse(a_policy_file(**sections), "sha256:x")
    return caught.value.found


def only(**sections: Any) -> str:
    """The single problem of such a file."""
    (problem,) = found(**sections)
    return str(problem)


def person(name: str, **says: Any) -> dict[str, Any]:
    """The people, of whom one says more."""
    people: dict[str, Any] = FILE["people"]
    return people | {name: people[name] | says}


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        (
            {"rules": [a_rule(exclude=["opps"])]},
            "rules.payments.exclude: there is no group 'opps' (did you mean 'ops'?)",
        ),
        ({"people": person("dana", manager="carl")}, "there is no person 'carl' (did you mean 'carol'?)"),
        (
            {"people": person("dana", team="sales")},
            "people.dana.team: there is no group 'sales'; define it under groups",
        ),
        (
            {"rules": [a_rule(match={"kind": ["payments.relase"]})]},
            "rules.payments.match.kind: there is no kind 'payments.relase' (did you mean 'payments.release'?)",
        ),
        (
            {"rules": [a_rule("default")]},
            "no rule can be called 'default': the defaults hold beside every rule; rename it",
        ),
        ({"rules": [a_rule("defaults", exempts=[])]}, "no rule can be called 'defaults'"),
        ({"rules": [a_rule("pay-ments"), a_rule("payments")]}, "rules.payments: reads like 'pay-ments'; rename one"),
        ({"groups": FILE["groups"] | {"0ps": {"people": ["bob"]}}}, "groups.0ps: reads like 'ops'; rename one"),
        (
            {"people": person("bob", accounts=["slack:T0SAYSO:U0ALICe"])},
            "people.bob.accounts: slack:T0SAYSO:U0ALICe belongs to alice already",
        ),
    ],
)
def test_a_name_that_leads_nowhere_or_to_two_things_is_told(sections: dict[str, Any], problem: str) -> None:
    assert problem in only(**sections)


def test_a_pattern_may_be_for_kinds_that_nobody_has_listed_yet() -> None:
    policy = a_policy(rules=[a_rule(match={"kind": ["iam.*"]}, effect="deny")])
    assert [str(one) for one in policy.warnings] == [
        f"{where}: no listed kind is like {glob!r}; list the kinds it is for under kinds"
        for where, glob in (("rules.payments", "iam.*"), (f"agents.{AGENT}.kinds", "reports.*"))
    ]


def test_a_shared_channel_in_which_nothing_is_shown_is_probably_misspelled() -> None:
    policy = a_policy(external_channels=["slack:C0OPS", "slack:C0OPPS"])
    assert "external_channels: nothing is ever shown in slack:C0OPPS; take it out" in map(str, policy.warnings)
    assert not any("slack:C0OPS;" in str(one) for one in policy.warnings)


# -- exemptions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exempts", "problem"),
    [
        (["larg"], "there is no rule 'larg' (did you mean 'large'?)"),
        (["default"], "there is no rule 'default' (did you mean 'defaults'?)"),
        (["never"], "'never' denies, and nothing exempts from a denial; narrow what it matches instead"),
    ],
)
def test_only_a_rule_that_asks_can_be_exempted_from(exempts: list[str], problem: str) -> None:
    rules = [a_rule("large"), a_rule("never", effect="deny"), a_rule("small", exempts=exempts)]
    assert problem in only(rules=rules)


def test_exemptions_in_a_circle_are_told() -> None:
    itself = only(rules=[a_rule("a", exempts=["a"])])
    assert itself == "rules.a.exempts: a circle (a exempts a); take one of them out"
    circle = found(rules=[a_rule("a", exempts=["b"]), a_rule("b", exempts=["c"]), a_rule("c", exempts=["a"])])
    assert len(circle) == 3
    assert "a circle (a exempts b exempts c exempts a)" in str(circle[0])


# -- demands that nobody can meet ---------------------------------------------------------------------------------


def test_a_demand_on_those_who_stand_behind_the_request_is_told() -> None:
    agents = {AGENT: FILE["agents"][AGENT] | {"owner": "alice"}}
    assert only(agents=agents, rules=[a_rule(factors=[{"from": ["ops"], "approvals": 2}])]) == (
        "rules.payments.factors: needs 2 different people, and for what payments-bot asks for dana only 1 can count"
        " (nobody approves what they stand behind); add people"
    )
    elsewhere = a_rule(match={"agent": ["other-*"]}, factors=[{"from": ["ops"], "approvals": 2}])
    assert a_policy(agents=agents, rules=[elsewhere]).agents


def test_two_demands_on_the_same_person_are_told() -> None:
    both = [{"from": ["leads"]}, {"name": "again", "from": ["finance"], "approvals": 2}]
    assert "needs 3 different people" in only(**MORE, rules=[a_rule(factors=both)])


def test_who_comes_with_an_escalation_is_counted_and_who_is_excluded_is_not() -> None:
    two: dict[str, Any] = {"factors": [{"from": ["ops"], "approvals": 2}]}
    agents = {AGENT: FILE["agents"][AGENT] | {"owner": "alice"}}
    assert a_policy(**MORE, agents=agents, rules=[a_rule(**two, escalate=[{"after": "5m", "to": ["leads"]}])]).agents
    assert "only 1 can count" in only(rules=[a_rule(**two, exclude=["finance"])])


def test_the_manager_and_the_team_of_every_principal_have_to_be_known() -> None:
    manager = [a_rule(factors=[{"manager_of": "principal"}])]
    assert "asks the manager of 'dana' (agents.payments-bot); say people.dana.manager" in only(rules=manager)
    assert "only 0 can count" in only(rules=manager, people=person("dana", manager="olga"))
    assert a_policy(rules=manager, people=person("dana", manager="carol")).agents
    team = [a_rule(exclude_team_of=["principal"])]
    assert "excludes the team of 'dana' (agents.payments-bot); say people.dana.team" in only(rules=team)
    assert a_policy(rules=team, people=person("dana", team="finance")).agents


def test_the_team_is_needed_also_for_kinds_that_nobody_has_listed_and_for_the_owner() -> None:
    unlisted = [a_rule(match={"kind": ["reports.*"]}, exclude_team_of=["principal"])]
    assert "say people.dana.team" in only(rules=unlisted)
    assert "say people.olga.team" in only(rules=[a_rule(exclude_team_of=["owner"])])
    service = {AGENT: FILE["agents"][AGENT] | {"owner": "service:ci"}}
    assert a_policy(agents=service, rules=[a_rule(exclude_team_of=["owner"])]).agents
    assert a_policy(rules=[a_rule(match={"kind": ["mail.*"]}, exclude_team_of=["principal"])]).agents


@pytest.mark.parametrize(
    ("factor", "problem"),
    [
        ({}, "say either `from` which groups, or `manager_of: principal`"),
        ({"from": ["ops"], "manager_of": "principal"}, "say either `from` which groups"),
        ({"manager_of": "principal", "approvals": 2}, "everybody has one manager"),
    ],
)
def test_a_demand_says_whom_it_asks_in_one_way(factor: dict[str, Any], problem: str) -> None:
    assert problem in only(rules=[a_rule(factors=[factor])])


# -- escalation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([{"after": "5m"}], "leads nowhere; say `to` which groups, or to which destinations"),
        ([{"after": "5m", "to": ["ops"]}], "asks only those who are asked already (a circle)"),
        ([{"after": "5m", "destinations": ["slack:C0OPS"]}], "asks only those who are asked already (a circle)"),
        (
            [{"after": "5m", "to": ["finance"]}, {"after": "9m", "to": ["ops", "finance"]}],
            "asks only those who are asked already (a circle)",
        ),
        ([{"after": "30m", "to": ["finance"]}], "comes when nobody can answer any more"),
    ],
)
def test_an_escalation_that_ends_nowhere_is_told(steps: list[dict[str, Any]], problem: str) -> None:
    assert problem in only(rules=[a_rule(escalate=steps)])


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ({"arguments": {"amount": {">": 10.5}}}, "rules.0.match.arguments.amount.>: write an amount as text"),
        ({"arguments": {"amount": {">": "10,000"}}}, "rules.0.match.arguments.amount.>: write an amount as text"),
        ({"arguments": {"amount": {}}}, "compare it with something"),
        ({"arguments": {"amount": {"==": None}}}, "compare it with something"),
        ({"arguments": {"amount": {"=>": "1"}}}, "rules.0.match.arguments.amount.=>: there is no such key"),
        ({"arguments": {"a b": {"==": "1"}}}, "rules.0.match.arguments.a b"),
        ({"risk": ["severe"]}, "rules.0.match.risk.0"),
        ({"kind": []}, "rules.0.match.kind"),
    ],
)
def test_a_comparison_that_means_nothing_is_told_where(match: dict[str, Any], problem: str) -> None:
    assert any(problem in str(one) for one in found(rules=[a_rule(match=match)]))


def test_a_condition_that_cannot_be_evaluated_is_told_where() -> None:
    assert only(rules=[a_rule(when="request.knd == 'x'")]) == (
        "rules.0.when: there is no request.knd; did you mean kind?"
    )


def test_an_environment_is_said_in_one_way() -> None:
    kind = FILE["kinds"]["payments.release"] | {"environment": "production", "environment_from": "env"}
    assert "say either environment" in only(kinds={"payments.release": kind})


# -- what nobody is asked -----------------------------------------------------------------------------------------


def test_only_what_is_allowed_without_asking_can_be_announced() -> None:
    assert a_policy(rules=[a_rule(effect="allow", announce=True)]).terms(a_question()).announced
    for effect in ("require", "deny"):
        assert "announce belongs to a rule with effect: allow" in only(rules=[a_rule(effect=effect, announce=True)])


# -- forms --------------------------------------------------------------------------------------------------------


def test_a_channel_by_its_name_is_told_to_be_an_id_and_nothing_else() -> None:
    told = only(rules=[a_rule(destinations=["slack:general"])])
    assert told.startswith("rules.0.destinations.0: write slack:C…, by the channel's id")


def test_an_empty_list_is_still_said_to_be_empty() -> None:
    assert "at least 1 item" in only(rules=[a_rule(match={"kind": []})])


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"people": person("alice", accounts=["alice"])}, "write slack:T…:U…"),
        ({"kinds": {"payments": FILE["kinds"]["payments.release"]}}, "write a kind as"),
        ({"rules": [a_rule(id="No Blanks")]}, "write an id of"),
    ],
)
def test_a_form_is_told_by_what_to_write(sections: dict[str, Any], says: str) -> None:
    assert any(says in str(problem) for problem in found(**sections))
    assert not any("pattern" in str(problem) for problem in found(**sections))


def test_people_who_have_no_account_where_they_are_asked_are_warned_of() -> None:
    teams = "teams:19:ops@thread.tacv2"
    remedy = "where they are asked; list their accounts there under people, or add another destination"
    rules = [
        a_rule("there", destinations=[teams]),
        a_rule("others", destinations=[teams], factors=[{"from": ["finance"]}, {"from": ["security"]}]),
        a_rule("both", destinations=[teams, "slack:C0OPS"]),
        a_rule("later", destinations=[teams], escalate=[{"after": "5m", "destinations": ["slack:C0OPS"]}]),
        a_rule("as-ever", within="5m"),
        a_rule("denied", effect="deny", destinations=[teams]),
    ]
    found = [str(one) for one in a_policy(rules=rules).warnings if "account" in str(one)]
    assert found == [
        f"rules.there: nobody of ops has an account in teams, {remedy}",
        f"rules.others: nobody of finance has an account in teams, {remedy}",
    ]
