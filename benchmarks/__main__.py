"""python -m benchmarks NAME [--json]: measure, and print each figure beside its target."""

from __future__ import annotations

import argparse
import asyncio
import json

import structlog

from benchmarks import core, slack, wait
from benchmarks.report import Figure


def main() -> int:
    """Run a benchmark; 1 when a target was missed."""
    given = _parser().parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors only
    rows = asyncio.run(_measured(given))
    print(json.dumps({row.name: row.as_json() for row in rows}, indent=1) if given.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


def table(rows: list[Figure]) -> str:
    """The figures as aligned text."""
    head = f"{'what':<62}{'value':>10}       target"
    return "\n".join([head, *(row.as_text() for row in rows)])


async def _measured(given: argparse.Namespace) -> list[Figure]:
    if given.name == "wait":
        return await wait.measure(given.approvals)
    if given.name == "slack":
        return await slack.measure(given.quick)
    return await core.measure(given.only, quick=given.quick, pending_requests=given.pending)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=["wait", "core", "slack"], default="core", help="what to measure")
    parser.add_argument("--json", action="store_true", help="one object: a key per row with value, target, unit, ok")
    parser.add_argument("--approvals", type=int, default=300, help="wait: how many of each to measure")
    parser.add_argument("--only", nargs="+", choices=core.ROWS, default=[], help="core: these rows alone")
    parser.add_argument(
        "--quick", action="store_true", help="core, slack: small counts, to see that it runs; no measurement"
    )
    parser.add_argument("--pending", type=int, default=100_000, help="core: how many requests are pending at most")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
