"""What a new request takes of windows: reserved before it is pending, given back where it comes to nothing.

A share is reserved before the request is committed, so that of two that ask at once one sees the other. A crash in
between lets nothing through: the share then counts until nobody could use the request any more, and for the window's
length after that. Whatever happens to a request once it is there, `settle` follows from the request alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from approvals.errors import EntryRefused, EpochChanged, OverLimit, StoreUnavailable
from approvals.lifecycle import Status
from approvals.ports import Store, Windows
from approvals.request import Request
from approvals.windows import Share, holder_of

_OPEN = frozenset({Status.PENDING, Status.APPROVED})


@dataclass
class Reserved:
    """What windows come to with these shares; `kept` once a request holds them."""

    shares: tuple[Share, ...]
    sums: Mapping[str, int]
    kept: bool = False


@asynccontextmanager
async def reserving(
    windows: Windows, holder: str, shares: tuple[Share, ...], *, hold: int, token: str
) -> AsyncIterator[Reserved]:
    """Reserve shares while a request is made of them; `token` tells this attempt from others for the same holder.

    They are given back where the attempt is refused or finds that the request is there already. After an unknown end
    (the memory did not answer) they stay: the request may be there.
    """
    reserved = Reserved(shares, await windows.reserve(holder, shares, hold=hold, token=token) if shares else {})
    try:
        yield reserved
    except (EntryRefused, EpochChanged, OverLimit):
        await _release(windows, holder, shares, token)
        raise
    if not reserved.kept:
        await _release(windows, holder, shares, token)


def has_to_settle(request: Request) -> bool:
    """Whether a request holds shares that its end changes."""
    return bool(request.shares) and request.status not in _OPEN


async def settle(store: Store, request: Request) -> None:
    """Let the shares of a request that is over count no more, and those of a used one as long as it is in the window.

    Before its end is published: whoever publishes it after a crash then does this, too. An end that could still be lost
    gives nothing back: raises NotConfirmed. The windows may be down: then the shares count for longer than they need.
    """
    if not has_to_settle(request):
        return
    await store.update(request.id, lambda _: None)
    with suppress(StoreUnavailable):
        since = request.spend.at if request.spend else None
        await store.windows.recount(holder_of(request.id, request.action), request.shares, since)


async def _release(windows: Windows, holder: str, shares: Sequence[Share], token: str) -> None:
    if shares:
        with suppress(StoreUnavailable):
            await windows.release(holder, shares, token=token)
