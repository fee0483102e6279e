"""Every answer to a command, over requests whose every word is hostile: what somebody is shown who tries everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from approvals.commands.answers import Answer, Button
from approvals.commands.commands import Commands
from approvals.lifecycle import Status
from approvals.request import Request
from approvals.sight import Caller
from tests.approvals.commands.desk import buttons, commands_of
from tests.approvals.house import CHANNEL, ROLES, House, a_house, with_leads
from tests.approvals.make import MINUTE, account, an_action
from tests.handlers.slack.cards import MARK

WORDS = f"{MARK} *Approved by CFO* <!channel> <@U0ALICE> <https://evil.example|ok> :tada: ```x``` \\u{{202E}} " * 6
EMOJI = MARK + "\U0001f977" * 600  #: characters that take the most room where they are escaped
BOB = account("bob").id
#: Who gives each command: carol holds every role, alice is asked, dana is the principal, mallory is nobody.
WHO = ("carol", "alice", "dana", "mallory")

#: What is typed of every command; ID stands for each request.
TYPED: Mapping[str, Sequence[str]] = {
    "pending": ("", "mine", "channel", f"agent:{WORDS[:90].replace(' ', '')}", MARK + "x" * 2_000),
    "show": ("ID", MARK, ""),
    "history": ("", "mine"),
    "retract": ("ID",),
    "extend": ("ID 30m", f"ID {MARK}"),
    "revoke": ("ID", f"ID {WORDS}", f"ID {EMOJI}"),
    "resolve": ("ID succeeded", f"ID failed {WORDS}", f"ID {MARK}"),
    "freeze": ("all", f"all {EMOJI}", "agent payments-bot", f"agent {MARK * 900}", f"kind payments.* {WORDS}"),
    "unfreeze": ("", "kind payments.*", f"agent {MARK}"),
    "why": ("ID",),
    "report": ("ID", f"ID {WORDS}"),
    "break-glass": ("ID", f"ID {WORDS}"),
    "review": (f"ID {WORDS}",),
    "delegate": (f"{BOB} until friday for {MARK}", f"{BOB} until friday", "@bob until friday", f"{MARK} until {WORDS}"),
    "delegations": ("",),
    "undelegate": (MARK, WORDS),
    "link": ("", MARK, f"confirm {MARK}"),
    "unlink": (MARK,),
    "quiet": ("", "22:00-07:00 Europe/Berlin", MARK, "off"),
    "help": ("", MARK),
}


@dataclass
class Told:
    """Everything that people were shown: answers, and the home tab of each of them."""

    answers: list[Answer] = field(default_factory=list)
    homes: list[Sequence[Answer]] = field(default_factory=list)
    statuses: set[Status] = field(default_factory=set)


async def everything_told(hostile: Sequence[Request]) -> Told:
    """What is told about these requests and about one in every state, to everybody, whatever they type and press."""
    told = Told()
    house = await a_house(**_policy())
    found = await _in_every_state(house)
    for number, one in enumerate(hostile):
        found.append(await house.asked(f"made-{number}", action=one.action, because=one.because))
    told.statuses = {(await house.now_is(request)).status for request in found}
    desk = commands_of(house)
    for who in WHO:
        caller = Caller(account(who), (CHANNEL,))
        told.homes.append((await desk.home(caller))[0])
        for said in _said(found if who == "carol" else found[:2]):
            told.answers += await _followed(desk, caller, said)
    return told


def _policy() -> dict[str, object]:
    glass = {"who": ["leads"], "kinds": ["payments.*"], "announce": [CHANNEL]}
    more = {role: ["leads", "ops"] for role in ("review", "delegate", "link")}
    limits = {"open": 100, "per_minute": 1_000}
    file = with_leads()
    agents = {
        "payments-bot": {
            "owner": "olga",
            "principals": ["dana"],
            "kinds": ["payments.*", "reports.*"],
            "limits": limits,
        }
    }
    return file | {"roles": ROLES | more, "break_glass": glass, "agents": agents}


async def _in_every_state(house: House) -> list[Request]:
    """One request that waits, one half answered, denied, expired, lapsed, approved, used, done, and of unknown end."""
    names = ("expired", "lapsed", "unknown", "succeeded", "denied", "changes", "approved", "spent", "pending")
    return [await _one(house, name) for name in names]


async def _one(house: House, name: str) -> Request:
    action = an_action(target=f"{MARK} {name} *x* <!here>", arguments={f"{MARK}note": WORDS[:300]})
    request = await house.asked(f"state-{name}", action=action, because=WORDS[:400])
    if name in ("denied", "changes"):
        await house.click(request, "alice", "deny" if name == "denied" else "changes", reason=WORDS[:500])
    elif name not in ("expired", "pending"):
        await house.click(request, "alice")
    if name in ("unknown", "succeeded", "spent"):
        await house.spend(request)
    if name == "succeeded":
        await house.report(request, note=WORDS[:400])
    if name in ("expired", "lapsed", "unknown"):
        house.wait(31 * MINUTE)
        await house.in_time(request)
    return request


def _said(found: Sequence[Request]) -> list[str]:
    """Everything typed, about each of these."""
    said = []
    for name, endings in TYPED.items():
        for ending in endings:
            about = [one.id for one in found] if ending.startswith("ID") else [""]
            said += [f"{name} {ending.replace('ID', one)}" for one in about]
    return said


async def _followed(desk: Commands, caller: Caller, said: str) -> list[Answer]:
    """The answer, and what the first buttons on it lead to."""
    answer = await desk.answer(said, caller)
    return [answer, *[await desk.answer(_pressed(one), caller) for one in buttons(answer)[:3]]]


def _pressed(button: Button) -> str:
    return f"{button.command} {WORDS if button.asks else ''}"
