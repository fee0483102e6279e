"""The session in docs/reference/redis-contract.md is typed, block by block, and answers what it says it answers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.lifecycle import Status
from approvals.request import Request
from storage.redis.acl import acl_lines
from tests.approvals.make import AGENT
from tests.contract.house import Answer, Running, serving
from tests.servers import Server, running

pytestmark = pytest.mark.redis

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "redis-contract.md"
SECRETS = {"bot": "bot-secret-1", f"agent-{AGENT}": "agent-secret-1"}
BETWEEN = "\x1e"


def blocks() -> list[tuple[str, str]]:
    """What is typed, and what comes back."""
    session = PAGE.read_text("utf-8").partition("## A session by hand")[2]
    return re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", session, re.DOTALL)


def opinion(request: Request) -> tuple[Answer, str] | None:
    """What alice says in the session."""
    said: dict[str, tuple[Answer, str]] = {
        "run-118/release": ("approve", ""),
        "run-119/release": ("changes", "half of it"),
        "run-119/release-half": ("approve", ""),
    }
    return said.get(request.call)


def as_described(expected: str) -> str:
    """The pattern of an answer: … is whatever differs each time."""
    return ".+?".join(re.escape(part) for part in expected.split("…"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that knows exactly the users of `python -m bot acl`."""
    users = tmp_path / "users.acl"
    users.write_text("\n".join(acl_lines([AGENT], [], 1, SECRETS)) + "\n")
    with running("--appendonly", "yes", "--aclfile", str(users)) as server:
        yield server


async def typed(folder: Path, url: str) -> list[str]:
    """Type the session and return what came back after each block."""
    script = "set -euo pipefail\n" + "".join(f"{block}printf '{BETWEEN}'\n" for block, _ in blocks())
    path, bash = os.environ["PATH"], shutil.which("bash") or "/bin/bash"
    shell = await asyncio.create_subprocess_exec(
        *(bash, "-c", script),
        cwd=folder,
        env={"PATH": path, "SAYSO_REDIS_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, complaints = await asyncio.wait_for(shell.communicate(), 60)
    except TimeoutError:
        shell.kill()
        raise
    assert (shell.returncode, complaints.decode()) == (0, ""), out.decode()
    return out.decode().split(BETWEEN)[:-1]


async def test_the_session_runs_as_it_is_written(server: Server, tmp_path: Path, subtests: pytest.Subtests) -> None:
    if shutil.which("redis-cli") is None:
        pytest.skip("needs redis-cli (Debian: apt-get install redis-tools)")
    bot, agent = (server.url.replace("redis://", f"redis://{user}:{secret}@") for user, secret in SECRETS.items())
    async with serving(bot, tmp_path) as house:
        house.opinion = opinion
        answers = await typed(tmp_path, agent)
        assert len(answers) == len(blocks()) > 10
        for (block, expected), answer in zip(blocks(), answers, strict=True):
            with subtests.test(block=block.splitlines()[0]):
                assert re.fullmatch(as_described(expected), answer), answer
        await is_as_told(house, answers[1].strip())


async def is_as_told(house: Running, request: str) -> None:
    """The first request ended as the session says."""
    known = (await house.store.get(request)).request
    assert known.status is Status.SUCCEEDED
    assert known.outcome is not None
    assert known.outcome.note == "paid"
