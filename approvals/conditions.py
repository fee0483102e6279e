"""Conditions that a rule writes in CEL: checked when the policy is loaded, evaluated at intake, always bounded.

A condition that cannot be evaluated (a member is missing, a value is of another type) is unclear, never false: the
caller then takes the strict side.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from approvals.money import millionths
from approvals.windows import functions, windows_in

if TYPE_CHECKING:
    from cel import Program

Functions = Mapping[str, Callable[..., Any]]

LONGEST: Final = 1_000  #: characters of a condition
#: Members in one object or list that a condition with a macro goes through; what is longer makes it unclear.
MOST_MEMBERS: Final = 1_000

#: What a condition may look at. `arguments` and `preconditions` are the action's own; of the others, these members.
VARIABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "request": {"kind": "a.b", "target": "t", "agent": "a", "principal": "p", "audience": "a", "started_by": "s"},
    "kind": {"effect": "send", "risk": "high", "reversible": False, "environment": "production"},
    "agent": {"name": "a", "owner": "o"},
    "principal": {"name": "p", "team": "t", "manager": "m"},
    "arguments": {},
    "preconditions": {},
}
#: What those functions give that know what was asked before; they are handed in when a condition is evaluated.
WINDOWS: Final[Functions] = functions(lambda window: 0)
_LIBRARY: Final = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches"}
    | {"int", "uint", "double", "string", "bytes", "timestamp", "duration"}
)

_TEXTS: Final = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""")
_ODD: Final = re.compile(r"['\"`]|//")
_GLUED: Final = re.compile(r'\w""|""""')  # raw texts, bytes and triple quotes
_MACRO: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_BOUND: Final = re.compile(_MACRO.pattern + r"\s*([A-Za-z_]\w*)")
_MEMBER: Final = re.compile(r"(?<![\w.])(request|kind|agent|principal)\s*\.\s*([A-Za-z_]\w*)")
_PATTERN_OF_A_VALUE: Final = re.compile(r'\bmatches\s*\(\s*(?!"")')
_OPERATOR: Final = re.compile(r"[^A-Za-z]")


def checked(text: str) -> str:
    """A condition that can be evaluated; raises ValueError that says what is wrong with it."""
    plain = _without_texts(text)
    program = _compiled(text)
    _check_names(program, plain)
    windows_in(text)
    _check_bounds(plain)
    _check_type(program)
    return text


def holds(text: str, variables: Mapping[str, Any], functions: Functions) -> bool | None:
    """Whether a checked condition is true; None where that cannot be told."""
    if _MACRO.search(text) and _too_many((variables["arguments"], variables["preconditions"])):
        return None
    try:
        found = _compiled(text).execute({**variables, "money": money, **functions})
    except Exception:  # whatever a value does to the evaluation, it never makes a rule go away
        return None
    return found if isinstance(found, bool) else None


def money(value: Any) -> int:
    """An amount for comparisons with other amounts: `money(arguments.amount) > money("10000")`, exact."""
    found = millionths(value)
    if found is None:
        raise ValueError("not an amount")  # without the value: the library logs it
    return found


@lru_cache(maxsize=1_024)
def _compiled(text: str) -> Program:
    from cel import compile  # half a second of imports, for those policies alone that have a condition

    try:
        return compile(text)
    except ValueError as exc:
        raise ValueError(f"not CEL: {_first_line(exc)}") from exc


def _first_line(exc: Exception) -> str:
    """The parser's own words for what is wrong: "1:4: Syntax error: …"."""
    found = re.search(r"<input>:(.*)", str(exc))
    return " ".join((found[1] if found else str(exc)).split())[:200]


def _without_texts(text: str) -> str:
    """The condition with every text literal emptied, so that what stands in one is not taken for code."""
    plain = _TEXTS.sub('""', text)
    if _ODD.search(plain.replace('""', " text ")) or _GLUED.search(plain):
        raise ValueError("write plain texts on one line between single or double quotes, and no comments")
    return plain


def _check_names(program: Program, plain: str) -> None:
    for root, member in _MEMBER.findall(plain):
        if member not in VARIABLES[root]:
            raise ValueError(f"there is no {root}.{member}{_nearest(member, VARIABLES[root])}")
    known = {*VARIABLES, *_BOUND.findall(plain)}
    for name in program.variables():
        if name not in known:
            raise ValueError(f"there is no {name}{_nearest(name, VARIABLES)}")
    callable_ = {*_LIBRARY, *WINDOWS, "money"}
    for name in program.functions():
        if not _OPERATOR.match(name) and name not in callable_:
            raise ValueError(f"there is no function {name}{_nearest(name, callable_)}")


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there is {', '.join(sorted(known))}"


def _check_bounds(plain: str) -> None:
    """What could take longer than a look at every member once is refused."""
    if _PATTERN_OF_A_VALUE.search(plain):
        raise ValueError("matches() takes a pattern that you write, not one that an agent sends")
    opened: list[bool] = []
    starts = {found.end() - 1 for found in _MACRO.finditer(plain)}
    for place, character in enumerate(plain):
        if character == "(":
            if place in starts and any(opened):
                raise ValueError("all, exists, exists_one, map and filter cannot stand inside one another")
            opened.append(place in starts)
        elif character == ")" and opened:
            opened.pop()


def _check_type(program: Program) -> None:
    """Evaluate it once with values of the right types, and arguments that are all missing."""
    try:
        found = program.execute({**VARIABLES, "money": money, **WINDOWS})
    except (KeyError, IndexError):
        return  # an argument that this request has not: told at intake
    except Exception as exc:
        raise ValueError(f"cannot be evaluated: {' '.join(str(exc).split())[:200]}") from exc
    if not isinstance(found, bool):
        raise ValueError(f"is {type(found).__name__}, not true or false")


def _too_many(value: Any) -> bool:
    """Whether any list or object in it has more members than a condition goes through."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return False
    return len(value) > MOST_MEMBERS or any(_too_many(one) for one in value)
