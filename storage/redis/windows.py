"""Sums over what was asked lately, in Redis or Valkey. What a method promises stands in approvals/ports.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from approvals.errors import NotConfirmed
from approvals.windows import Share
from storage.redis.keys import Keys, home_of
from storage.redis.link import Link, Word

_LOW: Final = 10**9  #: where share.lua splits an amount


class RedisWindows:
    """Windows: each lies in its home partition, wherever the requests are that have a share in it."""

    def __init__(
        self, link: Link, partitions: int, clock_offset: Callable[[], int], *, replicas: int, confirm: int
    ) -> None:
        self._link = link
        self._partitions = partitions
        self._clock_offset = clock_offset
        self._replicas = replicas
        self._confirm = confirm

    async def reserve(self, holder: str, shares: Sequence[Share], *, hold: int, token: str) -> Mapping[str, int]:
        sums = await asyncio.gather(*(self._reserve(holder, share, hold + share.length, token) for share in shares))
        return {share.window: total for share, total in zip(shares, sums, strict=True)}

    async def release(self, holder: str, shares: Sequence[Share], *, token: str) -> None:
        for share in shares:
            await self._link.script("share", self._keys(share), *self._words(holder, share), "release", "", token)

    async def recount(self, holder: str, shares: Sequence[Share], since: int | None) -> None:
        for share in shares:
            until = 0 if since is None else since + share.length
            await self._link.script("share", self._keys(share), *self._words(holder, share), "recount", until, "")

    async def _reserve(self, holder: str, share: Share, milliseconds: int, token: str) -> int:
        """What a window comes to; with replicas only when they have it, so that a failover forgets no share."""
        keys, words = self._keys(share), (*self._words(holder, share), "reserve", milliseconds, token)
        if not self._replicas:
            high, low = await self._link.script("share", keys, *words)
            return int(high) * _LOW + int(low)
        wait = {"replicas": self._replicas, "within": self._confirm}
        (high, low), acks = await self._link.confirmed_script("share", keys, *words, **wait)
        if acks < self._replicas:
            raise NotConfirmed(f"a share of {holder} is on {acks} of {self._replicas} replicas")
        return int(high) * _LOW + int(low)

    def _words(self, holder: str, share: Share) -> tuple[Word, ...]:
        return (self._clock_offset(), holder, share.amount // _LOW, share.amount % _LOW)

    def _keys(self, share: Share) -> list[str]:
        keys = Keys(home_of(share.window, self._partitions))
        return [keys.amounts(share.window), keys.counted(share.window)]
