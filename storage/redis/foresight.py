"""Which number the journal will give to the next commit, as far as this process can tell.

A receipt names the number of its decision. Where that can be foretold, the receipt is signed before the commit, and the
commit publishes it if the number came true; else it is signed again afterwards, which costs more than was hoped for.
"""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.1  #: of the last commit, against all before it
_WORTH_IT: Final = 0.5  #: how often it has to come true
_ANOTHER_TRY: Final = 16  #: the decision after which it is tried once more where it was not worth it


class Foresight:
    """Of one partition: the one after the last that was heard of, unless a commit of this process is under way.

    Another process may be quicker; where that is so too often, nothing is foretold but for a try now and then.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._under_way = 0
        self._luck = 1.0
        self._skipped = 0

    def next(self) -> int | None:
        """The number of a decision that is committed at once; None where it is not worth foretelling."""
        if self._last is None or self._under_way:  # commits go over several lines, in no order
            return None
        if self._luck < _WORTH_IT and self._skipped < _ANOTHER_TRY:
            self._skipped += 1
            return None
        self._skipped = 0
        return self._last + 1

    def heard(self, number: int) -> None:
        """The journal has come to a number, or beyond."""
        self._last = max(self._last or 0, number)

    def begins(self) -> None:
        """A commit is under way."""
        self._under_way += 1

    def ended(self, *, foretold: bool | None = None) -> None:
        """A commit is no longer under way; whether the number that was foretold came true, if one was."""
        self._under_way -= 1
        if foretold is not None:
            self._luck += _WEIGHT * (foretold - self._luck)
