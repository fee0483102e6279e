"""The Slack door, put together: one bolt app for one workspace, the same listeners for HTTP and Socket Mode."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import aiohttp
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from approvals.commands.commands import Commands
from approvals.service import Approvals
from handlers.seal import Seal
from handlers.slack.blocks import APPROVE, CHANGES, DENY, DETAILS, MORE, REVIEW
from handlers.slack.clicks import Clicks
from handlers.slack.command import RECORD, Desk
from handlers.slack.errors import Unanswered
from handlers.slack.gestures import BUDGET, Gestures
from handlers.slack.home import Home
from handlers.slack.identity import Identity
from handlers.slack.installed import Installed
from handlers.slack.reason import APPROVE_FORM, CHANGES_FORM, DENY_FORM, PAUSE_FORM
from handlers.slack.replies import ASK, ASK_FORM, NAME, REFRESH, SAY
from handlers.slack.review import PAGE, REVIEW_FORM
from handlers.slack.reviews import Reviews
from handlers.slack.watch import SlackWatch
from handlers.slack.whisper import Whisper
from handlers.tasks import Tasks

log = structlog.get_logger(__name__)

_A_PAGE = re.compile(re.escape(PAGE) + ":[0-9]+")
_ANYTHING = re.compile(".*", re.DOTALL)


def build_app(
    *,
    approvals: Approvals,
    client: AsyncWebClient,
    session: aiohttp.ClientSession,
    identity: Identity,
    seal: Seal,
    commands: Commands,
    tasks: Tasks,
    installed: Installed,
    signing_secret: str = "",
    budget: float = BUDGET,
    watch: SlackWatch | None = None,
) -> AsyncApp:
    """The app with all its listeners; `tasks` is drained by the caller on the way out.

    `signing_secret` is needed for HTTP only: a Socket Mode connection is authenticated by its token.
    """
    app = AsyncApp(
        name="sayso",
        client=_for_bolt(client, session),
        authorize=_authorized(client, identity),
        signing_secret=signing_secret,
        raise_error_for_unhandled_request=True,
        # Our listeners end within their budget, and acknowledge last. Without this bolt looks every 10 ms whether they
        # did, and after three seconds hands a slow click to the next listener that matches: to `unknown`.
        process_before_response=True,
    )
    watch = watch or SlackWatch()
    app.use(_OnlyOurs(identity, installed, watch))
    app.error(_failed)
    whisper = Whisper(client, session, tasks)
    gestures = Gestures(whisper, budget=budget, watch=watch)
    reviews = Reviews(approvals=approvals, client=client, identity=identity, seal=seal, gestures=gestures, tasks=tasks)
    desk = Desk(
        commands=commands,
        client=client,
        identity=identity,
        whisper=whisper,
        tasks=tasks,
        budget=budget,
        watch=watch,
    )
    clicks = Clicks(
        approvals=approvals,
        client=client,
        identity=identity,
        seal=seal,
        gestures=gestures,
        reviews=reviews,
        desk=desk,
    )
    app.action(APPROVE)(clicks.approve)
    app.action(DENY)(clicks.deny)
    app.action(CHANGES)(clicks.changes)
    app.action(DETAILS)(clicks.details)
    app.action(MORE)(clicks.more)
    app.action(REVIEW)(reviews.review)
    app.action(_A_PAGE)(reviews.turn)
    home = Home(commands=commands, client=client, identity=identity, tasks=tasks)
    app.command(NAME)(desk.typed)
    app.action(re.compile(rf"{SAY}:\d+"))(desk.pressed)
    app.action(re.compile(rf"{ASK}:\d+"))(desk.asked)
    app.view(ASK_FORM)(desk.submitted)
    app.message_shortcut(RECORD)(desk.record)
    app.event("app_home_opened")(home.opened)
    app.event("app_uninstalled")(installed.uninstalled)
    app.event("tokens_revoked")(installed.revoked)
    app.action(REFRESH)(home.refreshed)
    app.action(_ANYTHING)(clicks.unknown)
    app.view(PAUSE_FORM)(clicks.pause)
    app.view(APPROVE_FORM)(clicks.approve_with_reason)
    app.view(REVIEW_FORM)(reviews.approve)
    app.view(DENY_FORM)(clicks.deny_with_reason)
    app.view(CHANGES_FORM)(clicks.deny_with_changes)
    app.view(_ANYTHING)(clicks.unknown)
    return app


def _for_bolt(client: AsyncWebClient, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client without a token: bolt takes the token from `authorize`, and warns about a second one."""
    return AsyncWebClient(base_url=client.base_url, session=session, retry_handlers=[])


def _authorized(client: AsyncWebClient, identity: Identity) -> Callable[..., Awaitable[AuthorizeResult]]:
    """Answers from what is known since the start: bolt alone would call auth.test inside the first click."""

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=identity.enterprise or None,
            team_id=identity.team,
            bot_id=identity.bot_id,
            bot_user_id=identity.bot_user,
            bot_token=client.token,
        )

    return authorize


class _OnlyOurs(AsyncMiddleware):
    """Turns away whatever is for another app or workspace, and everything once ours is gone.

    A class, not a function: for a function bolt first gathers everything that one could ask for by name.
    """

    def __init__(self, identity: Identity, installed: Installed, watch: SlackWatch) -> None:
        self._identity = identity
        self._installed = installed
        self._watch = watch

    async def async_process(
        self, *, req: AsyncBoltRequest, resp: BoltResponse, next: Callable[[], Awaitable[BoltResponse]]
    ) -> BoltResponse | None:
        """Go on with what is ours."""
        team = req.body.get("team")
        team_id = team.get("id") if isinstance(team, dict) else req.body.get("team_id")
        app = req.body.get("api_app_id")
        ours = (app, team_id) == (self._identity.app, self._identity.team)
        if ours and not self._installed.gone:
            return await next()
        if ours:
            self._watch.turned_away("uninstalled")
        else:
            self._watch.turned_away("not_for_us")
            log.warning("slack_not_for_us", app=str(app)[:40], team=str(team_id)[:40])
        return BoltResponse(status=403, body="")


async def _failed(error: Exception) -> BoltResponse:
    """What Slack is answered where no listener acknowledged: an error for a click, nothing for what we do not use."""
    if isinstance(error, BoltUnhandledRequestError):
        log.info("slack_unhandled", error=str(error)[:200])
        return BoltResponse(status=200, body="")
    if not isinstance(error, Unanswered):
        log.error("slack_listener_failed", exc_info=error)
    return BoltResponse(status=500, body="")
