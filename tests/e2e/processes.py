"""Processes that tests start, listen to, kill and wait for; each tells what it does as lines that can be waited on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  #: seconds after which something that should have happened has not


class Process:
    """A Python process with its lines of output, standard output and standard error together, as they come."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], folder: Path) -> None:
        self._arguments = arguments
        self._environment = environment
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        self.lines: list[str] = []

    async def start(self) -> None:
        """Start it; it is in a session of its own, so that Ctrl-C in pytest reaches pytest first."""
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            env={**_environment(), **self._environment},
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read(self._process))

    async def says(self, found: Callable[[str], Any]) -> Any:
        """Wait for the first line of which `found` makes something true, and return that."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines[seen:]:
                    if answer := found(line):
                        return answer
                seen = len(self.lines)
                if self._reader is None or self._reader.done():
                    raise AssertionError("it ended without saying so:\n" + "\n".join(self.lines[-30:]))
                self._more.clear()
                await self._more.wait()

    def kill(self) -> None:
        """What the kernel does when memory runs out."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end, and wait; returns its exit code."""
        self._signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; returns its exit code."""
        if self._process is None or self._reader is None:
            return 0
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
            await self._reader
        return code

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None and self.runs:
            self._process.send_signal(which)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self.lines.append(line.decode().rstrip("\n"))
                self._more.set()
        self._more.set()


class Bot(Process):
    """The service, as `python -m bot serve` or by a runner that does something to it first."""

    url = ""

    async def ready(self) -> str:
        """Wait until it says that it is ready; returns the address of its HTTP server."""
        self.url = await self.says(lambda line: said(line, "ready").get("url"))
        return self.url

    def logged(self, event: str) -> list[Mapping[str, Any]]:
        """What it has logged under a name so far."""
        return [found for line in self.lines if (found := said(line, event))]


def said(line: str, event: str) -> Mapping[str, Any]:
    """A line of JSON log, if it is about this event; otherwise nothing."""
    if not line.startswith("{"):
        return {}
    found: Mapping[str, Any] = json.loads(line)
    return found if found.get("event") == event else {}


def _environment() -> dict[str, str]:
    """Ours, without what would configure a service by accident."""
    alien = ("SAYSO_", "SLACK_", "REDIS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(alien)} | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
