"""Terminals in which a page's commands are typed: each keeps its folder and its exported variables between commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 60.0  #: seconds after which a command that should have ended, or said something, has not

_SCRIPT = """\
source {state}
{command}
code=$?
{{ export -p; printf 'cd %q\\n' "$PWD"; }} > {state}
exit $code
"""


class Terminal:
    """One terminal. At most one command runs in it at a time; `stay` leaves it running."""

    def __init__(self, state: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._state = state
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        self.output = ""  #: of the last command
        state.write_text(f"cd '{folder}'\n")

    @property
    def folder(self) -> Path:
        """Where the next command runs."""
        return Path(self._state.read_text().rsplit("cd ", 1)[1].strip().strip("'"))

    @property
    def runs(self) -> bool:
        """Whether a command runs in it."""
        return self._process is not None and self._process.returncode is None

    async def run(self, command: str) -> int:
        """Run a command to its end and return its exit code."""
        await self._start(command)
        async with asyncio.timeout(PATIENCE):
            return await self._end()

    async def stay(self, command: str, until: str) -> None:
        """Start a command and leave it running as soon as it has said something."""
        await self._start(command)
        await self.says(re.compile(f".*{re.escape(until)}.*", re.DOTALL))

    async def says(self, expected: re.Pattern[str]) -> None:
        """Wait until all of what the running command has said matches."""
        async with asyncio.timeout(PATIENCE):
            while not expected.fullmatch(self.output):
                if self._reading is None or self._reading.done():
                    raise AssertionError(f"it ended without {expected.pattern!r}:\n{self.output}")
                self._more.clear()
                await self._more.wait()

    async def interrupt(self) -> None:
        """Ctrl-C, and wait for the end."""
        if self._process is None or not self.runs:
            return
        os.killpg(self._process.pid, signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            await self._end()

    async def close(self) -> None:
        """End whatever still runs."""
        try:
            await self.interrupt()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid if self._process else 0, signal.SIGKILL)

    async def _start(self, command: str) -> None:
        self.output = ""
        self._process = await asyncio.create_subprocess_exec(
            "bash", "-c", _SCRIPT.format(state=self._state, command=command),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        if self._process.stdout is None:
            raise AssertionError("asyncio promises a stream where a pipe was asked for")
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.output += line.decode()
            self._more.set()
        self._more.set()

    async def _end(self) -> int:
        if self._process is None or self._reading is None:
            raise AssertionError("nothing runs here")
        await self._reading
        return await self._process.wait()
