"""What policy demands of one request, fixed at intake; and how far a set of votes meets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from approvals.action import Frozen

Effect = Literal["send", "share", "publish", "delete", "transfer", "deploy", "grant", "other"]
Risk = Literal["low", "medium", "high", "critical"]
#: How those who are asked learn of it: named on the card, by a message of their own, or not at all (they still may).
Notify = Literal["mention", "dm", "none"]


class Factor(Frozen):
    """One demand: `need` different people out of the union of `sources`.

    A source is `person:<id>` or what a directory understands, such as `slack:usergroup:S0123`.
    """

    name: str
    sources: tuple[str, ...] = Field(min_length=1)
    need: int = Field(default=1, ge=1)
    notify: Notify = "mention"


class Escalation(Frozen):
    """A step for the case that nobody answers: other people may answer too, and the card stands in more places.

    `after` is ms from the asking. It never turns silence into a yes.
    """

    after: int
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()  #: the sources, sorted, of the factor whose people they join: no other is opened


class AskedAgain(Frozen):
    """What follows when the same agent asks for the same kind and target soon after a denial."""

    within: int = 3_600_000  #: for so long the card says so
    deny_within: int = 0  #: for so long it is denied by rule; 0: never


class BreakGlass(Frozen):
    """How one person alone may let a request through in an emergency, and what follows. Times are milliseconds."""

    who: tuple[tuple[str, ...], ...]  #: approver sources; in each of these sets the person must be
    announce: tuple[str, ...]
    use_within: int
    receipt_ttl: int
    remind: int  #: how often somebody is reminded to review it
    reviewers: tuple[str, ...] = ()  #: approver sources of those who are asked to review it

    def tightened_by(self, other: BreakGlass) -> BreakGlass:
        """What both allow; it is announced where either says."""
        return BreakGlass(
            who=tuple(dict.fromkeys((*self.who, *other.who))),
            announce=tuple(dict.fromkeys((*self.announce, *other.announce))),
            use_within=min(self.use_within, other.use_within),
            receipt_ttl=min(self.receipt_ttl, other.receipt_ttl),
            remind=min(self.remind, other.remind),
            reviewers=other.reviewers,
        )


class Piece(Frozen):
    """A part of a sentence: our words, or a value out of the request, which must be drawn literally."""

    text: str
    ours: bool = False


class Presentation(Frozen):
    """How policy words a kind on cards; never taken from the request."""

    title: str
    done: str
    not_done: str
    effect: Effect = "other"
    risk: Risk = "high"
    reversible: bool = False
    summary: tuple[Piece, ...] = ()  #: one sentence of what would happen; empty: the title has to do
    denials: tuple[str, ...] = ()  #: reasons for a no that are offered
    secret: tuple[str, ...] = ()  #: paths of arguments that are shown masked


class Terms(Frozen):
    """The demands on one request. Times are milliseconds."""

    policy: str  #: digest of the policy text they were computed from
    rules: tuple[str, ...]
    exempted: tuple[str, ...] = ()  #: rules that match, and that a matching rule exempts from
    unclear: tuple[str, ...] = ()  #: rules that count because it cannot be told whether they apply
    verdict: Literal["require", "allow", "deny"] = "require"
    factors: tuple[Factor, ...] = ()
    excluded: tuple[str, ...] = ()  #: people of the principal chain: their votes never count
    barred: tuple[str, ...] = ()  #: sources whose members never count, whatever else they belong to
    destinations: tuple[str, ...] = ()
    announced: bool = False  #: whether people see what a rule allows without asking them
    fallback: tuple[str, ...] = ()  #: where it is shown if a destination takes no cards, the first that does
    deny_quorum: int = 1  #: how many people have to say no
    reminders: tuple[int, ...] = ()  #: ms from the asking at which those who have not answered are reminded
    escalation: tuple[Escalation, ...] = ()
    longest: int | None = None  #: ms from the asking beyond which nobody can extend the deadline; None: nobody at all
    asked_again: AskedAgain = AskedAgain()
    reasons: tuple[Literal["approve", "deny"], ...] = ()  #: answers that count only with a reason
    min_look: int = 0  #: ms for which an approver must have had the whole action before their eyes
    confirm_code: bool = False  #: whether an approver types the code that they were shown
    unseen: bool = False  #: whether masked arguments may be approved
    break_glass: BreakGlass | None = None  #: None: nobody may ever let it through alone
    within: int
    use_within: int
    receipt_ttl: int
    outcome_within: int

    @property
    def named(self) -> tuple[str, ...]:
        """The people who may be asked by name, now or after an escalation."""
        of_factors = (source for factor in self.factors for source in factor.sources)
        sources = (*of_factors, *(source for step in self.escalation for source in step.sources))
        return tuple(dict.fromkeys(one.removeprefix("person:") for one in sources if one.startswith("person:")))

    def tightened_by(self, other: Terms) -> Terms:
        """The stricter of both in every respect; used when policy changed after intake.

        Destinations, rules and the policy digest stay: they say where the request was shown and under what.
        """
        return self.model_copy(
            update={
                "verdict": strictest(self.verdict, other.verdict),
                "factors": tightened(self.factors, other.factors),
                "excluded": tuple(sorted({*self.excluded, *other.excluded})),
                "barred": tuple(sorted({*self.barred, *other.barred})),
                "deny_quorum": min(self.deny_quorum, other.deny_quorum),
                "escalation": tuple(_still_open(step, self.factors, other) for step in self.escalation),
                "longest": min(self.longest or 0, other.longest or 0) or None,
                "reasons": tuple(sorted({*self.reasons, *other.reasons})),
                "min_look": max(self.min_look, other.min_look),
                "confirm_code": self.confirm_code or other.confirm_code,
                "unseen": self.unseen and other.unseen,
                "break_glass": _both(self.break_glass, other.break_glass),
                "use_within": min(self.use_within, other.use_within),
                "receipt_ttl": min(self.receipt_ttl, other.receipt_ttl),
            }
        )

    def escalated(self, steps: int) -> Terms:
        """The terms after so many steps of the escalation."""
        taken = self.escalation[:steps]
        if not taken:
            return self
        factors = tuple(_joined_by(factor, taken) for factor in self.factors)
        destinations = dict.fromkeys((*self.destinations, *(d for step in taken for d in step.destinations)))
        return self.model_copy(update={"factors": factors, "destinations": tuple(destinations)})


def _both(one: BreakGlass | None, other: BreakGlass | None) -> BreakGlass | None:
    return None if one is None or other is None else one.tightened_by(other)


def _joined_by(factor: Factor, steps: tuple[Escalation, ...]) -> Factor:
    """A factor whose people were joined by those of the steps that concern it."""
    people = tuple(sorted(factor.sources))
    more = (source for step in steps if step.joins == people for source in step.sources)
    return factor.model_copy(update={"sources": tuple(dict.fromkeys((*factor.sources, *more)))})


def _still_open(step: Escalation, factors: tuple[Factor, ...], later: Terms) -> Escalation:
    """A step without the people whom the later terms would not ask by then, for the demand that it opens."""
    asked = later.escalated(sum(other.after <= step.after for other in later.escalation))
    opened = next((factor for factor in factors if tuple(sorted(factor.sources)) == step.joins), None)
    now = zip(later.factors, asked.factors, strict=True)
    alike = [{*wider.sources} for plain, wider in now if opened is None or _comparable(opened, plain)]
    kept = tuple(source for source in step.sources if all(source in sources for sources in alike))
    return step.model_copy(update={"sources": kept})


_STRICTNESS: dict[str, int] = {"allow": 0, "require": 1, "deny": 2}


def strictest(*verdicts: Literal["require", "allow", "deny"]) -> Literal["require", "allow", "deny"]:
    """deny before require before allow."""
    return max(verdicts, key=_STRICTNESS.__getitem__)


def joined(*groups: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """All demands of all groups; the same people demanded twice are demanded once, with the larger number, louder.

    The earlier demand keeps its name, by which votes remember it. Other people under the same name (a group that
    changed between two policies) get a name of their own, so that nobody counts for a demand they are not in.
    """
    by_people: dict[tuple[str, ...], Factor] = {}
    for factor in (factor for group in groups for factor in group):
        people = tuple(sorted({*factor.sources}))
        known = by_people.get(people)
        if known is None:
            taken = {other.name for other in by_people.values()}
            by_people[people] = factor.model_copy(update={"name": _free_name(factor.name, taken)})
        else:
            by_people[people] = _more(known, factor)
    return tuple(by_people.values())


def _more(known: Factor, other: Factor) -> Factor:
    """A demand of some people, as strict and as loud as either."""
    need, notify = max(known.need, other.need), _louder(known.notify, other.notify)
    if (need, notify) == (known.need, known.notify):
        return known
    return known.model_copy(update={"need": need, "notify": notify})


_LOUDNESS: dict[Notify, int] = {"none": 0, "dm": 1, "mention": 2}


def _louder(one: Notify, other: Notify) -> Notify:
    return max(one, other, key=_LOUDNESS.__getitem__)


def tightened(factors: tuple[Factor, ...], later: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Demands that are met only when the earlier and the later ones are, each set taken by itself.

    A later demand that an earlier one implies (a group that grew) adds nothing; one that implies an earlier one (a
    group that shrank) takes its place under its name; any other is added, and asks for people of its own.
    """
    kept, news = list(joined(factors)), list(joined(later))
    free = set(range(len(kept)))  # an earlier demand answers for one later one: two of them ask for different people
    for alike in (_same_people, _comparable):
        for demand in tuple(news):
            place = next((at for at in sorted(free) if alike(kept[at], demand)), None)
            if place is None:
                continue
            news.remove(demand)
            free.discard(place)
            stricter = kept[place] if _implies(kept[place], demand) else demand
            loud = _louder(kept[place].notify, demand.notify)
            kept[place] = stricter.model_copy(update={"name": kept[place].name, "notify": loud})
    for demand in news:
        kept.append(demand.model_copy(update={"name": _free_name(demand.name, {one.name for one in kept})}))
    return tuple(kept)


def _same_people(one: Factor, other: Factor) -> bool:
    return _people(one) == _people(other)


def _people(factor: Factor) -> frozenset[str]:
    return frozenset(factor.sources)


def _implies(one: Factor, other: Factor) -> bool:
    return _people(one) <= _people(other) and one.need >= other.need


def _comparable(one: Factor, other: Factor) -> bool:
    return _implies(one, other) or _implies(other, one)


def _free_name(name: str, taken: set[str]) -> str:
    """The name itself, or followed by the first number that makes it a new one."""
    numbered = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(free for free in (name, *numbered) if free not in taken)


def progress(factors: tuple[Factor, ...], eligible: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """How many of each factor's seats are taken when every person takes at most one: a largest matching.

    `eligible` maps each person who said yes to the names of the factors they count for.
    """
    taken = [*seated(factors, eligible).values()]
    return {factor.name: taken.count(factor.name) for factor in factors}


def seated(factors: tuple[Factor, ...], eligible: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The factor in which each person sits, in a largest matching; who finds no seat is left out.

    Kuhn's algorithm: people are few, and a greedy choice would turn away a second approver because the first sat in
    the wrong seat.
    """
    seats = [(factor.name, number) for factor in factors for number in range(factor.need)]
    taken: dict[tuple[str, int], str] = {}

    def seat_person(person: str, tried: set[tuple[str, int]]) -> bool:
        for seat in seats:
            if seat[0] not in eligible[person] or seat in tried:
                continue
            tried.add(seat)
            if seat not in taken or seat_person(taken[seat], tried):
                taken[seat] = person
                return True
        return False

    for person in eligible:
        seat_person(person, set())
    return {person: name for (name, _), person in taken.items()}


def met(factors: tuple[Factor, ...], eligible: Mapping[str, frozenset[str]]) -> bool:
    """Whether every factor has all its people. No factor at all is never met: silence is not approval."""
    got = progress(factors, eligible)
    return bool(factors) and all(got[factor.name] >= factor.need for factor in factors)
