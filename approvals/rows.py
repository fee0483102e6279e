"""A request as one row of a message that several share: what a card says, as short as it can be said.

A row may be approved only if it says everything that the card says of the action; else it is reviewed first.
"""

from __future__ import annotations

from typing import Literal

from approvals.action import Frozen, digest_of
from approvals.card import Button, Card, Said, Seat, Who
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.terms import Piece, Risk
from approvals.text import clipped

#: An action longer than this does not fit a row: characters of all names and values, and lines of them.
ROW_WHOLE = 320
ROW_LINES = 8
ROW_TARGET = 120
_BRIEF = 40  #: characters of each of the lines that a row shows of an action that does not fit
_REASON = 200


class Row(Frozen):
    """Everything a platform draws of one request in a shared message."""

    v: Literal[1] = 1
    row: Literal[True] = True
    request: str
    status: Status
    emergency: bool = False
    code: str
    heading: str
    summary: tuple[Piece, ...] = ()  #: what would happen, in one sentence; empty: the heading has to do
    note: str
    by: tuple[Who, ...] = ()
    risk: Risk
    kind: str
    target: str
    arguments: tuple[Line, ...]
    whole: bool  #: whether the row says all that the card says of the action
    agent: str
    principal: Who
    reason: str = ""
    needs: tuple[Seat, ...] = ()
    said: tuple[Said, ...] = ()
    expires_at: int | None = None
    buttons: tuple[Button, ...] = ()

    def digest(self) -> str:
        """The digest of everything that is drawn."""
        return digest_of(self.model_dump(mode="json"))


def row_of(card: Card) -> Row:
    """The current row of a request, out of its current card."""
    whole = _fits(card)
    return Row(
        request=card.request,
        status=card.status,
        emergency=card.emergency,
        code=card.code,
        heading=card.heading,
        summary=card.summary if whole else (),
        note=card.note,
        by=card.by,
        risk=card.risk,
        kind=card.kind,
        target=card.target if whole else clipped(card.target, ROW_TARGET),
        arguments=card.arguments if whole else _brief(card.arguments),
        whole=whole,
        agent=card.agent,
        principal=card.principal,
        reason=clipped(card.reason, _REASON),
        needs=card.needs,
        said=card.said,
        expires_at=card.expires_at,
        buttons=_buttons(card, whole),
    )


def _fits(card: Card) -> bool:
    """Whether a row has room for the action, and the card says nothing else that people should know before a yes."""
    says_more = (
        card.preconditions or card.hidden or card.hosts or card.masked != "no" or card.supersedes or card.earlier
    )
    if says_more or not card.complete or any(line.diff for line in card.arguments):
        return False
    size = len(card.target) + sum(len(piece.text) for piece in card.summary) + sum(line.size for line in card.arguments)
    return size <= ROW_WHOLE and sum(len(line.value) for line in card.arguments) <= ROW_LINES


def _brief(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(
        Line(name=clipped(line.name, _BRIEF), value=(clipped(line.value[0] if line.value else "", _BRIEF),))
        for line in lines[:2]
    )


def _buttons(card: Card, whole: bool) -> tuple[Button, ...]:
    """Those of the card; a review in place of a yes to what the row does not show whole."""
    return tuple("review" if name == "approve" and not whole else name for name in card.buttons)
