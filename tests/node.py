"""What comes from npm, which .ci/node fetches into a cache outside the repository; and the node that runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
NODE = Path(os.environ.get("TESTS_NODE") or CACHE / "sayso" / "node") / "node_modules"


def node() -> str:
    """The node to run: the one that was fetched because the machine's own is too old, else the machine's."""
    fetched = sorted(NODE.glob("node-linux-*/bin/node"))
    return str(fetched[0]) if fetched else "node"


def needs(package: str) -> pytest.MarkDecorator:
    """Skip, and say so, where a package was not fetched; in CI that fails the run."""
    missing = not (NODE / package).is_dir()
    return pytest.mark.skipif(missing, reason=f"NOT TESTED: no {package} in {NODE}; run .ci/node")
