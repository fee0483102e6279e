"""What people are told: every verdict has words, and they are true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approvals.lifecycle import Status
from approvals.request import Decision, Request, Vote
from approvals.service import Counted, Late, Refused
from handlers.slack.answers import about
from tests.handlers.slack.world import TEAM, World, a_world, words


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


def a_vote(person: str, account: str) -> Vote:
    return Vote(
        person=person,
        account=account,
        via="slack",
        tenant=TEAM,
        answer="approve",
        factors=("finance",),
        at=0,
        shown="sha256:" + "0" * 64,
    )


ALICE = a_vote("alice", f"slack:{TEAM}:U0ALICE")
STRANGER = a_vote("*mallory* <!here>", "slack:T0OTHER:U0MALLORY")


def decided(request: Request, status: Status, first: Status, **decision: Any) -> Request:
    made = Decision(status=first, at=request.asked_at, **decision)
    return request.model_copy(update={"status": status, "decision": made})


@pytest.mark.parametrize(
    ("status", "first", "by", "sentence"),
    [
        ("denied", "denied", (ALICE,), "@U0ALICE denied this <date>, so your click changes nothing."),
        ("denied", "denied", (), "A rule of the policy denied this <date>, so your click changes nothing."),
        (
            "approved",
            "approved",
            (ALICE, STRANGER),
            "@U0ALICE and *mallory* <!here> approved this <date>, so your click",
        ),
        ("expired", "expired", (), "This expired <date>: nobody answered in time, which counts as no."),
        ("withdrawn", "withdrawn", (), "The agent took this back <date>; nothing was counted."),
        ("revoked", "approved", (ALICE,), "@U0ALICE approved this <date>, and it was taken back since, so your click"),
        ("lapsed", "approved", (ALICE,), "@U0ALICE approved this <date>, and it was not used in time, so your click"),
        ("spent", "approved", (ALICE,), "@U0ALICE approved this <date>, and it is being done, so your click"),
        ("succeeded", "approved", (ALICE,), "@U0ALICE approved this <date>, and it is done, so your click"),
        ("failed", "approved", (ALICE,), "@U0ALICE approved this <date>, and it failed, so your click"),
        (
            "unknown",
            "approved",
            (ALICE,),
            "@U0ALICE approved this <date>, and how it ended is not known",
        ),
    ],
)
async def test_who_comes_late_is_told_how_it_stands(
    world: World, status: str, first: str, by: tuple[Vote, ...], sentence: str
) -> None:
    request = decided(await world.ask(show=False), Status(status), Status(first), by=by)

    private = about(Late(request), "approve", TEAM)

    assert words(private.blocks()).startswith(sentence)
    assert "mallory" not in private.spoken


async def test_a_refusals_words_are_literal_and_not_spoken(world: World) -> None:
    private = about(Refused("x", "asked here: *<!channel>*"), "deny", TEAM)

    assert private.elements == ({"type": "text", "text": "asked here: *<!channel>*"},)
    assert private.spoken == "Nothing was counted."


async def test_a_denial_is_not_called_an_approval(world: World) -> None:
    request = decided(await world.ask(show=False), Status.DENIED, Status.DENIED, by=(ALICE,))

    assert words(about(Counted(request), "deny", TEAM).blocks()) == "Denied. The agent has been told."
