"""A card as Slack blocks: pure, always the same order, untrusted text only as literal rich text.

What is ours (title, note, rule, deadline) frames what is the agent's. A card that does not fit whole has no Approve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from approvals.card import Before, Button, Card, Changed, Line, Said, Seat, Step, Who
from approvals.lifecycle import Status
from approvals.rows import Row
from approvals.terms import Risk
from handlers.slack.elements import (
    DAY_AND_TIME,
    TIME,
    Json,
    emoji,
    listed,
    mention,
    preformatted,
    quiet,
    quote,
    section,
    text,
    when,
)
from handlers.slack.table import tables

APPROVE = "sayso:approve"
DENY = "sayso:deny"
CHANGES = "sayso:changes"
REVIEW = "sayso:review"

MAX_TABLES = 8  #: blocks of arguments; a card of more is never approved from a message
_HALF_A_DAY = 12 * 3_600_000
_DOT = text(" · ")

_RISKS = {
    "low": ("large_blue_circle", "low risk"),
    "medium": ("large_yellow_circle", "medium risk"),
    "high": ("large_orange_circle", "high risk"),
    "critical": ("red_circle", "critical risk"),
}
_MARKS = {
    Status.APPROVED: "white_check_mark",
    Status.SPENT: "hourglass_flowing_sand",
    Status.SUCCEEDED: "white_check_mark",
    Status.DENIED: "no_entry",
    Status.EXPIRED: "hourglass",
    Status.WITHDRAWN: "leftwards_arrow_with_hook",
    Status.REVOKED: "no_entry_sign",
    Status.LAPSED: "hourglass",
    Status.FAILED: "x",
    Status.UNKNOWN: "warning",
}
_ESCAPE = text("\\u{202E}", "code")
_NOT_FROM_HERE = ", so it cannot be approved from this card."
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
_OUTCOMES = frozenset({"succeeded", "failed", "unknown"})


@dataclass(frozen=True)
class Drawing:
    """A message: its blocks, and the sentence for notifications and screen readers (mrkdwn, so of our words only)."""

    blocks: list[Json]
    text: str


def draw(card: Card, *, team: str, value: str) -> Drawing:
    """A card for our workspace `team`; `value` is what its buttons carry."""
    return Drawing(list(_blocks(card, team, value)), _spoken(card))


def person(who: Who, team: str) -> Json:
    """A person as their own account here, or literally where they have none."""
    for account in who.accounts:
        via, _, rest = account.partition(":")
        tenant, _, user = rest.partition(":")
        if (via, tenant) == ("slack", team) and user:
            return mention(user)
    return text(who.person, "code")


def mark(status: Status, risk: Risk) -> str:
    """The emoji of a status; of what still waits, that of its risk."""
    return _MARKS.get(status, _RISKS[risk][0])


def risk_words(risk: Risk) -> str:
    """A risk in words: colours alone say nothing to many."""
    return _RISKS[risk][1]


def _blocks(card: Card, team: str, value: str) -> Iterator[Json]:
    arguments, preconditions = tables(card.arguments), tables(card.preconditions)
    fits = len(arguments) + len(preconditions) <= MAX_TABLES
    yield section(_heading(card, team))
    yield section([text(card.kind, "code"), text("  →  "), text(card.target, "code")])
    if card.hidden:
        yield section([emoji("warning"), text(" Characters that cannot be seen are written out, like "), _ESCAPE])
    yield from _tables(arguments[:MAX_TABLES], preconditions[:MAX_TABLES])
    yield from _since_denied(card)
    if card.reason:
        lead = [text("Please change: ", "bold")] if card.asks_for_changes else []
        yield quote([*lead, text(card.reason)])
    for before in card.earlier:
        yield quiet(_before(before, team))
    yield quiet(_asks(card, team))
    yield from _progress(card, team)
    if not (card.complete and fits):
        yield quiet([emoji("eyes"), text(f" Too long to show here in full ({card.bytes:,} bytes)" + _NOT_FROM_HERE)])
    yield from _words(card)
    if buttons := [button(name, card, value) for name in card.buttons if name != "approve" or (card.complete and fits)]:
        yield {"type": "actions", "elements": buttons}


def _heading(card: Card, team: str) -> list[Json]:
    mark, risk = _RISKS[card.risk]
    notes = [risk, card.note] if card.status is Status.PENDING else [card.note]
    line = [emoji(_MARKS.get(card.status, mark)), text(" "), text(card.heading, "bold")]
    line += [text(f" · {note}") for note in notes if note]
    if card.by:
        line += [text(" "), *listed([person(who, team) for who in card.by])]
    return line


def _tables(arguments: Sequence[str], preconditions: Sequence[str]) -> Iterator[Json]:
    if not arguments:
        yield quiet([text("no arguments")])
    for table in arguments:
        yield preformatted(table)
    if preconditions:
        yield quiet([text("only if this still holds when it is done")])
    for table in preconditions:
        yield preformatted(table)


def _since_denied(card: Card) -> Iterator[Json]:
    """What is another than in the denied request that this one answers."""
    if not card.supersedes:
        return
    first = f", the first {len(card.changed)} of {card.changes}" if card.changes > len(card.changed) else ""
    what = f"what changed{first}:" if card.changed else "nothing changed"
    yield quiet([emoji("arrows_counterclockwise"), text(f" asked anew after {card.supersedes} was denied; {what}")])
    rows = [Line(name=changed.name, value=_was_and_is(changed)) for changed in card.changed]
    for table in tables(rows)[:MAX_TABLES]:
        yield preformatted(table)


def _was_and_is(changed: Changed) -> tuple[str, ...]:
    was, now = _or_absent(changed.was), _or_absent(changed.now)
    return (f"{was[0]}  →  {now[0]}",) if len(was) == len(now) == 1 else (*was, "→", *now)


def _or_absent(value: Sequence[str]) -> Sequence[str]:
    return value or ("(absent)",)


def _before(before: Before, team: str) -> list[Json]:
    """An earlier request for the same, in one quiet line."""
    line = [emoji("warning"), text(" the same was asked before: "), text(before.status.value, "bold")]
    if before.by:
        line += [text(" by "), *listed([person(who, team) for who in before.by])]
    return [*line, text(" "), when(before.at)]


def _asks(card: Card, team: str) -> list[Json]:
    line = [text(card.agent, "code"), text(" asks for "), person(card.principal, team)]
    if card.audience != card.agent:
        line += [text(" · through "), text(card.audience, "code")]
    rules = [text(rule, "code") for rule in card.rules]
    line += [text(" · rule " if len(rules) == 1 else " · rules "), *listed(rules)] if rules else []
    return [*line, text(" · code "), text(card.code, "bold")]


def _progress(card: Card, team: str) -> Iterator[Json]:
    """Who is needed and who has answered, until when; or, once decided, how it went on."""
    if card.status is not Status.PENDING:
        yield quiet(_story(card))
        return
    line = _so_far(card, team) if card.said else _needed(card)
    if card.expires_at is not None:
        line += [text(" · expires "), when(card.expires_at)]
    yield quiet(line)


def _needed(card: Card) -> list[Json]:
    people = sum(seat.need for seat in card.needs)
    line = [emoji("busts_in_silhouette"), text(" needs "), *_seats(card.needs)]
    return [*line, text(f", {_NUMBERS.get(people, people)} different people")] if people > 1 else line


def _so_far(card: Card, team: str) -> list[Json]:
    yes = any(said.answer == "approve" for said in card.said)
    line = [emoji("white_check_mark" if yes else "busts_in_silhouette"), text(" ")]
    for index, said in enumerate(card.said):
        line += [text(", ")] if index else []
        line += _voice(said, team)
    return [*line, text(" · waiting for "), *_seats([seat for seat in card.needs if seat.got < seat.need])]


def _voice(said: Said, team: str) -> list[Json]:
    words = {"approve": f"for {said.factor}", "deny": "against it", "changes": "against it, and asks for changes,"}
    return [person(said.who, team), text(f" {words[said.answer]} at "), when(said.at, TIME)]


def _seats(needs: Sequence[Seat]) -> list[Json]:
    line: list[Json] = []
    for index, seat in enumerate(needs):
        line += [text(" and ")] if index else []
        line += [text(seat.name, "bold"), text(f" {seat.got} of {seat.need}")]
    return line or [text("nobody")]


def _story(card: Card) -> list[Json]:
    line: list[Json] = []
    for step in card.story:
        later = card.story[0].at if line else None
        line += [_DOT] if line else []
        line += _told(step, card, later)
    return line or [text(card.status.value)]


def _told(step: Step, card: Card, began: int | None) -> list[Json]:
    """One step; the first one says the day, and so does one that came much later."""
    form = DAY_AND_TIME if began is None or step.at - began > _HALF_A_DAY else TIME
    if step.word in _OUTCOMES and card.took_ms is not None:
        return [text(f"{step.word} in {card.took_ms / 1000:.1f} s")]
    line = [text(f"{step.word} "), when(step.at, form)]
    if step.by and step.word not in _OUTCOMES:
        line += [text(" by "), text(step.by, "code")]
    return line


def _words(card: Card) -> Iterator[Json]:
    """What others say in their own words, last: the tool about how it ended, the agent about why."""
    for step in card.story:
        if step.word in _OUTCOMES and step.by:
            yield quote([text("The tool says (unverified): ", "italic"), text(step.by)])
    if card.says:
        yield quote([text("The agent says (unverified): ", "italic"), text(card.says)])


def button(name: Button, card: Card | Row, value: str) -> Json:
    """A button of a card or of a row; `value` is what it carries."""
    label, action, style = _BUTTONS[name]
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": label, "emoji": False},
        "accessibility_label": f"{label} request {card.code}"[:75],
        "action_id": action,
        "value": value,
        **({"style": style} if style else {}),
    }


_BUTTONS: dict[Button, tuple[str, str, str | None]] = {
    "approve": ("Approve", APPROVE, "primary"),
    "review": ("Review", REVIEW, "primary"),
    "deny": ("Deny", DENY, "danger"),
    "changes": ("Ask for changes", CHANGES, None),
}


def _spoken(card: Card) -> str:
    """A title that names the kind itself (policy does not describe it) is left out: a kind is the agent's word."""
    words = "an action that the policy does not describe" if card.kind in card.heading else card.heading
    lead = "Approval needed: " if card.status is Status.PENDING else ""
    return f"{lead}{_escaped(words)[:300]} ({card.code})"


def _escaped(words: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
