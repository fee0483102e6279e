"""Runs every fault and writes docs/reference/faults.md from what was seen: `python -m tests.faults.table`.

`--at-once 3`: so many worlds side by side; fewer where the machine has other work to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.faults.lives import AT_ONCE, LIVES, Life, Seen, Step, calls_of, deaths_in, surveyed
from tests.faults.rows import Fault
from tests.faults.test_faults import FAULTS

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"

_HEAD: Final = """\
# What was broken, and what was seen

Written by `python -m tests.faults.table` from one run of every fault; the same faults are tests (`tests/faults`): a
sample in a normal run, with a seed that a failure prints and that repeats it, all of them in `make check-full`. Bots,
agents' streams, Redis, Sentinel and Cluster are real processes on one machine; Slack is the sandbox.
"""

_LIVES: Final = """
## A bot killed at every call

`kill -9` after every call by which a bot changes something in the memory, in the inbox or in Slack, or signs, from the
intake of a request to its end, and before the first of them. What a dead process leaves behind is what it changed until
then, so that dying anywhere else leaves the same as one of these. Another bot is started whenever one dies; people
click again where Slack says that the app did not answer; agents wait. The calls are those that an undisturbed bot made.
“Not reached”: in that run the call with this number was not made (two loops of a bot may take each other's work), so
that nobody died.
"""

_OTHERS: Final = """
## Windows, failovers, power failures

| step | fault | what was seen |
| --- | --- | --- |
"""

_LIMITS: Final = """
What stays possible, and is not hidden by the table: with `everysec` a power failure takes back the last second. Then a
yes that the agent was told of is asked again, and a spend that neither the disk nor a head outside Redis had is granted
a second time, to a tool that was started anew (one that runs on remembers what it used). With fewer confirming replicas
than there are, a failover to one that lags takes decisions back. `appendfsync always`, and every replica confirming,
are the defaults that exclude both.
"""


async def page(at_once: int) -> tuple[str, bool]:
    """The page as text, and whether everything was as it should be."""
    text, good = _HEAD + _LIVES, True
    for life in LIVES:
        found = await surveyed(life, deaths_in(await calls_of(life)), at_once=at_once)
        wrong = {str(step): life.wrong(seen) for step, seen in found if life.wrong(seen)}
        sys.stdout.write(f"{life.name}: {len(found)} steps, {len(wrong)} not as they should be {wrong or ''}\n")
        sys.stdout.flush()
        text += "".join(f"{line}\n" for line in _section(life, found))
        good = good and not wrong
    rows = [await _row(fault) for fault in FAULTS]
    return text + _OTHERS + "".join(rows) + _LIMITS, good and not any("FAILED" in row for row in rows)


def _section(life: Life, found: Sequence[tuple[Step, Seen]]) -> Iterator[str]:
    """The table of a life, in the order of the calls."""
    died = sum(seen.died for _, seen in found)
    yield f"\n### {life.name[0].upper()}{life.name[1:]}\n"
    yield f"{died} bots killed at {len(found)} steps. To be seen each time: {_wanted(life)}.\n"
    yield "| killed | what was seen |"
    yield "| --- | --- |"
    for step, seen in found:
        yield f"| {step.when} `{step.call}` | {_cell(life, seen)} |"


def _wanted(life: Life) -> str:
    return str(Seen(died=True, cards=life.cards, events=[*life.events], acts=["x"] * life.acts, told=[*life.told]))


def _cell(life: Life, seen: Seen) -> str:
    if wrong := life.wrong(seen):
        return _plain("; ".join(wrong))
    if not seen.died:
        return "not reached"
    return "as it should be" if seen.cards else "as it should be, over before a bot was there to post the card"


async def _row(fault: Fault) -> str:
    try:
        async with asyncio.timeout(150):
            seen = await fault.run()
    except Exception as exc:  # whatever it is, it is what was seen
        seen = f"FAILED: {type(exc).__name__}: {exc}"
    row = f"| {fault.step} | {fault.fault} | {_plain(seen)} |\n"
    sys.stdout.write(row)
    return row


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:400]


def main() -> int:
    """Write the page; 1 when anything was not as it should be."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.table")
    options.add_argument("--at-once", type=int, default=AT_ONCE, help="worlds side by side")
    text, good = asyncio.run(page(options.parse_args().at_once))
    PAGE.write_text(text, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
