"""What people are shown of a request, on any platform: a pure function of the request.

A Card holds text that is safe to look at (text.py), marked by where it came from: what stands in `heading`, `note`,
`title` and `rules` is ours; everything else is an agent's, a tool's or a person's and must be drawn literally.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from typing import Literal

from pydantic import Field

from approvals.action import Action, Frozen, digest_of
from approvals.attention import ON_CALL, called, sources_called
from approvals.freeze import FREEZE
from approvals.hosts import Host, odd_hosts
from approvals.lifecycle import Status
from approvals.lines import Line, lines_of, texts_in
from approvals.request import Callees, Intervention, Request, Superseded, Vote
from approvals.terms import Factor, Notify, Piece, Risk
from approvals.text import clipped, has_hidden, one_line, visible

#: An action longer than this is not read but skimmed: no Approve on the card (invariant 6). Characters as shown.
WHOLE = 6_000
MAX_LINES = 80
SAYS = 500
CHANGES = 20  #: how many changes since a denial are shown
BRIEF = 5  #: how many lines of each
COMPARED = 400_000  #: characters of an action that are compared with the denied one
HOSTS = 5  #: how many odd hosts are named
#: In place of a title that names the kind itself, because policy does not describe it: a kind is the agent's word.
UNNAMED = "an action that the policy does not describe"

Button = Literal["approve", "review", "deny", "changes", "details"]


class Who(Frozen):
    """A person on a card: the account they used, so that a platform can mention its own."""

    person: str
    accounts: tuple[str, ...]

    def user_of(self, via: str, tenant: str) -> str:
        """Their id as a user of a platform's workspace or tenant; empty where they have no account there."""
        mine = f"{via}:{tenant}:"
        return next((account.removeprefix(mine) for account in self.accounts if account.startswith(mine)), "")


class Group(Frozen):
    """A group that is asked, by its source. `people` are its members who were looked up and have not answered.

    They are mentioned by name where the group cannot be mentioned whole; `hitch` says who is not, and why (our words).
    """

    source: str
    people: tuple[Who, ...] = ()
    hitch: str = ""

    def hitch_in(self, via: str) -> str:
        """What keeps members from being mentioned on a platform."""
        nobody = self.people and not any(one.startswith(f"{via}:") for who in self.people for one in who.accounts)
        return f"nobody of the group has an account in {via.title()} that I know of" if nobody else self.hitch


class Seat(Frozen):
    """One factor: who is needed, and how many have said yes.

    `people`, those on call among them, and `groups` are asked and have not answered. A new card notifies them by
    mentions, except where `notify` says otherwise. `hitch` is what kept somebody from being notified.
    """

    name: str
    got: int
    need: int
    people: tuple[Who, ...] = ()
    groups: tuple[Group, ...] = ()
    notify: Notify = "mention"
    hitch: str = ""  #: words of ours


class Care(Frozen):
    """What an approval takes besides a click; the service enforces it, a platform says it and asks for it."""

    look_ms: int = 0  #: how long the whole must have been on screen
    confirm_code: bool = False
    reasons: tuple[Literal["approve", "deny"], ...] = ()  #: the answers that need one


class Said(Frozen):
    """Somebody's answer, as the card tells it."""

    who: Who
    answer: Literal["approve", "deny", "changes"] = "approve"
    factor: str
    at: int
    instead_of: str = ""  #: whose seat it is, where that was handed over


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
    emergency: bool = False  #: whether one person alone let it through
    title: str
    heading: str
    summary: tuple[Piece, ...] = ()  #: what would happen, in one sentence; empty: the title has to do
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
    masked: Literal["no", "unseen", "barred"] = "no"  #: whether parts are masked, and may be approved unseen
    hosts: tuple[Host, ...] = ()  #: those that may not be what they look like, the first few
    reason: str = ""
    asks_for_changes: bool = False  #: whether the reason says what to change
    supersedes: str = ""  #: the code of the denied request that this one answers
    answers: Before | None = None  #: that request
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
    care: Care = Care()
    buttons: tuple[Button, ...] = Field(default=())

    def digest(self) -> str:
        """The digest of everything that is drawn."""
        return digest_of(self.model_dump(mode="json"))


def card_of(request: Request) -> Card:
    """The current card of a request."""
    changed = _changed(request)
    (arguments, preconditions), complete = _shown(request)
    pending = request.status is Status.PENDING
    return Card(
        request=request.id,
        status=request.status,
        emergency=bool(request.decision and request.decision.break_glass),
        title=request.presentation.title,
        heading=heading_of(request),
        summary=tuple(_safe(piece) for piece in request.presentation.summary),
        note=_note(request),
        by=_deciders(request),
        risk=request.presentation.risk,
        effect=request.presentation.effect,
        kind=request.action.kind,
        target=one_line(request.action.target),
        arguments=arguments if complete else _summary(arguments),
        preconditions=preconditions if complete else (),
        complete=complete,
        bytes=len(json.dumps(request.shown.arguments, ensure_ascii=False).encode()),
        hidden=_hides(request),
        masked=_masked(request),
        hosts=_hosts(request),
        reason=_reason(request),
        asks_for_changes=bool(request.decision and request.decision.changes),
        supersedes=request.superseded.code if request.superseded else "",
        changed=changed[:CHANGES],
        changes=len(changed),
        answers=next(iter(_earlier(request, answered=True)), None),
        earlier=_earlier(request, answered=False),
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
        care=_care(request) if pending else Care(),
        buttons=_buttons(request, complete) if pending else (),
    )


def is_whole(request: Request) -> bool:
    """Whether a card shows every argument, so that the action may be approved from it."""
    return _shown(request)[1]


def _shown(request: Request) -> tuple[tuple[tuple[Line, ...], tuple[Line, ...]], bool]:
    """Arguments and preconditions as far as a card takes them, and whether that is all."""
    action = request.shown
    arguments, all_arguments = lines_of(action.arguments, WHOLE)
    preconditions, all_preconditions = lines_of(action.preconditions, WHOLE)
    lines = (*arguments, *preconditions)
    size = len(one_line(action.target)) + sum(line.size for line in lines)
    fits = size <= WHOLE and sum(len(line.value) for line in lines) <= MAX_LINES
    return (arguments, preconditions), all_arguments and all_preconditions and fits


def _buttons(request: Request, complete: bool) -> tuple[Button, ...]:
    terms = request.terms
    if complete and _masked(request) == "barred":
        return ("deny", "changes", "details")
    reviewed = not complete or terms.min_look or terms.confirm_code
    return ("review" if reviewed else "approve", "deny", "changes", "details")


def _masked(request: Request) -> Literal["no", "unseen", "barred"]:
    if not request.hides_secret:
        return "no"
    return "unseen" if request.terms.unseen else "barred"


def _care(request: Request) -> Care:
    terms = request.terms
    return Care(look_ms=terms.min_look, confirm_code=terms.confirm_code, reasons=terms.reasons)


def _safe(piece: Piece) -> Piece:
    return piece if piece.ours else Piece(text=one_line(piece.text))


def _earlier(request: Request, *, answered: bool) -> tuple[Before, ...]:
    """Those asked before for the same: the one that this answers, or all others."""
    denied = request.superseded.request if request.superseded else ""
    found = (one for one in request.earlier if (one.request == denied) is answered)
    return tuple(Before(status=one.status, at=one.at, by=_named(one.by)) for one in found)


def _named(people: tuple[str, ...]) -> tuple[Who, ...]:
    return tuple(Who(person=one_line(person), accounts=()) for person in people)


def _changed(request: Request) -> tuple[Changed, ...]:
    """Everything of the action that is another than in the denied request, which went or which came."""
    if (before := request.shown_before) is None:
        return ()
    was, now = _parts(before), _parts(request.shown)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return tuple(
        Changed(name=clipped(name, 60), was=_brief(was.get(name, ())), now=_brief(now.get(name, ()))) for name in names
    )


def _parts(action: Action | Superseded) -> dict[str, tuple[str, ...]]:
    """Everything an action says, each part under a name of its own."""
    ours = {"the kind": (action.kind,), "the target": (one_line(action.target),)}
    conditions = {f"precondition {line.name}": line.value for line in lines_of(action.preconditions, COMPARED)[0]}
    return {**ours, **{line.name: line.value for line in lines_of(action.arguments, COMPARED)[0]}, **conditions}


def _brief(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The beginning of a value; what is now stands on the card in full."""
    more = (f"(+{len(lines) - BRIEF} lines)",) if len(lines) > BRIEF else ()
    return (*(clipped(line, 120) for line in lines[:BRIEF]), *more)


def heading_of(request: Request) -> str:
    """What is asked, or what became of it, in the policy's words."""
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
    Status.REVOKED: "the approval was taken back before it was used; approved by",
    Status.LAPSED: "not used in time; approved by",
    Status.UNKNOWN: "check what happened before anyone tries again; approved by",
    Status.FAILED: "the tool reports that nothing was done; approved by",
    Status.DENIED: "denied by",
}


def _note(request: Request) -> str:
    if request.status is Status.PENDING:
        return "can be undone" if request.presentation.reversible else "cannot be undone"
    if request.decision is not None and request.decision.break_glass:
        return _emergency_note(request)
    note = _NOTES.get(request.status, "approved by")
    rule = request.decision.rule if request.decision else None
    if not note.endswith(" by") or rule is None:
        return note
    return "stopped by an operator" if rule.startswith(FREEZE) else f"{note} policy"


def _emergency_note(request: Request) -> str:
    """That one person alone let it through, for as long as the card stands."""
    reviewed = "not reviewed yet" if request.unreviewed else "reviewed"
    ended = {Status.APPROVED: "", Status.SUCCEEDED: ""}.get(request.status, f"{request.status.value}; ")
    return f"{ended}let through in an emergency, {reviewed}; by one person alone,"


def _deciders(request: Request) -> tuple[Who, ...]:
    if request.decision is None or request.status in (Status.EXPIRED, Status.WITHDRAWN):
        return ()
    return tuple(_who(vote) for vote in request.decision.by)


def _who(vote: Vote) -> Who:
    return Who(person=vote.person, accounts=(vote.account,))


def _reason(request: Request) -> str:
    """Why it was decided so; or why a person took it back, or how they know the way it ended."""
    if request.decision is None:
        return ""
    if overruled := _overruled(request):
        return visible(overruled.reason)
    return visible(request.decision.changes or request.decision.reason)


def _overruled(request: Request) -> Intervention | None:
    """What a person did last where neither votes nor the tool say how it stands."""
    return next((one for one in reversed(request.interventions) if one.did in ("revoked", "resolved")), None)


def _needs(request: Request) -> tuple[Seat, ...]:
    got = request.got()
    return tuple(_seat(factor, got[factor.name], request) for factor in request.asked.factors)


def _seat(factor: Factor, got: int, request: Request) -> Seat:
    """A factor, with those of its people who may still answer while it is open and are not left in peace."""
    seat = Seat(name=factor.name, got=got, need=factor.need, notify=factor.notify)
    if got >= factor.need:
        return seat
    done = {vote.person for vote in request.votes} | {*request.terms.excluded}
    sources = [source for source in sources_called(request, factor) if source not in request.quiet]
    named = [source.removeprefix("person:") for source in sources if source.startswith("person:")]
    on_call = [one for source in sources if source.startswith(ON_CALL) for one in called(request, source)]
    people = [_asked(person, request) for person in named]
    people += [Who(person=one_line(one.person), accounts=one.accounts) for one in on_call if one.person not in named]
    return seat.model_copy(
        update={
            "people": tuple(who for who in people if who.person not in done),
            "groups": groups_in(request, sources, {*done, *named}),
            "hitch": _hitch(request, factor, sources),
        }
    )


def groups_in(request: Request, sources: Sequence[str], others: Container[str]) -> tuple[Group, ...]:
    """The groups among these sources; `others` are people who are called for another reason, or not at all."""
    groups = [source for source in sources if not source.startswith(("person:", ON_CALL))]
    return tuple(_group(source, request, others) for source in groups)


def _group(source: str, request: Request, others: Container[str]) -> Group:
    members = [one for one in called(request, source) if one.person not in others]
    people = tuple(Who(person=one_line(one.person), accounts=one.accounts) for one in members)
    looked_up = request.callees.get(source, Callees())
    return Group(source=source, people=people, hitch=_UNKNOWN_GROUP if looked_up.unknown else _more(looked_up.more))


_UNKNOWN_GROUP = "who is in the group could not be looked up"


def _more(people: int, notify: Notify = "mention") -> str:
    """That so many others were left out, where anybody was."""
    words = {"mention": "are not mentioned", "dm": "were not written to"}
    return f"{people} more {words[notify]}" if people and notify in words else ""


def _hitch(request: Request, factor: Factor, sources: Sequence[str]) -> str:
    """Why not everybody of a factor is notified, wherever it stands; of groups that are mentioned, `Group` says it."""
    if factor.notify == "none":
        return ""
    found = {source: request.callees[source] for source in sources if source in request.callees}
    on_call = [one for source, one in found.items() if source.startswith(ON_CALL)]
    groups = [one for source, one in found.items() if not source.startswith(ON_CALL) and factor.notify == "dm"]
    hitches = ["nobody is on call"] if on_call and not any(one.people or one.unknown for one in on_call) else []
    hitches += ["who is on call could not be looked up"] if any(one.unknown for one in on_call) else []
    hitches += [_UNKNOWN_GROUP] if any(one.unknown for one in groups) else []
    hitches += [_more(one.more, factor.notify) for one in (*on_call, *groups) if one.more]
    return ", ".join(hitches)


def _asked(person: str, request: Request) -> Who:
    known = request.accounts | {one.person: one.accounts for one in request.stand_ins}
    return Who(person=one_line(person), accounts=known.get(person, ()))


def _said(request: Request) -> tuple[Said, ...]:
    return tuple(
        Said(
            who=_who(vote),
            answer=vote.answer,
            factor=" and ".join(vote.factors or (name for one in vote.behalf for name in one.factors)),
            at=vote.at,
            instead_of=one_line(request.stood_in_for(vote.person) or ""),
        )
        for vote in request.votes
    )


def _story(request: Request) -> tuple[Step, ...]:
    steps = [Step(word="asked", at=request.asked_at)]
    if request.decision is not None:
        steps.append(Step(word=request.decision.status.value, at=request.decision.at, by=_stand_ins(request)))
    if request.spend is not None:
        steps.append(Step(word="receipt used", at=request.spend.at, by=request.spend.audience))
    steps += [Step(word=one.did, at=one.at, by=one_line(one.person)) for one in request.interventions]
    if request.closed_at is not None and request.status is not Status.REVOKED:
        steps.append(Step(word=request.status.value, at=request.closed_at))
    if request.outcome is not None:
        note = "" if _overruled(request) else clipped(one_line(request.outcome.note), 120)
        steps.append(Step(word=f"{request.outcome.status.value}", at=request.outcome.at, by=note))
    return tuple(steps)


def _stand_ins(request: Request) -> str:
    """Who decided in the place of somebody else, and of whom; empty where everybody answered for themselves."""
    people = [vote.person for vote in request.decision.by] if request.decision else []
    owners = {person: owner for person in people if (owner := request.stood_in_for(person))}
    return one_line(" and ".join(f"{person} in place of {owner}" for person, owner in owners.items()))


def _took(request: Request) -> int | None:
    if request.spend is None or request.outcome is None or request.outcome.status is Status.UNKNOWN:
        return None
    return request.outcome.at - request.spend.at


def _hides(request: Request) -> bool:
    """Whether the action holds what cannot be seen; the agent's own words change nothing but the line they stand in."""
    return any(has_hidden(text) for text in texts_in(_untrusted(request.shown)))


def _hosts(request: Request) -> tuple[Host, ...]:
    return odd_hosts(texts_in(_untrusted(request.shown)))[:HOSTS]


def _untrusted(action: Action) -> list[object]:
    return [action.target, action.arguments, action.preconditions]


def _summary(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The beginning of what is too long: enough to know what it is about, never enough to approve it."""
    return tuple(Line(name=line.name[:60], value=_begun(line.value)) for line in lines[:10])


def _begun(value: tuple[str, ...]) -> tuple[str, ...]:
    return (clipped(value[0], 120), *(("…",) if len(value) > 1 else ()))
