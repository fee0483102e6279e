"""The platform of a destination that this process does not serve: it refuses everything, and says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from approvals.card import Card
from approvals.errors import ChatRefused
from approvals.notes import Note
from approvals.ports import Errand, Pace
from approvals.request import Request
from approvals.rows import Row

NOT_CONNECTED: Final = "not_connected"  #: our own code, beside those of the platforms


class Nowhere:
    """A ChatPlatform that is not connected."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def post(self, destination: str, request: Request, card: Card) -> Mapping[str, str]:
        self._refuse()

    async def update(self, reference: Mapping[str, str], request: Request, card: Card) -> None:
        self._refuse()

    def rows(self, destination: str) -> int:
        return 1

    async def post_shared(self, destination: str, message: str, rows: Sequence[Row]) -> Mapping[str, str]:
        self._refuse()

    async def update_shared(self, reference: Mapping[str, str], rows: Sequence[Row | None]) -> None:
        self._refuse()

    async def reply(self, reference: Mapping[str, str], note: Note) -> None:
        self._refuse()

    async def announce(self, destination: str, note: Note) -> None:
        self._refuse()

    @property
    def takes_files(self) -> bool:
        return False

    async def attach(self, reference: Mapping[str, str], request: Request) -> None:
        self._refuse()

    async def find_posted(self, destination: str, about: str, since: int) -> Mapping[str, str] | None:
        self._refuse()

    def paces(self, errand: Errand, destination: str) -> Sequence[Pace]:
        return ()

    def _refuse(self) -> NoReturn:
        raise ChatRefused(NOT_CONNECTED, f"connect the service to {self.name}: give it its tokens", place=True)
