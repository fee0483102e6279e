"""Windows as a condition asks for them, and what a question takes of them."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import EntryRefused, PolicyInvalid
from approvals.policy import Policy
from approvals.windows import Window, functions, holder_of, windows_in
from tests.approvals.make import AGENT, a_document, a_policy, a_policy_file, a_question, a_rule, an_action

DAY = 86_400_000
KIND: dict[str, Any] = a_policy_file()["kinds"]["payments.release"]
MONEY = {"payments.release": KIND | {"money": {"amount": "amount", "currency": "currency"}}}
SUM = 'window_sum("amount", "24h") > money("9990")'


def a_limit(when: str = SUM, **changes: Any) -> dict[str, Any]:
    """A rule that asks finance when payments come to too much."""
    return a_rule("limit", when=when, factors=[{"from": ["finance"]}], **changes)


def with_limit(when: str = SUM, **sections: Any) -> Policy:
    """A policy with that rule."""
    return a_policy(kinds=MONEY, rules=[a_rule("any"), a_limit(when)], **sections)


def names(policy: Policy, **changes: Any) -> set[str]:
    """The windows that a document takes a share of."""
    agent = changes.pop("agent", AGENT)
    return {share.window for share in policy.shares(a_document(**changes), agent, vouched=False)}


def test_a_condition_is_read_for_its_windows() -> None:
    text = """window_sum('amount', "24h") > 1 || (window_count("1h", 'target,agent') > 3 && "window_sum" != "")"""
    assert windows_in(text) == (
        Window(path="amount", length=DAY, per=("agent",)),
        Window(path=None, length=3_600_000, per=("agent", "target")),
    )
    assert windows_in('window_count("31d", "all") > 1') == (Window(path=None, length=31 * DAY, per=()),)


@pytest.mark.parametrize(
    "text",
    [
        "window_sum(arguments.which, '24h') > 1",
        "window_sum('amount', request.kind) > 1",
        "window_sum('amount' + 's', '24h') > 1",
        "window_sum('am\\u006funt', '24h') > 1",
        "window_sum('amount') > 1",
        "window_sum() > 1",
        "window_count('1h', 'agent', 'kind') > 1",
        "window_count('1h', 'team') > 1",
        "window_count('1h', '') > 1",
        "window_count('1 hour') > 1",
        "window_count('32d') > 1",
        "'1h'.window_count() > 1",
        "window_count > 1",
    ],
)
def test_a_window_that_cannot_be_read_off_the_text_is_a_load_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"window|count by|duration"):
        windows_in(text)
    with pytest.raises(PolicyInvalid):
        with_limit(text)


def test_what_is_summed_must_be_the_money_of_every_kind_the_rule_is_for() -> None:
    with pytest.raises(PolicyInvalid, match=r"limit.*sums 'amount'; say `money"):
        a_policy(rules=[a_limit()])
    with pytest.raises(PolicyInvalid, match="a listed kind"):
        a_policy(kinds=MONEY, rules=[a_limit(match={"kind": ["exports.*"]})])


def test_what_is_not_known_raises_without_saying_what() -> None:
    known = functions(lambda window: 7 if window.per == () else None)
    assert known["window_count"]("1h", "all") == 7
    with pytest.raises(ValueError, match=r"^not known$"):
        known["window_sum"]("amount", "24h")


def test_amounts_are_taken_exactly_and_counts_by_one() -> None:
    policy = with_limit('window_sum("amount", "24h") > money("1") || window_count("1h") > 3')
    shares = policy.shares(a_document(), AGENT, vouched=False)
    assert [(share.amount, share.length) for share in shares] == [(12_400_000_000, DAY), (1, 3_600_000)]


@pytest.mark.parametrize(
    ("per", "one", "other", "same"),
    [
        ("agent", {"target": "bank:a"}, {"target": "bank:b"}, True),
        ("agent, target", {"target": "bank:a"}, {"target": "bank:b"}, False),
        ("kind", {"kind": "payments.release"}, {"kind": "payments.refund"}, False),
        ("all", {"kind": "payments.release"}, {"kind": "payments.refund"}, True),
    ],
)
def test_each_has_windows_of_their_own(per: str, one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    kinds = MONEY | {"payments.refund": MONEY["payments.release"]}
    policy = a_policy(kinds=kinds, rules=[a_limit(f'window_sum("amount", "24h", "{per}") > 1')])
    first, second = (names(policy, action=an_action(**changes)) for changes in (one, other))
    assert len(first) == 1
    assert (first == second) is same


def test_every_agent_currency_rule_and_length_has_a_window_of_its_own() -> None:
    agents = a_policy_file()["agents"]
    policy = a_policy(
        kinds=MONEY,
        agents=agents | {"other-bot": agents[AGENT]},
        rules=[a_limit(), a_limit() | {"id": "other"}, a_limit('window_sum("amount", "12h") > 1') | {"id": "short"}],
    )
    mine, theirs = names(policy), names(policy, agent="other-bot")
    dollars = names(policy, action=an_action(arguments={"amount": "1", "currency": "USD"}))
    assert len(mine) == len(theirs) == len(dollars) == 3
    assert len(mine | theirs | dollars) == 9


def test_an_agent_that_names_another_principal_stays_in_the_same_window() -> None:
    agents = {AGENT: a_policy_file()["agents"][AGENT] | {"principals": ["dana", "carol"]}}
    policy = with_limit('window_count("1h", "principal") > 3', agents=agents)
    assert names(policy, principal="dana") == names(policy, principal="carol")
    vouched = [
        {share.window for share in policy.shares(a_document(principal=one), AGENT, vouched=True)}
        for one in ("dana", "carol")
    ]
    assert vouched[0] != vouched[1]


def test_without_the_token_that_could_say_whose_window_it_is_no_limit_of_a_principal_holds_for_certain() -> None:
    """Else there would be one window more than there are principals, and with it one limit more."""
    identity = {"issuer": "https://id.example", "audience": "sayso", "jwks": "jwks.json"}
    entry = a_policy_file()["agents"][AGENT] | {"principals": ["dana", "carol"], "identity": identity}
    rule = a_rule(effect="allow", when='window_count("1h", "principal") <= 3')
    policy = a_policy(agents={AGENT: entry}, rules=[rule])
    assert names(policy) == set()
    assert policy.terms(a_question()).verdict == "require"
    (window,) = {share.window for share in policy.shares(a_document(principal="dana"), AGENT, vouched=True)}
    assert policy.terms(a_question(vouched=True, sums={window: 3})).verdict == "allow"


def test_a_request_counts_in_the_windows_of_rules_that_may_cover_it_whatever_their_condition_says() -> None:
    policy = with_limit('"never" == "" && window_count("1h") > 3')
    assert len(names(policy)) == 1
    elsewhere = a_policy(kinds=MONEY, rules=[a_limit(match={"kind": ["payments.*"], "target": ["crypto:*"]})])
    assert names(elsewhere) == set()
    unclear = a_policy(
        kinds=MONEY, rules=[a_limit(match={"kind": ["payments.*"], "arguments": {"missing": {"==": "x"}}})]
    )
    assert len(names(unclear)) == 1


def test_an_agent_nobody_registered_takes_nothing() -> None:
    assert names(with_limit(), agent="stranger") == set()


@pytest.mark.parametrize(("total", "asked"), [(9_990_000_000, False), (9_990_000_001, True), (None, True)])
def test_a_rule_applies_by_the_sum_and_where_the_sum_is_not_known(total: int | None, asked: bool) -> None:
    policy = with_limit()
    (share,) = policy.shares(a_document(), AGENT, vouched=False)
    sums = {} if total is None else {share.window: total}
    terms = policy.terms(a_question(sums=sums))
    assert ("limit" in terms.rules) is asked
    assert terms.unclear == (("limit",) if total is None else ())


def test_a_sum_that_is_not_known_never_lets_a_rule_allow() -> None:
    policy = a_policy(kinds=MONEY, rules=[a_rule("small", effect="allow", when='window_sum("amount", "24h") < 10')])
    assert policy.terms(a_question()).verdict == "require"


@pytest.mark.parametrize("amount", [12.5, "1e3", "-1", "1,000", None, "", "1.0000001", {"value": "1"}])
def test_a_kind_that_moves_money_says_how_much_in_a_way_that_can_be_added_up(amount: Any) -> None:
    arguments = {"amount": amount, "currency": "EUR"}
    with pytest.raises(EntryRefused) as refused:
        with_limit().admit(a_document(action=an_action(arguments=arguments)), AGENT, 0)
    assert (refused.value.reason, refused.value.field) == ("malformed", "action.arguments.amount")


@pytest.mark.parametrize("currency", ["eur", "EUR ", "", None, "€", ["EUR"]])
def test_a_currency_is_told_in_one_spelling(currency: Any) -> None:
    arguments = {"amount": "1", "currency": currency}
    with pytest.raises(EntryRefused) as refused:
        with_limit().admit(a_document(action=an_action(arguments=arguments)), AGENT, 0)
    assert refused.value.field == "action.arguments.currency"


def test_the_same_action_under_another_nonce_has_the_same_holder() -> None:
    one, again, other = an_action(), an_action(nonce="Z" * 22), an_action(target="bank:other")
    assert holder_of("0-a", one) == holder_of("0-a", again)
    assert len({holder_of("0-a", one), holder_of("0-a", other), holder_of("0-b", one)}) == 3
