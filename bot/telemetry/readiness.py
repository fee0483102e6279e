"""Whether clicks could be decided here, now: the checks behind /readyz.

A process that says no gets no new clicks from a load balancer; it goes on with everything else, and keeps trying.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from approvals.ports import Account, Policies, Signer, Store
from bot.loops import Loop
from bot.telemetry.watched import WatchedDirectory

Check = Callable[[], Awaitable[bool]]

PATIENCE = 30.0  #: seconds for which a loop, or the directory, may fail before this process is taken out
TYP = "readiness+jwt"  #: of the token that is signed to see whether anything can be; never a receipt's
_SIGNED_FRESH = 15.0  #: seconds for which a signature that worked stands for the next
_PACE = (600, 100)  #: a turn that is always free: it is taken to see whether Redis takes writes


class Draining:
    """Whether this process is about to end: it is not ready any more, though it still decides what comes."""

    def __init__(self) -> None:
        self.begun = False

    async def check(self) -> bool:
        """No while it drains."""
        return not self.begun


class Journal(Protocol):
    """Whether Redis still has what was sealed."""

    @property
    def behind(self) -> bool:
        """Whether it has lost any of it."""
        ...


def checks_of(
    *,
    store: Store,
    policies: Policies,
    signer: Signer,
    journal: Journal,
    loops: Iterable[Loop],
    draining: Draining,
) -> dict[str, Check]:
    """The checks that every house has; one for the chat platform and its directory comes with each."""
    watched = tuple(loops)

    async def redis() -> bool:
        await store.may_post("readyz", *_PACE)  # a write: a server that only reads decides nothing
        return True

    async def whole() -> bool:
        return not journal.behind

    async def looping() -> bool:
        return all(loop.failing_for() < PATIENCE for loop in watched)

    return {
        "redis": redis,
        "policy": _policy(store, policies),
        "signer": _signer(signer),
        "journal": whole,
        "loops": looping,
        "draining": draining.check,
    }


def directory_check(directory: WatchedDirectory, *probes: Account) -> Check:
    """No after PATIENCE seconds of nothing but failed look-ups. `probes` are looked up where nobody else was."""

    async def check() -> bool:
        if directory.idle_for() >= PATIENCE or directory.failing_for() is not None:
            for probe in probes:
                await directory.try_out(probe)
        return (directory.failing_for() or 0.0) < PATIENCE

    return check


async def look(checks: Mapping[str, Check]) -> Mapping[str, bool]:
    """What each check says; one that raises says no."""
    return {name: await _says(check) for name, check in checks.items()}


async def _says(check: Check) -> bool:
    try:
        return await check()
    except Exception:  # whatever it is: with this part clicks could not be decided; /readyz logs it
        return False


def _policy(store: Store, policies: Policies) -> Check:
    async def check() -> bool:
        """The policy in force is the one this process works under, or one it can take over."""
        found = await store.epoch()
        if found is None:
            return False
        if found[0] != policies.current().epoch:
            await policies.look()
        return True

    return check


def _signer(signer: Signer, monotonic: Callable[[], float] = time.monotonic) -> Check:
    worked: float | None = None

    async def check() -> bool:
        nonlocal worked
        if worked is None or monotonic() - worked >= _SIGNED_FRESH:
            claims: Mapping[str, Any] = {"ready": True}
            token = await signer.sign(TYP, claims)
            if signer.verify(TYP, token) != claims:
                return False
            worked = monotonic()
        return True

    return check
