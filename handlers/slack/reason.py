"""The forms in which somebody says why, why not, or what to change, and the notice that takes their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handlers.reasons import LONGEST, STANDS_IN_THE_RECORD, WHY_RIGHT
from handlers.slack.answers import Private
from handlers.slack.elements import Json
from handlers.slack.forms import choice, entered, modal, plain_text, text_input
from handlers.slack.press import Press

APPROVE_FORM = "sayso:approve-form"
DENY_FORM = "sayso:deny-form"
CHANGES_FORM = "sayso:changes-form"
PAUSE_FORM = "sayso:pause-form"
REASON = "sayso:reason"  #: block and action id of the input
PRESET = "sayso:preset"

Answer = Literal["approve", "deny", "changes"]
Form = Literal["approve", "deny", "changes", "pause"]


@dataclass(frozen=True)
class _Words:
    """What one of the forms says."""

    form: str
    title: str
    submit: str
    label: str
    hint: str
    optional: bool


_FORMS: Mapping[Form, _Words] = {
    "approve": _Words(
        APPROVE_FORM,
        "Approve this request",
        "Approve",
        WHY_RIGHT,
        STANDS_IN_THE_RECORD,
        optional=False,
    ),
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
    "pause": _Words(
        PAUSE_FORM,
        "Deny and pause",
        "Deny and pause",
        "What is wrong with this agent?",
        "Denies this and, if the policy lets you, all that the agent asks, until somebody else unfreezes it.",
        optional=False,
    ),
}


def form(press: Press, answer: Form, *, presets: Sequence[str] = (), needed: bool = False) -> Json:
    """The modal for an answer; it carries which button was pressed, and nothing else.

    `presets` are reasons of policy's that can be chosen; `needed` says that one or the other must be given.
    """
    words = _FORMS[answer]
    offered = presets[:100]
    optional = bool(offered) or (words.optional and not needed)
    hint = f"{words.hint} Choose a reason or write one." if offered and needed else words.hint
    field = text_input(REASON, words.label, hint, longest=LONGEST, optional=optional, focus=not offered)
    menu = [choice(PRESET, "Reason", "Add to it below, if there is more to say.", offered)] if offered else []
    view = modal(words.form, words.title, [*menu, field], close="Cancel", carries=press.carried())
    return view | {"submit": plain_text(words.submit)}


def notice(private: Private, title: str = "Nothing was counted") -> Json:
    """What the form turns into when there is nothing left to submit."""
    return modal("sayso:notice", title, private.blocks())


def reason_of(body: Mapping[str, Any]) -> str:
    """The reason of a submitted form: what was chosen, then what was written, at most as much as the form allows."""
    chosen, written = entered(body, PRESET)[:150], entered(body, REASON)[:LONGEST]
    return f"{chosen}: {written}" if chosen and written else chosen or written
