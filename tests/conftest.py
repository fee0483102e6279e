"""What holds for every test run: `full` tests wait to be asked for, and CI skips nothing."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # no duration decides a test: the machine may be busy
settings.register_profile("quick", max_examples=15, deadline=None)  # `make quick`: the loop stays under a minute
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full."""
    parser.addoption(
        "--full", action="store_true", help="also run the tests marked `full`, which enumerate every fault"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `full` unless --full or -m asks for them."""
    if config.getoption("--full") or "full" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)


def in_ci() -> bool:
    """Whether this is CI, where a test that did not run must not look like one that passed."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    """The tests and modules that were skipped in this run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get("skipped", ())) if reporter else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, turn a run with skipped tests into a failed one."""
    if in_ci() and skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was skipped, and in CI say that this is why the run failed."""
    names = [report.nodeid for report in skipped(config)]
    if not names:
        return
    terminalreporter.section(f"{len(names)} skipped: not tested here", sep="!", yellow=True, bold=True)
    if in_ci():
        terminalreporter.line(
            "CI=true: a skipped test fails the run. Install what it needs, or deselect it by name.", red=True
        )
    for name in names:
        terminalreporter.line(name)
