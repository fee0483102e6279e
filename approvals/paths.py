"""Paths into the arguments of an action, as policy writes them and cards show them: `payee.name`, `items[0].sku`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

_STEP: Final = r"[A-Za-z0-9_-]{1,40}"
#: One value, wherever it stands.
PATH: Final = rf"{_STEP}(\.{_STEP}|\[[0-9]{{1,4}}\])*"
#: A value and everything in it; `[]` is every place in a list.
PATTERN: Final = rf"{_STEP}(\.{_STEP}|\[[0-9]{{0,4}}\])*"

_PARTS: Final = re.compile(r"\[([0-9]*)\]|([A-Za-z0-9_-]+)")
_NOWHERE: Final = object()

Part = str | int  #: a member's name, or a place in a list


def leaves(value: Any, at: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], Any]]:
    """Every innermost value with where it stands; an empty object or list is one too."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*at, name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from leaves(inner, (*at, place))
    else:
        yield at, value


def is_step(name: str) -> bool:
    """Whether a member's name can stand in a path."""
    return re.fullmatch(_STEP, name) is not None


def value_at(arguments: dict[str, Any], path: str) -> Any:
    """What stands at a path; None where nothing does."""
    found: Any = arguments
    for part in _parts(path):
        found = _step(found, part)
    return None if found is _NOWHERE else found


def lies_in(where: Sequence[Part], patterns: Sequence[str]) -> bool:
    """Whether a place is one that a pattern names, or lies inside of it."""
    return any(_begins(where, _parts(pattern)) for pattern in patterns)


def overlap(path: str, patterns: Sequence[str]) -> bool:
    """Whether showing what stands at a path would show anything that a pattern names."""
    where = _parts(path)
    return lies_in(where, patterns) or any(_begins(_parts(pattern), where) for pattern in patterns)


def _begins(where: Sequence[Part], start: Sequence[Part]) -> bool:
    return len(where) >= len(start) and all(map(_alike, where, start))


def _alike(one: Part, other: Part) -> bool:
    """Whether two steps may lead to the same place; "" is any place in a list."""
    if "" in (one, other):
        return isinstance(one, int) or isinstance(other, int) or one == other
    return one == other


def _parts(path: str) -> list[Part]:
    return [name or (int(place) if place else "") for place, name in _PARTS.findall(path)]


def _step(value: Any, part: Part) -> Any:
    if isinstance(part, int):
        return value[part] if isinstance(value, list) and part < len(value) else _NOWHERE
    return value.get(part, _NOWHERE) if isinstance(value, dict) else _NOWHERE
