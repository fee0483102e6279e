"""Everything that the bot sends to Slack, over made-up requests: long, wide, deep and hostile ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from approvals.card import Who
from approvals.commands.answers import Answer
from approvals.lifecycle import Status
from approvals.notes import Note
from approvals.request import Request
from approvals.review import Look, review_of
from approvals.reviewing import Opened
from approvals.rows import row_of
from approvals.service import Paused
from approvals.verdicts import Counted, Done, Late, Refused
from handlers.slack import answers, command, notes, reason, replies, review
from handlers.slack.blocks import draw
from handlers.slack.burst import draw_rows
from handlers.slack.identity import Identity
from handlers.slack.press import Press
from tests.approvals.make import a_request, account, an_action, an_approved_request, some_terms
from tests.handlers.slack.answered import Told, everything_told
from tests.handlers.slack.cards import GROUPS, MARK, NOW, hostile_cards, untrusted

TEAM = "T0SAYSO"
VALUE = "1.0-" + "a" * 24 + "." + "0" * 64 + "." + "A" * 43
LOOK = "0-" + "a" * 24 + "." + "A" * 22
IDENTITY = Identity(TEAM, "A0", "B0", "U0BOT", "https://acme.slack.com/")
DRAWS = replies.Replies(IDENTITY)
PRESS = Press("0-" + "a" * 24, "sha256:" + "0" * 64, account("alice"), "C0OPS", "1.2", VALUE)

Json = dict[str, Any]
T = TypeVar("T")

_VALUES = st.recursive(
    st.one_of(untrusted(9_000), st.integers(-5, 5), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(untrusted(300), inner, max_size=4)),
    max_leaves=12,
)
hostile_requests: st.SearchStrategy[Request] = st.builds(
    lambda arguments, preconditions, target, because: a_request(
        action=an_action(arguments=arguments, preconditions=preconditions, target=target), because=because
    ),
    st.dictionaries(untrusted(400), _VALUES, max_size=6),
    st.dictionaries(untrusted(40), _VALUES, max_size=2),
    untrusted(480),
    untrusted(400),
)


def samples(made: st.SearchStrategy[T], count: int) -> list[T]:
    """The same examples in every run."""
    found: list[T] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(made)
    def collect(one: T) -> None:
        found.append(one)

    collect()
    return found


def messages(count: int) -> Iterator[list[Json]]:
    """Cards, shared messages, notes, letters and private answers."""
    cards = samples(hostile_cards, count)
    for card in cards:
        yield draw(card, team=TEAM, value=VALUE).blocks
    for some in zip(cards[::2], cards[1::2], strict=False):
        yield draw_rows([*map(row_of, some), None], [VALUE] * 3, team=TEAM).blocks
    for note in samples(hostile_notes, count // 4):
        yield notes.draw_note(note, team=TEAM).blocks
    yield notes.draw_letter(
        Note(key="l", what="decided", code="7F3K-9Q", title="Pay", status="denied"), "https://x"
    ).blocks
    for private in _private_answers():
        yield private.blocks()


def _private_answers() -> Iterator[answers.Private]:
    """What is told about a click: a sentence of ours and, where it came too late, who was faster."""
    approved = an_approved_request()
    refused, denied = Refused("x", f"The policy does not know {MARK} <!here>."), Counted(approved)
    for verdict in (denied, Counted(approved, safe=False), Late(approved), refused):
        yield answers.about(verdict, "approve", TEAM)
    yield answers.reported(refused)
    yield answers.reported(Done(None, "reported"))
    for frozen in (None, refused, Done(None, "frozen")):
        yield answers.paused(Paused(denied, frozen), TEAM)
    for status in Status:
        decision = approved.decision and approved.decision.model_copy(update={"status": status})
        yield answers.late(approved.model_copy(update={"status": status, "decision": decision}), TEAM)
    yield from (answers.UNCERTAIN, answers.NOT_OURS, answers.NO_FORM, answers.NO_PAGE, answers.OUTDATED)


def views(count: int) -> Iterator[Json]:
    """Reviews in every state, forms, notices and records."""
    for request in samples(hostile_requests, count):
        yield from _reviews(request)
    yield review.LOADING
    for answer in ("approve", "deny", "changes", "pause"):
        yield reason.form(PRESS, answer, presets=["x" * 200, "y"], needed=True)
        yield reason.form(PRESS, answer)
    for private in _private_answers():
        yield reason.notice(private)


def told(count: int) -> Told:
    """What people are told who try every command and every button of the answers, over so many hostile requests."""
    return asyncio.run(everything_told(samples(hostile_requests, count)))


def answer_messages(all_told: Told) -> Iterator[list[Json]]:
    """Every answer to a command as a message."""
    for answer in _answers(all_told):
        yield DRAWS.message(answer).blocks()


def answer_views(all_told: Told) -> Iterator[Json]:
    """Every answer as a modal, the forms that its buttons open, and everybody's home tab."""
    for parts in all_told.homes:
        yield DRAWS.home(parts, NOW)
    for answer in _answers(all_told):
        screen = DRAWS.screen(answer, "C0OPS")
        yield screen
        yield from _forms(screen)


def _answers(all_told: Told) -> list[Answer]:
    return [*all_told.answers, command.SORRY, command.WORKING, command.NOT_OURS]


def _forms(screen: Json) -> Iterator[Json]:
    """The forms of the buttons that ask for words, as the listener opens them."""
    buttons = [one for block in screen["blocks"] if block["type"] == "actions" for one in block["elements"]]
    for button in buttons:
        said = replies.said_in(button["value"])
        assert said is not None
        if button["action_id"].startswith(replies.ASK):
            yield replies.form(replies.Said(said.command, said.ask, said.label, "C0OPS"))


def _reviews(request: Request) -> Iterator[Json]:
    whole = review_of(request)
    pages = len(whole.pages)
    look = Look(id=LOOK, account="a", shown=whole.shown(), pages=pages, at=0, places=(), reference={})
    care = some_terms(min_look=10_000, confirm_code=True, reasons=("approve",))
    yield review.page_of(Opened(look, whole, some_terms()), TEAM)
    read = look.model_copy(update={"opened": tuple(range(pages))})
    yield review.page_of(Opened(read, whole, care, pages - 1), TEAM, "That is not the code.")
    only = look.model_copy(update={"only_reads": "You are not among those asked here: finance."})
    yield review.page_of(Opened(only, whole, care, pages // 2), TEAM)


hostile_notes = st.builds(
    Note,
    key=st.just("k"),
    what=st.sampled_from(["reminder", "waiting", "undeliverable"]),
    code=st.just("7F3K-9Q"),
    factors=st.sampled_from([(), ("finance", "sre")]),
    expires_at=st.sampled_from([None, 1_780_000_000_000]),
    asked=st.lists(st.builds(Who, person=untrusted(80), accounts=st.just(())), max_size=3).map(tuple),
    groups=st.lists(GROUPS, max_size=2).map(tuple),
    problem=st.sampled_from(["", "is_archived"]),
    place=st.just("slack:C0OPS"),
)
