"""The house as docs and STYLE draw it: imports point down only, the rules do no I/O, nothing is built at import."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("approvals", "storage", "handlers", "bot", "sandbox", "sayso", "tests", "benchmarks", "examples")

#: Which of our rooms each may look into; `sandbox` belongs to bot/demo.py alone, and everybody may look at themselves.
MAY_IMPORT = {
    "approvals": set[str](),
    "storage": {"approvals"},
    "handlers": {"approvals"},
    "bot": {"approvals", "storage", "handlers", "sandbox"},
    "sandbox": set[str](),
    "sdk/src/sayso": set[str](),
}
DRAWS_IN_THE_SANDBOX = {"bot/demo.py"}

#: What the rules may use of the world: nothing that reads a clock, a file, the network, the environment or chance.
PURE = {
    "__future__", "base64", "collections", "contextlib", "dataclasses", "datetime", "difflib", "enum", "fnmatch",
    "functools", "hashlib", "hmac", "itertools", "json", "operator", "re", "typing", "unicodedata", "zlib",
}  # fmt: skip
LIBRARIES = {"pydantic", "rfc8785", "cel"}
#: A spend key must not be guessable: the one chance the rules take (approvals/service.py), never a clock.
CHANCE = {"approvals/service.py": {"secrets"}}
CLOCKS = {"now", "utcnow", "today"}


def modules(room: str) -> list[Path]:
    """The Python files of a room."""
    return sorted((ROOT / room).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    """A file's syntax."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; relative ones by their full name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            yield ".".join(path.relative_to(ROOT).parts[: -node.level])


def rooms_used(path: Path) -> set[str]:
    """The rooms of ours that a file imports from."""
    return {name.split(".")[0] for name in imported(path)} & {*OURS}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_down_only(room: str) -> None:
    own = room.split("/")[-1]
    assert modules(room)
    for path in modules(room):
        strangers = rooms_used(path) - MAY_IMPORT[room] - {own}
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


def test_only_the_demo_starts_the_sandbox() -> None:
    for room in ("approvals", "storage", "handlers", "bot", "sdk/src/sayso"):
        found = {path.relative_to(ROOT).as_posix() for path in modules(room) if "sandbox" in rooms_used(path)}
        assert found <= DRAWS_IN_THE_SANDBOX


def test_the_service_does_not_know_its_tests() -> None:
    for room in MAY_IMPORT:
        for path in modules(room):
            assert not rooms_used(path) & {"tests", "benchmarks", "examples"}, path


def test_doors_do_not_know_each_other() -> None:
    doors = {path.name for path in (ROOT / "handlers").iterdir() if (path / "__init__.py").exists()}
    assert doors
    for door in doors:
        for path in modules(f"handlers/{door}"):
            others = {name.split(".")[1] for name in imported(path) if name.startswith("handlers.")} & doors - {door}
            assert not others, f"{path.relative_to(ROOT)} imports {others}"


@pytest.mark.parametrize("path", modules("approvals"), ids=lambda path: path.name)
def test_the_rules_do_no_io(path: Path) -> None:
    allowed = PURE | LIBRARIES | {"approvals"} | CHANCE.get(path.relative_to(ROOT).as_posix(), set())
    assert {name.split(".")[0] for name in imported(path)} <= allowed


@pytest.mark.parametrize("path", modules("approvals"), ids=lambda path: path.name)
def test_the_rules_read_no_clock_and_open_nothing(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "exec", "eval", "__import__"}, ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            assert not (node.func.attr in CLOCKS and owner in {"datetime", "date"}), ast.unparse(node)


@pytest.mark.parametrize("path", modules("approvals"), ids=lambda path: path.name)
def test_the_rules_know_no_platform_by_its_code(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Compare | ast.Match):
            words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
            assert not words & {"slack", "teams"}, ast.unparse(node)


def sdk_closure(module: str) -> set[Path]:
    """The SDK's files that importing one of its modules runs."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = ROOT / "sdk/src" / Path(*waiting.pop().split(".")).with_suffix(".py")
        if path.exists() and path not in found:
            found.add(path)
            waiting += [name for name in imported(path) if name.startswith("sayso.")]
    return found


def third_parties(paths: Iterable[Path]) -> set[str]:
    """What these files import that is neither ours nor of the standard library."""
    return {name.split(".")[0] for path in paths for name in imported(path)} - {*sys.stdlib_module_names, "sayso"}


def test_the_sdk_uses_what_it_declares() -> None:
    project = tomllib.loads((ROOT / "sdk/pyproject.toml").read_text())["project"]
    extras = [one for group in project.get("optional-dependencies", {}).values() for one in group]
    declared = {re.split(r"[^a-z0-9_-]", one)[0] for one in [*project["dependencies"], *extras]}
    assert third_parties(modules("sdk/src/sayso")) <= declared


def test_a_receipt_is_checked_with_two_libraries() -> None:
    """Whoever only verifies installs, and trusts, as little as can be (DESIGN §6)."""
    verifier = sdk_closure("sayso.verifier")
    assert verifier
    assert third_parties(verifier) <= {"cryptography", "rfc8785"}


def built_at_import(path: Path) -> Iterator[str]:
    """Module-level assignments that build a client, or a collection that somebody could change."""
    for node in tree_of(path).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = {target.id for target in targets if isinstance(target, ast.Name)}
        if "__all__" not in named and opens_something(node.value):
            yield f"{path.relative_to(ROOT)}: {ast.unparse(node)[:100]}"


CLIENTS = (
    "Redis",
    "Client",
    "Session",
    "App",
    "Server",
    "Store",
    "Signer",
    "Lock",
    "Semaphore",
    "Event",
    "Queue",
    "Task",
)


def opens_something(value: ast.expr) -> bool:
    """Whether an expression makes a client, or anything else that lives in one event loop."""
    made = value.func if isinstance(value, ast.Call) else None
    name = made.attr if isinstance(made, ast.Attribute) else made.id if isinstance(made, ast.Name) else ""
    return name.endswith(CLIENTS)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_nothing_is_opened_at_import(room: str) -> None:
    assert [line for path in modules(room) for line in built_at_import(path)] == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_nobody_rebinds_what_a_module_holds(room: str) -> None:
    for path in modules(room):
        rebinding = [ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Global)]
        assert not rebinding, f"{path.relative_to(ROOT)}: {rebinding}"


@pytest.mark.parametrize("room", ["approvals", "storage", "handlers"])
def test_only_the_running_thing_reads_the_environment(room: str) -> None:
    reads = {"os.environ", "os.getenv", "os.environb"}
    for path in modules(room):
        found = {ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)} & reads
        assert not found, f"{path.relative_to(ROOT)}: {found}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_assertion_guards_production_code(room: str) -> None:
    """`python -O` drops assertions."""
    for path in modules(room):
        found = [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
        assert not found, f"{path.relative_to(ROOT)}: lines {found}"


#: What makes an answer count, or lets somebody through: each is called in one place, behind the check of authority.
DECIDES = {
    "voted": "approvals/service.py",
    "retracted": "approvals/service.py",
    "broken_glass": "approvals/operators.py",
}


@pytest.mark.parametrize("method", DECIDES)
def test_an_answer_is_counted_in_one_place(method: str) -> None:
    calling = {
        path.relative_to(ROOT).as_posix()
        for room in ("approvals", "storage", "handlers", "bot")
        for path in modules(room)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
    }
    assert calling == {DECIDES[method]}


def test_no_door_makes_votes_or_commits() -> None:
    """A door reads, calls and shows: who may answer is found out behind the service, for every door alike."""
    commits = {"Vote", "Decision", "Intervention", "Change", "change_of"}
    for path in modules("handlers"):
        calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
        made = {func.id for func in calls if isinstance(func, ast.Name)} & commits
        assert not made, f"{path.relative_to(ROOT)}: {made}"
