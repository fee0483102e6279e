"""Writes the page about the command line from the commands themselves: `python -m docs.commands`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer.core
import typer.main

from bot.cli import app

PAGE: Final = Path(__file__).parent / "reference" / "cli.md"

_HEAD: Final = """\
# The command line

`python -m bot <command>`, in the checkout's environment (`. .venv/bin/activate`), or as the image's command. What it
works on is said by the [settings](settings.md). This page is written by `python -m docs.commands`. Agents' own command,
`sayso`, is described with [the SDK](../../sdk/README.md#from-a-shell).

The exit code is 0; 1 when `doctor` finds a problem, `audit verify` a broken journal, `policy test` a case that fails
or `policy explain` a request that would not be accepted; 2 when something is missing or
wrong, which is then said on standard error; 130 when it was interrupted. `serve`, `demo` and `redis` run until they are
interrupted, and then end with 0.
"""


def page() -> str:
    """The page as text."""
    top = typer.main.get_command(app)
    return _HEAD + "".join(_section(name, command) for name, command in _commands(top, ""))


def _commands(group: object, prefix: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Every command with its whole name, in the order of --help."""
    if isinstance(group, typer.core.TyperGroup):
        for name, command in group.commands.items():
            yield from _commands(command, f"{prefix} {name}".strip())
    elif isinstance(group, typer.core.TyperCommand):
        yield prefix, group


def _section(name: str, command: typer.core.TyperCommand) -> str:
    rows = "".join(_row(parameter) for parameter in command.params if isinstance(parameter, _Parameter))
    table = f"\n| | | default |\n| --- | --- | --- |\n{rows}" if rows else ""
    return f"\n## {name}\n\n{inspect.cleandoc(command.help or '')}\n{table}"


_Parameter = typer.core.TyperOption | typer.core.TyperArgument


def _row(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> str:
    if isinstance(parameter, typer.core.TyperArgument):
        name = f"`{(parameter.name or '').upper()}`"
    else:
        name = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    return f"| {name} | {parameter.help or ''} | {_default(parameter)} |\n"


def _default(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> str:
    default = parameter.default
    if parameter.required:
        return "must be given"
    if isinstance(default, bool) and isinstance(parameter, typer.core.TyperOption):
        chosen = parameter.opts if default else parameter.secondary_opts
        return f"`{chosen[0]}`" if chosen else ""
    return f"`{default}`" if default not in (None, "") else ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
