"""Generated policies, requests and people: no path gives approval without the people who were demanded.

What must hold is worked out here from the file alone, without any of the code that is tested: every rule that applies
has its demands met by different people of its groups who do not stand behind the request and are not excluded.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from approvals.errors import PolicyInvalid
from approvals.lifecycle import Status
from approvals.ports import Account
from approvals.request import Request
from tests.approvals.house import a_house
from tests.approvals.make import AGENT, TENANT, a_policy, a_question, an_action

NAMES = ("alice", "bob", "carol", "dana", "erin", "olga")
OUTSIDE = "slack:usergroup:S0SEC"
SECURITY = {"carol", "erin"}  #: who is in it, as Slack says
GROUPS: dict[str, dict[str, Any]] = {
    "ops": {"people": ["alice", "bob", "dana"]},
    "finance": {"people": ["bob", "carol", "olga"]},
    "leads": {"people": ["alice", "erin", "olga", "carol"]},
    "security": {"slack_usergroup": "S0SEC"},
}
FILE: dict[str, Any] = {
    "people": {
        name: {"accounts": [f"slack:{TENANT}:U0{name.upper()}", f"slack:{TENANT}:U1{name.upper()}"]} for name in NAMES
    },
    "groups": GROUPS,
    "agents": {AGENT: {"owner": "olga", "principals": ["dana"], "kinds": ["*"]}},
    "defaults": {"factors": [{"from": ["ops"]}], "destinations": ["slack:C0OPS"], "within": "1d"},
}
FILE["people"]["dana"] |= {"team": "finance", "manager": "erin"}

groups = st.lists(st.sampled_from([*GROUPS]), min_size=1, max_size=2, unique=True)
factors = st.lists(
    st.fixed_dictionaries({"from": groups, "approvals": st.integers(1, 2)}) | st.just({"manager_of": "principal"}),
    max_size=2,
)
rules = st.lists(
    st.fixed_dictionaries(
        {
            "match": st.fixed_dictionaries(
                {"kind": st.sampled_from([["*"], ["payments.*"], ["reports.*"]])},
                optional={"arguments": st.sampled_from([{"amount": {">": "100"}}, {"amount": {"<=": "100"}}])},
            ),
            "factors": factors,
        },
        optional={
            "effect": st.sampled_from(["require", "require", "require", "allow", "deny"]),
            "exclude": st.sampled_from([["leads"], ["security"]]),
            "exclude_team_of": st.just(["principal"]),
            "exempts": st.just(["defaults"]),
        },
    ),
    max_size=3,
).map(lambda found: [rule | {"id": f"r{number}"} for number, rule in enumerate(found)])
amounts = st.sampled_from(["99.99", "100", "100.01", "none", None])
clickers = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from("01")), max_size=7)
starters = st.sampled_from([None, "carol", f"slack:{TENANT}:U1ALICE"])


@settings(max_examples=120)
@given(rules, rules, amounts, starters, clickers, st.integers(0, 7))
async def test_nothing_is_approved_without_the_people_whom_every_rule_that_applies_demands(
    first: list[dict[str, Any]],
    later: list[dict[str, Any]],
    amount: str | None,
    starter: str | None,
    clicks: list[tuple[str, str]],
    changed_after: int,
) -> None:
    for some in (first, later):
        try:
            a_policy(**FILE, rules=some)
        except PolicyInvalid:
            assume(False)
    request, in_force = await _lived(first, later, amount, starter, clicks, changed_after)
    event(request.status)
    if request.status is not Status.APPROVED:
        return
    approvers = [vote.person for vote in request.decision.by] if request.decision else []
    for some in in_force:
        assert len({*approvers}) == len(approvers)
        assert not {*approvers} & {"olga", "dana", _person(starter)}
        for rule in _applying(some, amount):
            assert rule.get("effect", "require") != "deny"
            assert not {*approvers} & _excluded(rule)
            if rule.get("effect", "require") == "require":
                assert _seated(rule["factors"] or FILE["defaults"]["factors"], approvers), (rule, approvers)


async def _lived(
    first: list[dict[str, Any]],
    later: list[dict[str, Any]],
    amount: str | None,
    starter: str | None,
    clicks: list[tuple[str, str]],
    changed_after: int,
) -> tuple[Request, list[list[dict[str, Any]]]]:
    """What became of a request when people clicked until it was decided, and every policy that was in force then."""
    house = await a_house(**FILE, rules=first)
    house.directory.groups[OUTSIDE] = {f"slack:{TENANT}:U{which}{name.upper()}" for name in SECURITY for which in "01"}
    arguments = {} if amount is None else {"amount": amount}
    request = await house.asked(action=an_action(arguments=arguments), started_by=starter)
    in_force = [first]
    for number, (name, which) in enumerate(clicks):
        if request.decision is not None:
            break
        if number == changed_after:
            await house.adopt(**FILE, rules=later)
            in_force.append(later)
        await house.click(request, Account("slack", TENANT, f"U{which}{name.upper()}"))
        request = await house.now_is(request)
    return request, in_force


# -- what must hold, from the file alone --------------------------------------------------------------------------


def _applying(some: list[dict[str, Any]], amount: str | None) -> list[dict[str, Any]]:
    """The rules that apply, and the defaults where none that does so for certain exempts from them."""
    found = [rule for rule in some if _asks(rule, amount)]
    certain = [rule for rule in found if _comparable(amount) or "arguments" not in rule["match"]]
    return found if any("exempts" in rule for rule in certain) else [*found, FILE["defaults"]]


def _asks(rule: dict[str, Any], amount: str | None) -> bool:
    if not any(fnmatchcase("payments.release", glob) for glob in rule["match"]["kind"]):
        return False
    compared = rule["match"].get("arguments", {}).get("amount")
    if compared is None or not _comparable(amount):
        return True
    return Decimal(amount or "") > 100 if ">" in compared else Decimal(amount or "") <= 100


def _comparable(amount: str | None) -> bool:
    return amount not in (None, "none")


def _members(group: str) -> set[str]:
    return {*GROUPS[group].get("people", SECURITY)}


def _person(who: str | None) -> str:
    """A person by name or account."""
    return who.rsplit(":", 1)[-1][2:].lower() if who and ":" in who else who or ""


def _excluded(rule: dict[str, Any]) -> set[str]:
    groups = {*rule.get("exclude", ()), *(["finance"] if rule.get("exclude_team_of") else [])}
    return set().union(*(_members(group) for group in groups))


def _seated(demands: Iterable[dict[str, Any]], people: list[str]) -> bool:
    """Whether every seat can be given to another person, by trying every order."""
    seats = [
        {"erin"} if "manager_of" in demand else set().union(*(_members(group) for group in demand["from"]))
        for demand in demands
        for _ in range(demand.get("approvals", 1))
    ]
    return any(
        all(one in seat for one, seat in zip(order, seats, strict=True)) for order in permutations(people, len(seats))
    )


# -- what loosens -------------------------------------------------------------------------------------------------


@given(rules, st.data())
def test_an_exemption_takes_away_the_rules_it_names_and_nothing_else(
    some: list[dict[str, Any]], data: st.DataObject
) -> None:
    asking = [rule["id"] for rule in some if rule.get("effect", "require") != "deny"]
    named = data.draw(st.lists(st.sampled_from(asking), unique=True)) if asking else []
    exempting = {"id": "exempting", "match": {"kind": ["payments.*"]}, "factors": [{"from": ["ops"]}]}
    left = [rule for rule in some if rule["id"] not in named]
    try:
        with_it = a_policy(**FILE, rules=[*some, exempting | {"exempts": named}])
        without = a_policy(**FILE, rules=[*left, exempting])
    except PolicyInvalid:
        assume(False)
    question = a_question(action=an_action(arguments={"amount": "100"}))
    loosened, plain = with_it.terms(question), without.terms(question)
    assert loosened.model_copy(update={"exempted": ()}) == plain.model_copy(update={"exempted": ()})
    assert {*loosened.exempted} - {"defaults"} == {*named} & {rule["id"] for rule in some if _asks(rule, "100")}
