"""What every command shares: where it prints, what it reads first, and how it ends when something is wrong."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from approvals.errors import ApprovalsError, NotFound, PolicyInvalid, StoreUnavailable
from approvals.policy import Policy
from bot.policies import read_policy
from bot.settings import Settings, SettingsInvalid, load
from bot.signing import KeyProblem
from handlers.slack.errors import SlackProblem

_Result = TypeVar("_Result")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def settings() -> Settings:
    """The settings, or every problem with them."""
    try:
        return load()
    except SettingsInvalid as exc:
        fail(*exc.problems)


def policy_at(path: Path) -> Policy:
    """The policy in a file, or every problem with it."""
    try:
        return read_policy(path)[0]
    except PolicyInvalid as exc:
        fail(*exc.problems)


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a command's work; what can be expected to go wrong is said in a sentence, without a traceback."""
    try:
        return asyncio.run(work)
    except PolicyInvalid as exc:
        fail(*exc.problems)
    except SettingsInvalid as exc:
        fail(*exc.problems)
    except NotFound:
        raise
    except StoreUnavailable as exc:
        fail(f"Redis: {exc}; check SAYSO_REDIS_URL and that the server runs; `python -m bot redis` runs one")
    except (KeyProblem, ApprovalsError, SlackProblem) as exc:
        fail(str(exc))
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        fail(f"{exc.strerror}; choose another port: `make demo PORT=…`, --port for the demo, SAYSO_PORT for serve")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(*problems: str) -> NoReturn:
    """End with what is wrong on standard error, and exit code 2."""
    for problem in problems:
        err.print(f"[red]{escape(problem)}[/]", soft_wrap=True)
    raise typer.Exit(2)
