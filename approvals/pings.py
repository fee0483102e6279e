"""Who was notified when, which hours people keep for themselves, and who is called in whose place, for attention.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from approvals.arrangements import Arrangements
from approvals.attention import DAY, Book
from approvals.care import Hours
from approvals.errors import StoreUnavailable
from approvals.people import NotAllowed, member, stand_ins
from approvals.policy import Policy
from approvals.policy_file import matches
from approvals.ports import Account, Directory, Kept, Policies, Store
from approvals.request import StandIn
from approvals.terms import Terms
from approvals.verdicts import Refused

_PINGS: Final = "pings"  #: folder: when each source was notified in the last day
_HOURS: Final = "quiet-hours"  #: folder: the hours a person chose, or that they want none
_MOST: Final = 500  #: instants that are remembered of one source


class Pings:
    """Counts what people are notified of, where policy says how often that may be."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        policies: Policies,
        minute_of_day: Callable[[str, int], int],
        is_zone: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._minute_of_day = minute_of_day
        self._is_zone = is_zone
        self._arrangements = Arrangements(store.shelf)

    async def book(self, policy: Policy) -> Book:
        """What is known now; empty, and without a look, where policy says nothing of attention."""
        if policy.care is None:
            return Book()
        pings, hours = await self._store.shelf.folder(_PINGS), await self._store.shelf.folder(_HOURS)
        notified = {_about(kept): tuple(kept.document["at"]) for kept in pings}
        chosen = {f"person:{_about(kept)}": _hours(kept.document) for kept in hours}
        return Book(policy.care, notified, chosen, self._minute_of_day)

    async def stand_ins(self, policy: Policy, kind: str, terms: Callable[[int], Terms]) -> tuple[StandIn, ...]:
        """Who is called in whose place for a request of a kind; `terms` is asked only where a seat was handed over."""
        handed = [one for one in await self._arrangements.delegations(policy) if matches(one.kinds, kind)]
        if not handed:
            return ()
        now = await self._store.now()
        asked = terms(now)
        arranged = (await self._arrangements.now(policy, asked.excluded, now)).covering(kind)
        return await stand_ins(asked, policy, self._directory, arranged)

    async def count(self, sources: tuple[str, ...], now: int) -> None:
        """Note that these were notified. Care is no control: what cannot be noted is not."""
        with suppress(StoreUnavailable):
            for source in sources:
                await self._count(source, now)

    async def _count(self, source: str, now: int) -> None:
        while True:
            name = f"{_PINGS}/{source}"
            kept = await self._store.shelf.kept(name)
            before = kept.document["at"] if kept else []
            times = [*(at for at in before if now - at < DAY), now][-_MOST:]
            version = kept.version if kept else 0
            if await self._store.shelf.keep(name, {"at": times}, version=version, ttl=DAY) is not None:
                return

    async def quiet_hours_of(self, account: Account) -> Hours | None:
        """The hours in which this person is left in peace: their own choice, or else the policy's."""
        policy = await self._policies.look()
        kept = await self._store.shelf.kept(f"{_HOURS}/{await self._person(account, policy)}")
        if kept is not None:
            return _hours(kept.document)
        return policy.care.quiet if policy.care else None

    async def keep_quiet(self, account: Account, hours: Hours | None) -> Hours | Refused | None:
        """Choose one's own quiet hours, or none at all; who is on call is called all the same."""
        policy = await self._policies.look()
        by = await member(account, policy, self._directory)
        if isinstance(by, NotAllowed):
            return Refused(by.reason, by.sentence)
        if hours is not None and not self._is_zone(hours.zone):
            return Refused(
                "no_such_zone", "I know no such time zone. Write it as Europe/Berlin, America/New_York or UTC."
            )
        chosen: Mapping[str, Any] = {"hours": hours.model_dump() if hours else None}
        await self._store.shelf.keep(f"{_HOURS}/{await self._person(account, policy)}", chosen)
        return hours

    async def _person(self, account: Account, policy: Policy) -> str:
        arranged = await self._arrangements.now(policy, (account.id,), 0)
        return arranged.person_of(account.id, policy) or account.id


def _about(kept: Kept) -> str:
    return kept.name.split("/", 1)[1]


def _hours(document: Mapping[str, Any]) -> Hours | None:
    found = document["hours"]
    return None if found is None else Hours.model_validate_json(json.dumps(found))
