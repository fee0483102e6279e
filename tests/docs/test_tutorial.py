"""The tutorial works as printed: every command, file and edit, in an empty folder, with people at the page.

Three things are not as on the reader's machine. `make demo` is run as what it runs (a test of its own holds that
true), because uv would look for the network; the checkout is a copy that shares our virtual environment; and "your
own Slack" is the sandbox. Ports are free ones instead of 3000 and 8080.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sandbox import Sandbox
from tests.docs.page import Step, completed, edited, pattern, steps
from tests.docs.people import People
from tests.docs.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "your-first-agent.md"
WHAT_MAKE_RUNS = "python -m bot demo"


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, folder: Path, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._scratch = folder
        self._sandbox = sandbox
        self._session = session
        self._terminals: dict[str, Terminal] = {}
        self._here = self._open("one", folder / "sayso")
        self._page = sandbox.url
        tokens = f"SLACK_BOT_TOKEN={sandbox.bot_token}", f"SLACK_APP_TOKEN={sandbox.app_token}"
        self._known = [*tokens]  #: every line that was printed somewhere, for completing "…"

    async def follow(self, page: str) -> None:
        """Do every step."""
        for step in steps(page):
            if "terminal" in step.notes:
                name = step.notes["terminal"]
                self._here = self._terminals.get(name) or self._open(name, self._here.folder)
            await self._do(step)

    async def close(self) -> None:
        """End whatever still runs, the newest first."""
        for terminal in reversed(self._terminals.values()):
            await terminal.close()

    async def _do(self, step: Step) -> None:
        if step.language == "Ctrl-C":
            await self._running().interrupt()
            self._page = self._sandbox.url
        elif step.language == "diff":
            path = self._here.folder / step.text.splitlines()[0].removeprefix("--- ")
            path.write_text(edited(path.read_text(), step.text)[1])
        elif step.file is not None:
            name, text = step.file
            lines = [completed(line, self._known) if line else line for line in text.split("\n")]
            (self._here.folder / name).write_text("\n".join(lines))
        else:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._people(step))
                both.create_task(self._type(step) if step.language == "console" else self._listen(step))

    async def _people(self, step: Step) -> None:
        if "people" in step.notes:
            await People(self._session, self._page).act(step.notes["people"])

    async def _listen(self, step: Step) -> None:
        for line in step.text.splitlines():
            await self._running().says(re.compile(f".*{pattern(line).pattern}.*", re.DOTALL))

    async def _type(self, step: Step) -> None:
        said = ""
        for number, command in enumerate(step.commands, 1):
            last = number == len(step.commands)
            line = _here_and_now(completed(command, self._known))
            if last and "stays until" in step.notes:
                await self._here.stay(line, step.notes["stays until"])
                self._look_for_a_page()
            else:
                failed = await self._here.run(line) != 0
                assert failed == (last and "fails" in step.notes), f"$ {line}\n{self._here.output}"
            said += self._here.output
            self._known += self._here.output.splitlines()
        if step.shown:
            assert pattern(step.shown).fullmatch(said.strip()), f"shown:\n{step.shown}\n\nsaid:\n{said}"

    def _look_for_a_page(self) -> None:
        if found := re.search(r"Open (http://\S+)", self._here.output):
            self._page = found[1]

    def _running(self) -> Terminal:
        """The terminal in which a command was left running last."""
        return next(terminal for terminal in reversed(self._terminals.values()) if terminal.runs)

    def _open(self, name: str, folder: Path) -> Terminal:
        state = self._scratch / f"terminal-{name}.sh"
        self._terminals[name] = Terminal(state, folder, _environment(self._sandbox))
        return self._terminals[name]


def _environment(sandbox: Sandbox) -> dict[str, str]:
    """What a fresh terminal knows, and where "Slack" is."""
    ours = ("SAYSO_", "SLACK_", "REDIS_", "VIRTUAL_ENV", "PYTHON")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return plain | {"SAYSO_SLACK_API_URL": sandbox.api_url, "SAYSO_PORT": "0"}


def _here_and_now(command: str) -> str:
    """A command as it is run here: what `make demo` runs, on free ports."""
    if command == "make demo":
        command = f"{sys.executable}{WHAT_MAKE_RUNS.removeprefix('python')}"
    return f"{command} --port 0" if " bot demo" in command else command


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """A reader before a fresh checkout, which has its virtual environment already."""
    checkout = tmp_path / "sayso"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules", "build"))
    (checkout / ".venv").symlink_to(sys.prefix)
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        made = Reader(tmp_path, sandbox, session)
        try:
            yield made
        finally:
            await made.close()


@pytest.mark.redis
@pytest.mark.timeout(300)
async def test_the_tutorial_works_as_printed(reader: Reader) -> None:
    await reader.follow(TUTORIAL.read_text(encoding="utf-8"))


def test_make_demo_runs_what_the_tutorial_test_runs() -> None:
    would = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert would.rstrip().endswith(WHAT_MAKE_RUNS)


def test_no_command_of_the_tutorial_escapes() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    found = [command for step in steps(text) for command in step.commands]
    assert found == re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    assert {step.language for step in steps(text)} <= {"console", "python", "diff", "sh", "text", "Ctrl-C"}


def test_what_is_shown_must_be_the_whole_output() -> None:
    assert pattern("a\n…\nd").fullmatch("a\nb\nc\nd")
    assert not pattern("a\nc").fullmatch("a\nb\nc")


def test_a_line_with_dots_is_completed_by_the_newest_that_fits() -> None:
    assert completed("export A=…", ["  export A=1", "export B=2", "  export A=3"]) == "export A=3"
    with pytest.raises(AssertionError, match="nothing that was printed fits"):
        completed("export C=…", ["export A=1"])


def test_an_edit_replaces_lines_that_stand_there_once() -> None:
    assert edited("a\nb\nc\n", "--- f\n a\n-b\n+B\n") == ("f", "a\nB\nc\n")
    with pytest.raises(AssertionError, match="do not stand there once"):
        edited("a\nb\na\nb\n", "--- f\n a\n-b\n+B\n")
