"""What windows come to as requests follow one another: past ones, and those that a case says came before."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

from approvals.policy import Policy
from approvals.question import Question


@dataclass
class _Book:
    """What one window holds: each amount with the instant (ms) from which it counts no more."""

    held: list[tuple[float, int]] = field(default_factory=list)
    total: int = 0

    def at(self, now: int) -> int:
        """What it comes to; later it is asked for later instants only."""
        while self.held and self.held[0][0] <= now:
            self.total -= heapq.heappop(self.held)[1]
        return self.total

    def take(self, amount: int, until: float) -> None:
        heapq.heappush(self.held, (until, amount))
        self.total += amount


class Sums:
    """The windows of a policy, as requests come in one after the other, in the order of time."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._books: dict[str, _Book] = defaultdict(_Book)

    def told(self, question: Question, at: int) -> Question:
        """A question with what its windows come to, itself included; what was counted when it was asked holds."""
        shares = self._policy.shares_of(question)
        sums = {share.window: self._books[share.window].at(at) + share.amount for share in shares}
        return question.model_copy(update={"sums": sums | question.sums})

    def count(self, question: Question, used_at: int | None, over_at: int | None) -> None:
        """Let it count: for the windows' lengths after it was used; until it was over otherwise, or to the end."""
        for share in self._policy.shares_of(question):
            unused = inf if over_at is None else over_at
            until = unused if used_at is None else used_at + share.length
            self._books[share.window].take(share.amount, until)
