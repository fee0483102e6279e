"""The sandbox itself: one loopback server with Slack's Web API, Socket Mode, response URLs and the page."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import TypeVar

from aiohttp import web

from sandbox.acts import Acts
from sandbox.api.server import WebApi
from sandbox.channels import Message
from sandbox.control import Control
from sandbox.delivery.deliver import Deliverer
from sandbox.delivery.http import HttpTransport
from sandbox.delivery.socket import SocketHub
from sandbox.faults import Faults
from sandbox.limits import LimitSettings
from sandbox.log import Delivery, Log
from sandbox.page import Page
from sandbox.responses import Responses
from sandbox.slack import Slack
from sandbox.views import View
from sandbox.workspace import Workspace

T = TypeVar("T")


class Sandbox(Acts):
    """A Slack workspace on loopback: `async with Sandbox() as sandbox:`.

    `ack_deadline` is how long the app has to acknowledge; `event_retry_delays` are the pauses before the three
    retries of an event; `wall_clock` stamps signatures; `allowed_hosts` are names besides localhost under which
    browsers may open the page. With `enforce_rate_limits=False` nothing answers 429
    unless a fault says so.
    """

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: LimitSettings | None = None,
        enforce_rate_limits: bool = True,
        ack_deadline: float = 3.0,
        event_retry_delays: Sequence[float] = (0.0, 60.0, 300.0),
        wall_clock: Callable[[], float] = time.time,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self.workspace = workspace or Workspace.demo()
        limits = limits or LimitSettings(enforced=enforce_rate_limits)
        slack = Slack(self.workspace, limits)
        self.socket = SocketHub(slack)
        self._http = HttpTransport(self.workspace.app.signing_secret, wall_clock)
        deliverer = Deliverer(slack, self._http, self.socket, deadline=ack_deadline, retry_delays=event_retry_delays)
        responses = Responses(slack)
        super().__init__(slack, deliverer, responses)
        self._host, self._port = host, port
        self._web_api = WebApi(slack)
        self.control_token = secrets.token_hex(16)
        self._page = Page(self, allowed_hosts)
        self._control = Control(slack, self.control_token)
        self._runner: web.AppRunner | None = None

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> Sandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; port 0 takes a free one."""
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.slack.socket_base = self.url.replace("http://", "ws://", 1)
        self.slack.response_urls.base = self.slack.files.base = self.url
        await self._http.open()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.add_routes(self._web_api.routes())
        application.add_routes(self._responses.routes())
        application.add_routes(self.slack.files.routes())
        application.add_routes([web.get("/link/", self.socket.handle)])
        application.add_routes(self._page.routes())
        application.add_routes(self._control.routes())
        return application

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        await self._deliverer.close()
        await self.socket.close()
        self._page.close()
        await self._http.close()
        if self._runner:
            await self._runner.cleanup()

    # ------------------------------------------------------------ what an app needs to know

    @property
    def url(self) -> str:
        """The address of the page, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def api_url(self) -> str:
        """The `base_url` for slack_sdk's AsyncWebClient."""
        return f"{self.url}/api/"

    @property
    def bot_token(self) -> str:
        """The app's xoxb- token."""
        return self.workspace.app.bot_token

    @property
    def app_token(self) -> str:
        """The app's xapp- token for Socket Mode."""
        return self.workspace.app.app_token

    @property
    def signing_secret(self) -> str:
        """The secret that signs requests to the app."""
        return self.workspace.app.signing_secret

    @property
    def ack_deadline(self) -> float:
        """How many seconds the app has to acknowledge; may be set."""
        return self._deliverer.deadline

    @ack_deadline.setter
    def ack_deadline(self, seconds: float) -> None:
        self._deliverer.deadline = seconds

    @property
    def idle(self) -> bool:
        """Whether no event is waiting to be sent, or to be sent again."""
        return self._deliverer.idle

    def connect_http(self, request_url: str | None) -> None:
        """Deliver by signed HTTP to this address; None goes back to Socket Mode."""
        self.workspace.app.request_url = request_url

    async def verify_url(self) -> bool:
        """Do the url_verification handshake; True if the app answered with the challenge."""
        challenge = secrets.token_hex(16)
        delivery = await self._deliverer.verify_url(challenge)
        answer = delivery.body.get("challenge") if isinstance(delivery.body, dict) else delivery.body
        return delivery.ok and answer == challenge

    # ------------------------------------------------------------ what a test wants to see

    @property
    def faults(self) -> Faults:
        """Things that shall go wrong."""
        return self.slack.faults

    @property
    def log(self) -> Log:
        """Every call and every delivery."""
        return self.slack.log

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery to the app, oldest first."""
        return self.slack.log.deliveries

    def messages(self, channel: str) -> list[Message]:
        """The lasting messages of a channel, replies included, oldest first."""
        return self.workspace.channels[channel].ordered()

    def ephemerals(self, user: str, channel: str | None = None) -> list[Message]:
        """The messages only this person sees, oldest first."""
        places = [self.workspace.channels[channel]] if channel else list(self.workspace.channels.values())
        shown = [message for place in places for message in place.ephemerals.values() if message.only_for == user]
        return sorted(shown, key=lambda message: message.ts)

    def views(self, user: str) -> list[View]:
        """The modals this person has open, the bottom one first."""
        return self.slack.views.stack(user)

    def home(self, user: str) -> View | None:
        """This person's home tab."""
        return self.slack.views.home(user)

    async def wait_for(self, predicate: Callable[[], T | None], timeout: float = 5.0) -> T:
        """Wait until something changed so that `predicate()` is true; TimeoutError after `timeout` seconds."""
        return await self.workspace.changes.wait_for(predicate, timeout)
