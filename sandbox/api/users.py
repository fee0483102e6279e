"""users.*, usergroups.* and bots.*: who is who."""

from __future__ import annotations

from sandbox.api.call import Call, Json, Methods, page
from sandbox.errors import SlackError
from sandbox.people import User

methods = Methods()


def _shown(call: Call, user: User) -> Json:
    return user.as_json(with_email="users:read.email" in call.scopes)


@methods.add("users.info", "users:read")
async def info(call: Call) -> Json:
    """One user with every flag."""
    return {"user": _shown(call, call.user())}


@methods.add("users.list", "users:read")
async def list_users(call: Call) -> Json:
    """Every user, deactivated ones too."""
    shown, cursor = page(list(call.workspace.users.values()), call.args, 1000)
    return {
        "members": [_shown(call, user) for user in shown],
        "cache_ts": int(call.slack.now()),
        "response_metadata": {"next_cursor": cursor},
    }


@methods.add("users.lookupByEmail", "users:read.email")
async def lookup_by_email(call: Call) -> Json:
    """The active user with this address."""
    email = call.args.text("email").lower()
    for user in call.workspace.users.values():
        if email and user.email.lower() == email and not user.deleted:
            return {"user": _shown(call, user)}
    raise SlackError("users_not_found")


@methods.add("usergroups.list", "usergroups:read")
async def list_groups(call: Call) -> Json:
    """Every user group, disabled ones only on request."""
    _refuse_on_free_plan(call)
    everything = call.args.flag("include_disabled")
    members, count = call.args.flag("include_users"), call.args.flag("include_count")
    groups = [group for group in call.workspace.groups.values() if everything or not group.disabled]
    return {"usergroups": [group.as_json(include_users=members, include_count=count) for group in groups]}


@methods.add("usergroups.users.list", "usergroups:read")
async def list_group_users(call: Call) -> Json:
    """The ids of a user group's members."""
    _refuse_on_free_plan(call)
    group = call.workspace.groups.get(call.args.text("usergroup"))
    if group is None or (group.disabled and not call.args.flag("include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def _refuse_on_free_plan(call: Call) -> None:
    if not call.workspace.usergroups_paid:
        raise SlackError("plan_upgrade_required")


@methods.add("bots.info", "users:read")
async def bot_info(call: Call) -> Json:
    """The app's bot."""
    app = call.workspace.app
    if call.args.text("bot", app.bot_id) != app.bot_id:
        raise SlackError("bot_not_found")
    return {
        "bot": {
            "id": app.bot_id,
            "deleted": False,
            "name": app.name,
            "updated": 1_700_000_000,
            "app_id": app.id,
            "user_id": app.bot_user,
            "icons": {},
        }
    }
