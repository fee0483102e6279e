"""The one sentence of what would happen."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.errors import PolicyInvalid
from approvals.summaries import checked, filled
from tests.approvals.make import a_policy, a_policy_file, an_action

KIND: dict[str, Any] = a_policy_file()["kinds"]["payments.release"]
PAY = "Pay {amount} {currency} to {payee.name}"


def said(template: str, **arguments: Any) -> list[tuple[str, bool]]:
    """The pieces, each with whether it is ours."""
    return [(piece.text, piece.ours) for piece in filled(template, an_action(arguments=arguments))]


def test_our_words_and_the_values_stay_apart() -> None:
    assert said(PAY, amount="12400.00", currency="EUR", payee={"name": "*ACME*"}) == [
        ("Pay ", True),
        ("12400.00", False),
        (" ", True),
        ("EUR", False),
        (" to ", True),
        ("*ACME*", False),
    ]


def test_the_target_and_the_kind_can_be_named() -> None:
    assert said("Do {action.kind} at {action.target}")[1::2] == [("payments.release", False), ("bank:acme-gmbh", False)]


@pytest.mark.parametrize("value", [None, {"a": 1}, ["a"], {}])
def test_where_a_value_is_missing_or_many_the_title_has_to_do(value: Any) -> None:
    assert said("Pay {amount}", amount=value) == []
    assert said("Pay {amount}") == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (12, "12"),
        ("", '""'),
        ("  ", '"  "'),
        ("a\nb", "a\\nb"),
        ("a\u202eb", "a\\u{202E}b"),
        ("x" * 100, "x" * 80 + "… (+20 characters)"),
    ],
)
def test_a_value_is_one_visible_line(value: Any, shown: str) -> None:
    assert said("{v}", v=value) == [(shown, False)]


def test_a_braces_in_a_value_are_no_template() -> None:
    assert said("Pay {amount}", amount="{secret}", secret="hunter2") == [("Pay ", True), ("{secret}", False)]


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("Pay {}", 5),
        ("Pay {amount", 5),
        ("Pay amount}", 11),
        ("Pay {{amount}}", 5),
        ("Pay {a b}", 5),
        ("Pay {amount!r}", 5),
        ("Pay {action.nonce}", 5),
        ("Pay {items[]}", 5),
        ("Pay *now*", 5),
        ("Pay\nnow", 4),
        ("<!here> {amount}", 1),
    ],
)
def test_what_is_no_template_is_a_load_error_that_names_the_place(template: str, place: int) -> None:
    with pytest.raises(ValueError, match=f"^character {place}: "):
        checked(template)
    with pytest.raises(PolicyInvalid, match="summary"):
        a_policy(kinds={"payments.release": KIND | {"summary": template}})


@pytest.mark.parametrize("secret", ["iban", "payee", "payee.iban", "keys[]"])
def test_a_secret_is_never_in_a_sentence(secret: str) -> None:
    template = {"iban": "To {iban}", "keys[]": "Use {keys[0]}"}.get(secret, "To {payee.iban}")
    with pytest.raises(PolicyInvalid, match="is secret"):
        a_policy(kinds={"payments.release": KIND | {"summary": template, "secret": [secret]}})


def test_a_policy_words_its_kinds() -> None:
    policy = a_policy(kinds={"payments.release": KIND | {"summary": "Pay {amount} {currency}"}})
    assert "".join(piece.text for piece in policy.presentation(an_action()).summary) == "Pay 12400.00 EUR"
    assert a_policy().presentation(an_action()).summary == ()
