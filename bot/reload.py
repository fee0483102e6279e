"""The policy file while the service runs: a change of it is put in force, a bad one changes nothing and is told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from watchfiles import awatch

from approvals.errors import ApprovalsError, PolicyInvalid
from approvals.policy import Policy
from approvals.ports import Store
from bot.policies import AdoptedPolicy, read_policy

log = structlog.get_logger("sayso.policy")

IDLE: Final = 2.0  #: seconds between two looks at what other replicas put in force

_STEP: Final = 200  #: ms between two looks of the watcher, and how long a file must rest

_Names = Callable[[Sequence[str], Sequence[str]], Awaitable[None]]


async def _anything(policy: Policy, text: str) -> None:
    """Nothing is known that a policy could contradict."""


class Reload:
    """Steps of a loop: read the file again when it changed, and serve the agents of the policy in force.

    `serve` is told the agents and tools whenever they are others; `counted` whether a file was adopted or refused.
    `fits` raises PolicyInvalid for a policy that contradicts what is known of the platforms.
    """

    def __init__(
        self,
        path: Path,
        policies: AdoptedPolicy,
        store: Store,
        *,
        serve: _Names,
        counted: Callable[[str], None],
        fits: Callable[[Policy, str], Awaitable[None]] = _anything,
    ) -> None:
        self._path = path
        self._policies = policies
        self._store = store
        self._serve = serve
        self._counted = counted
        self._fits = fits
        self._digest = policies.current().digest  #: of the file as it was last read
        self._served: tuple[Sequence[str], Sequence[str]] | None = None
        self._refused = b""  #: hash of the file that was refused last, so that it is told once
        self._changed = self._asked = False

    def changed(self) -> None:
        """The file may be another one now."""
        self._changed = True

    def asked(self) -> None:
        """An operator wants the file in force, whatever another replica has put in force since."""
        self._asked = True

    async def step(self) -> bool:
        """Do what is due. What Redis being down keeps from happening is tried again."""
        if self._changed or self._asked:
            await self._read_again()
        policy = await self._policies.look()
        names = (policy.agents, policy.audiences)
        if names != self._served:
            await self._serve(*names)
            self._served = names
            log.info("agents", heard=list(policy.agents), tools=list(policy.audiences))
        return False

    async def _read_again(self) -> None:
        due = (self._changed, self._asked)
        self._changed = self._asked = False  # whoever tells us from here on means a later file
        try:
            await self._read(asked=due[1])
        except ApprovalsError:
            self._changed, self._asked = self._changed or due[0], self._asked or due[1]
            raise

    async def _read(self, *, asked: bool) -> None:
        try:
            policy, text = await asyncio.to_thread(read_policy, self._path)
            await self._fits(policy, text)
        except PolicyInvalid as exc:
            return await self._refuse(exc)
        self._refused = b""
        if policy.digest == (self._policies.current().digest if asked else self._digest):
            return
        await self._policies.replace(policy, text)
        self._digest = policy.digest
        self._counted("adopted")
        log.info("policy in force", policy=policy.digest, agents=len(policy.agents))

    async def _refuse(self, invalid: PolicyInvalid) -> None:
        """Keep the policy that is in force, and say so: in the log, in the journal and as a metric, once a file."""
        told = hashlib.sha256("\n".join(invalid.problems).encode()).digest()
        if told == self._refused:
            return
        in_force = self._policies.current().digest
        await self._store.note(
            {"v": 1, "event": "policy_refused", "policy": in_force, "problems": len(invalid.problems)}
        )
        self._refused = told
        self._counted("refused")
        log.error("policy refused", stays=in_force, problems=invalid.problems)


@asynccontextmanager
async def watching(path: Path, changed: Callable[[], None]) -> AsyncIterator[None]:
    """Call `changed` whenever something happens in the file's folder.

    The folder, because editors and Kubernetes replace a file by renaming another one.
    """
    stop = asyncio.Event()
    task = asyncio.create_task(_watch(path.parent, changed, stop), name="policy file")
    try:
        yield
    finally:
        stop.set()
        await task


async def _watch(folder: Path, changed: Callable[[], None], stop: asyncio.Event) -> None:
    try:
        async for _ in awatch(folder, watch_filter=None, step=_STEP, stop_event=stop, recursive=False):
            changed()
    except (OSError, RuntimeError) as exc:  # watchfiles' own errors are these
        log.warning("the policy file is not watched; SIGHUP reads it again", error=type(exc).__name__)
