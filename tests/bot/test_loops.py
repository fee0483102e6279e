"""A loop outlives whatever its step meets, and stops only between steps."""

from __future__ import annotations

import asyncio

import pytest

from approvals.errors import StoreUnavailable
from bot import loops
from bot.loops import Loop


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(loops, "_LONGEST_PAUSE", 0.01)


class Steps:
    """A step with a script: what each call does, the last one for ever; `reached` is set at call number `until`."""

    def __init__(self, *script: Exception | bool, until: int) -> None:
        self.script = script
        self.calls = 0
        self.until = until
        self.reached = asyncio.Event()

    async def __call__(self) -> bool:
        self.calls += 1
        if self.calls >= self.until:
            self.reached.set()
        what = self.script[min(self.calls, len(self.script)) - 1]
        if isinstance(what, Exception):
            raise what
        return what


async def run(loop: Loop, steps: Steps) -> None:
    """Run until the step was called as often as the test wants."""
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(5):
        await steps.reached.wait()
    loop.stop()
    async with asyncio.timeout(5):
        await task


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), RuntimeError("a fault of ours")])
async def test_a_failing_step_is_tried_again_until_it_works(error: Exception) -> None:
    steps = Steps(error, error, error, False, until=4)
    loop = Loop("test", steps)
    await run(loop, steps)
    assert steps.calls >= 4
    assert not loop.failing


async def test_pauses_grow_while_a_step_fails_and_are_short_again_after() -> None:
    steps = Steps(StoreUnavailable("gone"), until=3)
    loop = Loop("test", steps)
    await run(loop, steps)
    assert loop.failing
    assert loop._pause > loops._FIRST_PAUSE
    again = Steps(True, False, until=2)
    loop = Loop("test", again)
    await run(loop, again)
    assert loop._pause == loops._FIRST_PAUSE


async def test_a_step_that_found_work_is_repeated_at_once() -> None:
    steps = Steps(True, True, True, False, until=4)
    await run(Loop("test", steps, idle=60), steps)
    assert steps.calls == 4


async def test_a_nudge_ends_the_rest() -> None:
    first, steps = asyncio.Event(), Steps(False, until=2)

    async def step() -> bool:
        first.set()
        return await steps()

    loop = Loop("test", step, idle=60)
    task = asyncio.create_task(loop.run())
    await first.wait()
    loop.nudge()
    async with asyncio.timeout(5):
        await steps.reached.wait()
    loop.stop()
    await task


async def test_a_nudge_during_a_step_is_not_lost() -> None:
    calls: list[int] = []
    done = asyncio.Event()

    async def step() -> bool:
        calls.append(1)
        loop.nudge()
        if len(calls) == 3:
            done.set()
        return False

    loop = Loop("test", step, idle=60)
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(5):
        await done.wait()
    loop.stop()
    await task


async def test_stopping_lets_the_running_step_finish() -> None:
    began, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def step() -> bool:
        began.set()
        await go_on.wait()
        finished.set()
        return True

    loop = Loop("test", step)
    task = asyncio.create_task(loop.run())
    await began.wait()
    loop.stop()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    async with asyncio.timeout(5):
        await task
    assert finished.is_set()


async def test_a_loop_that_is_stopped_before_it_began_does_nothing() -> None:
    steps = Steps(True, until=1)
    loop = Loop("test", steps)
    loop.stop()
    await loop.run()
    assert steps.calls == 0


async def test_of_works_side_by_side_all_end_before_the_first_error_is_raised() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise StoreUnavailable("gone")

    async def takes_longer() -> None:
        await asyncio.sleep(0)
        ended.append("longer")

    with pytest.raises(StoreUnavailable):
        await loops.each([fails(), takes_longer()])
    assert ended == ["longer"]
