"""Does Slack accept these blocks? The documented limits, and those that no published validator catches.

Sources: docs.slack.dev/reference/block-kit, @slack/types 3.2, slack_sdk.models 3.47. Where Slack documents no
limit, nothing is refused here.
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator
from typing import Any

from sandbox.block_rules import (
    Json,
    Problem,
    Report,
    Rule,
    Shape,
    any_of,
    anything,
    array,
    boolean,
    choice,
    integer,
    one_of,
    plain,
    string,
    text,
    unique,
)

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
VIEW_BYTES = 250_000
MARKDOWN_SUM = 12_000

IDENTIFIER = string(255, 1)

# ---------------------------------------------------------------- composition objects

CONFIRM = Shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": choice("primary", "danger")},
)


def _option(label: Rule) -> Shape:
    optional: dict[str, Rule] = {"description": text(75), "url": string(3000)}
    return Shape({"text": label, "value": string(150, 1)}, optional)


OPTION = _option(plain(75))
RICH_OPTION = _option(text(75))
OPTIONS = array(OPTION, 1, 100)
OPTION_GROUPS = array(Shape({"label": plain(75), "options": OPTIONS}), 1, 100)
PLACEHOLDER = plain(150)

# ---------------------------------------------------------------- elements


def _interactive(required: dict[str, Rule] | None = None, **optional: Rule) -> Shape:
    common: dict[str, Rule] = {"action_id": IDENTIFIER, "confirm": CONFIRM}
    return Shape(required or {}, common | optional)


def _input(required: dict[str, Rule] | None = None, **optional: Rule) -> Shape:
    common: dict[str, Rule] = {"focus_on_load": boolean, "placeholder": PLACEHOLDER}
    return _interactive(required, **common, **optional)


def _typed_input(**optional: Rule) -> Shape:
    common: dict[str, Rule] = {"dispatch_action_config": anything, "initial_value": string(3000)}
    return _input(None, **common, **optional)


BUTTON = _interactive(
    {"text": plain(75)},
    url=string(3000),
    value=string(2000),
    style=choice("primary", "danger"),
    accessibility_label=string(75),
    visible_to_user_ids=anything,
    agent_prompt=string(4000),
)
IMAGE_ELEMENT = Shape({"alt_text": string(2000, 1)}, {"image_url": string(3000, 1), "slack_file": anything})

_CHOICES: dict[str, Shape] = {
    "button": BUTTON,
    "workflow_button": _interactive({"text": plain(75), "workflow": anything}, style=choice("primary", "danger")),
    "overflow": _interactive({"options": array(OPTION, 1, 5)}),
    "checkboxes": _input({"options": array(RICH_OPTION, 1, 10)}, initial_options=array(RICH_OPTION, 1, 10)),
    "radio_buttons": _input({"options": array(RICH_OPTION, 1, 10)}, initial_option=RICH_OPTION),
    "datepicker": _input(initial_date=string(10)),
    "timepicker": _input(initial_time=string(5), timezone=anything),
    "datetimepicker": _input(initial_date_time=anything),
    "static_select": Shape(
        {},
        {
            **_input(initial_option=OPTION).optional,
            "options": OPTIONS,
            "option_groups": OPTION_GROUPS,
        },
        (any_of("options", "option_groups"),),
    ),
    "multi_static_select": Shape(
        {},
        {
            **_input(initial_options=array(OPTION, 0, 100), max_selected_items=integer(1, 100)).optional,
            "options": OPTIONS,
            "option_groups": OPTION_GROUPS,
        },
        (any_of("options", "option_groups"),),
    ),
    "external_select": _input(initial_option=OPTION, min_query_length=integer(0, 3000)),
    "users_select": _input(initial_user=string(64)),
    "conversations_select": _input(
        initial_conversation=string(64),
        default_to_current_conversation=boolean,
        response_url_enabled=boolean,
        filter=anything,
    ),
    "channels_select": _input(initial_channel=string(64), response_url_enabled=boolean),
    "multi_users_select": _input(initial_users=anything, max_selected_items=integer(1, 100)),
    "multi_conversations_select": _input(
        initial_conversations=anything, max_selected_items=integer(1, 100), filter=anything
    ),
    "multi_channels_select": _input(initial_channels=anything, max_selected_items=integer(1, 100)),
}
_TYPED: dict[str, Shape] = {
    "plain_text_input": _typed_input(multiline=boolean, min_length=integer(0, 3000), max_length=integer(1, 3000)),
    "email_text_input": _typed_input(),
    "url_text_input": _typed_input(),
    "number_input": _typed_input(is_decimal_allowed=boolean, min_value=anything, max_value=anything),
    "rich_text_input": _input(initial_value=anything, dispatch_action_config=anything),
    "file_input": _input(filetypes=anything, max_files=integer(1, 10)),
}
_NOT_INPUTS = {"button", "workflow_button", "overflow"}
ELEMENTS = {**_CHOICES, **_TYPED, "image": IMAGE_ELEMENT}

# ---------------------------------------------------------------- rich text

_STYLE = Shape(
    {},
    dict.fromkeys(
        ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"), boolean
    ),
)
_STYLED: dict[str, Rule] = {"style": _STYLE}
_INLINE = {
    "text": Shape({"text": string(1_000_000, 1)}, _STYLED),
    "link": Shape({"url": string(3000, 1)}, {"text": string(1_000_000), "unsafe": boolean, **_STYLED}),
    "user": Shape({"user_id": string(64, 1)}, _STYLED),
    "usergroup": Shape({"usergroup_id": string(64, 1)}, _STYLED),
    "channel": Shape({"channel_id": string(64, 1)}, _STYLED),
    "team": Shape({"team_id": string(64, 1)}, _STYLED),
    "broadcast": Shape({"range": choice("here", "channel", "everyone")}, _STYLED),
    "emoji": Shape({"name": string(255, 1)}, {"unicode": anything, "skin_tone": anything, "url": anything, **_STYLED}),
    "color": Shape({"value": string(64, 1)}, _STYLED),
    "date": Shape(
        {"timestamp": anything, "format": string(255, 1)}, {"url": anything, "fallback": string(3000), **_STYLED}
    ),
}
_RUN = array(one_of(_INLINE), 0, 10_000)
_RICH = {
    "rich_text_section": Shape({"elements": _RUN}),
    "rich_text_preformatted": Shape(
        {"elements": array(one_of(_INLINE, "text", "link"), 1, 10_000)}, {"border": anything, "language": anything}
    ),
    "rich_text_quote": Shape({"elements": _RUN}, {"border": anything}),
    "rich_text_list": Shape(
        {
            "style": choice("bullet", "ordered"),
            "elements": array(one_of({"rich_text_section": Shape({"elements": _RUN})}), 1, 10_000),
        },
        {"indent": integer(0, 8), "border": anything, "offset": anything},
    ),
}


def _no_empty_run(report: Report, at: str, value: Any) -> None:
    """Rich text in which nothing would be drawn is refused."""
    elements = value.get("elements")
    if isinstance(elements, list) and not any(isinstance(item, dict) and item.get("elements") for item in elements):
        report.add(f"{at}/elements", "no fewer than 1 items required")


RICH_TEXT = Shape({"elements": array(one_of(_RICH), 1, 10_000)}, {"block_id": IDENTIFIER}, (_no_empty_run,))

# ---------------------------------------------------------------- blocks


def _block(required: dict[str, Rule] | None = None, *whole: Rule, **optional: Rule) -> Shape:
    return Shape(required or {}, {"block_id": IDENTIFIER} | optional, whole)


_same_action = unique("action_id", lambda block: block.get("elements") or [], "element")

_CELL = one_of(
    {"raw_text": Shape({"text": string(1_000_000)}), "rich_text": RICH_TEXT, "raw_number": Shape({"value": anything})}
)
_CHILDREN = ("section", "divider", "header", "image", "context", "actions", "rich_text", "markdown", "table", "alert")


def _children(report: Report, at: str, value: Any) -> None:
    array(one_of(BLOCKS, *_CHILDREN), 1, 10)(report, at, value)


BLOCKS: dict[str, Shape] = {
    "section": _block(
        None,
        any_of("text", "fields"),
        text=text(3000),
        fields=array(text(2000), 1, 10),
        accessory=one_of({**_CHOICES, "image": IMAGE_ELEMENT}),
        expand=boolean,
    ),
    "divider": _block(),
    "header": _block({"text": plain(150)}, level=integer(1, 4)),
    "context": _block(
        {
            "elements": array(
                one_of(
                    {
                        "image": IMAGE_ELEMENT,
                        "plain_text": Shape({"text": string(3000, 1)}, {"emoji": boolean}),
                        "mrkdwn": Shape({"text": string(3000, 1)}, {"verbatim": boolean}),
                    }
                ),
                1,
                10,
            )
        }
    ),
    "actions": _block({"elements": array(one_of(_CHOICES), 1, 25)}, _same_action),
    "image": _block(
        {"alt_text": string(2000, 1)},
        any_of("image_url", "slack_file"),
        image_url=string(3000, 1),
        slack_file=anything,
        title=plain(2000),
    ),
    "input": _block(
        {
            "label": plain(2000),
            "element": one_of({**{k: v for k, v in _CHOICES.items() if k not in _NOT_INPUTS}, **_TYPED}),
        },
        hint=plain(2000),
        optional=boolean,
        dispatch_action=boolean,
    ),
    "rich_text": RICH_TEXT,
    "markdown": _block({"text": string(MARKDOWN_SUM, 1)}),
    "table": _block({"rows": array(array(_CELL, 1, 20), 1, 100)}, column_settings=array(anything, 0, 20)),
    "alert": _block({"text": text(3000)}, level=choice("default", "info", "warning", "error", "success")),
    "container": _block(
        {"child_blocks": _children},
        any_of("title", "rich_text_title"),
        title=plain(150),
        rich_text_title=RICH_TEXT,
        subtitle=text(150),
        width=choice("narrow", "standard", "wide", "full"),
        icon=IMAGE_ELEMENT,
        is_collapsible=boolean,
        default_collapsed=boolean,
        has_header_divider=boolean,
    ),
    "card": _block(
        None,
        any_of("hero_image", "title", "actions", "body"),
        title=text(150),
        subtitle=text(150),
        body=text(200),
        hero_image=IMAGE_ELEMENT,
        icon=IMAGE_ELEMENT,
        actions=array(one_of({"button": BUTTON}), 1, 5),
    ),
}
_ONLY_IN_MESSAGES = {"markdown", "table"}

# ---------------------------------------------------------------- whole messages and views


def check_message(blocks: Any) -> list[Problem]:
    """What Slack would refuse in a message's blocks; empty means accepted."""
    report = Report()
    array(one_of(BLOCKS), 0, MESSAGE_BLOCKS)(report, "/blocks", blocks)
    if isinstance(blocks, list):
        _check_together(report, blocks, "/blocks")
        _check_sums(report, blocks)
    return report.problems


def _check_together(report: Report, blocks: list[Any], at: str) -> None:
    unique("block_id", lambda _: blocks, "block")(report, at, {})


def _check_sums(report: Report, blocks: list[Any]) -> None:
    kinds = [block for block in blocks if isinstance(block, dict)]
    markdown = sum(len(str(block.get("text", ""))) for block in kinds if block.get("type") == "markdown")
    if markdown > MARKDOWN_SUM:
        report.add("/blocks", f"markdown blocks must be less than {MARKDOWN_SUM + 1} characters in sum")
    if sum(block.get("type") == "table" for block in kinds) > 1:
        report.add("/blocks", "only_one_table_allowed")


_VIEW = {
    "private_metadata": string(3000),
    "callback_id": string(255),
    "external_id": string(255),
    "blocks": array(one_of({k: v for k, v in BLOCKS.items() if k not in _ONLY_IN_MESSAGES}), 0, VIEW_BLOCKS),
}
_VIEWS = {
    "modal": Shape(
        {"title": plain(24), "blocks": _VIEW["blocks"]},
        {
            **_VIEW,
            "submit": plain(24),
            "close": plain(24),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
    "home": Shape({"blocks": _VIEW["blocks"]}, _VIEW),
}


def check_view(view: Any) -> list[Problem]:
    """What Slack would refuse in a modal or a home view; empty means accepted."""
    report = Report()
    one_of(_VIEWS)(report, "/view", view)
    blocks = view.get("blocks") if isinstance(view, dict) else None
    if isinstance(blocks, list):
        _check_together(report, blocks, "/view/blocks")
        has_input = any(isinstance(block, dict) and block.get("type") == "input" for block in blocks)
        if has_input and view.get("type") == "modal" and not view.get("submit"):
            report.add("/view", "missing required field: submit (a modal with an input block needs one)")
    return report.problems


def view_bytes(view: Json) -> int:
    """The size that `view_too_large` is about."""
    return len(json.dumps(view, ensure_ascii=False).encode())


# ---------------------------------------------------------------- reading blocks


def with_ids(blocks: list[Json]) -> list[Json]:
    """A copy in which every block has a block_id and every interactive element an action_id, as Slack adds them."""
    named = copy.deepcopy(blocks)
    for block in named:
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        for child in block.get("child_blocks", []):
            child.setdefault("block_id", secrets.token_urlsafe(4)[:5])
    for _, element in interactive_elements(named):
        element.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    return named


def interactive_elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every (block, element) that a person can use, in the order of the screen."""
    for block in blocks:
        yield from interactive_elements(block.get("child_blocks") or [])
        for element in _elements_of(block):
            if isinstance(element, dict) and element.get("type") in ELEMENTS and element["type"] != "image":
                yield block, element


def _elements_of(block: Json) -> list[Any]:
    if block.get("type") == "input":
        return [block.get("element")]
    if block.get("type") == "section":
        return [block.get("accessory")]
    if block.get("type") == "card":
        return list(block.get("actions") or [])
    return list(block.get("elements") or []) if block.get("type") == "actions" else []
