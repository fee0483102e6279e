"""The commands about the signing key: which there are, the next one, and the end of the old one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.markup import escape

from bot import rotation
from bot.settings import Settings
from bot.terminal import out, run, settings
from storage.redis.store import RedisStore

keys_app = typer.Typer(no_args_is_help=True, help="Look at the signing keys, and change the one that signs.")

_Result = TypeVar("_Result")


@keys_app.command("list")
def listed() -> None:
    """Name the registered keys, and say what each is for."""
    for one in _with_store(lambda found, store: rotation.listed(found, store, now=_now())):
        out.print(escape(f"{one.kid}  {one.state}"), soft_wrap=True)


@keys_app.command("rotate")
def rotate(
    new_seal: Annotated[
        bool, typer.Option("--new-seal", help="Seal buttons anew too: those on cards that stand no longer work.")
    ] = False,
) -> None:
    """Make the next signing key beside the one that signs, and register it; the processes that run publish it.

    Nothing signs with it yet. Copy it to every replica; verifiers with a pinned file need the new trust document.
    """
    kid = _with_store(lambda found, store: rotation.rotate(found, store, now=_now(), new_seal=new_seal))
    out.print(f"made {kid} at {escape(str(settings().next_key))}; the old key goes on signing", soft_wrap=True)
    out.print(f"next: copy it to every replica, wait {rotation.PUBLISHED_FOR} s, then `keys switch`", soft_wrap=True)


@keys_app.command("switch")
def switch(
    at_once: Annotated[bool, typer.Option("--at-once", help="Though verifiers may not know the key yet.")] = False,
) -> None:
    """Let this machine's next start sign with the next key. Run it on every machine, and start the processes anew."""
    kid = _with_store(lambda found, store: rotation.switch(found, store, now=_now(), at_once=at_once))
    out.print(f"{kid} signs from the next start on; restart the service, one replica after the other", soft_wrap=True)
    out.print("next: once every replica runs with it, `keys retire` the old one", soft_wrap=True)


@keys_app.command("retire")
def retire(
    kid: Annotated[str, typer.Argument(help="Which, as `keys list` names it.")],
    at_once: Annotated[bool, typer.Option("--at-once", help="It leaked: refuse its last receipts too.")] = False,
) -> None:
    """End a key that signed before: its last receipts run out, and then the trust document has it as retired."""
    until = _with_store(lambda found, store: rotation.retire(found, store, kid, now=_now(), at_once=at_once))
    left = max(0, until - _now())
    out.print(f"{escape(kid)} is retired; receipts that it signed are good for {left} s more", soft_wrap=True)


def _with_store(work: Callable[[Settings, RedisStore], Awaitable[_Result]]) -> _Result:
    from bot.house import open_store

    found = settings()

    async def done() -> _Result:
        async with open_store(found) as store:
            return await work(found, store)

    return run(done())


def _now() -> int:
    return int(time.time())
