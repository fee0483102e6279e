"""Sums over what was asked lately, in this process: the twin of storage/redis/windows.py."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from approvals.windows import Share


@dataclass(frozen=True)
class _Counted:
    amount: int
    until: int = 0
    tokens: frozenset[str] = field(default=frozenset())


class MemoryWindows:
    """Windows in this process: by window, what each holder takes of it."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._books: dict[str, dict[str, _Counted]] = defaultdict(dict)

    async def reserve(self, holder: str, shares: Sequence[Share], *, hold: int, token: str) -> Mapping[str, int]:
        await asyncio.sleep(0)  # as over a network
        return {share.window: self._reserve(holder, share, hold, token) for share in shares}

    async def release(self, holder: str, shares: Sequence[Share], *, token: str) -> None:
        await asyncio.sleep(0)
        for share in shares:
            book = self._current(share.window)
            if holder in book:
                left = book[holder].tokens - {token}
                book[holder] = replace(book[holder], tokens=left, until=book[holder].until if left else 0)

    async def recount(self, holder: str, shares: Sequence[Share], since: int | None) -> None:
        await asyncio.sleep(0)
        for share in shares:
            book = self._current(share.window)
            if holder in book:
                book[holder] = replace(book[holder], until=0 if since is None else since + share.length)

    def _current(self, window: str) -> dict[str, _Counted]:
        """What still counts in a window."""
        now, book = self._now(), self._books[window]
        for over in [holder for holder, counted in book.items() if counted.until <= now]:
            del book[over]
        return book

    def _reserve(self, holder: str, share: Share, hold: int, token: str) -> int:
        book = self._current(share.window)
        known = book.get(holder, _Counted(share.amount))
        until = max(known.until, self._now() + hold + share.length)
        book[holder] = _Counted(share.amount, until, known.tokens | {token})
        return sum(counted.amount for counted in book.values())
