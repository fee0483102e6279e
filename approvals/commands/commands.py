"""The commands: text in, an answer out. Each is done through the service, and tells only what its caller may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from approvals.commands import typed
from approvals.commands.answers import Answer, Button, Piece, Typed, ours, row, theirs, told
from approvals.commands.emergencies import Emergencies
from approvals.commands.lists import Lists, about, cards_of, decided_row
from approvals.commands.record import record_of, why_of
from approvals.commands.seats import Seats
from approvals.commands.steering import Steering, refused
from approvals.errors import NotFound
from approvals.lifecycle import Status
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.ports import Directory, Policies, Store
from approvals.request import Request
from approvals.service import Approvals, Counted, Late, Refused
from approvals.sight import Caller, Sight

HOME = 5  #: rows in each part of somebody's overview
_AMBIGUOUS = 5
_CODES = 20  #: of one message
#: Whoever may do this may look at what they do it to.
_ROLES: Mapping[type[typed.AboutOne], tuple[Role, ...]] = {
    typed.Revoke: ("revoke",),
    typed.Extend: ("extend",),
    typed.Resolve: ("resolve",),
    typed.Review: ("review",),
}


class Commands:
    """Answers commands; a platform calls `answer` with what was typed, or with what stands on a button of an answer."""

    def __init__(self, *, approvals: Approvals, store: Store, directory: Directory, policies: Policies) -> None:
        self._approvals = approvals
        self._store = store
        self._directory = directory
        self._policies = policies
        self._lists = Lists(store, directory)
        self._steering = Steering(approvals.operators)
        self._emergencies = Emergencies(approvals.operators, store)
        self._seats = Seats(approvals)

    async def answer(self, text: str, caller: Caller) -> Answer:
        """Do what a text asks for. Raises ApprovalsError where nothing can be looked up or done right now."""
        command = typed.parse(text)
        if isinstance(command, typed.Misunderstood):
            return misunderstood(command)
        if isinstance(command, typed.Help):
            return usage()
        policy = await self._policies.look()  # a refusal, or an answer, must not rest on an older one
        match command:
            case typed.Pending(which):
                return await self._lists.pending(which, caller, policy)
            case typed.History(which):
                return await self._lists.history(which, caller, policy)
            case typed.Freeze():
                return await self._steering.freeze(command, caller, policy)
            case typed.Unfreeze():
                return await self._steering.unfreeze(command, caller, policy)
            case typed.Frozen():
                return await self._steering.frozen(caller, policy)
            case (
                typed.Delegate()
                | typed.Delegations()
                | typed.Undelegate()
                | typed.Link()
                | typed.Confirm()
                | typed.Unlink()
                | typed.Quiet()
            ):
                return await self._seats.answer(command, caller, policy, await self._store.now())
        return await self._about_one(command, caller, policy)

    async def home(self, caller: Caller) -> tuple[Sequence[Answer], int]:
        """What waits for somebody, what their agents asked, what they decided, their settings; and as of when (ms)."""
        policy = await self._policies.look()
        parts = [
            await self._lists.pending(typed.Which(mine=True), caller, policy, HOME),
            await self._lists.asked_for(caller, policy, HOME),
            await self._lists.history(typed.Which(mine=True), caller, policy, HOME),
            await self._seats.listed(caller, policy),
            await self._seats.quiet(caller, policy),
        ]
        return parts, await self._store.now()

    async def posted(self, codes: Sequence[str], reference: Mapping[str, str], caller: Caller) -> Answer | None:
        """The record of the request, or the requests, whose card stands at a reference; None where none does.

        `codes` are short codes that may be theirs.
        """
        policy = await self._policies.look()
        sight = await Sight.of(caller, policy, self._directory, self._store)
        found = []
        for code in codes[:_CODES]:
            for one in await self._store.find(code):
                stored = await self._store.get(one)
                stands = any(dict(post.reference) == dict(reference) for post in stored.posts.values())
                found += [stored.request] if stands and await sight.covers(stored.request) else []
        if len(found) == 1:
            return await self._show(found[0], caller, policy)
        return _several("The requests of this message", found, policy) if found else None

    async def _about_one(self, command: typed.AboutOne, caller: Caller, policy: Policy) -> Answer:
        found = await self._named(command, caller, policy)
        if len(found) != 1:
            return _which_one(command.request, found, policy)
        (request,) = found
        match command:
            case typed.Show():
                return await self._show(request, caller, policy)
            case typed.Why():
                return why_of(request, policy.explain(request.question), policy)
            case typed.Retract():
                return await self._retract(request, caller, policy)
            case typed.Report():
                return await self._emergencies.report(command, request, caller)
            case typed.BreakGlass():
                return await self._emergencies.break_glass(command, request, caller, policy)
            case typed.Review():
                return await self._emergencies.review(command, request, caller)
            case typed.Extend():
                return await self._steering.extend(command, request, caller)
            case typed.Revoke():
                return await self._steering.revoke(command, request, caller, policy)
            case typed.Resolve():
                return await self._steering.resolve(command, request, caller, policy)

    async def _named(self, command: typed.AboutOne, caller: Caller, policy: Policy) -> list[Request]:
        """The requests of an id or a short code that the caller may look at; others are as if they were not there."""
        ids = [command.request] if command.by_id else await self._store.find(command.request)
        sight = await Sight.of(caller, policy, self._directory, self._store, ("see", *_ROLES.get(type(command), ())))
        found = []
        for one in ids[:_AMBIGUOUS]:
            try:
                request = (await self._store.get(one)).request
            except NotFound:
                continue
            if await sight.covers(request):
                found.append(request)
        return found

    async def _show(self, request: Request, caller: Caller, policy: Policy) -> Answer:
        sight = await Sight.of(caller, policy, self._directory, self._store)
        pending = request.status is Status.PENDING
        asked = pending and await sight.may_answer(request)
        buttons = await self._steering.buttons(request, caller, policy, may_answer=asked)
        buttons.append(Button(label="Why", command=f"why {request.id}"))
        if pending and request.vote_of(sight.person) is not None:
            buttons.insert(0, Button(label="Retract my answer", command=f"retract {request.id}"))
        return record_of(request, policy, await cards_of(self._store, request), buttons)

    async def _retract(self, request: Request, caller: Caller, policy: Policy) -> Answer:
        sight = await Sight.of(caller, policy, self._directory, self._store)
        if request.vote_of(sight.person) is None:
            return told("Nothing was done", *about(request), " has no answer of yours.")
        match await self._approvals.take_back(request.id, caller.account):
            case Refused() as refusal:
                return refused(refusal)
            case Late(after):
                return told("Too late", *about(after), f" is {after.status.value}, so nothing was changed.")
            case Counted(after):
                return told("Taken back", *about(after), " waits for an answer again, without yours.")


def usage() -> Answer:
    """Every command, with what it does."""
    rows = [row(_written(name), f"  {how.words}") for name, how in typed.USAGE.items()]
    return Answer(title="What you can say", rows=tuple(rows))


def misunderstood(wrong: typed.Misunderstood) -> Answer:
    """What was not understood, what may have been meant, and how it is written."""
    pieces: list[Piece] = [ours(f"{wrong.sentence}{' ' if wrong.said else ''}")]
    pieces += [theirs(wrong.said)] if wrong.said else []
    pieces += [ours(". Did you mean "), theirs(wrong.near), ours("?")] if wrong.near else [ours(".")]
    if wrong.usage:
        pieces += [ours(" It is written "), _written(wrong.usage), ours(".")]
    return Answer(title="I did not understand that", rows=(row(*pieces), *(() if wrong.usage else usage().rows)))


def _which_one(said: str, found: Sequence[Request], policy: Policy) -> Answer:
    """Nothing, or several requests of one short code."""
    if not found:
        return told("There is no such request", "I know no request ", theirs(said), " that you may look at.")
    return _several("Several requests have this code", found, policy)


def _several(title: str, found: Sequence[Request], policy: Policy) -> Answer:
    return Answer(title=title, rows=tuple(decided_row(one, policy) for one in found))


def _written(name: str) -> Typed:
    return Typed(command=f"{name} {typed.USAGE[name].arguments}".strip())
