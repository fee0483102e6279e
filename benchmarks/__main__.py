"""python -m benchmarks NAME [--json]: measure, and print each figure beside its target."""

from __future__ import annotations

import argparse
import asyncio
import json

from benchmarks import wait
from benchmarks.report import Figure


def main() -> int:
    """Run one benchmark; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=["wait"], default="wait", help="what to measure")
    parser.add_argument("--json", action="store_true", help="one object: a key per row with value, target, unit, ok")
    parser.add_argument("--approvals", type=int, default=300, help="how many of each to measure")
    given = parser.parse_args()
    rows = asyncio.run(wait.measure(given.approvals))
    print(json.dumps({row.name: row.as_json() for row in rows}, indent=1) if given.json else table(rows))
    return 0 if all(row.ok for row in rows) else 1


def table(rows: list[Figure]) -> str:
    """The figures as aligned text."""
    head = f"{'what':<44}{'value':>12}  {'target':<12}"
    return "\n".join([head, *(row.as_text() for row in rows)])


if __name__ == "__main__":
    raise SystemExit(main())
