"""What a person typed or chose, in the shape Slack sends it: state.values and actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.errors import IncompleteForm, NotOnScreen

Json = dict[str, Any]

#: type → (the field of the value, the field of the initial value)
FIELDS = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "overflow": ("selected_option", ""),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_static_select": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
}
_MANY = {"selected_options"}


def initial_value(element: Json) -> Json | None:
    """The state of an untouched element; None for buttons, which have none."""
    known = FIELDS.get(element["type"])
    if known is None or element["type"] == "overflow":
        return None
    value_field, initial_field = known
    nothing: Any = [] if value_field in _MANY else None
    return {"type": element["type"], value_field: element.get(initial_field, nothing)}


def entered(element: Json, given: Any) -> Json:
    """The state after a person entered `given`: a string, or for lists of choices a list of strings."""
    value_field, _ = FIELDS[element["type"]]
    if value_field == "selected_option":
        given = None if given is None else _option(element, given)
    elif value_field == "selected_options":
        given = [_option(element, value) for value in given or []]
    elif given == "":
        given = None
    return {"type": element["type"], value_field: given}


def _option(element: Json, value: Any) -> Json:
    """The option with this value; people can only choose what is offered."""
    grouped = [option for group in element.get("option_groups", []) for option in group["options"]]
    for option in [*element.get("options", []), *grouped]:
        if option["value"] == value:
            return dict(option)
    raise NotOnScreen(f"no option {value!r} in {element.get('action_id')}")


def complete(blocks: list[Json], values: Mapping[str, Json]) -> None:
    """What Slack's client checks before it submits; IncompleteForm names every input that is not right."""
    errors: dict[str, str] = {}
    for block in blocks:
        if block["type"] == "input":
            element = block["element"]
            state = values.get(block["block_id"], {}).get(element["action_id"], {})
            if sentence := _complaint(block, element, state):
                errors[block["block_id"]] = sentence
    if errors:
        raise IncompleteForm(errors)


def _complaint(block: Json, element: Json, state: Json) -> str | None:
    value = state.get(FIELDS[element["type"]][0]) if element["type"] in FIELDS else None
    if not value:
        return None if block.get("optional") else "Please complete this required field."
    if isinstance(value, str) and len(value) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    if isinstance(value, str) and len(value) > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    return None


def action(block: Json, element: Json, given: Any, at: str) -> Json:
    """The entry of `actions` for one use of an element; `given` is what was chosen (unused for a button)."""
    body: Json = {"action_id": element["action_id"], "block_id": block["block_id"]}
    if element["type"] == "button":
        body |= {key: element[key] for key in ("text", "value", "style", "url") if key in element}
    else:
        body |= entered(element, given)
        if "placeholder" in element:
            body["placeholder"] = element["placeholder"]
    return body | {"type": element["type"], "action_ts": at}
