"""Reading what agents and tools append: strictly, once, with a refusal that names the field and the remedy."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from approvals.action import Action, Frozen, Name, digest_of
from approvals.errors import EntryRefused
from approvals.strict_json import malformed, parse

_ISO_DURATION = re.compile(r"PT(?=[0-9])(?:([0-9]{1,4})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,8})S)?")

Version = Annotated[int, Field(ge=1, le=1)]  # a Literal would take true for 1
RequestId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}-[a-z2-7]{24}$")]
Attempt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,86}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}$", max_length=8_192)]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._@-]{0,127}$")]


class RequestDocument(Frozen):
    """What an agent asks (type `request`)."""

    v: Version
    call: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$")]
    action: Action
    audience: Name | None = None
    because: Annotated[str, StringConstraints(max_length=2_000)] = ""
    principal: Reference | None = None
    principal_token: Token | None = Field(default=None, repr=False)
    started_by: Reference | None = None
    within: Annotated[str, StringConstraints(max_length=20)] | None = None
    cancel_on_disconnect: bool = False
    supersedes: RequestId | None = None
    trace: Annotated[str, StringConstraints(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None = None

    @property
    def within_ms(self) -> int | None:
        """The deadline the agent asks for, in ms, or None."""
        return None if self.within is None else _milliseconds(self.within)


class About(Frozen):
    """A word about a request that was made before (types `withdraw` and `collect`)."""

    v: Version
    request: RequestId


class Heartbeat(Frozen):
    """An agent is still there (type `heartbeat`): its requests with `cancel_on_disconnect` stay open."""

    v: Version


class SpendDocument(Frozen):
    """A tool that is about to act (type `spend`)."""

    v: Version
    receipt: Annotated[str, StringConstraints(max_length=16_384)]
    attempt: Attempt


class ReportDocument(Frozen):
    """A tool that says how it ended (type `report`)."""

    v: Version
    request: RequestId
    attempt: Attempt
    outcome: Literal["succeeded", "failed", "unknown"]
    note: Annotated[str, StringConstraints(max_length=500)] = ""


Document = TypeVar("Document", bound=BaseModel)


def read(model: type[Document], raw: bytes) -> Document:
    """Read one intake body as `model`; raises EntryRefused that names the field, never its value."""
    value = parse(raw)
    if not isinstance(value, dict):
        raise malformed("the body is not a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise _refusal(exc.errors(include_url=False, include_input=False)[0]) from exc


def read_request(raw: bytes) -> RequestDocument:
    """Read a request, and make sure that its digest and its deadline can be computed."""
    document = read(RequestDocument, raw)
    if document.within is not None:
        _milliseconds(document.within)
    try:
        digest_of(document.action.model_dump())
    except ValueError as exc:  # rfc8785's errors: a number or string that has no canonical form
        raise malformed("the action has no canonical form", "action", "send ids and large numbers as strings") from exc
    return document


def _milliseconds(text: str) -> int:
    found = _ISO_DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = ((hours * 60 + minutes) * 60 + seconds) * 1000
    if total <= 0:
        raise malformed("not an ISO 8601 duration of hours, minutes and seconds", "within", "write it like PT30M")
    return total


def _refusal(error: Any) -> EntryRefused:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return malformed("there is no such member", field, "remove it")
    if error["type"] == "missing":
        return malformed("this member is missing", field, "add it")
    return malformed(str(error["msg"]), field, "see docs/reference/redis-contract.md")
