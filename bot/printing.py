"""A request in a terminal: the same card people saw in chat, as lines of text."""

from __future__ import annotations

from typing import Final

from approvals.card import Card, card_of
from approvals.lines import Line
from approvals.ports import DeadLetter
from approvals.request import Request
from approvals.text import clipped, one_line
from approvals.wire import instant

_KEPT: Final = 200  #: characters of a dead letter that are shown


def story_of(request: Request) -> str:
    """The whole story of a request, safe to print: nothing in it can move the cursor or colour the text."""
    card = card_of(request)
    rows = [
        ("request", f"{card.request}  code {card.code}"),
        ("status", f"{card.status.value}: {card.heading}, {card.note}"),
        ("action", f"{card.kind} to {card.target}"),
        *_arguments(card),
        ("digest", request.digest),
        ("asked by", f"{card.agent} for {card.principal.person}, checked by {card.audience}"),
        ("rules", " ".join(card.rules)),
        *[("vote", f"{v.answer} by {v.person} ({v.account}) {instant(v.at)}") for v in request.votes],
        *[("reason", line) for line in card.reason.split("\n") if line],
        *[(step.word, " ".join((instant(step.at), step.by))) for step in card.story],
    ]
    if card.expires_at is not None:
        rows.append(("expires", instant(card.expires_at)))
    return "\n".join(f"{name:<12}{text}" for name, text in rows)


def row_of(request: Request) -> dict[str, str]:
    """A request in a list."""
    return {
        "code": request.code,
        "request": request.id,
        "agent": request.agent,
        "kind": request.action.kind,
        "rule": "+".join(request.terms.rules),
        "expires_at": instant(request.expires_at),
    }


def letter_of(letter: DeadLetter) -> dict[str, str]:
    """A dead letter in a list, safe to print whatever somebody sent."""
    return {
        "at": instant(letter.at),
        "owner": letter.owner,
        "entry": letter.entry,
        "reason": letter.reason,
        "type": one_line(letter.type) or "-",
        "kept": clipped(one_line(letter.body.decode(errors="replace")), _KEPT),
    }


def _arguments(card: Card) -> list[tuple[str, str]]:
    return [row for lines in (card.arguments, card.preconditions) for line in lines for row in _rows(line)]


def _rows(line: Line) -> list[tuple[str, str]]:
    first, *rest = line.value
    return [("", f"{line.name} = {first}"), *(("", f"  │ {text}") for text in rest)]
