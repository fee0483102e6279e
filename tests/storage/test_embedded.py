"""The embedded server: started, joined, stopped, and never left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from storage.embedded import EmbeddedServer
from storage.redis import RedisStore

pytestmark = pytest.mark.redis

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.embedded import EmbeddedServer

async def main():
    async with EmbeddedServer(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


def pid_of(directory: Path) -> int | None:
    """The server's process id, while it runs."""
    try:
        return int((directory / "server.pid").read_text())
    except FileNotFoundError:
        return None


def runs(pid: int | None) -> bool:
    """Whether this process is alive; one that ended and was not reaped yet is not."""
    if pid is None:
        return False
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


async def test_it_is_fit_to_be_the_memory(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "new" / "place") as server, await RedisStore.connect(server.url) as store:
        assert store.findings == ()
        assert await store.note({"event": "x"}) == 1


async def test_nothing_is_left_running_and_the_data_stay(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        await client.set("x", "kept")
        pid = pid_of(tmp_path)
        assert runs(pid)
    assert not runs(pid)
    assert pid_of(tmp_path) is None
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        assert await client.get("x") == b"kept"


async def test_it_stops_when_the_work_inside_fails(tmp_path: Path) -> None:
    async def work() -> None:
        async with EmbeddedServer(tmp_path):
            seen.append(pid_of(tmp_path))
            raise LookupError

    seen: list[int | None] = []
    with pytest.raises(LookupError):
        await work()
    assert seen[0] is not None
    assert not runs(seen[0])


async def test_only_who_has_the_password_gets_in_and_only_its_user_reads_it(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "server") as server:
        async with Redis.from_url(f"redis://127.0.0.1:{server.url.rsplit(':', 1)[1]}") as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
        assert (tmp_path / "server").stat().st_mode & 0o777 == 0o700
        for name in ("server.json", "server.conf"):
            assert (tmp_path / "server" / name).stat().st_mode & 0o777 == 0o600


async def test_two_who_use_one_directory_use_one_server(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as first:
        async with EmbeddedServer(tmp_path) as second:
            assert second.url == first.url
        async with Redis.from_url(first.url) as client:
            assert await client.ping()
        pid = pid_of(tmp_path)
    assert not runs(pid)


async def test_a_server_whose_starter_was_killed_is_joined_with_its_data(tmp_path: Path) -> None:
    starter = _starter(tmp_path)
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    async with Redis.from_url(url) as client:
        await client.set("x", "kept")
    starter.kill()
    starter.communicate()
    pid = pid_of(tmp_path)
    assert runs(pid)
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        assert server.url == url
        assert await client.get("x") == b"kept"
    assert not runs(pid)


async def test_a_server_that_was_killed_is_started_again_with_its_data(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        await client.set("x", "kept")
        os.kill(pid_of(tmp_path) or 0, signal.SIGKILL)
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        assert await client.get("x") == b"kept"


async def test_a_server_that_hangs_is_replaced(tmp_path: Path) -> None:
    starter = _starter(tmp_path)
    assert starter.stdout is not None
    starter.stdout.readline()
    hanging = pid_of(tmp_path) or 0
    os.kill(hanging, signal.SIGSTOP)
    starter.kill()
    starter.communicate()
    async with EmbeddedServer(tmp_path, patience=0.2) as server, Redis.from_url(server.url) as client:
        assert await client.ping()
        assert pid_of(tmp_path) != hanging
    assert not runs(hanging)


async def test_it_keeps_its_address_unless_somebody_else_took_the_port(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        address = server.url
    async with EmbeddedServer(tmp_path) as server:
        assert server.url == address
    with socket.create_server(("127.0.0.1", int(address.rsplit(":", 1)[1].removesuffix("/0")))):
        async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
            assert server.url != address
            assert await client.ping()


async def test_a_stale_pidfile_never_harms_a_stranger(tmp_path: Path) -> None:
    stranger = _stranger()
    (tmp_path / "server.pid").write_text(str(stranger.pid))
    (tmp_path / "server.json").write_text(json.dumps({"port": 1, "password": "x"}))
    async with EmbeddedServer(tmp_path) as server, Redis.from_url(server.url) as client:
        assert await client.ping()
    assert stranger.poll() is None
    stranger.communicate(b"\n")


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path):
        assert os.getsid(pid_of(tmp_path) or 0) != os.getsid(0)


def _stranger() -> subprocess.Popen[bytes]:
    """A process that has nothing to do with us."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def _starter(directory: Path) -> subprocess.Popen[str]:
    """Another process that uses the directory until a line comes on its input."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
