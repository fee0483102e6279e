"""What people arranged among themselves: who stands in for whom, and which accounts are theirs too.

Both lie on the shelf, and count only where policy gives somebody the role (`delegate`, `link`). The file wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from approvals.action import Frozen
from approvals.policy import Policy
from approvals.policy_file import matches
from approvals.ports import Kept, Shelf
from approvals.request import Request

DELEGATIONS: Final = "delegations"  #: folder: one document for each delegation, gone when its time is over
LINKS: Final = "links"  #: folder: one document for each account that was linked by signing in with both

_ACCOUNT = re.compile(r"[a-z]+(:[A-Za-z0-9._@-]{1,100}){2}")


class Delegation(Frozen):
    """Somebody's seat, handed to another person until `until` (ms) for kinds that match a glob."""

    id: str
    owner: str  #: the person whose seat it is
    account: str  #: the account with which they handed it over
    to: str
    kinds: tuple[str, ...]
    since: int
    until: int

    def in_force(self, now: int) -> bool:
        """Whether it counts at an instant."""
        return self.since <= now < self.until


class Link(Frozen):
    """An account that a person showed to be theirs by using it and one that the file names."""

    account: str
    person: str
    by: str  #: the other account
    at: int


_Shape = TypeVar("_Shape", bound=Frozen)


@dataclass(frozen=True)
class Arranged:
    """What counts of it now, as far as somebody asked."""

    links: Mapping[str, str] = field(default_factory=dict)
    delegations: tuple[Delegation, ...] = ()

    def person_of(self, account: str, policy: Policy) -> str | None:
        """The person behind an account: the file's, or else the one it was linked to."""
        return policy.person_of(account) or self.links.get(account)

    def covering(self, kind: str) -> Arranged:
        """What counts for requests of a kind."""
        return replace(self, delegations=tuple(one for one in self.delegations if matches(one.kinds, kind)))

    def handed_to(self, person: str) -> tuple[Delegation, ...]:
        """The seats that were handed to a person. Whoever got one cannot hand it on: there are no chains."""
        return tuple(one for one in self.delegations if one.to == person and one.owner != person)


NOTHING: Final = Arranged()


class Arrangements:
    """Reads from the shelf what counts; where policy lets nobody arrange anything, nothing is read."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def now(self, policy: Policy, accounts: Iterable[str], at: int) -> Arranged:
        """What counts at an instant (ms), as far as these accounts are concerned. Raises StoreUnavailable."""
        found = [(account, await self._linked(account, policy)) for account in dict.fromkeys(accounts)]
        links = {account: person for account, person in found if person}
        handed = [one for one in await self.delegations(policy) if one.in_force(at)]
        return Arranged(links, tuple([one for one in handed if await self._is_still_the_owners(one, policy)]))

    async def about(self, request: Request, policy: Policy, at: int, *accounts: str) -> Arranged:
        """What counts for one request: for these accounts, for whoever answered, and for everybody behind it."""
        concerned = (*accounts, *request.terms.excluded, *(vote.account for vote in request.votes))
        return (await self.now(policy, concerned, at)).covering(request.action.kind)

    async def delegations(self, policy: Policy) -> tuple[Delegation, ...]:
        """Every delegation that was made and is not over; none where nobody may delegate."""
        if not policy.role("delegate"):
            return ()
        return tuple(read(Delegation, kept) for kept in await self._shelf.folder(DELEGATIONS))

    async def _is_still_the_owners(self, one: Delegation, policy: Policy) -> bool:
        """Whether the account that handed a seat over is still its owner's, and not somebody else's by now."""
        return (policy.person_of(one.account) or await self._linked(one.account, policy)) == one.owner

    async def _linked(self, account: str, policy: Policy) -> str | None:
        unknown = policy.person_of(account) is None and _ACCOUNT.fullmatch(account) is not None
        if not unknown or not policy.role("link"):
            return None
        kept = await self._shelf.kept(f"{LINKS}/{account}")
        person = read(Link, kept).person if kept else None
        return person if person in policy.people else None


def read(shape: type[_Shape], kept: Kept) -> _Shape:
    """What a document on the shelf says."""
    return shape.model_validate_json(json.dumps(dict(kept.document)))
