"""Requests out of files and out of Redis, as policy judges them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from approvals.errors import EntryRefused, NotFound
from approvals.indices import Query
from approvals.intake import RequestDocument, read_request
from approvals.lifecycle import Status
from approvals.policy import Policy
from approvals.ports import Store
from approvals.question import Question
from approvals.request import Request
from bot.settings import Settings

_PAGE: Final = 200


class QuestionInvalid(Exception):
    """A file does not hold what it should; the sentence says what, and never a value."""


@dataclass(frozen=True)
class Past:
    """A request that was made: how people name it, and what policy can judge."""

    name: str
    at: int  #: ms
    agent: str
    asked: Question | RequestDocument
    used_at: int | None = None  #: ms; None: its receipt was not used
    over_at: int | None = None  #: ms from which it could not be used any more; None: it may still be

    def question(self, policy: Policy) -> Question:
        """The question as this policy takes it. Raises EntryRefused."""
        if isinstance(self.asked, RequestDocument):
            return policy.admit(self.asked, self.agent, self.at)
        policy.must_allow(self.asked, self.at)
        return self.asked


@dataclass(frozen=True)
class Found:
    """Past requests, and the names of those that are kept no more."""

    requests: list[Past] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def question_in(text: str, policy: Policy, agent: str, now: int) -> Question:
    """The question in a file: a request as an agent sends it, or one as Redis keeps it.

    Raises EntryRefused where the policy does not take it, QuestionInvalid for a file that is neither.
    """
    return _past(_object(text), agent, now).question(policy)


async def past_requests(against: str | None, settings: Callable[[], Settings]) -> Found:
    """The requests that the text of an exported journal or of a file of requests names; without one, all of Redis'."""
    from bot.house import open_store

    if against is None:
        async with open_store(settings(), read_only=True) as store:
            return Found([_of(request) async for request in _kept(store)])
    found, named = Found(), list[str]()
    for number, line in enumerate(against.splitlines(), 1):
        value = _object(line, f"line {number}: ")
        if "record" in value:
            named += _named(value)
        else:
            found.requests.append(_past(value, "", 0, f"line {number}"))
    if named:
        async with open_store(settings(), read_only=True) as store:
            await _look_up(store, named, found)
    return found


async def _look_up(store: Store, names: list[str], found: Found) -> None:
    for name in names:
        found.gone.append(name)
        with suppress(NotFound):
            found.requests.append(_of((await store.get(name)).request))
            found.gone.pop()


async def _kept(store: Store) -> AsyncIterator[Request]:
    cursor: str | None = ""
    while cursor is not None:
        page = await store.list(Query(statuses=tuple(Status)), cursor, _PAGE)
        for request in page.requests:
            yield request
        cursor = page.cursor


def _named(entry: dict[str, Any]) -> list[str]:
    """The request that a journal entry says was asked, if it is such an entry."""
    record = entry["record"]
    told = _object(record) if isinstance(record, str) else record
    begins = isinstance(told, dict) and "request" in told and told.get("from", "") is None
    return [str(told["request"])] if begins else []


def _past(value: dict[str, Any], agent: str, now: int, name: str = "") -> Past:
    if "terms" in value:
        return _of(_stored(value))
    said, at = value.pop("agent", ""), value.pop("asked_at", now)
    if not isinstance(at, int):
        raise QuestionInvalid("not a request: asked_at: write an instant in milliseconds since 1970")
    if not (agent or said):
        raise QuestionInvalid("it does not say who asks; pass --agent, or add an `agent`")
    try:
        document = read_request(json.dumps(value).encode())
    except EntryRefused as exc:
        raise QuestionInvalid(f"not a request: {exc.field or 'it'}: {exc.message}") from exc
    return Past(f"{name} {document.call}".strip(), at, agent or said, document, used_at=at)


def _stored(value: dict[str, Any]) -> Request:
    try:
        return Request.model_validate_json(json.dumps(value))
    except ValidationError as exc:
        where = ".".join(str(part) for part in exc.errors(include_input=False)[0]["loc"])
        raise QuestionInvalid(f"not a request as Redis keeps it: {where}") from exc


def _of(request: Request) -> Past:
    used_at = request.spend.at if request.spend else None
    return Past(request.code, request.asked_at, request.agent, request.question, used_at, _over_at(request))


def _over_at(request: Request) -> int | None:
    """From when a request could not be used any more; one that was used could until then."""
    if request.status in (Status.PENDING, Status.APPROVED):
        return None
    return request.closed_at or (request.decision.at if request.decision else request.asked_at)


def _object(text: str, where: str = "") -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise QuestionInvalid(f"{where}not JSON") from exc
    if not isinstance(value, dict):
        raise QuestionInvalid(f"{where}not a JSON object")
    return value
