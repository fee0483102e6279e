"""What people are asked where an answer takes a reason, alike at every door."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 500  #: characters of a reason
WHY_RIGHT: Final = "Why is this right?"
STANDS_IN_THE_RECORD: Final = "It stands in the record with your approval."
