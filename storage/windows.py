"""Sums over what was asked lately, in this process: the twin of storage/redis/windows.py."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from approvals.windows import Share


@dataclass(frozen=True)
class _Counted:
    amount: int
    until: int


class MemoryWindows:
    """Windows in this process: by window, what each request takes of it."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._books: dict[str, dict[str, _Counted]] = defaultdict(dict)

    async def reserve(self, request: str, shares: Sequence[Share], hold: int) -> Mapping[str, int]:
        await asyncio.sleep(0)  # as over a network
        return {share.window: self._reserve(request, share, hold) for share in shares}

    async def recount(self, request: str, shares: Sequence[Share], until: int) -> None:
        await asyncio.sleep(0)
        for share in shares:
            book = self._current(share.window)
            if request in book:
                book[request] = _Counted(share.amount, until)

    def _current(self, window: str) -> dict[str, _Counted]:
        """What still counts in a window."""
        now, book = self._now(), self._books[window]
        for over in [name for name, counted in book.items() if counted.until <= now]:
            del book[over]
        return book

    def _reserve(self, request: str, share: Share, hold: int) -> int:
        book = self._current(share.window)
        known = book.get(request)
        amount = max(share.amount, known.amount) if known else share.amount
        book[request] = _Counted(amount, self._now() + hold + share.length)
        return sum(counted.amount for counted in book.values())
