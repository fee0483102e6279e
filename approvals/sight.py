"""Who may look at a request: those it concerns, those it is shown to, and whoever policy lets see others' requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from approvals.arrangements import Arranged, Arrangements
from approvals.errors import DirectoryUnavailable
from approvals.people import Operator, Voter, may_answer, may_operate, sources_of
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Account, Directory, Store
from approvals.request import Request


@dataclass(frozen=True)
class Caller:
    """Who gave a command, and the destinations at which they gave it: a channel, or their own direct messages.

    The platform vouches for both; `here` holds only places that the person can read.
    """

    account: Account
    here: tuple[str, ...] = ()


class Sight:
    """What one person may look at under one policy; made anew for every command."""

    def __init__(
        self,
        caller: Caller,
        policy: Policy,
        directory: Directory,
        arranged: Arranged,
        *,
        member: bool,
        sees_all: bool,
    ) -> None:
        self.person = arranged.person_of(caller.account.id, policy) or caller.account.id
        self._caller = caller
        self._policy = policy
        self._directory = directory
        self._arranged = arranged
        self._member = member
        self._sees_all = sees_all

    @classmethod
    async def of(
        cls, caller: Caller, policy: Policy, directory: Directory, store: Store, roles: Sequence[Role] = ("see",)
    ) -> Sight:
        """Look the person up; who cannot be is taken for no member. Any of `roles` lets them see everything."""
        arranged = await Arrangements(store.shelf).now(policy, (caller.account.id,), await store.now())
        try:
            member = await directory.standing(caller.account) is None
        except DirectoryUnavailable:
            member = False
        held = [await may_operate(caller.account, role, policy, directory, arranged) for role in roles if member]
        sees_all = any(isinstance(one, Operator) for one in held)
        return cls(caller, policy, directory, arranged, member=member, sees_all=sees_all)

    async def covers(self, request: Request) -> bool:
        """Whether the person may look at a request: always where its card stands anyway."""
        if not set(self._caller.here).isdisjoint(request.asked.destinations):
            return True
        if not self._member:
            return False
        return self._sees_all or self.concerns(request) or await self.may_answer(request)

    def concerns(self, request: Request) -> bool:
        """Whether it was asked for this person, by them or by an agent of theirs, or answered by them."""
        chain = (request.principal, request.started_by, self._policy.owner_of(request.agent))
        return self.person in chain or request.vote_of(self.person) is not None

    async def may_answer(self, request: Request) -> bool:
        """Whether the person is among those asked, now, in their own seat or in one that was handed to them."""
        arranged = self._arranged.covering(request.action.kind)
        account = self._caller.account
        return isinstance(
            await may_answer(account, request.asked, self._policy, self._directory, arranged=arranged), Voter
        )

    async def sources(self) -> tuple[str, ...]:
        """The approver sources for which the person may answer."""
        return await sources_of(self._caller.account, self._policy, self._directory, self._arranged)
