"""Documents tell the truth: links lead somewhere, code compiles, commands, settings and make targets exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main

from bot.cli import app
from bot.settings import Settings
from tests.repository.files import ROOT, Block, anchors, blocks, documents, links, relative

DOCUMENTS = documents()
BLOCKS = [block for path in DOCUMENTS for block in blocks(path, "python")]
#: Files that also speak of commands and settings.
OTHERS = [ROOT / name for name in ("Makefile", "Dockerfile", "compose.yaml")]

SOURCES = [
    path
    for folder in ("approvals", "storage", "handlers", "bot", "sandbox", "sdk/src", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".lua", ".yaml", ".js"} and "docs/" in path.read_text(encoding="utf-8")
]

#: Read by the SDK's command line and by nobody else.
SDK_SETTINGS = set(re.findall(r"SAYSO_[A-Z_]+", "".join(p.read_text() for p in (ROOT / "sdk/src").rglob("*.py"))))
SETTINGS = {f"SAYSO_{name.upper()}" for name in Settings.model_fields} | {"SAYSO_CONFIG"} | SDK_SETTINGS


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(path: Path) -> None:
    for target, anchor in links(path):
        assert target.resolve().is_relative_to(ROOT), f"{target} lies outside the repository"
        assert target.exists(), f"there is no {target}"
        assert not anchor or anchor in anchors(target), f"{target} has no heading for #{anchor}"


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/README.md"
    listed = {target.resolve() for target, _ in links(index)}
    pages = {page for page in DOCUMENTS if page.is_relative_to(ROOT / "docs")} - {index}
    assert not {relative(page) for page in pages - listed}, "link these from docs/README.md"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_python_block_compiles_and_its_names_exist(block: Block) -> None:
    tree = ast.parse(block.text)
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for name in dotted_names(tree):
        if name.split(".")[0] == "sayso" and _means_the_module(tree):
            resolve(name)


def test_there_are_python_blocks_to_check() -> None:
    assert {relative(block.path) for block in BLOCKS} >= {"README.md"}


@pytest.mark.parametrize("path", [*DOCUMENTS, *OTHERS], ids=relative)
def test_every_command_that_is_named_exists(path: Path) -> None:
    for words in re.findall(r"python -m bot ((?:[a-z][a-z-]* ?){1,2})", path.read_text(encoding="utf-8")):
        assert is_command(words.split()), f"there is no `python -m bot {words.strip()}`"


def test_the_readme_lists_every_command() -> None:
    table = re.findall(r"^\| (`.+?) \| ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name for cell in table for name in re.findall(r"`([a-z -]+)`", cell)}
    assert listed == set(commands())


@pytest.mark.parametrize("path", [*DOCUMENTS, *OTHERS], ids=relative)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"SAYSO_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8")))
    assert named <= SETTINGS


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z][a-z-]+)", path.read_text(encoding="utf-8"))) <= targets


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_page_that_the_code_refers_to_exists(path: Path) -> None:
    for page in re.findall(r"(?<![\w./-])docs/[\w./-]*\w", path.read_text(encoding="utf-8")):
        there = (ROOT / page).exists() or any((ROOT / page).parent.glob(f"{(ROOT / page).name}-*.md"))
        assert there, f"there is no {page}"


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    groups = {line for line in lines if line.startswith("### ")}
    assert lines[0] == "# Changelog"
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", line) for line in versions[1:])
    assert groups <= {f"### {name}" for name in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")}


def test_every_decision_says_context_options_choice_and_cost_and_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [page.name[:5] for page in pages]
    assert all(re.fullmatch(r"\d{4}-", number) for number in numbers)
    assert len(set(numbers)) == len(numbers), "two pages have one number"
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Options", "Choice", "What it costs"], page.name
        assert page.name in index


def dotted_names(tree: ast.AST) -> set[str]:
    """Every `a.b.c` that is read somewhere, and what is imported, in the same form."""
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_plain(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_plain(node.value))


def _means_the_module(tree: ast.AST) -> bool:
    """Whether `sayso` is the module here, not a client that somebody called so."""
    return not any(
        isinstance(node, ast.Name) and node.id == "sayso" and isinstance(node.ctx, ast.Store) for node in ast.walk(tree)
    )


def resolve(name: str) -> Any:
    """What a dotted name leads to; fails where it leads nowhere."""
    module, *rest = name.split(".")
    found = importlib.import_module(module)
    for part in rest:
        found = getattr(found, part)
    return found


def commands() -> list[str]:
    """Every command of `python -m bot`, a group's with the group's name."""
    top = typer.main.get_command(app)
    assert isinstance(top, typer.core.TyperGroup)
    found = []
    for name, command in top.commands.items():
        inner = command.commands if isinstance(command, typer.core.TyperGroup) else {}
        found += [f"{name} {one}" for one in inner] or [name]
    return found


def is_command(words: list[str]) -> bool:
    """Whether words begin with a command: the first, or a group and one of its own."""
    return any(known.split() == words[: len(known.split())] for known in commands())
