"""The promise of tests/conftest.py: in CI nothing is skipped, and exhaustive tests run only when asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SAMPLE = """
import pytest

def test_passes():
    pass

{mark}
def test_marked():
    {body}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project under the same conftest."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = full: exhaustive\n")
    return tmp_path


def run(project: Path, *options: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environment = {**kept, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)


def write(project: Path, mark: str = "", body: str = "pass") -> None:
    (project / "test_sample.py").write_text(SAMPLE.format(mark=mark, body=body))


def test_a_skip_is_loud_but_no_failure_on_a_laptop(project: Path) -> None:
    write(project, body="pytest.skip('no Chromium')")
    result = run(project)
    assert result.returncode == 0
    assert "1 skipped: not tested here" in result.stdout
    assert "test_sample.py::test_marked" in result.stdout


def test_a_skip_fails_the_run_in_ci(project: Path) -> None:
    write(project, body="pytest.skip('no Chromium')")
    result = run(project, ci="true")
    assert result.returncode == 1
    assert "a skipped test fails the run" in result.stdout


def test_a_module_skipped_whole_fails_the_run_in_ci(project: Path) -> None:
    (project / "test_sample.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    (project / "test_other.py").write_text("def test_passes():\n    pass\n")
    assert run(project, ci="true").returncode == 1


def test_a_skip_fails_the_run_in_ci_also_when_workers_share_the_tests(project: Path) -> None:
    write(project, body="pytest.skip('no Chromium')")
    result = run(project, "-p", "xdist.plugin", "-n", "2", ci="true")
    assert result.returncode == 1
    assert "a skipped test fails the run" in result.stdout
    assert "1 passed, 1 skipped" in result.stdout


def test_one_worker_runs_all_that_must_not_run_at_once(project: Path) -> None:
    """Each test writes down whose it is: those of two files under tests/e2e are of one, which runs them first."""
    body = "import os\n\ndef test_it():\n    open({!r}, 'a').write(os.environ['PYTEST_XDIST_WORKER'] + '\\n')\n"
    told = project / "told"
    for name in ("tests/e2e/test_a.py", "tests/faults/test_b.py"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text(body.format(str(told)))
    (project / "test_a_first.py").write_text("def test_it():\n    pass\n")
    result = run(project, "-p", "xdist.plugin", "-n", "2", "-v", "--import-mode=importlib")
    assert "3 passed" in result.stdout
    assert len(told.read_text().split()) == 2
    assert len(set(told.read_text().split())) == 1


def test_workers_may_call_parameters_otherwise_and_run_each_once(project: Path) -> None:
    told = project / "told"
    marks = [
        f"import secrets\n@pytest.mark.parametrize('one', {one})" for one in ("{*'abcdef'}", "[secrets.token_hex()]")
    ]
    for number, mark in enumerate(marks):
        body = f"open({str(told)!r}, 'a').write(one[0])"
        text = f"import pytest\n{mark}\ndef test_it(one):\n    {body}\n"
        (project / f"test_{number}.py").write_text(text)
    assert "7 passed" in run(project, "-p", "xdist.plugin", "-n", "2").stdout
    written = told.read_text()
    assert len(written) == 7
    assert set("abcdef") <= set(written)


def test_full_tests_wait_to_be_asked_for(project: Path) -> None:
    write(project, mark="@pytest.mark.full")
    assert "1 passed, 1 deselected" in run(project, ci="true").stdout


@pytest.mark.parametrize("options", [("--full",), ("-m", "full or not full")])
def test_full_tests_run_when_asked_for(project: Path, options: tuple[str, ...]) -> None:
    write(project, mark="@pytest.mark.full")
    assert "2 passed" in run(project, *options).stdout
