"""The parts of our modals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from handlers.body import well_formed
from handlers.slack.elements import Json


def modal(form: str, title: str, blocks: Iterable[Json], *, close: str = "Close", carries: str = "") -> Json:
    """A modal without a button of its own; `carries` comes back with whatever is done in it: ids, never a secret."""
    view: Json = {
        "type": "modal",
        "callback_id": form,
        "title": plain_text(title),
        "close": plain_text(close),
        "blocks": list(blocks),
    }
    return view | {"private_metadata": carries} if carries else view


def plain_text(words: str) -> Json:
    """Words of ours where Slack wants plain text."""
    return {"type": "plain_text", "text": words, "emoji": False}


def actions(elements: Iterable[Json]) -> Json:
    """A row of buttons."""
    return {"type": "actions", "elements": list(elements)}


def button(label: str, action: str, *, value: str = "", style: str | None = None) -> Json:
    """A button; `value` is what it carries."""
    made: Json = {"type": "button", "text": plain_text(label), "action_id": action}
    return made | ({"value": value} if value else {}) | ({"style": style} if style else {})


def text_input(
    name: str,
    label: str,
    hint: str = "",
    *,
    longest: int,
    optional: bool = False,
    multiline: bool = True,
    focus: bool = False,
) -> Json:
    """A field to write in; `name` is its block and action id."""
    element: Json = {"type": "plain_text_input", "action_id": name, "max_length": longest, "multiline": multiline}
    return _input(name, label, hint, element | {"focus_on_load": focus}, optional)


def choice(name: str, label: str, hint: str, options: Sequence[str]) -> Json:
    """A menu of our words, none of which has to be chosen."""
    shown = [{"text": plain_text(_short(option, 75)), "value": _short(option, 150)} for option in options]
    element = {"type": "static_select", "action_id": name, "options": shown, "placeholder": plain_text("Choose …")}
    return _input(name, label, hint, element, True)


def entered(body: Mapping[str, Any], name: str) -> str:
    """What was written or chosen in a field of a submitted form; empty where nothing was."""
    state: Any = body
    for key in ("view", "state", "values", name, name):
        state = state.get(key) if isinstance(state, dict) else None
    if not isinstance(state, dict):
        return ""
    chosen = state.get("selected_option")
    value = chosen.get("value") if isinstance(chosen, dict) else state.get("value")
    return well_formed(value).strip() if isinstance(value, str) else ""


def _input(name: str, label: str, hint: str, element: Json, optional: bool) -> Json:
    return {
        "type": "input",
        "block_id": name,
        "optional": optional,
        "label": plain_text(label),
        "element": element,
        **({"hint": plain_text(hint)} if hint else {}),
    }


def _short(words: str, longest: int) -> str:
    return words if len(words) <= longest else f"{words[: longest - 1]}…"
