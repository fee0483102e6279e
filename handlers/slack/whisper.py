"""Telling one person something only they see: by the click's own URL, in the channel, or in a direct message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from slack_sdk.webhook.async_client import AsyncWebhookClient

from handlers.slack.api import called
from handlers.slack.elements import Json
from handlers.slack.errors import ApiProblem, ApiSilent
from handlers.tasks import Tasks

log = structlog.get_logger(__name__)

_PATIENCE = 10.0


class Tellable(Protocol):
    """What one person can be told: a sentence of our words alone, and the message."""

    @property
    def spoken(self) -> str:
        """For screen readers and notifications."""
        ...

    def blocks(self) -> list[Json]:
        """The message."""
        ...


@dataclass(frozen=True)
class Ear:
    """Whom to tell, and where they are; `response_url` where the interaction came with one (5 uses, 30 minutes)."""

    user: str
    channel: str = ""
    response_url: str = ""


class Whisper:
    """Sends private answers in the background, so that no click waits for them."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession, tasks: Tasks) -> None:
        self._client = client
        self._session = session
        self._tasks = tasks

    def later(self, ear: Ear, private: Tellable) -> None:
        """Tell soon; what happened is durable by now and stands whether or not the telling works."""
        self._tasks.start(self._tell(ear, private), "slack private answer")

    async def _tell(self, ear: Ear, private: Tellable) -> None:
        """By the first way that takes it; each of the later ones costs more of Slack's limits than the one before."""
        for way in (self._by_url, self._in_the_channel, self._directly):
            if await way(ear, private):
                return
        log.warning("slack_private_answer_lost", user=ear.user, channel=ear.channel)

    async def _by_url(self, ear: Ear, private: Tellable) -> bool:
        return bool(ear.response_url) and await self._respond(ear.response_url, private)

    async def _in_the_channel(self, ear: Ear, private: Tellable) -> bool:
        """Only a member of the channel can be shown something there."""
        if not (ear.channel and ear.user):
            return False
        return await self._was_taken(
            self._client.chat_postEphemeral(
                channel=ear.channel, user=ear.user, text=private.spoken, blocks=private.blocks()
            )
        )

    async def _directly(self, ear: Ear, private: Tellable) -> bool:
        """As a message of its own, which stays."""
        if not ear.user:
            return False
        return await self._was_taken(
            self._client.chat_postMessage(channel=ear.user, text=private.spoken, blocks=private.blocks())
        )

    async def _was_taken(self, call: Awaitable[AsyncSlackResponse]) -> bool:
        """Whether Slack showed it; what Slack may have shown is not shown a second time in another way."""
        try:
            await called(call)
        except ApiProblem as exc:
            log.info("slack_private_answer_refused", error=str(exc))
            return isinstance(exc, ApiSilent) and exc.maybe_done
        return True

    async def _respond(self, url: str, private: Tellable) -> bool:
        """Whether the URL took it; the SDK does not raise when it did not."""
        webhook = AsyncWebhookClient(url, session=self._session, retry_handlers=[])
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await webhook.send(
                    text=private.spoken, blocks=private.blocks(), response_type="ephemeral", replace_original=False
                )
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError) as exc:
            log.info("slack_response_url_failed", error=type(exc).__name__)
            return False
        return answer.status_code == 200
