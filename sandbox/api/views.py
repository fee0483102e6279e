"""views.*: modals and home tabs."""

from __future__ import annotations

from typing import Any

from sandbox.api.call import Call, Json, Methods
from sandbox.errors import InvalidPayload, SlackError
from sandbox.views import View, checked

methods = Methods()


def _definition(call: Call) -> Any:
    if not call.args.given("view"):
        raise InvalidPayload("invalid_arguments", ["missing required field: view [json-pointer:/view]"])
    return call.args.structure("view", "invalid_arguments")


def _modal(call: Call) -> Json:
    """The checked definition of a modal; a bad one does not use up the trigger id."""
    definition = checked(_definition(call))
    if definition["type"] != "modal":
        raise InvalidPayload("invalid_arguments", ["unsupported type: home [json-pointer:/view/type]"])
    return definition


def _answer(call: Call, view: View) -> Json:
    return {"view": call.slack.views.as_json(view)}


def _trigger(call: Call) -> str:
    return call.args.text("trigger_id") or call.args.required("interactivity_pointer")


@methods.add("views.open")
async def open_view(call: Call) -> Json:
    """Open a modal for the person who gave the trigger id."""
    definition = _modal(call)
    trigger = call.slack.triggers.exchange(_trigger(call))
    return _answer(call, call.slack.views.open(trigger.user, definition))


@methods.add("views.push")
async def push_view(call: Call) -> Json:
    """Put a modal on top of the one the trigger id came from."""
    definition = _modal(call)
    trigger = call.slack.triggers.exchange(_trigger(call))
    return _answer(call, call.slack.views.push(trigger.user, definition))


@methods.add("views.update")
async def update_view(call: Call) -> Json:
    """Change a view that is open; `hash` guards against overwriting a newer one."""
    definition = _definition(call)
    view_id, external_id = call.args.text("view_id"), call.args.text("external_id")
    if not view_id and not external_id:
        raise InvalidPayload("invalid_arguments", ["missing required field: view_id or external_id"])
    view = call.slack.views.find(view_id, external_id)
    return _answer(call, call.slack.views.update(view, definition, call.args.values.get("hash")))


@methods.add("views.publish")
async def publish_view(call: Call) -> Json:
    """Set somebody's home tab."""
    definition = checked(_definition(call))
    if definition["type"] != "home":
        raise InvalidPayload("invalid_arguments", ["unsupported type: modal [json-pointer:/view/type]"])
    user = call.workspace.users.get(call.args.text("user_id"))
    if user is None or user.deleted:
        raise SlackError("user_not_found")
    return _answer(call, call.slack.views.publish(user.id, definition, call.args.values.get("hash")))
