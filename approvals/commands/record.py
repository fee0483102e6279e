"""Everything about one request: what was asked, who answered what they saw, how it went on; and what can be done."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.card import Card, card_of
from approvals.commands.answers import Answer, At, Button, Line, Piece, Row, Words, bold, line, ours, theirs
from approvals.commands.lists import about, became, people
from approvals.lifecycle import Status
from approvals.lines import Line as Argument
from approvals.matching import Explanation, Heard
from approvals.policy import Policy
from approvals.request import Request, Vote

_ROOM = 2_500  #: characters of arguments in one row
_ANSWERS = {"approve": "approved", "deny": "denied", "changes": "asked for changes"}


def record_of(request: Request, policy: Policy, cards: Line, buttons: Sequence[Button]) -> Answer:
    """The answer to `show`: of the action what the card shows, the whole of it where the card does; never the nonce."""
    card = card_of(request)
    heading = line(bold(card.heading), *_note(card, policy))
    rows = [
        Row(lines=((*about(request), *became(request, policy), *cards),)),
        Row(lines=(heading, line(_whole(card.kind), " → ", _whole(card.target)))),
        *_arguments(card),
        Row(lines=tuple(_terms(request, policy))),
        Row(lines=tuple(trail_of(request, policy))),
    ]
    return Answer(title="Approval record", rows=tuple(rows), buttons=tuple(buttons))


def _note(card: Card, policy: Policy) -> list[Piece | str]:
    """What the card says beside its heading, with those whom it names."""
    named = people([who.person for who in card.by], policy)
    return [f" · {card.note}", *([" ", *named] if named else [])] if card.note else []


def why_of(request: Request, explanation: Explanation, policy: Policy) -> Answer:
    """The answer to `why`: every rule with what it had to say, what all of it comes to, and who that asks."""
    rules = [_rule(heard) for heard in explanation.rules]
    terms = explanation.terms
    asks = [line(f"{factor.name}: {factor.need} of ", *_sources(factor.sources, policy)) for factor in terms.factors]
    comes = {"allow": "nobody is asked: it is allowed", "deny": "nobody is asked: it is denied"}
    verdict = line(bold(comes.get(terms.verdict, "people are asked")))
    if request.terms.policy != terms.policy:
        asks.append(line("It was asked under another policy; of both the stricter demands hold."))
    rows = (Row(lines=(about(request),)), Row(lines=tuple(rules)), Row(lines=(verdict, *asks)))
    return Answer(title="Why", rows=rows)


def _rule(heard: Heard) -> Line:
    mark = "counts" if heard.counts else "does not count"
    return line(theirs(heard.rule), f" {mark}: ", ours(heard.why))


def _sources(sources: Sequence[str], policy: Policy) -> list[Piece]:
    """Who is asked: people by their accounts, groups of a platform by the name that policy gives them."""
    found: list[Piece] = []
    for source in sources:
        named = source.startswith("person:")
        who = people([source.removeprefix("person:")], policy) if named else [theirs(policy.group_of(source) or source)]
        found += [ours(", "), *who] if found else who
    return found


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


def _arguments(card: Card) -> list[Row]:
    """Every argument, as on the card, in rows of a size that a message takes; the values are not ours."""
    lines = [_argument("", one) for one in card.arguments] + [_argument("only if ", one) for one in card.preconditions]
    if not card.complete:
        lines.append(line("Too long to be shown here: Review on the card shows the whole."))
    rows: list[Row] = []
    size = 0
    for one in lines:
        room = sum(len(piece.text) for piece in one if isinstance(piece, Words))
        fits = rows and size + room <= _ROOM
        rows[-1:] = [Row(lines=(*rows[-1].lines, one))] if fits else [*rows[-1:], Row(lines=(one,))]
        size = size + room if fits else room
    return rows


def _argument(mark: str, member: Argument) -> Line:
    return line(mark, _whole(member.name), " ", _whole("\n".join(member.value)))


def _whole(text: str) -> Words:
    """What a card holds is safe to look at, and shown whole."""
    return Words(text=text, code=True)


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
