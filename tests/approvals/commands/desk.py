"""Commands on a running service: what somebody is told, as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from approvals.commands.answers import Answer, At, Button, Person, Piece, Place, Typed, Words
from approvals.commands.commands import Commands
from approvals.sight import Caller
from tests.approvals.house import CHANNEL, House
from tests.approvals.make import account


def commands_of(house: House) -> Commands:
    """The commands of a house."""
    return Commands(approvals=house.approvals, store=house.store, directory=house.directory, policies=house.policies)


async def said(house: House, who: str, text: str, *here: str) -> Answer:
    """What somebody is answered who types this, in these places."""
    return await commands_of(house).answer(text, Caller(account(who), here))


async def home(house: House, who: str) -> Sequence[Answer]:
    """Somebody's overview."""
    parts, now = await commands_of(house).home(Caller(account(who)))
    assert now == house.now
    return parts


async def in_channel(house: House, who: str, text: str) -> Answer:
    """The same, typed where cards stand."""
    return await said(house, who, text, CHANNEL)


def words(answer: Answer) -> str:
    """What is read: the title, then a line a line."""
    return "\n".join([answer.title, *("".join(map(_word, line)) for row in answer.rows for line in row.lines)])


def buttons(answer: Answer) -> list[Button]:
    """Every button, those of rows first."""
    return [button for row in answer.rows for button in row.buttons] + [*answer.buttons]


def offers(answer: Answer) -> list[Button]:
    """Every button that does something."""
    return [button for button in buttons(answer) if button.label != "Why"]


def _word(piece: Piece) -> str:
    match piece:
        case Words(text=text):
            return text
        case At(at=at):
            return f"{datetime.fromtimestamp(at / 1000, UTC):%H:%M}"
        case Person(who=who):
            return f"@{who.person}"
        case Place(destination=destination):
            return f"[{destination}]"
        case Typed(command=command):
            return f"/{command}"
