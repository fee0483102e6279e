"""What operators do, each only with the role that policy gives: revoke, extend, resolve, freeze, unfreeze."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from approvals.commits import change_of, home, record_of, under_policy
from approvals.errors import IllegalTransition, NotFound
from approvals.freeze import Freeze
from approvals.lifecycle import Event, Status
from approvals.people import NotAllowed, Operator, Voter, may_answer, may_operate
from approvals.policy import Policy, Role
from approvals.ports import Account, Change, Directory, Policies, Store, Stored
from approvals.publishing import Publisher
from approvals.request import Intervention, Request
from approvals.verdicts import Done, Refused

_PAGE = 200
_EVENTS: dict[Role, str] = {"revoke": "revoked", "extend": "extended", "resolve": "resolved"}


class Operators:
    """Interventions of people, beside voting. Each is journalled with the person; a refusal carries its sentence."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        policies: Policies,
        publisher: Publisher,
        nudge: Callable[[], None],
    ) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._publisher = publisher
        self._nudge = nudge

    async def revoke(self, request: str, account: Account, reason: str = "") -> Done | Refused:
        """Take a yes back that was not used yet."""

        def change(now: Stored, by: Operator) -> Request:
            return now.request.revoked(_intervention("revoked", by, now.now, reason))

        return await self._intervene(request, account, "revoke", change)

    async def resolve(
        self, request: str, account: Account, outcome: Literal["succeeded", "failed"], note: str
    ) -> Done | Refused:
        """Say how it ended where the tool could not."""
        event = Event.SUCCEED if outcome == "succeeded" else Event.FAIL

        def change(now: Stored, by: Operator) -> Request:
            if now.request.status is not Status.UNKNOWN:
                raise IllegalTransition(f"a request that is {now.request.status} needs nobody to resolve it")
            return now.request.resolved(event, _intervention("resolved", by, now.now, note))

        return await self._intervene(request, account, "resolve", change)

    async def extend(self, request: str, account: Account, more: int) -> Done | Refused:
        """Give people `more` ms to answer, never beyond what the rule allows; its approvers may do so too."""

        def change(now: Stored, by: Operator) -> Request:
            until = now.request.expires_at + more
            return now.request.extended(until, _intervention("extended", by, now.now, ""))

        return await self._intervene(request, account, "extend", change, or_approver=True)

    async def freeze(
        self, account: Account, scope: Literal["agent", "kind", "all"], name: str, reason: str
    ) -> Done | Refused:
        """Stop an agent, a kind or everything, in every partition; what is pending is denied with the reason."""
        by = await self._operator(account, "freeze")
        if isinstance(by, Refused):
            return by
        new = Freeze(scope=scope, name=name, by=by.person, at=await self._store.now(), reason=reason)
        in_force = self._policies.current().freezes
        if not any(known.same_as(scope, name) for known in in_force):
            record = {"v": 1, "event": "freeze", "freeze": new.rule, "by": by.person, "account": account.id}
            await self._policies.put_freezes((*in_force, new), record)
        await self.deny_frozen()
        return Done(None, "frozen")

    async def unfreeze(self, account: Account, scope: str, name: str) -> Done | Refused:
        """Let it go on; by another person than the one who froze it."""
        by = await self._operator(account, "unfreeze")
        if isinstance(by, Refused):
            return by
        in_force = self._policies.current().freezes
        mine = next((freeze for freeze in in_force if freeze.same_as(scope, name)), None)
        if mine is None:
            return Refused("not_frozen", "That is not frozen.")
        if mine.by == by.person:
            return Refused("own_freeze", "You froze this, so another person has to unfreeze it.")
        record = {"v": 1, "event": "unfreeze", "freeze": mine.rule, "by": by.person, "account": account.id}
        await self._policies.put_freezes(tuple(one for one in in_force if one is not mine), record)
        return Done(None, "unfrozen")

    async def deny_frozen(self) -> None:
        """Deny everything pending that falls under a freeze; safe to repeat, and repeated by the clock."""
        if not self._policies.current().freezes:
            return
        before: int | None = None
        while page := await self._store.waiting(limit=_PAGE, before=before):
            for request in page:
                if self._policies.current().freeze_of(request.question) is not None:
                    await self._deny(request.id)
            before = page[-1].asked_at if len(page) == _PAGE else 0

    async def _deny(self, request: str) -> None:
        async def commit(policy: Policy) -> Stored:
            def change(now: Stored) -> Change | None:
                freeze = policy.freeze_of(now.request.question)
                if freeze is None or now.request.status is not Status.PENDING:
                    return None
                reason = freeze.reason or "an operator stopped this"
                after = now.request.denied_by(freeze.rule, reason, now.now)
                return change_of(now.request, after, policy, {"by": freeze.by})

            return await self._store.update(request, change)

        after = (await under_policy(self._policies, commit)).request
        await self._publisher.published(after)
        self._nudge()

    async def _intervene(
        self,
        request: str,
        account: Account,
        role: Role,
        change: Callable[[Stored, Operator], Request],
        *,
        or_approver: bool = False,
    ) -> Done | Refused:
        try:
            stored = await self._store.get(request)
        except NotFound:
            return Refused("not_found", "I do not know this request.")
        by = await self._operator(account, role, stored.request if or_approver else None)
        if isinstance(by, Refused):
            record = record_of(stored.request, stored.request, f"{role}_refused")
            await self._store.note({**record, "account": account.id, "reason": by.reason}, partition=home(request))
            return by

        async def commit(policy: Policy) -> Stored:
            def committed(now: Stored) -> Change:
                said = {"by": by.person, "account": account.id}
                return change_of(now.request, change(now, by), policy, said, event=_EVENTS[role])

            return await self._store.update(request, committed, known=stored)

        try:
            after = (await under_policy(self._policies, commit)).request
        except IllegalTransition as exc:
            return Refused("not_now", f"That cannot be done: {exc}.")
        await self._publisher.published(after)
        self._nudge()
        return Done(after, after.status.value)

    async def _operator(self, account: Account, role: Role, request: Request | None = None) -> Operator | Refused:
        """The person, if they hold the role, or, where a request is given, may answer it."""
        policy = self._policies.current()
        found = await may_operate(account, role, policy, self._directory)
        if isinstance(found, NotAllowed) and request is not None:
            voter = await may_answer(account, request.asked, policy, self._directory)
            found = Operator(voter.person, account) if isinstance(voter, Voter) else found
        return Refused(found.reason, found.sentence) if isinstance(found, NotAllowed) else found


def _intervention(did: Literal["revoked", "extended", "resolved"], by: Operator, at: int, reason: str) -> Intervention:
    return Intervention(did=did, person=by.person, account=by.account.id, at=at, reason=reason)
