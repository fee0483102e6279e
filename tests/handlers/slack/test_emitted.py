"""Every message and view that we send: what Slack's own types, its SDK and its documented limits say to it.

None of the three knows everything: the types no lengths, the SDK no wrong fields, and neither of them what holds for a
whole message (sandbox/blocks.py).
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from approvals.commands.typed import PARSERS
from approvals.lifecycle import Status
from handlers.slack.forms import modal
from handlers.slack.reason import APPROVE_FORM, CHANGES_FORM, DENY_FORM, PAUSE_FORM
from handlers.slack.replies import ASK_FORM, SCREEN
from handlers.slack.review import REVIEW_FORM
from sandbox.blocks import VIEW_BYTES, check_message, check_view, view_bytes
from tests.handlers.slack import emitted
from tests.handlers.slack.answered import TYPED, Told
from tests.handlers.slack.cards import MARK
from tests.handlers.slack.test_blocks import strings
from tests.node import NODE, needs, node

Json = dict[str, Any]
T = TypeVar("T")
#: Every view of ours: a form that is added stands here too.
FORMS = {"home", "sayso:loading", "sayso:notice", SCREEN, ASK_FORM, REVIEW_FORM}
FORMS |= {APPROVE_FORM, DENY_FORM, CHANGES_FORM, PAUSE_FORM}
_TYPES = {"home": "HomeView", "modal": "ModalView"}


@cache
def told() -> Told:
    return emitted.told(6)


@cache
def all_messages() -> list[list[Json]]:
    return _different([*emitted.messages(24), *emitted.answer_messages(told())])


@cache
def all_views() -> list[Json]:
    return _different([*emitted.views(10), *emitted.answer_views(told())])


def _different(payloads: list[T]) -> list[T]:
    """Each payload once."""
    return list({json.dumps(one): one for one in payloads}.values())


def test_every_command_is_tried_on_requests_in_every_state() -> None:
    assert TYPED.keys() == PARSERS.keys()
    assert told().statuses == set(Status) - {Status.FAILED, Status.WITHDRAWN, Status.REVOKED}


def test_every_form_and_the_home_tab_are_among_the_views() -> None:
    found = {view["type"] if view["type"] == "home" else view["callback_id"] for view in all_views()}
    assert found == FORMS


def test_slacks_limits_and_its_sdk_take_every_message() -> None:
    for blocks in all_messages():
        assert check_message(blocks) == []
        for block in Block.parse_all(blocks):
            block.to_dict()
        assert sum(len(value) for path, value in strings(blocks) if path[-1] == "text") <= 13_000


def test_slacks_limits_and_its_sdk_take_every_view() -> None:
    for view in all_views():
        assert check_view(view) == []
        View(**view).to_dict()
        assert view_bytes(view) <= VIEW_BYTES
        assert len(json.dumps(view)) <= VIEW_BYTES


def test_what_is_not_ours_stands_in_literal_text_alone() -> None:
    found = 0
    for payload in (*all_messages(), *all_views()):
        for path, value in strings(payload):
            if MARK in value:
                found += 1
                assert path[-2:] == ("button", "value") or ("rich_text" in path and path[-2:] == ("text", "text")), path
    assert found > 500


def test_no_view_carries_more_than_ids() -> None:
    for view in all_views():
        held = view.get("private_metadata", "")
        assert len(held) < 400
        assert MARK not in held


@needs("typescript")
def test_slacks_own_types_take_every_message_and_every_view(tmp_path: Path) -> None:
    assert _compiled(tmp_path, all_messages(), all_views()) == ""


@needs("typescript")
def test_slacks_own_types_find_what_is_wrong(tmp_path: Path) -> None:
    wrong: Json = modal("x", "X", [{"type": "context", "elements": [{"type": "rich_text", "elements": []}]}])
    assert "error TS2322" in _compiled(tmp_path, [], [wrong])


def _compiled(folder: Path, messages: list[list[Json]], views: list[Json]) -> str:
    """What the compiler says to these payloads, written down as constants of Slack's types."""
    lines = ['import type { HomeView, KnownBlock, ModalView } from "@slack/types";']
    lines += [f"export const m{at}: KnownBlock[] = {json.dumps(blocks)};" for at, blocks in enumerate(messages)]
    lines += [f"export const v{at}: {_TYPES[view['type']]} = {json.dumps(view)};" for at, view in enumerate(views)]
    (folder / "payloads.ts").write_text("\n".join(lines))
    (folder / "node_modules").symlink_to(NODE)
    command = [node(), str(NODE / "typescript/bin/tsc"), "--noEmit", "--strict", "--skipLibCheck", "payloads.ts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout
