"""The harness runs and has every row. What it measures here means nothing: counts are tiny, the machine is shared."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.core import ROWS
from benchmarks.report import Figure, percentile
from tests.repository.files import ROOT

pytestmark = pytest.mark.redis

TARGETS = {
    "commands per approval, on the bot's side": 12,
    "round trips per approval, on the bot's side": 7,
    "throughput, 1 in flight, × a bare pair": 0.5,
    "throughput, 50 in flight, × a bare pair": 0.5,
    "throughput, × the server's own limit": 0.2,
    "click to agent, p50, × a bare ping-pong": 3,
    "submit to pending, 100 agents, p50, × one agent": 3,
    "submit to pending, 5000 agents, p50, × one agent": 3,
    "waiters on one connection, not woken": 0,
    "memory per waiter, tracemalloc": 4,
    "memory in Redis per pending request (used_memory)": 2.5,
    "two bots, larger share of the approvals": 65,
}


def run(*words: str) -> dict[str, dict[str, object]]:
    """The JSON of one run; 0 and 1 are both its word that it measured."""
    command = [sys.executable, "-m", "benchmarks", "core", "--quick", "--json", *words]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_one_row_by_itself_says_what_it_counted() -> None:
    rows = run("--only", "counts")
    assert rows["round trips per approval, on the bot's side"] == {"value": 4.0, "target": 7, "unit": "", "ok": True}
    assert rows["commands per approval, on the bot's side"]["ok"] is True


@pytest.mark.full
def test_a_burst_and_clicks_at_slack_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks", "slack", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(done.stdout)
    assert rows["burst, 50 requests to one channel, last one clickable"]["ok"]
    assert rows["burst, 429s that were not waited out"]["ok"]
    assert rows["clicks that were not acknowledged, or decided nothing"]["ok"]


@pytest.mark.full
def test_every_row_is_there_with_its_target() -> None:
    rows = run()
    assert {name: rows[name]["target"] for name in TARGETS} == TARGETS
    assert all(set(row) - {"note"} == {"value", "target", "unit", "ok"} for row in rows.values())
    assert len(rows) > len(ROWS)


def test_a_figure_knows_whether_it_reached_its_target() -> None:
    assert Figure("most", 1.0, "×", 1.0).ok
    assert not Figure("most", 1.1, "×", 1.0).ok
    assert Figure("least", 1.1, "×", 1.0, at_least=True).ok
    assert not Figure("least", 0.9, "×", 1.0, at_least=True).ok
    assert Figure("only told", 9.0, "ms").ok


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
