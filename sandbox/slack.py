"""Everything the sandbox's Slack knows, in one hand: handed to the Web API, the deliveries and the page."""

from __future__ import annotations

from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.limits import Limiter, LimitSettings
from sandbox.log import Log
from sandbox.triggers import ResponseUrls, Triggers
from sandbox.views import Views
from sandbox.workspace import Workspace


class Slack:
    """The workspace together with what the platform keeps about it."""

    def __init__(self, workspace: Workspace, limits: LimitSettings) -> None:
        self.workspace = workspace
        self.now = workspace.now
        self.limiter = Limiter(limits, workspace.now)
        self.faults = Faults()
        self.log = Log()
        self.triggers = Triggers(workspace.now)
        self.response_urls = ResponseUrls(workspace.now, workspace.team_id)
        self.views = Views(workspace.team_id, workspace.app, workspace.now, self._view_changed)
        self.files = Files()
        self.socket_base = ""  #: ws://… of this server, set when it listens
        self.socket_tickets: set[str] = set()  #: issued by apps.connections.open, used up by connecting

    def _view_changed(self, kind: str, user: str) -> None:
        self.workspace.changes.announce(kind, user=user)
