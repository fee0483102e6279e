"""Telling one person something only they see: through the click's own URL, else as an ephemeral message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from handlers.slack.api import called
from handlers.slack.elements import Json
from handlers.slack.errors import ApiProblem
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
        if ear.response_url and await self._respond(ear.response_url, private):
            return
        if not ear.channel:
            log.warning("slack_nowhere_to_answer", user=ear.user)
            return
        call = self._client.chat_postEphemeral(
            channel=ear.channel, user=ear.user, text=private.spoken, blocks=private.blocks()
        )
        try:
            await called(call)
        except ApiProblem as exc:
            log.warning("slack_private_answer_lost", user=ear.user, channel=ear.channel, error=str(exc))

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
