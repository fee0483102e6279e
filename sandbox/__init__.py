"""A Slack workspace on your laptop: Web API, Socket Mode, signed interactivity, Slack's limits, and a page.

Real Slack apps (slack-bolt, slack-sdk, unmodified) talk to it through `base_url`; tests drive it in Python:

    async with Sandbox() as sandbox:
        client = AsyncWebClient(sandbox.bot_token, base_url=sandbox.api_url)
        ...
        delivery = await sandbox.click("U0ALICE", "C0PAYMENTS", ts, "approve")
"""

from sandbox.channels import Channel, Message
from sandbox.errors import CannotDo, IncompleteForm, NotOnScreen, SandboxError
from sandbox.limits import LimitSettings
from sandbox.log import Call, Delivery
from sandbox.people import App, Command, Group, User
from sandbox.server import Sandbox
from sandbox.views import View
from sandbox.workspace import Workspace

__all__ = [
    "App",
    "Call",
    "CannotDo",
    "Channel",
    "Command",
    "Delivery",
    "Group",
    "IncompleteForm",
    "LimitSettings",
    "Message",
    "NotOnScreen",
    "Sandbox",
    "SandboxError",
    "User",
    "View",
    "Workspace",
]
