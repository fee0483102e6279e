"""Modals and home tabs: up to three modals stacked per person, one home per person."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.blocks import VIEW_BYTES, check_view, interactive_elements, view_bytes, with_ids
from sandbox.errors import InvalidPayload, NotOnScreen, SlackError
from sandbox.people import App
from sandbox.view_state import initial_value

Json = dict[str, Any]
STACK_DEPTH = 3


@dataclass
class View:
    """One modal or home tab as one person has it."""

    id: str
    user: str
    definition: Json
    root: str
    previous: str | None = None
    hash: str = ""
    values: Json = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """`modal` or `home`."""
        return str(self.definition["type"])

    @property
    def blocks(self) -> list[Json]:
        """The blocks, with their ids."""
        return list(self.definition["blocks"])


def checked(view: Any) -> Json:
    """The view if Slack would take it, with every id filled in; otherwise the error Slack would give."""
    if not isinstance(view, dict):
        raise InvalidPayload("invalid_arguments", ["must provide an object [json-pointer:/view]"])
    if view_bytes(view) > VIEW_BYTES:
        raise SlackError("view_too_large")
    if problems := check_view(view):
        raise InvalidPayload("invalid_arguments", [str(problem) for problem in problems])
    return {**view, "blocks": with_ids(view["blocks"])}


class Views:
    """Every open modal and every home tab of the workspace."""

    def __init__(self, team_id: str, app: App, now: Callable[[], float], changed: Callable[[str, str], None]) -> None:
        self._team_id = team_id
        self._app = app
        self._now = now
        self._changed = changed
        self._stacks: dict[str, list[View]] = {}
        self._homes: dict[str, View] = {}

    # ------------------------------------------------------------ what the app does

    def open(self, user: str, definition: Json) -> View:
        """Open a modal as the first of a new stack."""
        self._refuse_duplicate(definition)
        view = self._new(user, checked(definition))
        self._stacks[user] = [view]
        self._changed("views", user)
        return view

    def push(self, user: str, definition: Json) -> View:
        """Put a modal on top of the open one; at most three."""
        stack = self._stacks.get(user)
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= STACK_DEPTH:
            raise SlackError("push_limit_reached")
        self._refuse_duplicate(definition)
        view = self._new(user, checked(definition), stack[-1])
        stack.append(view)
        self._changed("views", user)
        return view

    def update(self, view: View, definition: Json, expected_hash: str | None = None) -> View:
        """Replace what a view shows; keeps the values of inputs whose block_id and action_id stay."""
        if expected_hash is not None and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        self._refuse_duplicate(definition, view)
        definition = checked(definition)
        view.definition = definition
        view.hash = self._fresh_hash()
        view.errors = {}
        view.values = _start_values(definition["blocks"], view.values)
        self._changed("home" if view.type == "home" else "views", view.user)
        return view

    def publish(self, user: str, definition: Json, expected_hash: str | None = None) -> View:
        """Set a person's home tab."""
        if known := self._homes.get(user):
            return self.update(known, definition, expected_hash)
        view = self._new(user, checked(definition))
        self._homes[user] = view
        self._changed("home", user)
        return view

    def _refuse_duplicate(self, definition: Any, besides: View | None = None) -> None:
        external = definition.get("external_id") if isinstance(definition, dict) else None
        for view in self._all():
            if external and view is not besides and view.definition.get("external_id") == external:
                raise SlackError("duplicate_external_id")

    # ------------------------------------------------------------ what people do

    def stack(self, user: str) -> list[View]:
        """The modals this person has open, the bottom one first."""
        return list(self._stacks.get(user, []))

    def home(self, user: str) -> View | None:
        """This person's home tab, if the app has published one."""
        return self._homes.get(user)

    def on_screen(self, user: str, view_id: str) -> View:
        """The view this person looks at; NotOnScreen if it is not the top one, or not theirs."""
        stack = self._stacks.get(user, [])
        if stack and stack[-1].id == view_id:
            return stack[-1]
        home = self._homes.get(user)
        if home and home.id == view_id:
            return home
        raise NotOnScreen(f"{user} does not have the view {view_id} in front")

    def pop(self, view: View) -> None:
        """Close the top modal and show the one beneath."""
        stack = self._stacks.get(view.user, [])
        self._stacks[view.user] = [other for other in stack if other.id != view.id]
        self._changed("views", view.user)

    def clear(self, user: str) -> list[View]:
        """Close every modal of this person and return what was open, the top one first."""
        closed = self._stacks.pop(user, [])
        self._changed("views", user)
        return closed[::-1]

    def show_errors(self, view: View, errors: dict[str, str]) -> None:
        """Show sentences beneath inputs."""
        view.errors = errors
        self._changed("views", view.user)

    # ------------------------------------------------------------ finding and showing

    def find(self, view_id: str = "", external_id: str = "") -> View:
        """The open modal or home with this id; SlackError not_found."""
        for view in self._all():
            if view_id and view.id == view_id:
                return view
            if external_id and view.definition.get("external_id") == external_id:
                return view
        raise SlackError("not_found")

    def _all(self) -> list[View]:
        return [view for stack in self._stacks.values() for view in stack] + list(self._homes.values())

    def _new(self, user: str, definition: Json, below: View | None = None) -> View:
        view_id = "V" + secrets.token_hex(5).upper()
        view = View(view_id, user, definition, below.root if below else view_id, below.id if below else None)
        view.hash = self._fresh_hash()
        view.values = _start_values(definition["blocks"], {})
        return view

    def _fresh_hash(self) -> str:
        return f"{int(self._now())}.{secrets.token_hex(4)}"

    def as_json(self, view: View) -> Json:
        """The view object of answers and payloads."""
        shown = view.definition
        app = self._app
        return {
            "id": view.id,
            "team_id": self._team_id,
            "type": view.type,
            "blocks": view.blocks,
            "private_metadata": shown.get("private_metadata", ""),
            "callback_id": shown.get("callback_id", ""),
            "state": {"values": json.loads(json.dumps(view.values))},
            "hash": view.hash,
            "title": shown.get("title"),
            "clear_on_close": shown.get("clear_on_close", False),
            "notify_on_close": shown.get("notify_on_close", False),
            "close": shown.get("close"),
            "submit": shown.get("submit"),
            "previous_view_id": view.previous,
            "root_view_id": view.root,
            "app_id": app.id,
            "external_id": shown.get("external_id", ""),
            "app_installed_team_id": self._team_id,
            "bot_id": app.bot_id,
        }


def _start_values(blocks: list[Json], kept: Json) -> Json:
    """The state a view starts with: kept values first, then what the app set as initial."""
    values: Json = {}
    for block, element in interactive_elements(blocks):
        start = kept.get(block["block_id"], {}).get(element["action_id"]) or initial_value(element)
        if start is not None and start["type"] == element["type"]:
            values.setdefault(block["block_id"], {})[element["action_id"]] = start
    return values
