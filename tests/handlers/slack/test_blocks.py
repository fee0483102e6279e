"""Cards as blocks: what Slack accepts, what people read, and what an agent's text can never become."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from slack_sdk.models.blocks import Block

from approvals.card import Before, Card, Care, Changed, Group, Said, Seat, Step, Who
from approvals.hosts import Host
from approvals.lifecycle import Status
from approvals.lines import GOES_ON, SAME_LINE_GOES_ON, Line
from approvals.terms import Notify, Piece
from handlers.slack.blocks import MOST_MEMBERS, draw
from handlers.slack.table import LIMIT, WIDTH, columns, tables
from sandbox.blocks import check_message
from tests.handlers.slack.cards import ALICE, BOB, DANA, MARK, MINUTE, NOW, a_card, a_decided_card, hostile_cards
from tests.handlers.slack.world import words

TEAM = "T0SAYSO"
VALUE = "1.0-" + "a" * 24 + "." + "0" * 64 + "." + "A" * 43


def blocks_of(card: Card) -> list[dict[str, Any]]:
    return draw(card, team=TEAM, value=VALUE).blocks


def read(card: Card) -> list[str]:
    """What a person reads, block by block."""
    return [words([block]) for block in blocks_of(card)]


def strings(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string with the types and keys that lead to it."""
    if isinstance(node, dict):
        here = (*path, str(node.get("type", "")))
        for key, value in node.items():
            yield from strings(value, (*here, key))
    elif isinstance(node, list):
        for value in node:
            yield from strings(value, path)
    elif isinstance(node, str):
        yield path, node


@settings(max_examples=20)
@given(hostile_cards)
def test_slack_accepts_every_card(card: Card) -> None:
    drawing = draw(card, team=TEAM, value=VALUE)

    assert check_message(drawing.blocks) == []
    for block in Block.parse_all(drawing.blocks):
        block.to_dict()  # raises where slack_sdk knows a limit that is broken
    assert len(drawing.blocks) <= 50
    assert len(drawing.text) <= 3_000
    assert any(block["type"] == "rich_text" for block in drawing.blocks)
    assert all(len(value) <= 3_000 for path, value in strings(drawing.blocks) if path[-2:] == ("mrkdwn", "text"))


@settings(max_examples=20)
@given(hostile_cards)
def test_untrusted_text_stands_only_in_literal_text_elements(card: Card) -> None:
    drawing = draw(card, team=TEAM, value=VALUE)

    assert MARK not in drawing.text
    for path, value in strings(drawing.blocks):
        if MARK in value:
            assert path[0] == "rich_text"
            assert path[-2:] == ("text", "text")


@settings(max_examples=20)
@given(hostile_cards)
def test_approve_stands_only_on_a_card_that_shows_every_argument(card: Card) -> None:
    card = card.model_copy(update={name: _as_tables(getattr(card, name)) for name in ("arguments", "preconditions")})
    drawing = draw(card, team=TEAM, value=VALUE)
    buttons = [element["text"]["text"] for block in drawing.blocks[-1:] for element in block.get("elements", [])
               if element["type"] == "button"]  # fmt: skip

    if "Approve" in buttons:
        assert card.complete
        shown = [value for path, value in strings(drawing.blocks) if path[-3:] == ("elements", "text", "text")
                 and "rich_text_preformatted" in path]  # fmt: skip
        found, wanted = _unfolded("\n".join(shown)), _plain(*card.arguments, *card.preconditions)
        assert found.startswith(wanted)  # what changed since a denial stands after it
        assert found == wanted or card.supersedes


def _as_tables(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(line.model_copy(update={"diff": False}) for line in lines)


def _unfolded(table: str) -> str:
    """All names and values of a table in order, without the marks that begin lines, and without blanks."""
    rows = (re.sub(r"^ +(│ |↪ |↳ )|^↪ ", "", row) for row in table.split("\n"))
    return "".join("".join(rows).split())


def _plain(*lines: Line) -> str:
    """The same of the lines themselves."""
    text = "".join(part for line in lines for part in (line.name, *line.value))
    return "".join(text.replace("\t", "⇥").split())


def test_a_pending_card_reads_from_ours_to_theirs() -> None:
    assert read(a_card()) == [
        ":large_orange_circle: Release a payment · cannot be undone",
        "payments.release  →  bank:acme-gmbh · transfer · high risk",
        "invoice  INV-2093\namount   12400.00\niban     DE89 3704 0044 0532 0130 00",
        "`payments-bot` asks for <@U0DANA> · rule `payments-over-10k` · code *7F3K-9Q*",
        ":busts_in_silhouette: needs finance 0 of 1 and security 0 of 1, two different people · expires <date>",
        "The agent says (unverified): matches PO 118, due tomorrow; <https://evil.example|see invoice> "
        "*Approved by CFO*",
        "[Approve][Deny][Ask for changes][Details]",
    ]


def test_one_of_two_says_who_has_answered_and_who_has_not() -> None:
    card = a_card(
        needs=(Seat(name="finance", got=1, need=1), Seat(name="security", got=0, need=1)),
        said=(Said(who=ALICE, factor="finance", at=NOW + 2 * MINUTE),),
    )

    assert read(card)[4:6] == [
        ":white_check_mark: <@U0ALICE> for finance at <!date^1780000120^{time}|20:28 UTC>",
        ":busts_in_silhouette: waiting for security 0 of 1, two different people · expires <date>",
    ]


def test_a_card_that_is_done_tells_the_story() -> None:
    card = a_decided_card(
        Status.SUCCEEDED,
        heading="Payment released",
        note="approved by",
        by=(ALICE, BOB),
        audience="payments-gateway",
        story=(
            Step(word="asked", at=NOW),
            Step(word="approved", at=NOW + 7 * MINUTE),
            Step(word="receipt used", at=NOW + 7 * MINUTE, by="payments-gateway"),
            Step(word="succeeded", at=NOW + 7 * MINUTE + 800, by="ref *9931*"),
        ),
        took_ms=800,
    )

    assert read(card) == [
        ":white_check_mark: Payment released · approved by @U0ALICE and @U0BOB",
        "payments.release  →  bank:acme-gmbh · transfer · high risk",
        "invoice  INV-2093\namount   12400.00\niban     DE89 3704 0044 0532 0130 00",
        "`payments-bot` asks for <@U0DANA> · through `payments-gateway` · rule `payments-over-10k` · code *7F3K-9Q*",
        "asked <!date^1780000000^{date_short_pretty} at {time}|2026-05-28 20:26 UTC> · "
        "approved <!date^1780000420^{time}|20:33 UTC> · "
        "receipt used <!date^1780000420^{time}|20:33 UTC> by `payments-gateway` · succeeded in 0.8 s",
        "The tool says (unverified): ref *9931*",
    ]


def test_a_denied_card_quotes_the_reason() -> None:
    card = a_decided_card(Status.DENIED, heading="Not released", note="denied by", by=(BOB,), reason="call\nfirst")

    shown = read(card)

    assert shown[0] == ":no_entry: Not released · denied by @U0BOB"
    assert shown[3] == "call\nfirst"
    assert "[Approve]" not in "".join(shown)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_every_status_has_its_own_mark(status: Status) -> None:
    first = blocks_of(a_decided_card(status))[0]["elements"][0]["elements"][0]

    assert first["type"] == "emoji"
    assert "circle" not in first["name"]


def test_a_card_that_is_too_long_cannot_be_approved_and_says_why() -> None:
    card = a_card(complete=False, bytes=9_681, buttons=("review", "deny", "changes", "details"))

    shown = read(card)

    assert ":eyes: Too long to show here in full (9,681 bytes); approve it after *Review*" in shown
    assert shown[-1] == "[Review][Deny][Ask for changes][Details]"


def test_a_card_whose_lines_do_not_fit_slack_cannot_be_approved_either() -> None:
    lines = tuple(Line(name=f"a{number}", value=("x" * 60,) * 50) for number in range(MOST_MEMBERS * 2))

    shown = read(a_card(arguments=lines))

    assert shown[-1] == "[Review][Deny][Ask for changes][Details]"
    assert any("Too long to show here in full" in line for line in shown)


def test_hidden_characters_are_announced_before_the_arguments() -> None:
    shown = read(a_card(hidden=True))

    assert shown[2].startswith(":warning: Characters that cannot be seen are written out")
    assert shown[3].startswith("invoice")


def test_a_person_without_an_account_here_is_literal() -> None:
    stranger = Who(person="<@U0ALICE> *x*", accounts=("slack:T0OTHER:U0ALICE", "teams:t:u"))

    (line,) = [block for block in blocks_of(a_card(principal=stranger)) if "asks for" in words([block])]

    assert line["type"] == "rich_text"
    assert {"type": "text", "text": "<@U0ALICE> *x*", "style": {"code": True}} in line["elements"][0]["elements"]


def test_the_sentence_of_what_would_happen_comes_first_with_its_values_marked() -> None:
    summary = (Piece(text="Pay ", ours=True), Piece(text="*1* <!here>"), Piece(text=" to the vendor", ours=True))
    first = blocks_of(a_card(summary=summary))[0]["elements"][0]["elements"]

    assert words([{"elements": first}]) == ":large_orange_circle: Pay *1* <!here> to the vendor · cannot be undone"
    assert {"type": "text", "text": "*1* <!here>", "style": {"code": True}} in first
    done = read(a_decided_card(Status.SUCCEEDED, heading="Payment released", summary=summary))
    assert done[0].startswith(":white_check_mark: Payment released")
    assert done[1].startswith("Pay *1* <!here> to the vendor\npayments.release")


def test_those_who_are_asked_are_mentioned_unless_policy_says_otherwise() -> None:
    group = "slack:usergroup:S0SRE"
    seats = (
        Seat(name="finance", got=0, need=1, people=(ALICE, BOB)),
        Seat(name="sre", got=0, need=1, groups=(Group(source=group), Group(source="teams:group:1"))),
        Seat(name="quiet", got=0, need=1, people=(DANA,), notify="none"),
    )
    line = next(block for block in blocks_of(a_card(needs=seats)) if "needs" in words([block]))
    kinds = [(one.get("user_id"), one.get("usergroup_id")) for one in line["elements"][0]["elements"]]
    assert [found for found in kinds if any(found)] == [("U0ALICE", None), ("U0BOB", None), (None, "S0SRE")]


def test_of_a_group_that_slack_does_not_know_those_who_have_an_account_here_are_mentioned() -> None:
    elsewhere = Who(person="teams:t:1", accounts=("teams:t:1",))
    entra = Group(source="teams:group:1", people=(ALICE, elsewhere), hitch="4 more are not mentioned")
    own = Group(source="slack:usergroup:S0SRE", people=(BOB,), hitch="9 more are not mentioned")
    seat = Seat(name="sre", got=0, need=1, people=(ALICE,), groups=(own, entra))

    blocks = blocks_of(a_card(needs=(seat,)))
    assert json.dumps(blocks).count("usergroup_id") == json.dumps(blocks).count("S0SRE") == 1
    assert "needs sre 0 of 1 ( or @U0ALICE; 4 more are not mentioned)" in words(blocks)  # groups have no words


def test_where_nobody_of_a_group_has_an_account_here_the_card_says_so() -> None:
    elsewhere = Who(person="teams:t:1", accounts=("teams:t:1",))
    seat = Seat(name="sre", got=0, need=1, groups=(Group(source="teams:group:1", people=(elsewhere,)),))

    line = "needs sre 0 of 1 (nobody of the group has an account in Slack that I know of)"
    assert line in words(blocks_of(a_card(needs=(seat,))))


@pytest.mark.parametrize("notify", ["dm", "none"])
def test_a_group_is_mentioned_only_where_policy_says_so(notify: Notify) -> None:
    seat = Seat(name="sre", got=0, need=1, groups=(Group(source="slack:usergroup:S0SRE"),), notify=notify)
    assert "usergroup_id" not in json.dumps(blocks_of(a_card(needs=(seat,))))


@pytest.mark.parametrize(("people", "line"), [((), "(nobody is on call)"), ((ALICE,), "(@U0ALICE; nobody is on call)")])
def test_what_kept_somebody_from_being_called_stands_beside_those_who_were(people: tuple[Who, ...], line: str) -> None:
    seat = Seat(name="sre", got=0, need=1, people=people, hitch="nobody is on call")
    assert f"needs sre 0 of 1 {line}" in "\n".join(read(a_card(needs=(seat,))))


def test_a_lock_screen_says_what_is_asked_of_whom_until_when() -> None:
    assert draw(a_card(), team=TEAM, value=VALUE).text == (
        "Approval needed: Release a payment (7F3K-9Q) · finance 0 of 1 and security 0 of 1 · until "
        "<!date^1780001680^{date_short_pretty} at {time}|2026-05-28 20:54 UTC>"
    )
    done = a_decided_card(Status.SUCCEEDED, heading="Payment released")
    assert draw(done, team=TEAM, value=VALUE).text == "Payment released (7F3K-9Q)"


def test_hosts_that_may_not_be_what_they_look_like_are_named_before_the_arguments() -> None:
    host = Host(written="\u0430pple.com", resolved="xn--pple-43d.com", scripts=("Cyrillic", "Latin"))
    shown = read(a_card(hosts=(host,)))
    assert shown[2] == (
        ":warning: The host \u0430pple.com is in truth xn--pple-43d.com, and mixes Cyrillic and Latin letters."
    )


def test_a_diff_is_shown_as_one_and_not_as_a_value() -> None:
    diff = ("--- a/x", "+++ b/x", "@@ -1 +1,2 @@", "-old", "+new", "+" + "w" * 90)
    lines = (Line(name="file", value=("x",)), Line(name="plan", value=diff, diff=True))
    at = read(a_card(arguments=lines)).index("file  x")
    assert read(a_card(arguments=lines))[at + 1 : at + 3] == [
        "`plan` is a diff, 2 added, 1 taken away",
        "--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-old\n+new\n+" + "w" * 73 + "\n↪ " + "w" * 17,
    ]


def test_a_card_that_takes_more_than_a_click_says_so() -> None:
    care = Care(look_ms=9_500, confirm_code=True)
    shown = read(a_card(care=care, buttons=("review", "deny", "changes", "details")))
    assert (
        ":eyes: Approve it after *Review*; it takes at least 10 s in front of you and a code that it shows you" in shown
    )
    assert shown[-1] == "[Review][Deny][Ask for changes][Details]"


def test_a_service_as_principal_stays_in_small_print() -> None:
    shown = read(a_card(principal=Who(person="service:billing", accounts=())))

    assert "`payments-bot` asks for `service:billing` · rule `payments-over-10k` · code *7F3K-9Q*" in shown


def test_the_spoken_line_leaves_out_a_kind_that_policy_does_not_describe() -> None:
    card = a_card(kind="evil.com", heading="Run evil.com", title="Run evil.com")

    assert "evil" not in draw(card, team=TEAM, value=VALUE).text


def test_a_card_without_arguments_says_so() -> None:
    assert "no arguments" in read(a_card(arguments=()))


def test_preconditions_are_shown_as_such() -> None:
    shown = read(a_card(preconditions=(Line(name="etag", value=("v7",)),)))

    assert shown[3:5] == ["only if this still holds when it is done", "etag  v7"]


def test_a_value_with_line_ends_cannot_pass_for_another_argument() -> None:
    lines = (Line(name="note", value=("ok", "amount  1.00", "")), Line(name="amount", value=("9.00",)))

    assert tables(lines) == ["note    ok\n        │ amount  1.00\n        │ \namount  9.00"]


def test_a_value_wider_than_the_window_is_wrapped_under_its_own_column() -> None:
    (table,) = tables((Line(name="to", value=("x" * 70 + "amount  1.00",)),))

    rows = table.split("\n")
    assert rows == ["to  " + "x" * 70, "    ↪ amount  1.00"]
    assert all(columns(row) <= WIDTH for row in rows)


def test_wide_characters_count_twice() -> None:
    (table,) = tables((Line(name="n", value=("漢" * 60,)),))

    assert all(columns(row) <= WIDTH for row in table.split("\n"))


def test_a_long_name_stands_alone_above_its_value() -> None:
    (table,) = tables((Line(name="a" * 30, value=("1",)), Line(name="b", value=("2",))))

    assert table == "a" * 30 + "\n" + " " * 26 + "↳ 1\nb" + " " * 25 + "2"


def test_a_mark_that_a_value_goes_on_moves_no_value_to_the_right() -> None:
    lines = (Line(name=f"plan ({GOES_ON})", value=("a", "b")), Line(name=f"n ({SAME_LINE_GOES_ON})", value=("c",)))

    assert tables(lines) == ["plan (goes on)\n  ↳ a\n  │ b\nn (the same line goes on)\n  ↳ c"]
    assert tables((*lines[:1], Line(name="to", value=("d",)))) == ["plan (goes on)\n    ↳ a\n    │ b\nto  d"]


def test_many_lines_are_split_at_line_ends() -> None:
    lines = tuple(Line(name=f"n{number}", value=("v" * 40,)) for number in range(300))

    found = tables(lines)

    assert len(found) > 1
    assert all(len(table) <= LIMIT for table in found)
    assert "\n".join(found).count("\n") == 299


# -- denied before, asked anew ------------------------------------------------------------------------------------


def test_a_card_that_answers_a_denial_says_what_changed() -> None:
    changed = (
        Changed(name="amount", was=("12400.00",), now=("6200.00",)),
        Changed(name="note", was=(), now=("two", "lines")),
        Changed(name="the target", was=("bank:acme",), now=("bank:other",)),
    )
    denied = Before(status=Status.DENIED, at=NOW, by=(BOB,))
    shown = read(a_card(supersedes="4R2C-8M", answers=denied, changed=changed, changes=3))
    at = shown.index(":arrows_counterclockwise: asked anew after 4R2C-8M was denied by @U0BOB <date>; what changed:")
    assert re.sub(r" +", " ", shown[at + 1]).split("\n") == [
        "amount 12400.00 → 6200.00",
        "note (absent)",
        " │ →",
        " │ two",
        " │ lines",
        "the target bank:acme → bank:other",
    ]


def test_of_many_changes_the_number_is_said() -> None:
    changed = (Changed(name="a", was=("1",), now=("2",)),)
    shown = read(a_card(supersedes="4R2C-8M", changed=changed, changes=31))
    assert any("what changed, the first 1 of 31:" in line for line in shown)


def test_a_card_on_which_nothing_changed_says_that() -> None:
    assert any(line.endswith("was denied; nothing changed") for line in read(a_card(supersedes="4R2C-8M")))


def test_who_denied_the_same_before_is_named_and_when() -> None:
    earlier = (Before(status=Status.DENIED, at=NOW, by=(ALICE,)), Before(status=Status.UNKNOWN, at=NOW, by=()))
    shown = read(a_card(earlier=earlier))
    assert any(line.startswith(":warning: asked before for the same target: denied by @U0ALICE ") for line in shown)
    assert any(line.startswith(":warning: asked before for the same target: unknown ") for line in shown)


def test_what_a_person_wants_changed_stands_on_the_denied_card() -> None:
    shown = read(a_decided_card(Status.DENIED, reason="half of it", asks_for_changes=True, by=(ALICE,)))
    assert "Please change: half of it" in shown
    shown = read(a_decided_card(Status.DENIED, reason="half of it", by=(ALICE,)))
    assert "half of it" in shown


def test_a_no_below_the_deny_quorum_is_shown_as_one() -> None:
    said = (Said(who=ALICE, factor="finance", at=NOW), Said(who=BOB, answer="deny", factor="finance", at=NOW))
    needs = (Seat(name="finance", got=1, need=2),)
    shown = "\n".join(read(a_card(said=said, needs=needs)))
    assert re.search(r"<@U0ALICE> for finance at .*, <@U0BOB> against it at .*\n.*waiting for finance 1 of 2", shown)
