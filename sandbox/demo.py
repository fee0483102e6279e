"""The workspace of the demo: team Acme, with enough people for every scene."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from sandbox.people import App, Command
from sandbox.workspace import Workspace

BOT = "U0SAYSO"
MEMBERS = ["U0ALICE", "U0BOB", "U0CAROL", "U0DANA", "U0MARA", "U0GUS", "U0PRIYA", "U0MALLORY"]

CHANNELS = [
    ("C0DEPLOYS", "deploys", "What goes to production, and when"),
    ("C0PAYMENTS", "payments", "Money that leaves the house"),
    ("C0DATA", "data", "Exports, imports and deletions"),
    ("C0SECURITY", "security", "Grants, secrets and everything sharp"),
    ("C0PRESS", "press", "What the world gets to read"),
]

GROUPS = [
    ("S0SRE", "sre", "Site reliability", ["U0ALICE", "U0BOB"]),
    ("S0FINANCE", "finance", "Finance", ["U0ALICE", "U0DANA"]),
    ("S0SECURITY", "security", "Security", ["U0BOB"]),
    ("S0DATA", "data-owners", "Data owners", ["U0CAROL", "U0GUS"]),
    ("S0PRESS", "press-desk", "Press desk", ["U0CAROL"]),
]


def build_demo(*, now: Callable[[], float] | None = None) -> Workspace:
    """Team Acme: alice, bob and carol approve; agents of priya act for dana, of the team of mara and gus; mallory may
    nothing; a guest and a leaver."""
    workspace = Workspace("T0SAYSO", "Acme", "acme", demo_app(), now=now or time.time)
    _add_people(workspace)
    for group_id, handle, name, users in GROUPS:
        workspace.add_group(group_id, handle, users, name)
    for channel_id, name, topic in CHANNELS:
        workspace.add_channel(channel_id, name, [*MEMBERS, BOT]).topic = topic
    for user in MEMBERS:
        workspace.direct_channel(user, BOT)
    return workspace


def demo_app() -> App:
    """The app Sayso with fresh secrets."""
    app = App(
        id="A0SAYSO",
        name="Sayso",
        bot_id="B0SAYSO",
        bot_user=BOT,
        bot_token=f"xoxb-sandbox-{secrets.token_hex(12)}",
        app_token=f"xapp-1-A0SAYSO-{secrets.token_hex(12)}",
        signing_secret=secrets.token_hex(16),
        verification_token=secrets.token_hex(12),
    )
    app.add_commands([Command("/sayso", "See and steer requests for approval", "pending")])
    app.shortcuts["sayso:record"] = "Show approval record"
    return app


def _add_people(workspace: Workspace) -> None:
    add = workspace.add_user
    add("U0ALICE", "alice", "Alice Berg", email="alice@acme.example", title="SRE and finance")
    add("U0BOB", "bob", "Bob Castellanos", email="bob@acme.example", title="Security and SRE")
    add("U0CAROL", "carol", "Carol Nakamura", email="carol@acme.example", title="Data owner")
    add("U0DANA", "dana", "Dana Okafor", email="dana@acme.example", title="The agents act for her")
    add("U0MARA", "mara", "Mara Lindqvist", email="mara@acme.example", title="Dana's manager")
    add("U0GUS", "gus", "Gus Ferrari", email="gus@acme.example", title="Data owner, in Dana's team")
    add("U0PRIYA", "priya", "Priya Raman", email="priya@acme.example", title="Platform, owns the agents")
    add("U0MALLORY", "mallory", "Mallory Voss", email="mallory@acme.example", title="Contractor relations")
    add("U0GUEST", "guest", "Gil Guest", email="gil@partner.example", is_restricted=True)
    add("U0LEFT", "lena", "Lena Left", email="lena@acme.example", deleted=True)
    app = workspace.app
    add(BOT, "sayso", app.name, is_bot=True, bot_id=app.bot_id, app_id=app.id)
