"""The form in which somebody who denies may say why, and the notice that takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.slack.answers import Private
from handlers.slack.elements import Json
from handlers.slack.press import Press

FORM = "sayso:deny-form"
REASON = "sayso:reason"  #: block and action id of the input
LONGEST = 500


def form(press: Press) -> Json:
    """The modal; it carries which button was pressed, and nothing else."""
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": press.carried(),
        "title": _plain("Deny this request"),
        "submit": _plain("Deny"),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": REASON,
                "optional": True,
                "label": _plain("Why not?"),
                "hint": _plain("Shown on the card and given to the agent, so that it does not ask the same again."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON,
                    "multiline": True,
                    "max_length": LONGEST,
                    "focus_on_load": True,
                },
            }
        ],
    }


def notice(private: Private) -> Json:
    """What the form turns into when there is nothing left to submit."""
    return {
        "type": "modal",
        "callback_id": "sayso:notice",
        "title": _plain("Nothing was counted"),
        "close": _plain("Close"),
        "blocks": private.blocks(),
    }


def reason_of(body: Mapping[str, Any]) -> str:
    """The reason of a submitted form, at most as long as the form allows; empty if none was given."""
    values: Any = body
    for key in ("view", "state", "values", REASON, REASON, "value"):
        values = values.get(key) if isinstance(values, dict) else None
    return values.strip()[:LONGEST] if isinstance(values, str) else ""


def _plain(words: str) -> Json:
    return {"type": "plain_text", "text": words, "emoji": False}
