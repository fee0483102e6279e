"""Care for people's attention: whom a request notifies now. Never who may answer, and never a yes.

Somebody who was notified often enough, or whose hours are quiet, is left in peace: they may still answer, and the card
stands in its channel. Where everybody of a demand was notified often enough, the next step of the escalation is taken
at once. Whoever a seat was handed to is notified in its owner's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from approvals.care import Care, Hours
from approvals.request import Callee, Request, StandIn
from approvals.terms import Factor, Notify

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
ON_CALL: Final = "oncall:"  #: sources of people who are there to be called, by day and by night


def utc_minute(zone: str, at: int) -> int:
    """The minute of the day in UTC, for whoever has no time zones at hand."""
    return at // 60_000 % 1440


@dataclass(frozen=True)
class Book:
    """What is known of everybody's attention: when each source was notified (ms), the hours people chose, who is away.

    `minute_of_day` gives the minute of the day that an instant (ms) is in a time zone.
    """

    care: Care | None = None
    notified: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hours: Mapping[str, Hours | None] = field(default_factory=dict)
    minute_of_day: Callable[[str, int], int] = utc_minute
    stand_ins: tuple[StandIn, ...] = ()  #: for the request that is about to notify people

    def is_spent(self, source: str, now: int) -> bool:
        """Whether a source was notified as often as policy wants it to be."""
        times, care = self.notified.get(source, ()), self.care or Care()
        recent = {within: sum(1 for at in times if now - at < within) for within in (HOUR, DAY)}
        limits = {HOUR: care.per_hour, DAY: care.per_day}
        return any(limit is not None and recent[within] >= limit for within, limit in limits.items())

    def is_quiet(self, source: str, now: int) -> bool:
        """Whether a source is not to be disturbed at this hour; who is on call always may be."""
        if source.startswith(ON_CALL):
            return False
        usual = self.care.quiet if self.care else None
        hours = self.hours.get(source, usual)
        return hours is not None and hours.hold(self.minute_of_day(hours.zone, now))

    def leaves_in_peace(self, source: str, now: int) -> bool:
        """Whether a source is not to be notified now."""
        return self.is_spent(source, now) or self.is_quiet(source, now)


def with_care(request: Request, book: Book, now: int) -> Request:
    """The request that is about to notify people, with who stands in for whom, and whom it leaves in peace."""
    if book.stand_ins != request.stand_ins:
        request = request.model_copy(update={"stand_ins": book.stand_ins})
    if book.care is None:
        return request
    after = _overflowing(request, book, now)
    asked = {source for factor in after.asked.factors for source in sources_called(after, factor)}
    quiet = sorted(source for source in asked if book.leaves_in_peace(source, now))
    return after.model_copy(update={"quiet": tuple(quiet)})


def sources_called(request: Request, factor: Factor) -> tuple[str, ...]:
    """The sources that a demand calls: those it asks, and whoever has the seat of one of them in that one's place."""
    away = _away(request)
    handed = [one for one in request.stand_ins if factor.name in one.factors and one.owner in away]
    there = (source for source in factor.sources if source.removeprefix("person:") not in away)
    return tuple(dict.fromkeys((*there, *(f"person:{one.person}" for one in handed))))


def _away(request: Request) -> frozenset[str]:
    """Those whose seat somebody else has, as long as they have not answered all the same."""
    return frozenset(one.owner for one in request.stand_ins) - {vote.person for vote in request.votes}


def notified(request: Request, *ways: Notify) -> tuple[str, ...]:
    """The sources that a request notifies (in these ways only, where some are given), without those left in peace."""
    got, asked = request.got(), ways or ("mention", "dm")
    loud = [one for one in request.asked.factors if one.notify in asked and got[one.name] < one.need]
    sources = dict.fromkeys(source for factor in loud for source in sources_called(request, factor))
    return tuple(source for source in sources if source not in request.quiet)


def is_mentioned_whole(source: str, place: str) -> bool:
    """Whether a group can be mentioned as such where a card stands: Slack has that for its own groups, Teams never."""
    return source.startswith("slack:") and place.startswith("slack:")


def called(request: Request, source: str) -> tuple[Callee, ...]:
    """The people behind a source, as far as they were looked up and did not hand over their seat."""
    found, away = request.callees.get(source), _away(request)
    return tuple(one for one in found.people if one.person not in away) if found is not None else ()


def _overflowing(request: Request, book: Book, now: int) -> Request:
    """The request after the steps that are due because nobody asked so far is to be notified again."""
    while step := next(iter(request.terms.escalation[request.escalated :]), None):
        pairs = zip(request.terms.factors, request.asked.factors, strict=True)
        asked = {
            source for first, grown in pairs if _joins(step.joins, first) for source in sources_called(request, grown)
        }
        if not asked or not all(book.is_spent(source, now) for source in asked):
            return request
        request = request.model_copy(update={"escalated": request.escalated + 1})
    return request


def _joins(people: tuple[str, ...], factor: Factor) -> bool:
    return people == tuple(sorted(factor.sources))
