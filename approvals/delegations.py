"""Handing one's seat to somebody else for a while: dated, for some kinds, on record, never handed on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.arrangements import DELEGATIONS, Arranged, Delegation
from approvals.arranging import Arranging
from approvals.people import Operator
from approvals.policy import Policy
from approvals.ports import Account
from approvals.verdicts import Refused

LONGEST: Final = 90 * 86_400_000  #: ms for which a seat can be handed over; then it has to be said anew
MOST: Final = 20  #: seats that one person may have handed over at once
_KINDS = re.compile(r"[a-z0-9_.*?]{1,100}")


@dataclass(frozen=True)
class Handed:
    """A seat was handed over, or taken back."""

    delegation: Delegation


class Delegations(Arranging):
    """What people do with their own seat; it counts where `may_answer` finds it. The role is `delegate`."""

    async def delegate(
        self, account: Account, to: str, until: int, kinds: tuple[str, ...] = ("*",)
    ) -> Handed | Refused:
        """Hand one's seat to `to` (a person of the policy, or an account of theirs) until `until` (ms).

        It holds for kinds that match one of the globs, from now on, for what waits already too.
        """
        policy = await self._policies.look()
        now = await self._store.now()
        arranged = await self._arrangements.now(policy, (account.id, to), now)
        owner = await self._owner(account, policy, arranged)
        if isinstance(owner, Refused):
            return owner
        taker = to if to in policy.people else arranged.person_of(to, policy)
        mine = [one for one in await self._arrangements.delegations(policy) if one.owner == owner.person]
        if refusal := _unsound(owner.person, taker, until, kinds, now) or _too_many(mine):
            return refusal
        one = Delegation(
            id=self._new_key(),
            owner=owner.person,
            account=account.id,
            to=str(taker),
            kinds=kinds,
            since=now,
            until=until,
        )
        record = _record("delegated", one, owner)
        await self._store.shelf.keep(_name(one), one.model_dump(mode="json"), ttl=until - now, record=record)
        return Handed(one)

    async def undelegate(self, account: Account, delegation: str) -> Handed | Refused:
        """Take a seat back, or give it back; by its owner or by whoever got it."""
        policy = await self._policies.look()
        by = await self._member(account, policy)
        if isinstance(by, Refused):
            return by
        mine = await self._mine(by.person, policy)
        found = next((one for one in mine if one.id == delegation), None)
        if found is None:
            return Refused("no_such_delegation", "I know no such delegation of yours; perhaps its time is over.")
        await self._store.shelf.drop(_name(found), record=_record("undelegated", found, by))
        return Handed(found)

    async def delegations_of(self, account: Account) -> Sequence[Delegation]:
        """The seats this person handed over, and those that were handed to them; the earliest first."""
        policy = await self._policies.look()
        arranged = await self._arrangements.now(policy, (account.id,), await self._store.now())
        return await self._mine(arranged.person_of(account.id, policy) or account.id, policy)

    async def _mine(self, person: str, policy: Policy) -> list[Delegation]:
        mine = [one for one in await self._arrangements.delegations(policy) if person in (one.owner, one.to)]
        return sorted(mine, key=lambda one: (one.since, one.id))

    async def _owner(self, account: Account, policy: Policy, arranged: Arranged) -> Operator | Refused:
        """The person whose seat it is: they hold the role, and the policy knows who they are."""
        found = await self._holder(account, "delegate", policy, arranged)
        if isinstance(found, Operator) and arranged.person_of(account.id, policy) is None:
            return Refused("unlinked", "Your account is not linked to a person in the policy, so you have no seat.")
        return found


def _unsound(owner: str, taker: str | None, until: int, kinds: tuple[str, ...], now: int) -> Refused | None:
    """Why a seat cannot be handed over like this."""
    if taker is None:
        return Refused("no_such_person", "The policy does not know this person, so nobody could say who took the seat.")
    if taker == owner:
        return Refused("own_delegation", "You cannot hand your seat to yourself.")
    if not now < until <= now + LONGEST:
        return Refused("bad_until", "Name an end that lies in the future, and not more than 90 days ahead.")
    if not kinds or not all(_KINDS.fullmatch(kind) for kind in kinds):
        return Refused("bad_kinds", "Name kinds such as payments.release, or payments.* for all of them.")
    return None


def _too_many(mine: Sequence[Delegation]) -> Refused | None:
    if len(mine) < MOST:
        return None
    return Refused(
        "too_many_delegations", "You have handed over as much as you may at once; take something back first."
    )


def _name(delegation: Delegation) -> str:
    return f"{DELEGATIONS}/{delegation.id}"


def _record(event: str, delegation: Delegation, by: Operator) -> Mapping[str, Any]:
    """What the journal keeps: who, to whom, for what and until when."""
    said = delegation.model_dump(mode="json", exclude={"id", "account", "since"})
    return {"v": 1, "event": event, "by": by.person, "account": by.account.id, "delegation": delegation.id, **said}
