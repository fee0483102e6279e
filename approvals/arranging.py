"""What people arrange for themselves, with whom they are looked up now: common to seats and linked accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from approvals.arrangements import NOTHING, Arranged, Arrangements
from approvals.people import NotAllowed, Operator, may_operate, member
from approvals.policy import Policy
from approvals.ports import Account, Directory, Policies, Store
from approvals.verdicts import Refused


class Arranging:
    """The shelf on which it lies, and who may put something there."""

    def __init__(self, *, store: Store, directory: Directory, policies: Policies, new_key: Callable[[], str]) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._new_key = new_key
        self._arrangements = Arrangements(store.shelf)

    async def _member(self, account: Account, policy: Policy, *others: str) -> Operator | Refused:
        """The person behind an account, if they are one of us; `others` are accounts that concern them, too."""
        arranged = await self._arrangements.now(policy, (account.id, *others), await self._store.now())
        by = await member(account, policy, self._directory, arranged)
        return Refused(by.reason, by.sentence) if isinstance(by, NotAllowed) else by

    async def _holder(
        self, account: Account, role: Literal["delegate", "link"], policy: Policy, arranged: Arranged = NOTHING
    ) -> Operator | Refused:
        """The person behind an account, if they hold the role; that they do not is on record."""
        by = await may_operate(account, role, policy, self._directory, arranged)
        if not isinstance(by, NotAllowed):
            return by
        await self._note(f"{role}_refused", account, by.reason)
        return Refused(by.reason, by.sentence)

    async def _note(self, event: str, account: Account, reason: str) -> None:
        await self._store.note({"v": 1, "event": event, "account": account.id, "reason": reason})
