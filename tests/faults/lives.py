"""Lives of requests, from the asking to the end, in which the bot is killed at one call of a port.

Which calls there are is not written down here: a bot that nobody kills tells them (`calls_of`).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import sayso
from handlers.slack.platform import POST_BURST, POSTS_PER_MINUTE
from tests.e2e.world import ALICE, BOB, Lane, a_world, text_of
from tests.faults.shift import REASON, Shift, a_shift, policy
from tests.faults.teams import RULE, SECTIONS, teams_beside

#: Everything a bot changes: in the memory, in the inbox, in Slack; and what it signs.
CHANGES = {
    "store": (
        "create",
        "update",
        "publish",
        "keep_rendering",
        "intend",
        "record_post",
        "settle",
        "postpone",
        "note",
        "adopt",
    ),
    "shelf": ("keep", "drop"),
    "outbox": ("add", "settle", "hand_back"),
    "windows": ("reserve", "release", "recount"),
    "inbox": ("answer",),
    "signer": ("sign",),
    "platform": ("post", "update", "post_shared", "update_shared", "reply", "announce"),
    "teams": ("post", "update", "close", "reply", "announce"),
}
AT_ONCE = 6  #: worlds that are surveyed side by side
TRIES = 3  #: to reach a call
TELLS = [f"{part}.{method}" for part, methods in CHANGES.items() for method in methods]


@dataclass(frozen=True)
class Step:
    """The n-th call of a port's method, and the side of it on which the bot dies."""

    part: str
    method: str
    nth: int
    when: str = "before"

    @property
    def call(self) -> str:
        """The call without the side."""
        return f"{self.part}.{self.method} {self.nth}"

    def __str__(self) -> str:
        return f"{self.when} {self.call}"


@dataclass
class Seen:
    """What was seen of a life: on screen, in the journal, by the agent."""

    died: bool = False
    failed: str = ""  #: why the life did not come to an end
    cards: int = 0  #: places in which requests stand
    events: list[str] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        decided = sum(self.events.count(event) for event in DECISIONS)
        words = f"{_many(self.cards, 'card')}, {_many(decided, 'decision')}, {_many(len(self.acts), 'act')}"
        return f"{words}, agent told: {', '.join(self.told)}"


DECISIONS = ("approved", "denied", "expired", "break_glass")
LOOKS = ("review_opened",)  #: whoever saw the bot die in a review opens it again


@dataclass(frozen=True)
class Life:
    """What happens in a life, and what must have been seen at its end whoever died in it."""

    name: str
    run: Callable[[Shift, sayso.Sayso, Seen], Awaitable[None]]
    cards: int
    events: tuple[str, ...]
    acts: int
    told: tuple[str, ...]
    soon_over: bool = False  #: it may be over before a bot is there to post its card
    demands: Mapping[str, Any] = field(default_factory=dict)  #: what its policy demands where it is not one yes
    rules: tuple[Mapping[str, Any], ...] = ()
    sections: Mapping[str, Any] = field(default_factory=dict)
    in_teams: bool = False  #: whether Teams is there beside Slack

    @property
    def policy(self) -> str:
        """The policy under which it is lived."""
        demands = {"factors": [{"from": ["lanes"]}], **self.demands}
        return policy(rules=self.rules, sections=self.sections, **demands)

    def wrong(self, seen: Seen) -> list[str]:
        """What was seen and should not have been."""
        if seen.failed:
            return [seen.failed]
        cards = self.cards if seen.cards or not self.soon_over else 0
        pairs = {
            "cards": (seen.cards, cards),
            "journal": (seen.events, [*self.events]),
            "acts": (len(seen.acts), self.acts),
            "told": (seen.told, [*self.told]),
        }
        return [f"{name}: {found}, not {wanted}" for name, (found, wanted) in pairs.items() if found != wanted]


async def lived(life: Life, step: Step | None = None) -> Seen:
    """Go through a life with a bot that dies at a step; what was seen."""
    seen, _ = await _go_through(life, step)
    return seen


async def calls_of(life: Life) -> Sequence[Step]:
    """The calls of a bot that lives through it, in their order."""
    _, lines = await _go_through(life, None)
    steps = [Step(part, method, int(nth)) for _, part, method, nth in map(str.split, lines)]
    return steps[next(number for number, step in enumerate(steps) if step.method in ("reserve", "create")) :]


async def surveyed(life: Life, steps: Sequence[Step], *, at_once: int = AT_ONCE) -> Sequence[tuple[Step, Seen]]:
    """Die at each of these steps. Two runs may differ in their calls: one that was not reached is tried again."""
    turns = asyncio.Semaphore(at_once)

    async def one(step: Step) -> tuple[Step, Seen]:
        async with turns:
            for _ in range(TRIES):
                try:
                    seen = await lived(life, step)
                except (AssertionError, TimeoutError, sayso.SaysoError) as exc:
                    return step, Seen(failed=f"{type(exc).__name__}: {exc}")
                if seen.died:
                    break
            return step, seen

    return await asyncio.gather(*(one(step) for step in steps))


def deaths_in(calls: Sequence[Step]) -> Sequence[Step]:
    """Before the first change, and after each: what a dead process leaves behind is what it changed until then.

    So dying before any other call, be it a change or not, leaves what dying after the change before it leaves.
    """
    return [calls[0], *(replace(call, when="after") for call in calls)]


async def _go_through(life: Life, step: Step | None) -> tuple[Seen, Sequence[str]]:
    plan = {"breaks": asdict(step)} if step is not None else {"tells": TELLS}
    seen = Seen()
    async with (
        a_world(policy=life.policy, ack_deadline=1.0) as world,
        teams_beside(world) if life.in_teams else nullcontext() as teams,
        a_shift(world, **plan) as shift,
    ):
        shift.teams = teams
        began = len(shift.bot.lines)
        async with world.agent(spend=40.0) as client, asyncio.timeout(60):
            await life.run(shift, client, seen)
            ended = len(shift.bot.lines)  # what a bot does after that has nobody who would wait for it
        seen.cards = seen.cards or len(world.cards(shift.lane))
        seen.events = _by_request(await world.journal())
        seen.died = -signal.SIGKILL in shift.deaths
        return seen, [line for line in shift.bot.lines[began:ended] if line.startswith("port ")]


def _by_request(journal: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened to the first request, then to the next; of one that a rule decided at once, what it came to."""
    lines: dict[str, list[str]] = {}
    for one in journal:
        if "request" in one and one["event"] not in LOOKS:
            by_rule = one["event"] == "asked" and one["to"] != "pending"
            lines.setdefault(one["request"], []).append(str(one["to" if by_rule else "event"]))
    return [event for line in lines.values() for event in line]


async def _ask(shift: Shift, client: sayso.Sayso, amount: str = "9.50", **more: Any) -> sayso.Pending:
    return await client.ask_nowait(shift.lane.kind, target="bank:acme", arguments={"amount": amount}, **more)


async def _used(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _ask(shift, client)
    await shift.answer(ALICE, pending.request)
    approval = await pending.decision()
    seen.told.append("approved")
    async with approval.spend() as action:
        seen.acts.append(action.target)
    await shift.world.card(shift.lane, pending.request, "succeeded in")


async def _by_two(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _ask(shift, client)
    await shift.answer(ALICE, pending.request)
    await shift.world.card(shift.lane, pending.request, ALICE)
    await shift.answer(BOB, pending.request)
    approval = await pending.decision()
    seen.told.append("approved by " + " and ".join(sorted(str(by.person) for by in approval.by)))
    await shift.world.card(shift.lane, pending.request, "Approved")


async def _sent_back(shift: Shift, client: sayso.Sayso, seen: Seen) -> sayso.Pending:
    """Ask, and be told to ask for half of it."""
    pending = await _ask(shift, client)
    await shift.ask_for_changes(ALICE, pending.request, "half of it")
    try:
        await pending.decision()
    except sayso.ChangesRequested as exc:
        seen.told.append(f"please change: {exc.reason}")
    return pending


async def _changed(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _sent_back(shift, client, seen)
    await shift.world.card(shift.lane, pending.request, "half of it")
    again = await _ask(shift, client, "4.75", supersedes=pending.request)
    await shift.world.card(shift.lane, again.request, "4.75", "9.50")


async def _expired(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _ask(shift, client, within="6s")  # time enough for a bot to be relieved and the card to be posted
    try:
        await pending.decision()
    except sayso.Expired:
        seen.told.append("expired")
    await shift.world.see(lambda: _settled(shift, pending, "nobody answered in time"), "a settled card", list)


async def _answered_in_teams(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    teams = shift.teams
    assert teams is not None
    while not await teams.install(shift.bot):
        await shift.changed()
    pending = await _ask(shift, client)
    await shift.insist(pending.request, ALICE, lambda: teams.approve(shift.bot, pending))
    await pending.decision()
    seen.told.append("approved")
    await shift.world.card(shift.lane, pending.request, "Approved")
    seen.cards = await teams.settled(lambda: shift.bot, pending) + len(shift.world.cards(shift.lane))


def _settled(shift: Shift, pending: sayso.Pending, words: str, lane: Lane | None = None) -> bool | None:
    """Whether the card shows how it ended; or there is none, because nobody was left to post it in time."""
    cards = shift.world.cards(lane or shift.lane, pending.request)
    return not cards or words in text_of(cards[0]) or None


async def _frozen(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _ask(shift, client)
    await shift.world.card(shift.lane, pending.request)
    await shift.freeze()
    try:
        await pending.decision()
    except sayso.Denied as exc:
        seen.told.append(f"denied: {exc.reason}")
    await shift.world.card(shift.lane, pending.request, REASON)


async def _reviewed(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    plan = "\n".join(f"line {number}" for number in range(200))
    pending = await client.ask_nowait(shift.lane.kind, target="bank:acme", arguments={"plan": plan})
    await shift.read_and_approve(ALICE, pending.request)
    await pending.decision()
    seen.told.append("approved")
    await shift.world.card(shift.lane, pending.request, "Approved")


async def _limited(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    first = await _sent_back(shift, client, seen)
    second = await _ask(shift, client, "4.75")
    await shift.answer(ALICE, second.request)
    await second.decision()
    seen.told.append("approved")
    await shift.world.card(shift.lane, first.request, "half of it")
    await shift.world.card(shift.lane, second.request, "Approved")
    try:
        await (await _ask(shift, client, "1.00")).decision()
    except sayso.Denied:
        seen.told.append("denied by the rule")


async def _emergency(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    pending = await _ask(shift, client)
    await shift.world.card(shift.lane, pending.request)
    await shift.break_the_glass(ALICE, pending.request, "for the outage")
    await pending.decision()
    seen.told.append("approved")
    announced = Lane(shift.lane.kind, ANNOUNCED)
    await shift.world.card(announced, pending.request, "not reviewed yet")
    await shift.review(BOB, pending.request, "all well")
    for lane in (shift.lane, announced):
        settled = partial(_settled, shift, pending, "in an emergency, reviewed", lane)
        await shift.world.see(settled, "a reviewed card", list)
    seen.cards = len(shift.world.cards(shift.lane)) + len(shift.world.cards(announced))


async def _burst(shift: Shift, client: sayso.Sayso, seen: Seen) -> None:
    place = f"slack:{shift.lane.channel}"
    while not await shift.store.may_post(place, POSTS_PER_MINUTE, POST_BURST):
        pass  # until this second's turns are used up, so that those who come now share a message
    asked = await asyncio.gather(*(_ask(shift, client, f"{number}.00") for number in (1, 2, 3)))
    for pending in asked:
        await shift.answer(ALICE, pending.request)
    seen.told += ["approved" for _ in await asyncio.gather(*(pending.decision() for pending in asked))]
    channel = shift.lane.channel

    def stands() -> list[str] | None:
        texts = [text_of(message) for message in shift.world.sandbox.messages(channel)]
        return texts if sum(text.count("approved by") for text in texts) >= len(asked) else None

    texts = await shift.world.see(stands, "three that are approved", lambda: shift.world.sandbox.messages(channel))
    seen.cards = sum(str(pending.code) in text for pending in asked for text in texts)


ANNOUNCED = "C0LANE40"  #: a channel that no life uses otherwise

LIVES = [
    Life("asked, approved, used", _used, 1, ("asked", "approved", "spent", "succeeded"), 1, ("approved",)),
    Life(
        "two people have to say yes",
        _by_two,
        1,
        ("asked", "voted", "approved"),
        0,
        ("approved by alice and bob",),
        demands={"factors": [{"from": ["lanes"], "approvals": 2}]},
    ),
    Life(
        "denied with changes, asked again",
        _changed,
        2,
        ("asked", "denied", "asked"),
        0,
        ("please change: half of it",),
    ),
    Life("nobody answers", _expired, 1, ("asked", "expired"), 0, ("expired",), soon_over=True),
    Life("frozen while it waits", _frozen, 1, ("asked", "denied"), 0, (f"denied: {REASON}",)),
    Life("approved from its review", _reviewed, 1, ("asked", "approved"), 0, ("approved",)),
    Life(
        "at the limit of a window",
        _limited,
        2,
        ("asked", "denied", "asked", "approved", "denied"),
        0,
        ("please change: half of it", "approved", "denied by the rule"),
        rules=({"id": "limit", "when": 'window_count("1h") > 1', "effect": "deny"},),
    ),
    Life(
        "let through in an emergency",
        _emergency,
        2,
        ("asked", "break_glass", "reviewed"),
        0,
        ("approved",),
        sections={"break_glass": {"who": ["lanes"], "announce": [f"slack:{ANNOUNCED}"]}},
    ),
    Life(
        "asked in Slack and Teams, answered in Teams",
        _answered_in_teams,
        2,
        ("asked", "approved"),
        0,
        ("approved",),
        rules=(RULE,),
        sections=SECTIONS,
        in_teams=True,
    ),
    Life("three at once", _burst, 3, ("asked", "approved") * 3, 0, ("approved",) * 3),
]


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
