"""Where a request stands in a list that is sorted by when it was asked: the instant first, then the id."""

from __future__ import annotations

import re
from typing import TypeAlias

from approvals.request import Request

Place: TypeAlias = tuple[int, str]


def place_of(request: Request) -> Place:
    """Where a request stands."""
    return request.asked_at, request.id


def cursor_at(place: Place) -> str:
    """A cursor that leads to what is listed after a place, whether or not anything stands there by then."""
    return f"{place[0]}-{place[1]}"


def position(cursor: str) -> Place:
    """The place in a cursor. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,15})-([0-9]{1,4}-[a-z2-7]{24})", cursor)
    if found is None:
        raise ValueError("this is no cursor of a list")
    return int(found[1]), found[2]
