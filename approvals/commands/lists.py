"""Lists of requests, newest first, page by page: what waits, and what was decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from approvals.card import Who
from approvals.commands.answers import (
    Answer,
    At,
    Button,
    Line,
    Person,
    Piece,
    Place,
    Row,
    bold,
    line,
    ours,
    row,
    theirs,
)
from approvals.commands.typed import Which
from approvals.errands import cards
from approvals.errors import NotFound
from approvals.indices import Query
from approvals.lifecycle import Status
from approvals.policy import Policy
from approvals.ports import Directory, Store
from approvals.request import Request
from approvals.sight import Caller, Sight

PAGE = 10
_LOOKS = 8  #: times the store is asked for one page; what is left out of so many is on the next
_ANSWERED = tuple(status for status in Status if status is not Status.PENDING)

Wanted = Callable[[Request], Awaitable[bool]]


@dataclass(frozen=True)
class Found:
    """One page of requests; `after` leads to the next, None: there is none."""

    requests: Sequence[Request]
    after: str | None


class Lists:
    """Answers to the commands that list. A page costs the same however many requests there are."""

    def __init__(self, store: Store, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def pending(self, which: Which, caller: Caller, policy: Policy, limit: int = PAGE) -> Answer:
        """What waits: by default what stands here, waits for the caller, or was asked for them."""
        sight = await Sight.of(caller, policy, self._directory, self._store)
        now = await self._store.now()

        async def wanted(request: Request) -> bool:
            if which.overdue and not is_overdue(request, now):
                return False
            if which.mine:
                return await sight.may_answer(request)
            return await sight.covers(request)

        found = await self._found(await self._waiting(which, caller, policy, sight), wanted, which.after, limit)
        rows = [await self._waiting_row(request) for request in found.requests]
        return _page("Waiting for an answer", rows, found, f"pending {which.words}", "Nothing waits for an answer")

    async def history(self, which: Which, caller: Caller, policy: Policy, limit: int = PAGE) -> Answer:
        """What was decided: by default what the caller answered, and what was asked for them."""
        sight = await Sight.of(caller, policy, self._directory, self._store)

        async def wanted(request: Request) -> bool:
            if which.mine:
                return request.vote_of(sight.person) is not None
            return await sight.covers(request)

        found = await self._found(_decided(which, caller, policy, sight), wanted, which.after, limit)
        rows = [decided_row(request, policy) for request in found.requests]
        return _page("Decided", rows, found, f"history {which.words}", "Nothing was decided")

    async def asked_for(self, caller: Caller, policy: Policy, limit: int = PAGE) -> Answer:
        """What the caller's agents asked, and what was asked for the caller, whatever became of it."""
        sight = await Sight.of(caller, policy, self._directory, self._store)
        queries = [Query(statuses=tuple(Status), agent=agent) for agent in policy.agents_for(sight.person)]

        async def wanted(request: Request) -> bool:
            return sight.concerns(request) and request.vote_of(sight.person) is None

        found = await self._found(_joined(queries), wanted, "", limit)
        rows = [decided_row(request, policy) for request in found.requests]
        return _page("Asked by your agents", rows, found, "", "Your agents asked nothing")

    async def _waiting(self, which: Which, caller: Caller, policy: Policy, sight: Sight) -> Query | None:
        """Where to look for what waits."""
        if which.agent is not None or which.kind is not None or which.here:
            return _named((Status.PENDING,), which, caller)
        mine = Query(sources=await sight.sources())
        if which.mine:
            return mine
        here = [Query(destination=place) for place in caller.here]
        return _joined([mine, *here, *(Query(agent=agent) for agent in policy.agents_for(sight.person))])

    async def _found(self, query: Query | None, wanted: Wanted, after: str, limit: int) -> Found:
        """One page of what is wanted among what the query covers."""
        found: list[Request] = []
        cursor: str | None = after if query is not None else None
        looks = _LOOKS
        while query is not None and cursor is not None and looks and len(found) < limit:
            page = await self._store.list(query, cursor, limit - len(found))
            found += [request for request in page.requests if await wanted(request)]
            cursor, looks = page.cursor, looks - 1
        return Found(found, cursor)

    async def _waiting_row(self, request: Request) -> Row:
        ends = line(" · expires ", At(at=request.expires_at), *await cards_of(self._store, request))
        return Row(lines=((*about(request), *ends),), buttons=(_show(request),))


async def cards_of(store: Store, request: Request) -> Line:
    """Where the request's cards stand, for a platform that can link to one."""
    try:
        posts = cards(await store.get(request.id))
    except NotFound:  # gone since it was listed
        return ()
    return tuple(Place(destination=post.destination, reference=dict(post.reference)) for post in posts)


def about(request: Request) -> Line:
    """A request in a few words."""
    return line(bold(request.code), " ", theirs(request.action.kind), " → ", theirs(request.action.target))


def became(request: Request, policy: Policy) -> Line:
    """What became of a request, by whom and when."""
    decision = request.decision
    if decision is None:
        return line(" · waits, expires ", At(at=request.expires_at))
    by: list[Piece] = [ours(" by "), *people([vote.person for vote in decision.by], policy)] if decision.by else []
    rule: list[Piece] = [ours(" by "), theirs(decision.rule)] if decision.rule is not None else []
    since = [ours(f" · now {request.status.value}")] if request.status is not decision.status else []
    return (ours(f" · {decision.status.value} "), At(at=decision.at), *by, *rule, *since)


def people(names: Sequence[str], policy: Policy) -> list[Piece]:
    """Some people, by their accounts."""
    pieces: list[Piece] = []
    for name in names:
        pieces += [ours(", ")] if pieces else []
        pieces.append(Person(who=Who(person=name, accounts=policy.accounts_of(name))))
    return pieces


def is_overdue(request: Request, now: int) -> bool:
    """Whether people were reminded, others were asked, or more than half of the time is over."""
    halfway = now - request.asked_at > request.expires_at - now
    return bool(request.reminded or request.escalated or halfway)


def decided_row(request: Request, policy: Policy) -> Row:
    """A request and what became of it, with a button to see everything."""
    return Row(lines=((*about(request), *became(request, policy)),), buttons=(_show(request),))


def _show(request: Request) -> Button:
    return Button(label="Show", command=f"show {request.id}")


def _decided(which: Which, caller: Caller, policy: Policy, sight: Sight) -> Query | None:
    """Where to look for what was decided."""
    if which.agent is not None or which.kind is not None or which.here:
        return _named(_ANSWERED, which, caller)
    mine = Query(_ANSWERED, voter=sight.person)
    agents = () if which.mine else policy.agents_for(sight.person)
    return _joined([mine, *(Query(_ANSWERED, agent=agent) for agent in agents)])


def _named(statuses: tuple[Status, ...], which: Which, caller: Caller) -> Query | None:
    """Where to look for what is named by its agent, its kind or the place it is asked in."""
    places = caller.here if which.here else (None,)
    return _joined([Query(statuses, which.agent, place, kind=which.kind) for place in places])


def _joined(queries: Sequence[Query]) -> Query | None:
    """What any of the queries covers."""
    if not queries:
        return None
    first, *others = queries
    return Query(**{**vars(first), "besides": tuple(others)})


def _page(title: str, rows: Sequence[Row], found: Found, command: str, nothing: str) -> Answer:
    if not rows and found.after is None:
        return Answer(title=title, rows=(row(f"{nothing}."),))
    more = [Button(label="Older", command=f"{command.strip()} after:{found.after}")] if found.after and command else []
    return Answer(title=f"{title}, newest first", rows=tuple(rows), buttons=tuple(more))
