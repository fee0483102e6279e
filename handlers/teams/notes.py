"""A note under a card as an Adaptive Card: who it is for, what is the matter, until when."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.card import Who
from approvals.notes import Note
from handlers.teams.cards import Drawing
from handlers.teams.elements import Json, card, fixed, line, literal, local_time, ours
from handlers.teams.mentions import NOBODY, Call


def draw_note(note: Note, call: Call = NOBODY) -> Drawing:
    """The note, which mentions those of `call`; others whom it is for are named."""
    words = note.words
    body = call.line()
    body.append(line(_said(note, words, [who for who in note.asked if not call.names(who)])))
    if note.expires_at is not None:
        body.append(fixed(f"Expires {local_time(note.expires_at)}", size="Small", isSubtle=True, spacing="None"))
    spoken = f"{words} ({note.code})"
    return Drawing(card(body, spoken=spoken, teams=call.entities()), spoken)


def _said(note: Note, words: str, others: Sequence[Who]) -> list[Json]:
    runs: list[Json] = []
    for who in others:
        runs += [*literal(who.person), ours(" ")]
    runs += [*literal(note.title), ours(" · ")] if note.title else []
    runs += [ours(words)]
    if note.factors:
        runs += [ours(" · needs "), *literal(" and ".join(note.factors))]
    if note.problem:
        runs += [ours(": "), *literal(note.place), ours(" says "), *literal(note.problem)]
    if note.remedy:
        runs += [ours(f"; {note.remedy}")]
    return [*runs, ours(f" · code {note.code}", weight="Bolder")]
