"""What operators type: each asks first where it cannot be undone, then calls the one service that checks the role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from approvals.commands import typed
from approvals.commands.answers import Answer, At, Button, Piece, Row, Words, bold, row, theirs, told
from approvals.commands.lists import about, people
from approvals.freeze import Freeze
from approvals.lifecycle import Status
from approvals.operators import Operators
from approvals.people import NotAllowed
from approvals.policy import Policy
from approvals.policy_file import Role
from approvals.request import Request
from approvals.service import Done, Refused
from approvals.sight import Caller

MORE = "30m"  #: what the button to extend gives
_WHY = "Why? Your words are kept with the request."
_HOW = "How do you know? Your words are kept with the request."


class Steering:
    """Revoke, extend, resolve, freeze and unfreeze, as commands.

    Only who holds the role is asked whether they are sure; everybody else is refused, and that journalled, at once.
    """

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    async def revoke(self, command: typed.Revoke, request: Request, caller: Caller, policy: Policy) -> Answer:
        """Take a yes back, once the person was asked and has said why."""
        if not (command.sure and command.reason) and await self._holds(caller, "revoke", policy):
            button = _sure("Revoke", f"revoke {request.id}", command.reason, _WHY)
            return _asked("Take this yes back?", request, button)
        return came_to(await self._operators.revoke(request.id, caller.account, command.reason), request)

    async def extend(self, command: typed.Extend, request: Request, caller: Caller) -> Answer:
        """Give people more time."""
        done = await self._operators.extend(request.id, caller.account, command.more)
        if isinstance(done, Done) and done.request is not None:
            return told("Extended", *about(request), " can be answered until ", At(at=done.request.expires_at))
        return came_to(done, request)

    async def resolve(self, command: typed.Resolve, request: Request, caller: Caller, policy: Policy) -> Answer:
        """Say how it ended, once the person was asked and has said how they know."""
        if not (command.sure and command.note) and await self._holds(caller, "resolve", policy):
            button = _sure(f"It {command.outcome}", f"resolve {request.id} {command.outcome}", command.note, _HOW)
            return _asked(f"Record that this {command.outcome}?", request, button)
        done = await self._operators.resolve(request.id, caller.account, command.outcome, command.note)
        return came_to(done, request)

    async def freeze(self, command: typed.Freeze, caller: Caller, policy: Policy) -> Answer:
        """Stop something; for everything at once the person is asked first, and always for a reason."""
        certain = command.reason and (command.sure or command.scope != "all")
        if not certain and await self._holds(caller, "freeze", policy):
            button = _sure("Freeze", f"freeze {_name(command)}", command.reason, _WHY)
            question = ("Freeze ", _what(command), "? What waits is denied, and no receipt is honoured.")
            return told("Freeze?", *question, buttons=(button,))
        done = await self._operators.freeze(caller.account, command.scope, command.name, command.reason)
        if isinstance(done, Refused):
            return refused(done)
        undo = Button(label="Unfreeze", command=f"unfreeze {_name(command)}")
        return told("Frozen", _what(command), " is frozen until another person unfreezes it.", buttons=(undo,))

    async def unfreeze(self, command: typed.Unfreeze, caller: Caller, policy: Policy) -> Answer:
        """Let something go on, once the person was asked and has seen who froze it and why."""
        found = next((one for one in policy.freezes if one.same_as(command.scope, command.name)), None)
        if found is not None and not command.sure and await self._holds(caller, "unfreeze", policy):
            return Answer(title="Unfreeze?", rows=(_frozen_row(found, policy, sure=True),))
        done = await self._operators.unfreeze(caller.account, command.scope, command.name)
        if isinstance(done, Refused):
            return refused(done)
        return told("Unfrozen", _what(command), " may go on. What was denied meanwhile has to be asked anew.")

    async def frozen(self, caller: Caller, policy: Policy) -> Answer:
        """What is frozen, by whom and why; for those who may unfreeze it."""
        found = await self._operators.holder(caller.account, "unfreeze", policy)
        if isinstance(found, NotAllowed):
            return refused(Refused(found.reason, found.sentence))
        if not policy.freezes:
            return told("Frozen", "Nothing is frozen.")
        return Answer(title="Frozen", rows=tuple(_frozen_row(one, policy) for one in policy.freezes))

    async def buttons(self, request: Request, caller: Caller, policy: Policy, *, may_answer: bool) -> list[Button]:
        """What the caller may do to a request now, beside answering it."""
        offers: Mapping[Status, Sequence[tuple[Role, str, str]]] = {
            Status.PENDING: [("extend", "Extend", f"extend {request.id} {MORE}")],
            Status.APPROVED: [("revoke", "Revoke", f"revoke {request.id}")],
            Status.UNKNOWN: [("resolve", "It succeeded", f"resolve {request.id} succeeded"),
                        ("resolve", "It failed", f"resolve {request.id} failed")],
        }  # fmt: skip
        return [
            Button(label=label, command=command)
            for role, label, command in offers.get(request.status, ())
            if await self._holds(caller, role, policy) or (role == "extend" and may_answer)
        ]

    async def _holds(self, caller: Caller, role: Role, policy: Policy) -> bool:
        return not isinstance(await self._operators.holder(caller.account, role, policy), NotAllowed)


def came_to(done: Done | Refused, request: Request) -> Answer:
    """What an intervention came to."""
    if isinstance(done, Refused):
        return refused(done)
    wait = "" if done.safe else " It is recorded, but not yet safe; I keep trying."
    return told("Done", *about(request), f" is now {done.what}.{wait}")


def refused(refusal: Refused) -> Answer:
    """Nothing was done, and why."""
    return told("Nothing was done", refusal.sentence)


def _asked(question: str, request: Request, button: Button) -> Answer:
    return told(question, *about(request), " · asked by ", theirs(request.agent), buttons=(button,))


def _sure(label: str, command: str, said: str, ask: str) -> Button:
    """The button that does it; it asks for the words that were not said yet."""
    return Button(label=label, command=f"{command} {typed.SURE} {said}".strip(), asks="" if said else ask, danger=True)


def _name(command: typed.Freeze | typed.Unfreeze | Freeze) -> str:
    """What is meant, as it is typed."""
    return f"{command.scope} {command.name}".strip()


def _what(command: typed.Freeze | typed.Unfreeze | Freeze) -> Words:
    return theirs(_name(command)) if command.name else bold("everything")


def _frozen_row(freeze: Freeze, policy: Policy, *, sure: bool = False) -> Row:
    why: list[Piece | str] = [": ", theirs(freeze.reason)] if freeze.reason else []
    command = f"unfreeze {_name(freeze)}{f' {typed.SURE}' if sure else ''}"
    pieces = (_what(freeze), " · frozen ", At(at=freeze.at), " by ", *people([freeze.by], policy))
    return row(*pieces, *why, buttons=(Button(label="Unfreeze", command=command, danger=sure),))
