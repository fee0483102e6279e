"""Which processes of the service run now: each says so on the shelf, and is taken for gone once it no longer does."""

from __future__ import annotations

from approvals.errors import ApprovalsError
from approvals.ports import Shelf

EVERY = 10.0  #: seconds from one word to the next
_GONE = 35_000  #: ms without a word
_FOLDER = "replicas"


class Presence:
    """This process among the others; `count` is how many run, itself included, as far as is known."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self._name = f"{_FOLDER}/{name}"
        self.count = 1

    async def step(self) -> bool:
        """Say that this process runs, and count those that said so lately."""
        await self._shelf.keep(self._name, {}, ttl=_GONE)
        self.count = max(1, len(await self._shelf.folder(_FOLDER)))
        return False

    async def leave(self) -> None:
        """Be counted no more; where that cannot be said, the others notice by themselves."""
        try:
            await self._shelf.drop(self._name)
        except ApprovalsError:
            return
