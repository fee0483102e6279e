"""What people type about themselves: who has their seat for a while, which accounts are theirs, when they sleep."""

from __future__ import annotations

from approvals.arrangements import Delegation
from approvals.care import Hours
from approvals.commands import typed
from approvals.commands.answers import Answer, At, Button, Line, Row, bold, line, ours, theirs, told
from approvals.commands.lists import people
from approvals.commands.moments import FORMS, moment
from approvals.commands.steering import refused
from approvals.policy import Policy
from approvals.service import Approvals, Refused
from approvals.sight import Caller

_WHEN = "When shall nobody disturb you? Write 22:00-07:00 and your time zone, such as Europe/Berlin"
_TO_WHOM = "To whom, until when, for which kinds? Write bob until friday for payments.*"


class Seats:
    """Delegations and links, as commands; who may do it is checked in the service."""

    def __init__(self, approvals: Approvals) -> None:
        self._delegations = approvals.delegations
        self._links = approvals.links
        self._pings = approvals.pings

    async def answer(self, command: typed.Arranging, caller: Caller, policy: Policy, now: int) -> Answer:
        """Do what one of these commands asks for."""
        match command:
            case typed.Delegate():
                return await self._delegate(command, caller, policy, now)
            case typed.Delegations():
                return await self.listed(caller, policy)
            case typed.Undelegate(delegation):
                done = await self._delegations.undelegate(caller.account, delegation)
                if isinstance(done, Refused):
                    return refused(done)
                return Answer(title="Taken back", rows=(Row(lines=(_seat(done.delegation, policy),)),))
            case typed.Link(code):
                return await (self._claim(code, caller) if code else self._begin(caller))
            case typed.Confirm(account):
                linked = await self._links.confirm(caller.account, account)
                return refused(linked) if isinstance(linked, Refused) else _linked(linked.account, linked.person)
            case typed.Quiet():
                return await self._keep_quiet(command, caller, policy)
            case typed.Unlink(account):
                gone = await self._links.unlink(caller.account, account)
                if isinstance(gone, Refused):
                    return refused(gone)
                return told("Unlinked", theirs(gone.account), " is nobody's any more, by a code.")

    async def quiet(self, caller: Caller, policy: Policy) -> Answer:
        """The caller's quiet hours."""
        hours = await self._pings.quiet_hours_of(caller.account)
        off = (Button(label="None", command="quiet off"),) if hours is not None else ()
        known = policy.person_of(caller.account.id) is not None
        choose = (Button(label="Choose", command="quiet", asks=_WHEN),) if known else ()
        return told("Quiet hours", *_hours(hours), buttons=(*choose, *off))

    async def _keep_quiet(self, command: typed.Quiet, caller: Caller, policy: Policy) -> Answer:
        if command.hours is None and not command.off:
            return await self.quiet(caller, policy)
        kept = await self._pings.keep_quiet(caller.account, command.hours)
        return refused(kept) if isinstance(kept, Refused) else await self.quiet(caller, policy)

    async def _delegate(self, command: typed.Delegate, caller: Caller, policy: Policy, now: int) -> Answer:
        until = moment(command.until, now)
        if until is None:
            return told("Nothing was done", "I do not know when that is: ", theirs(command.until), f"; say {FORMS}.")
        done = await self._delegations.delegate(caller.account, command.to, until, command.kinds)
        if isinstance(done, Refused):
            return refused(done)
        return Answer(title="Delegated", rows=(_seat_row(done.delegation, policy),))

    async def listed(self, caller: Caller, policy: Policy) -> Answer:
        found = await self._delegations.delegations_of(caller.account)
        may = bool(policy.role("delegate")) and policy.person_of(caller.account.id) is not None
        more = (Button(label="Hand over my seat", command="delegate", asks=_TO_WHOM),) if may else ()
        if not found:
            return told("Delegations", "You have handed over nothing, and were handed nothing.", buttons=more)
        return Answer(title="Delegations", rows=tuple(_seat_row(one, policy) for one in found), buttons=more)

    async def _begin(self, caller: Caller) -> Answer:
        """A code, or the account that typed the last one and waits to be confirmed."""
        claimed = await self._links.claimed(caller.account)
        if not isinstance(claimed, Refused):
            sure = Button(label="It is mine", command=f"link confirm {claimed.account}", danger=True)
            words = (theirs(claimed.account), " typed your code. Is it your own account?")
            return told("Is this yours?", *words, buttons=(sure,))
        code = await self._links.begin(caller.account)
        if isinstance(code, Refused):
            return refused(code)
        how = ("With your other account, type link and this code within ten minutes: ", bold(code.code))
        return told("Your code", *how, ". Then type link here once more. Show it to nobody.")

    async def _claim(self, code: str, caller: Caller) -> Answer:
        claimed = await self._links.claim(caller.account, code)
        if isinstance(claimed, Refused):
            return refused(claimed)
        return told("Almost linked", "Now type link with the account from which the code came, and confirm it there.")


def _hours(hours: Hours | None) -> Line:
    if hours is None:
        return line("You are notified at any hour.")
    begin, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.begin, hours.end))
    return line(f"You are left in peace from {begin} to {end}, ", theirs(hours.zone), ", unless you are on call.")


def _linked(account: str, person: str) -> Answer:
    return told("Linked", theirs(account), " is ", theirs(person), " from now on.")


def _seat_row(one: Delegation, policy: Policy) -> Row:
    return Row(lines=(_seat(one, policy),), buttons=(Button(label="Take back", command=f"undelegate {one.id}"),))


def _seat(one: Delegation, policy: Policy) -> Line:
    kinds = ", ".join(one.kinds)
    who = (*people([one.owner], policy), ours(" → "), *people([one.to], policy))
    return line(*who, " for ", theirs(kinds), " until ", At(at=one.until))
