"""Cards for tests: sound ones in every status, and hostile ones that Hypothesis makes up."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from approvals.card import Before, Card, Care, Changed, Group, Said, Seat, Step, Who
from approvals.hosts import Host
from approvals.lifecycle import Status
from approvals.lines import Line
from approvals.terms import Piece

NOW = 1_780_000_000_000
MINUTE = 60_000

ALICE = Who(person="alice", accounts=("slack:T0SAYSO:U0ALICE",))
BOB = Who(person="bob", accounts=("slack:T0SAYSO:U0BOB", "teams:x:y"))
DANA = Who(person="dana", accounts=("slack:T0SAYSO:U0DANA",))


def a_card(**changes: Any) -> Card:
    """The pending payment of the pictures."""
    members: dict[str, Any] = {
        "request": "0-" + "a" * 24,
        "status": Status.PENDING,
        "title": "Release a payment",
        "heading": "Release a payment",
        "note": "cannot be undone",
        "risk": "high",
        "effect": "transfer",
        "kind": "payments.release",
        "target": "bank:acme-gmbh",
        "arguments": (
            Line(name="invoice", value=("INV-2093",)),
            Line(name="amount", value=("12400.00",)),
            Line(name="iban", value=("DE89 3704 0044 0532 0130 00",)),
        ),
        "preconditions": (),
        "complete": True,
        "bytes": 78,
        "hidden": False,
        "agent": "payments-bot",
        "principal": DANA,
        "audience": "payments-bot",
        "rules": ("payments-over-10k",),
        "code": "7F3K-9Q",
        "needs": (Seat(name="finance", got=0, need=1), Seat(name="security", got=0, need=1)),
        "expires_at": NOW + 28 * MINUTE,
        "says": "matches PO 118, due tomorrow; <https://evil.example|see invoice> *Approved by CFO*",
        "buttons": ("approve", "deny", "changes", "details"),
    }
    return Card(**members | changes)


def a_decided_card(status: Status, **changes: Any) -> Card:
    """The payment after its decision."""
    members = {
        "status": status,
        "says": "",
        "needs": (),
        "expires_at": None,
        "buttons": (),
        "story": (Step(word="asked", at=NOW), Step(word=status.value, at=NOW + 5 * MINUTE)),
    }
    return a_card(**members | changes)


MARK = "♞"  #: stands in every untrusted text of a hostile card, and nowhere else

_HOSTILE = st.sampled_from(
    [
        "*Approved by CFO*",
        "<!channel>",
        "<@U0ALICE>",
        "<https://evil.example|see invoice>",
        "```",
        "`",
        ":white_check_mark:",
        "&amp;",
        "amount    1.00",
        "│ x",
        "\\u{202E}",
        "_x_",
        "~x~",
        "> quoted",
        "日本語" * 5,
        "\t\t",
        "a" * 90,
        "www.evil.com",
        "U0ALICE",
    ]
)


def untrusted(longest: int = 400) -> st.SearchStrategy[str]:
    """Text that tries to be more than text, with the mark in it."""
    words = st.lists(st.one_of(_HOSTILE, st.text(max_size=30)), max_size=8)
    return words.map(lambda some: (MARK + " ".join(some)).replace("\n", "⏎").replace("\x00", "")[:longest])


_WHO = st.builds(
    Who,
    person=untrusted(120),
    accounts=st.lists(
        st.one_of(st.just("slack:T0SAYSO:U0ALICE"), untrusted(60), st.just("slack:T0OTHER:U0X")), max_size=2
    ).map(tuple),
)
_LINE = st.builds(
    Line, name=untrusted(120), value=st.lists(untrusted(3_000), min_size=1, max_size=6).map(tuple), diff=st.booleans()
)
_HOST = st.builds(
    Host, written=untrusted(260), resolved=untrusted(260), scripts=st.sampled_from([(), ("Latin", "Greek")])
)
_PIECE = st.one_of(st.builds(Piece, text=untrusted(200)), st.builds(Piece, text=st.just("Pay "), ours=st.just(True)))
GROUPS = st.builds(
    Group,
    source=st.sampled_from(["slack:usergroup:S0SRE", "teams:group:x"]),
    people=st.lists(_WHO, max_size=3).map(tuple),
    hitch=st.sampled_from(["", "who is in the group could not be looked up", "3 more are not mentioned"]),
)
_SEAT = st.builds(
    Seat,
    name=st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True),
    got=st.just(0),
    need=st.integers(1, 3),
    people=st.lists(_WHO, max_size=3).map(tuple),
    groups=st.lists(GROUPS, max_size=2).map(tuple),
    notify=st.sampled_from(["mention", "dm", "none"]),
)
_SAFE = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True)
_CHANGED = st.builds(
    Changed,
    name=untrusted(60),
    was=st.lists(untrusted(140), max_size=2).map(tuple),
    now=st.lists(untrusted(140), max_size=2).map(tuple),
)
_BEFORE = st.builds(
    Before,
    status=st.sampled_from([Status.DENIED, Status.UNKNOWN]),
    at=st.just(NOW),
    by=st.lists(_WHO, max_size=3).map(tuple),
)
_STEP = st.one_of(
    st.builds(Step, word=st.sampled_from(["asked", "approved", "denied"]), at=st.integers(NOW, NOW + 10**9)),
    st.builds(Step, word=st.just("receipt used"), at=st.just(NOW), by=_SAFE),
    st.builds(Step, word=st.sampled_from(["succeeded", "failed", "unknown"]), at=st.just(NOW), by=untrusted(150)),
)

hostile_cards: st.SearchStrategy[Card] = st.builds(
    Card,
    request=st.just("0-" + "a" * 24),
    status=st.sampled_from(list(Status)),
    emergency=st.booleans(),
    title=st.just("Release a payment"),
    heading=st.just("Release a payment"),
    summary=st.lists(_PIECE, max_size=5).map(tuple),
    note=st.sampled_from(["cannot be undone", "approved by", "denied by policy", ""]),
    by=st.lists(_WHO, max_size=3).map(tuple),
    risk=st.sampled_from(["low", "medium", "high", "critical"]),
    effect=st.just("transfer"),
    kind=st.just("payments.release"),
    target=untrusted(500),
    arguments=st.lists(_LINE, max_size=12).map(tuple),
    preconditions=st.lists(_LINE, max_size=3).map(tuple),
    complete=st.booleans(),
    bytes=st.integers(0, 65_536),
    hidden=st.booleans(),
    masked=st.sampled_from(["no", "unseen", "barred"]),
    hosts=st.lists(_HOST, max_size=5).map(tuple),
    reason=st.one_of(st.just(""), untrusted(500)),
    asks_for_changes=st.booleans(),
    supersedes=st.sampled_from(["", "4R2C-8M"]),
    changed=st.lists(_CHANGED, max_size=3).map(lambda some: tuple(some * 6)),
    changes=st.integers(0, 30),
    answers=st.one_of(st.none(), _BEFORE),
    earlier=st.lists(_BEFORE, max_size=2).map(tuple),
    agent=_SAFE,
    principal=_WHO,
    audience=_SAFE,
    rules=st.lists(_SAFE, max_size=40).map(tuple),
    code=st.just("7F3K-9Q"),
    needs=st.lists(_SEAT, max_size=20).map(tuple),
    said=st.lists(
        st.builds(
            Said, who=_WHO, answer=st.sampled_from(["approve", "deny", "changes"]), factor=_SAFE, at=st.just(NOW)
        ),
        max_size=30,
    ).map(tuple),
    expires_at=st.one_of(st.none(), st.just(NOW)),
    story=st.lists(_STEP, max_size=6).map(tuple),
    took_ms=st.one_of(st.none(), st.integers(0, 10**7)),
    says=st.one_of(st.just(""), untrusted(540)),
    care=st.sampled_from([Care(), Care(look_ms=10_000, confirm_code=True, reasons=("approve",))]),
    buttons=st.sampled_from([(), ("review", "deny", "changes", "details"), ("approve", "deny", "changes", "details")]),
)
