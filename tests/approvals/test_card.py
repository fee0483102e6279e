"""What people are shown: the whole action, nothing hidden, and nobody's words above ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.card import MAX_LINES, WHOLE, Card, card_of
from approvals.lifecycle import Event, Status
from approvals.request import Earlier, Request, Superseded
from approvals.review import review_of
from approvals.text import visible
from tests.approvals.make import (
    MINUTE,
    NOW,
    a_factor,
    a_request,
    a_vote,
    an_action,
    an_approved_request,
    an_intervention,
    some_terms,
)
from tests.approvals.test_request import in_status
from tests.approvals.test_strict_json import I_JSON

ARGUMENTS = st.dictionaries(st.text(), I_JSON, max_size=5)


def card(arguments: dict[str, Any] | None = None, **members: Any) -> Card:
    """The card of a pending payment whose action has these members."""
    members |= {} if arguments is None else {"arguments": arguments}
    return card_of(a_request(action=an_action(**members)))


def values(shown: Card) -> list[str]:
    """What stands beside each name, lines joined."""
    return ["\n".join(line.value) for line in shown.arguments]


def leaves(value: Any) -> list[Any]:
    """Everything in a JSON value that holds nothing further, in order."""
    if isinstance(value, dict | list) and value:
        inner = value.values() if isinstance(value, dict) else value
        return [leaf for one in inner for leaf in leaves(one)]
    return [value]


def spellings(leaf: Any) -> set[str]:
    """The ways in which a card may write a leaf: plainly, or as JSON on one line."""
    as_json = visible(json.dumps(leaf, ensure_ascii=False))
    return {visible(leaf), as_json} if isinstance(leaf, str) else {json.dumps(leaf)}


# -- everything is there ------------------------------------------------------------------------------------------


@given(ARGUMENTS)
def test_every_argument_of_any_nesting_appears(arguments: dict[str, Any]) -> None:
    shown = card(arguments)
    wanted = leaves(arguments) if arguments else []
    assert shown.complete == (len(shown.arguments) == len(wanted) and shown.buttons[:1] == ("approve",))
    if shown.complete:
        for leaf, value in zip(wanted, values(shown), strict=True):
            assert value in spellings(leaf)


@given(ARGUMENTS)
def test_every_argument_has_a_name_of_its_own(arguments: dict[str, Any]) -> None:
    shown = card(arguments)
    assert not shown.complete or len({line.name for line in shown.arguments}) == len(shown.arguments)


def test_names_lead_to_where_the_value_is() -> None:
    shown = card({"a": {"b": [1, {"c": "x"}]}, "d.e": 2, "f[0]": 3, "": 4, "empty": {}, "none": [], "nil": None})
    assert [(line.name, line.value) for line in shown.arguments] == [
        ("a.b[0]", ("1",)),
        ("a.b[1].c", ("x",)),
        ('"d.e"', ("2",)),
        ('"f[0]"', ("3",)),
        ('""', ("4",)),
        ("empty", ("{}",)),
        ("none", ("[]",)),
        ("nil", ("null",)),
    ]


def test_preconditions_are_shown_too() -> None:
    assert [(line.name, line.value) for line in card(preconditions={"balance": {"min": "5"}}).preconditions] == [
        ("balance.min", ("5",))
    ]


@pytest.mark.parametrize(
    "text", ["true", "false", "null", "", " x", "x ", "x\n", '"x"', "{}", "[1]", "\tx", "true\n", "\u00a0"]
)
def test_a_text_that_could_be_taken_for_something_else_stands_in_quotes(text: str) -> None:
    value = card({"a": text}).arguments[0].value
    assert len(value) == 1
    assert value[0].startswith('"')
    assert value[0].endswith('"')


@pytest.mark.parametrize("text", ["12400.00", "INV-2093", "two words", "trueish", "nullify", "a{b}"])
def test_ordinary_texts_stand_as_they_are(text: str) -> None:
    assert card({"a": text}).arguments[0].value == (text,)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, 2**53 - 1])
def test_other_values_stand_as_json(value: Any) -> None:
    assert card({"a": value}).arguments[0].value == (json.dumps(value),)


# -- nothing pretends ---------------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_a_value_of_many_lines_cannot_pretend_to_be_another_argument(text: str, name: str) -> None:
    shown = card({"note": f"{text}\n{name}: {text}"})
    assert [line.name for line in shown.arguments] == ["note"]


@given(st.text(min_size=1))
def test_a_name_is_one_line_that_cannot_be_mistaken(name: str) -> None:
    (line,) = card({name: "x"}).arguments
    assert len(line.name.splitlines()) == 1
    assert line.name == name or line.name.startswith('"')


HIDDEN = [
    "\u202e",
    "\u200b",
    "\u2066",
    "\U000e0041",
    "\u3164",
    "\x00",
    "\x1b",
    "\x7f",
    "\x08",
    "\ufeff",
    "\u00ad",
    "\u2800",
]


@pytest.mark.parametrize("character", HIDDEN)
@pytest.mark.parametrize("place", ["value", "name", "target", "precondition", "deep"])
def test_what_cannot_be_seen_is_written_out_and_said(character: str, place: str) -> None:
    text = f"pay{character}pal"
    shown = {
        "value": lambda: card({"a": text}),
        "name": lambda: card({text: "a"}),
        "target": lambda: card(target=text),
        "precondition": lambda: card(preconditions={"a": text}),
        "deep": lambda: card({"a": [{"b": [text]}]}),
    }[place]()
    assert shown.hidden
    drawn = [shown.target, *(t for line in (*shown.arguments, *shown.preconditions) for t in (line.name, *line.value))]
    assert character not in "".join(drawn)
    assert "pay\\" in "".join(drawn)


@pytest.mark.parametrize("text", ["Zoë", "東京", "two\nlines", "a\tb", "'quoted' \\ \"so\""])
def test_ordinary_text_is_not_called_hidden(text: str) -> None:
    assert not card({"a": text, "b": {text: text}}).hidden


def test_a_line_end_in_a_target_is_written_out() -> None:
    assert card(target="bank:acme\nApproved by CFO").target == "bank:acme\\nApproved by CFO"


# -- the agent's own words ----------------------------------------------------------------------------------------


@given(st.text(max_size=2_000))
def test_the_agents_words_change_nothing_above_them(because: str) -> None:
    silent, talking = card_of(a_request(because="")), card_of(a_request(because=because))
    assert talking.model_copy(update={"says": ""}) == silent


def test_the_agents_words_are_clipped_and_made_visible() -> None:
    says = card_of(a_request(because="\u202e" + "x" * 2_000)).says
    assert says.startswith("\\u{202E}xxx")
    assert says.endswith("characters)")
    assert len(says) < 600


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_once_decided_the_agents_words_are_gone(status: Status) -> None:
    assert card_of(in_status(status)).says == ""


# -- what does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": "x" * (WHOLE + 1)},
        {"a": "\n".join("x" * (MAX_LINES + 1))},
        {f"k{n}": 1 for n in range(MAX_LINES + 1)},
        {"k" * (WHOLE + 1): 1},
        {"a": "\u200b" * (WHOLE // 8 + 1)},
        {"a": [0] * (MAX_LINES + 1)},
    ],
)
def test_an_action_that_does_not_fit_cannot_be_approved_from_the_card(arguments: dict[str, Any]) -> None:
    shown = card(arguments)
    assert not shown.complete
    assert shown.buttons == ("review", "deny", "changes", "details")
    assert sum(len(text) for line in shown.arguments for text in (line.name, *line.value)) < WHOLE


def test_preconditions_count_in_what_must_fit() -> None:
    shown = card(preconditions={"a": "x" * (WHOLE + 1)})
    assert (shown.complete, shown.buttons) == (False, ("review", "deny", "changes", "details"))


def test_what_just_fits_can_be_approved() -> None:
    room = WHOLE - len("bank:acme-gmbh") - len("a")
    assert card({"a": "x" * room}).buttons == ("approve", "deny", "changes", "details")
    assert card({"a": "x" * (room + 1)}).buttons == ("review", "deny", "changes", "details")


def test_the_size_of_the_arguments_is_told_in_bytes() -> None:
    assert card({"a": "é"}).bytes == len('{"a": "é"}'.encode())


# -- where it stands ----------------------------------------------------------------------------------------------

HEADINGS = {
    Status.PENDING: ("Release a payment", "cannot be undone"),
    Status.APPROVED: ("Approved: Release a payment", "approved by"),
    Status.DENIED: ("Payment not released", "denied by"),
    Status.EXPIRED: ("Payment not released", "nobody answered in time"),
    Status.WITHDRAWN: ("Payment not released", "the agent no longer asks"),
    Status.REVOKED: ("Payment not released", "the approval was taken back before it was used; approved by"),
    Status.LAPSED: ("Payment not released", "not used in time; approved by"),
    Status.SPENT: ("Under way: Release a payment", "approved by"),
    Status.SUCCEEDED: ("Payment released", "approved by"),
    Status.FAILED: ("Payment not released", "the tool reports that nothing was done; approved by"),
    Status.UNKNOWN: (
        "Outcome unknown: Release a payment",
        "check what happened before anyone tries again; approved by",
    ),
}


@pytest.mark.parametrize("status", Status)
def test_every_status_has_its_heading(status: Status) -> None:
    shown = card_of(in_status(status))
    assert (shown.heading, shown.note) == HEADINGS[status]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_only_a_pending_card_has_buttons_and_a_deadline(status: Status) -> None:
    shown = card_of(in_status(status))
    assert (shown.buttons, shown.needs, shown.said, shown.expires_at) == ((), (), (), None)
    assert shown.story[0].word == "asked"


@pytest.mark.parametrize("status", [Status.APPROVED, Status.DENIED, Status.SPENT, Status.SUCCEEDED, Status.FAILED])
def test_who_decided_is_named(status: Status) -> None:
    assert [who.person for who in card_of(in_status(status)).by] == ["alice"]


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.WITHDRAWN])
def test_nobody_is_named_where_nobody_decided(status: Status) -> None:
    assert card_of(in_status(status)).by == ()


def test_policy_is_named_where_it_decided() -> None:
    allowed = a_request(terms=some_terms(verdict="allow")).decided_by_rule(NOW, jti="j")
    assert (card_of(allowed).note, card_of(allowed).by) == ("approved by policy", ())
    denied = a_request(terms=some_terms(verdict="deny")).decided_by_rule(NOW, jti="j")
    assert (card_of(denied).note, card_of(denied).by) == ("denied by policy", ())


def test_a_pending_card_tells_who_is_needed_and_who_has_said_yes() -> None:
    terms = some_terms(factors=(a_factor("ops"), a_factor("security", "carol", "bob")))
    shown = card_of(a_request(terms=terms).voted(a_vote(), jti="j"))
    assert [(seat.name, seat.got, seat.need) for seat in shown.needs] == [("ops", 1, 1), ("security", 0, 1)]
    assert [(one.who.person, one.factor) for one in shown.said] == [("alice", "ops")]


def test_the_story_tells_every_step() -> None:
    approved = an_approved_request()
    spent = approved.spent("attempt", "bank-tool", NOW + 2 * MINUTE)
    shown = card_of(spent.reported(Event.SUCCEED, NOW + 3 * MINUTE, "ref\u202e 1"))
    assert [(step.word, step.by) for step in shown.story] == [
        ("asked", ""),
        ("approved", ""),
        ("receipt used", "bank-tool"),
        ("succeeded", "ref\\u{202E} 1"),
    ]
    assert shown.took_ms == MINUTE


def test_a_reason_is_shown_but_cannot_hide() -> None:
    denied = a_request().voted(a_vote(answer="deny", reason="no\u202e"), jti="j")
    assert card_of(denied).reason == "no\\u{202E}"


def test_a_freeze_is_an_operators_and_not_policys() -> None:
    frozen = a_request().denied_by("freeze:agent:payments-bot", "pays strangers", NOW)
    assert (card_of(frozen).note, card_of(frozen).reason) == ("stopped by an operator", "pays strangers")


def test_why_a_yes_was_taken_back_stands_in_place_of_why_it_was_given() -> None:
    revoked = an_approved_request().revoked(an_intervention("revoked", reason="the vendor called\u202e"))
    assert card_of(revoked).reason == "the vendor called\\u{202E}"


def test_the_tool_is_not_said_to_have_said_what_a_person_or_the_clock_did() -> None:
    spent = in_status(Status.SPENT)
    lost = spent.reported(Event.LOSE, NOW + MINUTE)
    settled = lost.resolved(Event.SUCCEED, an_intervention("resolved", reason="seen in the console"))
    assert [step.by for step in card_of(lost).story if step.word == "unknown"] == [""]
    assert [step.by for step in card_of(settled).story if step.word == "succeeded"] == [""]
    assert card_of(settled).reason == "seen in the console"


def test_the_denial_that_is_answered_is_told_once() -> None:
    denied = in_status(Status.DENIED)
    mark = Earlier(request=denied.id, status=Status.DENIED, at=NOW, by=("bob",))
    other = mark.model_copy(update={"request": "0-" + "b" * 24})
    answer = Superseded(request=denied.id, code="4R2C-8M", kind="k", target="t", arguments={}, preconditions={})
    shown = card_of(a_request().model_copy(update={"superseded": answer, "earlier": (mark, other)}))
    assert shown.answers is not None
    assert [who.person for who in shown.answers.by] == ["bob"]
    assert len(shown.earlier) == 1


def test_the_beginning_of_what_is_too_long_does_not_pass_for_all_of_it() -> None:
    shown = card({"plan": "\n".join(["first"] * (MAX_LINES + 1))})
    assert values(shown) == ["first\n…"]


# -- the digest ---------------------------------------------------------------------------------------------------


def drawn_differently() -> list[Request]:
    """Requests that differ in one thing a card draws."""
    base = a_request()
    yes = some_terms(factors=(a_factor("ops", need=2),))
    return [
        base,
        *(in_status(status) for status in Status if status is not Status.PENDING),
        a_request(because="other words"),
        a_request(principal="carol"),
        a_request(principal_accounts=("slack:T0SAYSO:U0DANA",)),
        a_request(audience="bank-tool"),
        a_request(agent="other-bot"),
        a_request(id="0-" + "a" * 24),
        a_request(expires_at=NOW + 1),
        a_request(terms=yes),
        a_request(terms=yes).voted(a_vote(), jti="j"),
        a_request(terms=some_terms(rules=("other",))),
        a_request(action=an_action(target="bank:other")),
        a_request(action=an_action(kind="payments.refund")),
        a_request(action=an_action(preconditions={"a": 1})),
        a_request(presentation=base.presentation.model_copy(update={"title": "Pay"})),
        a_request(presentation=base.presentation.model_copy(update={"risk": "low"})),
        a_request(presentation=base.presentation.model_copy(update={"reversible": True})),
        a_request(presentation=base.presentation.model_copy(update={"effect": "send"})),
    ]


def test_whatever_is_drawn_differently_has_another_digest() -> None:
    digests = [card_of(request).digest() for request in drawn_differently()]
    assert len(set(digests)) == len(digests)


def test_the_same_request_has_the_same_card() -> None:
    again = Request.model_validate_json(a_request().model_dump_json())
    assert card_of(again) == card_of(a_request())
    assert Card.model_validate_json(card_of(again).model_dump_json()).digest() == card_of(again).digest()


def test_what_is_secret_is_masked_everywhere_and_no_text_passes_for_a_mask() -> None:
    words = a_request().presentation.model_copy(update={"secret": ("login",)})
    action = an_action(arguments={"login": "hunter2", "other": "masked: 7 characters, HMAC 0"})
    request = a_request(action=action, presentation=words)
    assert [line.value[0][:9] for line in card_of(request).arguments] == ["masked: 7", '"masked: ']
    assert "hunter2" not in card_of(request).model_dump_json() + review_of(request).model_dump_json()
    assert (card_of(request).masked, card_of(request).buttons[0]) == ("barred", "deny")
    unseen = a_request(action=action, presentation=words, terms=some_terms(unseen=True))
    assert (card_of(unseen).masked, card_of(unseen).buttons[0]) == ("unseen", "approve")
