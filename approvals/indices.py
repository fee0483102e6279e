"""Which lists a request stands in, and which lists answer a question; a store keeps them without knowing why."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.lifecycle import Status
from approvals.request import Request
from approvals.terms import Risk, Terms


@dataclass(frozen=True)
class Query:
    """Which requests to list: all that is given must hold, of `statuses` and of `sources` any one.

    `sources` are approver sources of policy, such as those that one person belongs to: what waits for them.
    `asked_from` and `asked_before` are ms since the epoch.
    """

    statuses: tuple[Status, ...] = (Status.PENDING,)
    agent: str | None = None
    destination: str | None = None
    sources: tuple[str, ...] | None = None
    kind: str | None = None
    risk: Risk | None = None
    asked_from: int | None = None
    asked_before: int | None = None

    def covers(self, request: Request) -> bool:
        """Whether a request is one of those."""
        asked = request.asked
        return (
            request.status in self.statuses
            and self.agent in (None, request.agent)
            and (self.destination is None or self.destination in asked.destinations)
            and (self.sources is None or not sources_of(asked).isdisjoint(self.sources))
            and self.kind in (None, request.action.kind)
            and self.risk in (None, request.presentation.risk)
            and (self.asked_from is None or request.asked_at >= self.asked_from)
            and (self.asked_before is None or request.asked_at < self.asked_before)
        )

    def lists(self) -> tuple[str, ...]:
        """The lists that together hold every request of the answer; others may stand in them too."""
        return tuple(name for status in dict.fromkeys(self.statuses) for name in self._lists_of(status))

    def _lists_of(self, status: Status) -> tuple[str, ...]:
        if self.agent is not None:
            return (_of_agent(status, self.agent),)
        if status is not Status.PENDING:
            return (_all(status),)
        if self.sources is not None:
            return tuple(_for_source(source) for source in dict.fromkeys(self.sources))
        if self.destination is not None:
            return (_at(self.destination),)
        if self.kind is not None:
            return (_of_kind(self.kind),)
        return (_all(status),) if self.risk is None else (_of_risk(self.risk),)


def indices(request: Request) -> frozenset[str]:
    """The lists a request stands in. What is pending is found in many ways, what is not only by status and agent."""
    names = {_all(request.status), _of_agent(request.status, request.agent)}
    if request.status is Status.PENDING:
        asked = request.asked
        names |= {_at(destination) for destination in asked.destinations}
        names |= {_for_source(source) for source in sources_of(asked)}
        names |= {_of_kind(request.action.kind), _of_risk(request.presentation.risk)}
    return frozenset(names)


def sources_of(terms: Terms) -> frozenset[str]:
    """Everybody who may answer, as policy names them."""
    return frozenset(source for factor in terms.factors for source in factor.sources)


def _all(status: Status) -> str:
    return "pending" if status is Status.PENDING else f"status:{status.value}"


def _of_agent(status: Status, agent: str) -> str:
    return f"{_all(status)}:agent:{agent}"


def _at(destination: str) -> str:
    return f"pending:at:{destination}"


def _for_source(source: str) -> str:
    return f"pending:for:{source}"


def _of_kind(kind: str) -> str:
    return f"pending:kind:{kind}"


def _of_risk(risk: str) -> str:
    return f"pending:risk:{risk}"
