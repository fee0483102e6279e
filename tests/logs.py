"""What a test may do to the logs of everybody, and has to leave as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logging_left_alone() -> Iterator[None]:
    """Whatever is configured in between ends with it: no later test writes into a stream that is closed by then."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
