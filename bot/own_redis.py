"""A Redis of one's own on this machine, fit to be the memory: nothing to install, nothing left running."""

from __future__ import annotations

import asyncio
import shlex
import signal
from pathlib import Path

from rich.console import Console

from bot.settings import Settings
from storage.embedded import EmbeddedServer

out = Console(highlight=False)


async def run(settings: Settings) -> None:
    """Run the server in the state directory until Ctrl-C, and say how others reach it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    folder = settings.state / "redis"
    async with EmbeddedServer(folder) as server:
        out.print(f"Redis runs, with its data in {folder}. The other terminals need this line:\n", markup=False)
        say_addresses(server.url, settings.trust)
        out.print("\nCtrl-C ends it; the data and the address stay.", markup=False)
        await stop.wait()


def say_addresses(url: str, trust: Path) -> None:
    """Print, for copying, the line after which agents and commands find Redis and the keys of receipts."""
    line = f"export SAYSO_REDIS_URL={shlex.quote(url)} SAYSO_TRUST={shlex.quote(str(trust.resolve()))}"
    out.print(f"  {line}", markup=False, soft_wrap=True)
