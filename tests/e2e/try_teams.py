"""Sayso in Microsoft's Agents Playground, without a tenant, until Ctrl-C: `python -m tests.e2e.try_teams`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import sayso
from tests.e2e.teams import Deployment, a_deployment
from tests.handlers.teams.world import CHANNEL

TASKS = (("payments.release", "bank:acme-gmbh"), ("payments.foreign", "bank:initech"))


async def main() -> None:
    """Bring everything up, and let agents ask again and again, until somebody ends it or closes the terminal."""
    me = asyncio.current_task()
    assert me is not None
    for name in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, me.cancel)
    async with a_deployment() as made:
        _say(f"Open {made.playground.url} and there the channel 'Payments': agents begin to ask. You are alice.")
        _say("Approve, deny, or write to the bot: pending. What treasury is asked, you may not approve.")
        await made.opened(CHANNEL)
        async with made.world.agent() as client, asyncio.TaskGroup() as agents:
            for kind, target in TASKS:
                agents.create_task(_ask_forever(made, client, kind, target))


async def _ask_forever(made: Deployment, client: sayso.Sayso, kind: str, target: str) -> None:
    number = 2_093
    while True:
        asked = await made.ask(client, kind, target, invoice=f"INV-{number}", amount="12400.00", currency="EUR")
        try:
            async with (await asked.decision()).spend() as action:
                _say(f"paid {action.arguments['invoice']} to {action.target}")
        except sayso.NotApproved as exc:
            _say(f"did not pay INV-{number}: {type(exc).__name__}")
        number += 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(main())
