"""What holds for every test run: `full` tests wait to be asked for, CI skips nothing, and workers share the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # ships no types

settings.register_profile("untimed", deadline=None)  # no duration decides a test: the machine may be busy
settings.register_profile("quick", max_examples=15, deadline=None)  # `make quick`: the loop stays under a minute
settings.load_profile("untimed")

#: What starts processes of ours or browsers, or kills servers, and waits for them most of the time. One worker runs all
#: of it, so that no two of these tests take the machine from each other.
ONE_BY_ONE = (
    "tests/contract/",
    "tests/deploy/",
    "tests/docs/test_tutorial.py",
    "tests/e2e/",
    "tests/faults/",
    "tests/proof/test_races.py",
    "tests/sandbox/test_page_browser.py",
    "tests/storage/test_failover.py",
    "tests/telemetry/test_served.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full."""
    parser.addoption(
        "--full", action="store_true", help="also run the tests marked `full`, which enumerate every fault"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `full` unless --full or -m asks for them; a worker starts with what takes longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(ONE_BY_ONE))
    if config.getoption("--full") or "full" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # a class without types
    """How workers share the tests: a file is one worker's, with its servers; so are all that run ONE_BY_ONE."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # in the order of pytest_collection_modifyitems
        super().__init__(config, log)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take a worker's list of tests for the same as the first one's where only names of parameters differ.

        A parameter may be random, or come out of a set. Tests are sent by their place in the list, and all of a file
        to one worker, so each of them runs once whatever the others call it.
        """
        first = next(iter(self.registered_collections.values()), collection)
        same = [_function(one) for one in first] == [_function(one) for one in collection]
        super().add_node_collection(node, first if same else collection)

    def _split_scope(self, nodeid: str) -> str:
        """The name of the share a test belongs to."""
        return "one by one" if nodeid.startswith(ONE_BY_ONE) else str(super()._split_scope(nodeid))


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Share the tests in this way however many workers there are."""
    return Sharing(config, log)


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
