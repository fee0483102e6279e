"""The Block Kit check: every documented limit on the edge, and what no published validator catches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.blocks import check_message, check_view, interactive_elements, with_ids

Json = dict[str, Any]
CARDS = sorted((Path(__file__).parent / "cards").glob("*.json"))


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def button(**change: Any) -> Json:
    return {"type": "button", "action_id": "a", "text": plain("Go")} | change


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def section(**fields: Any) -> Json:
    return {"type": "section", **fields}


def preformatted(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": list(elements)}]}


def numbered(count: int) -> list[Json]:
    return [button(action_id=f"a{number}") for number in range(count)]


def confirm(**change: Any) -> Json:
    return {"title": plain("Sure?"), "text": mrkdwn("x"), "confirm": plain("Yes"), "deny": plain("No")} | change


def options(count: int) -> list[Json]:
    return [{"text": plain("o"), "value": str(number)} for number in range(count)]


DIVIDER: Json = {"type": "divider"}
CELL: Json = {"type": "raw_text", "text": "x"}

#: (what is on the edge and accepted, what is one too much and refused, where)
EDGES: dict[str, tuple[list[Json], list[Json], str]] = {
    "50 blocks": ([DIVIDER] * 50, [DIVIDER] * 51, "/blocks"),
    "section text 3000": (
        [section(text=mrkdwn("x" * 3000))],
        [section(text=mrkdwn("x" * 3001))],
        "/blocks/0/text/text",
    ),
    "section field 2000": (
        [section(fields=[mrkdwn("x" * 2000)])],
        [section(fields=[mrkdwn("x" * 2001)])],
        "/blocks/0/fields/0/text",
    ),
    "10 fields": (
        [section(fields=[mrkdwn("x")] * 10)],
        [section(fields=[mrkdwn("x")] * 11)],
        "/blocks/0/fields",
    ),
    "header 150": (
        [{"type": "header", "text": plain("x" * 150)}],
        [{"type": "header", "text": plain("x" * 151)}],
        "/blocks/0/text/text",
    ),
    "context 10": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "/blocks/0/elements",
    ),
    "actions 25": ([actions(*numbered(25))], [actions(*numbered(26))], "/blocks/0/elements"),
    "button text 75": (
        [actions(button(text=plain("x" * 75)))],
        [actions(button(text=plain("x" * 76)))],
        "/blocks/0/elements/0/text/text",
    ),
    "button value 2000": (
        [actions(button(value="x" * 2000))],
        [actions(button(value="x" * 2001))],
        "/blocks/0/elements/0/value",
    ),
    "button url 3000": (
        [actions(button(url="x" * 3000))],
        [actions(button(url="x" * 3001))],
        "/blocks/0/elements/0/url",
    ),
    "action_id 255": (
        [actions(button(action_id="x" * 255))],
        [actions(button(action_id="x" * 256))],
        "/blocks/0/elements/0/action_id",
    ),
    "block_id 255": (
        [{**DIVIDER, "block_id": "x" * 255}],
        [{**DIVIDER, "block_id": "x" * 256}],
        "/blocks/0/block_id",
    ),
    "confirm title 100": (
        [actions(button(confirm=confirm(title=plain("x" * 100))))],
        [actions(button(confirm=confirm(title=plain("x" * 101))))],
        "/blocks/0/elements/0/confirm/title/text",
    ),
    "confirm text 300": (
        [actions(button(confirm=confirm(text=plain("x" * 300))))],
        [actions(button(confirm=confirm(text=plain("x" * 301))))],
        "/blocks/0/elements/0/confirm/text/text",
    ),
    "confirm button 30": (
        [actions(button(confirm=confirm(deny=plain("x" * 30))))],
        [actions(button(confirm=confirm(deny=plain("x" * 31))))],
        "/blocks/0/elements/0/confirm/deny/text",
    ),
    "100 options": (
        [actions({"type": "static_select", "options": options(100)})],
        [actions({"type": "static_select", "options": options(101)})],
        "/blocks/0/elements/0/options",
    ),
    "5 in an overflow": (
        [actions({"type": "overflow", "options": options(5)})],
        [actions({"type": "overflow", "options": options(6)})],
        "/blocks/0/elements/0/options",
    ),
    "markdown 12000 in sum": (
        [{"type": "markdown", "text": "x" * 6000}] * 2,
        [{"type": "markdown", "text": "x" * 6001}] * 2,
        "/blocks",
    ),
    "table 100 rows": (
        [{"type": "table", "rows": [[CELL]] * 100}],
        [{"type": "table", "rows": [[CELL]] * 101}],
        "/blocks/0/rows",
    ),
    "table 20 columns": (
        [{"type": "table", "rows": [[CELL] * 20]}],
        [{"type": "table", "rows": [[CELL] * 21]}],
        "/blocks/0/rows/0",
    ),
    "one table": (
        [{"type": "table", "rows": [[CELL]]}],
        [{"type": "table", "rows": [[CELL]]}] * 2,
        "/blocks",
    ),
    "alert level": (
        [{"type": "alert", "text": plain("x"), "level": "warning"}],
        [{"type": "alert", "text": plain("x"), "level": "panic"}],
        "/blocks/0/level",
    ),
    "container of 10": (
        [{"type": "container", "title": plain("x"), "child_blocks": [DIVIDER] * 10}],
        [{"type": "container", "title": plain("x"), "child_blocks": [DIVIDER] * 11}],
        "/blocks/0/child_blocks",
    ),
    "card body 200": (
        [{"type": "card", "body": plain("x" * 200)}],
        [{"type": "card", "body": plain("x" * 201)}],
        "/blocks/0/body/text",
    ),
    "style": (
        [actions(button(style="danger"))],
        [actions(button(style="loud"))],
        "/blocks/0/elements/0/style",
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_limit_is_kept_to_the_character(name: str) -> None:
    accepted, refused, at = EDGES[name]
    assert check_message(accepted) == []
    assert [problem.pointer for problem in check_message(refused)] == [at]


REFUSED: dict[str, tuple[list[Any], str]] = {
    "an empty header": ([{"type": "header", "text": plain("")}], "/blocks/0/text/text"),
    "mrkdwn where plain text belongs": ([{"type": "header", "text": mrkdwn("x")}], "/blocks/0/text/type"),
    "mrkdwn in a button": ([actions(button(text=mrkdwn("x")))], "/blocks/0/elements/0/text/type"),
    "one action_id twice in a block": ([actions(button(), button())], "/blocks/0"),
    "one block_id twice": ([{**DIVIDER, "block_id": "b"}, {**DIVIDER, "block_id": "b"}], "/blocks"),
    "an unknown block": ([{"type": "hologram"}], "/blocks/0/type"),
    "an unknown field": ([section(text=plain("x"), colour="red")], "/blocks/0"),
    "a wrong type": ([section(text=plain("x"), expand="yes")], "/blocks/0/expand"),
    "a section of nothing": ([section()], "/blocks/0"),
    "no actions": ([actions()], "/blocks/0/elements"),
    "an empty rich text": ([{"type": "rich_text", "elements": []}], "/blocks/0/elements"),
    "a rich text without content": (
        [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]}],
        "/blocks/0/elements",
    ),
    "a mention in preformatted text": (
        [preformatted({"type": "text", "text": "x"}, {"type": "user", "user_id": "U1"})],
        "/blocks/0/elements/0/elements/1/type",
    ),
    "no text in a text element": (
        [preformatted({"type": "text", "text": ""})],
        "/blocks/0/elements/0/elements/0/text",
    ),
    "an image without words": ([{"type": "image", "image_url": "https://x.example/a.png"}], "/blocks/0"),
    "something that is no block": (["text"], "/blocks/0"),
    "a block without type": ([{"text": "x"}], "/blocks/0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_slack_refuses_is_found_and_pointed_at(name: str) -> None:
    blocks, at = REFUSED[name]
    assert at in [problem.pointer for problem in check_message(blocks)]


def test_blocks_must_be_a_list() -> None:
    assert [problem.pointer for problem in check_message({"type": "section"})] == ["/blocks"]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_the_cards_are_accepted(path: Path) -> None:
    blocks = json.loads(path.read_text())["blocks"]
    assert check_message(blocks) == []


def test_there_are_six_cards() -> None:
    assert len(CARDS) == 6


INPUT: Json = {"type": "input", "label": plain("Why?"), "element": {"type": "plain_text_input", "action_id": "t"}}


def modal(**change: Any) -> Json:
    return {"type": "modal", "title": plain("T"), "submit": plain("Go"), "blocks": [INPUT]} | change


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"title": plain("x" * 25)}, "/view/title/text"),
        ({"submit": plain("x" * 25)}, "/view/submit/text"),
        ({"close": plain("x" * 25)}, "/view/close/text"),
        ({"private_metadata": "x" * 3001}, "/view/private_metadata"),
        ({"callback_id": "x" * 256}, "/view/callback_id"),
        ({"external_id": "x" * 256}, "/view/external_id"),
        ({"blocks": [DIVIDER] * 101}, "/view/blocks"),
        ({"submit": None}, "/view"),
        ({"title": None}, "/view"),
        ({"type": "window"}, "/view/type"),
        ({"blocks": [{"type": "table", "rows": [[CELL]]}]}, "/view/blocks/0/type"),
        ({"blocks": [INPUT | {"label": plain("x" * 2001)}]}, "/view/blocks/0/label/text"),
        ({"blocks": [INPUT | {"hint": plain("x" * 2001)}]}, "/view/blocks/0/hint/text"),
        ({"blocks": [INPUT | {"element": button()}]}, "/view/blocks/0/element/type"),
    ],
)
def test_a_view_on_the_wrong_side_of_a_limit_is_refused(change: Json, at: str) -> None:
    assert check_view(modal()) == []
    assert at in [problem.pointer for problem in check_view(modal(**change))]


def test_a_modal_may_have_a_hundred_blocks() -> None:
    assert check_view(modal(blocks=[DIVIDER] * 100)) == []


def test_missing_ids_are_filled_in_and_given_ones_kept() -> None:
    blocks = [actions({"type": "button", "text": plain("x")}), {**DIVIDER, "block_id": "mine"}]
    named = with_ids(blocks)
    assert named[0]["block_id"]
    assert named[0]["elements"][0]["action_id"]
    assert named[1]["block_id"] == "mine"
    assert "block_id" not in blocks[0]


def test_everything_one_can_click_is_found_in_order() -> None:
    blocks = [
        section(text=plain("x"), accessory=button(action_id="one")),
        {"type": "container", "title": plain("x"), "child_blocks": [actions(button(action_id="two"))]},
        {"type": "card", "body": plain("x"), "actions": [button(action_id="three")]},
        INPUT,
    ]
    assert [element["action_id"] for _, element in interactive_elements(blocks)] == ["one", "two", "three", "t"]
