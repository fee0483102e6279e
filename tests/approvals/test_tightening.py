"""Adding a rule can only tighten, against the whole policy; only a rule that exempts by name loosens.

Held for generated policies, rules, requests and circumstances, by what sets of people bring about: whatever approves
with the rule, approves without it. Who approves is worked out here from the terms alone, by trying every seating.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any, Final

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from approvals.conditions import checked
from approvals.policy import Policy
from approvals.policy_file import PolicyFile
from approvals.question import Question
from approvals.terms import Factor, Terms
from tests.approvals.make import AGENT, a_policy_file, a_question, an_action

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "ops": ("alice", "bob"),
    "finance": ("bob", "carol"),
    "leads": ("olga", "erin"),
    "interns": ("erin", "frank"),
}
PEOPLE: Final = ("alice", "bob", "carol", "dana", "erin", "frank", "olga")
TEAM_OF: Final = {"dana": "interns", "olga": "ops"}
MASKED: Final = {"amount": "12400.00", "iban": "DE02"}


# -- what is generated --------------------------------------------------------------------------------------------

minutes = st.integers(1, 60).map("{}m".format)
names = st.sampled_from(sorted(GROUPS))
factors = st.lists(
    st.fixed_dictionaries({"from": st.lists(names, min_size=1, max_size=2), "approvals": st.integers(1, 2)}),
    max_size=2,
)
KEYS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "exclude": st.lists(names, max_size=1),
    "exclude_team_of": st.lists(st.sampled_from(["principal", "owner"]), max_size=1),
    "reason": st.lists(st.sampled_from(["approve", "deny"]), max_size=2),
    "min_look": st.sampled_from(["5s", "10s"]),
    "confirm_code": st.booleans(),
    "unseen": st.booleans(),
    "deny_quorum": st.integers(1, 3),
    "within": minutes,
    "use_within": minutes,
    "receipt_ttl": st.sampled_from(["60s", "300s"]),
    "extend_to": minutes,
    "asked_again": st.fixed_dictionaries({"within": minutes, "effect": st.sampled_from(["mark", "deny"])}),
    "escalate": st.lists(
        st.fixed_dictionaries({"after": minutes, "to": st.lists(names, min_size=1, max_size=1)}), max_size=2
    ),
}
matching = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([["*"], ["payments.*"], ["payments.release"], ["payments.wipe"]]),
        "principal": st.sampled_from([["dana"], ["carol"]]),
        "risk": st.sampled_from([["critical"], ["low"]]),
        "environment": st.just(["production"]),
        "arguments": st.fixed_dictionaries({"amount": st.sampled_from([{">": "10000"}, {"<": "10000"}])}),
    },
)
conditions = st.sampled_from([checked(text) for text in ('kind.risk == "critical"', "arguments.amount > 1")])


@st.composite
def demands(draw: st.DrawFn) -> dict[str, Any]:
    """A few of the keys that a rule and the defaults share."""
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True, max_size=5))
    return {"factors": draw(factors)} | {key: draw(KEYS[key]) for key in keys}


@st.composite
def rules(draw: st.DrawFn, name: str, exempts: tuple[str, ...]) -> dict[str, Any]:
    """A rule that may exempt from some of these."""
    rule = draw(demands()) | {"id": name, "match": draw(matching), "when": draw(st.none() | conditions)}
    rule["effect"] = draw(st.sampled_from([*["require"] * 5, "allow", "allow", "deny"]))
    rule["exempts"] = draw(st.lists(st.sampled_from(exempts), unique=True)) if exempts else []
    return {key: value for key, value in rule.items() if value is not None}


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """A policy of up to three rules; each may exempt from those before it, and from the defaults."""
    ids = ("r0", "r1", "r2")[: draw(st.integers(0, 3))]
    defaults = draw(demands())
    defaults |= {"factors": defaults["factors"] or [{"from": ["ops"]}], "destinations": ["slack:C0OPS"]}
    principals = draw(st.sampled_from([["dana"], ["dana", "carol"]]))
    file = a_policy_file(
        defaults=defaults,
        rules=[draw(rules(one, ("defaults", *ids[:place]))) for place, one in enumerate(ids)],
        people={one: {"team": TEAM_OF[one]} if one in TEAM_OF else {} for one in PEOPLE},
        groups={name: {"people": list(people)} for name, people in GROUPS.items()},
        agents={AGENT: {"owner": "olga", "principals": principals, "kinds": ["*"]}},
    )
    file["kinds"]["payments.release"] |= {"secret": ["iban"]}
    return file


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """What an agent asks: listed or not, with an amount or without, with a secret or without."""
    kind = draw(st.sampled_from(["payments.release", "payments.release", "payments.wipe"]))
    arguments = {name: value for name, value in MASKED.items() if draw(st.booleans())}
    started_by = draw(st.none() | st.sampled_from(["carol", "frank"]))
    return a_question(action=an_action(kind=kind, arguments=arguments), started_by=started_by)


@dataclass(frozen=True)
class Ballot:
    """How people vote, apart from who they are: when, how carefully, and against how many objections that count."""

    at: int = 0
    with_reason: bool = True
    looked: int = 10**9
    with_code: bool = True
    objections: int = 0
    extended_to: int = 0
    denied_before: int | None = None  #: ms since the same was denied
    used_after: int = 0


def ballots(*both: Terms) -> Iterator[Ballot]:
    """The most careful vote, at once; and every other that is told apart by one of the terms, in one respect each."""
    yield from (Ballot(with_reason=False), Ballot(with_code=False), *(Ballot(objections=one) for one in range(4)))
    yield from (Ballot(looked=one.min_look) for one in both)
    yield from (Ballot(denied_before=max(0, one.asked_again.deny_within - 1)) for one in both)
    yield from (Ballot(used_after=one.use_within) for one in both)
    times = {
        after for one in both for after in (one.within, one.longest or 0, *(step.after for step in one.escalation))
    }
    yield from (Ballot(at=at, extended_to=extended) for at in times for extended in (0, at))


# -- who approves -------------------------------------------------------------------------------------------------


def voters() -> Iterator[frozenset[str]]:
    """Every set of people."""
    return map(frozenset, chain.from_iterable(combinations(PEOPLE, size) for size in range(len(PEOPLE) + 1)))


def seats(terms: Terms, at: int) -> list[frozenset[str]]:
    """For each place that has to be taken, whose yes counts for it by then."""
    barred = {source.removeprefix("person:") for source in terms.barred} | {*terms.excluded}
    return [by_then(factor, terms, at) - barred for factor in terms.factors for _ in range(factor.need)]


def by_then(factor: Factor, terms: Terms, at: int) -> frozenset[str]:
    """Everybody who is asked for a demand at a time: its own people, and those whom its steps bring in."""
    own = {*factor.sources}
    more = {source for step in terms.escalation if step.after <= at and {*step.joins} == own for source in step.sources}
    return frozenset(source.removeprefix("person:") for source in own | more)


def all_seated(places: list[frozenset[str]], people: frozenset[str]) -> bool:
    """Whether these people can take all places, each one at most: every way is tried."""
    if not places:
        return True
    first, *rest = places
    return any(all_seated(rest, people - {one}) for one in first & people)


def approves(terms: Terms, masked: bool, ballot: Ballot, people: frozenset[str]) -> bool:
    """Whether these people bring about a receipt that is used; a rule may do so without anybody."""
    again = ballot.denied_before is not None and ballot.denied_before < terms.asked_again.deny_within
    if again or terms.verdict == "deny" or ballot.used_after > terms.use_within:
        return False
    if terms.verdict == "allow":
        return True
    careful = (
        (ballot.with_reason or "approve" not in terms.reasons)
        and ballot.looked >= terms.min_look
        and (ballot.with_code or not terms.confirm_code)
        and (terms.unseen or not masked)
    )
    until = max(terms.within, min(ballot.extended_to, terms.longest or 0))
    denied = ballot.objections >= terms.deny_quorum
    if not careful or denied or ballot.at > until:
        return False
    return bool(terms.factors) and all_seated(seats(terms, ballot.at), people)


def terms_of(file: dict[str, Any], question: Question) -> Terms:
    """What a policy demands, whether or not anybody could meet it."""
    return Policy(PolicyFile.model_validate(file), "sha256:x").terms(question)


def loosened(before: Terms, after: Terms, question: Question) -> bool:
    """Whether some people bring about under the later terms what they do not under the earlier."""
    masked = "iban" in question.action.arguments and question.action.kind == "payments.release"
    return any(
        approves(after, masked, ballot, people) and not approves(before, masked, ballot, people)
        for ballot in ballots(before, after)
        for people in voters()
    )


@settings(max_examples=200)
@given(policies(), rules("added", ()), st.integers(0, 3), questions())
def test_whatever_approves_with_a_rule_more_approves_without_it(
    file: dict[str, Any], added: dict[str, Any], place: int, question: Question
) -> None:
    before = terms_of(file, question)
    after = terms_of(file | {"rules": [*file["rules"][:place], added, *file["rules"][place:]]}, question)
    assume("added" in after.rules)
    event(f"{before.verdict} to {after.verdict}")
    assert not loosened(before, after, question)
    assert before.exempted == after.exempted


@settings(max_examples=75)
@given(policies(), questions())
def test_whatever_approves_under_rules_that_do_not_exempt_from_the_defaults_meets_the_defaults(
    file: dict[str, Any], question: Question
) -> None:
    """So a policy of the time when the first rule took the place of the defaults has become stricter, never weaker."""
    after = terms_of(file, question)
    assume("defaults" not in after.exempted)
    assert not loosened(terms_of(file | {"rules": []}, question), after, question)


@settings(max_examples=75)
@given(policies(), rules("added", ("defaults", "r0", "r1")), questions())
def test_what_loosens_exempts_for_certain_and_the_terms_say_from_what(
    file: dict[str, Any], added: dict[str, Any], question: Question
) -> None:
    known = {rule["id"] for rule in file["rules"]} | {"defaults"}
    added = added | {"exempts": [one for one in added["exempts"] if one in known]}
    before, after = (terms_of(one, question) for one in (file, file | {"rules": [*file["rules"], added]}))
    if loosened(before, after, question):
        event("loosened")
        assert "added" in after.rules
        assert "added" not in after.unclear
        assert {*added["exempts"]} & {*after.exempted}


def test_an_exemption_does_loosen_so_that_the_property_could_fail() -> None:
    """The measure sees what it is there to see."""
    allow = {"id": "added", "effect": "allow", "exempts": ["defaults"]}
    file, question = a_policy_file(), a_question()
    before, after = (terms_of(one, question) for one in (file, file | {"rules": [allow]}))
    assert loosened(before, after, question)
    asks = {"id": "added", "factors": [{"from": ["finance"]}]}
    assert not loosened(before, terms_of(file | {"rules": [asks]}, question), question)


def test_every_seating_is_tried() -> None:
    """The measure against a count by hand: two places, three people of whom each sits in some."""
    places = [frozenset({"alice", "bob"}), frozenset({"bob", "carol"})]
    enough = {people for people in voters() if all_seated(places, people)}
    by_hand = {frozenset(pair) for pair in product(*places) if len({*pair}) == 2}
    assert enough == {people for people in voters() if any(pair <= people for pair in by_hand)}
