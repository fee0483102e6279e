"""A card as Slack blocks: pure, always the same order, untrusted text only as literal rich text.

What would happen, of which kind, on what, with which effect and risk; every argument; who asks and for whom; who is
needed, who has answered, until when; what the agent says. A card that does not fit has Review in place of Approve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from approvals.card import UNNAMED, Before, Button, Card, Changed, Group, Said, Seat, Step, Who
from approvals.hosts import Host
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.rows import Row
from approvals.terms import Piece, Risk
from handlers.slack import forms
from handlers.slack.directory import GROUP
from handlers.slack.elements import (
    DAY_AND_TIME,
    TIME,
    Json,
    emoji,
    listed,
    mention,
    quiet,
    quote,
    section,
    spoken_time,
    text,
    usergroup,
    when,
)
from handlers.slack.members import members

APPROVE = "sayso:approve"
DENY = "sayso:deny"
CHANGES = "sayso:changes"
REVIEW = "sayso:review"
DETAILS = "sayso:details"
MORE = "sayso:more"  #: the menu beside the buttons; what is chosen stands before the value, as PAUSE or REPORT
PAUSE, REPORT = "p:", "r:"

MOST_MEMBERS = 12  #: blocks of arguments; a card of more is never approved from a message
#: Characters of them: Slack has refused longer messages as msg_blocks_too_long; its number is not documented.
MOST_TEXT = 9_000
MOST_CHANGES = 2_500  #: characters of what changed since a denial
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
_MASKED = {
    "unseen": " Parts of this are secret and masked; to approve it is to approve them unseen",
    "barred": " Parts of this are secret and masked, and no rule lets them be approved unseen",
}
_REVIEW_WORD = text("Review", "bold")
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
    user = who.user_of("slack", team)
    return mention(user) if user else text(who.person, "code")


def mark(status: Status, risk: Risk, *, emergency: bool = False) -> str:
    """The emoji of a status; of what still waits, that of its risk; of what one person let through, an alarm."""
    return "rotating_light" if emergency else _MARKS.get(status, _RISKS[risk][0])


def risk_words(risk: Risk) -> str:
    """A risk in words: colours alone say nothing to many."""
    return _RISKS[risk][1]


def _blocks(card: Card, team: str, value: str) -> Iterator[Json]:
    arguments, preconditions = members(card.arguments), members(card.preconditions)
    fits = card.complete and _fit([*arguments, *preconditions])
    yield section(_heading(card, team))
    yield section([*_about(card)])
    yield from _warnings(card)
    yield from _members(arguments, preconditions) if fits else _members(arguments[:1], [])
    yield from _since_denied(card, team)
    if card.reason:
        lead = [text("Please change: ", "bold")] if card.asks_for_changes else []
        yield quote([*lead, text(card.reason)])
    for before in card.earlier:
        yield quiet(_before(before, team))
    yield quiet(_asks(card, team))
    yield from _progress(card, team)
    if card.buttons:
        yield from _care(card, fits)
    yield from _words(card)
    if card.buttons:
        buttons = [button(name, card, value) for name in _offered(card, fits)]
        yield forms.actions([*buttons, _more(value)])


def _fit(blocks: Sequence[Json]) -> bool:
    """Whether one message may hold all of these."""
    return len(blocks) <= MOST_MEMBERS and len(json.dumps(blocks, ensure_ascii=False)) <= MOST_TEXT


def _heading(card: Card, team: str) -> list[Json]:
    """What would happen, or what became of it."""
    line = [emoji(mark(card.status, card.risk, emergency=card.emergency)), text(" ")]
    if card.status is Status.PENDING and card.summary:
        line += sentence(card.summary)
    else:
        line += [text(card.heading, "bold")]
    line += [text(f" · {card.note}")] if card.note else []
    if card.by:
        line += [text(" "), *listed([person(who, team) for who in card.by])]
    return line


def sentence(summary: Sequence[Piece]) -> list[Json]:
    """Our words bold, the values of the action literal and marked as such."""
    return [text(piece.text, "bold" if piece.ours else "code") for piece in summary if piece.text]


def _about(card: Card) -> list[Json]:
    words = f" · {card.effect} · {risk_words(card.risk)}"
    line = [text(card.kind, "code"), text("  →  "), text(card.target, "code"), text(words)]
    if card.summary and card.status is not Status.PENDING:
        line = [*sentence(card.summary), text("\n"), *line]
    return line


def _warnings(card: Card) -> Iterator[Json]:
    if card.hidden:
        yield hidden_characters()
    for host in card.hosts:
        yield section(odd_host(host))
    if card.masked != "no":
        yield quiet([emoji("lock"), text(_MASKED[card.masked])])


def hidden_characters() -> Json:
    """That what is shown holds characters which nobody could see."""
    return section([emoji("warning"), text(" Characters that cannot be seen are written out, like "), _ESCAPE])


def odd_host(host: Host) -> list[Json]:
    """A host that is not what it looks like, or may not be."""
    mixed = f", and mixes {' and '.join(host.scripts)} letters" if host.scripts else ""
    line = [emoji("warning"), text(" The host "), text(host.written, "code"), text(" is in truth ")]
    return [*line, text(host.resolved, "code"), text(mixed + ".")]


def _members(arguments: Sequence[Json], preconditions: Sequence[Json]) -> Iterator[Json]:
    if not arguments:
        yield quiet([text("no arguments")])
    yield from arguments
    if preconditions:
        yield quiet([text("only if this still holds when it is done")])
    yield from preconditions


def _care(card: Card, fits: bool) -> Iterator[Json]:
    """Why it cannot be approved by one click."""
    if not fits:
        size = f"{card.bytes:,} bytes"
        yield quiet([emoji("eyes"), text(f" Too long to show here in full ({size}); approve it after "), _REVIEW_WORD])
        return
    if "review" not in card.buttons:
        return
    care = [f"at least {_seconds(card.care.look_ms)} in front of you"] if card.care.look_ms else []
    care += ["a code that it shows you"] if card.care.confirm_code else []
    care += ["a reason"] if "approve" in card.care.reasons else []
    yield quiet([emoji("eyes"), text(" Approve it after "), _REVIEW_WORD, text(f"; it takes {' and '.join(care)}")])


def _seconds(milliseconds: int) -> str:
    return f"{-(-milliseconds // 1000)} s"


def _offered(card: Card, fits: bool) -> list[Button]:
    """The buttons; where Slack cannot show the whole, Review stands in place of Approve."""
    return ["review" if name == "approve" and not fits else name for name in card.buttons]


def _since_denied(card: Card, team: str) -> Iterator[Json]:
    """What is another than in the denied request that this one answers."""
    if not card.supersedes:
        return
    rows = _that_fit([Line(name=changed.name, value=_was_and_is(changed)) for changed in card.changed])
    first = f", the first {len(rows)} of {card.changes}" if card.changes > len(rows) else ""
    what = f"what changed{first}:" if card.changed else "nothing changed"
    line = [emoji("arrows_counterclockwise"), text(f" asked anew after {card.supersedes} was denied")]
    yield quiet([*line, *(_by_whom(card.answers, team) if card.answers else []), text(f"; {what}")])
    yield from members(rows)


def _that_fit(lines: Sequence[Line]) -> list[Line]:
    """The first of the lines, as many as there is room for."""
    sizes = accumulate(line.size for line in lines)
    return [line for line, size in zip(lines, sizes, strict=True) if size <= MOST_CHANGES]


def _was_and_is(changed: Changed) -> tuple[str, ...]:
    was, now = _or_absent(changed.was), _or_absent(changed.now)
    return (f"{was[0]}  →  {now[0]}",) if len(was) == len(now) == 1 else (*was, "→", *now)


def _or_absent(value: Sequence[str]) -> Sequence[str]:
    return value or ("(absent)",)


def _before(before: Before, team: str) -> list[Json]:
    """An earlier request for the same, in one quiet line."""
    line = [emoji("warning"), text(" asked before for the same target: "), text(before.status.value, "bold")]
    return [*line, *_by_whom(before, team)]


def _by_whom(before: Before, team: str) -> list[Json]:
    by = [text(" by "), *listed([person(who, team) for who in before.by])] if before.by else []
    return [*by, text(" "), when(before.at)]


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
    line = [emoji("busts_in_silhouette"), text(" "), *_needed(card, team)]
    if card.expires_at is not None:
        line += [text(" · expires "), when(card.expires_at)]
    if card.said:
        yield quiet(_so_far(card, team))
    yield section(line)


def _needed(card: Card, team: str) -> list[Json]:
    """Who may answer and how many of them are needed; the mentions notify, when the card is new."""
    left = [seat for seat in card.needs if seat.got < seat.need]
    line: list[Json] = [text("waiting for " if card.said else "needs ")]
    for index, seat in enumerate(left):
        line += [text(" and ")] if index else []
        line += [text(seat.name, "bold"), text(f" {seat.got} of {seat.need}"), *_asked(seat, team)]
    people = sum(seat.need for seat in card.needs)
    if not left:
        return [*line, text("nobody")]
    return [*line, text(f", {_NUMBERS.get(people, people)} different people")] if people > 1 else line


def _asked(seat: Seat, team: str) -> list[Json]:
    """Who is asked for one demand, in brackets: mentioned, or by name where a card does not call them; and a hitch."""
    by_name = [text(who.person, "code") for who in seat.people] if seat.notify != "mention" else []
    asked = listed([*people_of(seat, team), *by_name], " or ")
    named = [group for group in seat.groups if seat.notify == "mention" and not _is_ours(group)]
    hitches = ", ".join(filter(None, [seat.hitch, *(group.hitch_in("slack") for group in named)]))
    hitch = [text(f"; {hitches}" if asked else hitches)] if hitches else []
    return [text(" ("), *asked, *hitch, text(")")] if asked or hitch else []


def people_of(seat: Seat, team: str) -> list[Json]:
    """Those who are called for one demand by being mentioned: their groups here, and each of them by name."""
    if seat.notify != "mention":
        return []
    found = [*groups_called(seat.groups, team), *(person(who, team) for who in seat.people)]
    return [element for place, element in enumerate(found) if element not in found[:place]]


def groups_called(groups: Sequence[Group], team: str) -> list[Json]:
    """Mentions of our own groups, each as a whole, and of those of others' members who have an account here."""
    found: list[Json] = []
    for group in groups:
        if _is_ours(group):
            found.append(usergroup(group.source.removeprefix(GROUP)))
        else:
            found += [mention(user) for who in group.people if (user := who.user_of("slack", team))]
    return found


def _is_ours(group: Group) -> bool:
    return group.source.startswith(GROUP)


def _so_far(card: Card, team: str) -> list[Json]:
    yes = any(said.answer == "approve" for said in card.said)
    line = [emoji("white_check_mark" if yes else "no_entry"), text(" ")]
    for index, said in enumerate(card.said):
        line += [text(", ")] if index else []
        line += _voice(said, team)
    return line


def _voice(said: Said, team: str) -> list[Json]:
    words = {"approve": f"for {said.factor}", "deny": "against it", "changes": "against it, and asks for changes,"}
    owner = f" in place of {said.instead_of}" if said.instead_of else ""
    return [person(said.who, team), text(f"{owner} {words[said.answer]} at "), when(said.at, TIME)]


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
        line += [text(f" ({step.by})")] if " " in step.by else [text(" by "), text(step.by, "code")]
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
    drawn = forms.button(label, action, value=value, style=style)
    return drawn | {"accessibility_label": f"{label} request {card.code}"[:75]}


def _more(value: str) -> Json:
    """What is done seldom: it stops more than this one request, or calls somebody."""
    ways = ((PAUSE, "Deny and pause this agent"), (REPORT, "Report as suspicious"))
    shown = [{"text": forms.plain_text(words), "value": f"{way}{value}"} for way, words in ways]
    return {"type": "overflow", "action_id": MORE, "options": shown}


_BUTTONS: dict[Button, tuple[str, str, str | None]] = {
    "approve": ("Approve", APPROVE, "primary"),
    "review": ("Review", REVIEW, "primary"),
    "deny": ("Deny", DENY, "danger"),
    "changes": ("Ask for changes", CHANGES, None),
    "details": ("Details", DETAILS, None),
}


def _spoken(card: Card) -> str:
    """What a lock screen shows: what, the code, who is needed, until when.

    A title that names the kind itself (policy does not describe it) is left out: a kind is the agent's word.
    """
    words = UNNAMED if card.kind in card.heading else card.heading
    what = f"{escaped(words)[:300]} ({card.code})"
    if card.status is not Status.PENDING:
        return what
    left = [seat for seat in card.needs if seat.got < seat.need]
    who = " and ".join(f"{escaped(seat.name)[:60]} {seat.got} of {seat.need}" for seat in left[:5])
    until = f" · until {spoken_time(card.expires_at)}" if card.expires_at is not None else ""
    return f"Approval needed: {what}" + (f" · {who}" if who else "") + until


def escaped(words: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
