"""/sayso: what waits for me, and help."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck

from approvals.errors import ApprovalsError
from approvals.ports import Account, Post
from approvals.request import Request
from approvals.service import Approvals
from approvals.text import clipped, one_line
from handlers.slack.elements import Json, link, quiet, section, text, when
from handlers.slack.gestures import BUDGET
from handlers.slack.identity import Identity

log = structlog.get_logger(__name__)

NAME = "/sayso"
USAGE = {"pending": "what waits for an answer, here or from you", "help": "this list"}
_SHOWN = 20

Posts = Callable[[str], Awaitable[Mapping[str, Post]]]


class Command:
    """The listener of the slash command; `posts` gives the cards of a request, for the links to them."""

    def __init__(self, approvals: Approvals, identity: Identity, posts: Posts, *, budget: float = BUDGET) -> None:
        self._approvals = approvals
        self._identity = identity
        self._posts = posts
        self._budget = budget

    async def run(self, ack: AsyncAck, body: Mapping[str, Any]) -> None:
        """Answer one command, inside the acknowledgement."""
        words = str(body.get("text") or "").split()
        spoken, blocks = await self._answer(words[0].lower() if words else "help", body)
        await ack(text=spoken, blocks=blocks, response_type="ephemeral")

    async def _answer(self, wanted: str, body: Mapping[str, Any]) -> tuple[str, Sequence[Json]]:
        if wanted == "help":
            return "How to use Sayso", help_blocks()
        if wanted != "pending":
            return "There is no such subcommand", [*_unknown(wanted), *help_blocks()]
        try:
            async with asyncio.timeout(self._budget):
                return "What waits for an answer", await self._pending(body)
        except (ApprovalsError, TimeoutError) as exc:
            log.warning("slack_pending_failed", error=type(exc).__name__)
            sentence = "I could not look that up just now. Try again in a moment."
            return sentence, [section([text(sentence)])]

    async def _pending(self, body: Mapping[str, Any]) -> list[Json]:
        account = Account("slack", str(body.get("team_id")), str(body.get("user_id")))
        destination = f"slack:{body.get('channel_id')}"
        waiting = await self._approvals.waiting_for(account, destination, limit=_SHOWN + 1)
        if not waiting:
            return [section([text("Nothing waits for an answer here or from you.")])]
        blocks = [await self._row(request) for request in waiting[:_SHOWN]]
        more = [quiet([text("and more, which are older")])] if len(waiting) > _SHOWN else []
        return [section([text("Waiting for an answer, newest first", "bold")]), *blocks, *more]

    async def _row(self, request: Request) -> Json:
        target = clipped(one_line(request.action.target), 200)
        row = [text(request.code, "bold"), text("  "), text(request.action.kind, "code"), text("  →  ")]
        row += [text(target, "code"), text(" · expires "), when(request.expires_at)]
        if url := await self._card(request.id):
            row += [text(" · "), link(url, "open the card")]
        return section(row)

    async def _card(self, request: str) -> str | None:
        """The address of the card in Slack, if one was posted."""
        for post in (await self._posts(request)).values():
            if post.state == "posted" and post.destination.startswith("slack:"):
                return self._identity.permalink(post.reference["channel"], post.reference["ts"])
        return None


def help_blocks() -> list[Json]:
    """What can be typed."""
    lines: list[Json] = []
    for name, words in USAGE.items():
        lines += [text("\n")] if lines else []
        lines += [text(f"{NAME} {name}", "code"), text(f"  {words}")]
    return [section(lines)]


def _unknown(wanted: str) -> list[Json]:
    near = difflib.get_close_matches(wanted, USAGE, n=1)
    line = [text("There is no "), text(clipped(one_line(wanted), 40), "code")]
    line += [text(". Did you mean "), text(near[0], "code"), text("?")] if near else [text(". There is:")]
    return [section(line)]
