"""What is said beside a card, in its thread, because somebody has to do something: a pure function of the request.

A note is given once; editing a card notifies nobody, a note does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Literal

from pydantic import Field

from approvals.action import Frozen
from approvals.attention import ON_CALL, called, notified
from approvals.card import Group, Who, groups_in
from approvals.lifecycle import Status
from approvals.request import Request
from approvals.terms import Escalation
from approvals.text import one_line

_WORDS = {
    "reminder": "this still waits for you",
    "escalation": "nobody has answered, so you are asked too",
    "waiting": "a yes is in, and this still waits for you",
    "changes": "somebody wants this changed before it is asked again; the card says what",
    "asked": "this waits for you",
    "decided": "this has come to an end",
    "lapsed": "this was approved, but nobody used the approval in time",
    "emergency": "one person let this through alone, in an emergency; another one has to review it",
    "unknown": "the tool did not say how this ended; check what happened before anyone tries again",
    "suspicious": "somebody reported this as suspicious; look at it, and stop the agent if they are right",
    "undeliverable": "requests wait unseen, because a destination takes no cards",
}


What = Literal[
    "reminder",
    "escalation",
    "waiting",
    "changes",
    "asked",
    "decided",
    "lapsed",
    "unknown",
    "undeliverable",
    "emergency",
    "suspicious",
]


class Note(Frozen):
    """One thing to say. `asked` and `groups` are those it is for: people, and groups (as on cards).

    One that stands under no card says in `title` and `status` what it is about, and in `reference` where the card
    stands at `place`.
    """

    key: str
    what: What
    code: str
    title: str = ""
    status: str = ""
    reference: dict[str, str] = Field(default_factory=dict)
    factors: tuple[str, ...] = ()  #: those that still wait for somebody
    expires_at: int | None = None
    asked: tuple[Who, ...] = ()
    groups: tuple[Group, ...] = ()
    place: str = ""  #: the destination that takes no cards, or where the card stands
    problem: str = ""  #: the platform's word for why, and what to do about it
    remedy: str = ""

    @property
    def words(self) -> str:
        """What the matter is; ours alone."""
        return self.status if self.what == "decided" else _WORDS[self.what]


def to_operators(request: Request) -> tuple[Note, ...]:
    """What operators are told of a request in their own channel, once."""
    notes = []
    if request.was_marked("reported"):
        notes.append(Note(key="operators-suspicious", what="suspicious", code=request.code))
    if request.status is Status.UNKNOWN:
        notes.append(Note(key="operators-unknown", what="unknown", code=request.code))
    return tuple(notes)


def notes_of(request: Request, accounts: Callable[[str], tuple[str, ...]], destination: str = "") -> tuple[Note, ...]:
    """The notes that should stand by now under a request's card (at a destination); `accounts` are those of a person.

    Of several reminders that came due while nobody could post, only the last is said.
    """
    if request.status is Status.PENDING:
        return tuple(_waiting(request, accounts, _brought_by(request, destination)))
    if request.unreviewed:
        return (_emergency(request, accounts),)
    if request.status in (Status.LAPSED, Status.UNKNOWN):
        return (_to_principal(request, "lapsed" if request.status is Status.LAPSED else "unknown"),)
    if request.decision is not None and request.decision.changes:
        return (_to_principal(request, "changes"),)
    return ()


def _to_principal(request: Request, what: Literal["lapsed", "unknown", "changes"]) -> Note:
    principal = Who(person=one_line(request.principal), accounts=request.principal_accounts)
    return Note(key=what, what=what, code=request.code, asked=(principal,))


def _emergency(request: Request, accounts: Callable[[str], tuple[str, ...]]) -> Note:
    """That somebody let it through alone, again and again until another person has reviewed it."""
    emergency, decision = request.terms.break_glass, request.decision
    sources = emergency.reviewers if emergency else ()
    alone = {vote.person for vote in decision.by} if decision else set()
    asked, groups = _those(request, sources, alone, accounts)
    return Note(
        key=f"emergency-{request.review_reminded}", what="emergency", code=request.code, asked=asked, groups=groups
    )


def _waiting(
    request: Request, accounts: Callable[[str], tuple[str, ...]], brought_by: Escalation | None
) -> Iterator[Note]:
    """What is said while people may still answer, to those who may be pinged and have not answered.

    In a place that an escalation brought in, the card has just called everybody: nobody is called again for what came
    before it.
    """
    got = request.got()
    open_factors = [factor for factor in request.asked.factors if got[factor.name] < factor.need]
    done = {vote.person for vote in request.votes} | {*request.terms.excluded}
    asked, groups = _those(request, notified(request, "mention"), done, accounts)
    for key, what, after in _due(request):
        note = Note(
            key=key,
            what=what,
            code=request.code,
            factors=tuple(factor.name for factor in open_factors),
            expires_at=request.expires_at,
            asked=asked,
            groups=groups,
        )
        if brought_by is None or after > brought_by.after:
            yield note
        elif what == "escalation":
            yield note.model_copy(update={"asked": (), "groups": ()})


def _brought_by(request: Request, destination: str) -> Escalation | None:
    """The step of the escalation by which it is asked at a destination; None where it was from the start."""
    if destination in request.terms.destinations:
        return None
    return next((step for step in request.terms.escalation if destination in step.destinations), None)


def people_in(request: Request, sources: Iterable[str], accounts: Callable[[str], tuple[str, ...]]) -> tuple[Who, ...]:
    """The people of these sources, each once: those who are named, and those who were looked up."""
    found: dict[str, Who] = {}
    for source in sources:
        if source.startswith("person:"):
            person = source.removeprefix("person:")
            found.setdefault(person, Who(person=person, accounts=accounts(person)))
        for one in called(request, source):
            found.setdefault(one.person, Who(person=one_line(one.person), accounts=one.accounts))
    return tuple(found.values())


def _those(
    request: Request, sources: Sequence[str], others: Set[str], accounts: Callable[[str], tuple[str, ...]]
) -> tuple[tuple[Who, ...], tuple[Group, ...]]:
    """Whom a note is for, without the `others`: people by name, and groups with members who were looked up."""
    alone = [source for source in sources if source.startswith(("person:", ON_CALL))]
    people = people_in(request, alone, accounts)
    asked = tuple(who for who in people if who.person not in others)
    return asked, groups_in(request, sources, {*others, *(who.person for who in people)})


def _due(request: Request) -> Iterator[tuple[str, What, int]]:
    """Which notes are due, and ms after the asking since when: edits of a card notify nobody.

    So a first yes says once whom the rest waits for.
    """
    if request.escalated:
        steps = [step.after for step in request.terms.escalation[: request.escalated]]
        yield f"escalation-{request.escalated}", "escalation", max(steps, default=0)
    if request.reminded:
        reminders = request.terms.reminders[: request.reminded]
        yield f"reminder-{request.reminded}", "reminder", max(reminders, default=0)
    if yes := [vote.at for vote in request.votes if vote.answer == "approve"]:
        yield "waiting", "waiting", min(yes) - request.asked_at
