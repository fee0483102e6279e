"""Reading what was typed: a command with everything it needs, or what is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from approvals.care import Hours

REASON = 500  #: characters of a reason that are kept
SAW = "--saw:"  #: stands before the digest of what was shown, in the command of a button
SURE = "--sure"  #: stands in the command of a button that asked before

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SCOPES: Mapping[str, Literal["agent", "kind", "all"]] = {"agent": "agent", "kind": "kind", "all": "all"}
_OUTCOMES: Mapping[str, Literal["succeeded", "failed"]] = {"succeeded": "succeeded", "failed": "failed"}
_Literal = TypeVar("_Literal")
_ID = re.compile(r"[0-9]{1,4}-[a-z2-7]{24}")
_PAGE = re.compile(r"[0-9]{1,15}-" + _ID.pattern)  # where a page ended: as a Page's cursor says
_CODE = re.compile(r"[0-9A-Z]{4}-?[0-9A-Z]{2}")
_NAME = re.compile(r"[A-Za-z0-9._*-]{1,128}")  # of an agent or a kind, more widely than policy takes it
_ZONE = re.compile(r"[A-Za-z]+([/_+-][A-Za-z0-9]+){0,4}")
_LOOKS_LIKE = str.maketrans("ILO", "110")  # a code has none of these letters


@dataclass(frozen=True)
class Usage:
    """How a command is written, and what it does."""

    arguments: str
    words: str


USAGE: Mapping[str, Usage] = {
    "pending": Usage("[mine] [channel] [agent:NAME] [kind:KIND] [overdue]", "what waits for an answer"),
    "show": Usage("ID", "everything about one request"),
    "history": Usage("[mine] [agent:NAME] [kind:KIND]", "what was decided"),
    "retract": Usage("ID", "take your own answer back while it is open"),
    "extend": Usage("ID 30m", "give people more time to answer"),
    "revoke": Usage("ID REASON", "take a yes back that was not used yet"),
    "resolve": Usage("ID succeeded|failed NOTE", "say how it ended where the tool could not"),
    "freeze": Usage("agent|kind|all [NAME] REASON", "stop an agent, kinds or everything at once"),
    "unfreeze": Usage("[agent|kind|all] [NAME]", "let it go on; alone: what is frozen"),
    "why": Usage("ID", "which rules ask for what, as the policy is now"),
    "report": Usage("ID WORDS", "say that something looks wrong; operators are told"),
    "break-glass": Usage("ID REASON", "let something through alone, in an emergency"),
    "review": Usage("ID WORDS", "close an emergency, as another person"),
    "delegate": Usage("@PERSON until WHEN [for KINDS]", "hand your seat to somebody for a while"),
    "undelegate": Usage("DELEGATION", "take a seat back, or give it back"),
    "delegations": Usage("", "the seats you handed over, or were handed"),
    "link": Usage("[CODE]", "show that two accounts are yours: a code here, to be typed there"),
    "unlink": Usage("ACCOUNT", "an account is not yours, or not any more"),
    "quiet": Usage("[22:00-07:00 [ZONE] | off]", "when nobody is to disturb you; alone: your hours now"),
    "help": Usage("", "this list"),
}


@dataclass(frozen=True)
class Which:
    """Which requests to list: all that is given must hold. `after` is where the page before ended."""

    mine: bool = False
    here: bool = False
    agent: str | None = None
    kind: str | None = None
    overdue: bool = False
    after: str = ""

    @property
    def words(self) -> str:
        """The same as it is typed, without the page."""
        said = ["mine"] * self.mine + ["channel"] * self.here + ["overdue"] * self.overdue
        said += [f"agent:{self.agent}"] * (self.agent is not None) + [f"kind:{self.kind}"] * (self.kind is not None)
        return " ".join(said)


@dataclass(frozen=True)
class Pending:
    """List what waits."""

    which: Which


@dataclass(frozen=True)
class History:
    """List what was decided."""

    which: Which


@dataclass(frozen=True)
class One:
    """Something about one request, named by its id or its short code."""

    request: str

    @property
    def by_id(self) -> bool:
        """Whether it is named by its id, of which there is one only."""
        return _ID.fullmatch(self.request) is not None


@dataclass(frozen=True)
class Show(One):
    """Tell everything about a request."""


@dataclass(frozen=True)
class Retract(One):
    """Take one's own answer back."""


@dataclass(frozen=True)
class Extend(One):
    """Give people `more` ms."""

    more: int


@dataclass(frozen=True)
class Revoke(One):
    """Take a yes back; `sure` once the person was asked."""

    reason: str = ""
    sure: bool = False


@dataclass(frozen=True)
class Resolve(One):
    """Say how it ended."""

    outcome: Literal["succeeded", "failed"]
    note: str = ""
    sure: bool = False


@dataclass(frozen=True)
class Why(One):
    """Tell which rules ask for what."""


@dataclass(frozen=True)
class Report(One):
    """Say that something looks wrong."""

    words: str = ""


@dataclass(frozen=True)
class BreakGlass(One):
    """Let it through alone; `saw` is the digest of what the person was shown when they were asked."""

    reason: str = ""
    saw: str = ""


@dataclass(frozen=True)
class Review(One):
    """Say what came of an emergency."""

    words: str = ""


@dataclass(frozen=True)
class Delegate:
    """Hand one's seat to `to`; `until` as it was typed."""

    to: str
    until: str
    kinds: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Delegations:
    """List the seats that were handed over."""


@dataclass(frozen=True)
class Undelegate:
    """Take a seat back, or give it back."""

    delegation: str


@dataclass(frozen=True)
class Link:
    """Ask for a code, or type one."""

    code: str = ""


@dataclass(frozen=True)
class Confirm:
    """Say that the account that typed one's code is one's own."""

    account: str


@dataclass(frozen=True)
class Unlink:
    """Say that an account is not one's own."""

    account: str


@dataclass(frozen=True)
class Quiet:
    """Choose one's quiet hours, or none (`off`); neither: tell which they are."""

    hours: Hours | None = None
    off: bool = False


@dataclass(frozen=True)
class Freeze:
    """Stop something; `name` is empty for everything."""

    scope: Literal["agent", "kind", "all"]
    name: str
    reason: str = ""
    sure: bool = False


@dataclass(frozen=True)
class Unfreeze:
    """Let something go on."""

    scope: Literal["agent", "kind", "all"]
    name: str
    sure: bool = False


@dataclass(frozen=True)
class Frozen:
    """List what is frozen."""


@dataclass(frozen=True)
class Help:
    """List the commands."""


@dataclass(frozen=True)
class Misunderstood:
    """Not a command. `said` is what nobody understands, `near` what may have been meant, `usage` whose form it is."""

    sentence: str
    said: str = ""
    near: str = ""
    usage: str = ""


AboutOne = Show | Why | Retract | Extend | Revoke | Resolve | Report | BreakGlass | Review
Arranging = Delegate | Delegations | Undelegate | Link | Confirm | Unlink | Quiet
Command = Pending | History | Freeze | Unfreeze | Frozen | Help | Arranging | AboutOne


class _Wrong(Exception):
    """What was typed is no command."""

    def __init__(self, sentence: str, said: str = "", near: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.said = said
        self.near = _nearest(said, near)


def parse(text: str) -> Command | Misunderstood:
    """The command in a text; nothing at all asks for help."""
    name, *words = text.split() or ["help"]
    name = name.lower()
    if name not in PARSERS:
        return Misunderstood("There is no such command", name, _nearest(name, [*PARSERS]))
    try:
        return PARSERS[name](words)
    except _Wrong as wrong:
        return Misunderstood(wrong.sentence, wrong.said, wrong.near, usage=name)


def _nearest(said: str, known: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(said.lower(), known, n=1)), "")


def _which(words: list[str], *, flags: Sequence[str]) -> Which:
    """The words of a list: flags, and `agent:`, `kind:` and `after:` with what they name."""
    said: dict[str, str] = {}
    for word in words:
        key, colon, value = word.partition(":")
        if not _is_known(key.lower(), value, flags if not colon else ()):
            raise _Wrong("I do not know", word, [*flags, "agent:", "kind:"])
        said[key.lower()] = value
    return Which(
        mine="mine" in said,
        here="channel" in said,
        agent=said.get("agent"),
        kind=said.get("kind"),
        overdue="overdue" in said,
        after=said.get("after", ""),
    )


def _is_known(key: str, value: str, flags: Sequence[str]) -> bool:
    if key == "after":
        return _PAGE.fullmatch(value) is not None
    return key in flags or (key in ("agent", "kind") and bool(value))


def _pending(words: list[str]) -> Pending:
    return Pending(_which(words, flags=("mine", "channel", "overdue")))


def _history(words: list[str]) -> History:
    return History(_which(words, flags=("mine", "channel")))


def _request(words: list[str]) -> str:
    """An id as it is, a code in the form in which it is shown; O is read as 0, I and L as 1."""
    if not words:
        raise _Wrong("Say which request")
    said = words.pop(0)
    if _ID.fullmatch(said.lower()):
        return said.lower()
    code = said.upper().translate(_LOOKS_LIKE)
    if not _CODE.fullmatch(code):
        raise _Wrong("This is neither a request's code, like 7F3K-9Q, nor its id:", said)
    return f"{code[:4]}-{code[-2:]}"


def _alone(words: list[str]) -> None:
    if words:
        raise _Wrong("I do not know what to do with", words[0])


def _sure(words: list[str]) -> bool:
    found = SURE in words[:1]
    del words[: int(found)]
    return found


def _show(words: list[str]) -> Show:
    request = _request(words)
    _alone(words)
    return Show(request)


def _retract(words: list[str]) -> Retract:
    request = _request(words)
    _alone(words)
    return Retract(request)


def _why(words: list[str]) -> Why:
    request = _request(words)
    _alone(words)
    return Why(request)


def _report(words: list[str]) -> Report:
    return Report(_request(words), _said(words))


def _break_glass(words: list[str]) -> BreakGlass:
    request = _request(words)
    saw = words.pop(0).removeprefix(SAW) if words and words[0].startswith(SAW) else ""
    return BreakGlass(request, _said(words), saw)


def _review(words: list[str]) -> Review:
    return Review(_request(words), _said(words))


def _delegate(words: list[str]) -> Delegate:
    plain = [word.lower() for word in words]
    if "until" not in plain[1:2]:
        raise _Wrong("Say to whom and until when")
    parted = plain.index("for") if "for" in plain else len(plain)
    until, kinds = " ".join(plain[2:parted]), tuple(word.rstrip(",") for word in words[parted + 1 :])
    if not until or (parted < len(plain) and not kinds):
        raise _Wrong("Say until when, and for which kinds if not for all")
    return Delegate(words[0], until, kinds or ("*",))


def _delegations(words: list[str]) -> Delegations:
    _alone(words)
    return Delegations()


def _undelegate(words: list[str]) -> Undelegate:
    return Undelegate(_only(words, "Say which delegation; they are listed by `delegations`"))


def _link(words: list[str]) -> Link | Confirm:
    if words[:1] == ["confirm"]:
        return Confirm(_only(words[1:], "Say which account"))
    code = words.pop(0) if words else ""
    _alone(words)
    return Link(code)


def _unlink(words: list[str]) -> Unlink:
    return Unlink(_only(words, "Say which account, as the policy writes it: slack:T…:U…"))


def _quiet(words: list[str]) -> Quiet:
    if not words or words == ["off"]:
        return Quiet(off=bool(words))
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)", words.pop(0))
    zone = words.pop(0) if words else "UTC"
    if found is None or not _ZONE.fullmatch(zone):
        raise _Wrong("Write the hours as 22:00-07:00, and your time zone as Europe/Berlin")
    _alone(words)
    first, second, third, fourth = map(int, found.groups())
    return Quiet(Hours(begin=first * 60 + second, end=third * 60 + fourth, zone=zone))


def _only(words: list[str], sentence: str) -> str:
    if len(words) != 1:
        raise _Wrong(sentence)
    return words[0]


def _extend(words: list[str]) -> Extend:
    request = _request(words)
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", words.pop(0).lower() if words else "")
    if found is None:
        raise _Wrong("Say for how long, as a number and a unit: 30m, 2h, 1d")
    _alone(words)
    return Extend(request, int(found[1]) * _UNITS[found[2]])


def _revoke(words: list[str]) -> Revoke:
    request, sure = _request(words), _sure(words)
    return Revoke(request, _said(words), sure)


def _resolve(words: list[str]) -> Resolve:
    request = _request(words)
    outcome = _one_of(words, _OUTCOMES, "Say how it ended: succeeded or failed")
    sure = _sure(words)
    return Resolve(request, outcome, _said(words), sure)


def _freeze(words: list[str]) -> Freeze:
    scope, name = _scope(words)
    sure = _sure(words)
    return Freeze(scope, name, _said(words), sure)


def _unfreeze(words: list[str]) -> Unfreeze | Frozen:
    if not words:
        return Frozen()
    scope, name = _scope(words)
    sure = _sure(words)
    _alone(words)
    return Unfreeze(scope, name, sure)


def _help(words: list[str]) -> Help:
    return Help()


def _scope(words: list[str]) -> tuple[Literal["agent", "kind", "all"], str]:
    scope = _one_of(words, _SCOPES, "Say what: agent NAME, kind KIND, or all")
    if scope == "all":
        return scope, ""
    if not words or words[0] == SURE:
        raise _Wrong(f"Say which {scope}")
    if not _NAME.fullmatch(words[0]):
        raise _Wrong(f"No {scope} can have this name:", words[0])
    return scope, words.pop(0)


def _one_of(words: list[str], known: Mapping[str, _Literal], sentence: str) -> _Literal:
    said = words.pop(0) if words else ""
    if said.lower() not in known:
        raise _Wrong(f"{sentence}{'; I do not know' if said else ''}", said, [*known])
    return known[said.lower()]


def _said(words: list[str]) -> str:
    return " ".join(words)[:REASON]


PARSERS: Mapping[str, Callable[[list[str]], Command]] = {
    "pending": _pending,
    "show": _show,
    "history": _history,
    "retract": _retract,
    "extend": _extend,
    "revoke": _revoke,
    "resolve": _resolve,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "why": _why,
    "report": _report,
    "break-glass": _break_glass,
    "review": _review,
    "delegate": _delegate,
    "delegations": _delegations,
    "undelegate": _undelegate,
    "link": _link,
    "unlink": _unlink,
    "quiet": _quiet,
    "help": _help,
}
