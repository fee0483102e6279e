"""Any interleaving of everything that can happen: the invariants hold, and both memories say the same.

The numbers are those of DESIGN §1: 1 silence is never a yes; 2 one decision, one spend key, one use; 4 nobody of the
principal chain, and each person once; 9 the same call is the same request, and another action is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from approvals.action import request_id
from approvals.lifecycle import TRANSITIONS, Status
from approvals.receipt import TYP
from approvals.request import Request
from tests.proof.lives import (
    ACTIONS,
    AGENTS,
    ATTEMPTS,
    CALLS,
    CHAIN,
    LEADS,
    NEED,
    OPS,
    PARTITIONS,
    PEOPLE,
    MemorySide,
    RedisSide,
    Sent,
    Side,
    seen,
)
from tests.servers import Server, running

pytestmark = pytest.mark.redis

FOLLOWS = {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}
bots = st.integers(0, 1)
calls = st.sampled_from([*CALLS, CALLS[0], CALLS[0], CALLS[3]])
ids = calls.map(lambda which: request_id(*which, PARTITIONS))
people = st.sampled_from([*PEOPLE, "alice", "bob", "carol"])
operators = st.sampled_from(["carol", "dave", "alice"])


class Lives(RuleBasedStateMachine):
    """Asks both sides the same, and looks at both after every step."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.sides: list[Side] = []
        self.past: list[Sent] = []  #: what was sent and handled: it may be delivered again
        self.late: list[Sent] = []  #: what was sent and not handled yet
        self.actions: dict[str, str] = {}  #: the digest with which a request was first seen
        self.said: dict[tuple[str, str], str] = {}  #: what each person was last told that counts
        self.decided: list[dict[str, Any]] = [{}, {}]

    def both(self, name: str, *args: Any) -> Any:
        """Ask both; they have to answer the same."""

        async def ask() -> list[Any]:
            return [await side.ask(name, *args) for side in self.sides]

        memory, redis = self.runner.run(ask())
        assert memory == redis, (name, args)
        return memory

    # -- everything that can happen -----------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        async def start() -> list[Side]:
            sides: list[Side] = [MemorySide(), await RedisSide.connect(self.server.url)]
            for side in sides:
                await side.start()
            return sides

        self.sides = self.runner.run(start())

    def send(self, bot: int, sent: Sent, later: bool) -> None:
        """An entry is delivered now, or lies there for a while."""
        if later:
            self.late.append(sent)
            return
        self.past.append(sent)
        self.both("deliver", bot, sent)

    @rule(bot=bots, which=calls, action=st.sampled_from([0, 0, 1, 2]), cancel=st.booleans(), later=st.booleans(),
          supersedes=st.none() | ids)  # fmt: skip
    def asks(self, bot: int, which: tuple[str, str], action: int, cancel: bool, later: bool, supersedes: str) -> None:
        agent, call = which
        body = {"v": 1, "call": call, "action": ACTIONS[action].model_dump(), "cancel_on_disconnect": cancel}
        self.send(bot, ("request", agent, body | ({"supersedes": supersedes} if supersedes else {})), later)

    @rule(bot=bots, which=calls, kind=st.sampled_from(["withdraw", "collect", "collect"]), later=st.booleans())
    def speaks_of_it(self, bot: int, which: tuple[str, str], kind: str, later: bool) -> None:
        self.send(bot, (kind, which[0], {"v": 1, "request": request_id(*which, PARTITIONS)}), later)

    @rule(bot=bots, agent=st.sampled_from(AGENTS))
    def is_there(self, bot: int, agent: str) -> None:
        self.send(bot, ("heartbeat", agent, {"v": 1}), False)

    @rule(bot=bots, which=calls, attempt=st.sampled_from(ATTEMPTS), fresh=st.booleans(), later=st.booleans())
    def spends(self, bot: int, which: tuple[str, str], attempt: str, fresh: bool, later: bool) -> None:
        request = request_id(*which, PARTITIONS)
        self.send(bot, ("spend", which[0], {"v": 1, "receipt": request, "fresh": fresh, "attempt": attempt}), later)

    @rule(bot=bots, which=calls, attempt=st.sampled_from(ATTEMPTS), later=st.booleans(),
          outcome=st.sampled_from(["succeeded", "failed", "unknown"]))  # fmt: skip
    def reports(self, bot: int, which: tuple[str, str], attempt: str, later: bool, outcome: str) -> None:
        request = request_id(*which, PARTITIONS)
        body = {"v": 1, "request": request, "attempt": attempt, "outcome": outcome}
        self.send(bot, ("report", which[0], body), later)

    @precondition(lambda self: self.late)
    @rule(bot=bots, place=st.integers(0, 9))
    def a_late_entry_arrives(self, bot: int, place: int) -> None:
        self.send(bot, self.late.pop(place % len(self.late)), False)

    @precondition(lambda self: self.past)
    @rule(bot=bots, place=st.integers(0, 30))
    def an_entry_is_delivered_again(self, bot: int, place: int) -> None:
        self.both("deliver", bot, self.past[place % len(self.past)])

    @rule(bot=bots, request=ids, who=people, answer=st.sampled_from(["approve", "approve", "deny", "changes"]))
    def clicks(self, bot: int, request: str, who: str, answer: str) -> None:
        told = self.both("click", bot, request, who, answer)
        if told[0] == "counted" or "crashed" in told:
            self.said[request, who] = answer

    @rule(bot=bots, request=ids, others=st.permutations(["alice", "bob", "carol"]), number=st.integers(2, 3))
    def click_together(self, bot: int, request: str, others: list[str], number: int) -> None:
        for who in others[:number]:
            self.clicks(bot, request, who, "approve")

    @rule(bot=bots, request=ids, who=people)
    def takes_back(self, bot: int, request: str, who: str) -> None:
        told = self.both("retract", bot, request, who)
        if told[0] == "counted" or "crashed" in told:
            self.said[request, who] = "nothing"

    @rule(bot=bots, request=ids, who=operators, what=st.sampled_from(["revoke", "succeeded", "failed", "extend"]))
    def intervenes(self, bot: int, request: str, who: str, what: str) -> None:
        args: dict[str, tuple[Any, ...]] = {"revoke": ("revoke",), "extend": ("extend", 300_000)}
        name, *more = args.get(what, ("resolve", what, "looked it up"))
        self.both("operate", bot, name, who, request, *more)

    @rule(bot=bots, who=operators, scope=st.sampled_from([("agent", AGENTS[0]), ("kind", "payments.*"), ("all", "")]))
    def freezes(self, bot: int, who: str, scope: tuple[str, str]) -> None:
        self.both("operate", bot, "freeze", who, *scope, "incident")

    @rule(bot=bots, who=operators, scope=st.sampled_from([("agent", AGENTS[0]), ("kind", "payments.*"), ("all", "")]))
    def unfreezes(self, bot: int, who: str, scope: tuple[str, str]) -> None:
        self.both("operate", bot, "unfreeze", who, *scope)

    @rule(bot=bots, loop=st.sampled_from(["timers", "timers", "announcements", "announcements", "silent", "frozen"]))
    def a_loop_turns(self, bot: int, loop: str) -> None:
        self.both("tick", bot, loop)

    @rule(steps=st.sampled_from([1, 1, 2, 3, 7, 12]))
    def time_passes(self, steps: int) -> None:
        self.both("advance", steps)

    @rule(where=st.sampled_from(["after create", "after update", "before publish", "after publish"]))
    def a_bot_is_about_to_die(self, where: str) -> None:
        self.both("arm", where)

    @rule(bot=bots)
    def a_bot_is_replaced(self, bot: int) -> None:
        self.both("restart", bot)

    @rule(works=st.booleans())
    def the_key_comes_and_goes(self, works: bool) -> None:
        self.both("sign", works)

    @rule(who=st.sampled_from(["alice", "bob"]), gone=st.booleans())
    def somebody_leaves_or_comes_back(self, who: str, gone: bool) -> None:
        self.both("leave", who, gone)

    # -- what always holds ----------------------------------------------------------------------------------------------

    @invariant()
    def the_requests_are_the_same_and_sound(self) -> None:
        async def look() -> list[list[Request]]:
            return [await side.requests() for side in self.sides]

        found = self.runner.run(look()) if self.sides else [[], []]
        assert [seen(one) for one in found[:1][0]] == [seen(one) for one in found[1:][0]]
        for decided, requests in zip(self.decided, found, strict=True):
            for request in requests:
                self._is_one_request(request)
                self._was_decided_once(request, decided)

    def _is_one_request(self, request: Request) -> None:
        """9: whatever was sent under its call since, the action is the first one."""
        assert self.actions.setdefault(request.id, request.digest) == request.digest
        people = [vote.person for vote in request.votes]
        assert len(set(people)) == len(people)

    def _was_decided_once(self, request: Request, decided: dict[str, Any]) -> None:
        """2: the decision is the one that was first seen; and 1 and 4, when it is first seen."""
        if request.decision is None:
            return
        now = request.decision.model_dump_json()
        if request.id not in decided:
            decided[request.id] = now
            self._was_decided_by_people_who_may(request)
        assert decided[request.id] == now

    def _was_decided_by_people_who_may(self, request: Request) -> None:
        decision = request.decision
        assert decision is not None
        by = [vote.person for vote in decision.by]
        assert len(set(by)) == len(by)
        assert not {*by} & CHAIN
        assert (decision.jti is not None) == (decision.status is Status.APPROVED)
        if decision.status is Status.APPROVED and decision.rule is None:
            assert len(by) >= NEED
            assert {*by} <= (OPS | LEADS if request.escalated else OPS)
            assert {self.said.get((request.id, who)) for who in by} == {"approve"}
        elif decision.status is Status.APPROVED:
            assert request.action.kind == "reports.send"
        elif by:
            assert {self.said.get((request.id, who)) for who in by} <= {"deny", "changes"}

    def teardown(self) -> None:
        """Everything recovers; then the journals and all that was published are looked at."""
        try:
            if self.sides:
                self.runner.run(self._look_back())
        finally:
            self.runner.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for side in self.sides:
            await side.aclose()

    async def _look_back(self) -> None:
        journals, published = [], []
        for side in self.sides:
            await side.settle()
            await side.advance(1)
            await side.settle()
            journals.append(await side.journal())
            published.append(await side.told())
            await self._was_published_in_order(side, published[-1])
            _was_written_in_order(journals[-1])
        assert _shape(journals[0]) == _shape(journals[1])
        statuses = [{id_: [one["status"] for one in told] for id_, told in side.items()} for side in published]
        assert statuses[0] == statuses[1]

    async def _was_published_in_order(self, side: Side, published: dict[str, list[dict[str, Any]]]) -> None:
        """Nobody is told anything but the one decision and what followed from it; every receipt is for the same use."""
        for request in await side.requests():
            told = published.get(request.id, [])
            assert bool(told) == (request.decision is not None)
            for document in told:
                assert document["digest"] == self.actions[request.id]
            steps = [document["status"] for document in told]
            assert all(_may_follow(before, after) for before, after in pairwise(steps)), steps
            assert not told or steps[-1] == request.status.value
            claims = [side.signer.verify(TYP, one["receipt"]) for one in told if one["receipt"]]
            assert all(found is not None for found in claims)
            assert {found["jti"] for found in claims if found} <= {request.decision and request.decision.jti}


def _may_follow(before: str, after: str) -> bool:
    """Whether an agent may be told one after the other: some way of the table leads there."""
    known, reached = {before}, {before}
    while reached:
        reached = {two for one, two in FOLLOWS if one in reached} - known
        known |= reached
    return after in known


def _was_written_in_order(journals: list[list[dict[str, Any]]]) -> None:
    """2: in the journal each request takes one way through the table, is decided once and used at most once."""
    ways: dict[str, list[tuple[str | None, str]]] = {}
    for record in (record for journal in journals for record in journal if record.get("to")):
        if record["from"] != record["to"]:
            ways.setdefault(record["request"], []).append((record["from"], record["to"]))
    for way in ways.values():
        assert [before for before, _ in way[1:]] == [after for _, after in way[:-1]], way
        assert way[0][0] is None
        assert {*way[1:]} <= FOLLOWS
        assert [after for _, after in way].count("spent") <= 1
        assert [after for _, after in way].count("approved") <= 1


def _shape(journals: list[list[dict[str, Any]]]) -> Any:
    """What of a journal does not depend on chance or on the milliseconds of a clock."""
    names = ("event", "request", "from", "to", "by", "answer", "reason", "account", "digest", "freeze")
    return [[tuple(record.get(name) for name in names) for record in journal] for journal in journals]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that nobody else uses; what it keeps need not outlive it."""
    with running("--appendonly", "no", "--save", "") as server:
        yield server


def lived(server: Server, **depth: Any) -> None:
    """Live so many lives."""
    machine = type("Lives", (Lives,), {"server": server})
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(machine, settings=settings(deadline=None, suppress_health_check=quiet, **depth))


def test_whatever_happens_in_whatever_order(server: Server) -> None:
    found = (Phase.explicit, Phase.reuse, Phase.generate)  # the full run makes a failure small as well
    lived(server, max_examples=25, stateful_step_count=45, phases=found, print_blob=True)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_whatever_happens_in_whatever_order_at_length(server: Server) -> None:
    lived(server, max_examples=700, stateful_step_count=80)
