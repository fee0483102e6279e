"""Conditions in CEL: a wrong one is told when the policy is loaded, and what cannot be told is never false."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.conditions import LONGEST, MOST_MEMBERS, VARIABLES, checked, holds


def told(text: str, functions: dict[str, Any] | None = None, **arguments: Any) -> bool | None:
    """What a condition says of a request with these arguments."""
    return holds(checked(text), {**VARIABLES, "arguments": arguments}, functions or {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 +", "not CEL: 1:4: Syntax error"),
        ("1", "is int, not true or false"),
        ("request.knd == 'a'", r"there is no request\.knd; did you mean kind\?"),
        ("argument.amount == 'a'", r"there is no argument; did you mean arguments\?"),
        ("windowsum('amount', '1h') > 3", r"there is no function windowsum; did you mean window_sum\?"),
        ("type(arguments.x) == string", "there is no string"),
        ("request.kind > 3", "No such overload"),
        ("money('12,4') > 1", "not an amount"),
        ("'a'.matches('(')", "not a valid regex"),
        ("arguments.a.matches(arguments.b)", "a pattern that you write"),
        ("arguments.a.exists(x, arguments.b.all(y, x == y))", "cannot stand inside one another"),
        ("true // always", "no comments"),
        ('"""a""" == "a"', "on one line"),
        (r'r"\" == "a"', "on one line"),
        ("'a' == 'b", "on one line"),
    ],
)
def test_what_is_wrong_with_a_condition_is_told_at_once(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        checked(text)


def test_nesting_as_deep_as_a_condition_may_be_long_does_not_break_the_parser() -> None:
    assert checked("!" * (LONGEST - 4) + "true")
    with pytest.raises(ValueError, match="not CEL"):
        checked("(" * 490 + "true" + ")" * 490)


def test_amounts_are_compared_exactly() -> None:
    text = 'money(arguments.amount) > money("9007199254.740992")'
    assert told(text, amount="9007199254.740993") is True
    assert told(text, amount="9007199254.740992") is False
    assert told('money(arguments.amount) > money("0.29")', amount="0.3") is True


@pytest.mark.parametrize("arguments", [{}, {"amount": None}, {"amount": 12.5}, {"amount": "12,400"}, {"amount": ["1"]}])
def test_what_cannot_be_evaluated_is_unclear_and_never_false(arguments: dict[str, Any]) -> None:
    assert told('money(arguments.amount) > money("10")', **arguments) is None


def test_a_function_that_is_not_there_or_fails_makes_it_unclear() -> None:
    assert told("window_count('1h') > 3") is None
    assert told("window_count('1h') > 3", {"window_count": lambda length: 1 // 0}) is None
    assert told("window_count('1h') > 3", {"window_count": lambda length: 4}) is True


def test_each_member_is_looked_at_once_and_a_long_list_is_unclear() -> None:
    assert told("arguments.to.exists(one, one.endsWith('@example.com'))", to=["a@example.com"]) is True
    assert told("arguments.to.exists(one, one == 'x')", to=["y"] * (MOST_MEMBERS + 1)) is None
    assert told("arguments.to.exists(one, one == 'x')", to=["y"], other=[{"z": ["y"] * (MOST_MEMBERS + 1)}]) is None
    assert told("size(arguments.to) > 1000", to=["y"] * (MOST_MEMBERS + 1)) is True


def test_what_a_text_says_is_not_taken_for_code() -> None:
    assert told("arguments.path == 'request.nothing // .all('", path="request.nothing // .all(") is True
    assert told(r"arguments.quote == 'it\'s'", quote="it's") is True


def test_no_value_reaches_the_log_when_a_function_fails(caplog: pytest.LogCaptureFixture) -> None:
    assert told("money(arguments.amount) > 1", amount="hunter2-secret") is None
    assert "hunter2" not in caplog.text
