"""What every source of on-call has in common: it names accounts; whose they are, the policy says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from approvals.ports import Account
from handlers.recent import PATIENCE, Recent
from handlers.tasks import Tasks

SOURCE: Final = "oncall:"


class OnCall(ABC):
    """A Directory of whoever is on call. `via` is how its accounts begin; `clock` is monotonic seconds.

    It vouches for nobody's membership of a workspace: whoever clicks does so with an account of a chat platform, which
    is looked up there.
    """

    def __init__(
        self, via: str, clock: Callable[[], float], problems: tuple[type[Exception], ...], patience: float = PATIENCE
    ) -> None:
        self.via = via
        self._tasks = Tasks()
        self._recent: Recent[frozenset[str]] = Recent(via, clock, self._tasks, problems=problems, patience=patience)

    async def standing(self, account: Account) -> str | None:
        """None: being on call is all that such an account can be. Nobody clicks with one."""
        return None if account.via == self.via else "not known to any directory"

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the account is on call in a schedule. Raises DirectoryUnavailable."""
        if account.via != self.via or not source.startswith(f"{SOURCE}{self.via}:"):
            return False
        return account.id in await self.accounts(source)

    async def accounts(self, source: str) -> frozenset[str]:
        """The accounts on call in one of our schedules. Raises DirectoryUnavailable."""
        schedule = source.removeprefix(f"{SOURCE}{self.via}:")
        return await self._recent.get(schedule, lambda: self.look_up(schedule))

    async def close(self) -> None:
        """End the look-ups that nobody waits for any more."""
        await self._tasks.drain(0)

    @abstractmethod
    async def look_up(self, schedule: str) -> frozenset[str]:
        """The accounts on call now, as policy spells them. Raises one of the `problems`."""
