"""api.test, auth.test, apps.connections.open and blocks.validate: the app about itself."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.api.call import Call, Json, Methods
from sandbox.block_rules import Problem
from sandbox.blocks import check_message, check_view
from sandbox.errors import SlackError

methods = Methods()


@methods.add("api.test", caller="anyone")
async def api_test(call: Call) -> Json:
    """Answer with what was sent; `error` makes it fail with that."""
    if error := call.args.text("error"):
        raise SlackError(error, args=call.args.values)
    return {"args": call.args.values}


@methods.add("auth.test")
async def auth_test(call: Call) -> Json:
    """Whose token this is."""
    workspace, app = call.workspace, call.workspace.app
    return {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.name,
        "user": workspace.users[app.bot_user].name,
        "team_id": workspace.team_id,
        "user_id": app.bot_user,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


@methods.add("apps.connections.open", "connections:write", caller="app")
async def open_connection(call: Call) -> Json:
    """A fresh Socket Mode address with a ticket that works once."""
    ticket = secrets.token_hex(16)
    call.slack.socket_tickets.add(ticket)
    return {"url": f"{call.slack.socket_base}/link/?ticket={ticket}&app_id={call.workspace.app.id}"}


@methods.add("blocks.validate", caller="anyone")
async def validate(call: Call) -> Json:
    """Say what is wrong with blocks, a message or a view; exactly one of them."""
    given = [name for name in ("blocks", "message", "view") if call.args.given(name)]
    if len(given) != 1:
        raise SlackError("invalid_arguments")
    name = given[0]
    problems = _problems(name, call.args.structure(name, "invalid_arguments"))
    if problems:
        raise SlackError(f"invalid_{name}", errors=[problem.as_json() for problem in problems])
    return {}


def _problems(name: str, value: Any) -> list[Problem]:
    if name == "view":
        return check_view(value)
    if name == "message":
        value = value.get("blocks", []) if isinstance(value, dict) else value
    return check_message(value)
