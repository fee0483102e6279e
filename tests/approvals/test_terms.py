"""Demands on a request: distinct people, and stricter only."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from approvals.terms import Escalation, Factor, Terms, joined, met, progress, strictest, tightened
from tests.approvals.make import MINUTE, a_factor, some_terms

PEOPLE = ("alice", "bob", "carol", "dana", "erin")
VERDICTS = ("allow", "require", "deny")

someone = st.sampled_from(PEOPLE)
sources = st.sets(someone, min_size=1, max_size=4).map(lambda found: tuple(f"person:{one}" for one in sorted(found)))
factor = st.builds(Factor, name=st.sampled_from("abc"), sources=sources, need=st.integers(1, 3))
demands = st.lists(factor, max_size=4).map(lambda found: joined(tuple(found)))


@st.composite
def terms_with_steps(draw: st.DrawFn, /, **members: st.SearchStrategy[Any]) -> Terms:
    """Terms whose escalation, if any, opens demands they have."""
    found = some_terms(**{name: draw(strategy) for name, strategy in members.items()})
    joins = [tuple(sorted(one.sources)) for one in found.factors]
    if not joins:
        return found
    steps = st.builds(
        Escalation, after=st.sampled_from([300_000, 600_000]), sources=sources, joins=st.sampled_from(joins)
    )
    taken = sorted(draw(st.lists(steps, max_size=3)), key=lambda step: step.after)
    return found.model_copy(update={"escalation": tuple(taken)})


def by_then(terms: Terms, minutes: int) -> Terms:
    """The terms after every step of the escalation that is due by then."""
    return terms.escalated(sum(step.after <= minutes * MINUTE for step in terms.escalation))


terms = terms_with_steps(
    verdict=st.sampled_from(VERDICTS),
    factors=demands,
    excluded=st.sets(someone).map(lambda found: tuple(sorted(found))),
    barred=st.sets(someone).map(lambda found: tuple(sorted(f"person:{one}" for one in found))),
    reasons=st.sampled_from([(), ("approve",), ("deny",), ("approve", "deny")]),
    min_look=st.integers(0, 2),
    confirm_code=st.booleans(),
    unseen=st.booleans(),
    use_within=st.integers(1, 10),
    receipt_ttl=st.integers(1, 10),
)


def counting(factors: tuple[Factor, ...], people: set[str]) -> dict[str, frozenset[str]]:
    """For which factors each of these people counts, by their sources."""
    return {one: frozenset(f.name for f in factors if f"person:{one}" in f.sources) for one in sorted(people)}


def seated(factors: tuple[Factor, ...], eligible: Mapping[str, frozenset[str]]) -> bool:
    """Whether all seats can be taken, by trying every order of people."""
    seats = [f.name for f in factors for _ in range(f.need)]
    return bool(seats) and any(
        all(seat in eligible[one] for seat, one in zip(seats, order, strict=True))
        for order in permutations(eligible, len(seats))
    )


@given(demands, st.sets(someone))
def test_demands_are_met_exactly_when_every_seat_has_its_own_person(
    factors: tuple[Factor, ...], people: set[str]
) -> None:
    eligible = counting(factors, people)
    assert met(factors, eligible) == seated(factors, eligible)


@given(demands, st.sets(someone))
def test_progress_never_counts_a_person_twice(factors: tuple[Factor, ...], people: set[str]) -> None:
    got = progress(factors, counting(factors, people))
    assert sum(got.values()) <= len(people)
    assert all(got[one.name] <= one.need for one in factors)


def test_no_factors_are_never_met() -> None:
    assert not met((), {})
    assert not met((), {"alice": frozenset({"ops"})})


def test_one_person_in_two_factors_sits_in_one_seat() -> None:
    factors = (a_factor("finance", "alice", "bob"), a_factor("security", "alice", "carol"))
    both = frozenset({"finance", "security"})
    assert not met(factors, {"alice": both})
    assert met(factors, {"alice": both, "bob": frozenset({"finance"})})
    assert met(factors, {"alice": both, "carol": frozenset({"security"})})


def test_a_person_who_counts_for_an_unknown_factor_takes_no_seat() -> None:
    assert progress((a_factor(),), {"alice": frozenset({"other"})}) == {"ops": 0}


def test_the_strictest_verdict_wins() -> None:
    assert strictest("allow", "require") == "require"
    assert strictest("require", "deny", "allow") == "deny"
    assert strictest("allow", "allow") == "allow"


def test_the_same_people_demanded_twice_are_demanded_once_with_the_larger_number() -> None:
    found = joined((a_factor("ops", "alice", "bob"),), (a_factor("other", "bob", "alice", need=2),))
    assert found == (a_factor("ops", "alice", "bob", need=2),)


def test_other_people_under_the_same_name_are_another_demand() -> None:
    """A group that changed between two policies keeps its name; one person of the old one must not do for both."""
    found = joined((a_factor("finance", "alice", "bob"),), (a_factor("finance", "alice", "carol"),))
    assert len({one.name for one in found}) == 2
    assert not met(found, counting(found, {"bob"}))
    assert not met(found, counting(found, {"alice"}))
    assert met(found, counting(found, {"alice", "bob"}))


@given(demands, demands)
def test_joined_demands_are_as_strict_as_each(one: tuple[Factor, ...], other: tuple[Factor, ...]) -> None:
    both = joined(one, other)
    for people in ({*PEOPLE[:2]}, {*PEOPLE[1:4]}, {*PEOPLE}):
        if met(both, counting(both, people)):
            assert not one or met(one, counting(one, people))
            assert not other or met(other, counting(other, people))


@given(demands, demands)
def test_joining_again_changes_nothing(one: tuple[Factor, ...], other: tuple[Factor, ...]) -> None:
    both = joined(one, other)
    assert joined(both, other) == both == joined(both, one)


@given(demands, demands, st.sets(someone))
def test_tightened_demands_meet_both_the_earlier_and_the_later(
    one: tuple[Factor, ...], other: tuple[Factor, ...], people: set[str]
) -> None:
    both = tightened(one, other)
    if met(both, counting(both, people)):
        assert not one or met(one, counting(one, people))
        assert not other or met(other, counting(other, people))


@given(demands, demands)
def test_tightening_again_changes_nothing(one: tuple[Factor, ...], other: tuple[Factor, ...]) -> None:
    both = tightened(one, other)
    assert tightened(both, other) == both == tightened(both, one)
    assert len({factor.name for factor in both}) == len(both)


def test_a_group_that_grew_or_a_smaller_number_asks_for_nothing_more() -> None:
    before = (a_factor("ops", "alice", "bob", need=2),)
    assert tightened(before, (a_factor("ops", "alice", "bob", "carol", need=2),)) == before
    assert tightened(before, (a_factor("ops", "alice", "bob"),)) == before
    assert tightened(before, ()) == before


def test_a_group_that_shrank_takes_the_place_of_the_old_one() -> None:
    before = (a_factor("ops", "alice", "bob", "carol"),)
    assert tightened(before, (a_factor("renamed", "bob", "alice"),)) == (a_factor("ops", "bob", "alice"),)
    assert tightened(before, (a_factor("ops", "alice", "bob", "carol", need=2),))[0].need == 2


def test_a_group_whose_people_were_exchanged_is_a_demand_of_its_own() -> None:
    found = tightened((a_factor("ops", "alice", "bob"),), (a_factor("ops", "bob", "carol"),))
    assert [one.name for one in found] == ["ops", "ops (2)"]


def test_one_earlier_demand_does_not_answer_for_two_later_ones() -> None:
    later = (a_factor("ops", "alice", "bob"), a_factor("leads", "alice", "carol"))
    found = tightened((a_factor("alice", "alice"),), later)
    assert not met(found, counting(found, {"alice"}))
    assert met(found, counting(found, {"alice", "carol"}))


@given(terms, terms, st.sets(someone))
def test_tightening_only_tightens(before: Terms, other: Terms, people: set[str]) -> None:
    after = before.tightened_by(other)
    assert after.verdict == strictest(before.verdict, other.verdict)
    for name in ("excluded", "barred", "reasons"):
        assert {*getattr(after, name)} == {*getattr(before, name), *getattr(other, name)}, name
    assert after.min_look == max(before.min_look, other.min_look)
    assert after.confirm_code == (before.confirm_code or other.confirm_code)
    assert after.unseen == (before.unseen and other.unseen)
    for name in ("use_within", "receipt_ttl"):
        assert getattr(after, name) == min(getattr(before, name), getattr(other, name))
    if met(after.factors, counting(after.factors, people)):
        assert not before.factors or met(before.factors, counting(before.factors, people))
        assert not other.factors or met(other.factors, counting(other.factors, people))


@given(terms, terms, st.sets(someone), st.sampled_from([0, 5, 10]))
def test_what_is_opened_by_and_by_is_never_more_than_the_later_terms_open_by_then(
    before: Terms, other: Terms, people: set[str], minutes: int
) -> None:
    after = by_then(before.tightened_by(other), minutes)
    if met(after.factors, counting(after.factors, people)):
        for each in (by_then(before, minutes), by_then(other, minutes)):
            assert not each.factors or met(each.factors, counting(each.factors, people))


@given(terms, terms)
def test_tightening_keeps_every_step_in_its_place(before: Terms, other: Terms) -> None:
    """Requests remember how many steps were taken, not which."""
    after = before.tightened_by(other)
    assert [(step.after, step.joins) for step in after.escalation] == [
        (step.after, step.joins) for step in before.escalation
    ]


@given(terms, terms)
def test_tightening_keeps_where_where_and_under_what_it_was_asked(before: Terms, other: Terms) -> None:
    after = before.tightened_by(other)
    assert (after.policy, after.rules, after.destinations) == (before.policy, before.rules, before.destinations)
    assert [one.name for one in after.factors[: len(before.factors)]] == [one.name for one in before.factors]


def test_of_two_ways_to_tell_the_same_people_the_louder_wins() -> None:
    quiet, loud = a_factor("ops", "alice"), a_factor("ops", "alice")
    quiet, loud = quiet.model_copy(update={"notify": "none"}), loud.model_copy(update={"notify": "dm"})
    assert [one.notify for one in (*joined((quiet,), (loud,)), *joined((loud,), (quiet,)))] == ["dm", "dm"]
    assert tightened((quiet,), (loud,))[0].notify == "dm"
    assert tightened((loud,), (quiet,))[0].notify == "dm"
