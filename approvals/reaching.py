"""Whom sources stand for while people are notified: who is on call now, and who is in a group that is written to.

It is looked up right before cards and notes go out, and again for every reminder and escalation, so that who is called
is who is on call then. It says who hears of a request, never who may answer (people.py). What cannot be looked up is
said on the card, and holds up nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from approvals.attention import ON_CALL, Book, is_mentioned_whole
from approvals.commits import change_of, under_policy
from approvals.errors import DirectoryUnavailable, NotConfirmed
from approvals.lifecycle import Status
from approvals.policy import Policy
from approvals.ports import Change, Policies, Rosters, Store, Stored
from approvals.request import Callee, Callees, Request
from approvals.terms import Notify

MOST: Final = 20  #: people behind one source who are called or written to


def to_look_up(request: Request) -> tuple[str, ...]:
    """The sources that stand for people who are to be notified now, where nobody has looked yet who they are."""
    if request.called_for == occasion(request):
        return ()
    return tuple(dict.fromkeys(source for source in _asked(request) if source not in request.quiet))


def occasion(request: Request) -> str:
    """Which of the occasions it is on which people are notified: the first post, a reminder, an escalation, a yes."""
    answered = any(vote.answer == "approve" for vote in request.votes)
    return f"{request.escalated}.{request.reminded}.{int(answered)}.{request.review_reminded}"


def _asked(request: Request) -> Iterator[str]:
    if request.status is Status.PENDING:
        factors, places = request.asked.factors, (*request.asked.destinations, *request.terms.fallback)
        if any(_stands_for_others(source, one.notify, places) for one in factors for source in one.sources):
            got = request.got()
            for factor in (one for one in factors if got[one.name] < one.need):
                yield from (one for one in factor.sources if _stands_for_others(one, factor.notify, places))
    elif request.unreviewed and request.terms.break_glass:
        reviewers, places = request.terms.break_glass.reviewers, request.terms.destinations
        yield from (source for source in reviewers if _stands_for_others(source, "mention", places))


def _stands_for_others(source: str, notify: Notify, places: tuple[str, ...]) -> bool:
    """Whether those behind a source are notified one by one: people are named, and some groups can be mentioned whole.

    `places` are those where the card may come to stand.
    """
    if source.startswith("person:") or notify == "none":
        return False
    if source.startswith(ON_CALL) or notify == "dm":
        return True
    return not all(is_mentioned_whole(source, place) for place in places)


class Reaching:
    """Looks up whom a request calls, and keeps it with the request, so that its cards stay a function of it.

    `book` tells what is known of everybody's attention: who is only a member of a group is left in peace by it.
    """

    def __init__(
        self,
        *,
        store: Store,
        policies: Policies,
        rosters: Rosters,
        book: Callable[[Policy], Awaitable[Book]],
    ) -> None:
        self._store = store
        self._policies = policies
        self._rosters = rosters
        self._book = book

    async def __call__(self, stored: Stored) -> Stored:
        """The request with those whom it calls now."""
        wanted = to_look_up(stored.request)
        if not wanted:
            return stored
        now = occasion(stored.request)

        async def commit(policy: Policy) -> Stored:
            callees = {source: await self._behind(source, stored, policy) for source in wanted}

            def change(known: Stored) -> Change | None:
                before = known.request
                if occasion(before) != now or not to_look_up(before):
                    return None
                after = before.model_copy(update={"callees": callees, "called_for": now})
                return change_of(before, after, policy, _record(callees), event="called", show=False)

            return await self._store.update(stored.request.id, change, known=stored)

        try:
            return await under_policy(self._policies, commit)
        except NotConfirmed:  # it stands; what is not safe yet is a list of whom to call
            return await self._store.get(stored.request.id)

    async def _behind(self, source: str, stored: Stored, policy: Policy) -> Callees:
        """The people behind a source, without those who may not answer; the first of them where they are many."""
        request = stored.request
        try:
            accounts = await self._rosters.accounts(source)
        except DirectoryUnavailable:
            return Callees(unknown=True)
        people = {callee.person: callee for callee in (_callee(one, policy) for one in sorted(accounts))}
        able = [one for one in people.values() if not {one.person, *one.accounts} & {*request.terms.excluded}]
        if not source.startswith(ON_CALL):
            book = await self._book(policy)
            able = [one for one in able if not book.leaves_in_peace(f"person:{one.person}", stored.now)]
        return Callees(people=tuple(able[:MOST]), more=len(able[MOST:]))


def _callee(account: str, policy: Policy) -> Callee:
    """The person behind an account, with all of their accounts; one whom policy does not name stands for itself."""
    person = policy.person_of(account)
    return Callee(person=person or account, accounts=policy.accounts_of(person) if person else (account,))


def _record(callees: dict[str, Callees]) -> dict[str, object]:
    """What the journal keeps: who was called, and what could not be looked up."""
    called = {source: [one.person for one in found.people] for source, found in callees.items()}
    return {"by": "courier", "called": called, "unknown": [one for one, found in callees.items() if found.unknown]}
