"""Which lists a request stands in, and which lists answer a question; a store keeps them without knowing why."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.lifecycle import Status
from approvals.request import Request
from approvals.terms import Risk, Terms


@dataclass(frozen=True)
class Query:
    """Which requests to list: all that is given must hold, of `statuses` and of `sources` any one.

    `sources` are approver sources of policy, such as those that one person belongs to: what waits for them. `voter` is
    a person who answered; asked of pending ones, it is looked for among all of them. `asked_from` and `asked_before`
    are ms since the epoch. Whatever one of `besides` covers belongs to the answer too, within the same times.
    """

    statuses: tuple[Status, ...] = (Status.PENDING,)
    agent: str | None = None
    destination: str | None = None
    sources: tuple[str, ...] | None = None
    kind: str | None = None
    risk: Risk | None = None
    voter: str | None = None
    asked_from: int | None = None
    asked_before: int | None = None
    besides: tuple[Query, ...] = ()

    def covers(self, request: Request) -> bool:
        """Whether a request is one of those."""
        in_time = (self.asked_from is None or request.asked_at >= self.asked_from) and (
            self.asked_before is None or request.asked_at < self.asked_before
        )
        return in_time and (self._is_about(request) or any(other.covers(request) for other in self.besides))

    def _is_about(self, request: Request) -> bool:
        asked = request.asked
        return (
            request.status in self.statuses
            and self.agent in (None, request.agent)
            and (self.destination is None or self.destination in asked.destinations)
            and (self.sources is None or not sources_of(asked).isdisjoint(self.sources))
            and self.kind in (None, request.action.kind)
            and self.risk in (None, request.presentation.risk)
            and (self.voter is None or request.vote_of(self.voter) is not None)
        )

    @property
    def only_agent(self) -> str | None:
        """The agent whose requests alone can belong to the answer, if there is one."""
        return self.agent if all(other.only_agent == self.agent for other in self.besides) else None

    def lists(self) -> tuple[str, ...]:
        """The lists that together hold every request of the answer; others may stand in them too."""
        own = [name for status in self.statuses for name in self._lists_of(status)]
        return tuple(dict.fromkeys([*own, *(name for other in self.besides for name in other.lists())]))

    def _lists_of(self, status: Status) -> tuple[str, ...]:
        if self.agent is not None:
            return (_of_agent(status, self.agent),)
        if status is not Status.PENDING:
            return (_all(status),) if self.voter is None else (_of_voter(self.voter),)
        if self.sources is not None:
            return tuple(_for_source(source) for source in dict.fromkeys(self.sources))
        if self.destination is not None:
            return (_at(self.destination),)
        if self.kind is not None:
            return (_of_kind(self.kind),)
        return (_all(status),) if self.risk is None else (_of_risk(self.risk),)


def indices(request: Request) -> frozenset[str]:
    """The lists a request stands in. What is pending is found in many ways, what is not by status, agent and voter."""
    names = {_all(request.status), _of_agent(request.status, request.agent)}
    if request.status is Status.PENDING:
        asked = request.asked
        names |= {_at(destination) for destination in asked.destinations}
        names |= {_for_source(source) for source in sources_of(asked)}
        names |= {_of_kind(request.action.kind), _of_risk(request.presentation.risk)}
    else:
        names |= {_of_voter(vote.person) for vote in request.votes}
    return frozenset(names)


def open_of(agent: str) -> str:
    """The list of an agent's requests that are open."""
    return _of_agent(Status.PENDING, agent)


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


def _of_voter(person: str) -> str:
    return f"voted:{person}"
