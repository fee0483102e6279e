"""What operators do, each only with the role that policy gives: revoke, extend, resolve, review, freeze, unfreeze."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from approvals.arrangements import Arranged, Arrangements
from approvals.commits import binding, change_of, home, record_of, still_in_force, under_policy
from approvals.errors import EntryRefused, IllegalTransition, NotConfirmed, NotFound, OutsideWindow
from approvals.freeze import Freeze
from approvals.indices import Query
from approvals.lifecycle import Event, Status
from approvals.people import (
    NotAllowed,
    Operator,
    Voter,
    is_behind,
    may_answer,
    may_break_glass,
    may_operate,
    member,
)
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Account, Change, Directory, Policies, Store, Stored
from approvals.publishing import Publisher
from approvals.request import Did, Intervention, Request, Vote
from approvals.verdicts import DENIED, UNSEEN, Done, Refused

_PAGE = 200
_Change = Callable[[Stored, Operator, Policy], Request]
_Forbid = Callable[[Operator, Request, Policy, Arranged], Refused | None]
_EVENTS: dict[Role, str] = {"revoke": "revoked", "extend": "extended", "resolve": "resolved", "review": "reviewed"}


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
        new_key: Callable[[], str],
    ) -> None:
        self._store = store
        self._directory = directory
        self._policies = policies
        self._publisher = publisher
        self._nudge = nudge
        self._new_key = new_key
        self._arrangements = Arrangements(store.shelf)
        self._whole = ""  #: the epoch that this process has seen in force in every partition

    async def holder(self, account: Account, role: Role, policy: Policy) -> Operator | NotAllowed:
        """The person behind an account, if they hold a role: for a door that asks first whether they are sure."""
        arranged = await self._arrangements.now(policy, (account.id,), await self._store.now())
        return await may_operate(account, role, policy, self._directory, arranged)

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

    async def break_glass(self, request: str, account: Account, reason: str, *, shown: str = "") -> Done | Refused:
        """Let a pending request through alone, in an emergency; `shown` is the digest of what the person was shown.

        It is announced, marked on every record, and open until another person has reviewed it.
        """
        if not reason.strip():
            return Refused("reason_needed", "An emergency needs a reason, so nothing was done.")

        async def commit(policy: Policy) -> Done | Refused:
            stored = await self._store.get(request)
            terms = binding(stored.request, policy, stored.now)
            arranged = await self._arrangements.about(stored.request, policy, stored.now, account.id)
            by: Operator | NotAllowed | Refused = await may_break_glass(
                account, terms, policy, self._directory, arranged
            )
            if terms.verdict == "deny":
                by = DENIED
            elif stored.request.is_barred(terms):
                by = UNSEEN
            if not isinstance(by, Operator):
                return await self._refused(stored.request, account, "break_glass", policy, by)
            said = {"by": by.person, "account": account.id, "mode": "break_glass", "shown": shown}
            key = self._new_key()

            def change(now: Stored) -> Change:
                vote = _alone(by, now.now, shown, reason)
                after = now.request.tightened(binding(now.request, policy, now.now)).broken_glass(vote, jti=key)
                until = now.request.expires_at
                return change_of(now.request, after, policy, said, event="break_glass", not_after=until)

            return await self._done(await self._store.update(request, change, known=stored), "break_glass")

        return await self._unless_impossible(request, commit)

    async def review(self, request: str, account: Account, words: str) -> Done | Refused:
        """Say what came of an emergency, as another person than the one who broke the glass; this closes it."""
        if not words.strip():
            return Refused("words_needed", "Say in a few words what you found, so nothing was recorded.")

        def change(now: Stored, by: Operator, policy: Policy) -> Request:
            if not now.request.unreviewed:
                raise IllegalTransition("nothing of it waits for a review")
            return now.request.marked(_intervention("reviewed", by, now.now, words))

        return await self._intervene(request, account, "review", change, forbid=_not_a_second_person)

    async def report_suspicious(self, request: str, account: Account, words: str = "") -> Done | Refused:
        """Mark a request as suspicious: any full member may, once; the journal and the log tell the operators."""

        async def commit(policy: Policy) -> Done | Refused:
            stored = await self._store.get(request)
            arranged = await self._arrangements.about(stored.request, policy, stored.now, account.id)
            by = await member(account, policy, self._directory, arranged)
            if isinstance(by, NotAllowed):
                return Refused(by.reason, by.sentence)
            said = {"by": by.person, "account": by.account.id}

            def change(now: Stored) -> Change | None:
                if now.request.was_marked("reported", by.person):
                    return None
                after = now.request.marked(_intervention("reported", by, now.now, words))
                return change_of(now.request, after, policy, said, event="reported_suspicious")

            return await self._done(await self._store.update(request, change, known=stored), "reported")

        return await self._unless_impossible(request, commit)

    async def freeze(
        self, account: Account, scope: Literal["agent", "kind", "all"], name: str, reason: str
    ) -> Done | Refused:
        """Stop an agent, a kind or everything, in every partition; what is pending is denied with the reason."""

        async def commit(policy: Policy) -> Done | Refused:
            await still_in_force(self._policies, policy)  # "frozen already" must not be an older truth
            arranged = await self._arrangements.now(policy, (account.id,), await self._store.now())
            by = await self._operator(account, "freeze", policy, arranged)
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
            found = next((freeze for freeze in policy.freezes if freeze.same_as(scope, name)), None)
            concerned = (account.id, found.by) if found else (account.id,)
            arranged = await self._arrangements.now(policy, concerned, await self._store.now())
            by = await self._operator(account, "unfreeze", policy, arranged)
            if isinstance(by, Refused):
                return by
            if found is None:
                return Refused("not_frozen", "That is not frozen.")
            if refusal := _not_another(by, found, policy, arranged):
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
        self,
        request: str,
        account: Account,
        role: Role,
        change: _Change,
        *,
        while_open: bool = False,
        forbid: _Forbid = lambda *_: None,
    ) -> Done | Refused:
        """Do it if the person may; `while_open`: before the deadline only, and whoever may answer may do it.

        `forbid` may refuse a person who holds the role.
        """

        async def commit(policy: Policy) -> Done | Refused:
            stored = await self._store.get(request)
            arranged = await self._arrangements.about(stored.request, policy, stored.now, account.id)
            by = await self._operator(account, role, policy, arranged, stored if while_open else None)
            if isinstance(by, Operator):
                by = forbid(by, stored.request, policy, arranged) or by
            if isinstance(by, Refused):
                return await self._refused(stored.request, account, role, policy, by)
            return await self._committed(stored, by, role, change, policy, while_open=while_open)

        return await self._unless_impossible(request, commit)

    async def _refused(
        self, request: Request, account: Account, what: str, policy: Policy, why: Refused | NotAllowed
    ) -> Refused:
        """The refusal, once it stands in the journal."""
        await still_in_force(self._policies, policy)
        record = record_of(request, request, f"{what}_refused")
        await self._store.note({**record, "account": account.id, "reason": why.reason}, partition=home(request.id))
        return Refused(why.reason, why.sentence)

    async def _unless_impossible(
        self, request: str, commit: Callable[[Policy], Awaitable[Done | Refused]]
    ) -> Done | Refused:
        """Do it, or say why it cannot be done now; what is not yet safe is told as such."""
        try:
            return await under_policy(self._policies, commit)
        except NotFound:
            return Refused("not_found", "I do not know this request.")
        except (IllegalTransition, OutsideWindow, EntryRefused) as exc:
            return Refused("not_now", f"That cannot be done: {exc}.")
        except NotConfirmed:
            after = (await self._store.get(request)).request
            return Done(after, after.status.value, safe=False)

    async def _committed(
        self, stored: Stored, by: Operator, role: Role, change: _Change, policy: Policy, *, while_open: bool
    ) -> Done:
        said = {"by": by.person, "account": by.account.id}

        def committed(now: Stored) -> Change:
            until = now.request.expires_at if while_open else None
            after = change(now, by, policy)
            return change_of(now.request, after, policy, said, event=_EVENTS[role], not_after=until)

        return await self._done(await self._store.update(stored.request.id, committed, known=stored))

    async def _done(self, stored: Stored, what: str = "") -> Done:
        self._nudge()
        after = stored.request
        return Done(after, what or after.status.value, safe=await self._publisher.published(after))

    async def _operator(
        self, account: Account, role: Role, policy: Policy, arranged: Arranged, asked: Stored | None = None
    ) -> Operator | Refused:
        """The person, if they hold the role, or, where a request is given, may answer it now."""
        found = await may_operate(account, role, policy, self._directory, arranged)
        if isinstance(found, NotAllowed) and asked is not None:
            request = asked.request
            terms = binding(request, policy, asked.now).escalated(request.escalated)
            voter = await may_answer(account, terms, policy, self._directory, arranged=arranged)
            found = Operator(voter.person, account) if isinstance(voter, Voter) else found
        return Refused(found.reason, found.sentence) if isinstance(found, NotAllowed) else found


def _not_another(by: Operator, freeze: Freeze, policy: Policy, arranged: Arranged) -> Refused | None:
    """Why this cannot be taken for another person than the one who froze."""
    if by.person in (freeze.by, arranged.person_of(freeze.by, policy)):
        return Refused("own_freeze", "You froze this, so another person has to unfreeze it.")
    return _not_linked(by, policy, arranged)


def _not_a_second_person(by: Operator, request: Request, policy: Policy, arranged: Arranged) -> Refused | None:
    """Why this cannot be taken for the review of somebody who had no part in it."""
    alone = request.decision.by if request.decision else ()
    part = {arranged.person_of(vote.account, policy) for vote in alone} | {vote.person for vote in alone}
    if by.person in part:
        return Refused("own_emergency", "You let this through yourself, so another person has to review it.")
    if is_behind(by.person, by.account.id, request.terms, policy, arranged):
        return Refused("own_request", "This was asked by you, for you or by your agent, so another person reviews it.")
    return _not_linked(by, policy, arranged)


def _not_linked(by: Operator, policy: Policy, arranged: Arranged) -> Refused | None:
    """Why nobody knows who this is, where it has to be somebody else than before."""
    if arranged.person_of(by.account.id, policy) is None:
        return Refused(
            "unlinked", "Your account is not linked to a person in the policy, and another person is needed here."
        )
    return None


def _alone(by: Operator, at: int, shown: str, reason: str) -> Vote:
    """The one answer of an emergency."""
    return Vote(
        person=by.person,
        account=by.account.id,
        via=by.account.via,
        tenant=by.account.tenant,
        answer="approve",
        factors=(),
        at=at,
        shown=shown,
        reason=reason,
    )


def _intervention(did: Did, by: Operator, at: int, reason: str) -> Intervention:
    return Intervention(did=did, person=by.person, account=by.account.id, at=at, reason=reason)
