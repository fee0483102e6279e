"""Any interleaving of everything that can happen: the invariants hold, and both memories say the same.

The numbers are those of DESIGN §1: 1 silence is never a yes; 2 one decision, one spend key, one use; 4 nobody of the
principal chain, and each person once; 9 the same call is the same request, and another action is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
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

from approvals.action import Action, request_id
from approvals.lifecycle import TRANSITIONS, Status
from approvals.receipt import TYP
from approvals.request import Request
from approvals.review import review_of
from tests.proof.lives import (
    ACTIONS,
    AGENTS,
    ATTEMPTS,
    CALLS,
    CHAIN,
    LEADS,
    MOST,
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
later = st.sampled_from([False, False, False, True])
any_of = st.integers(0, 20)  #: which of those that are there
people = st.sampled_from([*PEOPLE, *("alice", "bob", "carol") * 3, "dave"])
answers = st.sampled_from(["approve", "approve", "approve", "deny", "changes"])
operators = st.sampled_from(["carol", "dave", "carol", "dave", "alice"])
deaths = st.sampled_from(["", "", "", "after create", "after update", "before publish", "after publish"])
troubles = st.sampled_from(
    [
        ("arm", "after create"),
        ("arm", "after update"),
        ("arm", "before publish"),
        ("arm", "after publish"),
        ("restart", 0),
        ("restart", 1),
        ("sign", False),
        ("leave", "alice", True),
        ("leave", "bob", True),
        ("freeze", "carol", "agent", AGENTS[0]),
        ("freeze", "dave", "kind", "payments.*"),
        ("freeze", "carol", "all", ""),
        ("freeze", "alice", "all", ""),
    ]
)
MOMENT = 1_000  #: ms; more than lies between the two sides, also on a busy machine
PENDING, APPROVED, SPENT, UNKNOWN, DENIED = "pending", "approved", "spent", "unknown", "denied"


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
        self.status: dict[tuple[str, str], str] = {}  #: where each request stood after the last step
        self.frozen: list[tuple[str, ...]] = []  #: what was stopped, perhaps by a bot that died over it
        self.sure: list[tuple[str, ...]] = []  #: of these, what an operator was told is frozen
        self.used: dict[str, str] = {}  #: the attempt that was granted
        self.kinds: dict[str, str] = {}
        self.seats: set[tuple[str, str]] = set()  #: whose seat was ever handed to whom
        self.troubled = False

    def both(self, name: str, *args: Any) -> Any:
        """Ask both; they have to answer the same."""

        async def ask() -> list[Any]:
            return [await side.ask(name, *args) for side in self.sides]

        memory, redis = self.runner.run(ask())
        assert memory == redis, (name, args)
        return memory

    # -- everything that can happen ------------------------------------------------------------------------------------

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
        self.deliver(bot, sent)

    def deliver(self, bot: int, sent: Sent) -> None:
        """An entry is handled; of what is granted and refused, what must be so is looked at."""
        kind, agent, body = sent
        id_ = request_id(agent, body["call"], PARTITIONS) if kind == "request" else str(body.get("receipt"))
        before = {one.id: one.status for one in self.runner.run(self.sides[0].requests())}.get(id_)
        told = self.both("deliver", bot, sent)
        answers = dict(told[0]) if isinstance(told, tuple) else {}
        if kind == "spend" and answers.get("spend", {}).get("granted"):
            assert before is not Status.APPROVED or not self._is_frozen(id_)
            assert self.used.setdefault(id_, str(body["attempt"])) == body["attempt"]  # 2: whoever asks, how often ever
        if kind == "request" and before is not None and answers:
            same = Action(**body["action"]).digest() == self.actions.get(id_, "")
            assert same or id_ not in self.actions or answers["refused"]["reason"] in ("conflict", "not_found")  # 9

    def _is_frozen(self, request: str) -> bool:
        """Whether a request falls under what an operator was told is frozen."""
        agent = next(agent for agent, call in CALLS if request_id(agent, call, PARTITIONS) == request)
        payment = self.kinds.get(request, "").startswith("payments.")
        return any(scope in (("all", ""), ("agent", agent)) or (scope[0] == "kind" and payment) for scope in self.sure)

    def there(self, *statuses: str) -> list[tuple[str, str]]:
        """The calls whose requests stand so; all that were made where nothing is said."""
        return [which for which in CALLS if (now := self.status.get(which)) and (not statuses or now in statuses)]

    def pick(self, place: int, *statuses: str) -> tuple[tuple[str, str], str]:
        """One of those that stand so, or of all where none does; with the id of its request."""
        found = self.there(*statuses) or self.there()
        which = found[place % len(found)]
        return which, request_id(*which, PARTITIONS)

    @rule(
        bot=bots,
        which=st.sampled_from(CALLS),
        action=st.sampled_from([0, 0, 0, 1, 2]),
        cancel=st.booleans(),
        later=later,
    )
    def asks(self, bot: int, which: tuple[str, str], action: int, cancel: bool, later: bool) -> None:
        body = {"v": 1, "call": which[1], "action": ACTIONS[action].model_dump(), "cancel_on_disconnect": cancel}
        self.send(bot, ("request", which[0], body), later)

    @precondition(lambda self: self.there(DENIED))
    @rule(bot=bots, which=st.sampled_from(CALLS), action=st.sampled_from([0, 1]), place=any_of, later=later)
    def asks_anew(self, bot: int, which: tuple[str, str], action: int, place: int, later: bool) -> None:
        _, denied = self.pick(place, DENIED)
        body = {"v": 1, "call": which[1], "action": ACTIONS[action].model_dump(), "supersedes": denied}
        self.send(bot, ("request", which[0], body), later)

    @precondition(lambda self: self.there())
    @rule(bot=bots, place=any_of, kind=st.sampled_from(["withdraw", "collect", "collect", "heartbeat"]), later=later)
    def speaks_of_it(self, bot: int, place: int, kind: str, later: bool) -> None:
        which, request = self.pick(place, PENDING, APPROVED)
        self.send(bot, (kind, which[0], {"v": 1} | ({} if kind == "heartbeat" else {"request": request})), later)

    @precondition(lambda self: self.there(APPROVED, SPENT))
    @rule(bot=bots, place=any_of, attempt=st.sampled_from(ATTEMPTS), fresh=st.booleans(), later=later)
    def spends(self, bot: int, place: int, attempt: str, fresh: bool, later: bool) -> None:
        which, request = self.pick(place, APPROVED, SPENT)
        self.send(bot, ("spend", which[0], {"v": 1, "receipt": request, "fresh": fresh, "attempt": attempt}), later)

    @precondition(lambda self: self.there(SPENT, UNKNOWN, "succeeded", "failed"))
    @rule(bot=bots, place=any_of, attempt=st.sampled_from(ATTEMPTS), later=later,
          outcome=st.sampled_from(["succeeded", "failed", "unknown"]))  # fmt: skip
    def reports(self, bot: int, place: int, attempt: str, later: bool, outcome: str) -> None:
        which, request = self.pick(place, SPENT, UNKNOWN)
        body = {"v": 1, "request": request, "attempt": attempt, "outcome": outcome}
        self.send(bot, ("report", which[0], body), later)

    @precondition(lambda self: self.late)
    @rule(bot=bots, place=any_of)
    def a_late_entry_arrives(self, bot: int, place: int) -> None:
        self.send(bot, self.late.pop(place % len(self.late)), False)

    @precondition(lambda self: self.past)
    @rule(bot=bots, place=any_of)
    def an_entry_is_delivered_again(self, bot: int, place: int) -> None:
        self.deliver(bot, self.past[place % len(self.past)])

    def click(self, bot: int, request: str, who: str, answer: str) -> None:
        """Somebody answers, and remembers what was counted."""
        told = self.both("click", bot, request, who, answer)
        self.remember(told, request, who, answer)

    def remember(self, told: Any, request: str, who: str, answer: str) -> None:
        """What was counted is what a person was told; where the bot died over it, what is stored."""
        if told[0] in ("counted", "done"):
            self.said[request, who] = answer
        elif "crashed" in told:
            stored = self.runner.run(self.sides[0].store.get(request)).request.vote_of(who)
            self.said[request, who] = stored.answer if stored else "nothing"

    @precondition(lambda self: self.there())
    @rule(bot=bots, place=any_of, who=people, answer=answers)
    def clicks(self, bot: int, place: int, who: str, answer: str) -> None:
        self.click(bot, self.pick(place, PENDING)[1], who, answer)

    @precondition(lambda self: self.there(PENDING))
    @rule(bot=bots, place=any_of, others=st.permutations(["alice", "bob", "carol"]), answer=answers)
    def click_one_after_the_other(self, bot: int, place: int, others: list[str], answer: str) -> None:
        _, request = self.pick(place, PENDING)
        for number, who in enumerate(others):
            self.click((bot + number) % 2, request, who, answer)

    @precondition(lambda self: self.there(PENDING))
    @rule(bot=bots, place=any_of, who=people, again=st.booleans())
    def reads_and_approves(self, bot: int, place: int, who: str, again: bool) -> None:
        _, request = self.pick(place, PENDING)
        self.remember(self.both("read", bot, request, who, again), request, who, "approve")

    @rule(bot=bots, who=people, to=people, steps=st.sampled_from([1, 4, 20]))
    def hands_over(self, bot: int, who: str, to: str, steps: int) -> None:
        if self.both("delegate", bot, who, to, steps)[0] == "handed":
            self.seats.add((who, to))

    @precondition(lambda self: self.seats)
    @rule(bot=bots, who=people)
    def takes_a_seat_back(self, bot: int, who: str) -> None:
        self.both("undelegate", bot, who)

    @precondition(lambda self: self.there(PENDING))
    @rule(bot=bots, place=any_of, who=st.sampled_from(["carol", "dave", "olga", "alice", "stranger"]))
    def breaks_the_glass(self, bot: int, place: int, who: str) -> None:
        _, request = self.pick(place, PENDING)
        self.remember(self.both("operate", bot, "break_glass", who, request, "incident"), request, who, "approve")

    @precondition(lambda self: self.there(APPROVED, SPENT, UNKNOWN))
    @rule(bot=bots, place=any_of, who=operators)
    def reviews_an_emergency(self, bot: int, place: int, who: str) -> None:
        self.both("operate", bot, "review", who, self.pick(place, APPROVED, SPENT, UNKNOWN)[1], "all well")

    @precondition(lambda self: self.there(PENDING))
    @rule(bot=bots, place=any_of, who=people)
    def takes_back(self, bot: int, place: int, who: str) -> None:
        _, request = self.pick(place, PENDING)
        self.remember(self.both("retract", bot, request, who), request, who, "nothing")

    @precondition(lambda self: self.there(PENDING, APPROVED, UNKNOWN))
    @rule(bot=bots, place=any_of, who=operators, ended=st.sampled_from(["succeeded", "failed"]))
    def intervenes(self, bot: int, place: int, who: str, ended: str) -> None:
        which, request = self.pick(place, PENDING, APPROVED, UNKNOWN)
        what, *more = {
            APPROVED: ("revoke",),
            UNKNOWN: ("resolve", ended, "looked it up"),
        }.get(self.status[which], ("extend", 300_000))
        self.both("operate", bot, what, who, request, *more)

    def freeze(self, who: str, *scope: str) -> None:
        """An operator stops something; what is stopped is remembered, so that somebody lets it go on."""
        told = self.both("operate", 0, "freeze", who, *scope, "incident")
        if told[0] != "refused":
            self.frozen.append(scope)
        if told[0] == "done":
            self.sure.append(scope)

    @precondition(lambda self: self.frozen)
    @rule(bot=bots, who=operators, place=any_of)
    def somebody_lets_it_go_on(self, bot: int, who: str, place: int) -> None:
        scope = self.frozen[place % len(self.frozen)]
        if self.unfreeze(bot, who, *scope):
            self.frozen.remove(scope)

    def unfreeze(self, bot: int, who: str, *scope: str) -> bool:
        """An operator lets something go on; whether it is no longer frozen."""
        told = self.both("operate", bot, "unfreeze", who, *scope)
        if told[0] != "refused":
            self.sure = [one for one in self.sure if one != scope]
        return bool(told[0] == "done" or told[1:] == ("not_frozen",))

    @rule(bot=bots, which=st.sampled_from(CALLS), far=st.integers(1, 5), attempt=st.sampled_from(ATTEMPTS), dies=deaths)
    def an_ordinary_life(self, bot: int, which: tuple[str, str], far: int, attempt: str, dies: str) -> None:
        """What happens nearly always, so far, and perhaps a bot dies over the last step of it."""
        request = request_id(*which, PARTITIONS)
        body = {"v": 1, "call": which[1], "action": ACTIONS[0].model_dump(), "cancel_on_disconnect": False}
        steps: list[Callable[[], None]] = [
            lambda: self.send(bot, ("request", which[0], body), False),
            lambda: self.click(bot, request, "alice", "approve"),
            lambda: self.click(1 - bot, request, "bob", "approve"),
            lambda: self.send(
                bot, ("spend", which[0], {"v": 1, "receipt": request, "fresh": True, "attempt": attempt}), False
            ),
            lambda: self.send(
                bot,
                ("report", which[0], {"v": 1, "request": request, "attempt": attempt, "outcome": "succeeded"}),
                False,
            ),
        ]
        for number, step in enumerate(steps[:far], 1):
            if number == far and dies:
                self.both("arm", dies)
            step()

    @rule(bot=bots, loop=st.sampled_from(["timers", "timers", "announcements", "announcements", "silent", "frozen"]))
    def a_loop_turns(self, bot: int, loop: str) -> None:
        if loop != "announcements" or not self.nearly_due():
            self.both("tick", bot, loop)

    def nearly_due(self) -> bool:
        """Whether milliseconds matter: what a bot did not publish is everybody's after 2 s, which pass by themselves.

        One side is asked a moment after the other, and in that moment they may end: then nobody is asked.
        """

        async def due_in() -> list[int]:
            return [left for side in self.sides for left in await side.due_in()]

        return any(-MOMENT < left < MOMENT for left in self.runner.run(due_in()))

    @rule(steps=st.sampled_from([1, 1, 1, 2, 2, 5, 8]), bot=bots)
    def time_passes(self, steps: int, bot: int) -> None:
        self.both("advance", steps)
        self.both("tick", bot, "timers")

    @rule(steps=st.sampled_from([1, 3, 12]))
    def time_passes_while_no_bot_runs(self, steps: int) -> None:
        self.both("advance", steps)

    @rule(trouble=troubles)
    def trouble_begins(self, trouble: tuple[Any, ...]) -> None:
        self.troubled = True
        if trouble[0] == "freeze":
            self.freeze(*trouble[1:])
        else:
            self.both(*trouble)

    @precondition(lambda self: self.troubled)
    @rule()
    def trouble_ends(self) -> None:
        self.troubled = False
        for name, *args in (("sign", True), ("leave", "alice", False), ("leave", "bob", False)):
            self.both(name, *args)
        while self.frozen:
            scope = self.frozen.pop()
            for who in ("carol", "dave"):
                self.unfreeze(1, who, *scope)

    # -- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_requests_are_the_same_and_sound(self) -> None:
        async def look() -> list[list[Request]]:
            return [await side.requests() for side in self.sides]

        async def time() -> list[int]:
            return [await side.store.now() for side in self.sides]

        found = self.runner.run(look()) if self.sides else [[], []]
        assert [seen(one) for one in found[:1][0]] == [seen(one) for one in found[1:][0]]
        self.status = {(request.agent, request.call): request.status.value for request in found[0]}
        for now, requests in zip(self.runner.run(time()), found, strict=False):
            assert sum(_is_on_its_way(request, now) for request in requests) <= MOST
        for decided, requests in zip(self.decided, found, strict=True):
            for request in requests:
                self._is_one_request(request)
                self._was_decided_once(request, decided)

    def _is_one_request(self, request: Request) -> None:
        """9: whatever was sent under its call since, the action is the first one."""
        assert self.actions.setdefault(request.id, request.digest) == request.digest
        self.kinds[request.id] = request.action.kind
        people = [vote.person for vote in request.votes]
        assert len(set(people)) == len(people)
        assert not {*people} & CHAIN
        assert {vote.person: vote.answer for vote in request.votes}.items() <= {
            who: answer for (about, who), answer in self.said.items() if about == request.id
        }.items()
        assert request.status is not Status.PENDING or not self._is_frozen(request.id)

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
        if decision.break_glass:
            assert len(by) == 1
            assert {*by} <= LEADS
            assert self.said[request.id, by[0]] == "approve"
        elif decision.status is Status.APPROVED and decision.rule is None:
            assert len(by) >= NEED
            asked = OPS | LEADS if request.escalated else OPS
            assert {*by} <= asked | {taker for owner, taker in self.seats if owner in asked - CHAIN}
            assert {self.said.get((request.id, who)) for who in by} == {"approve"}
            careful = "careful" in request.terms.rules
            assert not careful or {vote.shown for vote in decision.by} == {review_of(request).shown()}
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
            for _ in range(2):
                await side.advance(1)  # what is to be published is due for certain, on either side
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


def _is_on_its_way(request: Request, now: int) -> bool:
    """Whether a payment may still be approved, or used."""
    if not request.action.kind.startswith("payments."):
        return False
    if request.status is Status.PENDING:
        return request.expires_at > now
    return request.status is Status.APPROVED and bool(request.decision and (request.decision.use_by or 0) > now)


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
    for record in (record for journal in journals for record in journal if "from" in record):
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
    run_state_machine_as_test(machine, settings=settings(suppress_health_check=quiet, **depth))


def test_whatever_happens_in_whatever_order(server: Server) -> None:
    found = (Phase.explicit, Phase.reuse, Phase.generate)  # the full run makes a failure small as well
    lived(server, max_examples=25, stateful_step_count=45, phases=found, print_blob=True)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_whatever_happens_in_whatever_order_at_length(server: Server) -> None:
    lived(server, max_examples=700, stateful_step_count=80)
