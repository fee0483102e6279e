"""Processes that tests start, listen to, kill and wait for; what they print can be waited on line by line."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from tests.e2e import children

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  #: seconds after which something that should have happened has not

# A child of this server has everything imported already: it is there in 50 ms, where an interpreter needs seconds.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["__main__", children.__name__])


class Handle(Protocol):
    """What asyncio's processes and those of multiprocessing have in common."""

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    @property
    def pid(self) -> int | None:
        """Its number."""
        ...


class Process:
    """A process with its lines of output, standard output and standard error together, as they come."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = {**_environment(), **environment}
        self._folder = folder
        self._handle: Handle | None = None
        self._life: asyncio.Task[int] | None = None
        self._more = asyncio.Event()
        self.lines: list[str] = []

    async def start(self, *arguments: str) -> None:
        """Start an interpreter: `start("-m", "bot", "serve")`."""
        await self.run(sys.executable, *arguments)

    async def run(self, program: str, *arguments: str) -> None:
        """Start any program."""
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=self._environment,
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in pytest reaches pytest alone
        )
        if process.stdout is None:
            raise AssertionError("asyncio promises a stream where a pipe was asked for")
        self._begin(process, process.stdout, process.wait())

    async def fork(self, work: Callable[[Mapping[str, Any]], None], plan: Mapping[str, Any]) -> None:
        """Start a process that does `work(plan)`, a function of children.py, in an interpreter that is warm."""
        reading, writing = _forks.Pipe(duplex=False)
        process = _forks.Process(
            target=children.run, args=(writing, self._environment, str(self._folder), work, dict(plan))
        )
        await asyncio.to_thread(process.start)
        writing.close()
        self._begin(process, await _stream(reading), _exit_of(process))

    async def says(self, found: Callable[[str], Any]) -> Any:
        """Wait for the first line of which `found` makes something true, and return that."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines[seen:]:
                    if answer := found(line):
                        return answer
                seen = len(self.lines)
                if not self.runs:
                    raise AssertionError("it ended without saying so:\n" + "\n".join(self.lines[-30:]))
                self._more.clear()
                await self._more.wait()

    def kill(self) -> None:
        """What the kernel does when memory runs out."""
        if self._handle is not None and self.runs:
            self._handle.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        if self._handle is not None and self.runs:
            self._handle.terminate()

    def hang_up(self) -> None:
        """SIGHUP."""
        if self._handle is not None and self._handle.pid is not None and self.runs:
            os.kill(self._handle.pid, signal.SIGHUP)

    async def ended(self) -> int:
        """Wait for its end; returns its exit code, negative where a signal ended it."""
        if self._life is None:
            return 0
        async with asyncio.timeout(PATIENCE):
            return await asyncio.shield(self._life)

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._life is not None and not self._life.done()

    def _begin(self, handle: Handle, output: asyncio.StreamReader, end: Awaitable[int]) -> None:
        self._handle = handle
        self._life = asyncio.create_task(self._live(output, end))
        self._life.add_done_callback(lambda _: self._more.set())

    async def _live(self, output: asyncio.StreamReader, end: Awaitable[int]) -> int:
        async for line in output:
            self.lines.append(line.decode().rstrip("\n"))
            self._more.set()
        return await end


class Bot(Process):
    """The service."""

    url = ""

    async def ready(self) -> str:
        """Wait until it says that it is ready; returns the address of its HTTP server."""
        self.url = await self.says(lambda line: said(line, "ready").get("url"))
        return self.url

    async def stop(self) -> int:
        """Ask it to end, and wait; returns its exit code."""
        self.terminate()
        return await self.ended()

    def logged(self, event: str) -> list[Mapping[str, Any]]:
        """What it has logged under a name so far."""
        return [found for line in self.lines if (found := said(line, event))]


def said(line: str, event: str) -> Mapping[str, Any]:
    """A line of JSON log, if it is about this event; otherwise nothing."""
    if not line.startswith("{"):
        return {}
    found: Mapping[str, Any] = json.loads(line)
    return found if found.get("event") == event else {}


async def _stream(reading: Connection) -> asyncio.StreamReader:
    """The bytes of a pipe, which is closed at its end."""
    stream = asyncio.StreamReader()
    file = os.fdopen(os.dup(reading.fileno()), "rb", buffering=0)
    reading.close()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
    return stream


async def _exit_of(process: ForkServerProcess) -> int:
    await asyncio.to_thread(process.join)
    code = process.exitcode
    process.close()
    return 0 if code is None else code


def _environment() -> dict[str, str]:
    """Ours, without what would configure a service by accident."""
    alien = ("SAYSO_", "SLACK_", "REDIS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(alien)} | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk' / 'src'}",
        "PYTHONUNBUFFERED": "1",
    }
