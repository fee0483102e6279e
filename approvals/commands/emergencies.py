"""Breaking the glass, reviewing it, and saying that something looks wrong, as commands."""

from __future__ import annotations

import hashlib

from approvals.card import card_of
from approvals.commands import typed
from approvals.commands.answers import Answer, Button, told
from approvals.commands.record import record_of
from approvals.commands.steering import came_to, refused
from approvals.operators import Operators
from approvals.policy import Policy
from approvals.ports import Store
from approvals.request import Request
from approvals.sight import Caller
from approvals.verdicts import Refused

_SHORT = 32  #: hex digits of a digest by which a button tells what was shown


class Emergencies:
    """Each is checked, refused and journalled in the service."""

    def __init__(self, operators: Operators, store: Store) -> None:
        self._operators = operators
        self._store = store

    async def break_glass(self, command: typed.BreakGlass, request: Request, caller: Caller, policy: Policy) -> Answer:
        """Let it through alone, once the person was shown the whole action and has said why.

        What they were shown is kept by its digest, and they are shown it again where it has changed meanwhile.
        """
        shown = record_of(request, policy, (), ())
        seen = shown.model_dump_json().encode()
        digest = "sha256:" + hashlib.sha256(seen).hexdigest()
        if not card_of(request).complete:
            return told("Nothing was done", "This is too long to be shown here in full, so it cannot be approved here.")
        if digest[len("sha256:") :][:_SHORT] != command.saw:
            command_ = f"break-glass {request.id} {typed.SAW}{digest[len('sha256:') :][:_SHORT]}"
            button = Button(label="Break the glass", command=command_, danger=True,
                            asks="What is the emergency? It is announced, and another person reviews it.")  # fmt: skip
            return Answer(title="Let this through alone?", rows=shown.rows, buttons=(button,))
        await self._store.keep_rendering(digest, seen)
        done = await self._operators.break_glass(request.id, caller.account, command.reason, shown=digest)
        return came_to(done, request)

    async def review(self, command: typed.Review, request: Request, caller: Caller) -> Answer:
        """Close an emergency."""
        done = await self._operators.review(request.id, caller.account, command.words)
        return refused(done) if isinstance(done, Refused) else told("Reviewed", "Your words are kept with the request.")

    async def report(self, command: typed.Report, request: Request, caller: Caller) -> Answer:
        """Say that something looks wrong."""
        done = await self._operators.report_suspicious(request.id, caller.account, command.words)
        if isinstance(done, Refused):
            return refused(done)
        return told(
            "Reported", "Operators are told, and it stands in the journal. Deny what you would not do yourself."
        )
