"""The line to the memory's servers: commands and scripts in, raw replies out, failures in the rules' words."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from redis.exceptions import (
    AskError,
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
)

from approvals.errors import StoreUnavailable
from storage.redis.address import read_url
from storage.redis.lines import Command, Lines, Word
from storage.redis.routes import Route, is_about_place, route_to

__all__ = ["Command", "Link", "Word", "scripts"]

#: What redis-py lets out when it loses a connection; the last three leak during a failover (redis-py #4287).
_FAILURES: Final = (RedisError, OSError, AttributeError, TypeError, RuntimeError)
#: What is not the server's fault, and will not be mended by asking again.
_REFUSED: Final[Mapping[type[Exception], str]] = {
    AuthenticationError: "the server refuses the user or the password in the URL",
    NoPermissionError: "the server refuses this user a command that is needed; compare `python -m bot acl`",
    OutOfMemoryError: "the server is full (maxmemory) and takes no more; add memory",
}
_PAUSE: Final = 0.02  #: seconds before the first time a command is tried elsewhere; doubled each time
_LONGEST_PAUSE: Final = 0.2

#: Commands without a key: any master will do.
_KEYLESS: Final = frozenset({"ASKING", "CLIENT", "CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "TIME", "WAIT"})


class _Reaching(AbstractContextManager[None]):
    """Turns whatever the driver raises into StoreUnavailable. Wraps the driver's call alone, never a caller's code."""

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        if isinstance(exc, _FAILURES):
            raise StoreUnavailable(_REFUSED.get(type(exc), f"the memory did not answer: {type(exc).__name__}")) from exc


_reaching: Final = _Reaching()


@cache
def scripts() -> Mapping[str, tuple[str, str]]:
    """Every script of lua/ by its name: its SHA-1 and its source."""
    sources = {path.stem: path.read_text("utf-8") for path in (Path(__file__).parent / "lua").glob("*.lua")}
    return {
        name: (hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), source)
        for name, source in sources.items()
    }


class Link:
    """Commands to whichever server is theirs. Replies are as they came: bytes, integers, lists, None.

    A command is sent again when its answer is lost, so everything that is sent must bear being sent twice. When its
    server is lost for good, it is tried elsewhere while `patience` lasts; then it is StoreUnavailable.
    """

    def __init__(self, route: Route) -> None:
        self._route = route

    @classmethod
    def to(
        cls, url: str, *, timeout: float = 2.0, connections: int = 32, retries: int = 2, patience: float = 1.5
    ) -> Self:
        """A line to `url` (address.py); nothing is sent yet. Raises UrlInvalid.

        `timeout` (seconds) is for one attempt at one command, and for waiting for a free connection; `connections` is
        the most to one server.
        """
        address = read_url(url)
        return cls(route_to(address, timeout=timeout, connections=connections, retries=retries, patience=patience))

    async def call(self, *words: Word, within: float | None = None) -> Any:
        """One command; `within` (seconds) is for one attempt, where that is less than the line's time-out."""
        with _reaching:
            (reply,) = await self._reach(self._slot(words), [words], within)
            return _unless_error(reply)

    async def timed(self, *words: Word, within: float) -> tuple[Any, int]:
        """`call`, and the server's time (ms) when it was done."""
        with _reaching:
            reply, time = await self._reach(self._slot(words), [words, ("TIME",)], within)
            seconds, microseconds = _unless_error(time)
            return _unless_error(reply), int(seconds) * 1000 + int(microseconds) // 1000

    async def together(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands, in one round trip for each server; what one is refused stands in its place."""
        if not commands:
            return []
        with _reaching:
            slots = [self._slot(words) for words in commands]
            if len(set(slots)) == 1:
                return await self._reach(slots[0], commands)
            return await self._spread(commands, slots)

    async def everywhere(self, *words: Word) -> list[Any]:
        """One command to every master; what one is refused stands in its place."""
        with _reaching:
            clients = await self._route.clients()
            return [(await client.send([words]))[0] for client in clients]

    async def script(self, name: str, keys: Sequence[str], *args: Word) -> Any:
        """Run a script; a server that restarted and forgot it is taught again."""
        with _reaching:
            (reply,) = await self._run(name, keys, args)
            return _unless_error(reply)

    async def confirmed_script(
        self, name: str, keys: Sequence[str], *args: Word, replicas: int, within: int
    ) -> tuple[Any, int]:
        """Run a script and wait up to `within` ms for `replicas`; returns its reply and how many have it.

        WAIT counts the writes of its own connection, hence one pipeline; the script must write even when it only
        finds that it came through before.
        """
        with _reaching:
            reply, acks = await self._run(name, keys, args, ("WAIT", replicas, within))
            return _unless_error(reply), int(_unless_error(acks))

    async def teach(self, *names: str) -> None:
        """Load scripts into every server: those named, or all."""
        commands = [("SCRIPT", "LOAD", scripts()[name][1]) for name in names or scripts()]
        with _reaching:
            for client in await self._route.clients():
                for reply in await client.send(commands):
                    _unless_error(reply)

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self._route.slot("") is not None

    def groups(self, keys: Sequence[str]) -> list[list[str]]:
        """Keys that one command may name together."""
        found: dict[int | None, list[str]] = defaultdict(list)
        for key in keys:
            found[self._route.slot(key)].append(key)
        return list(found.values())

    @staticmethod
    def words(name: str, keys: Sequence[str], *args: Word) -> Command:
        """The command that runs a script."""
        return ("EVALSHA", scripts()[name][0], len(keys), *keys, *args)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._route.aclose()

    # ---- inside

    async def _run(self, name: str, keys: Sequence[str], args: Sequence[Word], *more: Command) -> list[Any]:
        """The replies of a script and of what follows it on the same connection."""
        commands, slot = [self.words(name, keys, *args), *more], self._route.slot(keys[0])
        replies = await self._reach(slot, commands)
        if isinstance(replies[0], NoScriptError):
            learnt, *replies = await self._reach(slot, [("SCRIPT", "LOAD", scripts()[name][1]), *commands])
            _unless_error(learnt)
        return replies

    async def _reach(self, slot: int | None, commands: Sequence[Command], within: float | None = None) -> list[Any]:
        """Replies to commands that belong on one server. Raises what the driver raised last."""
        until, pause = time.monotonic() + self._route.patience, _PAUSE
        problem, replies = await self._attempt(slot, commands, None, within)
        while problem is not None and time.monotonic() < until:
            asked = problem if isinstance(problem, AskError) and not isinstance(problem, MovedError) else None
            if asked is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            problem, replies = await self._attempt(slot, commands, asked, within)
        if not replies and problem is not None:
            raise problem
        return replies

    async def _attempt(
        self, slot: int | None, commands: Sequence[Command], asked: AskError | None, within: float | None
    ) -> tuple[Exception | None, list[Any]]:
        """What was wrong with where it was asked, and what was answered."""
        problem: Exception | None = None
        replies: list[Any] = []
        try:
            if within is None:
                replies = await self._send(slot, commands, asked)
            else:
                async with asyncio.timeout(within):
                    replies = await self._send(slot, commands, asked)
            for reply in replies:
                if isinstance(reply, Exception) and is_about_place(reply):
                    problem = reply
                    break
        except _FAILURES as exc:
            problem = exc
        if problem is not None and self._route.patience and is_about_place(problem):
            with suppress(*_FAILURES):  # then what went wrong first is what is told
                await self._route.learn(problem, slot)
        return problem, replies

    async def _send(self, slot: int | None, commands: Sequence[Command], asked: AskError | None) -> list[Any]:
        if asked is not None:
            return await _send_asking(await self._route.asked(asked), commands)
        client = await self._route.client(slot)
        return await client.send(commands)

    async def _spread(self, commands: Sequence[Command], slots: Sequence[int | None]) -> list[Any]:
        """Commands of several slots: a pipeline for each server first, then each slot by itself where that failed."""
        replies: list[Any] = [None] * len(commands)
        places: dict[Lines | None, list[int]] = defaultdict(list)
        for number, slot in enumerate(slots):
            places[await self._place_of(slot)].append(number)

        async def ask(client: Lines | None, numbers: Sequence[int]) -> None:
            for number, reply in zip(numbers, await _tried(client, [commands[n] for n in numbers]), strict=True):
                replies[number] = reply

        await asyncio.gather(*(ask(client, numbers) for client, numbers in places.items()))
        failed: dict[int | None, list[int]] = defaultdict(list)
        for number, reply in enumerate(replies):
            if is_about_place(reply):
                failed[slots[number]].append(number)
        for slot, numbers in failed.items():
            again = await self._reach(slot, [commands[number] for number in numbers])
            for number, reply in zip(numbers, again, strict=True):
                replies[number] = reply
        return replies

    async def _place_of(self, slot: int | None) -> Lines | None:
        try:
            return await self._route.client(slot)
        except _FAILURES:
            return None

    def _slot(self, words: Command) -> int | None:
        return self._route.slot(_key(words))


def _key(words: Command) -> str | bytes | None:
    """The first key of a command."""
    name = str(words[0])
    if name in _KEYLESS:
        return None
    if name == "EVALSHA":
        place = 3
    elif name == "XREADGROUP":
        place = words.index("STREAMS") + 1
    else:
        place = 2 if name == "XGROUP" else 1
    key = words[place]
    return key if isinstance(key, bytes) else str(key)


async def _send_asking(client: Lines, commands: Sequence[Command]) -> list[Any]:
    """The same at a server that is just taking a slot over: ASKING holds for the one command behind it."""
    both = [word for words in commands for word in (("ASKING",), words)]
    return (await client.send(both))[1::2]


async def _tried(client: Lines | None, commands: Sequence[Command]) -> Sequence[Any]:
    """The replies, or for each the failure that kept it from being answered."""
    problem: Exception = ConnectionError("no server is known for this")
    try:
        if client is not None:
            return await client.send(commands)
    except _FAILURES as exc:
        problem = exc
    return [problem] * len(commands)


def _unless_error(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply
