"""The forms in which somebody says why not, or what to change, and the notice that takes their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from handlers.slack.answers import Private
from handlers.slack.elements import Json
from handlers.slack.press import Press

DENY_FORM = "sayso:deny-form"
CHANGES_FORM = "sayso:changes-form"
REASON = "sayso:reason"  #: block and action id of the input
LONGEST = 500


@dataclass(frozen=True)
class _Words:
    """What one of the forms says."""

    form: str
    title: str
    submit: str
    label: str
    hint: str
    optional: bool


_FORMS: Mapping[str, _Words] = {
    "deny": _Words(
        DENY_FORM,
        "Deny this request",
        "Deny",
        "Why not?",
        "Shown on the card and given to the agent, so that it does not ask the same again.",
        optional=True,
    ),
    "changes": _Words(
        CHANGES_FORM,
        "Ask for changes",
        "Deny, and ask",
        "What should be different?",
        "This denies the request. The agent gets your words and may ask again with the change.",
        optional=False,
    ),
}


def form(press: Press, answer: Literal["deny", "changes"]) -> Json:
    """The modal for an answer; it carries which button was pressed, and nothing else."""
    words = _FORMS[answer]
    return {
        "type": "modal",
        "callback_id": words.form,
        "private_metadata": press.carried(),
        "title": _plain(words.title),
        "submit": _plain(words.submit),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": REASON,
                "optional": words.optional,
                "label": _plain(words.label),
                "hint": _plain(words.hint),
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
