"""The command `sayso`: what it prints, when it runs a command, and the exit code for every end."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sayso.cli import main

if TYPE_CHECKING:
    from sdk.tests.conftest import Bot, Server


class Shell:
    """Runs the command `sayso` as a process of its own."""

    def __init__(self, server: Server, jwks: Path) -> None:
        self._common = ["--agent", "payments-bot", "--url", server.url, "--trust", str(jwks)]

    async def __call__(self, *words: str, command: tuple[str, ...] = ()) -> tuple[int, str, str]:
        argv = [sys.executable, "-m", "sayso", *words, *self._common, *(("--", *command) if command else ())]
        process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def inside(self, *words: str) -> tuple[int, str, str]:
        """The same in this process, in a thread: without the second it takes to start another."""
        out, err = io.StringIO(), io.StringIO()

        def run() -> int:
            with redirect_stdout(out), redirect_stderr(err):
                return main([*words, *self._common])

        return await asyncio.to_thread(run), out.getvalue(), err.getvalue()


@pytest.fixture
def shell(server: Server, jwks: Path, bot: Bot) -> Shell:
    """The command line."""
    return Shell(server, jwks)


ASK = ("ask", "payments.release", "--target", "bank:acme", "--arg", "amount=12400.00", "--arg-json", "lines=[1, 2]")


@pytest.mark.redis
async def test_the_command_prints_the_approval(bot: Bot, shell: Shell) -> None:
    bot.policy = lambda held: "approved"
    code, out, _ = await shell(*ASK, "--json", "--because", "matches PO 118", "--within", "30m", "--call", "c")
    printed = json.loads(out)
    assert code == 0
    assert printed["status"] == "approved"
    assert printed["action"]["arguments"] == {"amount": "12400.00", "lines": [1, 2]}
    assert printed["by"] == [{"person": "alice", "via": "slack"}]
    assert bot.bodies("spend") == []
    code, out, _ = await shell("wait", printed["request"])
    assert (code, out) == (0, "approved by alice via slack\n")


@pytest.mark.redis
@pytest.mark.parametrize(("status", "code"), [("denied", 1), ("expired", 3), ("withdrawn", 3), ("revoked", 5)])
async def test_exit_codes_tell_how_it_ended(bot: Bot, shell: Shell, status: str, code: int) -> None:
    bot.policy = lambda held: status
    assert (await shell.inside(*ASK, "--call", "c"))[0] == code
    request = next(iter(bot.held))
    waited, out, _ = await shell.inside("wait", request, "--json")
    assert (waited, json.loads(out)["status"]) == (code, status)


@pytest.mark.redis
async def test_a_refusal_or_wrong_usage_is_two(bot: Bot, shell: Shell) -> None:
    bot.refuse = {"reason": "kind_not_allowed", "message": "not yours", "remedy": "register it"}
    code, out, err = await shell.inside(*ASK)
    assert (code, out) == (2, "")
    assert "not yours; register it" in err
    assert (await shell.inside("ask", "payments", "--target", "t", "--json"))[0] == 2
    assert (await shell.inside("ask", "a.b", "--target", "t", "--arg", "amount"))[0] == 2
    assert (await shell.inside("ask", "a.b", "--target", "t", "--arg-json", "n=nope"))[0] == 2
    assert (await shell("ask", "a.b"))[0] == 2
    assert (await shell.inside("wait", "nonsense"))[0] == 2


@pytest.mark.redis
async def test_no_answer_in_time_is_four_and_the_request_lives_on(bot: Bot, shell: Shell) -> None:
    code, out, _ = await shell.inside(*ASK, "--timeout", "0.05", "--call", "c", "--json")
    assert (code, json.loads(out)["error"]) == (4, "StillPending")
    assert [held.status for held in bot.held.values()] == ["pending"]


async def test_without_redis_it_is_four() -> None:
    argv = [sys.executable, "-m", "sayso", *ASK, "--agent", "a", "--url", "unix:///nonexistent"]
    process = await asyncio.create_subprocess_exec(*argv, stderr=subprocess.DEVNULL)
    assert await process.wait() == 4


@pytest.mark.redis
async def test_nowait_prints_the_request_id(bot: Bot, shell: Shell) -> None:
    code, out, _ = await shell.inside(*ASK, "--nowait")
    assert (code, out.strip()) == (0, next(iter(bot.held)))


SHOW = "import json, os; action = json.loads(os.environ['SAYSO_ACTION']); print(action['arguments']['amount'])"


@pytest.mark.redis
async def test_a_command_runs_on_a_yes_with_the_approved_action(bot: Bot, shell: Shell) -> None:
    bot.policy = lambda held: "approved"
    code, out, _ = await shell(*ASK, command=(sys.executable, "-c", SHOW))
    assert (code, out) == (0, "12400.00\n")
    assert bot.bodies("report")[-1]["outcome"] == "succeeded"


@pytest.mark.redis
async def test_a_command_that_fails_is_unknown_and_keeps_its_code(bot: Bot, shell: Shell) -> None:
    bot.policy = lambda held: "approved"
    code, _, _ = await shell(*ASK, command=(sys.executable, "-c", "raise SystemExit(7)"))
    assert code == 7
    assert bot.bodies("report")[-1]["outcome"] == "unknown"


@pytest.mark.redis
async def test_a_command_that_cannot_be_started_was_not_done(bot: Bot, shell: Shell) -> None:
    bot.policy = lambda held: "approved"
    code, _, err = await shell(*ASK, command=("/nonexistent/command",))
    assert code == 127
    assert "cannot be started" in err
    assert bot.bodies("report")[-1]["outcome"] == "failed"


@pytest.mark.redis
async def test_a_command_does_not_run_on_a_no(bot: Bot, shell: Shell, tmp_path: Path) -> None:
    bot.policy = lambda held: "denied"
    code, _, _ = await shell(*ASK, command=("touch", str(tmp_path / "ran")))
    assert code == 1
    assert not (tmp_path / "ran").exists()
