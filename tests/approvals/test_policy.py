"""The policy: what it admits, what it demands, and what it says of a file that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.conditions import checked
from approvals.errors import EntryRefused, PolicyInvalid
from approvals.policy import Policy
from approvals.policy_file import NOT_BUILT
from approvals.question import Question
from approvals.terms import Factor, Terms, met, strictest
from tests.approvals.make import (
    AGENT,
    MINUTE,
    NOW,
    a_document,
    a_policy,
    a_policy_file,
    a_question,
    a_rule,
    account,
    an_action,
)


def demanded(*rules: dict[str, Any], question: Question | None = None, **sections: Any) -> Terms:
    """The terms of the payment under these rules."""
    return a_policy(rules=list(rules), **sections).terms(question or a_question())


_QUESTIONS = st.builds(
    lambda kind, target, amount, **members: a_question(
        action=an_action(kind=kind, target=target, arguments={"amount": amount}), **members
    ),
    kind=st.sampled_from(["payments.release", "payments.refund", "payments.wipe"]),
    target=st.sampled_from(["bank:acme", "bank:other"]),
    amount=st.sampled_from(["1", "20", None]),
    principal=st.sampled_from(["dana", "erin"]),
    started_by=st.sampled_from([None, "bob"]),
    audience=st.sampled_from(["ledger", AGENT]),
    vouched=st.booleans(),
    within=st.sampled_from([None, MINUTE]),
)


@given(st.lists(_QUESTIONS, max_size=6))
def test_what_was_asked_before_changes_no_terms(questions: list[Question]) -> None:
    file = a_policy_file(
        rules=[
            a_rule("large", match={"arguments": {"amount": {">": "10"}}}, deny_quorum=2),
            a_rule("other", match={"target": ["bank:other"]}, within="2m", exempts=["large"]),
            a_rule("refund", match={"kind": ["*.refund"]}, when="request.principal == 'erin'"),
            a_rule("apart", exclude_team_of=["principal"]),
        ],
        people={
            "dana": {"team": "finance"},
            "erin": {"team": "security"},
            "olga": {},
            "alice": {},
            "bob": {},
            "carol": {},
        },
        agents={AGENT: {"owner": "olga", "principals": ["dana", "erin"], "kinds": ["*"]}},
    )
    policy = Policy.parse(file, "sha256:policy-1")
    for question in questions:
        fresh = policy.frozen(())  # the same policy, which has been asked nothing yet
        assert policy.explain(question) == fresh.explain(question)


# -- what is demanded ---------------------------------------------------------------------------------------------


def test_where_no_rule_speaks_the_default_asks_a_human() -> None:
    terms = demanded()
    assert (terms.verdict, terms.rules) == ("require", ("defaults",))
    assert terms.factors == (Factor(name="ops", sources=("person:alice", "person:bob")),)
    assert (terms.within, terms.use_within, terms.receipt_ttl) == (30 * MINUTE, 15 * MINUTE, 2 * MINUTE)
    assert terms.destinations == ("slack:C0OPS",)


def test_a_rule_that_allows_is_heard_for_a_listed_kind() -> None:
    terms = demanded(a_rule(effect="allow"))
    assert (terms.verdict, terms.factors) == ("allow", ())


@pytest.mark.parametrize("effect", ["allow", "require"])
def test_an_unlisted_kind_always_needs_what_the_default_demands(effect: str) -> None:
    """A rule of one glob too many must not let through what nobody has described (DESIGN §7)."""
    question = a_question(action=an_action(kind="payments.wipe"))
    terms = demanded(a_rule(effect=effect, match={"kind": ["*"]}), question=question)
    assert terms.verdict == "require"
    assert "defaults" in terms.rules
    assert [one.name for one in terms.factors] == ["ops"]


def test_a_rule_that_denies_is_heard_for_an_unlisted_kind() -> None:
    question = a_question(action=an_action(kind="payments.wipe"))
    assert demanded(a_rule(effect="deny"), question=question).verdict == "deny"


def test_the_strictest_of_all_matching_rules_wins() -> None:
    allow, require = a_rule("a", effect="allow"), a_rule("b", factors=[{"from": ["finance"]}])
    assert demanded(allow, require).verdict == "require"
    assert demanded(require, a_rule("c", effect="deny"), allow).verdict == "deny"


def test_the_demands_of_all_matching_rules_are_joined() -> None:
    terms = demanded(
        a_rule("a", factors=[{"from": ["finance"]}], within="10m", destinations=["slack:C0FIN"]),
        a_rule("b", factors=[{"from": ["security"], "approvals": 2}], use_within="5m", destinations=["slack:C0SEC"]),
    )
    assert [(one.name, one.need) for one in terms.factors] == [("finance", 1), ("security", 2)]
    assert (terms.within, terms.use_within) == (10 * MINUTE, 5 * MINUTE)
    assert terms.destinations == ("slack:C0FIN", "slack:C0SEC")
    assert terms.rules == ("a", "b")


def test_a_rule_that_does_not_match_says_nothing() -> None:
    elsewhere = a_rule(effect="deny", match={"kind": ["payments.*"], "target": ["bank:other"]})
    other_agent = a_rule("b", effect="deny", match={"agent": ["deploy-*"]})
    assert demanded(elsewhere, other_agent).rules == ("defaults",)


def test_a_target_with_line_ends_does_not_slip_past_a_glob() -> None:
    question = a_question(action=an_action(target="bank:acme\nx"))
    assert demanded(a_rule(effect="deny", match={"target": ["bank:*"]}), question=question).verdict == "deny"


def test_an_agent_can_shorten_its_deadline_but_not_lengthen_it() -> None:
    assert demanded(question=a_question(within=MINUTE)).within == MINUTE
    assert demanded(question=a_question(within=10**9)).within == 30 * MINUTE


def test_the_whole_principal_chain_is_excluded_as_people() -> None:
    question = a_question(started_by=account("carol").id)
    assert demanded(question=question).excluded == ("carol", "dana", "olga")


TEAMS = {"team": "interns"}  #: of everybody who stands behind a request
WIDE: dict[str, Any] = {
    "groups": a_policy_file()["groups"]
    | {
        "leads": {"people": ["olga", "dana"]},
        "board": {"people": ["olga", "carol"]},
        "interns": {"people": ["erin", "frank"]},
    },
    "people": {
        name: entry | (TEAMS if name in {"dana", "olga"} else {})
        for name, entry in (a_policy_file()["people"] | {"erin": {}, "frank": {}}).items()
    },
}

some_minutes = st.integers(1, 120).map(lambda minutes: f"{minutes}m")
durations = st.none() | some_minutes
steps = [
    {"after": "5m", "to": ["leads"]},
    {"after": "10m", "to": ["leads", "board"]},
    {"after": "10m", "to": ["board"]},
]
globs = st.sampled_from([["*"], ["payments.*"], ["payments.release"], ["reports.*"]])
compared = st.sampled_from([{">": "10000"}, {"<": "10000"}, {"==": 7}, {"in": ["12400.00"]}])
matches = st.fixed_dictionaries(
    {"kind": globs},
    optional={
        "risk": st.sampled_from([["critical"], ["low"]]),
        "environment": st.just(["production"]),
        "arguments": st.fixed_dictionaries({"amount": compared}),
    },
)
conditions: st.SearchStrategy[str] = st.sampled_from(
    [checked(text) for text in ('kind.risk == "critical"', 'request.agent == "x"', "arguments.nothing > 1")]
)
factors = st.lists(
    st.fixed_dictionaries(
        {
            "from": st.lists(st.sampled_from(["ops", "finance"]), min_size=1, max_size=2),
            "approvals": st.integers(1, 2),
        },
        optional={"name": st.sampled_from(["first", "second"]), "notify": st.sampled_from(["mention", "dm", "none"])},
    ),
    max_size=1,
)


@st.composite
def rule_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rules as a team might write them, at least one about payments."""
    members: dict[str, st.SearchStrategy[Any]] = {
        "match": matches,
        "when": st.none() | conditions,
        "exclude": st.sampled_from([[], ["interns"]]),
        "exclude_team_of": st.sampled_from([[], ["principal"], ["owner"]]),
        "reason": st.sampled_from([[], ["deny"], ["approve", "deny"]]),
        "min_look": st.none() | st.sampled_from(["5s", "10s"]),
        "confirm_code": st.booleans(),
        "effect": st.sampled_from(["allow", "require", "deny"]),
        "factors": factors,
        "within": st.none() | st.integers(11, 120).map(lambda minutes: f"{minutes}m"),
        "use_within": durations,
        "receipt_ttl": st.none() | st.integers(1, 300).map(lambda seconds: f"{seconds}s"),
        "deny_quorum": st.none() | st.integers(1, 2),
        "extend_to": durations,
        "reminders": st.none() | st.fixed_dictionaries({"first": st.sampled_from(["5m", "10m"])}),
        "escalate": st.sampled_from([None, steps[:1], steps[:2], steps[1:2], [steps[0], steps[2]]]),
        "asked_again": st.none()
        | st.fixed_dictionaries({"within": some_minutes, "effect": st.sampled_from(["mark", "deny"])}),
    }
    found = draw(st.lists(st.fixed_dictionaries(members), min_size=1, max_size=4))
    found[0] |= {"match": {"kind": ["payments.*"]}, "when": None}
    return [
        {key: value for key, value in rule.items() if value is not None} | {"id": f"r{n}"}
        for n, rule in enumerate(found)
    ]


def suffices(terms: Terms, people: set[str]) -> bool:
    """Whether these people together are enough."""
    eligible = {one: frozenset(f.name for f in terms.factors if f"person:{one}" in f.sources) for one in people}
    return met(terms.factors, eligible)


PAIRS = [
    {"alice"},
    {"bob"},
    {"carol"},
    {"alice", "bob"},
    {"bob", "carol"},
    {"alice", "carol"},
    {"alice", "bob", "carol"},
    {"olga"},
    {"olga", "alice"},
    {"olga", "carol"},
    {"olga", "dana"},
    {"olga", "dana", "bob"},
]


def by_then(terms: Terms, minutes: int) -> Terms:
    """The terms after every step of the escalation that is due by then."""
    return terms.escalated(sum(step.after <= minutes * MINUTE for step in terms.escalation))


@given(rule_sets(), st.randoms(use_true_random=False))
def test_adding_a_rule_can_only_tighten(rules: list[dict[str, Any]], random: Any) -> None:
    """However the rules are cut into those that were there and one that is added."""
    before, after = (demanded(*some, **WIDE) for some in (rules[:-1], rules))
    assert after.verdict == strictest(before.verdict, after.verdict)
    for name in ("within", "use_within", "receipt_ttl", "deny_quorum"):
        assert getattr(after, name) <= getattr(before, name), name
    assert (after.longest or 0) <= (before.longest or 0)
    assert after.asked_again.within >= before.asked_again.within
    assert after.asked_again.deny_within >= before.asked_again.deny_within
    for name in ("excluded", "barred", "reasons"):
        assert {*getattr(after, name)} >= {*getattr(before, name)}, name
    for name in ("min_look", "confirm_code"):
        assert getattr(after, name) >= getattr(before, name), name
    assert before.unseen or not after.unseen
    loudness = ["none", "dm", "mention"]
    for factor in before.factors if after.verdict == "require" else ():
        same = next(one for one in after.factors if {*one.sources} == {*factor.sources})
        assert loudness.index(same.notify) >= loudness.index(factor.notify)
    if before.verdict == "require":
        assert {*after.reminders} >= {*before.reminders}
        for minutes, people in ((minutes, people) for minutes in (0, 5, 10) for people in PAIRS):
            assert suffices(by_then(before, minutes), people) or not suffices(by_then(after, minutes), people)
    shuffled = demanded(*random.sample(rules, len(rules)), **WIDE)
    for minutes, people in ((minutes, people) for minutes in (0, 5, 10) for people in PAIRS):
        assert suffices(by_then(shuffled, minutes), people) == suffices(by_then(after, minutes), people)


# -- who may ask --------------------------------------------------------------------------------------------------


def refusal(policy: Policy, agent: str = AGENT, now: int = NOW, **changes: Any) -> EntryRefused:
    """How a document is refused."""
    with pytest.raises(EntryRefused) as caught:
        policy.admit(a_document(**changes), agent, now)
    return caught.value


def test_what_is_left_out_is_filled_in_from_the_registration() -> None:
    question = a_policy().admit(a_document(started_by="carol", within="PT5M"), AGENT, NOW)
    assert (question.principal, question.audience, question.started_by) == ("dana", AGENT, "carol")
    assert question.within == 5 * MINUTE


def test_a_registered_tool_may_execute_its_kinds() -> None:
    assert a_policy().admit(a_document(audience="bank-tool"), AGENT, NOW).audience == "bank-tool"


@pytest.mark.parametrize(
    ("agent", "changes", "reason", "field", "remedy"),
    [
        ("stranger", {}, "unknown_agent", "agent", "under agents add: stranger"),
        (AGENT, {"action": an_action(kind="deploy.run")}, "kind_not_allowed", "action.kind", f"agents.{AGENT}.kinds"),
        (AGENT, {"principal": "alice"}, "principal_not_allowed", "principal", "dana"),
        (AGENT, {"audience": "stranger"}, "audience_not_allowed", "audience", "audiences.stranger.kinds"),
        (
            AGENT,
            {"audience": "bank-tool", "action": an_action(kind="reports.send")},
            "audience_not_allowed",
            "audience",
            "add: reports.send",
        ),
    ],
)
def test_who_is_not_registered_is_refused_with_the_remedy(
    agent: str, changes: dict[str, Any], reason: str, field: str, remedy: str
) -> None:
    refused = refusal(a_policy(), agent, **changes)
    assert (refused.reason, refused.field) == (reason, field)
    assert remedy in refused.remedy


def test_an_agent_of_several_principals_has_to_say_for_whom() -> None:
    agents = {AGENT: {"owner": "olga", "principals": ["dana", "carol"], "kinds": ["payments.*"]}}
    refused = refusal(a_policy(agents=agents))
    assert (refused.reason, refused.field) == ("principal_not_allowed", "principal")
    assert a_policy(agents=agents).admit(a_document(principal="carol"), AGENT, NOW).principal == "carol"


def test_an_agent_may_ask_until_the_end_of_its_last_day_and_not_longer() -> None:
    agents = {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["payments.*"], "until": "2026-05-28"}}
    policy = a_policy(agents=agents)
    end = int(datetime(2026, 5, 29, tzinfo=UTC).timestamp() * 1000)
    assert policy.admit(a_document(), AGENT, end - 1).agent == AGENT
    refused = refusal(policy, now=end)
    assert (refused.reason, refused.field) == ("agent_expired", "agent")
    assert "olga" in refused.remedy


# -- what a file may say ------------------------------------------------------------------------------------------


def problems(file: Any) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(PolicyInvalid) as caught:
        Policy.parse(file, "sha256:x")
    return caught.value.problems


def only_problem(**sections: Any) -> str:
    """The single problem of a file in which some sections are other ones."""
    found = problems(a_policy_file(**sections))
    assert len(found) == 1, found
    return found[0]


def test_a_misspelled_key_is_told_the_nearest_one() -> None:
    assert only_problem(rules=[a_rule(effct="deny")]) == "rules.0.effct: there is no such key; did you mean 'effect'?"
    assert "did you mean 'people'?" in only_problem(poeple={})
    assert only_problem(zzzzzz=1) == "zzzzzz: there is no such key"


@pytest.mark.parametrize("key", sorted(NOT_BUILT))
def test_a_key_that_is_not_built_is_an_error_that_says_so(key: str) -> None:
    assert only_problem(rules=[a_rule(**{key: "x"})]) == (
        f"rules.0.{key}: this key's feature is not built yet; remove it (it would not be enforced)"
    )


@pytest.mark.parametrize("key", ["operators", "delegate"])
def test_powers_that_are_not_built_are_never_ignored(key: str) -> None:
    assert key in only_problem(**{key: {}})


def test_names_that_lead_nowhere_are_told() -> None:
    assert "no group 'nobody'" in only_problem(rules=[a_rule(factors=[{"from": ["nobody"]}])])
    assert "no person 'zoe'" in only_problem(groups=a_policy_file()["groups"] | {"more": {"people": ["zoe"]}})
    agents = {AGENT: {"owner": "zoe", "principals": ["dana"], "kinds": ["*"]}}
    assert "no person 'zoe'" in only_problem(agents=agents)
    assert "service:<name>" in only_problem(agents=agents)


def test_a_service_may_own_an_agent() -> None:
    agents = {AGENT: {"owner": "service:ci", "principals": ["dana"], "kinds": ["*"]}}
    assert a_policy(agents=agents).terms(a_question()).excluded == ("dana", "service:ci")


def test_a_demand_that_nobody_can_meet_is_an_error() -> None:
    assert "needs 3 of 2 people" in only_problem(rules=[a_rule(factors=[{"from": ["ops"], "approvals": 3}])])
    assert "needs 2 of 1 people" in only_problem(
        groups=a_policy_file()["groups"] | {"ops": {"people": ["alice", "alice"]}},
        rules=[a_rule(factors=[{"from": ["ops"], "approvals": 2}])],
    )
    assert "nobody is in it" in only_problem(groups=a_policy_file()["groups"] | {"empty": {}})


def test_a_user_group_may_be_larger_than_we_know() -> None:
    assert demanded(a_rule(factors=[{"from": ["security"], "approvals": 3}])).factors[0].need == 3


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"rules": [a_rule("twice"), a_rule("twice")]}, "two rules are called 'twice'"),
        ({"audiences": {AGENT: {"kinds": ["*"]}}}, "an agent has this name too"),
        ({"agents": {"tool": {"owner": "olga", "principals": ["dana"], "kinds": ["*"]}}}, "taken by the wire"),
        ({"rules": [a_rule(receipt_ttl="301s")]}, "at most 300s"),
        ({"rules": [a_rule(within="30")]}, "a number and a unit"),
        ({"rules": [a_rule(within=30)]}, "a number and a unit"),
        ({"rules": [a_rule(within="0m")]}, "a number and a unit"),
        ({"rules": [a_rule(destinations=["#ops"])]}, "rules.0.destinations.0"),
        ({"rules": [a_rule(factors=[{"from": []}])]}, "rules.0.factors.0.from"),
        ({"rules": [a_rule(factors=[{"from": ["ops"], "approvals": 0}])]}, "rules.0.factors.0.approvals"),
        ({"version": 2}, "version"),
    ],
)
def test_a_file_that_is_wrong_is_told_where(sections: dict[str, Any], problem: str) -> None:
    assert problem in only_problem(**sections)


def test_an_account_belongs_to_one_person() -> None:
    people = a_policy_file()["people"] | {"alice": {"accounts": [account("alice").id, account("bob").id]}}
    assert only_problem(people=people) == f"people.bob.accounts: {account('bob').id} belongs to alice already"


def test_the_default_cannot_allow() -> None:
    defaults = a_policy_file()["defaults"]
    assert problems(a_policy_file(defaults=defaults | {"effect": "allow"}))
    assert problems(a_policy_file(defaults=defaults | {"factors": []}))
    assert problems(a_policy_file(defaults=defaults | {"destinations": []}))


@pytest.mark.parametrize("title", ["*Approved*", "<!channel>", "a\nb", "`x`", "~x~", "a|b", ""])
def test_a_title_holds_no_markup(title: str) -> None:
    kinds = a_policy_file()["kinds"]
    kinds["payments.release"]["title"] = title
    assert "kinds.payments.release.title" in only_problem(kinds=kinds)


def test_every_problem_is_told_at_once() -> None:
    found = problems(a_policy_file(rules=[a_rule(effct=1), a_rule("b", when="x")], version=3))
    assert len(found) == 3


@pytest.mark.parametrize("file", [None, [], "version: 1", {}, {1: 2}, {"version": 1}])
def test_what_is_no_policy_is_refused(file: Any) -> None:
    assert problems(file)


# -- what others ask of it ----------------------------------------------------------------------------------------


def test_it_names_everything_that_others_have_to_prepare() -> None:
    policy = a_policy(rules=[a_rule(destinations=["slack:C0FIN", "slack:C0OPS"])])
    assert policy.agents == (AGENT,)
    assert policy.audiences == ("bank-tool",)
    assert policy.destinations == ("slack:C0OPS", "slack:C0FIN")
    assert "slack:usergroup:S0SEC" in policy.sources


def test_it_knows_people_by_their_accounts() -> None:
    policy = a_policy()
    assert policy.person_of(account("alice").id) == "alice"
    assert policy.person_of("slack:T0SAYSO:U0NOBODY") is None
    assert policy.accounts_of("alice") == (account("alice").id,)
    assert policy.accounts_of("service:ci") == ()


def test_an_unlisted_kind_is_worded_by_its_name_as_a_risk() -> None:
    worded = a_policy().presentation(an_action(kind="payments.wipe"))
    assert worded.title == "Run payments.wipe"
    assert (worded.risk, worded.reversible) == ("high", False)


ENTRA = "6c1f3a52-0d7e-4b8e-9a35-3d1f0c2b7e11"
THREAD = "19:8a6f_c-1@thread.tacv2"


def test_people_of_teams_are_asked_by_group_by_team_or_by_name() -> None:
    groups = {"ops": {"people": ["alice"], "entra_group": ENTRA}, "crew": {"teams_team": THREAD}}
    rules = [a_rule(factors=[{"from": ["ops", "crew"], "approvals": 3}], destinations=[f"teams:{THREAD}"])]

    terms = a_policy(groups=groups, rules=rules).terms(a_question())

    assert terms.factors[0].sources == ("person:alice", f"teams:group:{ENTRA}", f"teams:team:{THREAD}")
    assert terms.destinations == (f"teams:{THREAD}",)


@pytest.mark.parametrize("account", [f"teams:{ENTRA.upper()}:{ENTRA}", f"teams:{ENTRA}:29:1abc", f"teams:{ENTRA}:me"])
def test_an_account_of_teams_has_one_spelling(account: str) -> None:
    with pytest.raises(PolicyInvalid):
        a_policy(people={"alice": {"accounts": [account]}})


@pytest.mark.parametrize("place", ["teams:19:meeting", f"teams:{ENTRA.upper()}", "teams:C0OPS", f"slack:{THREAD}"])
def test_a_destination_of_teams_is_a_thread_or_a_person(place: str) -> None:
    with pytest.raises(PolicyInvalid):
        a_policy(rules=[a_rule(destinations=[place])])
