"""Takes entries from the intake streams to the desk, and its answers back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from approvals import wire
from approvals.desk import Desk
from approvals.errors import ApprovalsError, EntryRefused
from approvals.outline import outline
from approvals.ports import Entry, Inbox
from bot.loops import each

log = structlog.get_logger("sayso.intake")

BATCH = 100
INSPECTED = 500  #: streams that are looked at in one go
MOST_TRIES = 3  #: times that an entry may break the bot's own code before it is put aside
BLOCK_MS = 1_000  #: how long one look waits for entries; also how long a shutdown may have to wait
ABANDONED_MS = 15_000  #: an entry held this long without an answer belongs to somebody who died


class Intake:
    """Steps for three loops: new entries, those that a dead taker left behind, and what owners did to their streams."""

    def __init__(self, inbox: Inbox, desk: Desk) -> None:
        self._inbox = inbox
        self._desk = desk

    async def take(self) -> bool:
        """Handle the next entries; waits up to a second for the first."""
        return await self._handle_all(await self._inbox.take(limit=BATCH, block=BLOCK_MS))

    async def reclaim(self) -> bool:
        """Handle entries whose taker died."""
        return await self._handle_all(await self._inbox.reclaim(idle=ABANDONED_MS, limit=BATCH))

    async def inspect(self) -> bool:
        """Notice agents and tools that erase, block or flood their own stream; the journal has it, once."""
        for trouble in await self._inbox.inspect(limit=INSPECTED):
            log.warning("a stream was tampered with", owner=trouble.owner, what=trouble.what, much=trouble.much)
        return False

    async def _handle_all(self, entries: Sequence[Entry]) -> bool:
        await each(self._in_turn(lane) for lane in _lanes(entries))
        return bool(entries)

    async def _in_turn(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            await self._handle(entry)

    async def _handle(self, entry: Entry) -> None:
        """One entry; what cannot be done now stays unanswered and is reclaimed."""
        with structlog.contextvars.bound_contextvars(owner=entry.owner, entry=entry.id):
            try:
                handled = await self._desk.handle(entry)
                aside = replace(entry, body=handled.outline) if handled.dead_letter else entry
                if not handled.settled:
                    await self._inbox.answer(aside, *handled.answers, dead_letter=handled.dead_letter)
            except ApprovalsError as exc:
                log.warning("entry stays for later", type=entry.type, error=type(exc).__name__)
                return
            except Exception:  # a defect of ours must not be met again and again, nor hold up what comes after it
                log.exception("entry broke the bot", type=entry.type, deliveries=entry.deliveries)
                if entry.deliveries >= MOST_TRIES:
                    await self._put_aside(entry)
                return
            if handled.dead_letter:
                log.warning("entry refused", type=entry.type, reason=handled.dead_letter)

    async def _put_aside(self, entry: Entry) -> None:
        refusal = EntryRefused("unsupported", "this version cannot handle this entry", remedy="tell who runs the bot")
        aside = replace(entry, body=outline(entry.body or b""))
        await self._inbox.answer(aside, wire.refused(entry, refusal), dead_letter=refusal.reason)


def _lanes(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries that may be handled side by side, each lane in its order.

    Requests of one stream do not depend on each other; a withdrawal, a spend or a report does on what came before it.
    """
    streams: dict[tuple[int, str, bool], list[Entry]] = {}
    for entry in entries:
        streams.setdefault((entry.partition, entry.owner, entry.tool), []).append(entry)
    lanes: list[list[Entry]] = []
    for stream in streams.values():
        only_requests = all(entry.type == "request" for entry in stream)
        lanes += [[entry] for entry in stream] if only_requests else [stream]
    return lanes
