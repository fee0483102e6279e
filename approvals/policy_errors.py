"""What is wrong with a policy file's keys and values, in words for the person who wrote them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel

from approvals.errors import Problem
from approvals.policy_file import (
    NOT_BUILT,
    Account,
    AgentName,
    Clock,
    Destination,
    Id,
    KindName,
    Line,
    OnCall,
    PolicyFile,
)

#: What to write where a form is prescribed, by the pattern of the form.
_WRITE: Final[Mapping[str, str]] = {
    get_args(form)[1].pattern: words
    for form, words in (
        (
            Destination,
            "slack:C…, by the channel's id, not its name (a person: slack:U…); or teams:19:…@thread.tacv2",
        ),
        (Account, "slack:T…:U…, the ids of the workspace and of the member; or teams:<tenant id>:<object id>"),
        (KindName, "a kind as small letters and digits with dots between, such as payments.release"),
        (AgentName, "a name of small letters, digits, _ and -"),
        (Id, "an id of small letters, digits, dots, _ and -"),
        (OnCall, "pagerduty:<id of a schedule>, or ical:<name of a calendar>"),
        (Clock, "a time of day such as 22:00"),
        (Line, "one line without any of < > & * _ ` ~ |"),
    )
}


def all_explained(errors: Sequence[Mapping[str, Any]], shape: type[BaseModel] = PolicyFile) -> Iterator[Problem]:
    """Pydantic's errors about a file; a list that is only short of the items that are wrong is not one more."""
    wrong = {tuple(error["loc"])[:-1] for error in errors}
    for error in errors:
        if error["type"] != "too_short" or tuple(error["loc"]) not in wrong:
            yield explained(error, shape)


def explained(error: Mapping[str, Any], shape: type[BaseModel] = PolicyFile) -> Problem:
    """One of pydantic's errors about a file of this shape as "where: what; remedy"."""
    path: tuple[str | int, ...] = tuple(error["loc"])
    where = ".".join(str(part) for part in path)
    if error["type"] == "missing":
        return Problem("this key is missing; add it", path, where)
    if write := _WRITE.get(str(error.get("ctx", {}).get("pattern"))):
        return Problem(f"write {write}", path, where)
    if error["type"] != "extra_forbidden":
        return Problem(str(error["msg"]).removeprefix("Value error, "), path, where)
    key = str(path[-1])
    if key in NOT_BUILT:
        return Problem("this key's feature is not built yet; remove it (it would not be enforced)", path, where)
    near = difflib.get_close_matches(key, _keys_at(path[:-1], shape), n=1)
    return Problem("there is no such key" + (f"; did you mean {near[0]!r}?" if near else ""), path, where)


def _keys_at(path: tuple[str | int, ...], shape: type[BaseModel]) -> list[str]:
    """The keys that may stand in the section to which a path leads."""
    section: type[BaseModel] | None = shape
    for part in path:
        fields = section.model_fields if section else {}
        named = next((field for name, field in fields.items() if part in (name, field.alias)), None)
        if named is not None:
            section = next(_sections(named.annotation), None)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The section that stands at a key, in a list or under names of its own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
