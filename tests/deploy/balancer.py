"""A load balancer as small as it can be: round robin over the backends whose /readyz says yes. It never tries twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.loopback import served

EVERY = 0.1  #: seconds from one look at /readyz to the next
_HOP = frozenset({"Connection", "Content-Length", "Host", "Keep-Alive", "Transfer-Encoding"})


@dataclass
class Balancer:
    """Backends by URL; `taken` counts what each was given."""

    session: aiohttp.ClientSession
    url: str = ""
    backends: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: int = 0

    async def add(self, backend: str) -> None:
        """Send to this one, too, from the moment it says that it is ready."""
        self.backends.append(backend)
        while backend not in self.ready:
            self._looked.clear()
            await self._looked.wait()

    async def watch(self, ending: asyncio.Event) -> None:
        """Look at every backend again and again."""
        while not ending.is_set():
            answers = await asyncio.gather(*map(self._is_ready, self.backends))
            self.ready = [backend for backend, yes in zip(self.backends, answers, strict=False) if yes]
            self._looked.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), EVERY)

    async def forward(self, request: web.Request) -> web.Response:
        """Hand a request to the next backend that is ready, over a connection that may have been used before."""
        if not self.ready:
            return web.Response(status=503, text="no backend is ready")
        self._turn += 1
        backend = self.ready[self._turn % len(self.ready)]
        self.taken[backend] += 1
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        body = await request.read()
        try:
            async with self.session.request(request.method, backend + request.path, data=body, headers=headers) as got:
                return web.Response(status=got.status, body=await got.read(), content_type=got.content_type)
        except aiohttp.ClientError as exc:
            return web.Response(status=502, text=f"{backend}: {exc!r}")

    async def _is_ready(self, backend: str) -> bool:
        try:
            async with self.session.get(f"{backend}/readyz", timeout=aiohttp.ClientTimeout(total=3)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def a_balancer() -> AsyncIterator[Balancer]:
    """A balancer on loopback."""
    ending = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        balancer = Balancer(session)
        watching = asyncio.create_task(balancer.watch(ending))
        try:
            async with served([web.route("*", "/{path:.*}", balancer.forward)]) as balancer.url:
                yield balancer
        finally:
            ending.set()
            await watching
