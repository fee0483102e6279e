"""Python's collector of garbage that refers to itself, told what a process is like that serves for months."""

from __future__ import annotations

import gc
from typing import Final

#: Objects made and not gone again before the young are looked at (700 by default), and how often the older ones are.
_THRESHOLDS: Final = (20_000, 20, 20)


def settle() -> None:
    """Leave out of every collection what stands by now, and look less often for what comes.

    Whatever a bot is built of stands until it ends, and most of what a request leaves behind goes without the
    collector; with Python's own thresholds a tenth of the time went into looking at the same objects again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
