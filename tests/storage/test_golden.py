"""What earlier versions have stored is still read, as it was meant: the files in golden/ are never written again.

A change to the stored document adds a file here. A new member needs a value for those that have none.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

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
PACKED = base64.b64decode((GOLDEN / "request-v1-packed.b64").read_text())  #: as later ones do
PACKED_AS_JSON = (GOLDEN / "request-v1-packed.json").read_bytes()


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything that was written is there; members that came later may be there too."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and holds(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


def read(text: bytes) -> Request:
    return read_request(text, 4, 2)


@pytest.mark.parametrize(("text", "said"), [(FIRST, FIRST), (PACKED, PACKED_AS_JSON)], ids=["v1", "v1 packed"])
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
