"""A card as an Adaptive Card: pure, always the same order, untrusted text only in literal runs.

What is ours (title, note, rule, deadline) frames what is the agent's. A card that does not fit whole has no Approve.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from approvals.card import Before, Button, Card, Care, Changed, Said, Seat, Step, Who
from approvals.hosts import Host
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.review import Review
from approvals.rows import Row
from approvals.terms import Piece, Risk
from handlers.reasons import LONGEST, STANDS_IN_THE_RECORD, WHY_RIGHT
from handlers.teams.elements import Json, card, fixed, line, literal, local_time, ours, plainly, quiet, quote, row, utc
from handlers.teams.mentions import NOBODY, Call, members_of

APPROVE = "approve"
DENY = "deny"
CHANGES = "changes"
PAUSE = "pause"
REPORT = "report"
MORE = "more"  #: the form in which both of these are
REFRESH = "refresh"  #: what a client asks by itself when a card comes into view; it never votes
DATA = "sayso"  #: where a button carries its sealed value
ROW = "row"  #: set in what a button carries that stands beside others' in one message
LIMIT = 28_000  #: bytes of a card; Teams takes more, but not everywhere
REFRESHED = 60  #: people for whom Teams refreshes a card
_HALF_A_DAY = 12 * 3_600_000

_RISKS = {
    "low": ("🔵", "low risk", "Accent"),
    "medium": ("🟡", "medium risk", "Default"),
    "high": ("🟠", "high risk", "Attention"),
    "critical": ("🔴", "critical risk", "Attention"),
}
_MARKS = {
    Status.APPROVED: "✅",
    Status.SPENT: "⏳",
    Status.SUCCEEDED: "✅",
    Status.DENIED: "⛔",
    Status.EXPIRED: "⌛",
    Status.WITHDRAWN: "↩️",
    Status.REVOKED: "🚫",
    Status.LAPSED: "⌛",
    Status.FAILED: "❌",
    Status.UNKNOWN: "⚠️",
}
_MASKED = {
    "unseen": "🔒 Parts of this are secret and masked; to approve it is to approve them unseen",
    "barred": "🔒 Parts of this are secret and masked, and no rule lets them be approved unseen",
}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
_OUTCOMES = frozenset({"succeeded", "failed", "unknown"})


@dataclass(frozen=True)
class Drawing:
    """A card, and the sentence for notifications (of our words only)."""

    card: Json
    spoken: str


def draw(shown: Card, *, value: str, notice: str = "", denials: Sequence[str] = (), call: Call = NOBODY) -> Drawing:
    """A card whose buttons carry `value`; `notice` is told above it to the one person who clicked.

    `denials` are the reasons for a no that policy offers, `call` is whom a new card mentions.
    """
    spoken = _spoken(shown)
    for room in _ROOMS if shown.complete else _BRIEF:
        drawn = _drawn(shown, value, notice, spoken, room, denials, call)
        if size_of(drawn) <= LIMIT:
            break
    return Drawing(drawn, spoken)


@dataclass(frozen=True)
class _Room:
    """How much of a card is drawn: `whole` is the action itself, `changes` how much is told of what changed in it."""

    whole: bool
    changes: int


_BRIEF = (_Room(whole=False, changes=3), _Room(whole=False, changes=0))
_ROOMS = (_Room(whole=True, changes=20), _Room(whole=True, changes=3), *_BRIEF)


def size_of(drawn: Json) -> int:
    """Bytes of a card as it is sent."""
    return len(json.dumps(drawn, ensure_ascii=False).encode())


def reason_field(answer: str, request: str) -> str:
    """The name of the input that holds somebody's reason for an answer; no other in the same message has it."""
    return f"{answer}-reason-{request}"


def preset_field(answer: str, request: str) -> str:
    """The name of the list from which a reason can be chosen."""
    return f"{answer}-preset-{request}"


def _drawn(shown: Card, value: str, notice: str, spoken: str, room: _Room, denials: Sequence[str], call: Call) -> Json:
    body = [*_notice(notice), *_body(shown, room, call)]
    buttons = buttons_of(_offered(shown, room), shown, {DATA: value}, care=shown.care, denials=denials)
    buttons += [_more(shown.request, {DATA: value})] if buttons else []
    teams = {"width": "Full", **call.entities()}
    return card(body, buttons, spoken=spoken, teams=teams, refresh=refresh_of([shown], value))


def refresh_of(shown: Sequence[Card | Row], value: str) -> Json | None:
    """What clients do when the message comes into view, while it has buttons: ask for the card as it is.

    Teams does it for everybody in a chat or channel of up to 60 people, else for those who are named here.
    https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/universal-actions-for-adaptive-cards/work-with-universal-actions-for-adaptive-cards
    """
    if not any(one.buttons for one in shown):
        return None
    asked = (who for one in shown for seat in one.needs for who in (*seat.people, *members_of(seat.groups)))
    users = [account.split(":")[2] for who in asked for account in who.accounts if account.startswith("teams:")]
    named = [f"8:orgid:{user}" for user in dict.fromkeys(users)][:REFRESHED]
    action = _execute("Refresh", REFRESH, {DATA: value}, "default")
    return {"action": action} | ({"userIds": named} if named else {})


def draw_pointer(shown: Card, to: Json) -> Drawing:
    """What a copy of a card turns into: no buttons, and the way to the card; it never grows old."""
    head = [ours("↪️ ", size="Medium"), ours(shown.title, weight="Bolder", size="Medium")]
    body = [
        line([*head, ours(f" · code {shown.code}", weight="Bolder")]),
        line([ours("This was posted twice after a fault, and this copy is closed. The other one counts: "), to]),
    ]
    spoken = f"Posted twice; the other one counts ({shown.code})"
    return Drawing(card(body, spoken=spoken), spoken)


def _notice(words: str) -> Iterator[Json]:
    if words:
        yield {"type": "Container", "style": "emphasis", "items": [line(literal(words, weight="Bolder"))]}


def _body(shown: Card, room: _Room, call: Call) -> Iterator[Json]:
    yield line(heading(shown))
    if shown.summary and shown.status is not Status.PENDING:
        yield line(sentence(shown.summary), spacing="Small")
    yield line(about(shown), spacing="Small")
    yield from warnings(hidden=shown.hidden, hosts=shown.hosts, masked=shown.masked)
    yield from _table(shown, whole=room.whole)
    yield from _since_denied(shown, room.changes)
    if shown.reason:
        yield quote([ours("Please change:" if shown.asks_for_changes else "Because:", weight="Bolder")], shown.reason)
    for before in shown.earlier:
        yield quiet(_before(before))
    yield quiet(_asks(shown))
    yield from _progress(shown, call)
    if shown.buttons:
        yield from _care(shown, room)
    yield from _words(shown)


def heading(shown: Card | Row) -> Iterator[Json]:
    """What it is about, how risky it is while it waits, and who decided."""
    _, risk, color = _RISKS[shown.risk]
    mark = "🚨" if shown.emergency else _MARKS.get(shown.status, risk_mark(shown.risk))
    yield ours(f"{mark} ", size="Medium")
    if shown.status is Status.PENDING and isinstance(shown, Card) and shown.summary:
        yield from sentence(shown.summary)
    else:
        yield ours(shown.heading, weight="Bolder", size="Medium")
    if shown.status is Status.PENDING:
        yield ours(f" · {risk}", color=color)
    if shown.note:
        yield ours(f" · {shown.note}")
    if shown.by:
        yield ours(" ")
        yield from _listed(shown.by)


def risk_mark(risk: Risk) -> str:
    """The mark of a risk; it is said in words beside it."""
    return _RISKS[risk][0]


def sentence(summary: Sequence[Piece]) -> list[Json]:
    """Our words bold, the values of the action literal and marked as such."""
    runs = [literal(one.text) if not one.ours else [ours(one.text, weight="Bolder")] for one in summary if one.text]
    return [run for some in runs for run in some]


def about(shown: Card | Row | Review) -> list[Json]:
    """What kind of thing would be done, and to what."""
    return [*literal(shown.kind), ours("  →  "), *literal(shown.target)]


def warnings(*, hidden: bool, hosts: Sequence[Host], masked: str = "no") -> Iterator[Json]:
    """What is not as it looks, or cannot be seen."""
    if hidden:
        yield quiet([ours("⚠️ Characters that cannot be seen are written out, like "), *literal("\\u{202E}")])
    for host in hosts:
        mixed = f", and mixes {' and '.join(host.scripts)} letters" if host.scripts else ""
        runs = [ours("⚠️ The host "), *literal(host.written), ours(" is in truth "), *literal(host.resolved)]
        yield line([*runs, ours(f"{mixed}.")])
    if masked in _MASKED:
        yield quiet([ours(_MASKED[masked])])


def _offered(shown: Card, room: _Room) -> list[Button]:
    """The card's buttons; a review in place of a yes to what does not fit here whole."""
    if room.whole or not shown.buttons:
        return list(shown.buttons)
    return ["review", *(name for name in shown.buttons if name not in ("approve", "review"))]


def _care(shown: Card, room: _Room) -> Iterator[Json]:
    """Why it cannot be approved by one click."""
    if not room.whole:
        yield quiet([ours(f"👀 Too long to show here in full ({shown.bytes:,} bytes); approve it after Review")])
    elif "review" in shown.buttons:
        care = [f"at least {-(-shown.care.look_ms // 1000)} s in front of you"] if shown.care.look_ms else []
        care += ["a code that it shows you"] if shown.care.confirm_code else []
        care += ["a reason"] if "approve" in shown.care.reasons else []
        yield quiet([ours(f"👀 Approve it after Review; it takes {' and '.join(care)}")])


def _table(shown: Card, *, whole: bool) -> Iterator[Json]:
    if not shown.arguments:
        yield quiet([ours("no arguments")])
    yield from (row(one.name, one.value) for one in _shortened(shown.arguments, whole=whole))
    if shown.preconditions:
        yield quiet([ours("only if this still holds when it is done")])
    yield from (row(one.name, one.value) for one in _shortened(shown.preconditions, whole=whole))


def _shortened(table: Sequence[Line], *, whole: bool) -> Sequence[Line]:
    """The beginning of what cannot be approved from here: enough to know what it is about."""
    if whole:
        return table
    return [Line(name=one.name[:60], value=tuple(value[:120] for value in one.value[:1])) for one in table[:10]]


def _since_denied(shown: Card, most: int) -> Iterator[Json]:
    """What is another than in the denied request that this one answers."""
    if not shown.supersedes:
        return
    told = shown.changed[:most]
    first = f", the first {len(told)} of {shown.changes}" if shown.changes > len(told) else ""
    nothing = "too much changed to show it here" if shown.changes else "nothing changed"
    what = f"what changed{first}:" if told else nothing
    by = _by_whom(shown.answers) if shown.answers else ()
    yield quiet([ours(f"🔄 asked anew after {shown.supersedes} was denied"), *by, ours(f"; {what}")])
    yield from (row(changed.name, _was_and_is(changed)) for changed in told)


def _was_and_is(changed: Changed) -> tuple[str, ...]:
    was, now = changed.was or ("(absent)",), changed.now or ("(absent)",)
    return (f"{was[0]}  →  {now[0]}",) if len(was) == len(now) == 1 else (*was, "→", *now)


def _before(before: Before) -> Iterator[Json]:
    """An earlier request for the same, in one quiet line."""
    yield ours(f"⚠️ asked before for the same target: {before.status.value}")
    yield from _by_whom(before)


def _by_whom(before: Before) -> Iterator[Json]:
    if before.by:
        yield ours(" by ")
        yield from _listed(before.by)
    yield ours(f" {utc(before.at)}")


def _asks(shown: Card) -> Iterator[Json]:
    yield from literal(shown.agent)
    yield ours(" asks for ")
    yield from literal(shown.principal.person)
    if shown.audience != shown.agent:
        yield ours(" · through ")
        yield from literal(shown.audience)
    if shown.rules:
        yield ours(" · rule " if len(shown.rules) == 1 else " · rules ")
        yield from literal(", ".join(shown.rules))
    yield ours(f" · code {shown.code}", weight="Bolder")


def _progress(shown: Card, call: Call) -> Iterator[Json]:
    """Who is needed and who has answered, until when; or, once decided, how it went on."""
    if shown.status is not Status.PENDING:
        yield quiet(_story(shown))
        return
    yield quiet(_so_far(shown, call) if shown.said else _needed(shown, call))
    yield from call.line(spacing="Small")
    if shown.expires_at is not None:
        yield fixed(f"Expires {local_time(shown.expires_at)}", size="Small", isSubtle=True, spacing="None")


def _needed(shown: Card, call: Call) -> Iterator[Json]:
    people = sum(seat.need for seat in shown.needs)
    yield ours("👥 needs ")
    yield from seats(shown.needs, lambda seat: _asked(seat, call))
    if people > 1:
        yield ours(f", {_NUMBERS.get(people, people)} different people")


def _so_far(shown: Card, call: Call) -> Iterator[Json]:
    yes = any(said.answer == "approve" for said in shown.said)
    yield ours("✅ " if yes else "👥 ")
    for index, said in enumerate(shown.said):
        yield from [ours(", ")] if index else []
        yield from voice(said)
    yield ours(" · waiting for ")
    yield from seats([seat for seat in shown.needs if seat.got < seat.need], lambda seat: _asked(seat, call))


def voice(said: Said) -> Iterator[Json]:
    """Who has answered what."""
    words = {"approve": " for ", "deny": " against it", "changes": " against it, and asks for changes,"}
    yield from literal(said.who.person)
    if said.instead_of:
        yield ours(" in place of ")
        yield from literal(said.instead_of)
    yield ours(words[said.answer])
    if said.answer == "approve":
        yield from literal(said.factor)
    yield ours(f" at {utc(said.at, day=False)}")


def seats(needs: Sequence[Seat], asked: Callable[[Seat], list[Json]] = lambda seat: []) -> Iterator[Json]:
    """Who is needed, and how many of them there are; in brackets those who are `asked`, and who could not be."""
    for index, seat in enumerate(needs):
        yield from [ours(" and ")] if index else []
        yield from literal(seat.name)
        yield ours(f" {seat.got} of {seat.need}")
        yield from _in_brackets(asked(seat), _hitches(seat))
    if not needs:
        yield ours("nobody")


def _in_brackets(asked: list[Json], hitches: str) -> list[Json]:
    if not asked and not hitches:
        return []
    apart = "; " if asked and hitches else ""
    return [ours(" ("), *asked, ours(f"{apart}{hitches})")]


def _hitches(seat: Seat) -> str:
    """What kept people from being called: Teams lets a bot mention no group, so that its members are."""
    groups = [group.hitch_in("teams") for group in seat.groups] if seat.notify == "mention" else []
    return ", ".join(filter(None, [seat.hitch, *groups]))


def _asked(seat: Seat, call: Call) -> list[Json]:
    """Who is asked by name, without those whom the card mentions."""
    runs: list[Json] = []
    for who in seat.people:
        if not call.names(who):
            runs += [*([ours(" or ")] if runs else []), *literal(who.person)]
    return runs


def _story(shown: Card) -> Iterator[Json]:
    for index, step in enumerate(shown.story):
        yield from [ours(" · ")] if index else []
        yield from _told(step, shown, shown.story[0].at if index else None)
    if not shown.story:
        yield ours(shown.status.value)


def _told(step: Step, shown: Card, began: int | None) -> Iterator[Json]:
    """One step; the first one says the day, and so does one that came much later."""
    if step.word in _OUTCOMES and shown.took_ms is not None:
        yield ours(f"{step.word} in {shown.took_ms / 1000:.1f} s")
        return
    yield ours(f"{step.word} {utc(step.at, day=began is None or step.at - began > _HALF_A_DAY)}")
    if step.by and step.word not in _OUTCOMES:
        yield ours(" by ")
        yield from literal(step.by)


def _words(shown: Card) -> Iterator[Json]:
    """What others say in their own words, last: the tool about how it ended, the agent about why."""
    for step in shown.story:
        if step.word in _OUTCOMES and step.by:
            yield quote([ours("The tool says (unverified):", italic=True)], step.by)
    if shown.says:
        yield quote([ours("The agent says (unverified):", italic=True)], shown.says)


def _listed(people: Sequence[Who]) -> Iterator[Json]:
    """a, b and c."""
    for index, who in enumerate(people):
        yield from [ours(" and " if index == len(people) - 1 else ", ")] if index else []
        yield from literal(who.person)


def buttons_of(
    names: Sequence[Button], shown: Card | Row, data: Json, *, care: Care | None = None, denials: Sequence[str] = ()
) -> list[Json]:
    """The buttons that Teams has for these, on a card or a row; `data` is what they carry.

    `care` is what an approval takes, `denials` are reasons of policy's that can be chosen.
    """
    needs_reason = care is not None and "approve" in care.reasons
    drawn: list[Json] = []
    for name in names:
        if name == "review":
            drawn.append(_execute("Review", "review", data, "positive"))
        elif name == "approve" and not needs_reason:
            drawn.append(_execute("Approve", APPROVE, data, "positive", tooltip=f"Approve request {shown.code}"))
        elif name in _FORMS:
            drawn.append(_form(name, shown.request, data, denials if name == "deny" else ()))
    return drawn


def _form(name: Button, request: str, data: Json, presets: Sequence[str]) -> Json:
    """A button that unfolds the fields of its answer."""
    form = _FORMS[name]
    fields: list[Json] = []
    if presets:
        choices = [{"title": preset, "value": preset} for preset in presets]
        chosen = {"type": "Input.ChoiceSet", "id": preset_field(name, request), "label": "Reason", "choices": choices}
        fields.append(chosen)
    written: Json = {"type": "Input.Text", "id": reason_field(name, request), "label": form.label}
    written |= {"isMultiline": True, "maxLength": LONGEST}
    if not presets:
        written |= {"isRequired": True, "errorMessage": "Say it in a few words: it is needed."}
    fields.append(written)
    inner = card(fields, [_execute(form.submit, name, data, form.style)], spoken=form.title)
    return {"type": "Action.ShowCard", "title": form.title, "style": form.style, "card": inner}


def _more(request: str, data: Json) -> Json:
    """What is rarely needed, behind a button of its own: both take the same words, and neither is one click away."""
    label = "What is wrong? It stands in the record."
    field: Json = {"type": "Input.Text", "id": reason_field(MORE, request), "label": label, "isMultiline": True}
    field |= {"maxLength": LONGEST, "isRequired": True, "errorMessage": "Say it in a few words: it is needed."}
    words = (
        "Deny and pause: this is denied and, if the policy lets you, all that the agent asks, until somebody else "
        "unfreezes it. Report: the operators are told, and this still waits."
    )
    actions = [
        _execute("Deny and pause this agent", PAUSE, data, "destructive"),
        _execute("Report as suspicious", REPORT, data, "default"),
    ]
    inner = card([quiet([ours(words)]), field], actions, spoken="More")
    return {"type": "Action.ShowCard", "title": "More", "style": "default", "card": inner}


def _execute(title: str, verb: str, data: Json, style: str, **more: str) -> Json:
    return {"type": "Action.Execute", "title": title, "verb": verb, "data": data, "style": style, **more}


@dataclass(frozen=True)
class _Form:
    """What one of the forms says."""

    title: str
    label: str
    submit: str
    style: str


_FORMS: Mapping[Button, _Form] = {
    "approve": _Form("Approve", f"{WHY_RIGHT} {STANDS_IN_THE_RECORD}", "Approve", "positive"),
    "deny": _Form("Deny", "Why not? Shown on the card and given to the agent.", "Deny", "destructive"),
    "changes": _Form(
        "Ask for changes",
        "What should be different? This denies the request; the agent may ask again with the change.",
        "Deny, and ask",
        "default",
    ),
}


def _spoken(shown: Card) -> str:
    """A title that names the kind itself (policy does not describe it) is left out: a kind is the agent's word."""
    words = "an action that the policy does not describe" if shown.kind in shown.heading else shown.heading
    lead = "Approval needed: " if shown.status is Status.PENDING else ""
    return plainly(f"{lead}{words[:300]} ({shown.code})")
