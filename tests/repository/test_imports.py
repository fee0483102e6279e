"""Imports point down only: bot → handlers, storage → approvals; the SDK and the sandbox stand apart."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.files import ROOT

OURS = {"approvals", "storage", "handlers", "bot", "sandbox", "sayso", "tests", "examples", "benchmarks", "docs"}
MAY_IMPORT = {
    "approvals": {"approvals"},
    "storage": {"storage", "approvals"},
    "handlers": {"handlers", "approvals"},
    "bot": {"bot", "handlers", "storage", "approvals"},
    "sandbox": {"sandbox"},
    "sdk/src/sayso": {"sayso"},
    "examples": {"examples", "sayso"},
}
#: Only the demo starts the sandbox.
EXCEPTIONS = {("bot/demo.py", "sandbox")}
#: What the rules may take from outside the standard library (docs/architecture.md).
RULES_MAY_USE = {"pydantic", "rfc8785", "celpy", "cel"}
NEVER_IN_RULES = {"asyncio", "socket", "ssl", "subprocess", "time", "os", "pathlib", "random", "urllib", "http"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_nothing_from_above_or_beside_it(room: str) -> None:
    for file, module in imports(ROOT / room):
        if module in OURS and (file, module) not in EXCEPTIONS:
            assert module in MAY_IMPORT[room], f"{file} imports {module}"


def test_the_rules_reach_nothing_outside() -> None:
    for file, module in imports(ROOT / "approvals"):
        assert module not in NEVER_IN_RULES, f"{file} imports {module}"
        assert module in sys.stdlib_module_names | RULES_MAY_USE | {"approvals"}, f"{file} imports {module}"


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Each import of a folder's modules: the file, and the top-level package it imports."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in _modules(node):
                yield str(path.relative_to(ROOT)), module.split(".")[0]


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
