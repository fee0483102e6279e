"""What earlier versions have stored is still read, as it was meant: the files in golden/ are never written again.

A change to the stored document adds a file here. A new member needs a value for those that have none.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from approvals.errors import StoreUnavailable
from approvals.indices import Query
from approvals.lifecycle import Event, Status
from approvals.request import Request
from storage.documents import read_request
from storage.redis.keys import Keys
from tests.build import a_change
from tests.storage.conftest import RedisRoom

GOLDEN: Final = Path(__file__).parent / "golden"
FIRST = (GOLDEN / "request-v1.json").read_bytes()  #: as the first version wrote it
PACKED = base64.b64decode((GOLDEN / "request-v1-packed.b64").read_text())  #: as later ones did
PACKED_AS_JSON = (GOLDEN / "request-v1-packed.json").read_bytes()
LEAN = base64.b64decode((GOLDEN / "request-v1-lean.b64").read_text())  #: without defaults and digests
LEAN_AS_JSON = (GOLDEN / "request-v1-lean.json").read_bytes()
DEFAULTS: Final = GOLDEN / "defaults.json"  #: what is not written, because it means this; write it with this module


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything that was written is there; members that came later may be there too."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and holds(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


def read(text: bytes) -> Request:
    return read_request(text, "0-3uqy2knlgpr3uco3b5c7xr57", 4, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [(FIRST, FIRST), (PACKED, PACKED_AS_JSON), (LEAN, LEAN_AS_JSON)],
    ids=["v1", "v1 packed", "v1 lean"],
)
def test_everything_that_was_written_is_read(text: bytes, said: bytes) -> None:
    request = read(text)
    assert holds(json.loads(request.model_dump_json()), json.loads(said))
    assert request.action.digest() == request.digest
    assert (request.version, request.decision_entry) == (4, 2)


def test_of_the_first_version_what_came_later_is_as_if_nobody_had_asked_for_it() -> None:
    request = read(FIRST)
    assert (request.status, request.next_due()) == (Status.UNKNOWN, None)
    assert (request.terms.deny_quorum, request.terms.escalation, request.interventions) == (1, (), ())
    assert request.asked == request.terms
    assert request.reported(Event.SUCCEED, 1).status is Status.SUCCEEDED


def defaults() -> dict[str, Any]:
    """Every member that may be left out of a stored request, by the model it is of, with what it then is."""
    found: dict[str, Any] = {}
    models: list[type[BaseModel]] = [Request]
    for model in models:
        for name, member in model.model_fields.items():
            models += [one for one in _models_in(member.annotation) if one not in models]
            if not (member.is_required() or member.exclude):
                found[f"{model.__name__}.{name}"] = to_jsonable_python(member.get_default(call_default_factory=True))
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def test_what_was_left_out_still_means_what_it_meant() -> None:
    assert defaults() == json.loads(DEFAULTS.read_text()), (
        "a default of a stored member: add a new one by `python -m tests.storage.test_golden`; an old one never changes"
    )


def test_a_default_of_every_stored_model_is_known() -> None:
    assert {"Request.v", "Action.preconditions", "Factor.need", "Vote.reason", "Piece.ours"} <= defaults().keys()


def test_of_a_version_to_come_nothing_is_guessed() -> None:
    for change in ({"v": 2}, {"not_yet_known": 1}):
        with pytest.raises(StoreUnavailable):
            read(json.dumps({**json.loads(FIRST), **change}).encode())


@pytest.mark.redis
async def test_a_request_that_the_first_version_left_in_redis_lives_on(redis: RedisRoom) -> None:
    keys, id_ = Keys(0), read(FIRST).id
    fields = {"doc": FIRST, "version": 4, "decision_entry": 2, "tokens": "", "due": ""}
    await redis.client.hset(keys.request(id_), mapping=fields)
    assert (await redis.store.get(id_)).request == read(FIRST)
    after = await redis.store.update(id_, lambda s: a_change(s.request.reported(Event.SUCCEED, s.now)))
    assert (after.request.status, after.request.version) == (Status.SUCCEEDED, 5)
    assert (await redis.store.get(id_)).request == after.request
    page = await redis.store.list(Query(statuses=(Status.SUCCEEDED,)))
    assert [one.id for one in page.requests] == [id_]


if __name__ == "__main__":
    kept = json.loads(DEFAULTS.read_text()) if DEFAULTS.exists() else {}
    DEFAULTS.write_text(json.dumps(defaults() | kept, indent=1) + "\n")
