"""Who we are in Slack: asked once at the start, so that a wrong token is known before the first click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from handlers.slack.api import called
from handlers.slack.errors import ApiProblem, ApiRefused, NotReady


@dataclass(frozen=True)
class Identity:
    """Our app in its workspace; `url` ends with a slash, `enterprise` is set on Enterprise Grid."""

    team: str
    app: str
    bot_id: str
    bot_user: str
    url: str
    enterprise: str = ""

    def permalink(self, channel: str, ts: str) -> str:
        """The address of a message, in the form in which chat.getPermalink gives it."""
        return f"{self.url}archives/{channel}/p{ts.replace('.', '')}"

    def wrote(self, message: Any) -> bool:
        """Whether a message, as an interaction shows it, is our own app's."""
        if not isinstance(message, dict):
            return False
        if "app_id" in message:
            return bool(message["app_id"] == self.app)
        return bool(message.get("bot_id")) and message["bot_id"] == self.bot_id


async def identify(client: AsyncWebClient) -> Identity:
    """Ask Slack who the bot token belongs to (auth.test, bots.info); raises NotReady with a remedy."""
    try:
        me = await called(client.auth_test())
        bot_id = str(me.get("bot_id") or "")
        if not bot_id:
            raise NotReady(
                "the Slack token is not a bot token", "use the Bot User OAuth Token, which begins with xoxb-"
            )
        bot = await called(client.bots_info(bot=bot_id))
    except ApiProblem as exc:
        raise _not_ready(exc) from exc
    return Identity(
        team=str(me["team_id"]),
        app=str((bot.get("bot") or {}).get("app_id") or ""),
        bot_id=bot_id,
        bot_user=str(me["user_id"]),
        url=str(me.get("url") or "").rstrip("/") + "/",
        enterprise=str(me.get("enterprise_id") or ""),
    )


def _not_ready(problem: ApiProblem) -> NotReady:
    if not isinstance(problem, ApiRefused):
        return NotReady(f"Slack does not answer: {problem}", "check the network and status.slack.com, then start again")
    if problem.code == "missing_scope":
        return NotReady(
            f"the bot token lacks the scope {problem.needed}", "install the app again from the manifest we print"
        )
    return NotReady(
        f"Slack refuses the bot token ({problem.code})",
        "copy the Bot User OAuth Token from OAuth & Permissions of the app's settings; it begins with xoxb-",
    )
