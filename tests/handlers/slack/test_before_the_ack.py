"""What a click waits for before Slack has its acknowledgement: counted, because seconds say as much of the machine.

A click is answered within a second while the memory answers within a few milliseconds, if it asks the memory a few
times and Slack not at all. `python -m benchmarks slack` measures the seconds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from handlers.slack.blocks import APPROVE
from tests.handlers.slack.world import World

#: Read the request, commit the vote, publish the decision; Redis does the last with the commit.
IN_THE_MEMORY = ["get", "update", "publish"]


def counted(world: World) -> list[str]:
    """From now on the name of every call of the memory; the shelf's begin with `shelf.`."""
    calls: list[str] = []

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def told(*args: Any, **rest: Any) -> Any:
            calls.append(name)
            return await call(*args, **rest)

        return told

    for owner, prefix in ((world.store, ""), (world.store.shelf, "shelf.")):
        for name, call in inspect.getmembers(owner, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                setattr(owner, name, counting(prefix + name, call))
    return calls


async def test_a_click_waits_for_the_memory_a_few_times_and_never_for_slack(world: World) -> None:
    first, second = await world.ask(kind="deploy.run"), await world.ask(kind="deploy.run", target="another")
    await world.click("U0ALICE", first, APPROVE)  # from here on it is known who she is
    await world.told("U0ALICE")
    channel, ts = await world.card(second)
    world.sandbox.faults.add(method="*", hang=2.9, times=100)  # Slack's patience with a click is 3 s
    calls = counted(world)

    delivery = await world.sandbox.click("U0ALICE", channel, ts, APPROVE)

    assert delivery.ok
    assert calls == IN_THE_MEMORY
    assert await world.status(second) == "approved"
    world.sandbox.faults.clear()


async def test_of_somebody_who_was_not_looked_up_slack_is_asked_once(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await world.door.directory.warm(["slack:usergroup:S0SRE"])
    before = len(world.sandbox.log.calls)

    delivery = await world.click("U0ALICE", request, APPROVE)

    assert delivery.ok
    assert [call.method for call in world.sandbox.log.calls[before:] if call.method == "users.info"] == ["users.info"]
