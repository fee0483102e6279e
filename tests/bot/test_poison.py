"""An entry that the bot's own code cannot bear: tried a few times, then put aside, and nobody waits behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.desk import Desk, Handled
from approvals.ports import Entry
from bot.intake import MOST_TRIES, Intake
from storage.memory import MemoryInbox
from tests.approvals.house import a_house

AGENT, OTHER = "payments-bot", "export-bot"


class BrokenDesk(Desk):
    """A desk with a defect that some bodies bring out."""

    async def handle(self, entry: Entry) -> Handled:
        """Handle, or fail as no code should."""
        if entry.body == b"poison":
            raise ZeroDivisionError("a defect")
        return await super().handle(entry)


@pytest.fixture
async def parts() -> tuple[Intake, MemoryInbox]:
    """An intake over streams in this process; the inbox is also the agents' side of them."""
    house = await a_house()
    streams = house.store.inbox("bot")
    await streams.watch([AGENT, OTHER], [])
    return Intake(streams, BrokenDesk(house.approvals)), streams


def answers(inbox: MemoryInbox, owner: str) -> list[Any]:
    """What an agent was told."""
    return [json.loads(body) | {"type": type_} for type_, body in inbox.answers(owner)]


async def test_it_is_put_aside_after_a_few_tries_and_blocks_nobody(
    parts: tuple[Intake, MemoryInbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, inbox = parts
    monkeypatch.setattr("bot.intake.ABANDONED_MS", 0)
    inbox.append(AGENT, "request", b"poison")
    inbox.append(AGENT, "heartbeat", b'{"v": 1, "x": 1}')
    inbox.append(OTHER, "request", b"{}")
    await intake.take()
    assert [told["reason"] for told in answers(inbox, OTHER)] == ["malformed"]
    assert [told["reason"] for told in answers(inbox, AGENT)] == ["malformed"]  # what came after it was read
    for _ in range(MOST_TRIES - 2):
        await intake.reclaim()
        assert len(answers(inbox, AGENT)) == 1
    await intake.reclaim()
    assert [told["reason"] for told in answers(inbox, AGENT)] == ["malformed", "unsupported"]
    letters = {reason: entry.body for entry, reason in inbox.dead_letters()}
    assert letters["unsupported"] == b"(no JSON of the contract, 6 bytes)"
    assert not await intake.reclaim()
