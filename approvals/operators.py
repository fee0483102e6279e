"""What operators do, each only with the role that policy gives: revoke, extend, resolve, freeze, unfreeze."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from approvals.commits import binding, change_of, home, record_of, still_in_force, under_policy
from approvals.errors import EntryRefused, IllegalTransition, NotConfirmed, NotFound, OutsideWindow
from approvals.freeze import Freeze
from approvals.indices import Query
from approvals.lifecycle import Event, Status
from approvals.people import NotAllowed, Operator, Voter, may_answer, may_operate
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Account, Change, Directory, Policies, Store, Stored
from approvals.publishing import Publisher
from approvals.request import Intervention, Request
from approvals.verdicts import Done, Refused

_PAGE = 200
_Change = Callable[[Stored, Operator, Policy], Request]
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
        self._whole = ""  #: the epoch that this process has seen in force in every partition

    async def revoke(self, request: str, account: Account, reason: str = "") -> Done | Refused:
        """Take a yes back that was not used yet."""

        def change(now: Stored, by: Operator, _: Policy) -> Request:
            return now.request.revoked(_intervention("revoked", by, now.now, reason))

        return await self._intervene(request, account, "revoke", change)

    async def resolve(
        self, request: str, account: Account, outcome: Literal["succeeded", "failed"], note: str
    ) -> Done | Refused:
        """Say how it ended where the tool could not."""
        event = Event.SUCCEED if outcome == "succeeded" else Event.FAIL

        def change(now: Stored, by: Operator, _: Policy) -> Request:
            if now.request.status is not Status.UNKNOWN:
                raise IllegalTransition(f"a request that is {now.request.status} needs nobody to resolve it")
            return now.request.resolved(event, _intervention("resolved", by, now.now, note))

        return await self._intervene(request, account, "resolve", change)

    async def extend(self, request: str, account: Account, more: int) -> Done | Refused:
        """Give people `more` ms to answer, never beyond what the rule allows; its approvers may do so too."""

        def change(now: Stored, by: Operator, policy: Policy) -> Request:
            until = now.request.expires_at + more
            terms = binding(now.request, policy, now.now)
            return now.request.tightened(terms).extended(until, _intervention("extended", by, now.now, ""))

        return await self._intervene(request, account, "extend", change, while_open=True)

    async def freeze(
        self, account: Account, scope: Literal["agent", "kind", "all"], name: str, reason: str
    ) -> Done | Refused:
        """Stop an agent, a kind or everything, in every partition; what is pending is denied with the reason."""

        async def commit(policy: Policy) -> Done | Refused:
            await still_in_force(self._policies, policy)  # "frozen already" must not be an older truth
            by = await self._operator(account, "freeze", policy)
            if isinstance(by, Refused):
                return by
            if scope == "agent" and name not in policy.agents:
                return Refused("no_such_agent", "No agent of that name is registered, so nothing was frozen.")
            if not any(known.same_as(scope, name) for known in policy.freezes):
                new = Freeze(scope=scope, name=name, by=by.person, at=await self._store.now(), reason=reason)
                await self._put(policy, (*policy.freezes, new), "freeze", new, by)
            return Done(None, "frozen")

        done = await under_policy(self._policies, commit)
        if isinstance(done, Done):
            await self.deny_frozen()
        return done

    async def unfreeze(self, account: Account, scope: str, name: str) -> Done | Refused:
        """Let it go on; by another person than the one who froze it."""

        async def commit(policy: Policy) -> Done | Refused:
            await still_in_force(self._policies, policy)
            by = await self._operator(account, "unfreeze", policy)
            if isinstance(by, Refused):
                return by
            found = next((freeze for freeze in policy.freezes if freeze.same_as(scope, name)), None)
            if found is None:
                return Refused("not_frozen", "That is not frozen.")
            if refusal := _not_another(by, found, policy):
                return refusal
            left = tuple(one for one in policy.freezes if one is not found)
            await self._put(policy, left, "unfreeze", found, by)
            return Done(None, "unfrozen")

        return await under_policy(self._policies, commit)

    async def deny_frozen(self) -> None:
        """Deny everything pending that falls under a freeze; safe to repeat, and repeated by the clock."""
        policy = await self._policies.look()
        if policy.epoch != self._whole:  # whoever froze may have died half-way: put it in force everywhere, once
            policy = await self._policies.refresh()
            self._whole = policy.epoch
        cursor: str | None = ""
        while policy.freezes and cursor is not None:
            page = await self._store.list(Query(), cursor, _PAGE)
            for request in page.requests:
                if policy.freeze_of(request.question) is not None:
                    await self._deny(request.id)
            cursor = page.cursor

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

        with suppress(NotFound, NotConfirmed):  # gone meanwhile; or committed, and announced once it is safe
            after = (await under_policy(self._policies, commit)).request
            await self._publisher.published(after)
        self._nudge()

    async def _put(self, policy: Policy, freezes: tuple[Freeze, ...], event: str, about: Freeze, by: Operator) -> None:
        record = {"v": 1, "event": event, "freeze": about.rule, "by": by.person, "account": by.account.id}
        await self._policies.put_freezes(freezes, record, instead_of=policy.epoch)

    async def _intervene(
        self, request: str, account: Account, role: Role, change: _Change, *, while_open: bool = False
    ) -> Done | Refused:
        """Do it if the person may; `while_open`: before the deadline only, and whoever may answer may do it."""

        async def commit(policy: Policy) -> Done | Refused:
            stored = await self._store.get(request)
            by = await self._operator(account, role, policy, stored if while_open else None)
            if isinstance(by, Refused):
                await still_in_force(self._policies, policy)
                record = record_of(stored.request, stored.request, f"{role}_refused")
                await self._store.note({**record, "account": account.id, "reason": by.reason}, partition=home(request))
                return by
            return await self._committed(stored, by, role, change, policy, while_open=while_open)

        try:
            return await under_policy(self._policies, commit)
        except NotFound:
            return Refused("not_found", "I do not know this request.")
        except (IllegalTransition, OutsideWindow, EntryRefused) as exc:
            return Refused("not_now", f"That cannot be done: {exc}.")

    async def _committed(
        self, stored: Stored, by: Operator, role: Role, change: _Change, policy: Policy, *, while_open: bool
    ) -> Done:
        said = {"by": by.person, "account": by.account.id}

        def committed(now: Stored) -> Change:
            until = now.request.expires_at if while_open else None
            after = change(now, by, policy)
            return change_of(now.request, after, policy, said, event=_EVENTS[role], not_after=until)

        try:
            after = (await self._store.update(stored.request.id, committed, known=stored)).request
        except NotConfirmed:
            after = (await self._store.get(stored.request.id)).request
            return Done(after, after.status.value, safe=False)
        self._nudge()
        return Done(after, after.status.value, safe=await self._publisher.published(after))

    async def _operator(
        self, account: Account, role: Role, policy: Policy, asked: Stored | None = None
    ) -> Operator | Refused:
        """The person, if they hold the role, or, where a request is given, may answer it now."""
        found = await may_operate(account, role, policy, self._directory)
        if isinstance(found, NotAllowed) and asked is not None:
            request = asked.request
            terms = binding(request, policy, asked.now).escalated(request.escalated)
            voter = await may_answer(account, terms, policy, self._directory)
            found = Operator(voter.person, account) if isinstance(voter, Voter) else found
        return Refused(found.reason, found.sentence) if isinstance(found, NotAllowed) else found


def _not_another(by: Operator, freeze: Freeze, policy: Policy) -> Refused | None:
    """Why this cannot be taken for another person than the one who froze."""
    if by.person in (freeze.by, policy.person_of(freeze.by)):
        return Refused("own_freeze", "You froze this, so another person has to unfreeze it.")
    if policy.person_of(by.account.id) is None:
        return Refused(
            "unlinked", "Your account is not linked to a person in the policy, and another person is needed here."
        )
    return None


def _intervention(did: Literal["revoked", "extended", "resolved"], by: Operator, at: int, reason: str) -> Intervention:
    return Intervention(did=did, person=by.person, account=by.account.id, at=at, reason=reason)
