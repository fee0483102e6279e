"""Real Valkey or Redis servers on loopback for tests: started, killed, frozen, restarted; none is left running."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.embedded import server_binary


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server in a directory of its own; `options` are its command line, such as "--appendonly", "yes"."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(server_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--save", "", *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """What a power failure does to the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly shutdown."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it hang without closing a connection."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """Send one command as the default user and return the raw reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            line.sendall(f"*{len(words)}\r\n{parts}".encode())
            return line.recv(65_536).decode()

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(("+PONG", "-NOAUTH"))  # not -LOADING
        except OSError:
            os.sched_yield()
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(10)
        self._process = None


@contextmanager
def running(*options: str) -> Iterator[Server]:
    """A server that is stopped, and its directory removed, at the end."""
    directory = Path(tempfile.mkdtemp(prefix="sayso-server-"))
    server = Server(directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
