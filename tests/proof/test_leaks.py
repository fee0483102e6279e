"""No secret leaves the ledger: everything that the service shows, tells, logs, counts or keeps is searched for them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import string
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import generate_latest

from approvals.card import card_of
from approvals.commands.record import trail_of
from approvals.lines import lines_of
from approvals.masking import mask_of
from approvals.outline import outline
from approvals.request import Request
from approvals.review import review_of
from approvals.rows import row_of
from bot.courier import Courier
from bot.logs import configure
from bot.printing import row_of as printed_row
from bot.printing import story_of
from handlers.slack import blocks, burst
from handlers.teams import cards as teams
from tests.approvals.house import ATTEMPT
from tests.approvals.make import AGENT, NONCE, TENANT, a_policy_file, a_rule
from tests.bot.chat import Chat
from tests.bot.test_courier import until_quiet
from tests.logs import logging_left_alone
from tests.telemetry.watched import Watched, a_watched_house

KIND = "payments.release"
SHOWN = "INV-2093-is-shown"  #: what everybody may see: the search must find it, or it searches nothing
WORDS = string.ascii_letters + string.digits + ' _-/+.:<>&*"\\\nä\u202e'


@dataclass
class Seen:
    """Everything that came out, as text."""

    texts: list[str] = field(default_factory=list)

    def add(self, *things: Any) -> None:
        """Put things aside, however they are written."""
        for thing in things:
            text = thing.decode("utf-8", "backslashreplace") if isinstance(thing, bytes) else str(thing)
            self.texts += [text, json.dumps(thing, default=str, ensure_ascii=False)]

    def where(self, secret: str) -> list[str]:
        """Around which words a secret came out, as it is or as JSON escapes it."""
        forms = {secret, json.dumps(secret)[1:-1]}
        found = ((text, text.find(form)) for text in self.texts for form in forms)
        return [text[max(0, place - 200) : place + 40] for text, place in found if place >= 0]


@asynccontextmanager
async def watched(seen: Seen) -> AsyncIterator[tuple[Watched, Chat, Courier]]:
    """A whole service with secrets declared, whose every output is collected."""
    kind = a_policy_file()["kinds"][KIND] | {"secret": ["login", "keys[].value"], "summary": "Pay {invoice}"}
    logs = io.StringIO()
    with _logging_to(logs):
        house = await a_watched_house(kinds={KIND: kind}, rules=[a_rule(unseen=True, asked_again={"within": "1h"})])
        chat = Chat(lambda: house.house.now)
        yield house, chat, Courier(house.store, {"slack": chat})
        seen.add(logs.getvalue(), generate_latest(house.kit.metrics.registry))
    seen.add(*(span.to_json() for span in house.spans.get_finished_spans()), *(await house.house.journal()))
    memory = house.house.store
    seen.add(*memory._renderings.values(), *house.inbox.dead_letters(), *house.inbox.answers(AGENT))
    seen.add(*memory._streams.decisions.values(), *chat.messages.values(), *chat.notes, *chat.announced)


@contextlib.contextmanager
def _logging_to(stream: io.StringIO) -> Iterator[None]:
    """The logs of everybody, as `serve` writes them, with everything that a debugger would want."""
    with logging_left_alone():
        configure("json", "debug")
        logging.getLogger().handlers[0].setStream(stream)  # type: ignore[attr-defined]
        yield


def a_body(call: str, **changes: Any) -> bytes:
    """A request as an agent sends it; `action` changes members of the action."""
    action = {"kind": KIND, "target": "bank:acme", "nonce": NONCE, "arguments": {"invoice": SHOWN}}
    return json.dumps(
        {"v": 1, "call": call, "because": "ok"} | changes | {"action": action | changes.get("action", {})}
    ).encode()


def drawings(request: Request, seen: Seen) -> None:
    """Everything that any platform or command draws of a request."""
    card = card_of(request)
    seen.add(blocks.draw(card, team=TENANT, value="v"), teams.draw(card, value="v"), card.model_dump_json())
    seen.add(burst.draw_rows([row_of(card)], ["v"], team=TENANT), row_of(card).model_dump_json())
    seen.add(review_of(request).model_dump_json(), story_of(request), printed_row(request))


async def the_one(house: Watched, call: str) -> Request:
    """The request of a call, as it stands."""
    found = [request for request in house.house.store._requests() if request.call == call]
    assert len(found) == 1, "it was refused"
    return found[0]


@pytest.mark.parametrize("seed", range(3))
async def test_no_secret_comes_out_anywhere(seed: int) -> None:
    dice, seen = random.Random(seed), Seen()
    first, second, third = ("".join(dice.choices(WORDS, k=dice.randint(12, 60))) for _ in range(3))
    credential = "ghp_" + "".join(dice.choices(string.ascii_letters + string.digits, k=36))
    async with watched(seen) as (house, _, courier):
        login = {"user": f"u{first}", "password": f"p{second}"}
        arguments = {"invoice": SHOWN, "login": login, "keys": [{"id": "k1", "value": f"k{third}"}]}
        await house.sent("request", a_body("run/1", action={"arguments": arguments}))
        asked = await the_one(house, "run/1")
        await until_quiet(courier)
        drawings(asked, seen)
        await _answered(house, asked, "changes")
        changed = arguments | {"login": login | {"password": f"q{second}"}}
        body = a_body("run/2", supersedes=asked.id, action={"arguments": changed})
        await house.sent("request", body)
        again = await the_one(house, "run/2")
        await until_quiet(courier)
        drawings(again, seen)
        await _answered(house, again, "approve")
        drawings(await the_one(house, "run/2"), seen)
        receipt = house.house.decision(again)["receipt"]
        await house.sent("spend", json.dumps({"v": 1, "receipt": receipt, "attempt": ATTEMPT}).encode())
        report = {"v": 1, "request": again.id, "attempt": ATTEMPT, "outcome": "failed", "note": f"used {credential}"}
        await house.sent("report", json.dumps(report).encode())
        await until_quiet(courier)
        drawings(await the_one(house, "run/2"), seen)
        await _refusals(house, credential, arguments)
        seen.add(*(str(trail_of(one, house.house.policies.current())) for one in house.house.store._requests()))
    assert seen.where(SHOWN)
    assert seen.where(mask_of(login["password"], NONCE))
    for secret in (login["user"], login["password"], f"q{second}", f"k{third}", credential):
        assert seen.where(secret) == []


async def _answered(house: Watched, request: Request, answer: Any) -> None:
    """Alice's answer, by a click on the posted card."""
    (post,) = (await house.store.get(request.id)).posts.values()
    shown, reference = post.shown, post.reference
    verdict = await house.house.click(request, "alice", answer, shown=shown, reference=reference, reason="because")
    assert type(verdict).__name__ == "Counted", verdict


async def _refusals(house: Watched, credential: str, arguments: dict[str, Any]) -> None:
    """Everything that is not accepted, each with secrets in it."""
    where: list[dict[str, Any]] = [
        {"action": {"arguments": {"note": credential}}},
        {"action": {"arguments": {credential: 1}}},
        {"action": {"target": credential}},
        {"action": {"preconditions": {"etag": credential}}},
        {"because": credential},
        {"principal": credential},
        {"started_by": credential},
        {"audience": "stranger", "action": {"arguments": arguments}},
        {"principal": "stranger", "action": {"arguments": arguments}},
        {"principal_token": f"e30.e30.{credential}"},
        {"surprise": credential},
        {"action": {"surprise": credential}},
        {"v": credential},
        {"call": f"run/{credential}", "within": "soon"},
        {"audience": credential},
    ]
    for number, changes in enumerate(where):
        await house.sent("request", a_body(**({"call": f"refused/{number}"} | changes)))
    await house.sent("request", a_body("run/1", action={"arguments": arguments | {"invoice": "another"}}))
    for broken in (
        a_body("x", action={"arguments": arguments})[:-1],
        b"\x80" + credential.encode(),
        credential.encode(),
    ):
        await house.sent("request", broken)
        for kind in ("spend", "report", "withdraw", "nonsense"):
            await house.sent(kind, broken)
    assert len(house.house.store._requests()) == 2, "all of these were refused"


def test_what_the_search_relies_on() -> None:
    """A mask is drawn as it is, so that finding one shows that the drawings were searched."""
    mask = mask_of("hunter2hunter2", NONCE)
    (line,), whole = lines_of({"login": mask}, 1_000)
    assert (line.value, whole) == ((str(mask),), True)
    assert b"hunter2" not in outline(b'{"action": {"arguments": {"login": "hunter2"}}}')
