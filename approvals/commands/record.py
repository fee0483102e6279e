"""Everything about one request: what was asked, who answered what they saw, how it went on; and what can be done."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.card import Card, card_of
from approvals.commands.answers import Answer, At, Button, Line, Piece, Row, bold, line, ours, theirs
from approvals.commands.lists import about, became, people
from approvals.lifecycle import Status
from approvals.policy import Policy
from approvals.request import Request, Vote
from approvals.text import clipped, visible

_LINES = 40  #: lines of arguments; what is longer is read on the card, in Review
_ANSWERS = {"approve": "approved", "deny": "denied", "changes": "asked for changes"}


def record_of(request: Request, policy: Policy, cards: Line, buttons: Sequence[Button]) -> Answer:
    """The answer to `show`: nothing of the nonce, and of the arguments what the card shows."""
    card = card_of(request)
    rows = [
        Row(lines=((*about(request), *became(request, policy), *cards),)),
        Row(lines=(line(bold(card.heading), *([f" · {card.note}"] if card.note else [])), *_arguments(card))),
        Row(lines=tuple(_terms(request, policy))),
        Row(lines=tuple(trail_of(request, policy))),
    ]
    return Answer(title="Approval record", rows=tuple(rows), buttons=tuple(buttons))


def trail_of(request: Request, policy: Policy) -> list[Line]:
    """What happened, in order, each line with its instant, its person, and what was on their screen."""
    found: list[tuple[int, Line]] = [(request.asked_at, _step("asked by ", request.asked_at, theirs(request.agent)))]
    found += [(vote.at, _voted(vote, policy)) for vote in request.votes]
    if (decision := request.decision) is not None:
        rule: list[Piece | str] = [theirs(decision.rule)] if decision.rule else []
        word = f"{decision.status.value} by " if rule else decision.status.value
        entry: list[Piece | str] = (
            [f" · journal entry {request.decision_entry}"] if request.decision_entry is not None else []
        )
        found.append((decision.at, _step(word, decision.at, *rule, *entry, *_reason(decision.reason))))
    if request.spend is not None:
        spend = request.spend
        found.append((spend.at, _step("receipt used by ", spend.at, theirs(spend.audience))))
    for one in request.interventions:
        who = people([one.person], policy)
        found.append((one.at, _step(f"{one.did} by ", one.at, *who, *_reason(one.reason))))
    if request.closed_at is not None and request.status is Status.LAPSED:
        found.append((request.closed_at, _step("not used in time", request.closed_at)))
    if request.outcome is not None:
        outcome = request.outcome
        note: list[Piece | str] = [" · the tool says ", theirs(outcome.note)] if outcome.note else []
        found.append((outcome.at, _step(outcome.status.value, outcome.at, *note)))
    return [told for _, told in sorted(found, key=lambda one: one[0])]


def _voted(vote: Vote, policy: Policy) -> Line:
    who = people([vote.person], policy)
    seen = theirs(vote.shown[:19])
    return _step(f"{_ANSWERS[vote.answer]} by ", vote.at, *who, " · saw ", seen, *_reason(vote.reason))


def _step(word: str, at: int, *pieces: Piece | str) -> Line:
    return line(At(at=at), f" {word}", *pieces)


def _reason(reason: str) -> list[Piece | str]:
    return [": ", theirs(reason)] if reason else []


def _arguments(card: Card) -> list[Line]:
    """Every argument, as on the card; the values are not ours."""
    lines: list[Line] = []
    for mark, members in (("", card.arguments), ("only if ", card.preconditions)):
        for member in members:
            value = clipped(visible("\n".join(member.value)), 500).replace("\n", " ⏎ ")
            lines.append(line(mark, theirs(member.name), " ", theirs(value)))
    left = len(lines) - _LINES
    return lines[:_LINES] + ([line(f"and {left} more lines, in Review on the card")] if left > 0 else [])


def _terms(request: Request, policy: Policy) -> list[Line]:
    got = request.got()
    lines = [line("asked for ", *people([request.principal], policy), " · checked by ", theirs(request.audience))]
    if needs := [f"{factor.name} {got[factor.name]} of {factor.need}" for factor in request.terms.factors]:
        lines.append(line(f"needs {' and '.join(needs)}"))
    rules: list[Piece] = [theirs(rule) for rule in request.terms.rules]
    lines.append(line("rules ", *_apart(rules), " · policy ", theirs(request.terms.policy[:19])))
    lines.append(line("request ", theirs(request.id), " · digest ", theirs(request.digest)))
    return lines


def _apart(pieces: Sequence[Piece]) -> list[Piece]:
    return [one for piece in pieces for one in (ours(", "), piece)][1:]
