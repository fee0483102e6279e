"""What people are shown of a request, on any platform: a pure function of the request.

A Card holds text that is safe to look at (text.py), marked by where it came from: what stands in `heading`, `note`,
`title` and `rules` is ours; everything else is an agent's, a tool's or a person's and must be drawn literally.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from approvals.action import Action, Frozen, digest_of
from approvals.lifecycle import Status
from approvals.request import Request, Superseded, Vote
from approvals.terms import Risk
from approvals.text import clipped, has_hidden, one_line, visible

#: An action longer than this is not read but skimmed: no Approve on the card (invariant 6). Characters as shown.
WHOLE = 6_000
MAX_LINES = 80
SAYS = 500
CHANGES = 20  #: how many changes since a denial are shown
BRIEF = 5  #: how many lines of each

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_LOOKS_LIKE_JSON = re.compile(r'\s|true$|false$|null$|["\[{].*|$|.*\s$', re.DOTALL)

Button = Literal["approve", "review", "deny", "changes"]


class Line(Frozen):
    """One argument: its path in the arguments and its value, every line of it."""

    name: str
    value: tuple[str, ...]


class Who(Frozen):
    """A person on a card: the account they used, so that a platform can mention its own."""

    person: str
    accounts: tuple[str, ...]


class Seat(Frozen):
    """One factor: who is needed, and how many have said yes."""

    name: str
    got: int
    need: int


class Said(Frozen):
    """Somebody's answer, as the card tells it."""

    who: Who
    answer: Literal["approve", "deny", "changes"] = "approve"
    factor: str
    at: int


class Changed(Frozen):
    """What is not as it was in the denied request; empty on the side where it is absent.

    `name` is an argument's path, or ours: "the target", "precondition …"; no argument's path has a bare blank in it.
    """

    name: str
    was: tuple[str, ...]
    now: tuple[str, ...]


class Before(Frozen):
    """An earlier request for the same that people should know of."""

    status: Status
    at: int
    by: tuple[Who, ...]


class Step(Frozen):
    """One step of the story told at the end of a card."""

    word: str
    at: int
    by: str = ""


class Card(Frozen):
    """Everything a platform draws, in the order in which it is drawn."""

    v: Literal[1] = 1
    request: str
    status: Status
    title: str
    heading: str
    note: str
    by: tuple[Who, ...] = ()
    risk: Risk
    effect: str
    kind: str
    target: str
    arguments: tuple[Line, ...]
    preconditions: tuple[Line, ...]
    complete: bool  #: whether the lines are the whole action; without it there is no Approve
    bytes: int
    hidden: bool  #: whether characters of the action that cannot be seen were written out
    reason: str = ""
    asks_for_changes: bool = False  #: whether the reason says what to change
    supersedes: str = ""  #: the code of the denied request that this one answers
    changed: tuple[Changed, ...] = ()  #: clipped: the whole of what is now stands above
    changes: int = 0  #: how many there are; `changed` holds the first
    earlier: tuple[Before, ...] = ()
    agent: str
    principal: Who
    audience: str
    rules: tuple[str, ...]
    code: str
    needs: tuple[Seat, ...] = ()
    said: tuple[Said, ...] = ()
    expires_at: int | None = None
    story: tuple[Step, ...] = ()
    took_ms: int | None = None
    says: str = ""
    buttons: tuple[Button, ...] = Field(default=())

    def digest(self) -> str:
        """The digest of everything that is drawn."""
        return digest_of(self.model_dump(mode="json"))


def card_of(request: Request) -> Card:
    """The current card of a request."""
    changed = _changed(request)
    arguments, preconditions = _lines(request.action.arguments), _lines(request.action.preconditions)
    shown = [
        request.action.target,
        *(text for line in (*arguments, *preconditions) for text in (line.name, *line.value)),
    ]
    complete = (
        sum(map(len, shown)) <= WHOLE and sum(len(line.value) for line in (*arguments, *preconditions)) <= MAX_LINES
    )
    pending = request.status is Status.PENDING
    return Card(
        request=request.id,
        status=request.status,
        title=request.presentation.title,
        heading=_heading(request),
        note=_note(request),
        by=_deciders(request),
        risk=request.presentation.risk,
        effect=request.presentation.effect,
        kind=request.action.kind,
        target=one_line(request.action.target),
        arguments=arguments if complete else _summary(arguments),
        preconditions=preconditions if complete else (),
        complete=complete,
        bytes=len(json.dumps(request.action.arguments, ensure_ascii=False).encode()),
        hidden=_hides(request),
        reason=_reason(request),
        asks_for_changes=bool(request.decision and request.decision.changes),
        supersedes=request.superseded.code if request.superseded else "",
        changed=changed[:CHANGES],
        changes=len(changed),
        earlier=tuple(Before(status=one.status, at=one.at, by=_named(one.by)) for one in request.earlier),
        agent=request.agent,
        principal=Who(person=one_line(request.principal), accounts=request.principal_accounts),
        audience=request.audience,
        rules=request.terms.rules,
        code=request.code,
        needs=_needs(request) if pending else (),
        said=_said(request) if pending else (),
        expires_at=request.expires_at if pending else None,
        story=() if pending else _story(request),
        took_ms=_took(request),
        says=clipped(visible(request.because), SAYS) if pending else "",
        buttons=_buttons(complete) if pending else (),
    )


def _buttons(complete: bool) -> tuple[Button, ...]:
    return ("approve", "deny", "changes") if complete else ("deny", "changes")


def _named(people: tuple[str, ...]) -> tuple[Who, ...]:
    return tuple(Who(person=one_line(person), accounts=()) for person in people)


def _changed(request: Request) -> tuple[Changed, ...]:
    """Everything of the action that is another than in the denied request, which went or which came."""
    if request.superseded is None:
        return ()
    was, now = _parts(request.superseded), _parts(request.action)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return tuple(
        Changed(name=clipped(name, 60), was=_brief(was.get(name, ())), now=_brief(now.get(name, ()))) for name in names
    )


def _parts(action: Action | Superseded) -> dict[str, tuple[str, ...]]:
    """Everything an action says, each part under a name of its own."""
    ours = {"the kind": (action.kind,), "the target": (one_line(action.target),)}
    conditions = {f"precondition {name}": value for name, value in _flat(action.preconditions, "")}
    return {**ours, **dict(_flat(action.arguments, "")), **conditions}


def _brief(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The beginning of a value; what is now stands on the card in full."""
    more = (f"(+{len(lines) - BRIEF} lines)",) if len(lines) > BRIEF else ()
    return (*(clipped(line, 120) for line in lines[:BRIEF]), *more)


def _heading(request: Request) -> str:
    words = request.presentation
    return {
        Status.PENDING: words.title,
        Status.APPROVED: f"Approved: {words.title}",
        Status.SPENT: f"Under way: {words.title}",
        Status.SUCCEEDED: words.done,
        Status.UNKNOWN: f"Outcome unknown: {words.title}",
    }.get(request.status, words.not_done)


_NOTES = {
    Status.EXPIRED: "nobody answered in time",
    Status.WITHDRAWN: "the agent no longer asks",
    Status.REVOKED: "the approval was taken back before it was used",
    Status.LAPSED: "approved, but not used in time",
    Status.UNKNOWN: "check what happened before anyone tries again",
    Status.FAILED: "the tool reports that nothing was done; approved by",
    Status.DENIED: "denied by",
}


def _note(request: Request) -> str:
    if request.status is Status.PENDING:
        return "can be undone" if request.presentation.reversible else "cannot be undone"
    if request.decision is not None and request.decision.break_glass:
        return _emergency_note(request)
    note = _NOTES.get(request.status, "approved by")
    if note.endswith(" by") and request.decision is not None and request.decision.rule is not None:
        return f"{note} policy"
    return note


def _emergency_note(request: Request) -> str:
    """That one person alone let it through, for as long as the card stands."""
    reviewed = "not reviewed yet" if request.unreviewed else "reviewed"
    ended = {Status.APPROVED: "", Status.SUCCEEDED: ""}.get(request.status, f"{request.status.value}; ")
    return f"{ended}let through in an emergency ({reviewed}), alone, by"


def _deciders(request: Request) -> tuple[Who, ...]:
    if request.decision is None or request.status in (Status.EXPIRED, Status.WITHDRAWN):
        return ()
    return tuple(_who(vote) for vote in request.decision.by)


def _who(vote: Vote) -> Who:
    return Who(person=vote.person, accounts=(vote.account,))


def _reason(request: Request) -> str:
    if request.decision is None:
        return ""
    return visible(request.decision.changes or request.decision.reason)


def _needs(request: Request) -> tuple[Seat, ...]:
    got = request.got()
    return tuple(Seat(name=factor.name, got=got[factor.name], need=factor.need) for factor in request.terms.factors)


def _said(request: Request) -> tuple[Said, ...]:
    return tuple(
        Said(who=_who(vote), answer=vote.answer, factor=" and ".join(vote.factors), at=vote.at)
        for vote in request.votes
    )


def _story(request: Request) -> tuple[Step, ...]:
    steps = [Step(word="asked", at=request.asked_at)]
    if request.decision is not None:
        steps.append(Step(word=request.decision.status.value, at=request.decision.at))
    if request.spend is not None:
        steps.append(Step(word="receipt used", at=request.spend.at, by=request.spend.audience))
    steps += [Step(word=one.did, at=one.at, by=one_line(one.person)) for one in request.interventions]
    if request.closed_at is not None and request.status is not Status.REVOKED:
        steps.append(Step(word=request.status.value, at=request.closed_at))
    if request.outcome is not None:
        note = clipped(one_line(request.outcome.note), 120)
        steps.append(Step(word=f"{request.outcome.status.value}", at=request.outcome.at, by=note))
    return tuple(steps)


def _took(request: Request) -> int | None:
    if request.spend is None or request.outcome is None or request.outcome.status is Status.UNKNOWN:
        return None
    return request.outcome.at - request.spend.at


def _hides(request: Request) -> bool:
    """Whether the action holds what cannot be seen; the agent's own words change nothing but the line they stand in."""
    action = request.action
    return any(has_hidden(text) for text in _texts([action.target, action.arguments, action.preconditions]))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            yield from _texts(inner)


def _summary(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The beginning of what is too long: enough to know what it is about, never enough to approve it."""
    return tuple(Line(name=line.name[:60], value=(clipped(line.value[0], 120),)) for line in lines[:10])


def _lines(members: dict[str, Any]) -> tuple[Line, ...]:
    return tuple(Line(name=name, value=value) for name, value in _flat(members, ""))


def _flat(value: Any, path: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every leaf with its path, so that nothing nested is hidden."""
    if isinstance(value, dict) and value:
        return [
            leaf
            for name, inner in value.items()
            for leaf in _flat(inner, f"{path}.{_name(name)}" if path else _name(name))
        ]
    if isinstance(value, list) and value:
        return [leaf for index, inner in enumerate(value) for leaf in _flat(inner, f"{path}[{index}]")]
    return [(path, _leaf(value))] if path else []


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else one_line(json.dumps(name, ensure_ascii=False))


def _leaf(value: Any) -> tuple[str, ...]:
    """A value as its lines; a text that could be taken for another JSON value stands in quotes.

    Digits do not: money and ids are texts by contract, and for the reader 12400.00 is the same either way.
    """
    if not isinstance(value, str):
        return (json.dumps(value),)
    if _LOOKS_LIKE_JSON.match(value):
        return (one_line(json.dumps(value, ensure_ascii=False)),)
    return tuple(visible(value).split("\n"))
